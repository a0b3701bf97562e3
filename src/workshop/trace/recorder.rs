//! The recorder: a process beside the traced one that answers for each of its calls (seccomp_unotify(2)).
//!
//! A process of its own, because rrun waits for the container while the container waits for answers. It outlives rrun if it
//! must: with the last copy of the listener gone each call would fail with ENOSYS, so it stays until the last process under the
//! filter has ended. It holds nothing of its caller's, no terminal, no pipe, so that nobody waits for it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;

use super::{Call, Tally, decode};
use crate::concepts::seccomp::Recorder;
use crate::error::{At, Result};
use crate::sys::fd;
use crate::sys::process::{Cloned, clone3, exit_now};
use crate::sys::seccomp::{FLAG_WAIT_KILLABLE_RECV, let_pass, receive, supports_flag, wake_in_turn};

/// The recorder as the process that started it knows it.
#[derive(Debug)]
pub struct Recording {
    /// Where it waits for the listener.
    pub recorder: Recorder,
    control: UnixStream,
}

impl Recording {
    /// Starts it.
    pub fn begin() -> Result<Self> {
        let (control, inner) = UnixStream::pair().at(|| "socketpair")?;
        let (door, handle) = door()?;
        match clone3(0, None).at(|| "clone3 the recorder")? {
            Cloned::Child => {
                drop(control);
                let ended = detach().and_then(|()| Watch::new(inner, door).run());
                exit_now(i32::from(ended.is_err()))
            }
            Cloned::Parent { pid, .. } => {
                let address = PathBuf::from(format!("/proc/{pid}/fd/{}", handle.as_raw_fd()));
                Ok(Self { recorder: Recorder { address, killable: supports_flag(FLAG_WAIT_KILLABLE_RECV) }, control })
            }
        }
    }

    /// The program has ended: what was recorded.
    pub fn end(mut self) -> Result<Vec<Call>> {
        self.control.shutdown(Shutdown::Write).at(|| "end the recording")?;
        let mut text = vec![];
        self.control.read_to_end(&mut text).at(|| "read the recording")?;
        decode(&text)
    }
}

/// A listening socket without a name, and a handle by which it can be connected through the recorder's /proc/PID/fd: nothing
/// is left behind, however the recorder ends.
fn door() -> Result<(UnixListener, OwnedFd)> {
    let pattern = std::env::temp_dir().join(format!("rrun-trace-{}", "X".repeat(6)));
    let dir = nix::unistd::mkdtemp(&pattern).at(|| "make a temporary directory")?;
    let path = dir.join("recorder");
    let made = UnixListener::bind(&path).at(|| format!("bind {}", path.display())).and_then(|door| {
        let handle = nix::fcntl::open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        Ok((door, handle.at(|| format!("open {}", path.display()))?))
    });
    std::fs::remove_dir_all(&dir).at(|| format!("remove {}", dir.display()))?;
    made
}

/// Leaves the caller's terminal, signals and streams.
fn detach() -> io::Result<()> {
    nix::unistd::setsid()?;
    SigSet::all().thread_block()?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    (0..3).try_for_each(|number| fd::place(nothing.as_fd(), number))
}

/// The recorder's own state.
struct Watch {
    /// To rrun; closed when the report was given.
    control: Option<UnixStream>,
    door: UnixListener,
    listener: Option<OwnedFd>,
    /// The process whose program is traced.
    leader: i32,
    /// Whether that program has begun: before, it is rrun that calls.
    begun: bool,
    tally: Tally,
}

impl Watch {
    fn new(control: UnixStream, door: UnixListener) -> Self {
        Self { control: Some(control), door, listener: None, leader: 0, begun: false, tally: Tally::default() }
    }

    fn run(&mut self) -> io::Result<()> {
        while self.control.is_some() || self.listener.is_some() {
            let [control, door, call, gone] = self.wait()?;
            if call {
                self.answer()?;
            } else if gone {
                self.listener = None;
            }
            if door {
                self.take_listener()?;
            }
            if control && let Some(mut control) = self.control.take() {
                // rrun may have gone without waiting for it.
                control.write_all(&self.tally.encode()).ok();
            }
        }
        Ok(())
    }

    /// Whether rrun wants the report or is gone; somebody knocks; a call waits; nobody is left who could call.
    fn wait(&self) -> io::Result<[bool; 4]> {
        let mut polled = vec![PollFd::new(self.door.as_fd(), PollFlags::POLLIN)];
        polled.extend(self.listener.as_ref().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        polled.extend(self.control.as_ref().map(|control| PollFd::new(control.as_fd(), PollFlags::POLLIN)));
        poll(&mut polled, PollTimeout::NONE)?;
        let said = |at: usize| polled.get(at).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        let calls = if self.listener.is_some() { said(1) } else { PollFlags::empty() };
        let control = if self.control.is_some() { said(polled.len() - 1) } else { PollFlags::empty() };
        let call = calls.contains(PollFlags::POLLIN);
        Ok([!control.is_empty(), !said(0).is_empty(), call, !call && !calls.is_empty()])
    }

    fn take_listener(&mut self) -> io::Result<()> {
        let (stream, _) = self.door.accept()?;
        let (text, listener) = fd::receive(stream.as_fd())?;
        let state: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        if let Some(listener) = listener {
            // An older kernel wakes whichever way it likes.
            wake_in_turn(listener.as_fd()).ok();
            self.leader = state["pid"].as_i64().unwrap_or(0) as i32;
            self.listener = Some(listener);
        }
        Ok(())
    }

    fn answer(&mut self) -> io::Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let waiting = match receive(listener.as_fd()) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => return Ok(()),
            waiting => waiting?,
        };
        let number = i64::from(waiting.number);
        self.begun |= waiting.tid == self.leader && [libc::SYS_execve, libc::SYS_execveat].contains(&number);
        if self.begun && self.control.is_some() {
            self.tally.count(waiting.arch, waiting.number, waiting.tid, waiting.args);
        }
        match let_pass(listener.as_fd(), &waiting) {
            // Its thread ended, or a signal came first.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            passed => passed,
        }
    }
}
