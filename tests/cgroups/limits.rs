//! Limits, paths, freezing and removal.

use std::path::PathBuf;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    every_mounted_hierarchy_is_joined if lacks_v1,
    a_process_over_its_memory_limit_is_killed,
    the_process_limit_refuses_forks,
    a_process_limit_of_zero_leaves_the_first_process,
    the_quota_throttles,
    cpus_are_pinned if lacks_two_cpus,
    pause_freezes_and_delete_still_works,
    groups_made_by_the_container_are_removed,
    an_absolute_path_starts_at_the_root if lacks_v1,
    a_limit_without_its_controller_is_an_error if lacks_v1,
    values_the_kernel_refuses_leave_nothing if lacks_v1,
    nonsense_is_refused_before_anything_is_made,
    the_group_of_a_frozen_container_is_refused_and_left_alone,
    whoever_shares_the_group_survives_the_container,
    a_process_that_others_put_into_the_group_is_not_killed,
    without_a_group_no_limit_is_accepted,
];

fn lacks_two_cpus() -> Option<&'static str> {
    let one = std::thread::available_parallelism().is_ok_and(|n| n.get() < 2);
    one.then_some("needs two CPUs")
}

fn every_mounted_hierarchy_is_joined() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let pid = b.state()["pid"].as_i64().expect("pid");
    let mounted = read("/proc/self/mountinfo");
    let mut joined = 0;
    for line in read(format!("/proc/{pid}/cgroup")).lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next().expect("names"), fields.next().expect("path"));
        let here = |l: &str| {
            if names.is_empty() {
                l.contains(" - cgroup2 ")
            } else {
                l.contains(" - cgroup ") && l.ends_with(&format!(",{names}"))
            }
        };
        if mounted.lines().any(here) {
            assert!(path.ends_with(&format!("/{}", b.id)), "{line}");
            joined += 1;
        }
    }
    assert!(joined >= 5, "too few hierarchies are mounted for this test to say much: {joined}");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

fn a_process_over_its_memory_limit_is_killed() {
    let args = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];
    let b = limited(&args, json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}}));
    assert_eq!(b.run().code, 137);
    b.assert_no_trace();
    limited(&args, json!({"memory": {"limit": 128 << 20, "swap": 128 << 20}})).run().ok();
}

fn the_process_limit_refuses_forks() {
    let script = "sleep 100 & sleep 100 & sleep 100 & echo no refusal";
    let done = limited(&["sh", "-c", script], json!({"pids": {"limit": 3}})).run();
    assert!(done.code != 0 && done.err.contains("can't fork"), "{done:?}");
    assert_eq!(limited(&["sh", "-c", script], json!({"pids": {"limit": -1}})).run().ok(), "no refusal\n");
}

fn a_process_limit_of_zero_leaves_the_first_process() {
    assert_eq!(limited(&["echo", "here"], json!({"pids": {"limit": 0}})).run().ok(), "here\n");
    let done = limited(&["sh", "-c", "/bin/true & wait"], json!({"pids": {"limit": 0}})).run();
    assert!(done.code != 0, "{done:?}");
}

fn the_quota_throttles() {
    let b = limited(&["sh", "-c", "while :; do :; done"], json!({"cpu": {"quota": 5000, "period": 50000}}));
    b.run_detached();
    let stat = group(&b, "cpu").join("cpu.stat");
    until("throttled", || read(&stat).lines().any(|l| l.strip_prefix("nr_throttled ").is_some_and(|n| n != "0")));
}

fn cpus_are_pinned() {
    let args = ["grep", "Cpus_allowed_list", "/proc/self/status"];
    assert_eq!(limited(&args, json!({"cpu": {"cpus": "1"}})).run().ok().split_whitespace().last(), Some("1"));
    let all = Bundle::new(&args).run().ok();
    assert_ne!(all.split_whitespace().last(), Some("1"));
}

fn pause_freezes_and_delete_still_works() {
    let b = Bundle::new(&["sh", "-c", "while :; do sleep 0.01; done"]);
    b.run_detached();
    let (file, on, off) = if is_v2() { ("cgroup.freeze", "1\n", "0\n") } else { ("freezer.state", "FROZEN\n", "THAWED\n") };
    let freezer = group(&b, "freezer").join(file);
    b.rrun(["pause", &b.id]).ok();
    assert_eq!(b.state()["status"], "paused");
    assert_eq!(read(&freezer), on);
    b.rrun(["resume", &b.id]).ok();
    assert_eq!(read(&freezer), off);
    b.rrun(["pause", &b.id]).ok();
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

fn groups_made_by_the_container_are_removed() {
    let b = Bundle::new(&["sh", "-c", "sleep 100 & sleep 100 & wait"]);
    b.run_detached();
    until("all are there", || read(group(&b, "pids").join("cgroup.procs")).lines().count() == 3);
    // As a container with a writable hierarchy would: many, deeper than a path may be long, and with processes in them.
    let hierarchies = if is_v2() { vec![""] } else { vec!["memory", "pids", "unified"] };
    for controller in hierarchies {
        let member = read(group(&b, controller).join("cgroup.procs")).lines().last().expect("a process").to_owned();
        let mut dir = std::fs::File::open(group(&b, controller)).expect("open");
        for _ in 0..22 {
            for name in ["side".to_owned(), "d".repeat(200)] {
                mkdirat(&dir, name.as_str(), Mode::from_bits_truncate(0o755)).expect("mkdir");
            }
            dir = openat(&dir, "d".repeat(200).as_str(), OFlag::O_RDONLY, Mode::empty()).expect("open").into();
        }
        let procs = openat(&dir, "cgroup.procs", OFlag::O_WRONLY, Mode::empty()).expect("open");
        nix::unistd::write(procs, member.as_bytes()).expect("move a process");
    }
    let listed: Vec<i32> = serde_json::from_str(&b.rrun(["ps", "--format", "json", &b.id]).ok()).expect("JSON");
    assert_eq!(listed.len(), 3, "those in groups below count");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

fn an_absolute_path_starts_at_the_root() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let above = format!("above-{}", b.id);
    b.config["linux"]["cgroupsPath"] = json!(format!("/{above}/{}", b.id));
    b.run_detached();
    let pid = b.state()["pid"].as_i64().expect("pid");
    assert!(read(format!("/proc/{pid}/cgroup")).contains(&format!(":memory:/{above}/{}\n", b.id)));
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
    // Those above may be shared with others: they stay, empty.
    for dir in groups_named(&above) {
        std::fs::remove_dir(dir).expect("rmdir");
    }
    for (bad, why) in
        [("/", "it names the root of the hierarchy"), (".", "it names the root of the hierarchy"), ("/a/../..", "..")]
    {
        b.config["linux"]["cgroupsPath"] = json!(bad);
        b.run().fails_with(why);
    }
}

fn a_limit_without_its_controller_is_an_error() {
    // Each of them is absent somewhere; where all are there, nothing is left to test.
    let candidates = [
        ("hugetlb", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})),
        ("rdma", json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}})),
        ("rdma", json!({"rdma": {"mlx5_1": {"hcaObjects": 3}}})),
        ("net_cls", json!({"network": {"classID": 5}})),
        ("net_prio", json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}})),
    ];
    // cgroup2 beside v1 has what no hierarchy of v1 took.
    let beside = std::fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or_default();
    let mounted = read("/proc/self/mountinfo") + &beside;
    for (controller, resources) in candidates.into_iter().filter(|(c, _)| !mounted.contains(c)) {
        let b = limited(&["true"], resources);
        b.run().fails_with(&format!("the cgroup controller {controller} is not mounted on this host"));
        b.assert_no_trace();
    }
}

fn values_the_kernel_refuses_leave_nothing() {
    for (resources, file) in [
        (json!({"cpu": {"cpus": "0-4000"}}), "cpuset.cpus"),
        (json!({"cpu": {"quota": 1}}), "cpu.cfs_quota_us"),
        (
            json!({"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 9, "rate": 1}]}}),
            "blkio.throttle.read_bps_device",
        ),
    ] {
        let b = limited(&["true"], resources);
        b.run().fails_with(file);
        b.assert_no_trace();
    }
}

fn nonsense_is_refused_before_anything_is_made() {
    let everywhere = [
        (json!({"memory": {"limit": 20 << 20, "swap": 10 << 20}}), "memory+swap limit should be >= memory limit"),
        (json!({"devices": [{"allow": true, "type": "c", "access": "x"}]}), "invalid device access"),
    ];
    let v1 = [
        (json!({"memory": {"swappiness": 101}}), "invalid memory swappiness value: 101 (valid range is 0-100)"),
        (json!({"cpu": {"shares": 1}}), "the minimum allowed cpu-shares is 2"),
        (json!({"unified": {"memory.high": "1"}}), "cannot use unified on cgroup v1"),
    ];
    for (resources, text) in everywhere.into_iter().chain(v1.into_iter().filter(|_| lacks_v1().is_none())) {
        let b = limited(&["true"], resources);
        b.run().fails_with(text);
        b.assert_no_trace();
    }
}

fn the_group_of_a_frozen_container_is_refused_and_left_alone() {
    let first = Bundle::new(&["sleep", "100"]);
    first.run_detached();
    first.rrun(["pause", &first.id]).ok();
    let mut second = Bundle::new(&["true"]);
    second.config["linux"]["cgroupsPath"] = json!(first.id);
    second.run().fails_with("is frozen already");
    assert_eq!(first.state()["status"], "paused", "the failed start killed its neighbour");
    first.rrun(["resume", &first.id]).ok();
    assert_eq!(first.state()["status"], "running");
}

/// A process of nobody's in the container's group.
struct Stranger(std::process::Child);

impl Stranger {
    fn enter(groups: &[PathBuf]) -> Self {
        let child = std::process::Command::new("sleep").arg("1000").spawn().expect("run sleep");
        for dir in groups {
            std::fs::write(dir.join("cgroup.procs"), child.id().to_string()).expect("move the process");
        }
        Self(child)
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("wait").is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

fn whoever_shares_the_group_survives_the_container() {
    // Without a PID namespace of its own, the container's processes are known by the group alone.
    for own_pid_namespace in [true, false] {
        let first = Bundle::new(&["sleep", "100"]);
        first.run_detached();
        let mut second = Bundle::new(&["sleep", "100"]);
        second.config["linux"]["cgroupsPath"] = json!(first.id);
        if !own_pid_namespace {
            share_pids(&mut second.config);
        }
        second.run_detached();
        let log = read(second.scratch("log"));
        assert!(log.contains("container's cgroup is not empty: 1 process(es) found"), "{log}");
        second.rrun(["kill", &second.id, "KILL"]).ok();
        second.wait_for("stopped");
        second.rrun(["delete", &second.id]).ok();
        second.run_detached();
        second.rrun(["delete", "--force", &second.id]).ok();
        assert_eq!(first.state()["status"], "running", "own PID namespace: {own_pid_namespace}");
        // A failing start cleans up after itself as well.
        second.config["process"]["args"] = json!(["/no-such-program"]);
        second.run().fails_with("no such file");
        second.config["process"]["args"] = json!(["true"]);
        second.run().ok();
        assert_eq!(first.state()["status"], "running", "own PID namespace: {own_pid_namespace}");
        first.rrun(["delete", "--force", &first.id]).ok();
        first.assert_no_trace();
    }
}

fn a_process_that_others_put_into_the_group_is_not_killed() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let mut stranger = Stranger::enter(&groups_named(&b.id));
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    let done = b.rrun(["delete", &b.id]);
    done.fails_with("rmdir ");
    done.fails_with("1 process(es) are still in it");
    assert!(stranger.is_alive());
    drop(stranger);
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn without_a_group_no_limit_is_accepted() {
    let b = limited(&["true"], json!({"pids": {"limit": 5}}));
    let done = b.write().rrun(["--cgroup-manager", "disabled", "run", &b.id]);
    done.fails_with("cannot set linux.resources.pids.limit: cgroups are disabled");
    let b = Bundle::new(&["sleep", "100"]);
    let log = b.scratch("log");
    let args = ["--cgroup-manager", "disabled", "--log", log.to_str().expect("UTF-8"), "run", "--detach", &b.id];
    assert!(
        b.write()
            .command(args)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .expect("run")
            .success()
    );
    assert_eq!(groups_named(&b.id), [] as [PathBuf; 0]);
}
