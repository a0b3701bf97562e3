//! Watching the system calls of a process that runs already (ptrace(2)).
//!
//! A filter can only be installed by a process itself; what runs already is watched by stopping it at each call. That costs two
//! stops a call, but needs nothing of the process, and ends without a trace: when the tracer goes, the kernel lets all go on.

use std::io;
use std::ptr;

use super::check;

/// New threads, children and programs of a traced thread are traced as well; stops at calls can be told from SIGTRAP.
const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACEEXEC;

/// `PTRACE_GET_SYSCALL_INFO` (Linux 5.3).
const GET_SYSCALL_INFO: libc::c_uint = 0x420e;

fn request(request: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: the requests used here take plain numbers; those that write memory are below.
    check(unsafe { libc::ptrace(request as _, tid, address, data) }).map(drop)
}

/// Begins to trace a thread and stops it (`PTRACE_SEIZE`, `PTRACE_INTERRUPT`). ESRCH: it is gone; EPERM: it is traced already,
/// or its credentials are out of reach.
pub fn seize(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE as _, tid, 0, OPTIONS as usize)?;
    request(libc::PTRACE_INTERRUPT as _, tid, 0, 0)
}

/// Lets a stopped thread go on to its next stop, with `signal` unless 0 (`PTRACE_SYSCALL`).
pub fn go_on(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL as _, tid, 0, signal as usize)
}

/// Leaves a thread stopped that a signal stopped, but hears when that ends (`PTRACE_LISTEN`).
pub fn stay_stopped(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_LISTEN as _, tid, 0, 0)
}

/// The call that a stopped thread is about to make: architecture, number, arguments. `None` when it has made it.
pub fn call(tid: i32) -> io::Result<Option<(u32, u32, [u64; 6])>> {
    // struct ptrace_syscall_info: kind and architecture; two addresses; the number and the arguments.
    let mut info = [0u64; 11];
    let size = size_of_val(&info);
    // SAFETY: the kernel writes at most `size` bytes.
    check(unsafe { libc::ptrace(GET_SYSCALL_INFO as _, tid, size, info.as_mut_ptr()) })?;
    let bytes = info[0].to_ne_bytes();
    let arch = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let args = [info[4], info[5], info[6], info[7], info[8], info[9]];
    Ok((bytes[0] == 1).then_some((arch, info[3] as u32, args)))
}

/// Why a thread stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// At a call.
    Call,
    /// With this signal on its way.
    Signal(i32),
    /// Stopped by a signal, to stay so.
    Stopped,
    /// Something else: it was born, or interrupted.
    Event,
    /// It is no more.
    Ended,
}

/// The next thread that has stopped, if one has (waitpid(2) with `__WALL`). ECHILD when none is left.
pub fn next_stop() -> io::Result<Option<(i32, Stop)>> {
    let mut status = 0;
    // SAFETY: the kernel writes one int.
    let tid = check(unsafe { libc::waitpid(-1, ptr::from_mut(&mut status), libc::__WALL | libc::WNOHANG) }.into())? as i32;
    if tid == 0 {
        return Ok(None);
    }
    let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
    let stops = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    let stop = match event {
        _ if !libc::WIFSTOPPED(status) => Stop::Ended,
        libc::PTRACE_EVENT_STOP if stops.contains(&signal) => Stop::Stopped,
        0 if signal == libc::SIGTRAP | 0x80 => Stop::Call,
        0 => Stop::Signal(signal),
        _ => Stop::Event,
    };
    Ok(Some((tid, stop)))
}
