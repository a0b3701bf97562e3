//! Pause and kill: all processes of the groups at once, also those that are just being forked (cgroup-v1/freezer-subsystem.rst,
//! cgroup-v2.rst `cgroup.freeze`, `cgroup.kill`).
//!
//! A process that is stopped one by one can fork before its turn comes; the freezer has no such gap. A freeze that does not come about
//! is taken back, so that no error leaves a container hanging.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Freezer, Record, tree, write};
use crate::error::{At, Error, Result};
use crate::sys::process;

/// How long a freeze may take: a process in an uninterruptible sleep delays it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many processes are held by a handle at a time, and how often a group without a freezer is gone through.
const BATCH: usize = 256;
const ROUNDS: u32 = 100;

/// Which file freezes.
enum Tool<'a> {
    V1(&'a Path),
    V2(&'a Path),
}

fn tool(record: &Record) -> Option<Tool<'_>> {
    let v1 = record.paths.get("freezer").map(|p| Tool::V1(p));
    v1.or_else(|| record.paths.get("").map(|p| Tool::V2(p)))
}

/// Freezes or thaws, and waits until it is so.
pub(super) fn set(record: &Record, wanted: Freezer) -> Result<()> {
    let done = match tool(record) {
        Some(Tool::V1(dir)) => v1(&dir.join("freezer.state"), wanted),
        Some(Tool::V2(dir)) => v2(dir, wanted),
        None => return Err(Error::new("cannot pause: the container has no cgroup with a freezer")),
    };
    if done.is_err() && wanted == Freezer::Frozen {
        // Half frozen is worst. The error that is returned is the one of the freeze.
        drop(match tool(record) {
            Some(Tool::V1(dir)) => write::put(&dir.join("freezer.state"), "THAWED"),
            Some(Tool::V2(dir)) => write::put(&dir.join("cgroup.freeze"), "0"),
            None => Ok(()),
        });
    }
    done
}

/// v1 can stick at FREEZING when processes fork meanwhile or wait for one that is frozen already (vfork). Writing again
/// reaches the new ones; a short thaw now and then lets the waiting ones go on.
fn v1(file: &Path, wanted: Freezer) -> Result<()> {
    let text = if wanted == Freezer::Frozen { "FROZEN" } else { "THAWED" };
    let at = || format!("write {text} to {}", file.display());
    let start = Instant::now();
    let mut pause = Duration::from_micros(20);
    for round in 1u32.. {
        if wanted == Freezer::Frozen && round.is_multiple_of(20) {
            write::put(file, "THAWED").at(|| format!("write THAWED to {}", file.display()))?;
        }
        write::put(file, text).at(at)?;
        if write::read(file)? == text {
            return Ok(());
        }
        if wanted == Freezer::Thawed {
            return Err(Error::new(format!("cannot thaw {}: a group above is frozen", file.display())));
        }
        if start.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    Err(Error::new(format!("cannot freeze {}: it stays at FREEZING", file.display())).hint("a process hangs in the kernel"))
}

fn v2(dir: &Path, wanted: Freezer) -> Result<()> {
    let (text, line) = if wanted == Freezer::Frozen { ("1", "frozen 1") } else { ("0", "frozen 0") };
    let file = dir.join("cgroup.freeze");
    write::put(&file, text).at(|| format!("write {text} to {}", file.display()))?;
    let events = dir.join("cgroup.events");
    let at = || format!("read {}", events.display());
    let mut open = File::open(&events).at(at)?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut now = String::new();
        open.rewind().and_then(|()| open.read_to_string(&mut now)).at(at)?;
        if now.contains(line) {
            return Ok(());
        }
        if wanted == Freezer::Thawed && dir.ancestors().skip(1).any(asks_to_freeze) {
            return Err(Error::new(format!("cannot thaw {}: a group above is frozen", dir.display())));
        }
        tree::wait_change(&open, PATIENCE.saturating_sub(start.elapsed())).at(at)?;
    }
    Err(Error::new(format!("cannot write {text} to {}: it does not take effect", file.display()))
        .hint("a process hangs in the kernel"))
}

/// Whether a group of v2 is to be frozen, which holds for all below it.
fn asks_to_freeze(dir: &Path) -> bool {
    write::read(&dir.join("cgroup.freeze")).is_ok_and(|text| text == "1")
}

/// Whether the groups are frozen, themselves or from above. Missing groups are thawed.
pub(super) fn state(record: &Record) -> Result<Freezer> {
    let own = own_state(record)?;
    let (Freezer::Thawed, Some(Tool::V2(dir))) = (own, tool(record)) else { return Ok(own) };
    // `cgroup.freeze` is what was asked of this group alone; v1's file tells both.
    match write::read(&dir.join("cgroup.events")) {
        Ok(events) if events.lines().any(|line| line == "frozen 1") => Ok(Freezer::Frozen),
        _ => Ok(own),
    }
}

/// What is set in the group itself on v2.
fn own_state(record: &Record) -> Result<Freezer> {
    let (file, thawed) = match tool(record) {
        Some(Tool::V1(dir)) => (dir.join("freezer.state"), "THAWED"),
        Some(Tool::V2(dir)) => (dir.join("cgroup.freeze"), "0"),
        None => return Ok(Freezer::Thawed),
    };
    match write::read(&file) {
        Err(e) if matches!(e.errno(), Some(libc::ENOENT | libc::ENODEV)) => Ok(Freezer::Thawed),
        text => Ok(if text? == thawed { Freezer::Thawed } else { Freezer::Frozen }),
    }
}

/// Kills every process of the groups and below: by one write where the kernel has cgroup.kill (Linux 5.14), else one by one while
/// they are frozen.
pub(super) fn kill_all(record: &Record) -> Result<()> {
    let mut at_once = false;
    if let Some(dir) = record.paths.get("") {
        match write::put(&dir.join("cgroup.kill"), "1") {
            Ok(()) => at_once = true,
            // Missing before Linux 5.14; refused in a threaded group.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP | libc::EACCES)) => {}
            Err(e) => return Err(e).at(|| format!("write 1 to {}/cgroup.kill", dir.display())),
        }
    }
    if at_once && !record.paths.contains_key("freezer") {
        return Ok(());
    }
    // On a hybrid host somebody may be in a v1 group only, and a v1 freezer holds even the killed back until it is thawed.
    let frozen = own_state(record)? == Freezer::Frozen;
    let froze = !at_once && !frozen && set(record, Freezer::Frozen).is_ok();
    let killed = kill_listed(record, if at_once || frozen || froze { 1 } else { ROUNDS });
    if frozen || froze {
        set(record, Freezer::Thawed)?;
    }
    killed
}

/// Signals the processes that are listed, `rounds` times, as without a freezer new ones may be born meanwhile.
fn kill_listed(record: &Record, rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        let listed = super::pids(record)?;
        if listed.is_empty() {
            break;
        }
        for some in listed.chunks(BATCH) {
            let open: Vec<(i32, OwnedFd)> = some.iter().filter_map(|&pid| Some((pid, process::pidfd_open(pid).ok()?))).collect();
            // A pid may have ended and been given to somebody else before it became a handle. Who is listed still, is meant.
            let still = super::pids(record)?;
            for (pid, fd) in open.iter().filter(|(pid, _)| still.contains(pid)) {
                match process::pidfd_signal(fd.as_fd(), libc::SIGKILL) {
                    Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
                    done => done.at(|| format!("kill {pid}"))?,
                }
            }
        }
    }
    Ok(())
}
