//! Where a mount goes: a path of the configuration becomes a handle inside the root, once.
//!
//! /proc is guarded: a mount on or in it could show the program, or a runtime that trusts it, a fake (CVE-2019-16884), or
//! undo a mask. Only a procfs may stand there, and only a few files in it may be replaced.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::{Mount, Mounted};
use crate::error::{At, Error, Result};
use crate::sys::entry::{link_text, make_directory, make_file, mkdir, open};
use crate::sys::procfs::is_procfs;
use crate::sys::resolve::{Kind, Name, Root};

/// Files of /proc that programs like lxcfs replace to show the container's own numbers.
pub(super) const REPLACEABLE: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

impl Mount {
    /// The handle of the destination, made when it is missing; `kind` is only asked then.
    pub(super) fn target(&self, root: &Root, kind: impl FnOnce() -> Result<Kind>) -> Result<OwnedFd> {
        let path = &self.destination;
        if self.must_be_real_directory()
            && let Ok(directory) = root.open(path, libc::O_PATH | libc::O_NOFOLLOW | libc::O_DIRECTORY)
        {
            return self.outside_proc(directory);
        }
        let opened = match self.no_follow {
            true => root.resolve_no_follow(path),
            false => root.resolve(path),
        };
        let target = match opened {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                self.make_target(root, kind()?).at(|| format!("make mountpoint {}", path.display()))?
            }
            found => found.at(|| format!("openat2 {}", path.display()))?,
        };
        if self.must_be_real_directory() && link_text(target.as_fd()).at(|| "readlinkat")?.is_some() {
            // As runc says it.
            let text = format!("filesystem {:?} must be mounted on ordinary directory", self.source);
            return Err(Error::new(text).hint("in the image it is a symbolic link"));
        }
        self.outside_proc(target)
    }

    /// A link of the image may lead into /proc where the configuration did not mean to.
    fn outside_proc(&self, target: OwnedFd) -> Result<OwnedFd> {
        if !self.destination.starts_with("/proc") && is_procfs(target.as_fd()).at(|| "fstatfs")? {
            return Err(inside_proc(&self.destination));
        }
        Ok(target)
    }

    /// A destination that is one name in a /dev that holds only what rrun put there, made in it: the path need not be walked,
    /// and what was just made is no link and in no procfs. `None` where that is not so.
    pub(super) fn made_in_fresh_dev<'a>(&self, mounted: &'a Mounted) -> Option<(BorrowedFd<'a>, Name)> {
        let dev = mounted.dev.as_ref().filter(|_| mounted.fresh_dev)?.as_fd();
        let name = Name::new(self.destination.strip_prefix("/dev").ok()?).ok()?;
        mkdir(dev, &name).ok().map(|()| (dev, name))
    }

    fn make_target(&self, root: &Root, kind: Kind) -> std::io::Result<OwnedFd> {
        if !self.no_follow {
            return root.make(&self.destination, kind);
        }
        let (dir, name) = root.parent(&self.destination)?;
        match kind {
            Kind::Directory => make_directory(dir.as_fd(), &name),
            Kind::File => make_file(dir.as_fd(), &name).and_then(|_| open(dir.as_fd(), &name)),
        }
    }

    /// A link in place of /proc or /sys is an attack (CVE-2019-19921, CVE-2023-27561): nothing builds such images.
    fn must_be_real_directory(&self) -> bool {
        matches!(&self.act, super::Act::New(new) if new.is_kernel_view())
    }
}

/// The refusal of a mount inside /proc.
pub(super) fn inside_proc(path: &Path) -> Error {
    Error::new(format!("{path:?} cannot be mounted because it is inside /proc"))
}

/// The refusal of something else on /proc.
pub(super) fn not_proc(path: &Path) -> Error {
    Error::new(format!("{path:?} cannot be mounted because it is not of type proc"))
}
