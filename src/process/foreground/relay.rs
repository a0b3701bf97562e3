//! The relay: bytes from the caller's stdio to the container's and back (poll(2)), without ever blocking.
//!
//! Whoever pastes much and reads late would otherwise stop rrun in a write while the container waits for rrun to read: so
//! each direction has a buffer, reads only when it is empty, and writes only what fits. The caller's descriptors are shared
//! with its shell, so they are never made non-blocking; a terminal is opened anew for that.

use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstat};
use nix::sys::termios::{LocalFlags, SpecialCharacterIndices, tcgetattr};
use nix::unistd::{read, write};

use super::raw::Raw;
use crate::error::{At, Result};
use crate::process::stdio::{Stdio, StdioPlan, output_is_seen};
use crate::sys::{fd, tty};

const BUFFER: usize = 32 * 1024;

/// A pipe that poll(2) calls writable takes this much without blocking (pipe(7), PIPE_BUF).
const NEVER_BLOCKS: usize = 4096;

/// What a pipe or terminal can still hold when the process has ended (pipe(7), pipe-max-size): more was written later, by
/// processes that it left behind, and rrun does not wait for those.
const HELD_AT_END: usize = 1024 * 1024;

/// One direction.
#[derive(Debug)]
struct Flow {
    /// Where bytes come from; `None` after the end of input.
    source: Option<Rc<OwnedFd>>,
    /// Whether the source is a terminal of the caller.
    typed: bool,
    sink: Rc<OwnedFd>,
    buffer: Vec<u8>,
    written: usize,
    /// The most that one write may pass so that it cannot block.
    chunk: usize,
    /// Towards the container.
    input: bool,
    /// How much more is read after the process has ended.
    left: usize,
    last: u8,
    /// Why bytes were lost, if that was no end of either side.
    lost: Option<(&'static str, Errno)>,
}

/// What one step of a flow came to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Moved,
    Nothing,
    SourceEnded,
    SinkGone,
}

/// The container's terminal as rrun holds it.
#[derive(Debug)]
struct Terminal {
    master: Rc<OwnedFd>,
    /// Held so that the terminal does not end while the container has closed it and may open it again (`/dev/console`).
    _slave: Option<OwnedFd>,
    /// The caller's terminal: its size counts.
    host: Option<OwnedFd>,
    raw: Option<Raw>,
}

/// All directions, and the terminal if there is one.
#[derive(Debug)]
pub struct Relay {
    flows: Vec<Flow>,
    terminal: Option<Terminal>,
    lost: Option<(&'static str, Errno)>,
}

impl Relay {
    /// Takes our ends.
    pub fn new(plan: &StdioPlan, stdio: Stdio, master: Option<OwnedFd>) -> Result<Self> {
        let mut relay = Self { flows: vec![], terminal: None, lost: None };
        match master {
            Some(master) => relay.relay_terminal(plan, Rc::new(master))?,
            None => relay.relay_pipes(stdio)?,
        }
        Ok(relay)
    }

    fn relay_pipes(&mut self, stdio: Stdio) -> Result<()> {
        for (number, pipe) in (0..3).zip(stdio.pipes) {
            let Some(ours) = pipe.and_then(|pipe| pipe.ours) else { continue };
            set_nonblocking(&ours)?;
            let ours = Rc::new(ours);
            self.flows.push(if number == 0 { Flow::input(callers(0)?.0, ours) } else { Flow::output(ours, callers(number)?) });
        }
        Ok(())
    }

    fn relay_terminal(&mut self, plan: &StdioPlan, master: Rc<OwnedFd>) -> Result<()> {
        set_nonblocking(&master)?;
        let (stdin, stdout) = (callers(0)?, callers(1)?);
        let is_terminal = |n| fd::inherited(n).is_ok_and(|given| given.is_terminal());
        let host = match (0..3).find(|n| is_terminal(*n)) {
            Some(n) => Some(fd::inherited(n).and_then(|given| given.try_clone_to_owned()).at(|| "dup the terminal")?),
            None => None,
        };
        // Whoever reads output that goes elsewhere may print on the caller's terminal, and expects it to end lines.
        let keep_output = !output_is_seen();
        let raw = if is_terminal(0) { Some(Raw::enter(fd::inherited(0).at(|| "stdin")?, keep_output)?) } else { None };
        let slave = tty::peer(master.as_fd()).ok();
        self.flows = vec![Flow::input(stdin.0, master.clone()), Flow::output(master.clone(), stdout)];
        self.terminal = Some(Terminal { master, _slave: slave, host, raw });
        if plan.size.is_none() {
            self.resize();
        }
        Ok(())
    }

    /// Gives the container's terminal the size of the caller's. Either may just have gone: then there is no size to keep.
    pub fn resize(&self) {
        if let Some(Terminal { master, host: Some(host), .. }) = &self.terminal {
            tty::size(host.as_fd()).and_then(|size| tty::set_size(master.as_fd(), size)).unwrap_or(());
        }
    }

    /// Whether the caller's terminal is raw, so that Ctrl-C is the container's business.
    pub fn is_raw(&self) -> bool {
        self.terminal.as_ref().and_then(|t| t.raw.as_ref()).is_some_and(Raw::is_active)
    }

    /// Gives the caller's terminal back for a while.
    pub fn leave_terminal(&mut self) {
        if let Some(raw) = self.terminal.as_mut().and_then(|t| t.raw.as_mut()) {
            raw.leave();
        }
    }

    /// Takes it again; its size may have changed.
    pub fn enter_terminal(&mut self) -> Result<()> {
        if let Some(raw) = self.terminal.as_mut().and_then(|t| t.raw.as_mut()) {
            raw.resume()?;
        }
        self.resize();
        Ok(())
    }

    /// Waits until one of `others` can be read or a flow can go on; moves bytes; says which of `others` can be read.
    pub fn turn(&mut self, others: &[Option<BorrowedFd>; 2]) -> Result<[bool; 2]> {
        let ready: Vec<bool> = {
            let flows = self.flows.iter().map(Flow::waits_for);
            let others = others.iter().flatten().map(|other| PollFd::new(*other, PollFlags::POLLIN));
            let mut polled: Vec<PollFd> = flows.chain(others).collect();
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => return Ok([false; 2]),
                other => other.at(|| "poll")?,
            };
            polled.iter().map(|p| p.any().unwrap_or(true)).collect()
        };
        let (flows, mut rest) = (self.flows.len(), ready[self.flows.len()..].iter());
        let said = [0, 1].map(|i: usize| others[i].is_some() && rest.next() == Some(&true));
        for i in (0..flows).rev().filter(|i| ready[*i]) {
            if i < self.flows.len() {
                self.step(i);
            }
        }
        Ok(said)
    }

    /// One step of flow `i`; a flow that has come to its end is taken out.
    fn step(&mut self, i: usize) {
        let step = self.flows[i].step();
        self.lost = self.lost.or(self.flows[i].lost);
        match step {
            Step::Moved | Step::Nothing => {}
            Step::SourceEnded => self.source_ended(i),
            Step::SinkGone => self.close(i),
        }
    }

    fn source_ended(&mut self, i: usize) {
        let flow = &mut self.flows[i];
        let Some(Terminal { master, .. }) = self.terminal.as_ref().filter(|_| flow.input) else { return self.close(i) };
        // A terminal that ends has been closed: so is the container's. A file or pipe that ends is what Ctrl-D says.
        match flow.source.take() {
            Some(_) if !flow.typed => flow.buffer = end_of_file(master.as_fd(), flow.last),
            Some(_) => self.close(i),
            None => drop(self.flows.remove(i)),
        }
    }

    /// Ends flow `i`: its pipe is closed, so that the container sees the end; a terminal is hung up in both directions.
    fn close(&mut self, i: usize) {
        if self.terminal.take().is_some() {
            self.flows.clear();
        } else {
            self.flows.remove(i);
        }
    }

    /// The process has ended: nobody is left to read input.
    pub fn end_of_process(&mut self) {
        self.flows.retain(|flow| !flow.input);
    }

    /// After the end of the process: whether output is still to be written. Reads what is there, without waiting.
    pub fn has_output(&mut self) -> Result<bool> {
        let lost = &mut self.lost;
        self.flows.retain_mut(|flow| {
            let stays = !flow.buffer.is_empty() || flow.read_rest();
            *lost = lost.or(flow.lost);
            stays
        });
        Ok(!self.flows.is_empty())
    }

    /// Whether all bytes were passed on that somebody wanted: a status of 0 must not stand for output that was lost.
    pub fn verdict(&self) -> Result<()> {
        match self.lost {
            Some((call, errno)) => Err(std::io::Error::from(errno)).at(|| format!("{call} the container's input or output")),
            None => Ok(()),
        }
    }
}

impl Flow {
    fn input(source: Rc<OwnedFd>, sink: Rc<OwnedFd>) -> Self {
        let typed = source.is_terminal();
        Self {
            source: Some(source),
            typed,
            sink,
            buffer: vec![],
            written: 0,
            chunk: BUFFER,
            input: true,
            left: 0,
            last: b'\n',
            lost: None,
        }
    }

    fn output(source: Rc<OwnedFd>, (sink, chunk): (Rc<OwnedFd>, usize)) -> Self {
        Self {
            source: Some(source),
            typed: false,
            sink,
            buffer: vec![],
            written: 0,
            chunk,
            input: false,
            left: HELD_AT_END,
            last: b'\n',
            lost: None,
        }
    }

    fn waits_for(&self) -> PollFd<'_> {
        match &self.source {
            Some(source) if self.buffer.is_empty() => PollFd::new(source.as_fd(), PollFlags::POLLIN),
            _ => PollFd::new(self.sink.as_fd(), PollFlags::POLLOUT),
        }
    }

    fn step(&mut self) -> Step {
        if self.buffer.is_empty() { self.fill() } else { self.pass() }
    }

    fn fill(&mut self) -> Step {
        let Some(source) = &self.source else { return Step::SourceEnded };
        let mut bytes = [0; BUFFER];
        match read(&**source, &mut bytes) {
            Ok(0) => Step::SourceEnded,
            Ok(n) => {
                self.buffer.extend_from_slice(&bytes[..n]);
                self.last = bytes[n - 1];
                Step::Moved
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Step::Nothing,
            Err(errno) => {
                self.lost = failure("read", errno, source);
                Step::SourceEnded
            }
        }
    }

    fn pass(&mut self) -> Step {
        let rest = &self.buffer[self.written..];
        match write(&*self.sink, &rest[..rest.len().min(self.chunk)]) {
            Ok(n) => {
                self.written += n;
                if self.written == self.buffer.len() {
                    self.buffer.clear();
                    self.written = 0;
                    if self.source.is_none() {
                        return Step::SourceEnded;
                    }
                }
                Step::Moved
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Step::Nothing,
            Err(errno) => {
                self.lost = failure("write", errno, &self.sink);
                Step::SinkGone
            }
        }
    }

    fn read_rest(&mut self) -> bool {
        let more = self.left > 0 && self.fill() == Step::Moved;
        self.left = self.left.saturating_sub(self.buffer.len());
        more
    }
}

/// `None` where the error means that the other side has gone: its reader left, its connection broke, its terminal was closed.
fn failure(call: &'static str, errno: Errno, file: &OwnedFd) -> Option<(&'static str, Errno)> {
    let gone = match errno {
        Errno::EPIPE | Errno::ECONNRESET => true,
        // One that was hung up answers no more that it is a terminal, but it is still a device.
        Errno::EIO => fstat(file).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFCHR),
        _ => false,
    };
    (!gone).then_some((call, errno))
}

/// What the end of a file says on a terminal: its end-of-file character; twice when a line is begun, as the first one only
/// ends the line (termios(3), VEOF).
fn end_of_file(terminal: BorrowedFd, last: u8) -> Vec<u8> {
    let Ok(settings) = tcgetattr(terminal) else { return vec![] };
    let eof = settings.control_chars[SpecialCharacterIndices::VEOF as usize];
    let begun = last != b'\n' && settings.local_flags.contains(LocalFlags::ICANON);
    vec![eof; if begun { 2 } else { 1 }]
}

/// The caller's descriptor `number`, and how much one write to it may pass. A terminal is opened anew, non-blocking: the flag
/// of the caller's own would stay with its shell. Anything else is used as it is, in pieces that do not block.
fn callers(number: i32) -> Result<(Rc<OwnedFd>, usize)> {
    let given = fd::inherited(number).at(|| format!("stdio {number}"))?;
    if given.is_terminal() {
        let path = format!("/proc/self/fd/{}", given.as_raw_fd());
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        if let Ok(own) = nix::fcntl::open(path.as_str(), flags, Mode::empty()) {
            return Ok((Rc::new(own), BUFFER));
        }
    }
    Ok((Rc::new(given.try_clone_to_owned().at(|| format!("dup stdio {number}"))?), NEVER_BLOCKS))
}

fn set_nonblocking(file: &OwnedFd) -> Result<()> {
    fcntl(file, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).at(|| "set O_NONBLOCK").map(drop)
}

/// Says one line to the user while the container runs. That nobody may be there to hear it changes nothing.
pub fn say(text: &str) {
    if let Ok(stderr) = fd::inherited(2) {
        write(stderr, text.as_bytes()).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_bytes_are_told_from_a_reader_that_left() {
        let (pipe, _) = nix::unistd::pipe().unwrap();
        let device = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert_eq!(failure("write", Errno::EPIPE, &pipe), None);
        assert_eq!(failure("read", Errno::EIO, &device), None);
        assert_eq!(failure("write", Errno::EIO, &pipe), Some(("write", Errno::EIO)));
        assert_eq!(failure("write", Errno::ENOSPC, &pipe), Some(("write", Errno::ENOSPC)));
    }
}
