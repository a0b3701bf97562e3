//! `delete`: removes what is left of a container, in the specification's order: processes, groups, layers, state; then the
//! poststop hooks.
//!
//! `--force` is the engines' last resort. It works on every wreck that a killed `create` or `delete` can leave: each step
//! takes what is missing for done.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Outcome;
use super::kill::{self, NOT_RUNNING};
use crate::cli::{DeleteArgs, Global};
use crate::concepts::{cgroups, hooks, layers};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::state::{MISSING, State, StateDir, Status};
use crate::sys::process::{pidfd_open, pidfd_signal};

/// How long init may take to die after SIGKILL: it may hold much memory, or wait for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes a stopped or created container; with `--force` any, and none is no error.
pub fn run(global: &Global, args: &DeleteArgs, journal: &mut Journal) -> Result<Outcome> {
    let mut dir = match StateDir::read(&global.root, &args.id) {
        Err(e) if args.force && e.op_text() == MISSING => return Ok(Outcome::default()),
        dir => dir?,
    };
    if args.force {
        return match force(dir, journal) {
            // Whoever held it, or another delete, was faster.
            Err(e) if e.op_text() == MISSING => Ok(Outcome::default()),
            done => done.map(|()| Outcome::default()),
        };
    }
    // Asked before the lock as well: a foreground `run` may hold it for as long as the container lives.
    check_deletable(&dir, &dir.load()?)?;
    dir.acquire()?;
    let state = dir.load()?;
    if check_deletable(&dir, &state)? == Status::Created {
        end(&state)?;
    }
    destroy(dir, &state, journal).map(|()| Outcome::default())
}

fn check_deletable(dir: &StateDir, state: &State) -> Result<Status> {
    match state.status(dir)? {
        status @ (Status::Stopped | Status::Created) => Ok(status),
        status => {
            let said = format!("cannot delete container {} that is not stopped: {status}", state.id);
            Err(Error::new(said)
                .code("E-NOTSTOPPED")
                .hint(format!("stop it first: rrun kill {0}, or rrun delete --force {0}", state.id)))
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

/// Kills init and all that lives in the groups, and waits until they are gone.
fn end(state: &State) -> Result<()> {
    if let Some(init) = state.init()? {
        match kill::send(state, libc::SIGKILL) {
            Err(e) if e.op_text() != NOT_RUNNING => return Err(e),
            _ => wait_for_end(init.as_fd(), &state.id)?,
        }
    }
    cgroups::kill_all(&state.cgroups)
}

fn wait_for_end(init: BorrowedFd, id: &str) -> Result<()> {
    let timeout = PollTimeout::try_from(PATIENCE).expect("ten seconds fit");
    loop {
        match poll(&mut [PollFd::new(init, PollFlags::POLLIN)], timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(0) => {
                return Err(Error::new("container init still running")
                    .hint(format!("it was killed, but waits for something in the kernel; try again: rrun delete --force {id}")));
            }
            ended => return ended.map(drop).at(|| "poll the end of init"),
        }
    }
}

/// Removes groups, layers and state of a container whose init has ended, then runs its poststop hooks, whose failure is a
/// warning. Used by `run` as well. What fails leaves the state, so that it can be tried again.
pub fn destroy(dir: StateDir, state: &State, journal: &mut Journal) -> Result<()> {
    cgroups::kill_all(&state.cgroups)?;
    cgroups::remove(&state.cgroups)?;
    if let Some(record) = &state.layers {
        layers::remove(record)?;
    }
    dir.remove()?;
    let Some(hooks) = &state.hooks else { return Ok(()) };
    let failed = match hooks::plan_hooks(Some(hooks)) {
        Ok(plan) => hooks::run_all(&plan, hooks::Kind::Poststop, &state.oci_json(Status::Stopped)),
        Err(error) => vec![error],
    };
    failed.iter().for_each(|error| journal.warnings().add(error.to_string()));
    Ok(())
}
