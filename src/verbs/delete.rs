//! `delete`: removes what is left of a container, in the specification's order: processes, groups, layers, state; then the
//! poststop hooks.
//!
//! `--force` is the engines' last resort. It works on every wreck that a killed `create` or `delete` can leave: each step
//! takes what is missing for done.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Outcome, kill};
use crate::cli::{DeleteArgs, Global};
use crate::concepts::{cgroups, hooks, layers};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::state::{State, StateDir, Status};

/// How long init may take to die after SIGKILL: it may hold much memory, or wait for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes a stopped or created container; with `--force` any, and none is no error.
pub fn run(global: &Global, args: &DeleteArgs, journal: &mut Journal) -> Result<Outcome> {
    let mut dir = match StateDir::read(&global.root, &args.id) {
        Err(e) if args.force && e.op_text() == "container does not exist" => return Ok(Outcome::default()),
        dir => dir?,
    };
    if args.force {
        return force(dir, journal).map(|()| Outcome::default());
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
        // A command holds it: a create that hangs in a hook, perhaps. Without its container it will give up.
        if let Some(state) = dir.salvage() {
            end(&state)?;
        }
        match dir.acquire() {
            // It cleaned up after itself.
            Err(e) if e.op_text() == "container does not exist" => return Ok(()),
            acquired => acquired?,
        }
    }
    let Some(state) = dir.salvage() else {
        // Nothing is known of it: it was killed before it made anything, as its record comes first.
        return dir.remove();
    };
    end(&state)?;
    destroy(dir, &state, journal)
}

/// Kills init and all that lives in the groups, and waits until they are gone.
fn end(state: &State) -> Result<()> {
    if let Some(init) = state.init()? {
        match kill::send(state, libc::SIGKILL) {
            Err(e) if e.op_text() != "container not running" => return Err(e),
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
