//! Control groups: each limit is proved by what it does to a process that ignores it. On v1 and v2 alike, but for what only one has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    every_mounted_hierarchy_is_joined if lacks_v1,
    a_process_over_its_memory_limit_is_killed,
    the_process_limit_refuses_forks,
    a_process_limit_of_zero_leaves_the_first_process,
    the_quota_throttles,
    cpus_are_pinned if lacks_two_cpus,
    devices_are_closed_unless_allowed if lacks_loop_devices,
    all_minors_of_a_driver_can_be_allowed if lacks_loop_devices,
    a_later_deny_takes_back_an_earlier_allow if lacks_loop_devices,
    a_slow_device_stays_slow if lacks_v1,
    pause_freezes_and_delete_still_works,
    groups_made_by_the_container_are_removed,
    an_absolute_path_starts_at_the_root if lacks_v1,
    a_limit_without_its_controller_is_an_error if lacks_v1,
    values_the_kernel_refuses_leave_nothing if lacks_v1,
    nonsense_is_refused_before_anything_is_made,
    the_group_of_a_frozen_container_is_refused_and_left_alone,
    without_a_group_no_limit_is_accepted,
    what_v1_calls_otherwise_is_converted if lacks_v2,
    what_v2_lacks_is_an_error if lacks_v2,
    processes_above_are_in_the_way_of_controllers if lacks_v2,
    systemd_makes_shows_and_removes_the_scope if lacks_systemd,
    a_scope_in_use_is_left_alone if lacks_systemd,
];

fn lacks_v1() -> Option<&'static str> {
    (!Path::new("/sys/fs/cgroup/memory").exists()).then_some("needs cgroup v1")
}

fn lacks_two_cpus() -> Option<&'static str> {
    let one = std::thread::available_parallelism().is_ok_and(|n| n.get() < 2);
    one.then_some("needs two CPUs")
}

fn lacks_loop_devices() -> Option<&'static str> {
    (!Path::new("/dev/loop-control").exists()).then_some("needs loop devices")
}

fn lacks_v2() -> Option<&'static str> {
    (!is_v2()).then_some("needs pure cgroup v2")
}

fn lacks_systemd() -> Option<&'static str> {
    (!Path::new("/run/systemd/system").exists()).then_some("needs systemd")
}

fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// A bundle with `resources` beside the default device rule.
fn limited(args: &[&str], resources: Value) -> Bundle {
    let mut b = Bundle::new(args);
    for (key, value) in resources.as_object().expect("an object") {
        b.config["linux"]["resources"][key] = value.clone();
    }
    b
}

/// As [`limited`], allowed to make device nodes.
fn maker(args: &[&str], rules: Value) -> Bundle {
    let mut all = vec![json!({"allow": false, "access": "rwm"})];
    all.extend(rules.as_array().expect("an array").iter().cloned());
    let mut b = limited(args, json!({"devices": all}));
    for set in ["bounding", "effective", "permitted"] {
        b.config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
    }
    b
}

/// The container's group, on v1 in the hierarchy of `controller`.
fn group(b: &Bundle, controller: &str) -> PathBuf {
    let mine = |dir: &PathBuf| is_v2() || dir.starts_with(format!("/sys/fs/cgroup/{controller}"));
    groups_named(&b.id).into_iter().find(mine).unwrap_or_else(|| panic!("no group in {controller}"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Asks again until it is so, at most ten seconds.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
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

/// Makes a node of a loop device (whose opening the host does not mind) and tries it.
const OPEN_LOOP: &str =
    "mknod /dev/d b 7 1 && { true < /dev/d && echo read; true >> /dev/d && echo written; true > /dev/null && echo null; }";

fn devices_are_closed_unless_allowed() {
    let done = maker(&["sh", "-c", OPEN_LOOP], json!([])).run();
    assert_eq!(done.out, "null\n", "{done:?}");
    assert!(done.err.contains("Operation not permitted"), "{done:?}");
    let read_only = json!([{"allow": true, "type": "b", "major": 7, "minor": 1, "access": "r"}]);
    let done = maker(&["sh", "-c", OPEN_LOOP], read_only).run();
    assert_eq!(done.out, "read\nnull\n", "{done:?}");
}

fn all_minors_of_a_driver_can_be_allowed() {
    let rule = json!([{"allow": true, "type": "b", "major": 7, "access": "rw"}]);
    assert_eq!(maker(&["sh", "-c", OPEN_LOOP], rule).run().ok(), "read\nwritten\nnull\n");
}

fn a_later_deny_takes_back_an_earlier_allow() {
    let rules = json!([
        {"allow": true, "type": "b", "major": 7, "minor": 1, "access": "rw"},
        {"allow": false, "type": "b", "major": 7, "access": "w"},
    ]);
    assert_eq!(maker(&["sh", "-c", OPEN_LOOP], rules).run().out, "read\nnull\n");
    // What cannot be said is not accepted: a hole in a wider rule.
    let hole = json!([
        {"allow": true, "type": "b", "major": 7, "access": "rw"},
        {"allow": false, "type": "b", "major": 7, "minor": 1, "access": "w"},
    ]);
    let b = maker(&["true"], hole);
    b.run().fails_with("reaches beyond it");
    b.assert_no_trace();
}

/// A loop device over a file of one megabyte; released at the end.
struct Loop(String);

impl Loop {
    fn new(b: &Bundle) -> Self {
        let file = b.scratch("disk");
        std::fs::write(&file, vec![0u8; 1 << 20]).expect("write the disk");
        let out = Command::new("losetup").args(["--find", "--show"]).arg(file).output().expect("run losetup");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Self(String::from_utf8_lossy(&out.stdout).trim().to_owned())
    }

    fn minor(&self) -> u64 {
        self.0.trim_start_matches("/dev/loop").parse().expect("a number")
    }

    /// Bytes written so far, since the host started.
    fn written(&self) -> u64 {
        let stat = read(format!("/sys/block/{}/stat", self.0.trim_start_matches("/dev/")));
        stat.split_whitespace().nth(6).and_then(|n| n.parse::<u64>().ok()).expect("seven fields") * 512
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let done = Command::new("losetup").args(["--detach", &self.0]).status().expect("run losetup");
        assert!(done.success() || std::thread::panicking());
    }
}

fn a_slow_device_stays_slow() {
    let mut b = maker(&["true"], json!([{"allow": true, "type": "b", "major": 7, "access": "rwm"}]));
    let disk = Loop::new(&b);
    let (minor, before) = (disk.minor(), disk.written());
    // 512 KiB at 64 KiB per second: the kernel lets a slice through and holds the rest back.
    let script = format!(
        "mknod /dev/d b 7 {minor} && echo go > /tmp/go && dd if=/dev/zero of=/dev/d oflag=direct bs=512k count=1 && echo done > /tmp/done"
    );
    b.config["process"]["args"] = json!(["sh", "-c", script]);
    b.config["linux"]["resources"]["blockIO"] = json!({"throttleWriteBpsDevice": [{"major": 7, "minor": minor, "rate": 65536}]});
    b.run_detached();
    let line = format!("7:{minor} 65536");
    let file = group(&b, "blkio").join("blkio.throttle.write_bps_device");
    assert_eq!(read(&file).trim(), line);
    until("dd waits for the device", || {
        let procs = read(file.with_file_name("cgroup.procs"));
        procs.lines().any(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains("(dd) D")))
    });
    assert!(!b.rootfs().join("tmp/done").exists() && disk.written() - before < 512 << 10, "nothing held dd back");
    // Without the limit it goes on at once; with it, it could not even be killed before its time.
    std::fs::write(&file, format!("7:{minor} 0")).expect("lift the limit");
    until("dd ends", || b.rootfs().join("tmp/done").exists());
    b.wait_for("stopped");
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
        ("net_prio", json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}})),
    ];
    let mounted = read("/proc/self/mountinfo");
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

fn what_v1_calls_otherwise_is_converted() {
    let resources = json!({
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20},
        "cpu": {"shares": 1024, "quota": 20000, "period": 50000}, "pids": {"limit": -1},
        "unified": {"memory.high": (48 << 20).to_string()},
    });
    let b = limited(&["sleep", "100"], resources);
    b.run_detached();
    let is = |file: &str, text: &str| assert_eq!(read(group(&b, "").join(file)).trim(), text, "{file}");
    is("memory.max", &(64 << 20).to_string());
    is("memory.swap.max", &(32 << 20).to_string());
    is("memory.low", &(32 << 20).to_string());
    is("memory.high", &(48 << 20).to_string());
    is("cpu.weight", "100");
    is("cpu.max", "20000 50000");
    is("pids.max", "max");
}

fn what_v2_lacks_is_an_error() {
    for (resources, field) in [
        (json!({"memory": {"disableOOMKiller": true}}), "memory.disableOOMKiller"),
        (json!({"cpu": {"realtimeRuntime": 1000}}), "cpu.realtimeRuntime"),
        (json!({"unified": {"nonsense.max": "1"}}), "nonsense.max"),
        (json!({"unified": {"../x.max": "1"}}), "must be a file name"),
    ] {
        let b = limited(&["true"], resources);
        b.run().fails_with(field);
        b.assert_no_trace();
    }
}

/// A group with a process in it; both go at the end.
struct Occupied(PathBuf, std::process::Child);

impl Occupied {
    fn new(name: &str) -> Self {
        let dir = Path::new("/sys/fs/cgroup").join(name);
        std::fs::create_dir(&dir).expect("mkdir");
        let child = Command::new("sleep").arg("100").spawn().expect("run sleep");
        std::fs::write(dir.join("cgroup.procs"), child.id().to_string()).expect("move the process");
        Self(dir, child)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.1.kill().expect("kill");
        self.1.wait().expect("wait");
        std::fs::remove_dir(&self.0).expect("rmdir");
    }
}

fn processes_above_are_in_the_way_of_controllers() {
    let mut b = limited(&["true"], json!({"pids": {"limit": 5}}));
    let above = Occupied::new(&format!("above-{}", b.id));
    b.config["linux"]["cgroupsPath"] = json!(format!("/above-{0}/{0}", b.id));
    let done = b.run();
    done.fails_with("cannot set linux.resources.pids.limit");
    b.assert_no_trace();
    // Without a limit nothing stands in the way.
    b.config["linux"]["resources"] = json!({});
    b.run().ok();
    drop(above);
}

/// Runs with the driver systemd.
fn scope(b: &Bundle, verb: &[&str]) -> Done {
    let log = b.scratch("log");
    let mut args = vec!["--systemd-cgroup", "--log", log.to_str().expect("UTF-8")];
    args.extend(verb);
    args.push(&b.id);
    let status = b.write().command(args).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status();
    Done {
        code: status.expect("start rrun").code().unwrap_or(-1),
        out: String::new(),
        err: std::fs::read_to_string(log).unwrap_or_default(),
    }
}

fn shown(unit: &str, property: &str) -> String {
    let done: Done =
        Command::new("systemctl").args(["show", "--value", "-p", property, unit]).output().expect("run systemctl").into();
    done.ok().trim().to_owned()
}

fn systemd_makes_shows_and_removes_the_scope() {
    let mut b = limited(&["sleep", "100"], json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 7}}));
    b.config["linux"]["cgroupsPath"] = json!(format!("rrun-test.slice:box:{}", b.id));
    b.config["annotations"] = json!({"org.systemd.property.CollectMode": "'inactive-or-failed'"});
    let unit = format!("box-{}.scope", b.id);
    scope(&b, &["run", "--detach"]).ok();
    let pid = b.state()["pid"].as_i64().expect("pid");
    let path = format!("/rrun.slice/rrun-test.slice/{unit}\n");
    assert!(read(format!("/proc/{pid}/cgroup")).contains(&path));
    assert_eq!(shown(&unit, "TasksMax"), "7");
    assert_eq!(shown(&unit, "CollectMode"), "inactive-or-failed");
    // What systemd was told, it writes again; the container must not be left without its limits.
    assert!(Command::new("systemctl").arg("daemon-reload").status().expect("run systemctl").success());
    let dir = groups_named(&unit).into_iter().find(|d| d.join("pids.max").exists()).expect("the scope's group");
    assert_eq!(read(dir.join("pids.max")), "7\n");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert_eq!(shown(&unit, "LoadState"), "not-found");
    assert_eq!(groups_named(&unit), [] as [PathBuf; 0]);
    // A path of the other driver.
    b.config["linux"]["cgroupsPath"] = json!("/a/b");
    scope(&b, &["run"]).fails_with("expected cgroupsPath to be of format");
}

fn a_scope_in_use_is_left_alone() {
    let mut first = Bundle::new(&["sleep", "100"]);
    let path = json!(format!(":box:{}", first.id));
    first.config["linux"]["cgroupsPath"] = path.clone();
    scope(&first, &["run", "--detach"]).ok();
    let mut second = Bundle::new(&["true"]);
    second.config["linux"]["cgroupsPath"] = path;
    scope(&second, &["run"]).fails_with("container's cgroup is not empty");
    assert_eq!(first.state()["status"], "running");
}
