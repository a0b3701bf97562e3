//! Control groups: which version, which controllers this user may use, and whom to ask for them.
//!
//! Root may use what the hierarchy has. A user may use what was delegated: on v2 the controllers that systemd handed down to
//! the user's manager, on v1 nothing (cgroups(7)). Without them a limit in config.json is refused, never dropped.

use std::path::Path;

use super::Check;
use crate::host::Host;

/// The controllers that limits in config.json mostly need.
const WANTED: [&str; 3] = ["cpu", "memory", "pids"];

pub(super) fn checks(host: &Host) -> Vec<Check> {
    vec![groups(host), bus(host)]
}

fn groups(host: &Host) -> Check {
    let v1: Vec<&str> = host.cgroups.v1.iter().flat_map(|h| &h.controllers).map(String::as_str).collect();
    match (&host.cgroups.v2, v1.is_empty()) {
        (None, true) => Check::missing("cgroups", "no hierarchy is mounted")
            .because("nothing of type cgroup or cgroup2 is mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
        (Some(v2), true) => {
            // Who has delegated groups may use what the group above hands down; else what the root has.
            let dir = if host.rootless { v2.directory() } else { v2.mountpoint.clone() };
            judge(host, "v2", controllers(&dir))
        }
        (_, false) => {
            let version = if host.cgroups.v2.is_some() { "v1 beside v2" } else { "v1" };
            let own = v1.iter().filter(|c| !c.starts_with("name=")).map(|c| (*c).to_owned()).collect();
            match host.rootless {
                true => Check::absent("cgroups", format!("{version}: not yours, limits are refused"))
                    .because("cgroup v1 cannot be delegated to users", "start the host with systemd.unified_cgroup_hierarchy=1"),
                false => judge(host, version, own),
            }
        }
    }
}

fn controllers(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn judge(host: &Host, version: &str, has: Vec<String>) -> Check {
    let lacking: Vec<&str> = WANTED.into_iter().filter(|wanted| !has.iter().any(|c| c == wanted)).collect();
    let found = format!("{version}: {}", if has.is_empty() { "no controllers".to_owned() } else { has.join(" ") });
    if lacking.is_empty() {
        return Check::good("cgroups", found);
    }
    let cause = format!("limits that need {} are refused", lacking.join(", "));
    match host.rootless {
        true => Check::absent("cgroups", found).because(
            cause,
            "root writes [Service] and Delegate=cpu cpuset io memory pids into /etc/systemd/system/user@.service.d/delegate.conf; log in again",
        ),
        false => Check::missing("cgroups", found).because(cause, "start the kernel without cgroup_disable= for them"),
    }
}

fn bus(host: &Host) -> Check {
    const ID: &str = "systemd-bus";
    if !host.rootless {
        return match Path::new("/run/systemd/private").exists() || Path::new("/run/dbus/system_bus_socket").exists() {
            true => Check::good(ID, "systemd can be asked for scopes: --systemd-cgroup works"),
            false => Check::absent(ID, "systemd does not run here; use the cgroupfs driver"),
        };
    }
    let dir = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
    let path = Path::new(&dir).join("bus");
    match !dir.is_empty() && path.exists() {
        true => Check::good(ID, path.display().to_string()),
        false => Check::absent(ID, "the user's service manager cannot be asked: --systemd-cgroup fails").because(
            "nothing listens at $XDG_RUNTIME_DIR/bus",
            "install dbus-user-session and log in anew, or use the cgroupfs driver",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Cgroups;

    #[test]
    fn controllers_are_needed_by_root_and_wished_by_users() {
        let host = |rootless| Host { euid: 0, egid: 0, rootless, cgroups: Cgroups::default() };
        let few = || vec!["pids".to_owned()];
        assert_eq!(judge(&host(false), "v2", few()).result, super::super::Answer::Missing);
        let user = judge(&host(true), "v2", few());
        assert_eq!(user.result, super::super::Answer::Absent);
        assert!(user.obstacle.is_some_and(|o| o.cause.contains("cpu, memory") && o.fix.contains("Delegate=")));
        let all = WANTED.map(str::to_owned).to_vec();
        assert_eq!(judge(&host(true), "v2", all).result, super::super::Answer::Good);
        assert!(groups(&host(false)).obstacle.is_some_and(|o| o.fix.contains("cgroup2")));
    }
}
