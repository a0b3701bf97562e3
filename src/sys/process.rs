//! Processes and namespaces: clone3(2), setns(2), unshare(2), pidfd_open(2), prctl(2), execveat(2).
//!
//! A pid can be recycled while one looks at it; a pidfd cannot. So processes are signalled and waited for by pidfd, and a
//! pid is only a name to show.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::check;

/// clone3(2): the child is born in the cgroup given. (libc's constant is too narrow for the bit.)
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The two sides of [`clone3`].
pub enum Cloned {
    /// The new process.
    Child,
    /// The process that called: the child's pid (in the caller's PID namespace) and pidfd.
    Parent {
        /// Process id in the caller's PID namespace.
        pid: i32,
        /// A pidfd of the child, close-on-exec.
        pidfd: OwnedFd,
    },
}

/// clone3(2) with fork semantics: `flags` are `CLONE_NEW*`; with `cgroup` the child is born in that v2 cgroup
/// (`CLONE_INTO_CGROUP`). The child's death sends SIGCHLD.
///
/// Must be called while the process has one thread: the child has only this one, and a lock held by another thread would
/// stay locked for ever.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain data; zero is valid for every field.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    // With CLONE_PARENT the child dies by the signal its parent asked for when it made us.
    args.exit_signal = if flags & libc::CLONE_PARENT as u64 == 0 { libc::SIGCHLD as u64 } else { 0 };
    if let Some(dir) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = dir.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child gets its own copy of all memory, as after fork(2); the caller is single-threaded.
    match check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })? {
        0 => Ok(Cloned::Child),
        // SAFETY: the kernel stored a new descriptor in pidfd.
        pid => Ok(Cloned::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

/// unshare(2) with a raw flag word: `CLONE_NEWTIME` does not fit nix's type.
pub fn unshare(flags: u64) -> io::Result<()> {
    // SAFETY: plain number.
    check(unsafe { libc::syscall(libc::SYS_unshare, flags) }).map(drop)
}

/// setns(2): joins the namespace behind `fd`, which must be of the kind `kind` (`CLONE_NEW*`; with a pidfd several).
pub fn setns(fd: BorrowedFd, kind: u64) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), kind) }).map(drop)
}

/// pidfd_open(2): a handle of the process `pid` that a recycled pid cannot betray.
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; pidfds are close-on-exec from birth.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: a new descriptor that only we own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// pidfd_send_signal(2). Signal 0 only asks whether the process is there.
pub fn pidfd_signal(pidfd: BorrowedFd, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo asks for the default one.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, ptr::null::<libc::c_void>(), 0) })
        .map(drop)
}

/// prctl(2) with up to three arguments; the unused ones are zero.
pub fn prctl(option: i32, a: u64, b: u64, c: u64) -> io::Result<i32> {
    // SAFETY: callers pass options whose arguments are plain numbers; pointers go through wrappers of their own.
    check(unsafe { libc::prctl(option, a, b, c, 0) } as libc::c_long).map(|v| v as i32)
}

/// A null-terminated vector of strings, as execve(2) takes it, built before it is needed so that nothing is allocated in
/// the child.
pub struct StringVector {
    strings: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl StringVector {
    /// Takes the strings in order.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Self { strings, pointers }
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// execve(2): returns only on failure.
pub fn execve(path: &CStr, args: &StringVector, env: &StringVector) -> io::Error {
    // SAFETY: both vectors are null-terminated and their strings live in the same object.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// execveat(2) of the file behind `fd` itself (`AT_EMPTY_PATH`): returns only on failure.
pub fn execve_fd(fd: BorrowedFd, args: &StringVector, env: &StringVector) -> io::Error {
    // SAFETY: as for execve.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// _exit(2): ends the process at once; no destructor, no buffer, no atexit handler of the copied parent runs.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(status) }
}

/// sethostname(2) and setdomainname(2) share a shape; nix lacks the second.
pub fn setdomainname(name: &CStr) -> io::Result<()> {
    // SAFETY: the kernel reads exactly the length given.
    check(unsafe { libc::setdomainname(name.as_ptr(), name.to_bytes().len()) } as libc::c_long).map(drop)
}
