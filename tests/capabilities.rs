//! Capabilities: the five sets, and no_new_privs, as the program finds them.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    the_sets_are_exactly_as_given,
    nothing_is_inheritable_unasked,
    no_object_means_no_capability,
    another_user_keeps_what_is_ambient,
    another_user_loses_what_is_not_ambient,
    inheritable_may_exceed_the_bounding_set,
    an_unavailable_capability_is_a_warning if host_has_all_capabilities,
    no_new_privs_is_set_if_asked_for,
    a_setuid_program_gains_nothing,
];

const KILL: u64 = 1 << 5;
const CHOWN: u64 = 1;
const SYS_RESOURCE: u64 = 1 << 24;

fn host_has_all_capabilities() -> Option<&'static str> {
    // In a user namespace of its own every user has it.
    needs_root().or((host_bounding_set() & SYS_RESOURCE != 0).then_some("needs a host without CAP_SYS_RESOURCE"))
}

fn host_bounding_set() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let text = status.lines().find_map(|l| l.strip_prefix("CapBnd:")).expect("CapBnd").trim();
    u64::from_str_radix(text, 16).expect("hex")
}

/// Runs the witness with these sets and returns what it saw of one.
fn seen(witness: &Value, set: &str) -> u64 {
    u64::from_str_radix(witness["capabilities"][set].as_str().expect("a set"), 16).expect("hex")
}

fn with(capabilities: Value) -> Bundle {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["capabilities"] = capabilities;
    b
}

fn the_sets_are_exactly_as_given() {
    let both = json!(["CAP_KILL", "CAP_CHOWN"]);
    let mut b = with(json!({"bounding": both, "permitted": both, "effective": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"]}));
    b.config["process"]["noNewPrivileges"] = json!(false);
    // As uid 0 execve raises permitted and effective to inheritable and bounding (capabilities(7)); as another user the
    // inheritable set stays as it was given.
    let root = b.witness();
    assert_eq!((seen(&root, "bounding"), seen(&root, "inheritable"), seen(&root, "ambient")), (KILL | CHOWN, CHOWN, 0));
    assert_eq!((seen(&root, "permitted"), seen(&root, "effective")), (KILL | CHOWN, KILL | CHOWN));
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let user = b.witness();
    assert_eq!((seen(&user, "bounding"), seen(&user, "inheritable"), seen(&user, "permitted")), (KILL | CHOWN, CHOWN, 0));
}

fn nothing_is_inheritable_unasked() {
    // CVE-2022-27650, CVE-2022-29162: files with capabilities would give them to every user of the container.
    assert_eq!(seen(&Bundle::new(&["witness"]).witness(), "inheritable"), 0);
}

fn no_object_means_no_capability() {
    let mut b = with(Value::Null);
    b.config["process"].as_object_mut().expect("object").remove("capabilities");
    let witness = b.witness();
    for set in ["bounding", "permitted", "effective", "inheritable", "ambient"] {
        assert_eq!(seen(&witness, set), 0, "{set}");
    }
}

fn another_user_keeps_what_is_ambient() {
    let set = json!(["CAP_KILL"]);
    let mut b = with(json!({"bounding": set, "permitted": set, "effective": set, "inheritable": set, "ambient": set}));
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let witness = b.witness();
    for set in ["bounding", "permitted", "effective", "inheritable", "ambient"] {
        assert_eq!(seen(&witness, set), KILL, "{set}");
    }
    assert_eq!(witness["securebits"], 0, "keep_caps is taken back");
}

fn another_user_loses_what_is_not_ambient() {
    let set = json!(["CAP_KILL"]);
    let mut b = with(json!({"bounding": set, "permitted": set, "effective": set}));
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let witness = b.witness();
    assert_eq!((seen(&witness, "bounding"), seen(&witness, "permitted"), seen(&witness, "effective")), (KILL, 0, 0));
}

fn inheritable_may_exceed_the_bounding_set() {
    let mut b = with(json!({"bounding": ["CAP_KILL"], "inheritable": ["CAP_CHOWN"]}));
    let witness = b.witness();
    assert_eq!((seen(&witness, "bounding"), seen(&witness, "inheritable")), (KILL, CHOWN));
}

fn an_unavailable_capability_is_a_warning() {
    let set = json!(["CAP_KILL", "CAP_SYS_RESOURCE"]);
    let mut b = with(json!({"bounding": set, "permitted": set, "effective": set}));
    b.config["process"]["args"] = json!(["witness", "capabilities"]);
    let log = b.scratch("warnings");
    let done = b.write().rrun(["--log", log.to_str().expect("UTF-8"), "run", &b.id]);
    let witness: Value = serde_json::from_str(&done.ok()).expect("JSON");
    assert_eq!((seen(&witness, "bounding"), seen(&witness, "effective")), (KILL, KILL));
    let log = std::fs::read_to_string(log).expect("the log");
    assert!(log.contains("ignoring unknown or unavailable capabilities: [CAP_SYS_RESOURCE]"), "{log}");
}

fn no_new_privs_is_set_if_asked_for() {
    let mut b = Bundle::new(&["witness"]);
    assert_eq!(b.witness()["no_new_privs"], true);
    b.config["process"]["noNewPrivileges"] = json!(false);
    assert_eq!(b.witness()["no_new_privs"], false);
}

fn a_setuid_program_gains_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let mut b = Bundle::new(&["/bin/setuid-witness", "euid"]);
    let program = b.rootfs().join("bin/setuid-witness");
    copy_program(b.rootfs().join("bin/witness"), &program);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).expect("chmod");
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(b.run().ok().trim(), r#"{"euid":1000}"#);
    b.config["process"]["noNewPrivileges"] = json!(false);
    assert_eq!(b.run().ok().trim(), r#"{"euid":0}"#, "the test's own proof");
}
