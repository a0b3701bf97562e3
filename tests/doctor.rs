//! `rrun doctor`: what it finds is so, and what it recommends is what errors recommend.

use serde_json::Value;

use crate::support::*;

crate::tests![
    a_host_where_containers_run_is_ready,
    the_document_says_what_the_page_says,
    a_user_is_told_what_is_missing if needs_root,
    blocked_user_namespaces_are_no_secret if needs_root,
];

fn checks(document: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(document).expect("JSON");
    document["checks"].as_array().expect("checks").clone()
}

fn check(document: &str, id: &str) -> Value {
    checks(document).into_iter().find(|c| c["id"] == id).unwrap_or_else(|| panic!("no check {id}: {document}"))
}

fn a_host_where_containers_run_is_ready() {
    let b = Bundle::new(&["true"]);
    b.run().ok();
    let page = b.rrun(["doctor"]).ok();
    assert!(page.ends_with("ready: containers can run here\n"), "{page}");
    for id in ["kernel", "openat2", "mount-api", "pidfd", "seccomp", "user-namespaces", "cgroups", "keyring", "loginuid"] {
        assert!(page.lines().any(|l| l.split_whitespace().nth(1) == Some(id)), "{id}: {page}");
    }
}

fn the_document_says_what_the_page_says() {
    let b = Bundle::new(&["true"]);
    let page = Done::from(b.command(["doctor"]).env("LC_ALL", "C").output().expect("start rrun")).ok();
    let document = b.rrun(["doctor", "--json"]).ok();
    let lines: Vec<&str> = page.lines().filter(|l| !l.starts_with(' ')).collect();
    let checks = checks(&document);
    assert_eq!(lines.len(), checks.len() + 1);
    for (line, check) in lines.iter().zip(&checks) {
        let mark = match check["result"].as_str() {
            Some("ok") => "ok",
            Some("missing") => "x",
            _ => "-",
        };
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [mark, check["id"].as_str().expect("id")], "{line}");
    }
}

fn a_user_is_told_what_is_missing() {
    let b = Bundle::rootless(&["true"]);
    let doctor = b.rrun(["doctor", "--json"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
    let maps = check(&doctor.out, "id-maps");
    if std::path::Path::new("/usr/bin/newuidmap").exists() {
        assert!(maps["found"].as_str().is_some_and(|f| f.contains("2000000000-2000065535")), "{maps}");
    } else {
        assert!(maps["fix"].as_str().is_some_and(|f| f.contains("uidmap")), "{maps}");
    }
    assert_eq!(check(&doctor.out, "systemd-bus")["result"], "absent");
    // Nobody else's directory.
    let mut command = b.user().command(user::public_rrun());
    let done: Done = command.args(["--root", "/run/rrun-of-root/x", "doctor"]).output().expect("start rrun").into();
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.out.contains("x  state-root") && done.out.contains("fix    set XDG_RUNTIME_DIR"), "{}", done.out);
}

fn blocked_user_namespaces_are_no_secret() {
    // A user namespace whose own limit is 0 keeps the host's as it is.
    let b = Bundle::new(&["true"]);
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(rrun_path());
    let done: Done = command.arg("--root").arg(b.root()).args(["doctor", "--json"]).output().expect("run unshare").into();
    let found = check(&done.out, "user-namespaces");
    assert_eq!((done.code, &found["result"]), (1, &Value::from("missing")), "{found}");
    assert_eq!(found["cause"], "user.max_user_namespaces is 0");
    assert!(found["fix"].as_str().is_some_and(|fix| fix.starts_with("raise it: sysctl")), "{found}");
}
