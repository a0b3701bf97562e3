//! seccomp(2): installing a filter, and asking what the kernel knows.
//!
//! A filter is for ever: it holds for the calling thread and all it will start, through execve(2) too, and none can be
//! taken off. Several are all asked, and the strictest verdict counts. What a filter says is decided in `concepts::seccomp`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::check;

/// `SECCOMP_FILTER_FLAG_LOG`: every verdict but "allow" is logged.
pub const FLAG_LOG: u32 = libc::SECCOMP_FILTER_FLAG_LOG as u32;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: the filter does not switch on the Speculative Store Bypass mitigation.
pub const FLAG_SPEC_ALLOW: u32 = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: the call returns a notification descriptor.
pub const FLAG_NEW_LISTENER: u32 = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19): only a fatal signal ends the wait for a received notification.
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 32;

/// Installs `filter` for the calling thread (`SECCOMP_SET_MODE_FILTER`). With [`FLAG_NEW_LISTENER`] the notification
/// descriptor, close-on-exec. EACCES without no_new_privs and CAP_SYS_ADMIN; EINVAL for an unknown flag or a bad filter.
pub fn install(filter: &[libc::sock_filter], flags: u32) -> io::Result<Option<OwnedFd>> {
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program points to `len` instructions that live through the call; the kernel only reads them.
    let fd = check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })?;
    if flags & FLAG_NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with this flag the result is a new descriptor, which only we own.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
}

/// Whether the kernel knows a filter flag. The null program is rejected with EFAULT only after the flags were accepted.
pub fn supports_flag(flag: u32) -> bool {
    // One flag is no flag without the other (kernel/seccomp.c, seccomp_set_mode_filter).
    let flags = if flag == FLAG_WAIT_KILLABLE_RECV { flag | FLAG_NEW_LISTENER } else { flag };
    // SAFETY: a null program can never be installed.
    let asked =
        check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, ptr::null::<libc::c_void>()) });
    matches!(asked, Err(e) if e.raw_os_error() == Some(libc::EFAULT))
}
