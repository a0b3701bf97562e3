//! `trace ID`: the calls of a container that runs already (ptrace(2)).
//!
//! A filter cannot be put on another process, so each thread is stopped at each of its calls, by a process of its own: when
//! that ends, for whatever reason, the kernel lets all threads go on untouched. A thread that sleeps in a call is woken once;
//! most calls are then made again unseen, a few (epoll_wait, sigtimedwait) return EINTR, as after SIGSTOP and SIGCONT (signal(7)).

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{Call, Tally, decode};
use crate::error::{At, Error, Result};
use crate::process::members;
use crate::state::State;
use crate::style::Looks;
use crate::sys::process::{Cloned, clone3, exit_now, prctl};
use crate::sys::ptrace::{self, Stop};
use crate::workshop::progress::Progress;

/// How often threads that came from elsewhere (`exec`) are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Watches the container until it ends, the user presses Ctrl-C, or `limit` is over.
pub fn record(state: &State, limit: Option<Duration>, quiet: bool, looks: &Looks) -> Result<Vec<Call>> {
    let mut end = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD].into_iter().for_each(|signal| end.add(signal));
    end.thread_block().at(|| "block signals")?;
    let (mut told, mut tell) = UnixStream::pair().at(|| "socketpair")?;
    match clone3(0, None).at(|| "clone3 the recorder")? {
        Cloned::Child => {
            drop(told);
            let watched = prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM as u64, 0, 0)
                .at(|| "prctl PR_SET_PDEATHSIG")
                .and_then(|_| watch(state, limit, &end, Progress::begin(quiet, looks)));
            let said = watched.map_or_else(|e| format!("{e}").into_bytes(), |tally| tally.encode());
            exit_now(i32::from(tell.write_all(&said).is_err()))
        }
        Cloned::Parent { .. } => drop(tell),
    }
    let mut text = vec![];
    told.read_to_end(&mut text).at(|| "read the recording")?;
    if text.first().is_some_and(|first| *first != b'[') {
        return Err(Error::new(String::from_utf8_lossy(&text)));
    }
    decode(&text)
}

fn watch(state: &State, limit: Option<Duration>, end: &SigSet, mut progress: Progress) -> Result<Tally> {
    let signals = SignalFd::with_flags(end, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).at(|| "signalfd")?;
    let (mut tally, mut known) = (Tally::default(), HashSet::new());
    progress.step(format!("watching {}, Ctrl-C ends it", state.id));
    let begun = Instant::now();
    let mut next = begun;
    for turn in 0u64.. {
        let now = Instant::now();
        if limit.is_some_and(|limit| now >= begun + limit) {
            break;
        }
        if now >= next {
            seize_new(state, &mut known)?;
            progress.look(&format!("{} distinct of {} calls", tally.distinct(), tally.total()));
            next = now + LOOK;
        }
        let stopped = match ptrace::next_stop() {
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) && !state.is_alive()? => break,
            // Those traced have ended, others live: the next look finds them.
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) => None,
            stopped => stopped.at(|| "wait for a call")?,
        };
        match stopped {
            Some((tid, stop)) => on_stop(tid, stop, &mut known, &mut tally)?,
            None => wait(&signals, limit.map_or(next, |limit| next.min(begun + limit)))?,
        }
        // A busy container leaves no pause in which to ask.
        if (stopped.is_none() || turn % 64 == 0) && asked_to_end(&signals)? {
            break;
        }
    }
    Ok(tally)
}

/// Traces the threads that are not traced yet. A new thread of a traced one is traced by the kernel.
fn seize_new(state: &State, known: &mut HashSet<i32>) -> Result<()> {
    for pid in members::pids(state)? {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for tid in threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            if known.contains(&tid) {
                continue;
            }
            match ptrace::seize(tid) {
                Err(e) if e.raw_os_error() == Some(libc::ESRCH) => continue,
                // Of one that ended since it was listed the kernel says that it may not be traced.
                Err(e) if e.raw_os_error() == Some(libc::EPERM) && has_ended(tid) => continue,
                // A thread that was born since the last stop is traced, but has not told yet.
                Err(e) if e.raw_os_error() == Some(libc::EPERM) && is_traced_by_us(tid) => {}
                seized => seized.at(|| format!("trace process {tid}")).map_err(|e| {
                    e.hint("a process has one tracer, and root's rights over it are needed; run it anew: rrun trace BUNDLE")
                })?,
            }
            known.insert(tid);
        }
    }
    Ok(())
}

fn is_traced_by_us(tid: i32) -> bool {
    status(tid, "TracerPid:").is_some_and(|tracer| tracer == std::process::id().to_string())
}

/// Whether it is a zombie, or gone.
fn has_ended(tid: i32) -> bool {
    status(tid, "State:").is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// A line of /proc/TID/status.
fn status(tid: i32, name: &str) -> Option<String> {
    // The name of a thread is its own to choose, and need not be text.
    let text = std::fs::read(format!("/proc/{tid}/status")).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

fn on_stop(tid: i32, stop: Stop, known: &mut HashSet<i32>, tally: &mut Tally) -> Result<()> {
    known.insert(tid);
    let done = match stop {
        Stop::Ended => {
            known.remove(&tid);
            return Ok(());
        }
        Stop::Stopped => ptrace::stay_stopped(tid),
        Stop::Signal(signal) => ptrace::go_on(tid, signal),
        Stop::Event => ptrace::go_on(tid, 0),
        Stop::Call => ptrace::call(tid).and_then(|call| {
            if let Some((arch, number, args)) = call {
                tally.count(arch, number, tid, args);
            }
            ptrace::go_on(tid, 0)
        }),
    };
    match done {
        // Killed while it was stopped: its end comes next.
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        done => done.at(|| format!("trace process {tid}")),
    }
}

fn wait(signals: &SignalFd, until: Instant) -> Result<()> {
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout) {
        Err(Errno::EINTR) => Ok(()),
        polled => polled.map(drop).at(|| "poll"),
    }
}

fn asked_to_end(signals: &SignalFd) -> Result<bool> {
    let mut asked = false;
    while let Some(info) = signals.read_signal().at(|| "read signals")? {
        asked |= info.ssi_signo != libc::SIGCHLD as u32;
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_ended_is_passed_over() {
        let mut child = std::process::Command::new("true").spawn().expect("start true");
        let pid = child.id() as i32;
        for _ in 0..2000 {
            if has_ended(pid) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(ptrace::seize(pid).expect_err("a zombie").raw_os_error(), Some(libc::EPERM));
        assert!(has_ended(pid) && !is_traced_by_us(pid) && !has_ended(std::process::id() as i32));
        child.wait().expect("wait");
        assert!(has_ended(pid));
    }
}
