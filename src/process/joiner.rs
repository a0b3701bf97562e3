//! The joiner: a process between the parent and init, only where the kernel demands it.
//!
//! A new namespace belongs to the user namespace of its maker, and a process in a new user namespace has no rights over
//! namespaces of others. So when a user namespace is joined, or a new one is combined with joins, one process joins first,
//! with the rights of the caller, and then makes init as its sibling (`CLONE_PARENT`) and ends. `exec` without privilege needs
//! one too: only who is in the container's user namespace may join its PID namespace, and that moves only children. So does
//! root of a user namespace (rootless Podman), who may join a PID namespace but not return to the host's.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::pipe2;

use super::end::end_unknown;
use super::handshake::{Channel, Msg};
use super::init::{self, Birth};
use crate::concepts::{limits, namespaces};
use crate::error::{At, Error, Result};
use crate::host::obstacles::refused_clone;
use crate::sys::process::{Cloned, clone3, exit_now, setns};

/// The joiner's life on the way to init.
pub fn run(birth: Birth, flags: u64, group: Option<OwnedFd>) -> ! {
    between(&birth.channel, flags, group, || join(&birth));
    init::run(birth)
}

/// In the joiner: joins, clones its sibling into `group`, tells the parent, ends. Returns in the sibling alone.
pub fn between(channel: &Channel, flags: u64, group: Option<OwnedFd>, join: impl FnOnce() -> Result<()>) {
    let made = pipe2(OFlag::O_CLOEXEC).at(|| "make a pipe").and_then(|turn| {
        join()?;
        let cgroup = group.as_ref().map(|fd| fd.as_fd());
        let cloned =
            clone3(flags | libc::CLONE_PARENT as u64, cgroup).map_err(|e| refused_clone("clone3 from the joiner", e, flags))?;
        Ok((cloned, turn))
    });
    let sent = match made {
        Ok((Cloned::Parent { pid, pidfd }, _)) => channel.send(&Msg::Joined(pid), Some(pidfd.as_fd())),
        Err(error) => channel.send(&Msg::Failed(error), None),
        Ok((Cloned::Child, (turn, joiners_end))) => {
            drop(joiners_end);
            // Both speak on one socket. The first word must be the joiner's: its sibling waits until it has spoken and is gone.
            File::from(turn).read_to_end(&mut Vec::new()).ok();
            return;
        }
    };
    exit_now(i32::from(sent.is_err()))
}

/// Whether rrun could join a PID namespace and come back: that takes rights over its own one.
pub fn may_return(own: &File) -> Result<bool> {
    match setns(own.as_fd(), libc::CLONE_NEWPID as u64) {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(false),
        same => same.at(|| "join the own PID namespace").map(|()| true),
    }
}

fn join(birth: &Birth) -> Result<()> {
    limits::apply_early(&birth.plan.process.limits)?;
    let refused = namespaces::join_all(&birth.plan.namespaces, &birth.opened)?;
    if let (Some(user), Some(file)) = (&birth.plan.namespaces.user, &birth.opened.user) {
        namespaces::join(user, file)?;
        namespaces::join_refused(&birth.plan.namespaces, &birth.opened, refused)?;
    }
    Ok(())
}

/// The parent's side: hears of init, buries the joiner. Returns init's pidfd and pid.
pub fn take_over(channel: &Channel, joiner: OwnedFd) -> Result<(OwnedFd, i32)> {
    let heard = channel.receive();
    let buried = waitid(Id::PIDFd(joiner.as_fd()), WaitPidFlag::WEXITED).at(|| "wait for the joiner");
    match heard? {
        // The pid the joiner saw may be one of a joined PID namespace; the pidfd tells ours.
        Some((Msg::Joined(_), Some(pidfd))) => {
            let known = buried.and_then(|_| pid_of(&pidfd)).inspect_err(|_| end_unknown(pidfd.as_fd()));
            known.map(|pid| (pidfd, pid))
        }
        Some((Msg::Failed(e), _)) => Err(e.context("unable to start container process: error during container init")),
        _ => Err(Error::new("the joiner died before it made init")),
    }
}

fn pid_of(pidfd: &OwnedFd) -> Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = fs::read_to_string(&path).at(|| format!("read {path}"))?;
    let pid = text.lines().find_map(|l| l.strip_prefix("Pid:")).and_then(|p| p.trim().parse().ok());
    pid.filter(|p| *p > 0).ok_or_else(|| Error::new("init died at once"))
}
