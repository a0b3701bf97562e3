//! Terminals: the ioctls of pseudoterminals that nix has no wrapper for (pty(7), ioctl_tty(2)).
//!
//! A pseudoterminal has two ends: the master, which rrun or an engine holds, and the slave, which the container's process
//! takes for a terminal. The slave is asked of the master itself: a path to it could lead elsewhere (CVE-2025-52565).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

/// Lets the other end of the pseudoterminal behind `master` be opened (`TIOCSPTLCK`).
pub fn unlock(master: BorrowedFd) -> io::Result<()> {
    let off: libc::c_int = 0;
    // SAFETY: the kernel reads one int.
    check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const off) } as libc::c_long).map(drop)
}

/// Opens the other end of the pseudoterminal behind `master` itself, without a path (`TIOCGPTPEER`, Linux 4.13). It does not
/// become the caller's controlling terminal.
pub fn peer(master: BorrowedFd) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the argument is a plain number.
    let fd = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) } as libc::c_long)?;
    // SAFETY: a new descriptor that only we own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The size of a terminal as (rows, columns) (`TIOCGWINSZ`).
pub fn size(tty: BorrowedFd) -> io::Result<(u16, u16)> {
    // SAFETY: winsize is plain data; zero is valid for every field.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one winsize.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } as libc::c_long)?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets the size of a terminal, (rows, columns); the foreground job of its session gets SIGWINCH (`TIOCSWINSZ`).
pub fn set_size(tty: BorrowedFd, (rows, columns): (u16, u16)) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel reads one winsize.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } as libc::c_long).map(drop)
}

/// Makes the terminal the controlling one of the caller's session, which the caller must lead and which must have none
/// (`TIOCSCTTY`). It is never stolen from another session.
pub fn make_controlling(tty: BorrowedFd) -> io::Result<()> {
    // SAFETY: the argument is a plain number.
    check(unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY, 0) } as libc::c_long).map(drop)
}
