//! `trace`: runs a program, or a bundle as `run` does, with a recorder beside it; or watches a container that runs already.
//!
//! It stands here and not in the workshop because it starts containers: the recorder is the workshop's, the run is `run`'s.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Outcome, run};
use crate::cli::{CreateArgs, Global, RunArgs, TraceArgs};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::state::StateDir;
use crate::sys::fd;
use crate::workshop::trace::recorder::Recording;
use crate::workshop::trace::report::Report;
use crate::workshop::trace::{Call, attach, command, profile};

/// Records; the outcome's status is the program's.
pub fn run(global: &Global, args: &TraceArgs, journal: &mut Journal) -> Result<Outcome> {
    if args.merge.is_some() && args.emit.is_none() {
        return Err(Error::new("--merge needs --emit-profile").hint("name the new profile: --emit-profile FILE"));
    }
    let old = args.merge.as_deref().map(profile::read).transpose()?;
    // A sealed image that is a memory file gives its process the name of one, which would stand beside the first execve.
    nix::sys::prctl::set_name(c"rrun").at(|| "prctl PR_SET_NAME")?;
    let only_json = if args.json { Some(Divert::begin()?) } else { None };
    let recorded = record(global, args, journal);
    drop(only_json);
    let (status, calls, method) = recorded?;
    if let Some(path) = &args.emit {
        std::fs::write(path, profile::emit(&calls, old)).at(|| format!("write {}", path.display()))?;
    }
    let report = Report::new(calls, method, args.net);
    let text = if args.json { report.json(status) } else { report.text(&global.looks.stdout()) };
    Ok(Outcome { status: status.unwrap_or(0), text })
}

/// The program's status if it was ours to run, its calls, and how they were watched.
fn record(global: &Global, args: &TraceArgs, journal: &mut Journal) -> Result<(Option<i32>, Vec<Call>, &'static str)> {
    if args.program {
        let (status, calls) = command::run(&args.operands)?;
        return Ok((Some(status), calls, "notify"));
    }
    let operand = &args.operands[0];
    let id = operand.to_str().filter(|id| !id.contains('/') && global.root.join(id).is_dir());
    match id {
        Some(id) => {
            let state = StateDir::read(&global.root, id)?.load()?;
            state.init()?.ok_or_else(|| Error::new("container not running"))?;
            attach::record(&state, args.limit, args.quiet, &global.looks).map(|calls| (None, calls, "ptrace"))
        }
        None if args.limit.is_some() => {
            Err(Error::new("--for is for a container that runs already").hint("a bundle is traced until its program ends"))
        }
        None => bundle(global, operand, journal).map(|(status, calls)| (Some(status), calls, "notify")),
    }
}

fn bundle(global: &Global, operand: &OsString, journal: &mut Journal) -> Result<(i32, Vec<Call>)> {
    let dir = Path::new(operand);
    if !dir.join("config.json").exists() {
        let said = crate::log::value(&operand.to_string_lossy());
        let error = Error::new(format!("{said} is no container here, nor a bundle"));
        return Err(error.hint("a bundle is a folder with config.json, and a program stands behind --; see rrun list"));
    }
    let recording = Recording::begin()?;
    let (bundle, recorder) = (Some(PathBuf::from(dir)), Some(recording.recorder.clone()));
    let create = CreateArgs { bundle, recorder, ..CreateArgs::default() };
    let outcome = run::run(global, &RunArgs { create, ..RunArgs::default() }, journal)?;
    Ok((outcome.status, recording.end()?))
}

/// While it lives, what the program prints goes to stderr: stdout is for one document.
struct Divert(std::os::fd::OwnedFd);

impl Divert {
    fn begin() -> Result<Self> {
        use std::os::fd::AsFd;
        let stdout = fd::inherited(1).and_then(|own| own.as_fd().try_clone_to_owned()).at(|| "dup stdout")?;
        fd::inherited(2).and_then(|stderr| fd::place(stderr, 1)).at(|| "dup2 stderr")?;
        Ok(Self(stdout))
    }
}

impl Drop for Divert {
    fn drop(&mut self) {
        use std::os::fd::AsFd;
        // It was stdout before; there is nowhere else to say that it cannot be again.
        fd::place(self.0.as_fd(), 1).ok();
    }
}
