//! `resume`: lets a paused container go on (cgroups(7), freezer).
//!
//! A frozen process cannot be ended by its own container, and on v1 not even by SIGKILL: thawing is how everything that
//! was stopped in between takes effect.

use super::Outcome;
use crate::cli::Global;
use crate::concepts::cgroups::{self, Freezer};
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::state::{StateDir, Status};

/// Thaws; `container not paused` unless it is paused.
pub fn run(global: &Global, id: &str, _journal: &mut Journal) -> Result<Outcome> {
    let dir = StateDir::read(&global.root, id)?;
    let state = dir.load()?;
    if state.status(&dir)? != Status::Paused {
        return Err(Error::new("container not paused"));
    }
    cgroups::freeze(&state.cgroups, Freezer::Thawed)?;
    Ok(Outcome::default())
}
