//! SIGKILL of rrun at random instants: `delete --force` then leaves nothing, and the id can be used again.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Dice, Kind, Probe, processes_of, rounds};
use crate::support::*;

crate::tests![
    all if needs_root;
    a_killed_create_leaves_nothing,
    a_killed_run_leaves_nothing,
    a_killed_exec_leaves_the_container_alone,
    a_killed_delete_can_be_repeated,
];

/// A container that does not end by itself.
fn sleeper() -> Probe {
    let mut probe = Probe::new(Kind::EarlyFilter);
    probe.bundle.config["process"]["args"] = serde_json::json!(["/bin/sh", "-c", "sleep 1000", probe.bundle.id]);
    probe.bundle.write();
    probe
}

fn start(probe: &Probe, args: &[&str]) -> Child {
    let mut command = probe.bundle.command(args.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun")
}

/// Kills it at an instant within the time that it needs when nobody kills it; a little later at times, so that its end is met too.
fn kill_within(mut child: Child, time: Duration, dice: &mut Dice) {
    std::thread::sleep(time.mul_f64(dice.below(1100) as f64 / 1000.0));
    child.kill().expect("kill rrun");
    child.wait().expect("wait for rrun");
}

/// How long the command takes.
fn measure(probe: &Probe, args: &[&str]) -> Duration {
    let begin = Instant::now();
    let status = start(probe, args).wait().expect("wait");
    assert!(status.success(), "{args:?}");
    begin.elapsed()
}

fn a_killed_create_leaves_nothing() {
    let (probe, mut dice) = (sleeper(), Dice(11));
    let id = probe.bundle.id.clone();
    let time = measure(&probe, &["create", &id]);
    probe.force("create");
    for round in 0..rounds(12) {
        kill_within(start(&probe, &["create", &id]), time, &mut dice);
        // Whatever it is now, the others are listed, and it is no error to ask.
        probe.bundle.rrun(["list"]).ok();
        probe.force(&format!("create, killed, round {round}"));
    }
    probe.bundle.create();
    probe.force("the id can be used again");
}

fn a_killed_run_leaves_nothing() {
    let (probe, mut dice) = (sleeper(), Dice(13));
    let id = probe.bundle.id.clone();
    let time = measure(&probe, &["run", "--detach", &id]);
    probe.force("run");
    for round in 0..rounds(12) {
        let detached: &[&str] = if round % 2 == 0 { &["run", "--detach", &id] } else { &["run", &id] };
        kill_within(start(&probe, detached), time, &mut dice);
        probe.force(&format!("run, killed, round {round}"));
    }
    probe.bundle.run_detached();
    probe.force("the id can be used again");
}

fn a_killed_exec_leaves_the_container_alone() {
    let (probe, mut dice) = (sleeper(), Dice(17));
    let id = probe.bundle.id.clone();
    probe.bundle.run_detached();
    let init = probe.bundle.state()["pid"].clone();
    let time = measure(&probe, &["exec", &id, "/bin/sh", "-c", "exit 0"]);
    for _ in 0..rounds(12) {
        kill_within(start(&probe, &["exec", &id, "/bin/sh", "-c", "exit 0"]), time, &mut dice);
        assert_eq!(probe.bundle.state()["pid"], init);
        assert_eq!(probe.bundle.state()["status"], "running");
    }
    // Whoever was on the way in hears that nobody listens, and ends.
    wait_until("no rrun is left of the execs", || processes_of(&id).iter().all(|(_, line)| !line.contains(" exec ")));
    assert_eq!(probe.bundle.rrun(["exec", &id, "/bin/sh", "-c", "echo fine"]).ok(), "fine\n");
    probe.force("exec");
}

fn a_killed_delete_can_be_repeated() {
    let (probe, mut dice) = (sleeper(), Dice(19));
    let id = probe.bundle.id.clone();
    probe.bundle.run_detached();
    let time = measure(&probe, &["delete", "--force", &id]);
    for round in 0..rounds(12) {
        probe.bundle.run_detached();
        kill_within(start(&probe, &["delete", "--force", &id]), time, &mut dice);
        probe.bundle.rrun(["list"]).ok();
        probe.force(&format!("delete, killed, round {round}"));
    }
}
