//! `events`: what a container uses, record by record, and a record each time it ran out of memory.
//!
//! All numbers come from the kernel's files about the container's groups and network, none from the container itself: what
//! it says could be a lie, and waiting for it could last for ever. The stream ends with the container, or with its reader.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;

use super::Outcome;
use crate::cli::{EventsArgs, Global};
use crate::concepts::cgroups::{self, OomWatch};
use crate::concepts::{rdt, traffic};
use crate::error::{At, Error, Result};
use crate::log::Journal;
use crate::state::{State, StateDir};

/// A line.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

/// The data of a record of type `stats`.
#[derive(Serialize)]
struct Data {
    #[serde(flatten)]
    groups: cgroups::stats::Stats,
    intel_rdt: rdt::Stats,
    /// `null` when the container has none of its own.
    network_interfaces: Option<Vec<traffic::Counters>>,
}

/// Prints one record (`--stats`), or a stream through `tell`, which says whether anybody reads it still.
pub fn run(global: &Global, args: &EventsArgs, journal: &mut Journal, tell: fn(&str) -> Result<bool>) -> Result<Outcome> {
    let state = StateDir::read(&global.root, &args.id)?.load()?;
    let init = state.init()?.ok_or_else(|| Error::new("container not running"))?;
    if state.cgroups.paths.is_empty() {
        return Err(Error::new("the container has no cgroup, and so no statistics").hint(state.cgroups.why_none()));
    }
    if args.stats {
        return Ok(Outcome::print(stats(&state)?));
    }
    let mut watch = cgroups::watch_oom(&state.cgroups).unwrap_or_else(|e| {
        journal.warnings().add(format!("events of type oom are missing: {e}"));
        None
    });
    let mut next = Instant::now() + args.interval;
    loop {
        let ended = wait(init.as_fd(), watch.as_ref(), next.saturating_duration_since(Instant::now()))?;
        // First what happened before the end.
        let struck = watch.as_mut().map_or(Ok(false), OomWatch::struck)?;
        if struck && !tell(&line("oom", &state.id, None))? || ended {
            break;
        }
        if next <= Instant::now() {
            let record = stats(&state)?;
            // With the container the groups may have gone, and what was read would be zeros.
            if state.is_alive()? && !tell(&record)? {
                break;
            }
            next = (next + args.interval).max(Instant::now());
        }
    }
    Ok(Outcome::default())
}

/// Waits until the container runs out of memory, at most `limit`. `true`: it has ended, or nobody reads what is printed.
fn wait(init: BorrowedFd, watch: Option<&OomWatch>, limit: Duration) -> Result<bool> {
    let stdout = std::io::stdout();
    // Errors and hang-ups are reported unasked.
    let mut fds = vec![PollFd::new(init, PollFlags::POLLIN), PollFd::new(stdout.as_fd(), PollFlags::empty())];
    fds.extend(watch.map(|w| PollFd::new(w.as_fd(), w.flags())));
    // Rounded up: a wait of less than a millisecond would be none.
    let timeout = PollTimeout::try_from(limit + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(fds[..2].iter().any(|fd| fd.any() == Some(true))),
        Err(e) => Err(e).at(|| "poll"),
    }
}

fn stats(state: &State) -> Result<String> {
    let data = Data {
        groups: cgroups::stats(&state.cgroups),
        intel_rdt: rdt::stats(state.rdt.as_ref()),
        network_interfaces: traffic::of(state.pid)?,
    };
    Ok(line("stats", &state.id, Some(data)))
}

fn line(kind: &'static str, id: &str, data: Option<Data>) -> String {
    serde_json::to_string(&Record { kind, id, data }).expect("plain data has a JSON form") + "\n"
}
