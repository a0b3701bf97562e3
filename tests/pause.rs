//! `pause` and `resume`: everything in the container stands still, and what was meant for it waits.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::cgroups::devices::{Loop, lacks_loop_devices, maker};
use crate::cgroups::{group, is_v2, lacks_v1, until};
use crate::support::*;

crate::tests![
    all if needs_groups;
    a_paused_container_stands_still,
    states_and_their_texts,
    exec_is_refused_or_waits,
    a_created_container_can_be_paused,
    signals_wait_and_sigkill_does_not,
    a_group_above_that_is_frozen_is_named if lacks_v1,
    what_cannot_be_frozen_is_thawed_again if lacks_slow_devices,
];

fn lacks_slow_devices() -> Option<&'static str> {
    lacks_v1().or_else(lacks_loop_devices)
}

fn a_paused_container_stands_still() {
    let b = Bundle::new(&["sh", "-c", "while :; do echo >> /tmp/n; sleep 0.01; done"]);
    b.run_detached();
    let size = || std::fs::metadata(b.rootfs().join("tmp/n")).map_or(0, |m| m.len());
    wait_until("it runs", || size() > 0);
    b.rrun(["pause", &b.id]).ok();
    let paused = size();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(size(), paused);
    b.rrun(["resume", &b.id]).ok();
    wait_until("it goes on", || size() > paused);
}

fn states_and_their_texts() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["resume", &b.id]).fails_with("container not paused");
    for verb in ["pause", "resume"] {
        let done = b.rrun([verb, &b.id]);
        assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "", ""), "{verb}");
    }
    b.rrun(["pause", &b.id]).ok();
    b.rrun(["pause", &b.id]).fails_with("container not running (hint: it is paused already)");
    b.rrun(["start", &b.id]).fails_with("cannot start a container in the paused state");
    b.rrun(["delete", &b.id]).fails_with(&format!("cannot delete container {} that is not stopped: paused", b.id));
    assert_eq!(b.rrun(["ps", "-f", "json", &b.id]).ok(), format!("[{}]\n", b.state()["pid"]));
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.rrun(["pause", &b.id]).fails_with("container not running");
    b.rrun(["resume", &b.id]).fails_with("container not paused");
}

fn exec_is_refused_or_waits() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["pause", &b.id]).ok();
    let done = b.rrun(["exec", &b.id, "true"]);
    assert_eq!(done.code, 255);
    assert_eq!(done.err, "exec failed: cannot exec in a paused container (use --ignore-paused to override)\n");
    let mut waiting = b
        .command(["exec", "--ignore-paused", &b.id, "echo", "at last"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start rrun");
    std::thread::sleep(Duration::from_millis(100));
    assert!(waiting.try_wait().expect("wait").is_none(), "it ran in a frozen group");
    b.rrun(["resume", &b.id]).ok();
    let done: Done = waiting.wait_with_output().expect("wait").into();
    assert_eq!(done.ok(), "at last\n");
}

fn a_created_container_can_be_paused() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    b.rrun(["pause", &b.id]).ok();
    assert_eq!(b.state()["status"], "paused");
    b.rrun(["resume", &b.id]).ok();
    assert_eq!(b.state()["status"], "created");
    b.rrun(["start", &b.id]).ok();
    assert_eq!(b.state()["status"], "running");
}

fn signals_wait_and_sigkill_does_not() {
    let b = Bundle::new(&["sh", "-c", "trap 'echo > /tmp/got' TERM; echo > /tmp/ready; while :; do sleep 0.01; done"]);
    b.run_detached();
    wait_until("it listens", || b.rootfs().join("tmp/ready").exists());
    b.rrun(["pause", &b.id]).ok();
    b.rrun(["kill", &b.id, "TERM"]).ok();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!b.rootfs().join("tmp/got").exists());
    b.rrun(["resume", &b.id]).ok();
    wait_until("the signal comes", || b.rootfs().join("tmp/got").exists());
    b.rrun(["pause", &b.id]).ok();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
}

fn a_group_above_that_is_frozen_is_named() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let above = format!("above-{}", b.id);
    b.config["linux"]["cgroupsPath"] = json!(format!("/{above}/{}", b.id));
    b.run_detached();
    let file = group(&b, "freezer").parent().expect("above").join("freezer.state");
    std::fs::write(&file, "FROZEN").expect("freeze it from above");
    until("frozen", || b.state()["status"] == "paused");
    b.rrun(["resume", &b.id]).fails_with("a group above is frozen");
    std::fs::write(&file, "THAWED").expect("thaw");
    assert_eq!(b.state()["status"], "running");
    b.rrun(["delete", "--force", &b.id]).ok();
    for dir in groups_named(&above) {
        std::fs::remove_dir(dir).expect("rmdir");
    }
}

/// A process that waits for its device cannot be frozen before the device answers.
fn what_cannot_be_frozen_is_thawed_again() {
    assert!(!is_v2());
    let mut b = maker(&["true"], json!([{"allow": true, "type": "b", "major": 7, "access": "rwm"}]));
    let disk = Loop::new(&b);
    let minor = disk.minor();
    let script = format!("mknod /dev/d b 7 {minor} && dd if=/dev/zero of=/dev/d oflag=direct bs=512k count=1 & sleep 1000");
    b.config["process"]["args"] = json!(["sh", "-c", script]);
    b.config["linux"]["resources"]["blockIO"] = json!({"throttleWriteBpsDevice": [{"major": 7, "minor": minor, "rate": 4096}]});
    b.run_detached();
    let blkio = group(&b, "blkio");
    until("dd waits for the device", || {
        let procs = std::fs::read_to_string(blkio.join("cgroup.procs")).expect("read");
        procs.lines().any(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains("(dd) D")))
    });
    b.rrun(["pause", &b.id]).fails_with("it stays at FREEZING");
    assert_eq!(b.state()["status"], "running", "half frozen is worst");
    b.rrun(["exec", &b.id, "true"]).ok();
    std::fs::write(blkio.join("blkio.throttle.write_bps_device"), format!("7:{minor} 0")).expect("lift the limit");
}
