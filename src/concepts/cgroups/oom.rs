//! Being told when the out-of-memory killer strikes in a group.
//!
//! Seen from inside, the victim only vanishes; the exit status says "signal 9" and not who sent it. The kernel tells those who watch
//! the group: on v1 through an eventfd(2) that is registered for memory.oom_control (admin-guide/cgroup-v1/memory.rst, 10), on v2
//! through memory.events, whose counters change and whose change poll(2) reports (admin-guide/cgroup-v2.rst).

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Record, write};
use crate::error::{At, Result};

/// A watched group.
#[derive(Debug)]
pub enum OomWatch {
    /// Counts since it was last read. The file is the group's: when the group goes, the kernel reports that in the same way.
    #[allow(missing_docs, reason = "see above")]
    V1 { event: EventFd, control: PathBuf },
    /// The counter that was last seen.
    #[allow(missing_docs, reason = "see above")]
    V2 { events: File, seen: u64 },
}

/// Begins to watch; `None` if the container's groups have no memory controller.
pub(super) fn watch(record: &Record) -> Result<Option<OomWatch>> {
    if let Some(dir) = record.paths.get("memory") {
        let control = dir.join("memory.oom_control");
        let at = || format!("watch {}", control.display());
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).at(|| "eventfd")?;
        let file = File::open(&control).at(at)?;
        let line = format!("{} {}", event.as_fd().as_raw_fd(), file.as_raw_fd());
        write::put(&dir.join("cgroup.event_control"), &line).at(at)?;
        return Ok(Some(OomWatch::V1 { event, control }));
    }
    let Some(dir) = record.paths.get("").filter(|_| record.paths.len() == 1) else { return Ok(None) };
    let path = dir.join("memory.events");
    let mut events = match File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        events => events.at(|| format!("open {}", path.display()))?,
    };
    let seen = kills(&mut events).at(|| format!("read {}", path.display()))?;
    Ok(Some(OomWatch::V2 { events, seen }))
}

fn kills(events: &mut File) -> std::io::Result<u64> {
    let mut text = String::new();
    events.rewind()?;
    events.read_to_string(&mut text)?;
    Ok(count(&text))
}

/// `oom_kill` of memory.events or memory.oom_control.
pub(super) fn count(text: &str) -> u64 {
    text.lines().find_map(|l| l.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

impl OomWatch {
    /// What poll(2) is to be asked for.
    pub fn flags(&self) -> PollFlags {
        match self {
            Self::V1 { .. } => PollFlags::POLLIN,
            Self::V2 { .. } => PollFlags::POLLPRI,
        }
    }

    /// Whether the killer has struck since this was last asked. A group that has gone meanwhile is no stroke.
    pub fn struck(&mut self) -> Result<bool> {
        match self {
            Self::V1 { event, control } => match event.read() {
                Ok(_) => Ok(control.exists()),
                Err(nix::errno::Errno::EAGAIN) => Ok(false),
                Err(e) => Err(e).at(|| "read eventfd"),
            },
            Self::V2 { events, seen } => match kills(events) {
                Ok(now) => Ok(std::mem::replace(seen, now) < now),
                Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(false),
                Err(e) => Err(e).at(|| "read memory.events"),
            },
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::V1 { event, .. } => event.as_fd(),
            Self::V2 { events, .. } => events.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_kills_alone() {
        assert_eq!(count("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n"), 2);
        assert_eq!(count("oom_kill_disable 1\nunder_oom 0\noom_kill 4\n"), 4);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn a_group_without_memory_has_nothing_to_watch() {
        assert!(watch(&Record::default()).expect("no error").is_none());
        let dir = tempfile::tempdir().expect("directory");
        let record = Record { paths: [(String::new(), dir.path().to_owned())].into(), ..Record::default() };
        assert!(watch(&record).expect("no error").is_none());
        std::fs::write(dir.path().join("memory.events"), "oom_kill 1\n").expect("write");
        let mut watch = watch(&record).expect("no error").expect("a watch");
        assert!(!watch.struck().expect("read"), "what was before does not count");
        std::fs::write(dir.path().join("memory.events"), "oom_kill 3\n").expect("write");
        assert!(watch.struck().expect("read"));
        assert!(!watch.struck().expect("read"));
    }
}
