//! A group and all groups below it: who is in them, and how they are removed.
//!
//! A container that may write to its own part of the hierarchy can nest groups as deep as it likes, deeper than a path may be long and
//! than a process may have files open. So the way down is made by handles, one at a time, and the way up by `..`, which in cgroupfs
//! cannot lead elsewhere: it has no links, and v1 renames only within a directory.

use std::ffi::{CString, OsStr};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::dir::{Dir, Type};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{At, Error, Result};
use crate::sys::resolve::{Name, openat2};

/// How long groups may stay busy with processes that are about to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

fn descend(dir: BorrowedFd, name: &Name) -> io::Result<OwnedFd> {
    openat2(
        dir,
        name.as_c_str(),
        libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW,
        0,
        libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV,
    )
}

fn ascend(dir: BorrowedFd) -> io::Result<OwnedFd> {
    openat2(dir, c"..", libc::O_RDONLY | libc::O_DIRECTORY, 0, libc::RESOLVE_NO_XDEV)
}

fn gone(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// The names of the groups directly below.
fn children(dir: BorrowedFd) -> io::Result<Vec<Name>> {
    let mut listing =
        Dir::openat(dir, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        // "." and ".." are no Names.
        if entry.file_type() == Some(Type::Directory)
            && let Ok(name) = Name::new(OsStr::from_bytes(entry.file_name().to_bytes()))
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// Visits `top` and every group below it, each before those below it.
fn walk(top: OwnedFd, mut visit: impl FnMut(BorrowedFd) -> io::Result<()>) -> io::Result<()> {
    visit(top.as_fd())?;
    let mut here = top;
    let mut open = vec![children(here.as_fd())?];
    while let Some(names) = open.last_mut() {
        let Some(name) = names.pop() else {
            open.pop();
            if !open.is_empty() {
                here = ascend(here.as_fd())?;
            }
            continue;
        };
        match descend(here.as_fd(), &name) {
            Err(e) if gone(&e) => continue,
            below => here = below?,
        }
        match visit(here.as_fd()).and_then(|()| children(here.as_fd())) {
            Ok(names) => open.push(names),
            // Removed meanwhile: nothing is below it.
            Err(e) if gone(&e) => open.push(vec![]),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)?;
    Ok(file.into())
}

/// The pids in the group at `path` and below; none if it does not exist.
pub(super) fn pids(path: &Path) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    let top = match open(path) {
        Err(e) if gone(&e) => return Ok(found),
        top => top.at(|| format!("open {}", path.display()))?,
    };
    let done = walk(top, |dir| {
        let file = openat2(dir, c"cgroup.procs", libc::O_RDONLY, 0, libc::RESOLVE_BENEATH)?;
        let mut text = String::new();
        match std::fs::File::from(file).read_to_string(&mut text) {
            // A threaded group (v2) lists its processes in the group above that it belongs to.
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
            read => read?,
        };
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        Ok(())
    });
    match done {
        Err(e) if !gone(&e) => Err(Error::os(format!("list the processes of {}", path.display()), e)),
        _ => Ok(found),
    }
}

/// Removes the group at `path` with all below it. Missing is no error. A group still busy is waited for until `deadline`.
pub(super) fn remove(path: &Path, deadline: Instant) -> Result<()> {
    let mut pause = Duration::from_micros(200);
    loop {
        let busy = match std::fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(e) if gone(&e) => return Ok(()),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) => e,
            Err(e) => return Err(e).at(|| format!("rmdir {}", path.display())),
        };
        let emptied = remove_below(path).at(|| format!("remove the groups below {}", path.display()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let inside = pids(path)?.len();
            return Err(
                Error::os(format!("rmdir {}", path.display()), busy).hint(format!("{inside} process(es) are still in it"))
            );
        }
        // Groups went, so it may go now: no waiting before that was tried.
        if !emptied {
            wait(path, pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }
}

/// Removes the group at `path` alone, if nothing is in it.
pub(super) fn remove_unused(path: &Path) -> Result<()> {
    match std::fs::remove_dir(path) {
        Err(e) if !gone(&e) && !matches!(e.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) => {
            Err(e).at(|| format!("rmdir {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes all groups below `path`, deepest first. `true`: there were some, and now there are none.
fn remove_below(path: &Path) -> io::Result<bool> {
    let top = match open(path) {
        Err(e) if gone(&e) => return Ok(true),
        top => top?,
    };
    let mut here = top;
    let mut stack: Vec<(Option<Name>, Vec<Name>)> = vec![(None, children(here.as_fd())?)];
    let (mut some, mut busy) = (false, false);
    while let Some((_, names)) = stack.last_mut() {
        if let Some(name) = names.pop() {
            some = true;
            if !rmdir(here.as_fd(), &name)? {
                match descend(here.as_fd(), &name) {
                    Err(e) if gone(&e) => {}
                    below => {
                        here = below?;
                        let names = children(here.as_fd()).or_else(|e| if gone(&e) { Ok(vec![]) } else { Err(e) })?;
                        stack.push((Some(name), names));
                    }
                }
            }
        } else if let Some((Some(name), _)) = stack.pop() {
            here = ascend(here.as_fd())?;
            busy |= !rmdir(here.as_fd(), &name)?;
        }
    }
    Ok(some && !busy)
}

/// `false`: something is in it.
fn rmdir(dir: BorrowedFd, name: &Name) -> io::Result<bool> {
    match unlinkat(dir, name.as_c_str(), UnlinkatFlags::RemoveDir).map_err(io::Error::from) {
        Ok(()) => Ok(true),
        Err(e) if gone(&e) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EBUSY | libc::ENOTEMPTY)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Waits until the group may be empty: v2 tells (cgroup.events), v1 has to be asked again after `pause`.
fn wait(path: &Path, pause: Duration) {
    match events(path) {
        Ok(Some(())) => {}
        Ok(None) | Err(_) => std::thread::sleep(pause),
    }
}

/// Waits for a change of cgroup.events if it says `populated 1`, at most a tenth of a second.
fn events(path: &Path) -> io::Result<Option<()>> {
    let mut file = std::fs::File::open(path.join("cgroup.events"))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if !text.contains("populated 1") {
        return Ok(None);
    }
    wait_change(&file, Duration::from_millis(100))?;
    Ok(Some(()))
}

/// Waits until the kernel reports a change of an open cgroup.events (cgroups(7)), at most `limit`.
pub(super) fn wait_change(events: &std::fs::File, limit: Duration) -> io::Result<()> {
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A path of one's own below a group, opened so that it cannot leave it: no `..` that climbs, no link, no other mount.
pub(super) fn below(path: &Path, sub: &Path) -> Result<OwnedFd> {
    let top = open(path).at(|| format!("open {}", path.display()))?;
    let relative = super::paths::clean(sub);
    if relative.as_os_str().is_empty() {
        return Ok(top);
    }
    let name =
        CString::new(relative.as_os_str().as_bytes()).map_err(|_| Error::new("a cgroup path cannot contain a null byte"))?;
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    openat2(top.as_fd(), &name, libc::O_RDONLY | libc::O_DIRECTORY, 0, how)
        .at(|| format!("open cgroup {}", path.join(&relative).display()))
}
