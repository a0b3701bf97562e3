//! A container's record (`src/state`) together with what the kernel says of its first process now.
//!
//! The record says what was asked for, /proc what is. A pid in a record may be another process's by now, so `init` is there only if start
//! time and boot agree; a container that ends while one looks at it simply has none.

use std::path::Path;

use super::groups::Groups;
use super::{Process, processes};
use crate::error::Result;
use crate::process::members;
use crate::state::{State, StateDir, StateRoot, Status};

/// A container as it was recorded and as it is.
#[derive(Debug)]
pub struct Container {
    /// What was recorded.
    pub state: State,
    /// Created, running, … at this moment.
    pub status: Status,
    /// Its first process, while it is there.
    pub init: Option<Process>,
    /// Its config.json as it was when the container was made; empty when it is not kept.
    pub config: Vec<u8>,
}

impl Container {
    fn load(dir: &StateDir) -> Result<Self> {
        let state = dir.load()?;
        let status = state.status(dir)?;
        // Compared after opening: from then on the handle is of one process.
        let init = Process::open(state.pid).filter(|_| state.is_alive().unwrap_or(false));
        Ok(Self { state, status, init, config: dir.config().unwrap_or_default() })
    }

    /// Its cgroups.
    pub fn groups(&self) -> Groups {
        Groups::of_record(&self.state.cgroups)
    }

    /// The host pids of all its processes, sorted: by its groups, or without any by its pid namespace.
    pub fn pids(&self) -> Vec<i32> {
        let Some(init) = &self.init else { return vec![] };
        members::pids(&self.state).unwrap_or_else(|_| processes::below(init.pid))
    }
}

/// The container `id`; else `container does not exist`.
pub fn find(root: &Path, id: &str) -> Result<Container> {
    Container::load(&StateDir::read(root, id)?)
}

/// All containers of a state root that can be read, sorted by id; none where there is no such directory.
pub fn all(root: &Path) -> Result<Vec<Container>> {
    let root = match StateRoot::open(root) {
        Err(e) if e.errno() == Some(libc::ENOENT) => return Ok(vec![]),
        opened => opened?,
    };
    // One that goes away or is damaged must not hide the others; `list` speaks of it.
    let load = |id: &String| Container::load(&root.container(id).ok()?).ok();
    Ok(root.ids()?.iter().filter_map(load).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_not_there_has_no_containers() {
        assert!(all(Path::new("/nonexistent/rrun")).expect("no error").is_empty());
        assert!(find(Path::new("/nonexistent/rrun"), "web").is_err());
    }
}
