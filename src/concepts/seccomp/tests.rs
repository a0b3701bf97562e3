//! Tests of `plan`, by running what it compiled.
use libc::{
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG, SECCOMP_RET_TRACE,
};
use libc::{SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

use super::*;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;
const ENOSYS: u32 = SECCOMP_RET_ERRNO | 38;

fn read(profile: Value) -> LinuxSeccomp {
    serde_json::from_value(profile).expect("a profile")
}

fn plan_of(profile: Value) -> SeccompPlan {
    plan(&read(profile), &mut Warnings::default()).expect("a plan")
}

fn error_of(profile: Value) -> (String, String) {
    let error = plan(&read(profile), &mut Warnings::default()).expect_err("an error");
    (error.to_string(), error.config_text().unwrap_or_default().to_owned())
}

#[track_caller]
fn says(plan: &SeccompPlan, arch: u32, nr: u32, args: [u64; 6], verdict: u32) {
    assert_eq!(simulate(plan, arch, nr, args), Verdict(verdict), "{arch:#x} {nr:#x} {args:x?}");
}

fn rule(name: &str, action: &str, args: Value) -> Value {
    json!({"names": [name], "action": format!("SCMP_ACT_{action}"), "args": args})
}

fn deny_unless(rules: Vec<Value>) -> SeccompPlan {
    plan_of(json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules}))
}

#[test]
fn every_action_has_its_value() {
    let actions = [
        ("KILL", SECCOMP_RET_KILL_THREAD),
        ("KILL_THREAD", SECCOMP_RET_KILL_THREAD),
        ("KILL_PROCESS", SECCOMP_RET_KILL_PROCESS),
        ("TRAP", SECCOMP_RET_TRAP),
        ("ERRNO", SECCOMP_RET_ERRNO | 1),
        ("TRACE", SECCOMP_RET_TRACE | 1),
        ("LOG", SECCOMP_RET_LOG),
        ("NOTIFY", SECCOMP_RET_USER_NOTIF),
    ];
    for (action, raw) in actions {
        let plan = plan_of(json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent",
            "syscalls": [{"names": ["mkdir"], "action": format!("SCMP_ACT_{action}")}],
        }));
        says(&plan, X86_64, 83, [0; 6], raw);
        says(&plan, X86_64, 84, [0; 6], SECCOMP_RET_ALLOW);
        assert_eq!(plan.listener().is_some(), action == "NOTIFY");
    }
}

#[test]
fn errno_values_are_honoured_or_refused() {
    let with = |action: &str, errno: u32| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": action, "errnoRet": errno}]});
    says(&plan_of(with("SCMP_ACT_ERRNO", 22)), X86_64, 83, [0; 6], SECCOMP_RET_ERRNO | 22);
    says(&plan_of(with("SCMP_ACT_TRACE", 7)), X86_64, 83, [0; 6], SECCOMP_RET_TRACE | 7);
    let refused =
        ("errnoRet has no meaning for the seccomp action SCMP_ACT_KILL".into(), "linux.seccomp.syscalls[0].errnoRet".into());
    assert_eq!(error_of(with("SCMP_ACT_KILL", 22)), refused);
    assert_eq!(error_of(with("SCMP_ACT_ERRNO", 4096)).0, "errnoRet 4096 is greater than 4095");
    let default = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13});
    says(&plan_of(default), X86_64, 83, [0; 6], SECCOMP_RET_ERRNO | 13);
    let default = json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 13});
    assert_eq!(error_of(default).1, "linux.seccomp.defaultErrnoRet");
}

#[test]
fn operators_compare_64_bits() {
    let value: u64 = 0x0000_0002_0000_0005;
    let around = [0, 5, 4, 6, value - 1, value, value + 1, value ^ (1 << 32), value ^ (1 << 33), u64::MAX, 1 << 63];
    type Holds = fn(u64, u64) -> bool;
    let operators: [(&str, Holds); 6] = [
        ("EQ", |a, v| a == v),
        ("NE", |a, v| a != v),
        ("LT", |a, v| a < v),
        ("LE", |a, v| a <= v),
        ("GT", |a, v| a > v),
        ("GE", |a, v| a >= v),
    ];
    for (operator, holds) in operators {
        let plan = deny_unless(vec![rule(
            "mkdir",
            "ALLOW",
            json!([{"index": 3, "op": format!("SCMP_CMP_{operator}"), "value": value}]),
        )]);
        for arg in around {
            let verdict = if holds(arg, value) { SECCOMP_RET_ALLOW } else { SECCOMP_RET_ERRNO | 1 };
            says(&plan, X86_64, 83, [0, 0, 0, arg, 0, 0], verdict);
        }
    }
    let masked = json!([{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0xf_0000_00f0_u64, "valueTwo": 0x3_0000_0050_u64}]);
    let plan = deny_unless(vec![rule("mkdir", "ALLOW", masked)]);
    says(&plan, X86_64, 83, [0xffff_fff3_0000_0f5f, 0, 0, 0, 0, 0], SECCOMP_RET_ALLOW);
    says(&plan, X86_64, 83, [0xffff_fff2_0000_0f5f, 0, 0, 0, 0, 0], SECCOMP_RET_ERRNO | 1);
    says(&plan, X86_64, 83, [0xffff_fff3_0000_0f6f, 0, 0, 0, 0, 0], SECCOMP_RET_ERRNO | 1);
}

#[test]
fn conditions_on_one_argument_are_alternatives_others_must_all_hold() {
    let equal = |index: u8, value: u64| json!({"index": index, "op": "SCMP_CMP_EQ", "value": value});
    let both = deny_unless(vec![rule("mkdir", "ALLOW", json!([equal(0, 1), equal(1, 2)]))]);
    says(&both, X86_64, 83, [1, 2, 0, 0, 0, 0], SECCOMP_RET_ALLOW);
    says(&both, X86_64, 83, [1, 3, 0, 0, 0, 0], SECCOMP_RET_ERRNO | 1);
    let either = deny_unless(vec![rule("mkdir", "ALLOW", json!([equal(0, 1), equal(0, 2), equal(1, 9)]))]);
    for args in [[1, 0], [2, 0], [3, 9]] {
        says(&either, X86_64, 83, [args[0], args[1], 0, 0, 0, 0], SECCOMP_RET_ALLOW);
    }
    says(&either, X86_64, 83, [3, 3, 0, 0, 0, 0], SECCOMP_RET_ERRNO | 1);
}

#[test]
fn an_unconditional_rule_beats_the_others_and_contradictions_are_refused() {
    let one = json!([{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}]);
    let two = json!([{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 1}]);
    for rules in [
        [rule("mkdir", "KILL", one.clone()), rule("mkdir", "ALLOW", json!([]))],
        [rule("mkdir", "ALLOW", json!([])), rule("mkdir", "KILL", one.clone())],
    ] {
        says(&deny_unless(rules.to_vec()), X86_64, 83, [1, 0, 0, 0, 0, 0], SECCOMP_RET_ALLOW);
    }
    let error = error_of(
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule("mkdir", "KILL", two), rule("mkdir", "ALLOW", one)]}),
    );
    assert_eq!(error, ("two seccomp rules for mkdir contradict each other".into(), "linux.seccomp.syscalls[1]".into()));
    let error = error_of(
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule("mkdir", "ALLOW", json!([{"index": 6, "op": "SCMP_CMP_EQ", "value": 1}]))]}),
    );
    assert_eq!(error.1, "linux.seccomp.syscalls[0].args[0].index");
}

#[test]
fn each_architecture_has_its_own_numbers() {
    let plan = deny_unless(vec![rule("mkdir", "ALLOW", json!([])), rule("execveat", "ALLOW", json!([]))]);
    says(&plan, X86_64, 83, [0; 6], SECCOMP_RET_ALLOW);
    says(&plan, I386, 83, [0; 6], SECCOMP_RET_ERRNO | 1);
    says(&plan, I386, 39, [0; 6], SECCOMP_RET_ALLOW);
    says(&plan, X86_64, X32 + 83, [0; 6], SECCOMP_RET_ALLOW);
    says(&plan, X86_64, X32 + 84, [0; 6], SECCOMP_RET_ERRNO | 1);
    says(&plan, 0xc000_00b7, 83, [0; 6], SECCOMP_RET_KILL_THREAD);
    let native = plan_of(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}));
    says(&native, X86_64, 83, [0; 6], SECCOMP_RET_ALLOW);
    says(&native, X86_64, X32 + 83, [0; 6], SECCOMP_RET_KILL_THREAD);
    says(&native, X86_64, u32::MAX, [0; 6], SECCOMP_RET_ALLOW);
    says(&native, I386, 39, [0; 6], SECCOMP_RET_KILL_THREAD);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist_for_it() {
    let plan = deny_unless(vec![rule("clone", "ALLOW", json!([])), rule("execveat", "ERRNO", json!([]))]);
    says(&plan, X86_64, 321, [0; 6], SECCOMP_RET_ERRNO | 1);
    says(&plan, X86_64, 322, [0; 6], SECCOMP_RET_ERRNO | 1);
    says(&plan, X86_64, 323, [0; 6], ENOSYS);
    says(&plan, X86_64, 435, [0; 6], ENOSYS);
    says(&plan, I386, 359, [0; 6], ENOSYS);
    // Counted apart: x32's execveat has a higher number.
    says(&plan, X86_64, X32 + 545, [0; 6], SECCOMP_RET_ERRNO | 1);
    says(&plan, X86_64, X32 + 546, [0; 6], ENOSYS);
    says(&plan, X86_64, u32::MAX, [0; 6], SECCOMP_RET_ERRNO | 1);
    for open in ["ALLOW", "LOG", "TRACE"] {
        let plan = plan_of(json!({"defaultAction": format!("SCMP_ACT_{open}"), "syscalls": [rule("mkdir", "KILL", json!([]))]}));
        assert_ne!(simulate(&plan, X86_64, 435, [0; 6]), Verdict(ENOSYS), "{open}");
    }
}

#[test]
fn sockets_of_i386_have_a_second_door() {
    let plan = deny_unless(vec![rule("connect", "ALLOW", json!([])), rule("shmget", "ALLOW", json!([]))]);
    says(&plan, I386, 362, [0; 6], SECCOMP_RET_ALLOW);
    says(&plan, I386, 102, [3, 0, 0, 0, 0, 0], SECCOMP_RET_ALLOW);
    says(&plan, I386, 102, [1, 0, 0, 0, 0, 0], SECCOMP_RET_ERRNO | 1);
    says(&plan, I386, 117, [23, 0, 0, 0, 0, 0], SECCOMP_RET_ALLOW);
}

#[test]
fn unknown_names_are_said() {
    let mut warnings = Warnings::default();
    let rules = json!([
        {"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ALLOW"}, {"names": ["mkdri"], "action": "SCMP_ACT_KILL"},
        {"names": ["set_tls"], "action": "SCMP_ACT_KILL"},
    ]);
    let plan = plan(&read(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules})), &mut warnings).expect("a plan");
    assert_eq!(plan.debug_lines(), ["unknown seccomp syscall \"no_such_call\" ignored", "seccomp filter flags: 4"]);
    let text = "linux.seccomp.syscalls[1]: unknown system call \"mkdri\": its rule has NO effect - did you mean mkdir?";
    assert_eq!(warnings.lines(), [text]);
}

#[test]
fn a_clone3_that_cannot_be_done_without_is_said() {
    let lines = |rules: Vec<Value>| deny_unless(rules).debug_lines().len();
    let mut hidden = rule("clone3", "ERRNO", json!([]));
    hidden["errnoRet"] = json!(38);
    let newer = || rule("openat2", "ALLOW", json!([]));
    let allow = |name: &str| rule(name, "ALLOW", json!([]));
    assert_eq!(lines(vec![newer(), allow("clone")]), 2);
    assert_eq!(lines(vec![newer(), allow("clone"), hidden]), 1);
    assert_eq!(lines(vec![newer()]), 1, "no threads at all");
    // A profile that is older hides it by itself.
    assert_eq!(lines(vec![allow("clone")]), 1);
}

#[test]
fn flags_are_those_asked_for() {
    let flags = |flags: Value, action: &str| {
        let rules = json!([{"names": ["mkdir"], "action": action}]);
        plan_of(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "flags": flags, "syscalls": rules})).flags
    };
    assert_eq!(flags(Value::Null, "SCMP_ACT_KILL"), 4);
    assert_eq!(flags(json!([]), "SCMP_ACT_KILL"), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]), "SCMP_ACT_KILL"), 6);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_TSYNC"]), "SCMP_ACT_KILL"), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), "SCMP_ACT_KILL"), 0);
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]), "SCMP_ACT_NOTIFY"), 32 | 8);
}

#[test]
fn large_profiles_jump_far_or_are_refused() {
    // Every second call denied, each with conditions of its own: nothing collapses, so that targets lie far away.
    let names: Vec<&str> = architecture::call_names().collect();
    let rules = |each: u64| -> Vec<Value> {
        let conditions = |at: usize| {
            json!((0..each).map(|n| json!({"index": 1, "op": "SCMP_CMP_EQ", "value": at as u64 * 64 + n})).collect::<Vec<_>>())
        };
        names.iter().enumerate().filter(|(at, _)| at % 2 == 0).map(|(at, name)| rule(name, "ALLOW", conditions(at))).collect()
    };
    let plan = deny_unless(rules(2));
    assert!(plan.filter.len() > 1000, "{}", plan.filter.len());
    let mkdir = names.iter().position(|n| *n == "mknod").expect("known") as u64;
    let verdict = if mkdir.is_multiple_of(2) { SECCOMP_RET_ALLOW } else { SECCOMP_RET_ERRNO | 1 };
    says(&plan, X86_64, 133, [0, mkdir * 64 + 1, 0, 0, 0, 0], verdict);
    says(&plan, X86_64, 133, [0, mkdir * 64 + 2, 0, 0, 0, 0], SECCOMP_RET_ERRNO | 1);
    let error = error_of(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules(30)}));
    assert_eq!(error.0, "the seccomp profile needs more than the 4096 instructions that the kernel takes");
}

#[test]
fn a_deadly_last_call_is_foretold() {
    let calls = [("close", 3), ("execve", 59)];
    let killing = |rules: Vec<Value>| plan_of(json!({"defaultAction": "SCMP_ACT_KILL", "syscalls": rules}));
    let error = foretell(&killing(vec![rule("close", "ALLOW", json!([])), rule("vhangup", "ALLOW", json!([]))]), &calls);
    let error = error.expect("foretold");
    assert_eq!(error.to_string(), "unable to init seccomp: the profile denies execve (kill thread), which starting needs");
    assert_eq!(error.code_text(), Some("E-SECCOMP"));
    let depends = json!([{"index": 0, "op": "SCMP_CMP_NE", "value": 0}]);
    let allowed = killing(vec![rule("close", "ALLOW", json!([])), rule("execve", "ALLOW", depends)]);
    assert_eq!(foretell(&allowed, &calls), None);
    assert_eq!(foretell(&SeccompPlan::default(), &calls), None);
    // What is refused but not killed for is told by whoever is refused.
    let refused = deny_unless(vec![rule("close", "ALLOW", json!([])), rule("vhangup", "ALLOW", json!([]))]);
    assert_eq!(foretell(&refused, &calls), None);
    assert_eq!(denied(&refused, &calls).collect::<Vec<_>>(), [("execve", Verdict(SECCOMP_RET_ERRNO | 1))]);
    for passing in ["LOG", "TRACE"] {
        let plan = plan_of(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("execve", passing, json!([]))]}));
        assert_eq!(denied(&plan, &calls).count(), 0, "{passing}");
    }
}

#[test]
fn the_plan_describes_itself() {
    let plan = deny_unless(vec![rule("mkdir", "ALLOW", json!([])), rule("set_tls", "ALLOW", json!([]))]);
    let text = format!("seccomp: 1 rules for x86_64, x86, x32; default errno 1; {} instructions", plan.filter.len());
    assert_eq!(plan.describe(), [text]);
}
