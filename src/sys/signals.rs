//! Signals and the ends of children, where nix's types are too narrow: real-time signals are plain numbers here
//! (signal(7), waitpid(2)).
//!
//! A signal that a caller ignores stays ignored in every program that it starts, through any number of execve(2).

use std::io;

use super::check;

/// Gives `signal` its default disposition (rt_sigaction(2)). An ignored signal stays ignored across execve(2); a handled one
/// does not. The raw call, as the C library refuses the two signals that it keeps for itself.
pub fn set_default(signal: i32) -> io::Result<()> {
    // The kernel's own structure: handler, flags, restorer and a mask of 64 signals; all zero is the default disposition.
    let default = [0u64; 4];
    // SAFETY: the structure is as long as the kernel's and outlives the call; the default disposition runs no code of ours.
    let ret =
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), size_of::<u64>()) };
    check(ret).map(drop)
}

/// Lets `command` start with no signal blocked: rrun blocks most of them while it forwards them, and a mask outlives execve(2).
pub fn unblocked(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let unblock = || {
        let none = [0u64; 1];
        let old = std::ptr::null_mut::<u64>();
        // SAFETY: a mask of 64 signals, as long as the kernel's, that outlives the call.
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, none.as_ptr(), old, size_of::<u64>()) };
        // A filter that refuses even this is the container's own; its process blocks nothing.
        Ok(())
    };
    // SAFETY: runs in the child before its execve: one async-signal-safe system call, no allocation.
    unsafe { command.pre_exec(unblock) };
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
