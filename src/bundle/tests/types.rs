//! Wrong types, unknown names, broken JSON: what is said of them.
//!
//! A config is refused rather than read with a default in the place of a value that could not be understood, and the
//! person who wrote it must find the place without knowing how rrun reads.

use super::*;

/// Expects each (pointer, value) to be refused with this message and hint, and with a place.
fn refuses(table: &[(&str, Value, &str, &str)]) {
    for (pointer, value, message, hint) in table {
        let (error, _) = changed(pointer, value.clone());
        let (text, rest) = error.split_once(" (config.json:").unwrap_or_else(|| panic!("{pointer}: no place in {error:?}"));
        assert_eq!(text, *message);
        assert!(rest.ends_with(&format!(") | {hint} | E-TYPE")), "{error}");
    }
}

#[test]
fn names_wrong_values_in_plain_words() {
    refuses(&[
        ("/process/user/uid", json!("1000"), "process.user.uid: expected a number, got the string \"1000\"", "remove the quotes"),
        ("/process/user/uid", json!(-1), "process.user.uid: expected a whole number from 0 to 4294967295, got -1", "-"),
        ("/process/user/uid", json!(1.5), "process.user.uid: expected a whole number from 0 to 4294967295, got 1.5", "-"),
        (
            "/process/user/uid",
            json!(4_294_967_296_u64),
            "process.user.uid: expected a whole number from 0 to 4294967295, got 4294967296",
            "-",
        ),
        (
            "/process/terminal",
            json!("true"),
            "process.terminal: expected true or false, got the string \"true\"",
            "remove the quotes",
        ),
        ("/process/terminal", json!(1), "process.terminal: expected true or false, got 1", "-"),
        ("/process/args", json!("sh"), "process.args: expected a list, got the string \"sh\"", "put it in brackets: [\"sh\"]"),
        ("/process/args/0", json!(5), "process.args[0]: expected a string, got 5", "put it in double quotes: \"5\""),
    ]);
}

#[test]
fn names_wrong_shapes_in_plain_words() {
    refuses(&[
        ("/process", json!([]), "process: expected an object, got a list", "-"),
        ("/process/capabilities", json!([]), "process.capabilities: expected an object, got a list", "-"),
        ("/process/user", json!([0, 0]), "process.user: expected an object, got a list", "-"),
        (
            "/linux/namespaces/0/type",
            json!({"pid": null, "x": 1}),
            "linux.namespaces[0].type: expected a string, got an object",
            "-",
        ),
        ("/mounts", json!({}), "mounts: expected a list, got an object", "-"),
        (
            "/mounts/0/destination",
            json!(true),
            "mounts[0].destination: expected a string, got true",
            "put it in double quotes: \"true\"",
        ),
        (
            "/linux/sysctl/net.ipv4.ip_forward",
            json!(1),
            "linux.sysctl.net.ipv4.ip_forward: expected a string, got 1",
            "put it in double quotes: \"1\"",
        ),
        (
            "/linux/resources/memory/limit",
            json!("64M"),
            "linux.resources.memory.limit: expected a number, got the string \"64M\"",
            "-",
        ),
        (
            "/linux/namespaces/0/type",
            json!(5),
            "linux.namespaces[0].type: expected a string, got 5",
            "put it in double quotes: \"5\"",
        ),
        ("/linux/namespaces/0", json!("pid"), "linux.namespaces[0]: expected an object, got the string \"pid\"", "-"),
        (
            "/process/execCPUAffinity/initial",
            json!("0-"),
            "process.execCPUAffinity.initial: expected a list of CPUs such as \"0-3,7\", got the string \"0-\"",
            "-",
        ),
    ]);
}

#[test]
fn names_the_place_of_a_wrong_type() {
    let text = "{\n \"ociVersion\": \"1.0.0\",\n \"process\": {\"cwd\": \"/\", \"user\": {\n  \"uid\": \"1000\"}}}";
    assert!(
        outcome(text).0.starts_with("process.user.uid: expected a number, got the string \"1000\" (config.json:4:10)"),
        "{:?}",
        outcome(text)
    );
}

#[test]
fn lists_the_allowed_names() {
    let error = |pointer, value| changed(pointer, value).0;
    let e = error("/linux/namespaces/0/type", json!("net"));
    assert!(
        e.starts_with("namespace \"net\" does not exist (config.json:") && e.ends_with("| did you mean network? | E-TYPE"),
        "{e}"
    );
    let e = error("/process/rlimits/0/type", json!("RLIMIT_NOFILES"));
    assert!(
        e.starts_with("invalid rlimit type: RLIMIT_NOFILES (") && e.ends_with("| did you mean RLIMIT_NOFILE? | E-RLIMIT"),
        "{e}"
    );
    let e = error("/process/ioPriority/class", json!("BE"));
    let list = "\"BE\" is not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE";
    assert!(e.contains(list) && e.ends_with("| did you mean IOPRIO_CLASS_BE? | E-TYPE"), "{e}");
    let e = error("/linux/seccomp/syscalls/0/action", json!("SCMP_ACT_ALOW"));
    assert!(
        e.contains("linux.seccomp.syscalls[0].action: \"SCMP_ACT_ALOW\"")
            && e.ends_with("| did you mean SCMP_ACT_ALLOW? | E-TYPE"),
        "{e}"
    );
    assert!(error("/linux/personality/domain", json!("X")).contains("is not one of LINUX, LINUX32"));
}

#[test]
fn names_missing_keys_and_their_misspelling() {
    let (e, _) = changed("/mounts/0", json!({"destinaton": "/proc"}));
    assert!(
        e.starts_with("mounts[0]: the key destination is missing (config.json:")
            && e.ends_with("| rename destinaton to destination | E-KEY"),
        "{e}"
    );
    assert!(changed("/linux/seccomp", json!({})).0.starts_with("linux.seccomp: the key defaultAction is missing ("));
}

#[test]
fn names_what_is_broken() {
    assert_eq!(
        outcome("{\n\"process\": {\n  \"args\": [\"a\"\n}}").0,
        "config.json:4:1: `}` closes the list opened at 3:11; `]` is due | - | E-JSON"
    );
    assert_eq!(outcome("{\"ociVersion\": 01}").0, "config.json:1:17: invalid number | - | E-JSON");
    let lone_surrogate = "{\"ociVersion\": \"\u{1F600}\", \"x\": \"\\ud800\"}";
    assert_eq!(outcome(lone_surrogate).0, "config.json:1:33: unexpected end of hex escape in a string | - | E-JSON");
    let mut warnings = Warnings::default();
    let e = parse_spec(b"{\"ociVersion\": \"\xFF\"}", &mut warnings).expect_err("not UTF-8");
    assert!(e.to_string().starts_with("config.json:1:"), "{e}");
}

#[test]
fn knows_scheduler_flags_by_their_names() {
    let names = ["DL_OVERRUN", "RESET_ON_FORK", "RECLAIM", "KEEP_POLICY", "KEEP_PARAMS", "UTIL_CLAMP_MIN", "UTIL_CLAMP_MAX"];
    let names = names.map(|name| format!("SCHED_FLAG_{name}"));
    assert_eq!(changed("/process/scheduler/flags", json!(names)), (String::new(), vec![]));
    assert!(
        changed("/process/scheduler/flags", json!(["SCHED_FLAG_DL_OVERRUNN"]))
            .0
            .ends_with("did you mean SCHED_FLAG_DL_OVERRUN? | E-TYPE")
    );
}

#[test]
fn reads_every_architecture_and_action_name() {
    let archs = [
        "NATIVE",
        "X86",
        "X86_64",
        "X32",
        "ARM",
        "AARCH64",
        "MIPS",
        "MIPS64",
        "MIPS64N32",
        "MIPSEL",
        "MIPSEL64",
        "MIPSEL64N32",
        "PPC",
        "PPC64",
        "PPC64LE",
        "S390",
        "S390X",
        "PARISC",
        "PARISC64",
        "RISCV64",
        "LOONGARCH64",
        "M68K",
        "SH",
        "SHEB",
    ];
    let archs: Vec<String> = archs.iter().map(|a| format!("SCMP_ARCH_{a}")).collect();
    assert_eq!(changed("/linux/seccomp/architectures", json!(archs)).0, "");
    for action in ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"] {
        assert_eq!(changed("/linux/seccomp/defaultAction", json!(format!("SCMP_ACT_{action}"))).0, "");
    }
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
        assert_eq!(changed("/linux/seccomp/syscalls/0/args/0/op", json!(format!("SCMP_CMP_{op}"))).0, "");
    }
    for flag in ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"] {
        assert_eq!(changed("/linux/seccomp/flags", json!([format!("SECCOMP_FILTER_FLAG_{flag}")])).0, "");
    }
}
