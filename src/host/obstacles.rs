//! What stands in the way on this host, in words: asked by `rrun doctor` beforehand, and by errors after a failure.
//!
//! A start never depends on these looks. They read what the kernel shows to anybody (/proc/sys, /proc/key-users) and turn it
//! into a cause and a fix; one that finds nothing says nothing, and the bare error remains.

use crate::error::Error;

/// A cause that was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What is so.
    pub cause: String,
    /// One step out of it.
    pub fix: String,
}

impl Obstacle {
    /// Both.
    pub fn new(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { cause: cause.into(), fix: fix.into() }
    }

    /// As a hint: `cause; fix`.
    pub fn hint(&self) -> String {
        format!("{}; {}", self.cause, self.fix)
    }
}

/// A number below /proc/sys.
fn parameter(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?.trim().parse().ok()
}

/// Why no user namespace can be made.
pub fn user_namespaces() -> Option<Obstacle> {
    blocked(parameter, nix::unistd::geteuid().is_root())
}

fn blocked(parameter: impl Fn(&str) -> Option<u64>, root: bool) -> Option<Obstacle> {
    let is = |name: &str, value: u64| parameter(name) == Some(value);
    if is("user.max_user_namespaces", 0) {
        return Some(Obstacle::new("user.max_user_namespaces is 0", "raise it: sysctl -w user.max_user_namespaces=15000"));
    }
    if !root && is("kernel.unprivileged_userns_clone", 0) {
        let fix = "allow them: sysctl -w kernel.unprivileged_userns_clone=1";
        return Some(Obstacle::new("kernel.unprivileged_userns_clone is 0", fix));
    }
    if !root && is("kernel.apparmor_restrict_unprivileged_userns", 1) {
        return Some(Obstacle::new(
            "AppArmor keeps user namespaces from programs without a profile (kernel.apparmor_restrict_unprivileged_userns is 1)",
            "load a profile for rrun that has the rule `userns,`, as rrun help E-USERNS prints it",
        ));
    }
    None
}

/// The kinds of namespaces, with the names of their limits.
const LIMITS: [(i32, &str); 8] = [
    (libc::CLONE_NEWUSER, "user"),
    (libc::CLONE_NEWNS, "mnt"),
    (libc::CLONE_NEWPID, "pid"),
    (libc::CLONE_NEWNET, "net"),
    (libc::CLONE_NEWIPC, "ipc"),
    (libc::CLONE_NEWUTS, "uts"),
    (libc::CLONE_NEWCGROUP, "cgroup"),
    (0x80, "time"),
];

/// Which limit on namespaces is used up: of those of the new kinds, the least.
fn namespace_limit(flags: u64, parameter: impl Fn(&str) -> Option<u64>) -> Option<Obstacle> {
    let new = LIMITS.iter().filter(|(flag, _)| flags & *flag as u64 != 0);
    let limits = new.map(|(_, name)| format!("user.max_{name}_namespaces"));
    let (most, name) = limits.filter_map(|name| Some((parameter(&name)?, name))).min()?;
    let cause = format!("likely cause: {name} is {most}, and so many are in use, or namespaces are nested too deep");
    Some(Obstacle::new(cause, format!("raise it: sysctl -w {name}=15000")))
}

/// The error of a clone3(2) with the namespaces `flags`, which `op` names.
pub fn refused_clone(op: &str, cause: std::io::Error, flags: u64) -> Error {
    let error = Error::os(op, cause);
    match error.errno() {
        Some(libc::EPERM) => error.code("E-USERNS").hint(match user_namespaces() {
            Some(found) => found.hint(),
            None if flags & libc::CLONE_NEWUSER as u64 != 0 => {
                "likely cause: a seccomp filter of the caller forbids user namespaces; give the outer container a profile that \
                 lets clone3 pass"
                    .to_owned()
            }
            None => {
                "without root's rights only a user namespace gives the right to the others; add {\"type\":\"user\"}".to_owned()
            }
        }),
        Some(libc::ENOSPC) => match namespace_limit(flags, parameter) {
            Some(found) => error.code("E-USERNS").hint(found.hint()),
            None => error.code("E-USERNS"),
        },
        _ => error,
    }
}

/// How many keys the user has and may have (keyrings(7)).
pub fn keys() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/key-users").ok()?;
    key_quota(&text, nix::unistd::getuid().as_raw())
}

/// Finds `UID: usage nkeys/nikeys qnkeys/maxkeys qnbytes/maxbytes` in the text of /proc/key-users.
fn key_quota(text: &str, uid: u32) -> Option<(u64, u64)> {
    let line = text.lines().find(|l| l.split(':').next().is_some_and(|n| n.trim().parse() == Ok(uid)))?;
    let (used, most) = line.split_whitespace().nth(3)?.split_once('/')?;
    Some((used.parse().ok()?, most.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_namespaces_are_blocked_in_three_ways() {
        let with = |name: &'static str, value: u64| move |asked: &str| (asked == name).then_some(value);
        let cause = |name, value, root| blocked(with(name, value), root).map(|o| o.cause).unwrap_or_default();
        assert!(cause("user.max_user_namespaces", 0, true).contains("max_user_namespaces is 0"));
        assert!(cause("kernel.unprivileged_userns_clone", 0, false).contains("userns_clone is 0"));
        assert!(cause("kernel.apparmor_restrict_unprivileged_userns", 1, false).starts_with("AppArmor"));
        assert_eq!(cause("kernel.apparmor_restrict_unprivileged_userns", 1, true), "");
        assert_eq!(cause("user.max_user_namespaces", 15000, false), "");
    }

    #[test]
    fn the_least_limit_is_named() {
        let parameter = |name: &str| Some(if name == "user.max_pid_namespaces" { 3 } else { 15_000 });
        let flags = (libc::CLONE_NEWPID | libc::CLONE_NEWNET) as u64;
        assert!(namespace_limit(flags, parameter).is_some_and(|o| o.cause.contains("user.max_pid_namespaces is 3")));
        assert_eq!(namespace_limit(0, parameter), None);
    }

    #[test]
    fn the_quota_of_keys_is_that_of_the_user() {
        let text = "    0:     9 8/8 1/1000000 9/25000000\n 1000:    12 12/12 200/200 3000/20000\n";
        assert_eq!(key_quota(text, 1000), Some((200, 200)));
        assert_eq!(key_quota(text, 0), Some((1, 1_000_000)));
        assert_eq!(key_quota(text, 7), None);
    }
}
