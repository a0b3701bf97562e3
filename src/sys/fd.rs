//! Descriptors: marking, closing, and sending them over sockets (close_range(2), unix(7)).
//!
//! A descriptor of a host directory that reaches a container is a way out (CVE-2024-21626: `/proc/self/fd/7` as working
//! directory). So everything is close-on-exec from birth, and what init does not need it closes before it looks at the image.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::check;

/// Sets close-on-exec on every descriptor from `first` upwards (close_range(2), `CLOSE_RANGE_CLOEXEC`).
pub fn cloexec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: plain numbers; marking closes nothing.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Closes every descriptor from `first` upwards (close_range(2)). Only for the beginning of a program, when none of them is
/// its own.
pub fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: no owner of such a descriptor exists yet; what the caller leaked has none in this program.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// As [`cloexec_from`] for a process under a seccomp filter that does not know close_range(2): one by one, up to the limit of
/// open files.
fn cloexec_from_filtered(first: RawFd) -> io::Result<()> {
    match cloexec_from(first) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => {}
        done => return done,
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: limit is valid for the write.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }.into())?;
    for number in first..RawFd::try_from(limit.rlim_cur).unwrap_or(RawFd::MAX) {
        // SAFETY: a plain flag change; EBADF for numbers that are not open, which is well.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// Lets `command` start with stdio and no other descriptor, without a change to this process's own.
pub fn only_stdio(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: runs in the child before its execve: async-signal-safe system calls, no allocation.
    unsafe { command.pre_exec(|| cloexec_from_filtered(3)) };
}

/// Puts `fd` at the number `number` for the program to come, without close-on-exec (dup2(2)).
pub fn place(fd: BorrowedFd, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // SAFETY: a plain flag change on a descriptor that the borrow proves open.
        return check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) } as libc::c_long).map(drop);
    }
    // SAFETY: overwriting `number` is the caller's intent (stdio of a process about to execve).
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) } as libc::c_long).map(drop)
}

/// Borrows a descriptor that came with the process: stdio, or one announced by the caller (`LISTEN_FDS`, `--preserve-fds`).
/// EBADF when it is not open.
pub fn inherited(number: RawFd) -> io::Result<BorrowedFd<'static>> {
    // SAFETY: only asks whether it is open.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) } as libc::c_long)?;
    // SAFETY: it is open, and rrun never closes inherited descriptors that it was told to pass on.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Borrows stdin, stdout or stderr, which [`super::start::prepare`] found or made open.
pub fn stdio(number: u8) -> BorrowedFd<'static> {
    debug_assert!(number < 3);
    // SAFETY: open since the start of the program, and rrun never closes them.
    unsafe { BorrowedFd::borrow_raw(number.into()) }
}

/// Closes a child's copy of a descriptor that belongs to its parent. Only for a process fresh from clone3 that never returns
/// to the frames that own `number`.
pub fn close_copy(number: RawFd) {
    // SAFETY: the owner's destructor runs in the parent only; here nobody uses the number again.
    unsafe { libc::close(number) };
}

/// Descriptors whose work is done, closed together by few calls. Not more than a few dozen wait, so that a low limit of open
/// files is not reached by them.
#[derive(Debug, Default)]
pub struct Spent(Vec<OwnedFd>);

impl Spent {
    /// How many wait at most.
    const MOST: usize = 48;

    /// Takes one.
    pub fn push(&mut self, fd: impl Into<OwnedFd>) {
        self.0.push(fd.into());
        if self.0.len() == Self::MOST {
            close_all(self.0.drain(..));
        }
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        close_all(self.0.drain(..));
    }
}

/// Closes many descriptors in few calls: numbers that follow each other by one close_range(2).
pub fn close_all(fds: impl IntoIterator<Item = OwnedFd>) {
    let mut numbers: Vec<RawFd> = fds.into_iter().map(IntoRawFd::into_raw_fd).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        let (first, last) = (run[0], run[run.len() - 1]);
        // SAFETY: each number of the run was given up by its owner above.
        let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if closed != 0 {
            // A filter of an outer container may not know the call.
            // SAFETY: as above.
            run.iter().for_each(|number| drop(unsafe { OwnedFd::from_raw_fd(*number) }));
        }
    }
}

/// The current directory as a handle argument (`AT_FDCWD`).
pub fn cwd() -> BorrowedFd<'static> {
    // SAFETY: AT_FDCWD is no descriptor that could be closed.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// What [`send`] asks of sendmsg(2): no SIGPIPE, and the end of a record, which each message is. Programs do not combine the two
/// (on unix sockets the second changes nothing), so that a filter can tell rrun's own messages.
pub const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL | libc::MSG_EOR;

/// Sends `data` and up to one descriptor over a unix socket in one message.
pub fn send(socket: BorrowedFd, data: &[u8], fd: Option<BorrowedFd>) -> io::Result<()> {
    let raw: Vec<RawFd> = fd.iter().map(|f| f.as_raw_fd()).collect();
    let control = if raw.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(&raw)] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(data)], &control, MsgFlags::from_bits_retain(SEND_FLAGS), None)?;
    Ok(())
}

/// The largest message that [`receive`] takes.
pub const LARGEST_MESSAGE: usize = 120 * 1024;

/// Receives one message of at most [`LARGEST_MESSAGE`] bytes and at most one descriptor; a longer message is EMSGSIZE.
/// `Ok((vec![], None))` is the end of the stream.
pub fn receive(socket: BorrowedFd) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    // Not zeroed, and below the size for which the C library would map memory of its own: only the pages that the message fills
    // are touched, which in init count against the container's limit.
    let mut buffer = Vec::with_capacity(LARGEST_MESSAGE);
    let mut space = nix::cmsg_space!(RawFd);
    loop {
        // SAFETY: plain bytes within the capacity; the kernel only writes them, and what it did not write is cut off below.
        let room = unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr(), LARGEST_MESSAGE) };
        let mut parts = [IoSliceMut::new(room)];
        let got = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(nix::errno::Errno::EINTR) => continue,
            got => got?,
        };
        let mut fd = None;
        for message in got.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = message {
                // SAFETY: the kernel just installed these descriptors for us; each is taken once.
                fd = fds.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }).next();
            }
        }
        if got.flags.contains(MsgFlags::MSG_TRUNC) {
            return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        }
        let length = got.bytes;
        // SAFETY: the kernel wrote so many bytes.
        unsafe { buffer.set_len(length) };
        return Ok((buffer, fd));
    }
}
