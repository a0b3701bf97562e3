//! `delete`: removes what is left of a container, in the specification's order: processes, groups, layers, state; then the
//! poststop hooks.
//!
//! `--force` is the engines' last resort. It works on every wreck that a killed `create` or `delete` can leave: each step
//! takes what is missing for done.

use std::os::fd::AsFd;

use super::{Outcome, audit};
use crate::cli::{DeleteArgs, Global};
use crate::error::{At, Error, Result};
use crate::log::Journal;
pub use crate::process::end::destroy;
use crate::process::end::end;
use crate::state::{MISSING, State, StateDir, Status};
use crate::sys::process::{pidfd_open, pidfd_signal};

/// Deletes a stopped or created container; with `--force` any, and none is no error.
pub fn run(global: &Global, args: &DeleteArgs, journal: &mut Journal) -> Result<Outcome> {
    let delete = if args.force { force } else { deliberately };
    match StateDir::read(&global.root, &args.id).and_then(|dir| delete(dir, journal)) {
        // There is none, or somebody was faster.
        Err(e) if args.force && e.op_text() == MISSING => Ok(Outcome::default()),
        done => done.map(|()| Outcome::default()),
    }
}

fn deliberately(mut dir: StateDir, journal: &mut Journal) -> Result<()> {
    // Asked before the lock as well: a foreground `run` may hold it for as long as the container lives.
    check_deletable(&dir, &dir.load()?)?;
    dir.acquire()?;
    let state = dir.load()?;
    match check_deletable(&dir, &state)? {
        Status::Created => end(&state)?,
        _ => audit::exit(Some(&dir), &state, None, journal)?,
    }
    destroy(dir, &state, journal)
}

fn check_deletable(dir: &StateDir, state: &State) -> Result<Status> {
    match state.status(dir)? {
        status @ (Status::Stopped | Status::Created) => Ok(status),
        status => {
            let said = format!("cannot delete container {} that is not stopped: {status}", state.id);
            let hint = format!("stop it first: rrun kill {0}, or rrun delete --force {0}", state.id);
            Err(Error::new(said).code("E-NOTSTOPPED").hint(hint))
        }
    }
}

/// Kills whatever is left and removes it.
fn force(mut dir: StateDir, journal: &mut Journal) -> Result<()> {
    if !dir.try_acquire()? {
        take_over(&mut dir)?;
    }
    let Some(state) = dir.salvage() else {
        // Nothing is known of it: it was killed before it made anything, as its record comes first.
        return dir.remove();
    };
    end(&state)?;
    audit::exit(Some(&dir), &state, None, journal)?;
    destroy(dir, &state, journal)
}

/// Gets the lock from a command that holds it: a `run` in the foreground, or a `create` that hangs in a hook. Without its
/// container it gives up and cleans up; if it does not, it is ended as well.
fn take_over(dir: &mut StateDir) -> Result<()> {
    if let Some(state) = dir.salvage() {
        end(&state)?;
    }
    let Err(error) = dir.acquire() else { return Ok(()) };
    let Some(pid) = dir.holder() else { return Err(error) };
    let Ok(holder) = pidfd_open(pid) else { return dir.acquire() };
    // Compared after opening, so that the handle is of the process that holds the lock, not of one that got its pid.
    if dir.holder() == Some(pid) {
        pidfd_signal(holder.as_fd(), libc::SIGKILL).at(|| format!("end the command that holds container {}", dir.id()))?;
    }
    dir.acquire()
}
