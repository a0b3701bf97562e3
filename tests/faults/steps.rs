//! Each step of the plan fails, before it is taken, after it, and by the sudden death of its process.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rrun::plan::{Side, Step};

use super::{KINDS, Kind, Probe, finish};
use crate::support::*;

crate::tests![
    all if needs_root;
    a_failed_step_undoes_all_before_it if needs_faults,
    a_failed_step_of_a_process_in_the_container_ends_it if needs_faults,
    a_failed_start_is_reported if needs_faults,
    a_release_cannot_be_told_to_fail if needs_release,
];

/// Only a build with debug assertions fails on demand.
fn needs_faults() -> Option<&'static str> {
    let told = Command::new("grep").args(["-qF", "RRUN_FAULT"]).arg(rrun_path()).status();
    (!told.is_ok_and(|s| s.success())).then_some("needs a rrun with debug assertions")
}

/// The release beside the binary under test, if it was built.
fn release() -> Option<std::path::PathBuf> {
    let beside = rrun_path().parent().and_then(Path::parent).map(|target| target.join("release/rrun"));
    beside.filter(|p| p.exists())
}

fn needs_release() -> Option<&'static str> {
    release().is_none().then_some("needs a release build beside the binary under test")
}

/// Steps at which no error reaches anybody: what `run` does not take, what is tried again, what does not come back.
fn is_silent(step: Step, way: &str) -> bool {
    match step {
        // Only a joined namespace, a gate.
        Step::Join | Step::Gate => true,
        // Tried again as the user.
        Step::Directory => way != "killed",
        Step::Execve => way == "after",
        _ => false,
    }
}

fn a_failed_step_undoes_all_before_it() {
    let mut failed = BTreeSet::new();
    for kind in KINDS {
        let probe = Probe::new(kind);
        for (step, way) in Step::ALL.into_iter().flat_map(|s| ["before", "after", "killed"].map(|w| (s, w))) {
            let fault = format!("{step:?}:{way}");
            let what = format!("{kind:?}, {fault}");
            let mut command = probe.bundle.command(["run", &probe.bundle.id]);
            command.env("RRUN_FAULT", &fault);
            let done = finish(command);
            let parent_died = way == "killed" && done.code == 137 && step.side() == Side::Parent;
            if parent_died {
                // As after SIGKILL: nobody was left to undo anything.
                probe.force(&what);
                failed.insert(fault);
                continue;
            }
            let ran = probe.judge(&done).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(probe.left(), None, "{what}: {}", done.err);
            if !ran {
                let named = way == "killed" || done.err.contains(&format!("step {step:?} failed on demand"));
                assert!(named, "{what}: {}", done.err);
                failed.insert(fault);
            }
        }
    }
    let all = Step::ALL.into_iter().flat_map(|s| ["before", "after", "killed"].map(|w| (s, w)));
    let never: Vec<String> =
        all.filter(|(s, w)| !is_silent(*s, w)).map(|(s, w)| format!("{s:?}:{w}")).filter(|f| !failed.contains(f)).collect();
    assert!(never.is_empty(), "these never failed a start, so nothing was tested: {never:?}");
}

fn a_failed_step_of_a_process_in_the_container_ends_it() {
    let mut probe = Probe::new(Kind::Plain);
    let id = probe.bundle.id.clone();
    let program = std::mem::replace(&mut probe.bundle.config["process"]["args"], serde_json::json!(["sleep", "1000"]));
    probe.bundle.run_detached();
    probe.bundle.config["process"]["args"] = program;
    let before = processes_in(&probe);
    for (step, way) in Step::ALL.into_iter().flat_map(|s| ["before", "after", "killed"].map(|w| (s, w))) {
        let what = format!("exec, {step:?}:{way}");
        let mut command = probe.bundle.command(["exec", &id, "/bin/sh", "-c", "echo ran; exec /bin/witness"]);
        command.env("RRUN_FAULT", format!("{step:?}:{way}"));
        let done = finish(command);
        if let Some(said) = done.out.strip_prefix("ran\n") {
            let mut seen: serde_json::Value = serde_json::from_str(said).unwrap_or_else(|e| panic!("{what}: {e}: {said:?}"));
            seen["pid"] = serde_json::json!(1);
            assert_eq!(probe.unprotected(&seen), None, "{what}");
        } else {
            let parent_died = way == "killed" && done.code == 137;
            assert!(parent_died || (done.code == 255 && !done.err.is_empty()), "{what}: {} {}", done.code, done.err);
        }
        wait_until(&format!("{what}: only init is left"), || processes_in(&probe) == before);
    }
    probe.force("exec");
}

/// How many processes are in the container.
fn processes_in(probe: &Probe) -> usize {
    let listed = probe.bundle.rrun(["ps", "--format", "json", &probe.bundle.id]).ok();
    listed.split(',').count()
}

/// What fails behind the gate is the error of `start`.
fn a_failed_start_is_reported() {
    for (fault, said) in [
        ("StartHooks:before", "step StartHooks failed on demand"),
        ("SeccompLate:before", "step SeccompLate failed on demand"),
        ("SeccompLate:after", "step SeccompLate failed on demand"),
        ("Execve:before", "step Execve failed on demand"),
        ("Gate:before", "container process is already dead"),
    ] {
        let probe = Probe::new(Kind::Plain);
        let mut create = probe.bundle.command(["create", &probe.bundle.id]);
        create.env("RRUN_FAULT", fault).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(create.status().expect("start rrun").success(), "{fault}");
        let done = finish(probe.bundle.command(["start", &probe.bundle.id]));
        assert!(done.code == 1, "{fault}: {done:?}");
        let gone = ["cannot start a container that has stopped", said];
        assert!(gone.iter().any(|text| done.err.contains(text)), "{fault}: {}", done.err);
        probe.force(fault);
    }
}

fn a_release_cannot_be_told_to_fail() {
    let text = std::fs::read(release().expect("asked before")).expect("read the release");
    let has = |word: &[u8]| text.windows(word.len()).any(|w| w == word);
    assert!(has(b"unable to start container process"), "texts of the program can be found in it");
    assert!(!has(b"RRUN_FAULT") && !has(b"failed on demand"));
}
