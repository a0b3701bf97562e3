//! Joining: rrun's own process among those of a hostile container, before it is the container's (CVE-2016-9962).
//!
//! The attacker is the container's first process. On every process that appears it tries ptrace(2), process_vm_readv(2),
//! pidfd_getfd(2), and what /proc shows only to who may trace. The program that is executed may be read by nobody, so the
//! kernel protects it too: whatever the attacker gets is rrun's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use super::of_every_caller;
use crate::support::*;

crate::tests![
    nothing_is_stolen_from_exec,
    nothing_is_stolen_from_a_container_that_joins if needs_root,
    a_created_container_holds_no_directory_of_the_host if needs_root,
    an_executed_process_stays_in_a_root_without_mount_namespace if needs_root,
];

/// A running container whose first process attacks; `FILE` is in its root.
fn attackers() -> Vec<Bundle> {
    let mut all = of_every_caller(&["/bin/witness", "attack", "watch", "/result"]);
    if needs_root().is_none() {
        // With a user namespace the newcomer changes its ids, which resets what protects it.
        let mut mapped = Bundle::new(&["/bin/witness", "attack", "watch", "/result"]);
        map_ids(&mut mapped.config, 0, 65_536);
        all.push(mapped);
    }
    for b in &all {
        let program = b.rootfs().join("bin/closed");
        copy_program(b.rootfs().join("bin/busybox"), &program);
        if let Some(user) = &b.user {
            user.own(&b.rootfs());
        }
        // Somebody else's, and not readable.
        fs::set_permissions(&program, PermissionsExt::from_mode(0o111)).expect("chmod");
        if needs_root().is_none() {
            std::os::unix::fs::chown(&program, Some(1), Some(1)).expect("chown");
        }
        b.run_detached();
        wait_until("the attacker is at work", || b.rootfs().join("result").exists());
    }
    all
}

/// What the attacker has when it is told to end.
fn result(b: &Bundle) -> Value {
    b.rrun(["kill", &b.id, "TERM"]).ok();
    b.wait_for("stopped");
    serde_json::from_str(&fs::read_to_string(b.rootfs().join("result")).expect("a result")).expect("JSON")
}

#[track_caller]
fn assert_nothing_taken(b: &Bundle, least: u64) {
    let result = result(b);
    assert_eq!(result["taken"], json!([]), "of {} processes", result["seen"]);
    assert!(result["seen"].as_u64().expect("a number") >= least, "the attacker saw too little to prove anything: {result}");
}

fn nothing_is_stolen_from_exec() {
    let rounds = std::env::var("RRUN_STRESS_SECONDS").map_or(25, |_| 1000);
    for b in attackers() {
        for round in 0..rounds {
            let args: &[&str] = if round % 5 == 4 { &["--tty"] } else { &[] };
            let all: Vec<&str> = ["exec"].iter().chain(args).chain([&b.id.as_str(), &"/bin/closed", &"true"]).copied().collect();
            // The program's own name is none of busybox's: what it says does not matter.
            b.rrun(all);
        }
        // Each was there for milliseconds; on a busy machine not each is met.
        assert_nothing_taken(&b, rounds / 10);
    }
}

/// A pod: the second container is made in the PID namespace of the first, and waits there until it is started.
fn nothing_is_stolen_from_a_container_that_joins() {
    let b = attackers().swap_remove(0);
    let mut joins = Bundle::new(&["/bin/closed", "true"]);
    let program = joins.rootfs().join("bin/closed");
    copy_program(joins.rootfs().join("bin/busybox"), &program);
    fs::set_permissions(&program, PermissionsExt::from_mode(0o111)).expect("chmod");
    std::os::unix::fs::chown(&program, Some(1), Some(1)).expect("chown");
    let namespaces = joins.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.retain(|n| n["type"] != "pid");
    namespaces.push(json!({"type": "pid", "path": format!("/proc/{}/ns/pid", b.state()["pid"])}));
    for _ in 0..5 {
        joins.create();
        // For as long as an engine takes to start it, at least.
        std::thread::sleep(std::time::Duration::from_millis(50));
        joins.rrun(["start", &joins.id]);
        joins.rrun(["delete", "--force", &joins.id]).ok();
    }
    assert_nothing_taken(&b, 3);
}

/// Whoever could look into a container that waits for its start would find no way to the host.
fn a_created_container_holds_no_directory_of_the_host() {
    for b in of_every_caller(&["true"]) {
        b.create();
        let pid = b.state()["pid"].as_i64().expect("pid");
        let open: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd")).expect("fds").flatten().map(|e| e.path()).collect();
        assert!(!open.is_empty());
        let own = |path: &std::path::Path| fs::read_link(path).expect("readlink");
        for fd in open {
            let is_directory = fs::metadata(&fd).is_ok_and(|m| m.is_dir());
            // The way back to the gate: a directory of the container's own procfs.
            assert!(!is_directory || own(&fd) == std::path::Path::new("/1/task/1/fd"), "{} -> {:?}", fd.display(), own(&fd));
        }
        for link in ["root", "cwd"] {
            assert_eq!(own(std::path::Path::new(&format!("/proc/{pid}/{link}"))).to_str(), Some("/"), "{link}");
        }
    }
}

/// Such a container has nothing but chroot(2); a newcomer that only joined its namespaces saw the whole host.
fn an_executed_process_stays_in_a_root_without_mount_namespace() {
    let mut b = Bundle::new(&["sleep", "1000"]);
    b.config["mounts"] = json!([]);
    b.config["linux"]["maskedPaths"] = json!([]);
    b.config["linux"]["readonlyPaths"] = json!([]);
    b.config["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "ipc"}]);
    b.config.as_object_mut().expect("an object").remove("hostname");
    fs::write(b.rootfs().join("marker"), "of the container\n").expect("write");
    let mut run = b.write().command(["run", "--detach", &b.id]);
    assert!(run.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
    for args in [&["exec"][..], &["exec", "--cwd", "/etc"]] {
        let script = "cat /marker; cat /../../marker; test -e /usr/bin/env || echo inside";
        let all: Vec<&str> = args.iter().copied().chain([b.id.as_str(), "sh", "-c", script]).collect();
        assert_eq!(b.rrun(all).ok(), "of the container\nof the container\ninside\n");
    }
}
