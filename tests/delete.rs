//! `delete`: what is stopped goes, what runs stays, and `--force` leaves nothing of any wreck.

use std::process::Stdio;

use serde_json::json;

use crate::support::*;

crate::tests![
    only_a_stopped_or_created_container_is_deleted,
    force_deletes_whatever_it_is_doing if needs_groups,
    a_foreground_run_holds_nobody_up,
    force_of_nothing_is_success,
    force_deletes_every_wreck,
    force_ends_a_create_that_hangs,
    force_ends_a_create_that_never_gives_up,
    many_at_once_agree,
    poststop_hooks_run_and_only_warn,
    what_outlives_init_goes_too if needs_groups,
    links_in_the_state_are_not_followed,
];

fn only_a_stopped_or_created_container_is_deleted() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
    b.rrun(["delete", &b.id]).fails_with("container does not exist");
    b.run_detached();
    b.rrun(["delete", &b.id]).fails_with(&format!("cannot delete container {} that is not stopped: running", b.id));
    assert_eq!(b.state()["status"], "running");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn force_deletes_whatever_it_is_doing() {
    let b = Bundle::new(&["sh", "-c", "sleep 100 & sleep 100"]);
    b.create();
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
    for paused in [false, true] {
        b.run_detached();
        if paused {
            b.rrun(["pause", &b.id]).ok();
        }
        b.rrun(["delete", "-f", &b.id]).ok();
        b.assert_no_trace();
    }
    // And one whose rrun waits in the foreground, which then ends by itself.
    let mut run = b.command(["run", &b.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
    wait_until("it runs", || b.rrun(["state", &b.id]).out.contains("\"running\""));
    b.rrun(["delete", "--force", &b.id]).ok();
    run.wait().expect("wait");
    b.assert_no_trace();
}

fn a_foreground_run_holds_nobody_up() {
    let b = Bundle::new(&["sleep", "100"]);
    let mut run = b.write().command(["run", &b.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
    wait_until("it runs", || b.rrun(["state", &b.id]).out.contains("\"running\""));
    // Not "held by another command".
    b.rrun(["start", &b.id]).fails_with("cannot start an already running container");
    b.rrun(["delete", &b.id]).fails_with("that is not stopped: running");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    assert_eq!(run.wait().expect("wait").code(), Some(137));
    b.assert_no_trace();
}

fn force_of_nothing_is_success() {
    let b = Bundle::new(&["true"]);
    assert_eq!(b.rrun(["delete", "--force", "no-such"]).ok(), "");
    b.rrun(["delete", "--force", "../x"]).fails_with("invalid container ID format");
}

fn force_deletes_every_wreck() {
    let b = Bundle::new(&["sleep", "100"]);
    let file = |name: &str| b.root().join(&b.id).join(name);
    let wrecks: [(&str, &dyn Fn()); 5] = [
        ("rrun.json is gone", &|| std::fs::remove_file(file("rrun.json")).expect("remove")),
        ("rrun.json is cut short", &|| {
            let text = std::fs::read(file("rrun.json")).expect("read");
            std::fs::write(file("rrun.json"), &text[..text.len() / 2]).expect("write");
        }),
        ("rrun.json is of a later rrun", &|| std::fs::write(file("rrun.json"), "{\"version\":9}").expect("write")),
        ("the lock is gone", &|| std::fs::remove_file(file("lock")).expect("remove")),
        ("state.json is gone", &|| std::fs::remove_file(file("state.json")).expect("remove")),
    ];
    for (what, wreck) in wrecks {
        b.run_detached();
        let pid = b.state()["pid"].as_i64().expect("pid");
        wreck();
        assert_eq!(b.rrun(["delete", "--force", &b.id]).err, "", "{what}");
        b.assert_no_trace();
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(status.is_empty() || status.contains(") Z "), "{what}: init is still there: {status}");
    }
}

/// A bundle with a createRuntime hook that says it runs, then does `then`; and the file by which it says so.
fn hanging(then: &str) -> (Bundle, std::path::PathBuf) {
    let mut b = Bundle::new(&["sleep", "100"]);
    let started = b.scratch("started");
    let script =
        format!("pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); echo $$ > {0}.new; mv {0}.new {0}; {then}", started.display());
    b.config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]});
    b.write();
    (b, started)
}

fn force_ends_a_create_that_hangs() {
    // The hook ends when the container's init does, as one that talks to it would.
    let (b, started) = hanging("while ! grep -q '^State:.Z' /proc/$pid/status; do sleep 0.02; done");
    let mut create = b.command(["create", &b.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
    wait_until("the hook runs", || started.exists());
    b.rrun(["delete", &b.id]).fails_with("that is not stopped: creating");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert!(!create.wait().expect("wait").success());
    b.assert_no_trace();
}

fn force_ends_a_create_that_never_gives_up() {
    let (b, started) = hanging("exec sleep 1000");
    let mut create = b.command(["create", &b.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
    wait_until("the hook runs", || started.exists());
    let done = b.rrun(["delete", "--force", &b.id]);
    // The hook is the engine's program and not ours to end; the test's it is.
    let hook: i32 = std::fs::read_to_string(started).expect("read").trim().parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(hook), nix::sys::signal::Signal::SIGKILL).expect("kill the hook");
    done.ok();
    assert!(!create.wait().expect("wait").success());
    b.assert_no_trace();
}

fn many_at_once_agree() {
    let b = Bundle::new(&["sleep", "100"]);
    for _ in 0..5 {
        b.run_detached();
        let racers: Vec<_> = (0..6)
            .map(|_| {
                b.command(["delete", "--force", &b.id]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start rrun")
            })
            .collect();
        for racer in racers {
            Done::from(racer.wait_with_output().expect("wait")).ok();
        }
        b.assert_no_trace();
    }
    b.run_detached();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    let racers: Vec<_> = (0..6)
        .map(|_| b.command(["delete", &b.id]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start rrun"))
        .collect();
    let done: Vec<Done> = racers.into_iter().map(|r| r.wait_with_output().expect("wait").into()).collect();
    assert_eq!(done.iter().filter(|d| d.code == 0).count(), 1);
    for loser in done.iter().filter(|d| d.code != 0) {
        loser.fails_with("container does not exist");
    }
}

fn poststop_hooks_run_and_only_warn() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let seen = b.scratch("seen");
    let write = format!("cat > {}", seen.display());
    b.config["hooks"] = json!({"poststop": [
        {"path": "/bin/sh", "args": ["sh", "-c", "exit 3"], "env": ["PATH=/bin:/usr/bin"]},
        {"path": "/bin/sh", "args": ["sh", "-c", write], "env": ["PATH=/bin:/usr/bin"]},
    ]});
    b.create();
    let done = b.rrun(["delete", &b.id]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.starts_with("warning: error running poststop hook #0: "), "{}", done.err);
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(seen).expect("the second hook ran")).expect("JSON");
    assert_eq!((&state["status"], &state["id"]), (&json!("stopped"), &json!(b.id)));
    b.assert_no_trace();
}

fn what_outlives_init_goes_too() {
    let mut b = Bundle::new(&["sh", "-c", "setsid sleep 100 & sleep 0.3"]);
    share_pids(&mut b.config);
    b.run_detached();
    b.wait_for("stopped");
    assert_ne!(b.rrun(["ps", "-f", "json", &b.id]).ok(), "[]\n");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn links_in_the_state_are_not_followed() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let victim = b.scratch("victim");
    std::fs::create_dir(&victim).expect("mkdir");
    std::fs::write(victim.join("file"), "precious").expect("write");
    std::os::unix::fs::symlink(&victim, b.root().join(&b.id).join("link")).expect("link");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert_eq!(std::fs::read_to_string(victim.join("file")).expect("still there"), "precious");
    // A whole container that is a link is none.
    std::os::unix::fs::symlink(&victim, b.root().join("linked")).expect("link");
    let done = b.rrun(["delete", "--force", "linked"]);
    assert_ne!(done.code, 0);
    assert!(victim.join("file").exists());
    std::fs::remove_file(b.root().join("linked")).expect("unlink");
}
