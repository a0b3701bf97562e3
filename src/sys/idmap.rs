//! User namespaces that only carry id maps, for id-mapped mounts (mount_setattr(2), `MOUNT_ATTR_IDMAP`).
//!
//! The kernel takes the map of such a mount from a user namespace. A process must be born in one to make it; ours only
//! waits to be killed once the namespace is in hand.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::process::{Cloned, clone3, exit_now, pidfd_signal, prctl};

/// A new user namespace with the texts of uid_map and gid_map given (user_namespaces(7)). Needs CAP_SETUID and CAP_SETGID
/// outside. The caller must have one thread.
pub fn user_namespace(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let (pid, pidfd) = match clone3(libc::CLONE_NEWUSER as u64, None)? {
        Cloned::Child => wait_to_be_killed(),
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    let made = (|| {
        // The pid cannot be recycled: the process is our child and not yet waited for.
        std::fs::write(format!("/proc/{pid}/uid_map"), uid_map)?;
        std::fs::write(format!("/proc/{pid}/gid_map"), gid_map)?;
        std::fs::File::open(format!("/proc/{pid}/ns/user"))
    })();
    let killed = pidfd_signal(pidfd.as_fd(), libc::SIGKILL);
    let waited = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
    let namespace = made?;
    killed?;
    waited?;
    Ok(namespace.into())
}

fn wait_to_be_killed() -> ! {
    // Should the parent die first, this process must not stay behind.
    if prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0, 0).is_err() {
        exit_now(1);
    }
    loop {
        nix::unistd::pause();
    }
}
