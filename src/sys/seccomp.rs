//! seccomp(2): installing a filter, and asking what the kernel knows.
//!
//! A filter is for ever: it holds for the calling thread and all it will start, through execve(2) too, and none can be
//! taken off. Several are all asked, and the strictest verdict counts. What a filter says is decided in `concepts::seccomp`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
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

/// A call that waits for the holder of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// What the answer must name.
    pub cookie: u64,
    /// The thread that calls, as the receiver numbers it; 0 if it cannot see it.
    pub tid: i32,
    /// The architecture of the call, an `AUDIT_ARCH_*` value.
    pub arch: u32,
    /// Its number.
    pub number: u32,
    /// Its arguments as numbers.
    pub args: [u64; 6],
}

/// The next call that waits (ioctl(2), `SECCOMP_IOCTL_NOTIF_RECV`). ENOENT when its thread has ended meanwhile.
pub fn receive(listener: BorrowedFd) -> io::Result<Waiting> {
    // SAFETY: plain data, which the kernel demands to be zero.
    let mut told: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the request's own.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told) }.into())?;
    let data = told.data;
    Ok(Waiting { cookie: told.id, tid: told.pid as i32, arch: data.arch, number: data.nr as u32, args: data.args })
}

/// Lets a waiting call be made as if there were no filter (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`, Linux 5.5). ENOENT when its
/// thread waits no more: it was interrupted, and will call again, or has ended.
pub fn let_pass(listener: BorrowedFd, waiting: &Waiting) -> io::Result<()> {
    let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let mut answer = libc::seccomp_notif_resp { id: waiting.cookie, val: 0, error: 0, flags };
    // SAFETY: the structure is the request's own.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) }.into()).map(drop)
}

/// Wakes the other side on this CPU, as both sides wait for each other in turn (`SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, Linux
/// 6.6; EINVAL before).
pub fn wake_in_turn(listener: BorrowedFd) -> io::Result<()> {
    // SAFETY: the flags are passed as the argument itself.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1u64) }.into()).map(drop)
}
