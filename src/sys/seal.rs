//! Sealing: the running rrun binary cannot be written from a container.
//!
//! A payload reaches the program that started it by `/proc/PID/exe`; if that file can be opened for writing, the next
//! start of rrun runs the attacker's code as root (CVE-2019-5736). So before a process enters a container, rrun runs from
//! an image that cannot be written: a detached read-only mount of the binary, else a sealed memory file.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::mount::{Attributes, clone_tree_with};
use super::process::{StringVector, execve_fd};
use super::{check, fd};

const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Whether the running image already cannot be written: it lies on a read-only mount (a package's, or our own detached
/// one) or is a memory file with all seals. Asking the image itself, not the environment, cannot be fooled by a caller.
pub fn is_sealed() -> io::Result<bool> {
    let stat = nix::sys::statfs::statfs("/proc/self/exe")?;
    if stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY) {
        return Ok(true);
    }
    // Memory files lie on a tmpfs of the kernel's own.
    if stat.filesystem_type() != nix::sys::statfs::TMPFS_MAGIC {
        return Ok(false);
    }
    let exe = std::fs::File::open("/proc/self/exe")?;
    // SAFETY: plain query; fails with EINVAL on what is no memory file.
    let seals = unsafe { libc::fcntl(exe.as_raw_fd(), libc::F_GET_SEALS) };
    Ok(seals >= 0 && seals & SEALS == SEALS)
}

/// Runs the same command again from a sealed image; returns at once when the image is sealed already, else only on failure.
pub fn ensure_sealed() -> io::Result<()> {
    if is_sealed()? {
        return Ok(());
    }
    let image = detached_read_only().or_else(|_| memory_copy())?;
    let args = std::env::args_os().map(into_c_string).collect::<io::Result<_>>()?;
    let env = std::env::vars_os()
        .map(|(mut k, v)| {
            k.push("=");
            k.push(v);
            into_c_string(k)
        })
        .collect::<io::Result<_>>()?;
    Err(execve_fd(image.as_fd(), &StringVector::new(args), &StringVector::new(env)))
}

fn into_c_string(s: std::ffi::OsString) -> io::Result<CString> {
    use std::os::unix::ffi::OsStringExt;
    CString::new(s.into_vec()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// A copy of the binary's mount, read-only, that no path leads to.
fn detached_read_only() -> io::Result<OwnedFd> {
    let read_only = Attributes::setting(libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV);
    clone_tree_with(fd::cwd(), c"/proc/self/exe", false, true, &read_only).map_err(|(_, e)| e)
}

/// A sealed copy of the binary in memory (memfd_create(2)), for callers that may not mount.
fn memory_copy() -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let create = |flags| check(unsafe_memfd(flags));
    // MFD_EXEC is unknown before Linux 6.3, where memory files are executable anyway.
    let raw = create(flags | libc::MFD_EXEC).or_else(|_| create(flags))?;
    // SAFETY: a new descriptor that only we own.
    let mut copy = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(raw as RawFd) });
    io::copy(&mut std::fs::File::open("/proc/self/exe")?, &mut copy)?;
    // SAFETY: plain numbers.
    check(unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } as libc::c_long)?;
    // Read-only from here: a descriptor open for writing would make execve fail with ETXTBSY.
    Ok(std::fs::File::open(format!("/proc/self/fd/{}", copy.as_raw_fd()))?.into())
}

fn unsafe_memfd(flags: libc::c_uint) -> libc::c_long {
    // SAFETY: a constant, NUL-terminated name.
    unsafe { libc::syscall(libc::SYS_memfd_create, c"rrun".as_ptr(), flags) }
}
