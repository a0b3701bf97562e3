//! `trace -- PROGRAM`: a program of the host under the recording filter, without a container.
//!
//! The child installs the filter on itself, hands its listener to the recorder and becomes the program. Whoever may not
//! install filters otherwise gives up new privileges for it: a setuid program then runs without its owner's rights.

use std::ffi::{CString, OsString};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::Call;
use super::recorder::Recording;
use crate::concepts::seccomp::{self, Recorder, SeccompPlan};
use crate::error::{At, Error, Result};
use crate::host::Own;
use crate::process::foreground::Foreground;
use crate::sys::fd;
use crate::sys::process::{Cloned, clone3, exit_now, pidfd_signal, prctl};

/// Runs the program; its status (128+n if signal n ended it) and its calls.
pub fn run(words: &[OsString]) -> Result<(i32, Vec<Call>)> {
    let program = find(&words[0])?;
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(|_| Error::new("a null byte in an argument"));
    let program = text(program.into_os_string().into_vec())?;
    let args = words.iter().map(|word| text(word.clone().into_vec())).collect::<Result<Vec<_>>>()?;
    let recording = Recording::begin()?;
    let filter = seccomp::report(None, &recording.recorder)?;
    let (mut told, tell) = UnixStream::pair().at(|| "socketpair")?;
    // Ctrl-C is for the program; rrun still has a report to write.
    let mut signals = SigSet::empty();
    [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| signals.add(signal));
    signals.thread_block().at(|| "block signals")?;
    let pidfd = match clone3(0, None).at(|| "clone3")? {
        Cloned::Child => {
            let error = become_program(&recording.recorder, filter, &program, &args);
            exit_now(error.map_or(127, |e| fd::send(tell.as_fd(), e.to_string().as_bytes(), None).map_or(126, |()| 127)))
        }
        Cloned::Parent { pidfd, .. } => pidfd,
    };
    drop(tell);
    let mut failure = String::new();
    // Ends when the program has begun: the child's end closes by itself.
    told.read_to_string(&mut failure).at(|| "wait for the program")?;
    let status = wait(pidfd, &signals)?;
    if !failure.is_empty() {
        return Err(Error::new(failure));
    }
    Ok((status, recording.end()?))
}

/// In the child. Returns only when it failed.
fn become_program(recorder: &Recorder, filter: SeccompPlan, program: &CString, args: &[CString]) -> Option<Error> {
    let go = || -> Result<()> {
        Foreground::reset_in_child(Own::ask()?.ignored_signals)?;
        let door = UnixStream::connect(&recorder.address).at(|| "connect the recorder")?;
        let pid = format!("{{\"pid\":{}}}", std::process::id());
        let installed = match seccomp::apply(&filter) {
            Err(e) if e.errno() == Some(libc::EACCES) => {
                prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0).at(|| "prctl PR_SET_NO_NEW_PRIVS")?;
                seccomp::apply(&filter)
            }
            installed => installed,
        }?;
        fd::send(door.as_fd(), pid.as_bytes(), installed.as_ref().map(OwnedFd::as_fd)).at(|| "tell the recorder")?;
        nix::unistd::execv(program, args).map(|_| ()).at(|| format!("exec {}", crate::log::value(&program.to_string_lossy())))
    };
    go().err()
}

/// Waits for the end, and passes on what only rrun was sent: the terminal tells the program itself.
fn wait(pidfd: OwnedFd, signals: &SigSet) -> Result<i32> {
    let asked = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).at(|| "signalfd")?;
    loop {
        let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(asked.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled.at(|| "poll")?,
        };
        let ended = polled[0].any() == Some(true);
        while let Some(info) = asked.read_signal().at(|| "read signals")? {
            forward(pidfd.as_fd(), info.ssi_signo as i32, info.ssi_code);
        }
        if ended {
            return match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).at(|| "wait for the program")? {
                WaitStatus::Signaled(_, signal, _) => Ok(128 + signal as i32),
                WaitStatus::Exited(_, status) => Ok(status),
                _ => Ok(0),
            };
        }
    }
}

fn forward(pidfd: BorrowedFd, signal: i32, code: i32) {
    if code != libc::SI_KERNEL {
        // A program that has just ended needs no signal.
        pidfd_signal(pidfd, signal).ok();
    }
}

/// The file that a shell would run for this word.
fn find(word: &OsString) -> Result<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(word));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let runs = |file: &Path| file.is_file() && nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok();
    std::env::split_paths(&path).map(|dir| dir.join(word)).find(|file| runs(file)).ok_or_else(|| {
        Error::new(format!("exec: \"{}\": executable file not found in $PATH", crate::log::value(&word.to_string_lossy())))
    })
}
