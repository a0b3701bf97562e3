//! Scheduler, I/O priority, personality, memory policy.

use std::process::Command;

use serde_json::json;

use crate::support::*;

crate::tests![
    the_scheduler_is_as_given,
    real_time_policies_are_as_given if host_gives_no_real_time,
    a_deadline_is_as_given if host_gives_no_deadline,
    a_nice_value_is_as_given if needs_root,
    flags_of_the_scheduler_are_set,
    the_io_priority_is_as_given,
    the_personality_is_as_given,
    a_32_bit_machine_is_named if lacks_linux32,
    the_memory_policy_is_as_given if kernel_has_no_nodes,
    every_mode_of_memory_policy_is_set if kernel_has_no_nodes,
    the_memory_policy_holds_for_what_is_started if kernel_has_no_nodes,
    what_does_not_go_together_is_refused,
    exec_runs_on_the_cpus_it_is_given if host_has_one_cpu,
    an_impossible_affinity_is_refused,
    exec_has_its_own_scheduler,
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

/// v1 with real-time groups gives a new group no time of its own.
fn grant_real_time(b: &mut Bundle) {
    if std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
        b.config["linux"]["resources"]["cpu"] = json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 1000});
    }
}

/// Whether a container may have a policy: not without CAP_SYS_NICE.
fn chrt(args: &[&str]) -> bool {
    let mut b = Bundle::new(&["true"]);
    grant_real_time(&mut b);
    let (policy, values) = args.split_first().expect("a policy");
    b.config["process"]["scheduler"] = serde_json::from_str(values.concat().as_str()).expect("JSON");
    b.config["process"]["scheduler"]["policy"] = json!(policy);
    b.run().code == 0
}

fn host_gives_no_real_time() -> Option<&'static str> {
    (!chrt(&["SCHED_FIFO", r#"{"priority": 1}"#])).then_some("a container gets no real-time policy")
}

const DEADLINE: &str = r#"{"runtime": 1000000, "deadline": 20000000, "period": 30000000}"#;

fn host_gives_no_deadline() -> Option<&'static str> {
    (!chrt(&["SCHED_DEADLINE", DEADLINE])).then_some("needs SCHED_DEADLINE")
}

fn real_time_policies_are_as_given() {
    let mut b = Bundle::new(&["witness"]);
    grant_real_time(&mut b);
    for (policy, priority) in [("SCHED_FIFO", 3), ("SCHED_RR", 99)] {
        b.config["process"]["scheduler"] = json!({"policy": policy, "priority": priority});
        let seen = b.witness()["scheduler"].clone();
        assert_eq!((&seen["policy"], &seen["priority"]), (&json!(policy), &json!(priority)));
    }
}

fn a_deadline_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["scheduler"] = serde_json::from_str(DEADLINE).expect("JSON");
    b.config["process"]["scheduler"]["policy"] = json!("SCHED_DEADLINE");
    b.config["process"]["scheduler"]["flags"] = json!(["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"]);
    let seen = b.witness()["scheduler"].clone();
    let expected = json!({
        "policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000, "period": 30_000_000, "flags": 6,
        "nice": seen["nice"], "priority": 0,
    });
    assert_eq!(seen, expected);
}

fn a_nice_value_is_as_given() {
    let mut b = Bundle::new(&["witness"]);
    for nice in [19, 0, -20] {
        b.config["process"]["scheduler"] = json!({"policy": "SCHED_OTHER", "nice": nice});
        let seen = b.witness()["scheduler"].clone();
        assert_eq!((&seen["policy"], &seen["nice"]), (&json!("SCHED_OTHER"), &json!(nice)));
    }
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_ISO"});
    b.run().fails_with("error setting scheduler SCHED_ISO: invalid argument");
}

fn flags_of_the_scheduler_are_set() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    let seen = b.witness()["scheduler"].clone();
    assert_eq!((&seen["policy"], &seen["nice"], &seen["flags"]), (&json!("SCHED_BATCH"), &json!(5), &json!(1)));
    // What is there is kept.
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_KEEP_POLICY"]});
    assert_eq!(b.witness()["scheduler"]["policy"], "SCHED_OTHER");
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FOLK"]});
    b.run().fails_with("did you mean SCHED_FLAG_RESET_ON_FORK?");
}

/// What the kernel calls its machine to a program of 32 bits.
fn linux32() -> String {
    Command::new("setarch").args(["linux32", "uname", "-m"]).output().map(Done::from).map_or_else(|_| String::new(), |d| d.out)
}

fn lacks_linux32() -> Option<&'static str> {
    let own = Command::new("uname").arg("-m").output().map(Done::from).map_or_else(|_| String::new(), |d| d.out);
    (["", own.as_str()].contains(&linux32().as_str())).then_some("needs a kernel of two word sizes")
}

fn a_32_bit_machine_is_named() {
    let mut b = Bundle::new(&["uname", "-m"]);
    b.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    let said = b.run().ok();
    assert_eq!(said, linux32());
    b.config["process"]["args"] = json!(["sleep", "100"]);
    b.run_detached();
    assert_eq!(b.rrun(["exec", &b.id, "uname", "-m"]).ok(), said);
}

fn every_mode_of_memory_policy_is_set() {
    let mut b = Bundle::new(&["witness"]);
    for (mode, nodes, flags, seen, of) in [
        ("MPOL_DEFAULT", "", json!([]), 0, json!([])),
        ("MPOL_PREFERRED", "0", json!([]), 1, json!([0])),
        ("MPOL_PREFERRED", "0", json!(["MPOL_F_RELATIVE_NODES"]), 1 | 1 << 14, json!([0])),
        ("MPOL_BIND", "0", json!(["MPOL_F_NUMA_BALANCING"]), 2 | 1 << 13, json!([0])),
        ("MPOL_INTERLEAVE", "0", json!([]), 3, json!([0])),
        ("MPOL_LOCAL", "", json!([]), 4, json!([])),
        ("MPOL_PREFERRED_MANY", "0", json!([]), 5, json!([0])),
        ("MPOL_WEIGHTED_INTERLEAVE", "0", json!([]), 6, json!([0])),
    ] {
        b.config["linux"]["memoryPolicy"] = json!({"mode": mode, "nodes": nodes, "flags": flags});
        b.config["process"]["args"] = json!(["/bin/witness", "memory_policy"]);
        let done = b.run();
        // The kernel may be older than the mode.
        if done.err.contains(&format!("failed to set memory policy {mode}: invalid argument")) && seen > 4 {
            continue;
        }
        let answer: serde_json::Value = serde_json::from_str(&done.ok()).expect("JSON");
        assert_eq!(answer["memory_policy"], json!({"mode": seen, "nodes": of}), "{mode}");
    }
}

fn the_memory_policy_holds_for_what_is_started() {
    let mut b =
        Bundle::new(&["sh", "-c", "witness memory_policy; sed -n 's/^[0-9a-f]* //;/^bind/p' /proc/self/numa_maps | head -n1"]);
    b.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
    let out = b.run().ok();
    assert!(out.contains(r#"{"memory_policy":{"mode":2,"nodes":[0]}}"#) && out.contains("bind:0"), "{out}");
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
    // Without a final one the kernel decides: the cpuset of the group, or what the process was born with.
    let own = affinity(json!({"initial": "0"}));
    assert!(own == json!([0]) || own.as_array().is_some_and(|cpus| cpus.len() > 1), "{own}");
}

/// A process file for `exec`, the config's own with one more key.
fn process_file(b: &Bundle, key: &str, value: serde_json::Value) -> String {
    let mut process = b.config["process"].clone();
    process["args"] = json!(["witness"]);
    process[key] = value;
    let file = b.scratch("process.json");
    std::fs::write(&file, process.to_string()).expect("write");
    file.to_str().expect("UTF-8").to_owned()
}

fn an_impossible_affinity_is_refused() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    for (list, text) in
        [("60000", "error setting CPU affinity to 60000: invalid argument"), ("1-", "expected a list of CPUs such as")]
    {
        for when in ["initial", "final"] {
            let file = process_file(&b, "execCPUAffinity", json!({when: list}));
            let done = b.rrun(["exec", "--process", &file, &b.id]);
            assert_eq!(done.code, 255, "{done:?}");
            assert!(done.err.contains(text), "{done:?}");
        }
    }
}

fn exec_has_its_own_scheduler() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["process"]["scheduler"] = json!({"policy": "SCHED_IDLE"});
    b.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    b.run_detached();
    let file = process_file(&b, "scheduler", json!({"policy": "SCHED_BATCH", "nice": 3}));
    let seen: serde_json::Value = serde_json::from_str(&b.rrun(["exec", "--process", &file, &b.id]).ok()).expect("JSON");
    assert_eq!((&seen["scheduler"]["policy"], &seen["scheduler"]["nice"]), (&json!("SCHED_BATCH"), &json!(3)));
    assert_eq!(seen["ioprio"]["class"], "IOPRIO_CLASS_IDLE");
    let seen: serde_json::Value = serde_json::from_str(&b.rrun(["exec", &b.id, "witness"]).ok()).expect("JSON");
    assert_eq!(seen["scheduler"]["policy"], "SCHED_IDLE");
}
