//! One hook, from its start to its end or its timeout (poll(2), pidfd_open(2)).
//!
//! Nothing here waits without a limit that the config did not remove: not for a hook that does not read its stdin, not for
//! what it leaves running with its output open.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Program;
use crate::error::{At, Error, Result};
use crate::sys::{fd, process, signals};

/// How often a hook that no pidfd tells of is asked whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How much of the end of each output stream goes into an error.
const TAIL: usize = 1000;

/// Runs it with `state` on its stdin.
pub(super) fn run_one(hook: &Program, state: &[u8]) -> Result<()> {
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear().envs(hook.env.iter().map(|(name, value)| (name, value)));
    command.stdin(state_file(state)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The descriptors that the program will inherit are not close-on-exec any more when startContainer hooks run.
    fd::only_stdio(&mut command);
    signals::unblocked(&mut command);
    // A group of its own, so that a timeout reaches what the hook itself started.
    command.process_group(0);
    let mut child = command.spawn().at(|| format!("fork/exec {}", hook.path.display()))?;
    // One that cannot be watched must not go on unwatched.
    let (status, out, err) = follow(&mut child, hook.timeout).inspect_err(|_| {
        kill_group(&mut child).ok();
    })?;
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal().and_then(|s| nix::sys::signal::Signal::try_from(s).ok())) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "killed".to_owned(),
    };
    Err(Error::new(format!("{how}, stdout: {}, stderr: {}", shown(&out), shown(&err))))
}

/// The state as a file in memory. Unlike a pipe it cannot fill up while the hook does not read, nor break when it never does.
fn state_file(state: &[u8]) -> Result<File> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let mut file = File::from(memfd_create(c"state", MFdFlags::MFD_CLOEXEC).at(|| "memfd_create")?);
    file.write_all(state).and_then(|()| file.rewind()).at(|| "write the state for a hook")?;
    Ok(file)
}

/// Waits for the hook's end or its timeout, collecting the ends of its output. What the hook leaves running in the
/// background may keep its output open: that is not waited for.
fn follow(child: &mut Child, timeout: Option<Duration>) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
    // A startContainer hook runs under the container's filter, which may not know the call.
    let pidfd = match process::pidfd_open(child.id() as i32) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS)) => None,
        opened => Some(opened.at(|| "pidfd_open of a hook")?),
    };
    let mut streams =
        [Stream::new(child.stdout.take().map(OwnedFd::from))?, Stream::new(child.stderr.take().map(OwnedFd::from))?];
    loop {
        let left = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => {
                return Err(Error::new(format!(
                    "hook ran past specified timeout of {:.1}s",
                    timeout.unwrap_or_default().as_secs_f64()
                )));
            }
            left => left,
        };
        let left = match left.into_iter().chain(pidfd.is_none().then_some(LOOK_AGAIN)).min() {
            // Rounded up: poll counts in milliseconds, and waking too early would spin.
            Some(left) => PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let files = streams.iter().filter_map(|s| s.file.as_ref()).map(AsFd::as_fd);
        let mut waited: Vec<PollFd> =
            files.chain(pidfd.as_ref().map(AsFd::as_fd)).map(|f| PollFd::new(f, PollFlags::POLLIN)).collect();
        match poll(&mut waited, left) {
            Err(nix::errno::Errno::EINTR) => continue,
            done => done.at(|| "poll a hook")?,
        };
        let ended = match &pidfd {
            Some(_) => waited.last().and_then(PollFd::any).unwrap_or(true),
            None => child.try_wait().at(|| "wait for a hook")?.is_some(),
        };
        streams.iter_mut().try_for_each(Stream::drain)?;
        if ended {
            let status = child.wait().at(|| "wait for a hook")?;
            let [out, err] = streams.map(|s| s.tail);
            return Ok((status, out, err));
        }
    }
}

fn kill_group(child: &mut Child) -> Result<()> {
    let group = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).at(|| "kill a hook")?;
    child.wait().at(|| "wait for a hook").map(drop)
}

/// One output stream of a hook.
struct Stream {
    /// `None` after its end.
    file: Option<File>,
    /// The last bytes of it.
    tail: Vec<u8>,
}

impl Stream {
    fn new(fd: Option<OwnedFd>) -> Result<Self> {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        if let Some(fd) = &fd {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).at(|| "set a hook's output non-blocking")?;
        }
        Ok(Self { file: fd.map(File::from), tail: Vec::new() })
    }

    /// Takes what is there now.
    fn drain(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        while let Some(file) = &mut self.file {
            match file.read(&mut buffer) {
                Ok(0) => self.file = None,
                Ok(n) => {
                    self.tail.extend(&buffer[..n]);
                    self.tail.drain(..self.tail.len().saturating_sub(TAIL));
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::os("read a hook's output", e)),
            }
        }
        Ok(())
    }
}

/// Output as an error shows it: one line, no control characters.
fn shown(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let mut line = String::new();
    for c in text.trim_end().chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}
