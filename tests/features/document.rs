//! The document as a whole.

use std::process::Command;

use super::*;

crate::tests![it_has_every_section_of_the_specification, anybody_can_ask_on_a_read_only_system if needs_root,];

fn it_has_every_section_of_the_specification() {
    let text = Bundle::new(&["true"]).rrun(["features"]).ok();
    assert!(text.starts_with("{\n    \"") && text.ends_with("\n}\n"), "four blanks, as runc: {text}");
    let document = features();
    let keys = |pointer: &str| -> Vec<String> {
        document.pointer(pointer).and_then(Value::as_object).expect(pointer).keys().cloned().collect()
    };
    let top =
        ["annotations", "hooks", "linux", "mountOptions", "ociVersionMax", "ociVersionMin", "potentiallyUnsafeConfigAnnotations"];
    assert_eq!(keys(""), top);
    let linux = [
        "apparmor",
        "capabilities",
        "cgroup",
        "intelRdt",
        "memoryPolicy",
        "mountExtensions",
        "namespaces",
        "netDevices",
        "seccomp",
        "selinux",
    ];
    assert_eq!(keys("/linux"), linux);
    assert_eq!(keys("/linux/cgroup"), ["rdma", "systemd", "systemdUser", "v1", "v2"]);
    assert_eq!(keys("/linux/seccomp"), ["actions", "archs", "enabled", "knownFlags", "operators", "supportedFlags"]);
    assert_eq!(keys("/linux/intelRdt"), ["enabled", "monitoring", "schemata"]);
    assert_eq!(keys("/linux/memoryPolicy"), ["flags", "modes"]);
    for list in ["/hooks", "/mountOptions", "/linux/namespaces", "/linux/capabilities", "/linux/seccomp/actions"] {
        let words = words(list);
        let mut unique = words.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), words.len(), "{list} says something twice");
    }
}

fn anybody_can_ask_on_a_read_only_system() {
    let script = format!(
        "mount -o remount,bind,ro / && exec setpriv --reuid 65534 --regid 65534 --clear-groups {} features",
        user::public_rrun().display()
    );
    let done: Done =
        Command::new("unshare").args(["--mount", "sh", "-c", &script]).env_remove("HOME").output().expect("unshare").into();
    assert_eq!(done.err, "");
    assert_eq!(serde_json::from_str::<Value>(&done.ok()).expect("JSON"), features());
    let nobody: Done = user::rrun_of_nobody().arg("features").output().expect("start rrun").into();
    assert_eq!(nobody.err, "");
    assert_eq!(serde_json::from_str::<Value>(&nobody.ok()).expect("JSON"), features());
}
