//! Scheduler, I/O priority, personality, memory policy.

use serde_json::json;

use crate::support::*;

crate::tests![
    the_scheduler_is_as_given,
    the_io_priority_is_as_given,
    the_personality_is_as_given,
    the_memory_policy_is_as_given if kernel_has_no_nodes,
    what_does_not_go_together_is_refused,
    exec_runs_on_the_cpus_it_is_given if host_has_one_cpu,
];

fn kernel_has_no_nodes() -> Option<&'static str> {
    (!std::path::Path::new("/sys/devices/system/node").exists()).then_some("needs a kernel with memory nodes")
}

fn the_scheduler_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
    let w = b.witness();
    assert_eq!((&w["scheduler"]["policy"], &w["scheduler"]["nice"]), (&json!("SCHED_BATCH"), &json!(7)));
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"});
    assert_eq!(b.witness()["scheduler"]["policy"], "SCHED_IDLE");
}

fn the_io_priority_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    assert_eq!(b.witness()["ioprio"], json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    b.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    assert_eq!(b.witness()["ioprio"]["class"], "IOPRIO_CLASS_IDLE");
}

fn the_personality_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    b.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    assert_eq!(b.witness()["personality"], 8);
    b.config["linux"]["personality"] = json!({"domain": "LINUX"});
    assert_eq!(b.witness()["personality"], 0);
    b.config["linux"]["personality"] = json!({"domain": "LINUX", "flags": ["x"]});
    b.run().fails_with("personality flags are not supported");
}

fn the_memory_policy_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    b.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
    assert_eq!(b.witness()["memory_policy"], json!({"mode": 2, "nodes": [0]}));
    b.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    assert_eq!(b.witness()["memory_policy"], json!({"mode": 3 | 1 << 15, "nodes": [0]}));
    b.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "1000"});
    b.run().fails_with("failed to set memory policy MPOL_BIND: invalid argument");
}

fn what_does_not_go_together_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "priority": 5});
    b.run().fails_with("scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER"});
    b.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 8});
    b.run().fails_with("invalid ioPriority.Priority: 8");
}

fn host_has_one_cpu() -> Option<&'static str> {
    (std::thread::available_parallelism().map_or(1, |n| n.get()) < 2).then_some("needs two CPUs")
}

fn exec_runs_on_the_cpus_it_is_given() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let affinity = |wanted: serde_json::Value| {
        let mut process = b.config["process"].clone();
        process["args"] = json!(["witness", "affinity"]);
        process["execCPUAffinity"] = wanted;
        let file = b.scratch("process.json");
        std::fs::write(&file, process.to_string()).expect("write");
        let done = b.rrun(["exec", "--process", file.to_str().expect("UTF-8"), &b.id]);
        serde_json::from_str::<serde_json::Value>(&done.ok()).expect("JSON")["affinity"].clone()
    };
    assert_eq!(affinity(json!({"initial": "0", "final": "1"})), json!([1]));
    assert_eq!(affinity(json!({"final": "0"})), json!([0]));
}
