//! `pause`: freezes every process of a container (cgroups(7), freezer).
//!
//! The freezer stops processes that could ignore or see a SIGSTOP. It works on the group, so a process that forks while
//! it is frozen does not escape.

use super::Outcome;
use crate::cli::Global;
use crate::concepts::cgroups::{self, Freezer};
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::state::{StateDir, Status};

/// Freezes; `container not running` unless it is running or created.
pub fn run(global: &Global, id: &str, _journal: &mut Journal) -> Result<Outcome> {
    let dir = StateDir::read(&global.root, id)?;
    let state = dir.load()?;
    match state.status(&dir)? {
        Status::Running | Status::Created => {}
        Status::Paused => return Err(Error::new("container not running").hint("it is paused already")),
        _ => return Err(Error::new("container not running")),
    }
    if state.cgroups.paths.is_empty() {
        let hint = "it was made without one for lack of privilege: make it where a cgroup is delegated, or with --systemd-cgroup";
        return Err(Error::new("cannot pause a container without a cgroup").code("E-DELEGATE").hint(hint));
    }
    if let Err(error) = cgroups::freeze(&state.cgroups, Freezer::Frozen) {
        // Half frozen, it would hang everybody who waits for it. The first error is the one to report.
        return Err(match cgroups::freeze(&state.cgroups, Freezer::Thawed) {
            Ok(()) => error,
            Err(second) => error.hint(format!("it may be partly frozen still ({second}); try rrun resume {id}")),
        });
    }
    Ok(Outcome::default())
}
