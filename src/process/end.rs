//! The end of a container: signalled, waited for, taken away (pidfd_send_signal(2), cgroups(7)).
//!
//! Signals go by pidfd only: between reading a pid and signalling it, the pid may have become another process of the host.
//! The death of init is the end of a PID namespace of the container's own. Without one, what init started outlives it, with
//! whatever it may do to the host: then the groups say who is to be killed.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::mapped;
use crate::concepts::cgroups::{self, Freezer};
use crate::concepts::users::Maps;
use crate::concepts::{hooks, layers, rdt};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::state::{MISSING, State, StateDir, Status, boot_id};
use crate::sys::process::pidfd_signal;

/// What engines take for "gone already".
pub const NOT_RUNNING: &str = "container not running";

/// How long init may take to die after SIGKILL: it may hold much memory, or wait for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends `signal` to init, and SIGKILL to all when init's death would not end them.
pub fn signal(state: &State, signal: i32) -> Result<()> {
    let kill = signal == libc::SIGKILL;
    if kill && !state.has_own_pid_namespace() && !state.cgroups.shared && !cgroups::pids(&state.cgroups)?.is_empty() {
        return cgroups::kill_all(&state.cgroups);
    }
    let gone = || match boot_id() {
        Ok(id) if id != state.boot_id => Error::new(NOT_RUNNING)
            .code("E-STALE")
            .hint(format!("it ran before the machine was started anew; rrun delete {}", state.id)),
        _ => Error::new(NOT_RUNNING),
    };
    let init = state.init()?.ok_or_else(gone)?;
    match pidfd_signal(init.as_fd(), signal) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Err(gone()),
        sent => sent.at(|| format!("signal init of container {}", state.id))?,
    }
    // v1 delivers not even SIGKILL to a frozen process; v2 does.
    if kill && state.cgroups.paths.contains_key("freezer") && cgroups::freezer(&state.cgroups)? == Freezer::Frozen {
        cgroups::freeze(&state.cgroups, Freezer::Thawed)?;
    }
    Ok(())
}

/// Kills init and all that lives in the groups, and waits until they are gone.
pub fn end(state: &State) -> Result<()> {
    if let Some(init) = state.init()? {
        match signal(state, libc::SIGKILL) {
            Err(e) if e.op_text() != NOT_RUNNING => return Err(e),
            _ => wait_for_end(init.as_fd(), &state.id)?,
        }
    }
    kill_rest(state)
}

/// Kills what did not end with init: without a PID namespace of the container's own what init started; after a `create` that
/// was killed, init itself. But where the end of the namespace was the end of all that was in it, whoever is still in the
/// groups was put there by somebody else, and is not ours to kill.
fn kill_rest(state: &State) -> Result<()> {
    if state.pid > 0 && state.has_own_pid_namespace() { Ok(()) } else { cgroups::kill_all(&state.cgroups) }
}

/// Kills a child of rrun and buries it; false if it cannot die now, as in a group that is frozen from above.
pub(super) fn end_child(child: BorrowedFd) -> bool {
    // It may be dead already, which is as good.
    pidfd_signal(child, libc::SIGKILL).ok();
    let dead = wait_for_end(child, "").is_ok();
    if dead {
        // ECHILD: whoever learnt how it died has buried it.
        waitid(Id::PIDFd(child), WaitPidFlag::WEXITED).ok();
    }
    dead
}

/// The same of one that is not yet known to who undoes things. If it cannot die now, it will once it hears that nobody listens.
pub(super) fn end_unknown(child: BorrowedFd) {
    end_child(child);
}

fn wait_for_end(init: BorrowedFd, id: &str) -> Result<()> {
    let timeout = PollTimeout::try_from(PATIENCE).expect("ten seconds fit");
    loop {
        match poll(&mut [PollFd::new(init, PollFlags::POLLIN)], timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(0) => {
                let hint = format!("it was killed, but waits for something in the kernel; try again: rrun delete --force {id}");
                return Err(Error::new("container init still running").hint(hint));
            }
            ended => return ended.map(drop).at(|| "poll the end of init"),
        }
    }
}

/// Takes the layers away. `maps`: where the caller lacks privilege, the ids that what is in them may belong to.
pub(super) fn remove_layers(record: &layers::Record, maps: Option<&Maps>) -> Result<()> {
    match (layers::remove(record), maps) {
        (Err(e), Some(maps)) if matches!(e.errno(), Some(libc::EACCES | libc::EPERM)) => {
            mapped::as_root_of(maps, || layers::remove(record))
        }
        (removed, _) => removed,
    }
}

/// Removes groups, layers and state of a container whose init has ended, then runs its poststop hooks, whose failures are
/// warnings. What fails leaves the state, so that it can be tried again. If the lock was given back meanwhile, it is taken
/// again; what somebody else removed then is no error.
pub fn destroy(mut dir: StateDir, state: &State, journal: &mut Journal) -> Result<()> {
    match dir.acquire() {
        Err(e) if e.op_text() == MISSING => return Ok(()),
        acquired => acquired?,
    }
    kill_rest(state)?;
    cgroups::remove(&state.cgroups)?;
    state.rdt.iter().try_for_each(rdt::remove)?;
    if let Some(record) = &state.layers {
        remove_layers(record, state.id_maps.as_ref())?;
    }
    dir.remove()?;
    // The plan was found good when the container was made; a failure here is as late as a failing hook.
    let failed = match hooks::plan_hooks(state.hooks.as_ref()) {
        Ok(plan) => hooks::run_all(&plan, hooks::Kind::Poststop, &state.oci_json(Status::Stopped)),
        Err(error) => vec![error],
    };
    failed.into_iter().for_each(|error| journal.warnings().add(error.to_string()));
    Ok(())
}
