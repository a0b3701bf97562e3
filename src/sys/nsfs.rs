//! Asking a namespace about its relatives (ioctl_nsfs(2)).
//!
//! Only pid and user namespaces have a parent; every other kind is flat, and belongs to a user namespace, whose root has power over it.
//! The kernel tells no more than the caller may see: a parent or owner outside of the caller's own namespaces is EPERM.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

const NS_GET_USERNS: libc::c_ulong = nix::request_code_none!(0xb7, 1);
const NS_GET_PARENT: libc::c_ulong = nix::request_code_none!(0xb7, 2);

/// The parent of a pid or user namespace; EPERM for the first one in sight, EINVAL for kinds without parents.
pub fn parent(namespace: BorrowedFd) -> io::Result<OwnedFd> {
    ask(namespace, NS_GET_PARENT)
}

/// The user namespace that a namespace belongs to; EPERM when it lies outside of the caller's.
pub fn owner(namespace: BorrowedFd) -> io::Result<OwnedFd> {
    ask(namespace, NS_GET_USERNS)
}

fn ask(namespace: BorrowedFd, question: libc::c_ulong) -> io::Result<OwnedFd> {
    // SAFETY: these ioctls take no argument.
    let fd = check(unsafe { libc::ioctl(namespace.as_raw_fd(), question as libc::Ioctl) } as libc::c_long)?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
