//! What is remembered of a container between two commands: `<root>/<id>/state.json` (runc's shape, for scripts) and
//! `rrun.json` (ours, versioned).
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Hooks;
use serde::{Deserialize, Serialize};

use crate::concepts::{cgroups, layers};
use crate::error::Result;

/// The lifecycle of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made (seen by hooks only).
    Creating,
    /// Made; waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// Frozen.
    Paused,
    /// init is gone.
    Stopped,
}

/// Everything later commands need to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The container id.
    pub id: String,
    /// ociVersion of the bundle's config.
    pub oci_version: String,
    /// init's pid on the host; 0 while it is not yet known.
    pub pid: i32,
    /// init's start time in clock ticks since boot (proc_pid_stat(5), field 22): with pid, its identity.
    pub start_time: u64,
    /// The boot id when it was made (/proc/sys/kernel/random/boot_id).
    pub boot_id: String,
    /// RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root directory, absolute.
    pub rootfs: PathBuf,
    /// The user who made it.
    pub owner: String,
    /// Whether it was made without root's rights.
    pub rootless: bool,
    /// The annotations of the config.
    pub annotations: HashMap<String, String>,
    /// The control groups.
    pub cgroups: cgroups::Record,
    /// The layers on disk.
    pub layers: Option<layers::Record>,
    /// The config's namespaces: (type as in the config, path joined if any).
    pub namespaces: Vec<(String, Option<PathBuf>)>,
    /// Hooks that run after this command has ended (poststart, poststop).
    pub hooks: Option<Hooks>,
    /// Whether the session keyring is the caller's (`--no-new-keyring`): exec follows.
    pub no_new_keyring: bool,
}

/// A container's directory below the state root, locked by this process.
#[derive(Debug)]
pub struct StateDir;

impl StateDir {
    /// Claims the id: makes `<root>/<id>` (0700) or fails with `container with given ID already exists`.
    pub fn create(_root: &Path, _id: &str) -> Result<Self> {
        Ok(Self)
    }
    /// Opens an existing container's directory, else `container does not exist`.
    pub fn open(_root: &Path, _id: &str) -> Result<Self> {
        Ok(Self)
    }
    /// Its descriptor's number, for init to close its copy.
    pub fn number(&self) -> std::os::fd::RawFd {
        -1
    }
    /// Its path.
    pub fn path(&self) -> &Path {
        Path::new("/")
    }
    /// Writes both files, each by rename.
    pub fn save(&self, _state: &State) -> Result<()> {
        Ok(())
    }
    /// Reads the state.
    pub fn load(&self) -> Result<State> {
        Err(crate::error::Error::new("container does not exist"))
    }
    /// Removes the directory with everything in it.
    pub fn remove(self) -> Result<()> {
        Ok(())
    }
}

impl State {
    /// Derives the status from the world: process there, exec fifo there, groups frozen.
    pub fn status(&self, _dir: &StateDir) -> Result<Status> {
        Ok(Status::Stopped)
    }
    /// The state document of the specification, as hooks get it on stdin (one line).
    pub fn oci_json(&self, _status: Status) -> Vec<u8> {
        vec![]
    }
}

/// The start time of a process in clock ticks since boot; `None` when it is gone or a zombie.
pub fn start_time(_pid: i32) -> Option<u64> {
    None
}
