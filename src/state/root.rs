//! The state root: the directory of all containers (`--root`).
//!
//! Whoever writes there says which pids rrun kills and which directories it removes, as root. So one that others can write is
//! refused, and below it everything is opened by handle, without following links.

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::dir::{MISSING, StateDir};
use super::id::check_id;
use crate::error::{At, Error, Result};
use crate::suggest::closest;

/// What engines take for "the id is in use".
pub const TAKEN: &str = "container with given ID already exists";

/// The directory of all containers, checked to be ours.
#[derive(Debug)]
pub struct StateRoot {
    path: PathBuf,
    dir: OwnedFd,
}

impl StateRoot {
    /// Opens it; ENOENT when there is none. Refuses one that others can write: whoever writes there says which pids rrun
    /// kills and which directories it removes.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(path, flags, Mode::empty()).at(|| format!("open {}", path.display())).map_err(others)?;
        let stat = fstat(&dir).at(|| format!("stat {}", path.display()))?;
        let group_writes = stat.st_mode & 0o020 != 0;
        let foreign_group = group_writes && stat.st_gid != 0 && stat.st_gid != nix::unistd::getegid().as_raw();
        if stat.st_mode & 0o002 != 0 || foreign_group {
            let said = format!("state root {} is writable by others (mode {:04o})", path.display(), stat.st_mode & 0o7777);
            return Err(Error::new(said)
                .code("E-ROOTDIR")
                .hint(format!("chmod go-w {}, or choose another --root", path.display())));
        }
        if stat.st_uid != 0 && stat.st_uid != nix::unistd::geteuid().as_raw() {
            let said = format!("state root {} belongs to another user (uid {})", path.display(), stat.st_uid);
            return Err(Error::new(said).code("E-ROOTDIR").hint("choose another --root"));
        }
        Ok(Self { path: path.to_owned(), dir })
    }

    /// As [`StateRoot::open`], making it (0700) when missing. The sticky bit keeps cleaners of $XDG_RUNTIME_DIR from removing it
    /// (XDG Base Directory Specification).
    pub(super) fn open_or_make(path: &Path) -> Result<Self> {
        match Self::open(path) {
            Err(e) if e.errno() == Some(libc::ENOENT) => {}
            opened => return opened,
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o1700).create(path);
        made.at(|| format!("mkdir {}", path.display())).map_err(not_there)?;
        Self::open(path)
    }

    /// The names in it that can be ids, sorted.
    pub fn ids(&self) -> Result<Vec<String>> {
        let said = || format!("read {}", self.path.display());
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = openat(&self.dir, ".", flags, Mode::empty()).at(said).map_err(others)?;
        let mut ids = vec![];
        for entry in nix::dir::Dir::from_fd(dir).at(said)?.iter() {
            let entry = entry.at(said)?;
            let is_dir = entry.file_type().is_none_or(|t| t == nix::dir::Type::Directory);
            if let Ok(name) = entry.file_name().to_str()
                && is_dir
                && check_id(name).is_ok()
            {
                ids.push(name.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// The directory of one container, without lock; else `container does not exist`.
    pub fn container(&self, id: &str) -> Result<StateDir> {
        check_id(id)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(&self.dir, id, flags, Mode::empty()) {
            Ok(dir) => Ok(StateDir::unlocked(self.path.join(id), dir)),
            Err(Errno::ENOENT) => Err(no_container(id, &self.path, &self.ids().unwrap_or_default())),
            Err(e) => Err(others(Error::os(format!("open {}", self.path.join(id).display()), e))),
        }
    }

    /// Makes the directory of one container (0700), whose presence is the claim to the id.
    pub(super) fn make(&self, id: &str) -> Result<()> {
        match mkdirat(&self.dir, id, Mode::from_bits_truncate(0o700)) {
            Err(Errno::EEXIST) => {
                let hint = format!("choose another id, or remove it: rrun delete {id}");
                Err(Error::new(TAKEN).code("E-EXISTS").hint(hint))
            }
            made => made.at(|| format!("mkdir {}", self.path.join(id).display())).map_err(not_there),
        }
    }

    /// Takes back what [`StateRoot::make`] made, with nothing in it but perhaps a lock. The error that led here is the one to
    /// report.
    pub(super) fn unmake(&self, id: &str) {
        unlinkat(&self.dir, Path::new(id).join("lock").as_path(), UnlinkatFlags::NoRemoveDir).ok();
        unlinkat(&self.dir, id, UnlinkatFlags::RemoveDir).ok();
    }
}

/// State cannot be kept at the place.
fn not_there(e: Error) -> Error {
    let e = e.code("E-ROOTDIR");
    match e.errno() {
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => {
            e.hint("state may not be kept there; set XDG_RUNTIME_DIR (a login does), or give --root DIR")
        }
        _ => e,
    }
}

/// The containers there are not the caller's.
fn others(e: Error) -> Error {
    match e.errno() {
        Some(libc::EACCES) => {
            e.code("E-ROOTDIR").hint("the containers there are another user's: ask as that user, or give --root DIR")
        }
        _ => e,
    }
}

/// `container does not exist`, and the id that was probably meant.
pub(super) fn no_container(id: &str, root: &Path, ids: &[String]) -> Error {
    let similar = closest(id, ids.iter().map(String::as_str)).map_or_else(String::new, |near| format!(", similar: {near}"));
    let hint = format!("no container {id} under {}{similar}; rrun list shows those there are", root.display());
    Error::new(MISSING).code("E-NOID").hint(hint)
}
