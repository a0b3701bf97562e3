//! `kill`: every way to write a signal, and to whom it goes.

use crate::support::*;

crate::tests![
    signals_arrive_however_they_are_written,
    an_unknown_signal_is_refused,
    a_created_container_can_be_killed,
    a_paused_container_can_be_killed if needs_groups,
    all_is_accepted_and_needless,
    without_a_pid_namespace_sigkill_reaches_all if needs_groups,
    signal_zero_only_asks,
];

fn signals_arrive_however_they_are_written() {
    let b = Bundle::new(&[
        "sh",
        "-c",
        "for s in TERM USR1 USR2 HUP; do trap \"echo $s >> /got\" $s; done; echo > /ready; while :; do sleep 0.02; done",
    ]);
    b.run_detached();
    let got = b.rootfs().join("got");
    wait_until("the traps are set", || b.rootfs().join("ready").exists());
    let mut sent = String::new();
    for (signal, name) in
        [("", "TERM"), ("10", "USR1"), ("SIGUSR2", "USR2"), ("usr1", "USR1"), ("sigHup", "HUP"), ("TERM", "TERM")]
    {
        let args: Vec<&str> = ["kill", &b.id, signal].into_iter().filter(|a| !a.is_empty()).collect();
        b.rrun(args).ok();
        sent.push_str(&format!("{name}\n"));
        wait_until(&format!("{signal} arrives"), || std::fs::read_to_string(&got).unwrap_or_default() == sent);
    }
    assert_eq!(b.state()["status"], "running");
}

fn an_unknown_signal_is_refused() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    for signal in ["FOO", "-9", "65", "", "SIGRTMAX+1"] {
        b.rrun(["kill", &b.id, signal]).fails_with(&format!("unknown signal \"{signal}\""));
    }
    b.rrun(["kill", &b.id, "SIGKIL"]).fails_with("did you mean KILL?");
    b.rrun(["kill", &b.id, "SIGTREM"]).fails_with("did you mean TERM?");
    b.rrun(["kill", "no-such", "FOO"]).fails_with("container does not exist");
    assert_eq!(b.state()["status"], "running");
}

fn a_created_container_can_be_killed() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.rrun(["start", &b.id]).fails_with("cannot start a container that has stopped");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn a_paused_container_can_be_killed() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["pause", &b.id]).ok();
    b.rrun(["delete", &b.id]).fails_with(&format!("cannot delete container {} that is not stopped: paused", b.id));
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn all_is_accepted_and_needless() {
    let b = Bundle::new(&["sh", "-c", "sleep 100 & sleep 100"]);
    b.run_detached();
    let done = b.rrun(["--debug", "kill", "--all", &b.id, "9"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("level=debug msg=\"kill --all has no effect"), "{}", done.err);
    b.wait_for("stopped");
    assert_eq!(b.rrun(["ps", "-f", "json", &b.id]).ok(), "[]\n");
    // Already so: engines call it once more to be sure.
    b.rrun(["kill", "-a", &b.id, "KILL"]).ok();
    b.rrun(["kill", &b.id, "KILL"]).fails_with("container not running");
}

fn without_a_pid_namespace_sigkill_reaches_all() {
    let mut b = Bundle::new(&["sh", "-c", "setsid sleep 100 & exec sleep 100"]);
    share_pids(&mut b.config);
    b.run_detached();
    let pids = || -> Vec<i64> { serde_json::from_str(&b.rrun(["ps", "-f", "json", &b.id]).ok()).expect("JSON") };
    wait_until("two processes", || pids().len() == 2);
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    wait_until("none is left", || pids().is_empty());
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn signal_zero_only_asks() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["kill", &b.id, "0"]).ok();
    assert_eq!(b.state()["status"], "running");
}
