//! Kernel keyrings (keyrings(7), keyctl(2)): where the kernel holds keys for programs.
//!
//! A process finds keys through its session keyring, which fork and execve pass on. The C library has no wrapper; these
//! three calls make a fresh one and say who may search it.

use std::ffi::CStr;
use std::io;

use super::check;

/// Creates the session keyring `name`, or joins the one of that name that allows it (`KEYCTL_JOIN_SESSION_KEYRING`).
/// Returns its serial number.
pub fn join_session(name: &CStr) -> io::Result<i32> {
    // SAFETY: name is NUL-terminated.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) }).map(|id| id as i32)
}

/// The permission mask of the key `id`, from the text `type;uid;gid;perm;name` (`KEYCTL_DESCRIBE`). EINVAL when the text
/// reads otherwise.
pub fn permissions(id: i32) -> io::Result<u32> {
    let mut text = [0u8; 512];
    // SAFETY: the kernel writes at most the length given.
    let length = check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, id, text.as_mut_ptr(), text.len()) })?;
    let text = &text[..text.len().min(length as usize)];
    let field = text.split(|b| *b == b';').nth(3).and_then(|f| std::str::from_utf8(f).ok());
    field.and_then(|f| u32::from_str_radix(f, 16).ok()).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Sets the permission mask of the key `id` (`KEYCTL_SETPERM`).
pub fn set_permissions(id: i32, mask: u32) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, id, mask) }).map(drop)
}
