//! Groups that are frozen, themselves or from above: a clear error in place of a start that waits for ever, and nothing that cannot be
//! removed later.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use super::{finish, processes_of};
use crate::cgroups::{is_v2, lacks_v1};
use crate::support::*;

crate::tests![
    a_frozen_group_is_an_error if needs_frozen_groups,
    a_container_that_is_frozen_from_above_can_be_deleted_later if needs_frozen_groups,
    a_start_below_a_frozen_group_is_an_error if needs_v2,
    what_is_frozen_from_above_is_said_and_can_be_deleted if needs_v2,
];

fn needs_frozen_groups() -> Option<&'static str> {
    needs_root().or(lacks_v1())
}

fn needs_v2() -> Option<&'static str> {
    needs_root().or((!is_v2()).then_some("needs pure cgroup v2"))
}

/// As [`wait_until`], but for a minute: some things are given up after ten seconds only.
#[track_caller]
fn wait_until_late(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < super::PATIENCE, "not within a minute: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// A group of the test's own where the freezer is, around the container's.
struct Above(String);

impl Above {
    fn new(b: &mut Bundle) -> Self {
        let name = format!("{}-above", b.id);
        b.config["linux"]["cgroupsPath"] = json!(format!("/{name}/{}", b.id));
        let above = Self(name);
        std::fs::create_dir(above.path()).expect("make a group");
        above
    }

    fn path(&self) -> std::path::PathBuf {
        Path::new(if is_v2() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/freezer" }).join(&self.0)
    }

    fn set(&self, state: &str) {
        let (file, state) =
            if is_v2() { ("cgroup.freeze", if state == "FROZEN" { "1" } else { "0" }) } else { ("freezer.state", state) };
        std::fs::write(self.path().join(file), state).expect("the freezer");
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        self.set("THAWED");
        if std::thread::panicking() {
            return;
        }
        // Others made by rrun on the way to its own.
        wait_until("the groups can go", || {
            groups_named(&self.0).iter().for_each(|group| drop(std::fs::remove_dir(group)));
            groups_named(&self.0).is_empty()
        });
    }
}

fn a_frozen_group_is_an_error() {
    let mut b = Bundle::new(&["true"]);
    let above = Above::new(&mut b);
    above.set("FROZEN");
    // To a log, since frozen init holds on to stderr.
    let log = b.scratch("log");
    let mut command = b.write().command(["--log", log.to_str().expect("UTF-8"), "run", &b.id]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
    wait_until_late("run gives up", || run.try_wait().expect("wait").is_some());
    let said = std::fs::read_to_string(&log).expect("the log");
    assert!(said.contains("container init is frozen"), "{said}");
    // What cannot die now is kept in mind.
    let done = finish(b.command(["delete", "--force", &b.id]));
    assert!(done.code == 1 && done.err.contains("a group above is frozen"), "{done:?}");
    above.set("THAWED");
    b.rrun(["delete", "--force", &b.id]).ok();
    wait_until("init is gone", || processes_of(&b.id).is_empty());
    b.assert_no_trace();
}

/// v2 lets the frozen die, so nothing is left to be kept in mind.
fn a_start_below_a_frozen_group_is_an_error() {
    let mut b = Bundle::new(&["true"]);
    let above = Above::new(&mut b);
    above.set("FROZEN");
    let done = finish(b.write().command(["run", &b.id]));
    assert!(done.code == 1 && done.err.contains("container init is frozen"), "{done:?}");
    wait_until("init is gone", || processes_of(&b.id).is_empty());
    above.set("THAWED");
    b.assert_no_trace();
    assert_eq!(finish(b.command(["run", &b.id])).code, 0);
}

fn what_is_frozen_from_above_is_said_and_can_be_deleted() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let above = Above::new(&mut b);
    b.run_detached();
    above.set("FROZEN");
    wait_until("it is frozen", || b.state()["status"] == "paused");
    for (args, said) in [(&["exec", &b.id, "true"][..], "paused"), (&["resume", &b.id], "a group above is frozen")] {
        let done = finish(b.command(args.iter().copied()));
        assert!(done.code != 0 && done.err.contains(said), "{args:?}: {done:?}");
    }
    b.rrun(["delete", "--force", &b.id]).ok();
    above.set("THAWED");
    b.assert_no_trace();
}

fn a_container_that_is_frozen_from_above_can_be_deleted_later() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let above = Above::new(&mut b);
    b.run_detached();
    above.set("FROZEN");
    wait_until("it is frozen", || b.state()["status"] == "paused");
    for args in [&["delete", "--force", &b.id][..], &["kill", &b.id, "KILL"], &["exec", &b.id, "true"], &["delete", &b.id]] {
        let done = finish(b.command(args.iter().copied()));
        assert!(done.code != 0 && !done.err.trim().is_empty(), "{args:?}: {done:?}");
    }
    above.set("THAWED");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}
