//! Signals and the ends of children, where nix's types are too narrow: real-time signals are plain numbers here
//! (signal(7), waitpid(2)).
//!
//! A signal that a caller ignores stays ignored in every program that it starts, through any number of execve(2).

use std::io;

use super::check;

/// Gives `signal` its default disposition (sigaction(2)). An ignored signal stays ignored across execve(2); a handled one
/// does not.
pub fn set_default(signal: i32) -> io::Result<()> {
    // SAFETY: the default disposition runs no code of ours.
    if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reaps one child that has ended, if there is one: its pid and its status as a shell shows it, 128+n when signal n ended
/// it (waitpid(2), `WNOHANG`). ECHILD when there are no children at all.
pub fn reap() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    match check(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } as libc::c_long)? {
        0 => Ok(None),
        pid if libc::WIFSIGNALED(status) => Ok(Some((pid as i32, 128 + libc::WTERMSIG(status)))),
        pid => Ok(Some((pid as i32, libc::WEXITSTATUS(status)))),
    }
}
