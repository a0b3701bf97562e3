//! What can be done to one name in one directory: no function here takes a path.
//!
//! The directory is a handle, the name a [`Name`] that cannot walk, and nothing follows a symbolic link. Most escapes of
//! container runtimes were a mknod, symlink, chmod or unlink that got a path instead (CVE-2026-41579).

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use super::check;
use super::resolve::{Name, openat2};

/// mkdirat(2), mode 0755 less the umask.
pub fn mkdir(dir: BorrowedFd, name: &Name) -> io::Result<()> {
    // SAFETY: name is NUL-terminated; mkdirat keeps no pointer.
    check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_c_str().as_ptr(), 0o755) } as libc::c_long).map(drop)
}

/// Makes the directory `name` in `dir` (mode 0755 less the umask) unless something is there, and returns its handle. A
/// symbolic link or a file of that name is ENOTDIR.
pub fn make_directory(dir: BorrowedFd, name: &Name) -> io::Result<OwnedFd> {
    match mkdir(dir, name) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
        _ => {}
    }
    open_directory(dir, name, libc::O_PATH)
}

/// Makes the empty file `name` in `dir` (mode 0644 less the umask) unless something is there, and returns an `O_PATH`
/// handle of what is there, be it a symbolic link. Nothing is opened: that could rewind a tape or wait for a FIFO's writer.
pub fn make_file(dir: BorrowedFd, name: &Name) -> io::Result<OwnedFd> {
    match make_node(dir, name, libc::S_IFREG | 0o644, 0) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
        _ => {}
    }
    open(dir, name)
}

/// mknodat(2): `mode` is a file type and permissions (less the umask), `device` a device number.
pub fn make_node(dir: BorrowedFd, name: &Name, mode: libc::mode_t, device: libc::dev_t) -> io::Result<()> {
    // SAFETY: name is NUL-terminated; mknodat keeps no pointer.
    check(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_c_str().as_ptr(), mode, device) } as libc::c_long).map(drop)
}

/// symlinkat(2): `target` is the text of the link; the kernel does not look at it.
pub fn make_symlink(dir: BorrowedFd, name: &Name, target: &CStr) -> io::Result<()> {
    // SAFETY: both are NUL-terminated; symlinkat keeps no pointer.
    check(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_c_str().as_ptr()) } as libc::c_long).map(drop)
}

/// unlinkat(2); with `directory` rmdir(2).
pub fn remove(dir: BorrowedFd, name: &Name, directory: bool) -> io::Result<()> {
    let flags = if directory { libc::AT_REMOVEDIR } else { 0 };
    // SAFETY: name is NUL-terminated; unlinkat keeps no pointer.
    check(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_c_str().as_ptr(), flags) } as libc::c_long).map(drop)
}

/// renameat2(2) with `RENAME_NOREPLACE`: EEXIST when the new name is taken.
pub fn rename(dir: BorrowedFd, name: &Name, new_dir: BorrowedFd, new_name: &Name) -> io::Result<()> {
    let (old, new) = (name.as_c_str().as_ptr(), new_name.as_c_str().as_ptr());
    // SAFETY: both names are NUL-terminated; renameat2 keeps no pointer.
    check(unsafe { libc::renameat2(dir.as_raw_fd(), old, new_dir.as_raw_fd(), new, libc::RENAME_NOREPLACE) } as libc::c_long)
        .map(drop)
}

/// An `O_PATH` handle of `name` itself, whatever it is: a link is not followed; a mount on it is entered.
pub fn open(dir: BorrowedFd, name: &Name) -> io::Result<OwnedFd> {
    openat2(dir, name.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW, 0, libc::RESOLVE_BENEATH)
}

/// Opens the directory `name`, which must be one itself: a link is ENOTDIR or ELOOP. `flags`: `O_PATH` or `O_RDONLY`.
pub fn open_directory(dir: BorrowedFd, name: &Name, flags: i32) -> io::Result<OwnedFd> {
    openat2(dir, name.as_c_str(), flags | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, libc::RESOLVE_BENEATH)
}

/// The text of the symbolic link behind an `O_PATH` handle, or `None` when it is no link (readlinkat(2)).
pub fn link_text(handle: BorrowedFd) -> io::Result<Option<CString>> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is ours and as long as we say; the empty path means the handle itself.
    let n = check(
        unsafe { libc::readlinkat(handle.as_raw_fd(), c"".as_ptr(), text.as_mut_ptr().cast(), text.len()) } as libc::c_long
    );
    match n {
        // Both mean "no link": which one depends on the kind of file.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => Ok(None),
        Err(e) => Err(e),
        Ok(n) => {
            text.truncate(n as usize);
            CString::new(text).map(Some).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
        }
    }
}

/// fchownat(2) of the file behind a handle (`O_PATH` suffices); a link itself, not its target.
pub fn change_owner(handle: BorrowedFd, uid: u32, gid: u32) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: a constant, NUL-terminated path.
    check(unsafe { libc::fchownat(handle.as_raw_fd(), c"".as_ptr(), uid, gid, flags) } as libc::c_long).map(drop)
}

/// fchmodat2(2) of the file behind a handle (`O_PATH` suffices). Linux 6.6; before it through /proc/thread-self/fd, of
/// which the caller must know that it is a procfs.
pub fn change_mode(handle: BorrowedFd, mode: libc::mode_t) -> io::Result<()> {
    // SAFETY: a constant, NUL-terminated path.
    let done = check(unsafe { libc::syscall(libc::SYS_fchmodat2, handle.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH) });
    match done {
        Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => super::procfs::ProcFs::open()?.change_mode(handle, mode),
        done => done.map(drop),
    }
}

/// The names in a directory that is open for reading, without `.` and `..` (getdents64(2)).
pub fn names(dir: BorrowedFd) -> io::Result<Vec<Name>> {
    let copy = openat2(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, libc::RESOLVE_BENEATH)?;
    let mut listing = nix::dir::Dir::from_fd(copy)?;
    let mut found = vec![];
    for entry in listing.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            found.push(Name::new(OsString::from_vec(name))?);
        }
    }
    Ok(found)
}

/// Clears the umask while it lives: what is made has the mode asked for, whatever the caller's umask is.
#[derive(Debug)]
pub struct NoUmask(nix::sys::stat::Mode);

impl NoUmask {
    /// umask(0).
    pub fn new() -> Self {
        Self(nix::sys::stat::umask(nix::sys::stat::Mode::empty()))
    }
}

impl Default for NoUmask {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for NoUmask {
    fn drop(&mut self) {
        nix::sys::stat::umask(self.0);
    }
}
