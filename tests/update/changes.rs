//! What a new limit does to a container that is there.

use serde_json::{Value, json};

use super::*;
use crate::cgroups::devices::{lacks_loop_devices, maker};
use crate::cgroups::has_cpuset;

crate::tests![
    all if needs_groups;
    each_flag_changes_its_file_or_names_what_is_missing,
    a_new_process_limit_refuses_forks,
    out_of_memory_comes_at_the_new_limit,
    what_each_engine_sends_is_understood,
    zeros_change_nothing,
    memory_and_swap_move_together_up_and_down if lacks_swap_limit,
    quota_period_and_burst_move_in_any_order,
    halves_of_a_pair_keep_the_other_half,
    device_rules_change_when_they_differ if || needs_root().or_else(lacks_block_device),
    created_and_paused_containers_take_limits,
];

fn lacks_swap_limit() -> Option<&'static str> {
    let v1 = std::path::Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists();
    (!is_v2() && !v1).then_some("needs swap accounting")
}

fn each_flag_changes_its_file_or_names_what_is_missing() {
    // Flag, field, file and text on v1, file and text on v2 (without file: v2 has no such limit).
    let flags = [
        ("--blkio-weight=100", "blockIO.weight", "blkio/blkio.bfq.weight", "100", "io.bfq.weight", "default 100"),
        ("--cpu-period=50000", "cpu.period", "cpu/cpu.cfs_period_us", "50000", "cpu.max", "max 50000"),
        ("--cpu-quota=20000", "cpu.quota", "cpu/cpu.cfs_quota_us", "20000", "cpu.max", "20000 50000"),
        ("--cpu-burst=7000", "cpu.burst", "cpu/cpu.cfs_burst_us", "7000", "cpu.max.burst", "7000"),
        ("--cpu-share=512", "cpu.shares", "cpu/cpu.shares", "512", "cpu.weight", "59"),
        ("--cpu-rt-period=500000", "cpu.realtimePeriod", "cpu/cpu.rt_period_us", "500000", "", ""),
        ("--cpu-rt-runtime=1000", "cpu.realtimeRuntime", "cpu/cpu.rt_runtime_us", "1000", "", ""),
        ("--cpu-idle=1", "cpu.idle", "cpu/cpu.idle", "1", "cpu.idle", "1"),
        ("--cpuset-cpus=0", "cpu.cpus", "cpuset/cpuset.cpus", "0", "cpuset.cpus", "0"),
        ("--cpuset-mems=0", "cpu.mems", "cpuset/cpuset.mems", "0", "cpuset.mems", "0"),
        ("--memory=64M", "memory.limit", "memory/memory.limit_in_bytes", "67108864", "memory.max", "67108864"),
        ("--memory-swap=96M", "memory.swap", "memory/memory.memsw.limit_in_bytes", "100663296", "memory.swap.max", "33554432"),
        (
            "--memory-reservation=1.5M",
            "memory.reservation",
            "memory/memory.soft_limit_in_bytes",
            "1572864",
            "memory.low",
            "1572864",
        ),
        ("--pids-limit=9", "pids.limit", "pids/pids.max", "9", "pids.max", "9"),
    ];
    let b = sleeper(json!({}));
    let mut changed = 0;
    for (flag, field, v1, v1_text, v2, v2_text) in flags {
        let done = update(&b, &[flag]);
        let there = if is_v2() { !v2.is_empty() } else { true } && path(&b, v1, v2).exists();
        if done.code == 0 {
            assert!(there, "{flag} was taken, but for which file?");
            assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""), "{flag}");
            assert_eq!(value(&b, v1, v2), if is_v2() { v2_text } else { v1_text }, "{flag}");
            changed += 1;
        } else {
            done.fails_with(&format!("cannot set linux.resources.{field}: "));
            // The groups above may have no realtime to give.
            assert!(!there || field.starts_with("cpu.realtime"), "{flag}: {}", done.err);
        }
    }
    assert!(changed >= 9, "too few flags had an effect: {changed}");
}

fn a_new_process_limit_refuses_forks() {
    let b = sleeper(json!({}));
    // One is init, one the shell.
    let script = "true & wait; (true) && echo forked";
    assert_eq!(b.rrun(["exec", &b.id, "sh", "-c", script]).ok(), "forked\n");
    update(&b, &["--pids-limit", "2"]).ok();
    let done = b.rrun(["exec", &b.id, "sh", "-c", script]);
    assert!(done.code != 0 && done.err.contains("can't fork"), "{done:?}");
    update(&b, &["--pids-limit", "-1"]).ok();
    assert_eq!(pids(&b), "max");
    assert_eq!(b.rrun(["exec", &b.id, "sh", "-c", script]).ok(), "forked\n");
}

fn out_of_memory_comes_at_the_new_limit() {
    let b = sleeper(json!({"memory": {"limit": 128 << 20}}));
    let fill = ["exec", &b.id, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];
    b.rrun(fill).ok();
    update(&b, &["--memory", "32M", "--memory-swap", "32M"]).ok();
    assert_eq!(b.rrun(fill).code, 137);
    assert_eq!(b.state()["status"], "running", "the killer took the one that asked for too much");
    update(&b, &["--memory", "-1"]).ok();
    b.rrun(fill).ok();
}

fn what_each_engine_sends_is_understood() {
    let b = sleeper(json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 50}, "cpu": {"shares": 1024}}));
    let devices = b.config["linux"]["resources"]["devices"].clone();
    let cpus = if has_cpuset() { "0" } else { "" };
    // Docker: only what `docker update` was given, but empty lists of CPUs.
    let docker = json!({"cpu": {"shares": 512, "cpus": "", "mems": ""}, "memory": {"limit": 80 << 20, "swap": 160 << 20},
                        "pids": {"limit": 40}});
    // containerd (Kubernetes): the whole section of the config, changed.
    let containerd = json!({
        "devices": devices, "pids": {"limit": 40},
        "memory": {"limit": 90 << 20, "swap": 90 << 20, "disableOOMKiller": false},
        "cpu": {"shares": 256, "quota": 20000, "period": 100_000, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": cpus, "mems": cpus},
        "blockIO": {}, "hugepageLimits": [], "network": {}, "rdma": {}, "unified": {},
    });
    // Podman: a file, with null for what is not there.
    let podman = json!({"devices": null, "memory": {"limit": 70 << 20, "swap": 140 << 20}, "cpu": {"shares": 2048},
                        "pids": null, "blockIO": {"weight": 0, "weightDevice": null, "throttleReadBpsDevice": null}});
    // CRI-O: zeros for what is not meant.
    let crio = json!({"cpu": {"shares": 102, "quota": 0, "period": 0, "cpus": "", "mems": ""}, "memory": {"limit": 60 << 20, "swap": 60 << 20}});
    let shares = || value(&b, "cpu/cpu.shares", "cpu.weight");
    let in_force = |shares_now: [&str; 2], memory_now: u64, pids_now: &str| {
        assert_eq!(
            (shares().as_str(), memory(&b), pids(&b).as_str()),
            (shares_now[usize::from(is_v2())], memory_now.to_string(), pids_now)
        );
    };
    let silent = |done: Done| assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", ""));
    silent(update_from(&b, &["--resources=-"], &docker.to_string()));
    in_force(["512", "59"], 80 << 20, "40");
    silent(update_from(&b, &["--resources=-"], &containerd.to_string()));
    in_force(["256", "35"], 90 << 20, "40");
    let file = b.scratch("resources.json");
    std::fs::write(&file, podman.to_string()).expect("write");
    silent(update(&b, &[&format!("--resources={}", file.display())]));
    in_force(["2048", "174"], 70 << 20, "40");
    silent(update_from(&b, &["--resources", "-"], &crio.to_string()));
    in_force(["102", "17"], 60 << 20, "40");
}

fn zeros_change_nothing() {
    let b = sleeper(json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}));
    let zeros = json!({"memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": 0}, "pids": {"limit": 0},
                       "cpu": {"shares": 0, "quota": 0, "period": 0}, "blockIO": {"weight": 0}});
    update_from(&b, &["-r", "-"], &zeros.to_string()).ok();
    update(&b, &["--memory=0", "--pids-limit=0", "--cpu-quota=0"]).ok();
    update(&b, &[]).ok();
    assert_eq!((memory(&b), pids(&b).as_str()), ((64 << 20).to_string(), "50"));
}

fn memory_and_swap_move_together_up_and_down() {
    let b = sleeper(json!({}));
    for (limit, total) in [("64M", "128M"), ("256M", "256M"), ("512M", "-1"), ("32M", "64M"), ("-1", "-1"), ("32M", "32M")] {
        update(&b, &["--memory", limit, "--memory-swap", total]).ok();
        let mega = |text: &str| text.trim_end_matches('M').parse::<i64>().expect("a number") << 20;
        let number = |bytes: i64| match bytes {
            0.. => bytes.to_string(),
            _ if is_v2() => "max".to_owned(),
            _ => "9223372036854771712".to_owned(),
        };
        let (limit, total) = (if limit == "-1" { -1 } else { mega(limit) }, if total == "-1" { -1 } else { mega(total) });
        assert_eq!(memory(&b), number(limit));
        let swap = if is_v2() && total >= 0 { total - limit } else { total };
        assert_eq!(value(&b, "memory/memory.memsw.limit_in_bytes", "memory.swap.max"), number(swap));
    }
}

fn quota_period_and_burst_move_in_any_order() {
    let b = sleeper(json!({}));
    for (quota, period, burst) in [
        ("20000", "50000", "10000"),
        ("2000", "100000", "0"),
        ("90000", "100000", "90000"),
        ("1000", "10000", "500"),
        ("-1", "10000", "0"),
    ] {
        update(&b, &["--cpu-quota", quota, "--cpu-period", period, "--cpu-burst", burst]).ok();
        let now = if is_v2() {
            value(&b, "", "cpu.max").replace("max", "-1")
        } else {
            format!("{} {}", value(&b, "cpu/cpu.cfs_quota_us", ""), value(&b, "cpu/cpu.cfs_period_us", ""))
        };
        assert_eq!(now, format!("{quota} {period}"));
        assert_eq!(value(&b, "cpu/cpu.cfs_burst_us", "cpu.max.burst"), burst);
    }
}

fn halves_of_a_pair_keep_the_other_half() {
    let b = sleeper(json!({"cpu": {"quota": 20000, "period": 50000}}));
    let now = || match is_v2() {
        true => value(&b, "", "cpu.max"),
        false => format!("{} {}", value(&b, "cpu/cpu.cfs_quota_us", ""), value(&b, "cpu/cpu.cfs_period_us", "")),
    };
    update(&b, &["--cpu-period", "40000"]).ok();
    assert_eq!(now(), "20000 40000");
    update(&b, &["--cpu-quota", "10000"]).ok();
    assert_eq!(now(), "10000 40000");
}

/// Major and minor number of a block device that may be opened without harm: a loop device, or the disk of user-mode Linux.
fn block_device() -> Option<(u32, u32)> {
    if lacks_loop_devices().is_none() {
        return Some((7, 1));
    }
    let number = std::fs::read_to_string("/sys/block/ubda/dev").ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn lacks_block_device() -> Option<&'static str> {
    block_device().is_none().then_some("needs a loop device")
}

fn device_rules_change_when_they_differ() {
    let (major, minor) = block_device().expect("a device");
    let b = maker(&["sleep", "1000"], json!([]));
    b.run_detached();
    b.rrun(["exec", &b.id, "mknod", "/dev/d", "b", &major.to_string(), &minor.to_string()]).ok();
    let script = "{ true < /dev/d && echo read; true >> /dev/d && echo written; } 2> /dev/null; true > /dev/null && echo null";
    let may = || b.rrun(["exec", &b.id, "sh", "-c", script]).ok();
    let with = |rules: Value| {
        let mut all = vec![json!({"allow": false, "access": "rwm"})];
        all.extend(rules.as_array().expect("an array").iter().cloned());
        update_from(&b, &["-r", "-"], &json!({"devices": all, "pids": {"limit": 30}}).to_string())
    };
    let rule = |access: &str| json!([{"allow": true, "type": "b", "major": major, "minor": minor, "access": access}]);
    assert_eq!(may(), "null\n");
    with(rule("rw")).ok();
    assert_eq!(may(), "read\nwritten\nnull\n");
    with(rule("r")).ok();
    assert_eq!(may(), "read\nnull\n");
    // Refused as a whole: neither the rules nor the limit beside them.
    with(json!([{"allow": true, "type": "c", "access": "x"}])).fails_with("invalid device access");
    let both = json!({"devices": [{"allow": false, "access": "rwm"}], "cpu": {"quota": 1}});
    update_from(&b, &["-r", "-"], &both.to_string()).fails_with("linux.resources.cpu.quota");
    assert_eq!(may(), "read\nnull\n");
    if !is_v2() {
        // What a plugin opened stays open when an engine sends back what the rules were.
        std::fs::write(group(&b, "devices").join("devices.allow"), format!("b {major}:{minor} w")).expect("open it");
        with(rule("r")).ok();
        assert_eq!(may(), "read\nwritten\nnull\n");
        std::fs::write(group(&b, "devices").join("devices.deny"), format!("b {major}:{minor} w")).expect("close it");
    }
    update_from(&b, &["-r", "-"], &json!({"devices": [{"allow": true, "access": "rwm"}]}).to_string()).ok();
    assert_eq!(may(), "read\nwritten\nnull\n");
    with(json!([])).ok();
    assert_eq!(may(), "null\n");
}

fn created_and_paused_containers_take_limits() {
    let b = limited(&["sleep", "1000"], json!({}));
    b.create();
    update(&b, &["--pids-limit", "11"]).ok();
    assert_eq!(pids(&b), "11");
    b.rrun(["start", &b.id]).ok();
    b.rrun(["pause", &b.id]).ok();
    update(&b, &["--pids-limit", "12", "--memory", "64M"]).ok();
    assert_eq!((pids(&b).as_str(), memory(&b)), ("12", (64 << 20).to_string()));
    assert_eq!(b.state()["status"], "paused");
    b.rrun(["resume", &b.id]).ok();
}
