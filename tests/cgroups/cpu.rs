//! How processor time is divided. Nothing here measures time: siblings on one CPU are compared by what the kernel says they used.

use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    shares_divide_a_cpu if lacks_cpuset,
    an_idle_group_yields if lacks_idle,
    a_burst_spends_what_was_saved if lacks_burst,
    memory_comes_from_the_nodes_allowed if lacks_cpuset,
    realtime_needs_time_of_its_own if lacks_realtime,
    cpus_that_the_group_above_lacks_are_an_error if || needs_root().or_else(lacks_two_cpus_on_v2),
    a_partition_of_cpus_that_cannot_be_is_an_error if || needs_root().or_else(lacks_two_cpus_on_v2),
];

/// Whether the controller is there; on v1 also whether its groups have `file` (empty: any).
fn has(controller: &str, file: &str) -> bool {
    if is_v2() {
        return read("/sys/fs/cgroup/cgroup.controllers").split_whitespace().any(|c| c == controller);
    }
    let probe = Path::new("/sys/fs/cgroup").join(controller).join(format!("probe-{}-{file}", std::process::id()));
    if std::fs::create_dir(&probe).is_err() {
        return false;
    }
    let there = probe.join(file).exists();
    std::fs::remove_dir(&probe).expect("rmdir");
    there
}

pub fn lacks_cpuset() -> Option<&'static str> {
    (!has("cpuset", "")).then_some("needs the cgroup controller cpuset")
}

fn lacks_idle() -> Option<&'static str> {
    lacks_cpuset().or_else(|| (!is_v2() && !has("cpu", "cpu.idle")).then_some("needs cpu.idle"))
}

fn lacks_burst() -> Option<&'static str> {
    (!is_v2() && !has("cpu", "cpu.cfs_burst_us")).then_some("needs cpu.cfs_burst_us")
}

fn lacks_realtime() -> Option<&'static str> {
    (is_v2() || !has("cpu", "cpu.rt_runtime_us")).then_some("needs groups with realtime (v1, CONFIG_RT_GROUP_SCHED)")
}

fn lacks_two_cpus_on_v2() -> Option<&'static str> {
    if !is_v2() {
        return Some("needs pure cgroup v2");
    }
    let one = std::thread::available_parallelism().is_ok_and(|n| n.get() < 2);
    lacks_cpuset().or(one.then_some("needs two CPUs"))
}

/// What the group `dir` has used, in nanoseconds.
fn used(dir: &Path) -> u64 {
    if !is_v2() {
        return read(dir.join("cpuacct.usage")).trim().parse().expect("a number");
    }
    let stat = read(dir.join("cpu.stat"));
    stat.lines().find_map(|l| l.strip_prefix("usage_usec ")).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 1000
}

/// Of two that are always busy on the same CPU, the first gets more than `factor` times what the other gets: once both had
/// half a second between them, or later, as the kernel's idea of a group's load takes its time on a busy machine.
fn outdoes(one: serde_json::Value, other: serde_json::Value, factor: u64) {
    let busy = |cpu: serde_json::Value| {
        let mut cpu = cpu;
        cpu["cpus"] = json!("0");
        let b = limited(&["sh", "-c", "while :; do :; done"], json!({ "cpu": cpu }));
        b.run_detached();
        b
    };
    let (a, b) = (busy(one), busy(other));
    let groups = (group(&a, "cpuacct"), group(&b, "cpuacct"));
    let start = (used(&groups.0), used(&groups.1));
    let mut now = (0, 0);
    until("they used the CPU", || {
        now = (used(&groups.0) - start.0, used(&groups.1) - start.1);
        let total = now.0 + now.1;
        total > 500_000_000 && now.0 > now.1 * factor || total > 4_000_000_000
    });
    // In this order: beside the first, the second would hardly get the time to die.
    drop(a);
    drop(b);
    assert!(now.0 > now.1 * factor, "{} against {}", now.0, now.1);
}

fn shares_divide_a_cpu() {
    // About 20 to 1 on v1, 14 to 1 as weights.
    outdoes(json!({"shares": 10240}), json!({"shares": 512}), 4);
}

fn an_idle_group_yields() {
    outdoes(json!({"shares": 1024}), json!({"idle": 1}), 8);
}

fn a_burst_spends_what_was_saved() {
    // Sleeps, then works longer than its quota at once.
    let script = "while :; do sleep 0.3; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; done";
    let b = limited(&["sh", "-c", script], json!({"cpu": {"quota": 10000, "period": 100000, "burst": 10000}}));
    b.run_detached();
    let stat = group(&b, "cpu").join("cpu.stat");
    until("it burst", || read(&stat).lines().any(|l| l.strip_prefix("nr_bursts ").is_some_and(|n| n != "0")));
}

fn memory_comes_from_the_nodes_allowed() {
    let args = ["grep", "Mems_allowed_list", "/proc/self/status"];
    assert_eq!(limited(&args, json!({"cpu": {"mems": "0"}})).run().ok(), "Mems_allowed_list:\t0\n");
    let b = limited(&args, json!({"cpu": {"mems": "63"}}));
    b.run().fails_with("linux.resources.cpu.mems");
    b.assert_no_trace();
}

fn realtime_needs_time_of_its_own() {
    let with = |cpu: serde_json::Value| {
        let mut b = limited(&["witness", "scheduler"], json!({ "cpu": cpu }));
        b.config["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 1});
        b.run()
    };
    with(json!({})).fails_with("operation not permitted");
    let done = with(json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 10_000}));
    assert!(done.out.contains("SCHED_FIFO"), "{done:?}");
}

/// A group of one's own above those of containers, with the controller cpuset.
struct Above(PathBuf);

impl Above {
    fn new(name: &str, cpus: &str) -> Self {
        std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset").expect("share cpuset out");
        let dir = Path::new("/sys/fs/cgroup").join(name);
        std::fs::create_dir(&dir).expect("mkdir");
        std::fs::write(dir.join("cpuset.cpus"), cpus).expect("write cpuset.cpus");
        Self(dir)
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        std::fs::remove_dir(&self.0).expect("rmdir");
    }
}

fn cpus_that_the_group_above_lacks_are_an_error() {
    let mut b = limited(&["witness", "affinity"], json!({"cpu": {"cpus": "1"}}));
    let above = Above::new(&format!("above-{}", b.id), "0");
    b.config["linux"]["cgroupsPath"] = json!(format!("/above-{0}/{0}", b.id));
    let done = b.run();
    done.fails_with("cannot set linux.resources.cpu.cpus: of \"1\" nothing is to be had, but 0");
    b.assert_no_trace();
    b.config["linux"]["resources"]["cpu"]["cpus"] = json!("0-1");
    assert!(b.run().ok().contains("\"affinity\":[0]"), "less than asked is inside of what was asked");
    drop(above);
}

fn a_partition_of_cpus_that_cannot_be_is_an_error() {
    let mut b = limited(&["true"], json!({"cpu": {"cpus": "1"}, "unified": {"cpuset.cpus.partition": "root"}}));
    let above = Above::new(&format!("above-{}", b.id), "0-1");
    b.config["linux"]["cgroupsPath"] = json!(format!("/above-{0}/{0}", b.id));
    let done = b.run();
    done.fails_with("cpuset.cpus.partition");
    done.fails_with("invalid");
    b.assert_no_trace();
    drop(above);
}
