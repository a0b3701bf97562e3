//! Extended attributes on handles (xattr(7)).
//!
//! The calls by path follow whatever the name has become meanwhile; an open file is what was looked at. File capabilities and
//! labels are such attributes: copied to the wrong file they would give it power.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// The longest list of names and the longest value that the kernel allows (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const LONGEST: usize = 65536;

/// Copies the extended attributes of one open file to another, all but the one named `except`. A filesystem without any is no error.
pub fn copy_all(from: BorrowedFd, to: BorrowedFd, except: &CStr) -> io::Result<()> {
    let mut list = vec![0u8; LONGEST];
    // SAFETY: the buffer is ours and as long as we say.
    let n = match check(unsafe { libc::flistxattr(from.as_raw_fd(), list.as_mut_ptr().cast(), list.len()) } as libc::c_long) {
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
        n => n? as usize,
    };
    for name in list[..n].split(|b| *b == 0).filter(|name| !name.is_empty() && *name != except.to_bytes()) {
        let name = CString::new(name)?;
        set(to, &name, &get(from, &name)?)?;
    }
    Ok(())
}

/// Sets one attribute of an open file, new or not.
pub fn set(file: BorrowedFd, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: name is NUL-terminated; value is as long as we say.
    let done = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    check(done as libc::c_long).map(drop)
}

/// The value of one attribute of an open file.
pub fn get(file: BorrowedFd, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = vec![0u8; LONGEST];
    // SAFETY: name is NUL-terminated; the buffer is ours and as long as we say.
    let n = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(check(n as libc::c_long)? as usize);
    Ok(value)
}

/// As [`get`] of the file behind an `O_PATH` handle, which is not opened for it: a device stays untouched. Through the host's
/// /proc, which must be one.
pub fn get_of_handle(handle: BorrowedFd, name: &CStr) -> io::Result<Vec<u8>> {
    let path = CString::new(format!("/proc/self/fd/{}", handle.as_raw_fd()))?;
    let mut value = vec![0u8; LONGEST];
    // SAFETY: both texts are NUL-terminated; the buffer is ours and as long as we say.
    let n = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(check(n as libc::c_long)? as usize);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn copies_every_attribute() {
        let (from, to) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
        // Void where the filesystem of temporary files has no attributes.
        if set(from.as_fd(), c"user.one", b"1").is_err() {
            return;
        }
        set(from.as_fd(), c"user.empty", b"").expect("set");
        set(from.as_fd(), c"user.label", b"x").expect("set");
        copy_all(from.as_fd(), to.as_fd(), c"user.label").expect("copy");
        assert_eq!(get(to.as_fd(), c"user.one").expect("get"), b"1");
        assert_eq!(get(to.as_fd(), c"user.empty").expect("get"), b"");
        assert!(get(to.as_fd(), c"user.label").is_err());
    }
}
