//! `start`: opens the gate at which a created container waits (runtime-spec, runtime.md, Start).
//!
//! What could fail inside has failed in `create` already, but execve itself: its reason comes through the gate, so that a
//! program that cannot run is an error here and not a container that silently ends.

use std::os::fd::AsFd;

use super::{Outcome, audit};
use crate::cli::Global;
use crate::concepts::hooks::{self, Kind};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::process::gate;
use crate::process::notify::{self, Notify};
use crate::state::{StateDir, Status, start_time};
use crate::sys::process::{pidfd_open, pidfd_signal};

/// Starts the container `id`. The error of a program that cannot be executed after all is reported here.
pub fn run(global: &Global, id: &str, journal: &mut Journal) -> Result<Outcome> {
    let dir = StateDir::open(&global.root, id)?;
    let state = dir.load()?;
    match state.status(&dir)? {
        Status::Created => {}
        Status::Running => return Err(Error::new("cannot start an already running container")),
        Status::Stopped => return Err(Error::new("cannot start a container that has stopped")),
        other => return Err(Error::new(format!("cannot start a container in the {other} state"))),
    }
    let pidfd = pidfd_open(state.pid).at(|| "open container init")?;
    // The pid may have been recycled between the look at the state and the open.
    if start_time(state.pid) != Some(state.start_time) {
        return Err(Error::new("cannot start a container that has stopped"));
    }
    // Before the program can have anything to say.
    let manager = notify::address(std::env::var_os("NOTIFY_SOCKET"));
    let notify = manager.map_or(Ok(None), |manager| Notify::listen(dir.path(), &manager))?;
    journal.audit(|| audit::event(global, id, "start"), None)?;
    gate::open_gate(dir.path(), pidfd.as_fd())?;
    let hooks = hooks::plan_hooks(state.hooks.as_ref())?;
    hooks::run(&hooks, Kind::Poststart, &state.oci_json(Status::Running)).inspect_err(|_| {
        pidfd_signal(pidfd.as_fd(), libc::SIGKILL).ok();
    })?;
    // The state is free for other commands while this one waits for the service.
    drop(dir);
    notify.map_or(Ok(()), |notify| notify.wait(state.pid, pidfd.as_fd()))?;
    Ok(Outcome::default())
}
