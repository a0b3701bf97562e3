//! The only door to the kernel: thin wrappers for system calls that nix lacks, and all `unsafe` of rrun.
//!
//! A wrapper takes handles, names and plain numbers, makes one call, and returns `io::Result`. It decides nothing. Every
//! descriptor it returns is close-on-exec from birth.

pub mod bpf;
pub mod credentials;
pub mod entry;
pub mod fd;
pub mod idmap;
pub mod keyring;
pub mod mount;
pub mod netlink;
pub mod nsfs;
pub mod own;
pub mod process;
pub mod procfs;
pub mod ptrace;
pub mod quota;
pub mod resolve;
pub mod sched;
pub mod seal;
pub mod seccomp;
pub mod shared;
pub mod signals;
pub mod socket;
pub mod start;
pub mod tree;
pub mod tty;
pub mod xattr;

use std::io;

/// Turns the return value of a raw system call into a result.
pub(crate) fn check(ret: libc::c_long) -> io::Result<libc::c_long> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}
