//! What becomes which number of the kernel, and what is refused.

use super::*;

fn decide(process: serde_json::Value, linux: serde_json::Value) -> Result<SchedulingPlan> {
    let mut full = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/"});
    full.as_object_mut().expect("an object").extend(process.as_object().expect("an object").clone());
    let spec = serde_json::json!({"ociVersion": "1.2.0", "process": full, "linux": linux});
    let spec: oci_spec::runtime::Spec = serde_json::from_value(spec).expect("a spec");
    plan(spec.process().as_ref().expect("a process"), spec.linux().as_ref())
}

fn refusal(process: serde_json::Value, linux: serde_json::Value) -> String {
    decide(process, linux).expect_err("refused").to_string()
}

#[test]
fn values_that_belong_to_another_policy_are_refused() {
    let with = |key: &str, value: i64, policy: &str| {
        refusal(serde_json::json!({"scheduler": {"policy": policy, key: value}}), serde_json::json!({}))
    };
    assert_eq!(with("nice", 20, "SCHED_OTHER"), "invalid scheduler.nice: 20");
    assert!(with("nice", 1, "SCHED_FIFO").starts_with("scheduler.nice can only"));
    assert_eq!(with("priority", 1, "SCHED_OTHER"), "scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    assert_eq!(with("priority", 100, "SCHED_RR"), "invalid scheduler.priority: 100");
    assert_eq!(
        with("runtime", 1, "SCHED_BATCH"),
        "scheduler runtime/deadline/period can only be specified for SchedDeadline policy"
    );
}

#[test]
fn the_scheduler_becomes_kernel_numbers() {
    let wanted = serde_json::json!({"scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3}});
    let plan = decide(wanted, serde_json::json!({})).expect("a plan");
    let (_, attributes) = plan.scheduler.expect("a scheduler");
    assert_eq!((attributes.policy, attributes.runtime, attributes.deadline, attributes.period), (6, 1, 2, 3));
}

#[test]
fn io_priority_has_eight_levels() {
    let wanted = |level: i64| serde_json::json!({"ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": level}});
    assert_eq!(refusal(wanted(8), serde_json::json!({})), "invalid ioPriority.Priority: 8");
    let plan = decide(wanted(7), serde_json::json!({})).expect("a plan");
    assert_eq!(plan.io_priority.expect("a priority").2, 3 << 13 | 7);
}

#[test]
fn personality_flags_are_refused() {
    let linux = serde_json::json!({"personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}});
    assert!(refusal(serde_json::json!({}), linux).starts_with("personality flags are not supported"));
}

#[test]
fn memory_policies_have_their_nodes() {
    let with = |value: serde_json::Value| decide(serde_json::json!({}), serde_json::json!({"memoryPolicy": value}));
    let refusal = |value| with(value).expect_err("refused").to_string();
    for mode in ["MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY"] {
        assert_eq!(refusal(serde_json::json!({"mode": mode})), format!("memory policy {mode} requires at least one node"));
    }
    for mode in ["MPOL_DEFAULT", "MPOL_LOCAL"] {
        assert_eq!(refusal(serde_json::json!({"mode": mode, "nodes": "0"})), format!("memory policy {mode} takes no nodes"));
    }
    let both = serde_json::json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]});
    assert!(refusal(both).contains("exclude each other"));
    assert!(
        refusal(serde_json::json!({"mode": "MPOL_PREFERRED", "flags": ["MPOL_F_STATIC_NODES"]})).contains("no flags about nodes")
    );
    let plan = with(serde_json::json!({"mode": "MPOL_INTERLEAVE", "nodes": "0-1,64", "flags": ["MPOL_F_STATIC_NODES"]}))
        .expect("a plan");
    let memory = plan.memory.expect("a policy");
    assert_eq!((memory.mode, memory.nodes), (3 | 1 << 15, vec![3, 1]));
    assert!(with(serde_json::json!({"mode": "MPOL_PREFERRED"})).is_ok());
}
