//! What happens at and beyond the memory limit.

use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    the_kill_is_told_by_status_and_counter,
    a_limit_below_the_need_of_a_start_is_named,
    the_first_kill_of_a_program_is_named,
    a_group_can_die_as_one if lacks_v2,
    without_the_killer_a_process_waits if lacks_v1,
    swap_is_what_exceeds_memory if lacks_swap,
    hierarchical_accounting_cannot_be_switched_off,
    reservation_swappiness_and_tcp_memory_are_set if lacks_v1,
    a_limit_of_kernel_memory_is_a_warning,
];

fn lacks_swap() -> Option<&'static str> {
    (read("/proc/swaps").lines().count() < 2).then_some("needs swap")
}

const MIB: u64 = 1 << 20;

/// Uses 64 MiB at once.
const EAT: &str = "dd if=/dev/zero of=/dev/null bs=64M count=1 2> /dev/null";

fn counter(b: &Bundle) -> String {
    let file = if is_v2() { "memory.events" } else { "memory.oom_control" };
    let text = read(group(b, "memory").join(file));
    text.lines().find_map(|l| l.strip_prefix("oom_kill ")).expect("a counter").to_owned()
}

fn the_kill_is_told_by_status_and_counter() {
    let script = format!("{EAT}; echo $? > /tmp/status; sleep 100");
    let b = limited(&["sh", "-c", &script], json!({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}}));
    b.run_detached();
    until("dd was killed", || std::fs::read_to_string(b.rootfs().join("tmp/status")).is_ok_and(|s| s == "137\n"));
    assert_eq!(counter(&b), "1");
    assert_eq!(b.state()["status"], "running", "only the largest process is killed");
}

/// With a log, so that the code can be read: what `run` wrote there, and its status.
fn logged(b: &Bundle) -> (serde_json::Value, i32) {
    let log = b.scratch("log.json");
    let done = b.write().rrun(["--log", log.to_str().expect("UTF-8"), "--log-format", "json", "run", &b.id]);
    let last = read(&log).lines().next_back().map(|line| serde_json::from_str(line).expect("JSON"));
    (last.unwrap_or_default(), done.code)
}

fn a_limit_below_the_need_of_a_start_is_named() {
    let b = limited(&["true"], json!({"memory": {"limit": 32 << 10}}));
    let (record, code) = logged(&b);
    assert_eq!((record["code"].as_str(), code), (Some("E-MEMLOW"), 1), "{record}");
    assert_eq!(record["config"], "linux.resources.memory.limit");
    let hint = record["hint"].as_str().expect("a hint");
    assert!(hint.contains("is below what a start itself needs") && hint.contains("raise memory.limit"), "{hint}");
    b.assert_no_trace();
}

fn the_first_kill_of_a_program_is_named() {
    let b = limited(&["sh", "-c", &format!("exec {EAT}")], json!({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}}));
    let (record, code) = logged(&b);
    assert_eq!((record["level"].as_str(), code), (Some("warning"), 137), "{record}");
    assert!(record["msg"].as_str().is_some_and(|m| m.contains("E-MEMLOW") && m.contains("33554432 bytes")), "{record}");
    b.assert_no_trace();
}

fn a_group_can_die_as_one() {
    let script = format!("sleep 100 & {EAT}; touch /tmp/survived; sleep 100");
    let resources = json!({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}, "unified": {"memory.oom.group": "1"}});
    let b = limited(&["sh", "-c", &script], resources);
    assert_eq!(b.run().code, 137);
    assert!(!b.rootfs().join("tmp/survived").exists());
}

fn without_the_killer_a_process_waits() {
    let limit = json!({"memory": {"limit": 32 * MIB, "swap": 32 * MIB, "disableOOMKiller": true}});
    // It waits where a page is missing to itself; to a system call, as dd makes, memory is refused.
    let b = limited(&["sh", "-c", "witness --mem 0x4000000; touch /tmp/over"], limit);
    b.run_detached();
    let control = group(&b, "memory").join("memory.oom_control");
    until("it waits for memory", || read(&control).contains("under_oom 1\n"));
    assert_eq!(counter(&b), "0");
    assert!(!b.rootfs().join("tmp/over").exists());
    // Even so it can be ended.
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

fn swap_is_what_exceeds_memory() {
    let code = |memory: u64, swap: i64| {
        limited(&["sh", "-c", EAT], json!({"memory": {"limit": memory * MIB, "swap": swap * MIB as i64}})).run().code
    };
    // dd needs 64 MiB and a little.
    assert_eq!(code(40, 40), 137, "memory and swap together are 40 MiB");
    assert_eq!(code(40, 48), 137, "memory and swap together are 48 MiB");
    assert_eq!(code(40, 96), 0, "memory and swap together are 96 MiB");
    assert_eq!(code(40, -1), 0, "swap is not limited");
}

fn hierarchical_accounting_cannot_be_switched_off() {
    limited(&["true"], json!({"memory": {"useHierarchy": true}})).run().ok();
    let b = limited(&["true"], json!({"memory": {"useHierarchy": false}}));
    b.run().fails_with("linux.resources.memory.useHierarchy");
    b.assert_no_trace();
}

fn reservation_swappiness_and_tcp_memory_are_set() {
    let b = limited(&["sleep", "100"], json!({"memory": {"reservation": 32 * MIB, "swappiness": 7, "kernelTCP": 16 * MIB}}));
    b.run_detached();
    let is = |file: &str, value: u64| assert_eq!(read(group(&b, "memory").join(file)).trim(), value.to_string(), "{file}");
    is("memory.soft_limit_in_bytes", 32 * MIB);
    is("memory.swappiness", 7);
    is("memory.kmem.tcp.limit_in_bytes", 16 * MIB);
}

/// The kernel has none any more, of any version of control groups.
fn a_limit_of_kernel_memory_is_a_warning() {
    let done = limited(&["echo", "ran"], json!({"memory": {"kernel": 16 * MIB}})).run();
    assert_eq!((done.code, done.out.as_str()), (0, "ran\n"), "{done:?}");
    assert!(done.err.contains("linux.resources.memory.kernel is ignored"), "{done:?}");
}
