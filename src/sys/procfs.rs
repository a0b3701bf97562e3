//! The trusted procfs: one handle through which rrun reads and writes `/proc`, whatever the container put there.
//!
//! An image may mount over `/proc` or hand out a fake one; a label or sysctl written there would go astray
//! (CVE-2019-16884, CVE-2025-52881). So rrun mounts a procfs of its own that no path leads to, and checks on every use that
//! nothing is mounted on top (`RESOLVE_NO_XDEV`).

use std::ffi::{CStr, CString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::mount::{Filesystem, clone_tree};
use super::resolve::openat2;

/// `f_type` of procfs and sysfs (statfs(2)).
const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const SYSFS_MAGIC: i64 = 0x6265_6572;

/// A handle of a procfs root that was checked to be one; or none, for a process that needs none: then every use is EBADF.
#[derive(Debug)]
pub struct ProcFs(Option<OwnedFd>);

/// Whether the file behind a handle lies in a procfs.
pub fn is_procfs(file: BorrowedFd) -> io::Result<bool> {
    Ok(nix::sys::statfs::fstatfs(file)?.filesystem_type().0 as i64 == PROC_SUPER_MAGIC)
}

/// Whether a handle is the root directory of a procfs: inode 1 (PROC_ROOT_INO). A subdirectory bound elsewhere is not.
pub fn is_procfs_root(dir: BorrowedFd) -> io::Result<bool> {
    is_root_of(dir, PROC_SUPER_MAGIC)
}

/// Whether a handle is the root directory of a sysfs: inode 1, as of every kernfs.
pub fn is_sysfs_root(dir: BorrowedFd) -> io::Result<bool> {
    is_root_of(dir, SYSFS_MAGIC)
}

fn is_root_of(dir: BorrowedFd, magic: i64) -> io::Result<bool> {
    Ok(nix::sys::statfs::fstatfs(dir)?.filesystem_type().0 as i64 == magic && nix::sys::stat::fstat(dir)?.st_ino == 1)
}

impl ProcFs {
    /// None. Making one and closing it again waits for an RCU grace period, so it is left to those that need it.
    pub fn none() -> Self {
        Self(None)
    }

    fn root(&self) -> io::Result<BorrowedFd<'_>> {
        self.0.as_ref().map(AsFd::as_fd).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    /// A private procfs of the caller's PID namespace (fsopen(2)); where that is not allowed (a user namespace below a
    /// masked `/proc`), a copy of the mount at `/proc`; where even that is not, `/proc` itself. In each case a procfs root.
    pub fn open() -> io::Result<Self> {
        let fresh =
            || Filesystem::open(c"proc")?.mount(libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC);
        // SAFETY: AT_FDCWD is always valid to borrow; it is no descriptor that could be closed.
        let cwd = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
        // One that was just made needs no proof.
        if let Ok(made) = fresh() {
            return Ok(Self(Some(made)));
        }
        let fd = clone_tree(cwd, c"/proc", false, false)
            .or_else(|_| openat2(cwd, c"/proc", libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, 0))?;
        Self::checked(fd)
    }

    fn checked(fd: OwnedFd) -> io::Result<Self> {
        if !is_procfs_root(fd.as_fd())? {
            return Err(io::Error::from_raw_os_error(libc::EXDEV));
        }
        Ok(Self(Some(fd)))
    }

    /// Opens the file `path` below the procfs root. Symbolic links are followed only inside it, magic links and mounts on
    /// top are refused; `thread-self/fd/N` therefore needs [`ProcFs::way_to`].
    pub fn file(&self, path: &CStr, flags: i32) -> io::Result<OwnedFd> {
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_XDEV;
        openat2(self.root()?, path, flags, 0, how)
    }

    /// Writes `text` in one write(2) to `path`, such as `thread-self/attr/exec`.
    pub fn write(&self, path: &CStr, text: &[u8]) -> io::Result<()> {
        std::fs::File::from(self.file(path, libc::O_WRONLY)?).write_all(text)
    }

    /// Reads the whole text of `path`.
    pub fn read(&self, path: &CStr) -> io::Result<String> {
        let mut text = String::new();
        std::fs::File::from(self.file(path, libc::O_RDONLY)?).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Opens the namespace `kind` of the calling thread (`thread-self/ns/KIND`), whose file is a magic link of ours.
    pub fn own_namespace(&self, kind: &'static CStr) -> io::Result<OwnedFd> {
        let dir = self.file(c"thread-self/ns", libc::O_PATH | libc::O_DIRECTORY)?;
        openat2(dir.as_fd(), kind, libc::O_RDONLY, 0, 0)
    }

    /// chmod(2) of the file behind an `O_PATH` handle, for kernels without fchmodat2(2).
    pub fn change_mode(&self, handle: BorrowedFd, mode: libc::mode_t) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let dir = self.file(c"thread-self/fd", libc::O_PATH | libc::O_DIRECTORY)?;
        let number = CString::new(handle.as_raw_fd().to_string()).expect("a number has no NUL");
        // SAFETY: number is NUL-terminated.
        super::check(unsafe { libc::fchmodat(dir.as_raw_fd(), number.as_ptr(), mode, 0) } as libc::c_long).map(drop)
    }

    /// The way to the file behind an `O_PATH` handle of ours: the one magic link rrun follows on purpose.
    pub fn way_to(&self, handle: BorrowedFd) -> io::Result<Way> {
        use std::os::fd::AsRawFd;
        let dir = self.file(c"thread-self/fd", libc::O_PATH | libc::O_DIRECTORY)?;
        Ok(Way { dir, number: CString::new(handle.as_raw_fd().to_string()).expect("a number has no NUL") })
    }
}

/// See [`ProcFs::way_to`]. Valid as long as the handle it leads to is open.
#[derive(Debug)]
pub struct Way {
    dir: OwnedFd,
    number: CString,
}

impl Way {
    /// Opens the file anew with `flags`. By openat(2), which nearly every seccomp profile allows.
    pub fn open(&self, flags: i32) -> io::Result<OwnedFd> {
        use std::os::fd::{AsRawFd, FromRawFd};
        loop {
            // SAFETY: number is NUL-terminated; the result is a new descriptor or an error.
            let fd = unsafe { libc::openat(self.dir.as_raw_fd(), self.number.as_ptr(), flags | libc::O_CLOEXEC) };
            match super::check(libc::c_long::from(fd)) {
                // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
                Ok(_) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
        }
    }
}
