//! What this user may do: namespaces, ids, keys, and where state is kept.
//!
//! For root most of it goes without saying. A user makes a user namespace first and has every right inside it; what distributions
//! take away again, and what /etc/subuid grants, decides whether containers can run at all.

use std::os::fd::AsFd;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::{Answer, Check};
use crate::cli::Global;
use crate::concepts::users;
use crate::host::{Host, obstacles};
use crate::sys::process::{Cloned, clone3, exit_now};

pub(super) fn checks(global: &Global, host: &Host) -> Vec<Check> {
    vec![namespaces(host), subordinate(host), keys(), loginuid(), state(global)]
}

fn namespaces(host: &Host) -> Check {
    let fail = if host.rootless { Check::missing } else { Check::absent };
    match try_namespace() {
        Ok(()) => Check::good("user-namespaces", "can be made"),
        Err(e) => {
            let check = fail("user-namespaces", format!("cannot be made: {}", crate::error::strerror(e)));
            match obstacles::user_namespaces() {
                Some(found) => check.because(found.cause, found.fix),
                None => check.because(
                    "likely cause: a seccomp profile of an outer container",
                    "give the outer container a profile that lets clone3 and unshare pass",
                ),
            }
        }
    }
}

/// Makes a user namespace with one process, which ends at once.
fn try_namespace() -> Result<(), i32> {
    match clone3(libc::CLONE_NEWUSER as u64, None) {
        Ok(Cloned::Child) => exit_now(0),
        Ok(Cloned::Parent { pidfd, .. }) => match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            _ => Err(libc::EPERM),
        },
        Err(e) => Err(e.raw_os_error().unwrap_or(libc::EPERM)),
    }
}

fn subordinate(host: &Host) -> Check {
    const ID: &str = "id-maps";
    if !host.rootless {
        return Check::good(ID, "root maps ids itself");
    }
    for kind in users::tools() {
        if let Some(obstacle) = kind.obstacle {
            return Check {
                obstacle: Some(obstacle),
                ..Check::absent(ID, format!("only the own id: {} cannot be used", kind.name))
            };
        }
    }
    let ranges: Vec<String> =
        users::tools().into_iter().map(|kind| format!("{} {}", kind.grants, kind.ranges.join(", "))).collect();
    Check::good(ID, ranges.join("; "))
}

fn keys() -> Check {
    match obstacles::keys() {
        Some((used, most)) if used >= most => Check::missing("keyring", format!("{used} of {most} keys are used")).because(
            "each container takes a key, and the quota is used up",
            "raise it: sysctl -w kernel.keys.maxkeys=2000; or use --no-new-keyring (weaker)",
        ),
        Some((used, most)) => Check::good("keyring", format!("{used} of {most} keys are used")),
        None => Check::absent("keyring", "no quota is shown: this kernel has no keys, or /proc hides them"),
    }
}

fn loginuid() -> Check {
    let text = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    match text.trim() {
        "" => Check::absent("loginuid", "this kernel keeps none: rrun log cannot say who logged in"),
        "4294967295" => Check::absent("loginuid", "not set: rrun log shows who by SUDO_UID, which anybody can set")
            .because("nobody logged in through PAM (pam_loginuid(8))", "log in by ssh or at a terminal"),
        uid => Check::good("loginuid", format!("{uid}: survives su and sudo")),
    }
}

fn state(global: &Global) -> Check {
    use nix::unistd::{AccessFlags, faccessat};
    let root = &global.root;
    let shown = root.display().to_string();
    let there = root.ancestors().find(|dir| dir.exists()).unwrap_or(root);
    let may = faccessat(crate::sys::fd::cwd(), there, AccessFlags::W_OK | AccessFlags::X_OK, nix::fcntl::AtFlags::AT_EACCESS);
    match (may, crate::state::StateRoot::open(root)) {
        (Err(_), _) => Check::missing("state-root", shown).because(
            format!("{} cannot be written by this user", there.display()),
            "set XDG_RUNTIME_DIR (a login does), or give --root DIR",
        ),
        (_, Err(e)) if e.errno() != Some(libc::ENOENT) => {
            let fix = e.hint_text().unwrap_or("give --root DIR").to_owned();
            Check { result: Answer::Missing, ..Check::absent("state-root", shown) }.because(e.to_string(), fix)
        }
        _ => Check::good("state-root", shown),
    }
}
