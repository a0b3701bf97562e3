//! Bind mounts: a part of the host's tree, seen at another place (mount(2), `MS_BIND`; open_tree(2)).
//!
//! The source is copied outside, while the host's paths mean what the configuration meant; its attributes are set while no
//! path leads to it. "Bind, then remount read-only" would leave a moment in which the container could write.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::stat::fstat;

use super::cgroup::ALWAYS;
use super::options::combine;
use super::{Mount, target};
use crate::error::{At, Error, Result};
use crate::sys::entry::{link_text, make_symlink};
use crate::sys::fd::{Spent, cwd};
use crate::sys::idmap::user_namespace;
use crate::sys::mount::{Attributes, Filesystem, attach, clone_tree_with, set_attributes};
use crate::sys::procfs::is_procfs_root;
use crate::sys::resolve::{Kind, Root, openat2};

/// A bind.
#[derive(Debug, Clone, Default)]
pub(super) struct Bind {
    /// The source on the host, absolute.
    pub source: CString,
    /// With the mounts below it.
    pub recursive: bool,
    /// A final symbolic link is bound itself.
    pub no_follow: bool,
    /// A final symbolic link becomes a link in the container.
    pub copy_symlink: bool,
    /// A source that is absent is shown as an empty directory: a group that could not be made.
    pub optional: bool,
    /// It goes to /proc, so it must be a procfs.
    pub must_be_procfs: bool,
    /// Attributes of the mount.
    pub own: Attributes,
    /// Attributes of the mount and all below.
    pub all: Attributes,
    /// Propagations in order, each perhaps of all below.
    pub propagations: Vec<(u64, bool)>,
    /// Whose ids are shown instead of those on disk.
    pub id_map: Option<IdMap>,
}

/// The id map of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdMap {
    /// The mounts below as well.
    pub recursive: bool,
    /// Where it is.
    pub map: Map,
}

/// Where an id map is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Map {
    /// The texts of uid_map and gid_map.
    Text(String, String),
    /// An existing user namespace.
    Namespace(CString),
}

impl Bind {
    /// A copy of the source with its final attributes, attached nowhere. With `copy_symlink`, a handle of the link.
    pub fn copy(&self, inherited: u64) -> Result<OwnedFd> {
        if self.copy_symlink {
            let flags = libc::O_PATH | libc::O_NOFOLLOW;
            let found = openat2(cwd(), &self.source, flags, 0, 0).at(|| format!("open {}", self.path()))?;
            if link_text(found.as_fd()).at(|| "readlinkat")?.is_some() {
                return Ok(found);
            }
        }
        let at_once = self.at_once(inherited);
        let copied = clone_tree_with(cwd(), &self.source, self.recursive, !self.no_follow, &at_once.unwrap_or_default());
        let copy = match copied {
            Err((_, e)) if self.optional && e.raw_os_error() == Some(libc::ENOENT) => {
                let empty = libc::MOUNT_ATTR_RDONLY | ALWAYS;
                return Filesystem::open(c"tmpfs").and_then(|fs| fs.mount(empty)).at(|| "open_tree an empty directory");
            }
            Err(("open_tree", e)) => return Err(Error::os(format!("open_tree {}", self.path()), e)),
            copied => copied.map_err(|(call, e)| Error::os(call, e))?,
        };
        if at_once.is_some() {
            return Ok(copy);
        }
        if self.must_be_procfs && !is_procfs_root(copy.as_fd()).at(|| "fstatfs")? {
            return Err(target::not_proc(std::path::Path::new("/proc")));
        }
        let userns = self.id_map.as_ref().map(|id_map| id_map.map.open()).transpose()?;
        let map = |recursive| match (&userns, &self.id_map) {
            (Some(userns), Some(id_map)) if id_map.recursive == recursive => {
                Attributes { set: libc::MOUNT_ATTR_IDMAP, userns_fd: userns.as_raw_fd() as u64, ..Attributes::default() }
            }
            _ => Attributes::default(),
        };
        let (own, all) = (merged(self.own, map(false)), merged(self.all, map(true)));
        self.change_copy(copy.as_fd(), inherited, own, all)?;
        Ok(copy)
    }

    /// What can be given to the copy when it is made, if that is all: nothing is asked about it before, no ids are mapped, and one
    /// change of either the mount or all mounts of the copy will do.
    fn at_once(&self, inherited: u64) -> Option<Attributes> {
        let simple = !self.must_be_procfs && self.id_map.is_none() && self.propagations.is_empty();
        let attributes = match self.recursive {
            false => merged(self.own, self.all),
            true => Some(self.all).filter(|_| self.own.is_empty())?,
        };
        simple.then_some(Attributes { propagation: inherited, ..attributes })
    }

    /// In this order: a copy is a peer of the host's mount. `shared` makes a slave a group of its own; made of a peer, it
    /// would let the container's mounts out to the host.
    fn change_copy(&self, copy: BorrowedFd, inherited: u64, own: Attributes, all: Attributes) -> Result<()> {
        // What is private in the end need not be a slave before.
        let settled = matches!(self.propagations.as_slice(), [(libc::MS_PRIVATE | libc::MS_UNBINDABLE, true)]);
        let first = if settled { 0 } else { inherited };
        match (self.recursive, self.propagations.as_slice()) {
            (false, []) => {
                let both = Attributes { propagation: first, ..merged(own, all) };
                change(copy, &both, &Attributes::default(), &[])
            }
            (true, []) => change(copy, &own, &Attributes { propagation: first, ..all }, &[]),
            (_, propagations) => {
                change(copy, &Attributes::default(), &Attributes::propagate(first), &[])?;
                change(copy, &own, &all, propagations)
            }
        }
    }

    /// Attaches the copy at the destination, which is made as a file or a directory, as the source is one.
    pub fn attach(&self, copy: OwnedFd, mount: &Mount, root: &Root, spent: &mut Spent) -> Result<Option<OwnedFd>> {
        if self.copy_symlink
            && let Some(text) = link_text(copy.as_fd()).at(|| "readlinkat")?
        {
            return copy_link(&text, mount, root).map(|()| None);
        }
        let target = mount.target(root, || kind(copy.as_fd()))?;
        match attach(copy.as_fd(), target.as_fd()) {
            // mount(2) says ENOTDIR where move_mount(2) says EINVAL, and engines know the former's text.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && kind(copy.as_fd())? != kind(target.as_fd())? => {
                Err(std::io::Error::from_raw_os_error(libc::ENOTDIR))
            }
            done => done,
        }
        .at(|| "move_mount")?;
        spent.push(target);
        Ok(Some(copy))
    }

    /// The source as text.
    pub fn path(&self) -> std::borrow::Cow<'_, str> {
        self.source.to_string_lossy()
    }

    /// A line of `rrun plan`.
    pub fn describe(&self) -> String {
        let below = if self.recursive { " with the mounts below it" } else { "" };
        let mapped = if self.id_map.is_some() { ", ids mapped" } else { "" };
        format!("copy the mount of {}{below}{mapped}", self.path())
    }
}

impl Map {
    fn open(&self) -> Result<OwnedFd> {
        match self {
            Self::Text(uids, gids) => user_namespace(uids, gids).at(|| "make a user namespace for the id map"),
            Self::Namespace(path) => openat2(cwd(), path, libc::O_RDONLY, 0, 0).at(|| format!("open {}", path.to_string_lossy())),
        }
    }
}

fn kind(file: BorrowedFd) -> Result<Kind> {
    let directory = fstat(file).at(|| "fstat")?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok(if directory { Kind::Directory } else { Kind::File })
}

/// Changes the mount at a handle: `own` itself, `all` with all below, then the propagations in order.
pub(super) fn change(mount: BorrowedFd, own: &Attributes, all: &Attributes, propagations: &[(u64, bool)]) -> Result<()> {
    let set = |recursive, attributes: &Attributes| match attributes.is_empty() {
        true => Ok(()),
        false => set_attributes(mount, recursive, attributes).at(|| "mount_setattr"),
    };
    // One call where one will do.
    match propagations {
        [(kind, true)] => set(false, own).and_then(|()| set(true, &Attributes { propagation: *kind, ..*all })),
        [(kind, false)] => set(true, all).and_then(|()| set(false, &Attributes { propagation: *kind, ..*own })),
        many => {
            set(false, own)?;
            set(true, all)?;
            many.iter().try_for_each(|(kind, recursive)| set(*recursive, &Attributes::propagate(*kind)))
        }
    }
}

/// One after the other, in one call.
fn merged(a: Attributes, b: Attributes) -> Attributes {
    let mut both = Attributes { userns_fd: a.userns_fd | b.userns_fd, ..a };
    combine(&mut both, b.set, b.clear);
    both
}

/// Makes the link anew in the container; one with the same text may be there.
fn copy_link(text: &CString, mount: &Mount, root: &Root) -> Result<()> {
    let (dir, name) = root.parent(&mount.destination).at(|| "make mountpoint")?;
    match make_symlink(dir.as_fd(), &name, text) {
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {
            let there = crate::sys::entry::open(dir.as_fd(), &name).and_then(|f| link_text(f.as_fd())).at(|| "readlinkat")?;
            if there.as_ref() == Some(text) { Ok(()) } else { Err(Error::os("symlinkat", e)) }
        }
        done => done.at(|| "symlinkat"),
    }
}
