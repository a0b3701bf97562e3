//! Work on files of a container whose ids are not the caller's (user_namespaces(7)).
//!
//! What a container of a user without privilege leaves on disk belongs to its subordinate ids: the user cannot even look into
//! it. Root of a user namespace with the same maps can. So a process of that kind is made for the work, and ends with it.

use std::os::fd::AsFd;

use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::handshake::{Channel, Msg};
use crate::concepts::users::{self, Maps, UsersPlan};
use crate::error::{At, Error, Result};
use crate::host::{Capabilities, Host};
use crate::sys::fd::close_copy;
use crate::sys::process::{Cloned, clone3, exit_now, pidfd_signal, prctl};

/// Does the work as root of a user namespace with these maps, to which the caller's own ids are added.
pub fn as_root_of(maps: &Maps, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let host = Host::ask()?;
    let plan = maps.clone().with_own(&host).plan(&host, &Capabilities::ask()?);
    let (channel, inner) = Channel::pair()?;
    let (pid, pidfd) = match clone3(libc::CLONE_NEWUSER as u64, None).at(|| "clone3 with a user namespace")? {
        Cloned::Child => {
            close_copy(channel.number());
            inside(&inner, work)
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(inner);
    let done = converse(&channel, &plan, pid);
    if done.is_err() {
        // It may wait for an answer. It is unreaped, so the signal meets nobody else.
        pidfd_signal(pidfd.as_fd(), libc::SIGKILL).ok();
    }
    waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).at(|| "wait for the process in the user namespace")?;
    done
}

fn converse(channel: &Channel, plan: &UsersPlan, pid: i32) -> Result<()> {
    loop {
        match channel.receive()? {
            Some((Msg::NeedIdMaps, _)) => {
                users::apply_from_parent(plan, pid)?;
                channel.send(&Msg::Go(vec![]), None)?;
            }
            Some((Msg::Ready, _)) => return Ok(()),
            Some((Msg::Failed(e), _)) => return Err(e),
            _ => return Err(Error::new("the process in the user namespace died")),
        }
    }
}

fn inside<F: FnOnce() -> Result<()>>(channel: &Channel, work: F) -> ! {
    let entered = || {
        // Should the parent die first, this process must not stay behind.
        prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0).at(|| "prctl PR_SET_PDEATHSIG")?;
        // Else its map files would be root's. There is no container here whose processes could look at it.
        prctl(libc::PR_SET_DUMPABLE, 1, 0, 0).at(|| "prctl PR_SET_DUMPABLE")?;
        channel.send(&Msg::NeedIdMaps, None)?;
        channel.wait_go()?;
        users::apply()
    };
    let last = entered().and_then(|()| work()).map_or_else(Msg::Failed, |()| Msg::Ready);
    exit_now(i32::from(channel.send(&last, None).is_err()))
}
