//! Seccomp: actions, operators, architectures and flags.

use serde_json::{Value, json};

use super::*;

crate::tests![
    each_action_compiles,
    each_operator_compiles,
    each_architecture_compiles,
    each_flag_is_known_and_the_supported_ones_work,
    each_action_works,
];

/// A profile that allows all but what `rule` says of getpriority(2), which nothing here calls.
fn profile(rule: Value) -> Value {
    let mut entry = json!({"names": ["getpriority"], "action": "SCMP_ACT_ERRNO"});
    for (key, value) in rule.as_object().expect("an object") {
        entry[key] = value.clone();
    }
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]})
}

#[track_caller]
fn listed(pointer: &str, accepted: impl Fn(&str) -> Done, others: &[&str]) {
    let words = words(pointer);
    for word in &words {
        let done = accepted(word);
        assert_eq!(done.code, 0, "{word} is listed: {}", done.err);
    }
    for word in others {
        assert!(!words.iter().any(|w| w == word));
        assert_eq!(accepted(word).code, 1, "{word} is not listed");
    }
}

fn each_action_compiles() {
    let asked = Asked::new();
    assert_eq!(features()["linux"]["seccomp"]["enabled"], true);
    let rule = |action: &str| {
        let mut profile = profile(json!({"action": action}));
        if action == "SCMP_ACT_NOTIFY" {
            profile["listenerPath"] = json!("/run/agent.sock");
        }
        asked.plan(|c| c["linux"]["seccomp"] = profile)
    };
    listed("/linux/seccomp/actions", rule, &["SCMP_ACT_DENY", "ALLOW", "scmp_act_allow"]);
}

fn each_operator_compiles() {
    let asked = Asked::new();
    let rule = |operator: &str| {
        let profile = profile(json!({"args": [{"index": 0, "value": 1, "valueTwo": 1, "op": operator}]}));
        asked.plan(|c| c["linux"]["seccomp"] = profile)
    };
    listed("/linux/seccomp/operators", rule, &["SCMP_CMP_IN", "EQ"]);
}

fn each_architecture_compiles() {
    let asked = Asked::new();
    let with = |name: &str| {
        let mut profile = profile(json!({}));
        profile["architectures"] = json!([name]);
        asked.plan(|c| c["linux"]["seccomp"] = profile)
    };
    listed("/linux/seccomp/archs", with, &["SCMP_ARCH_VAX", "X86_64"]);
}

/// A profile with this flag.
fn flagged(flag: &str) -> Value {
    let mut profile = profile(json!({}));
    profile["flags"] = json!([flag]);
    profile
}

fn each_flag_is_known_and_the_supported_ones_work() {
    let asked = Asked::new();
    let known = |flag: &str| asked.plan(|c| c["linux"]["seccomp"] = flagged(flag));
    listed("/linux/seccomp/knownFlags", known, &["SECCOMP_FILTER_FLAG_NEW_LISTENER", "LOG"]);
    let known = words("/linux/seccomp/knownFlags");
    for flag in words("/linux/seccomp/supportedFlags") {
        assert!(known.contains(&flag), "{flag}");
        let mut b = Bundle::new(&["true"]);
        b.config["linux"]["seccomp"] = flagged(&flag);
        b.run().ok();
    }
}

/// Each action does in a container what its name says, but for those that need somebody outside (tests/seccomp.rs).
fn each_action_works() {
    for action in words("/linux/seccomp/actions") {
        let (code, out) = match action.as_str() {
            "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" => (0, "done\n"),
            // No tracer: the call fails.
            "SCMP_ACT_ERRNO" | "SCMP_ACT_TRACE" => (1, ""),
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" | "SCMP_ACT_KILL_PROCESS" | "SCMP_ACT_TRAP" => (128 + 31, ""),
            "SCMP_ACT_NOTIFY" => continue,
            other => panic!("{other} is listed and has no test"),
        };
        let mut b = Bundle::new(&["sh", "-c", "mkdir /tmp/x && echo done"]);
        b.config["linux"]["seccomp"] = json!({
            "defaultAction": if action == "SCMP_ACT_ALLOW" { "SCMP_ACT_LOG" } else { "SCMP_ACT_ALLOW" },
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": action}],
        });
        let done = b.run();
        assert_eq!((done.code, done.out.as_str()), (code, out), "{action}: {}", done.err);
    }
}
