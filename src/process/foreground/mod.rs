//! The foreground: relays stdio, forwards signals, reaps orphans, returns the exit status (signalfd(2), pidfd_open(2)).
//!
//! Every signal that can be caught is blocked before the clone and read as data from then on, so none is lost between the
//! clone and the wait, and none ends rrun while the caller's terminal is raw. They go to the container's process by pidfd:
//! a pid could by then be another's. One thread does it all in one poll(2).

mod raw;
mod relay;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use self::relay::Relay;
use super::notify::Notify;
use super::stdio::{Stdio, StdioPlan};
use crate::error::{At, Error, Result};
use crate::sys::process::pidfd_signal;
use crate::sys::signals::{reap, set_default};

/// Left to their default action: faults of rrun itself; the stops that a shell's job control sends to a job that touches
/// the terminal from the background; SIGPIPE and SIGURG, which tell rrun about its own descriptors.
const NOT_TAKEN: [Signal; 11] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGPIPE,
    Signal::SIGURG,
    Signal::SIGSTOP,
];

/// From [`Foreground::begin`] on, signals are data. They stay blocked until rrun ends: what follows the wait removes what
/// was made, and must not be cut in half.
#[derive(Debug)]
pub struct Foreground {
    signals: SignalFd,
    kill_command: Option<String>,
    notify: Option<Notify>,
    interrupts: u32,
}

impl Foreground {
    /// Before the clone: blocks the signals to forward (the child unblocks them: see [`Foreground::reset_in_child`]),
    /// becomes a subreaper unless told not to.
    pub fn begin(subreaper: bool) -> Result<Self> {
        // A caller that ignores SIGCHLD would have the kernel reap the container's process, status and all.
        set_default(Signal::SIGCHLD as i32).at(|| "sigaction SIGCHLD")?;
        let mut taken = SigSet::all();
        NOT_TAKEN.into_iter().for_each(|signal| taken.remove(signal));
        let signals = SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).at(|| "signalfd")?;
        taken.thread_block().at(|| "block signals")?;
        if subreaper {
            // Orphans of a container without a PID namespace come to us, not to the host's init.
            set_child_subreaper(true).at(|| "prctl PR_SET_CHILD_SUBREAPER")?;
        }
        Ok(Self { signals, kill_command: None, notify: None, interrupts: 0 })
    }

    /// Names the command that ends it by force, for who presses Ctrl-C twice: `rrun kill ID KILL`, of `exec` `kill -KILL PID`.
    pub fn kill_command(mut self, command: String) -> Self {
        self.kill_command = Some(command);
        self
    }

    /// Forwards the container's readiness as well while it waits.
    pub fn notify(mut self, notify: Option<Notify>) -> Self {
        self.notify = notify;
        self
    }

    /// Inside: the signal mask and dispositions a new program expects, whatever the caller of rrun left behind. `ignored` are
    /// the signals that stay ignored across execve(2), bit n-1 for signal n: SIGPIPE by rrun itself, SIGHUP by nohup, any of
    /// the 64 by callers in other languages.
    pub fn reset_in_child(ignored: u64) -> Result<()> {
        for signal in (1..=64).filter(|n| ignored & 1 << (n - 1) != 0) {
            set_default(signal).at(|| "sigaction")?;
        }
        SigSet::empty().thread_set_mask().at(|| "unblock signals")
    }

    /// Relays and forwards until the process ends; its exit status, 128+n if signal n ended it. A process that can no longer
    /// be relayed is killed: it would hang on a terminal that nobody reads.
    pub fn wait(mut self, plan: &StdioPlan, stdio: Stdio, master: Option<OwnedFd>, pid: i32, pidfd: BorrowedFd) -> Result<i32> {
        Relay::new(plan, stdio, master).and_then(|relay| self.follow(relay, pid, pidfd)).inspect_err(|_| {
            pidfd_signal(pidfd, libc::SIGKILL).unwrap_or(());
        })
    }

    fn follow(&mut self, mut relay: Relay, pid: i32, pidfd: BorrowedFd) -> Result<i32> {
        loop {
            let ready = relay.turn(&[Some(self.signals.as_fd()), self.notify.as_ref().map(Notify::as_fd)])?;
            // The manager watches rrun itself, so the container's pid is none of its business.
            if ready[1]
                && let Some(notify) = &self.notify
                && notify.forward_one(None)?
            {
                self.notify = None;
            }
            if ready[0]
                && let Some(status) = self.take_signals(&mut relay, pid, pidfd)?
            {
                self.drain(&mut relay)?;
                relay.verdict()?;
                return Ok(status);
            }
        }
    }

    /// Handles all signals that are there; the status of the process if it has ended.
    fn take_signals(&mut self, relay: &mut Relay, pid: i32, pidfd: BorrowedFd) -> Result<Option<i32>> {
        while let Some(info) = self.signals.read_signal().at(|| "read signals")? {
            match info.ssi_signo as i32 {
                libc::SIGCHLD => {
                    if let Some(status) = reap_all(pid)? {
                        return Ok(Some(status));
                    }
                }
                // The container's terminal tells its processes itself.
                libc::SIGWINCH => relay.resize(),
                number => {
                    forward(pidfd, number)?;
                    self.act_on(number, relay)?;
                }
            }
        }
        Ok(None)
    }

    /// What a forwarded signal means for rrun itself.
    fn act_on(&mut self, number: i32, relay: &mut Relay) -> Result<()> {
        match number {
            libc::SIGTSTP => stop(relay),
            libc::SIGINT if !relay.is_raw() => {
                self.interrupts += 1;
                if self.interrupts == 2
                    && let Some(command) = &self.kill_command
                {
                    relay::say(&format!("it is still running; to end it by force: {command}\n"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Passes on what the process wrote before it ended; a signal that asks rrun to end cuts this short.
    fn drain(&mut self, relay: &mut Relay) -> Result<()> {
        const ENDS: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
        relay.end_of_process();
        while relay.has_output()? {
            if relay.turn(&[Some(self.signals.as_fd()), None])?[0] {
                while let Some(info) = self.signals.read_signal().at(|| "read signals")? {
                    if ENDS.contains(&(info.ssi_signo as i32)) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reaps the children that have ended, orphans of the container among them; the status of `pid` once it is one of them. Those
/// left then are the next reaper's, as rrun ends.
fn reap_all(pid: i32) -> Result<Option<i32>> {
    loop {
        match reap() {
            Ok(Some((child, code))) if child == pid => return Ok(Some(code)),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(e) => return Err(Error::os(format!("wait for process {pid}"), e)),
        }
    }
}

/// Forwards a signal. A process that has just ended, or that changed its user out of a rootless rrun's reach, misses it.
fn forward(pidfd: BorrowedFd, number: i32) -> Result<()> {
    match pidfd_signal(pidfd, number) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ESRCH | libc::EPERM)) => Ok(()),
        other => other.at(|| format!("forward signal {number}")),
    }
}

/// Ctrl-Z: gives the terminal back as the shell knows it and stops as any job would; goes on where it was. The kernel drops
/// the stop when no shell is there that could continue us.
fn stop(relay: &mut Relay) -> Result<()> {
    relay.leave_terminal();
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    raise(Signal::SIGTSTP).at(|| "raise SIGTSTP")?;
    match stop.thread_unblock().and_then(|()| stop.thread_block()) {
        Err(Errno::EINTR) | Ok(()) => relay.enter_terminal(),
        Err(e) => Err(Error::os("unblock SIGTSTP", e)),
    }
}
