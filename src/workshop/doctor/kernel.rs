//! What the kernel itself must have.
//!
//! Each call is tried where that changes nothing; a version number alone says little, as distributions add and take away.

use super::Check;
use crate::host::SecurityModules;
use crate::sys::{fd, mount, process, resolve, seccomp};

pub(super) fn checks() -> Vec<Check> {
    vec![release(), openat2(), mounts(), pidfd(), filter(), modules(), overlay(), criu()]
}

/// Whether the kernel knows a call, by the error of one that cannot succeed or of one that did.
fn known<T>(result: &std::io::Result<T>) -> bool {
    !matches!(result, Err(e) if e.raw_os_error() == Some(libc::ENOSYS))
}

/// (major, minor) of `6.18.5-generic`.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    Some((parts.next()??, parts.next()??))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn release() -> Check {
    let release = text("/proc/sys/kernel/osrelease");
    match numbers(&release) {
        Some(version) if version < (5, 12) => Check::missing("kernel", format!("Linux {release}")).because(
            "mount_setattr(2), by which mounts get their flags before they can be seen, came with 5.12",
            "use a newer kernel",
        ),
        _ => Check::good("kernel", format!("Linux {release}")),
    }
}

fn openat2() -> Check {
    let opened = resolve::openat2(fd::cwd(), c"/", libc::O_PATH | libc::O_CLOEXEC, 0, libc::RESOLVE_IN_ROOT);
    if known(&opened) {
        return Check::good("openat2", "paths of images are resolved below their root");
    }
    Check::missing("openat2", "openat2(2) is refused").because(FILTERED, "let openat2 pass in that profile")
}

/// A new system call that answers ENOSYS on a new kernel was denied by somebody.
const FILTERED: &str = "likely cause: a seccomp profile of an outer container that is older than the call";

fn mounts() -> Check {
    // Without a right to mount the answer is EPERM, which is an answer.
    let changed = mount::set_attributes(fd::cwd(), false, &mount::Attributes::default());
    if known(&mount::Filesystem::open(c"tmpfs").map(drop)) && known(&changed) {
        return Check::good("mount-api", "fsopen, open_tree, move_mount, mount_setattr");
    }
    Check::missing("mount-api", "fsopen(2) or mount_setattr(2) is refused").because(FILTERED, "let them pass in that profile")
}

fn pidfd() -> Check {
    match process::pidfd_open(std::process::id() as i32) {
        Ok(_) => Check::good("pidfd", "processes are held by handles, not by numbers"),
        Err(_) => Check::missing("pidfd", "pidfd_open(2) is refused").because(FILTERED, "let pidfd_open pass in that profile"),
    }
}

fn filter() -> Check {
    let actions = text("/proc/sys/kernel/seccomp/actions_avail");
    if actions.is_empty() {
        return Check::missing("seccomp", "not in this kernel").because("CONFIG_SECCOMP_FILTER is off", "use a kernel with it");
    }
    let notify =
        actions.split(' ').any(|a| a == "user_notif") && seccomp::supports_flag(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32);
    let notify = if notify { "with notification" } else { "without notification: SCMP_ACT_NOTIFY and rrun trace cannot work" };
    Check::good("seccomp", notify)
}

fn modules() -> Check {
    let found = SecurityModules::ask();
    let names = [(found.apparmor, "AppArmor"), (found.selinux, "SELinux")];
    let names: Vec<&str> = names.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    if names.is_empty() {
        return Check::absent("lsm", "neither AppArmor nor SELinux: labels in config.json are refused");
    }
    Check::good("lsm", names.join(", "))
}

fn overlay() -> Check {
    let known = text("/proc/filesystems").lines().any(|line| line.ends_with("\toverlay"));
    match known {
        true => Check::good("overlay", "layers and --overlay; also rootless since Linux 5.11"),
        false => Check::absent("overlay", "not loaded: layers and --overlay may fail")
            .because("the kernel has no overlayfs, or its module is not loaded yet", "load it: modprobe overlay"),
    }
}

fn criu() -> Check {
    Check::absent("criu", "not used: rrun has no checkpoint and restore")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(numbers("6.18.5-generic"), Some((6, 18)));
        assert!(numbers("5.9.0") < Some((5, 12)) && numbers("5.12") >= Some((5, 12)));
        assert_eq!(numbers("unknown"), None);
    }
}
