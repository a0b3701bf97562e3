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

/// Copies all extended attributes of one open file to another. A filesystem without any is no error.
pub fn copy_all(from: BorrowedFd, to: BorrowedFd) -> io::Result<()> {
    let mut list = vec![0u8; LONGEST];
    // SAFETY: the buffer is ours and as long as we say.
    let n = match check(unsafe { libc::flistxattr(from.as_raw_fd(), list.as_mut_ptr().cast(), list.len()) } as libc::c_long) {
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
        n => n? as usize,
    };
    for name in list[..n].split(|b| *b == 0).filter(|name| !name.is_empty()) {
        let name = CString::new(name)?;
        let value = get(from, &name)?;
        // SAFETY: name is NUL-terminated; value is as long as we say.
        check(unsafe { libc::fsetxattr(to.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) } as libc::c_long)?;
    }
    Ok(())
}

/// The value of one attribute of an open file.
pub fn get(file: BorrowedFd, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = vec![0u8; LONGEST];
    // SAFETY: name is NUL-terminated; the buffer is ours and as long as we say.
    let n = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
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
        let set = |name: &CStr, value: &[u8]| {
            // SAFETY: name is NUL-terminated; value is as long as we say.
            check(unsafe { libc::fsetxattr(from.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) }
                as libc::c_long)
        };
        // Void where the filesystem of temporary files has no attributes.
        if set(c"user.one", b"1").is_err() {
            return;
        }
        set(c"user.empty", b"").expect("set");
        copy_all(from.as_fd(), to.as_fd()).expect("copy");
        assert_eq!(get(to.as_fd(), c"user.one").expect("get"), b"1");
        assert_eq!(get(to.as_fd(), c"user.empty").expect("get"), b"");
        assert!(get(to.as_fd(), c"user.none").is_err());
    }
}
