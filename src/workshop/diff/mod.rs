//! `diff`: what a container changed in its root, read from its writable layer (overlayfs).
//!
//! The layer holds only what differs: a changed file is there whole, a removed one as a whiteout (a character device 0:0), a
//! directory made anew over an old one is marked opaque. All of it is the container's to choose, and it may be changing: every
//! look is at a handle that the kernel resolved below the layer, through no link and no mount (openat2(2)), and no file of the
//! container is opened. What matters most to a host is marked: new setuid programs, file capabilities, device nodes.

mod show;
mod walk;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::cli::DiffArgs;
use crate::error::{At, Error, Result};
use crate::process::mapped;
use crate::state::{State, StateDir};
use crate::style::Looks;
use crate::workshop::progress::Progress;
pub use walk::read;

/// What happened to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// It was not there.
    Added,
    /// It was there, and is another now.
    Changed,
    /// It is gone.
    Deleted,
}

/// What a file is, as fstat(2) tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Type and mode.
    pub mode: u32,
    /// Owner, as the host numbers it.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length in bytes.
    pub size: u64,
    /// Bytes on disk.
    pub used: u64,
    /// When its content changed last.
    pub modified: (i64, i64),
    /// Its number, of a device node.
    pub device: u64,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// Where, from `/` on; not for printing.
    pub path: PathBuf,
    /// What it is now.
    pub now: Option<Look>,
    /// What it was.
    pub before: Option<Look>,
    /// Whether it is a directory that hides all that was in it.
    pub opaque: bool,
    /// What a host should know.
    pub warning: Option<String>,
}

/// All changes of a container's root, by path.
pub fn changes(state: &State, progress: &mut Progress) -> Result<Vec<Change>> {
    let Some((upper, lower)) = state.layers.as_ref().and_then(|layers| layers.writable()) else {
        let error = Error::new(format!("container {} has no writable layer: it changes its root filesystem itself", state.id));
        return Err(error.hint("run it with a layer of its own: rrun run --overlay BUNDLE"));
    };
    progress.step(format!("reading what {} wrote", state.id));
    match (read(upper, lower, progress), &state.id_maps) {
        // Its files belong to ids that the user is not, but is root over.
        (Err(e), Some(maps)) if matches!(e.errno(), Some(libc::EACCES | libc::EPERM)) => {
            let mut told = File::from(memfd_create(c"diff", MFdFlags::MFD_CLOEXEC).at(|| "memfd_create")?);
            mapped::as_root_of(maps, || {
                let text = serde_json::to_vec(&read(upper, lower, progress)?).expect("plain data has a JSON form");
                (&told).write_all(&text).at(|| "send the changes")
            })?;
            let mut text = vec![];
            told.rewind().and_then(|()| told.read_to_end(&mut text)).at(|| "receive the changes")?;
            serde_json::from_slice(&text).map_err(|e| Error::new(format!("receive the changes: {e}")))
        }
        (read, _) => read,
    }
}

/// What is to be printed of the container that `args` names.
pub fn run(root: &Path, args: &DiffArgs, looks: &Looks) -> Result<String> {
    let mut progress = Progress::begin(args.quiet, looks);
    let changes = changes(&StateDir::read(root, &args.id)?.load()?, &mut progress)?;
    drop(progress);
    Ok(match (args.json, args.lists) {
        (true, _) => show::json(&args.id, &changes),
        (false, true) => show::lists(&changes),
        (false, false) => show::text(&changes, &looks.stdout()),
    })
}
