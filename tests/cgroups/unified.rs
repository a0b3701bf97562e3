//! What only cgroup v2 has, or has otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    what_v1_calls_otherwise_is_converted if lacks_v2,
    what_unified_names_is_a_limit if lacks_v2,
    what_v2_lacks_is_an_error if lacks_v2,
    processes_above_are_in_the_way_of_controllers if || needs_root().or_else(lacks_v2),
];

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

/// Also where a field says otherwise: unified is written last.
fn what_unified_names_is_a_limit() {
    let script = "sleep 100 & sleep 100 & sleep 100 & echo no refusal";
    let done = limited(&["sh", "-c", script], json!({"pids": {"limit": 100}, "unified": {"pids.max": "3"}})).run();
    assert!(done.code != 0 && done.err.contains("can't fork"), "{done:?}");
}

fn what_v2_lacks_is_an_error() {
    for (resources, field) in [
        (json!({"memory": {"disableOOMKiller": true}}), "memory.disableOOMKiller"),
        (json!({"cpu": {"realtimeRuntime": 1000}}), "cpu.realtimeRuntime"),
        (json!({"cpu": {"realtimePeriod": 1000}}), "cpu.realtimePeriod"),
        (json!({"memory": {"swappiness": 7}}), "memory.swappiness"),
        (json!({"memory": {"kernelTCP": 1 << 20}}), "memory.kernelTCP"),
        (json!({"network": {"classID": 5}}), "network.classID"),
        (json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}}), "network.priorities"),
        (json!({"blockIO": {"leafWeight": 100}}), "blockIO.leafWeight"),
        (
            json!({"blockIO": {"weightDevice": [{"major": 7, "minor": 0, "leafWeight": 100}]}}),
            "blockIO.weightDevice[0].leafWeight",
        ),
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
