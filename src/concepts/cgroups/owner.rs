//! Handing a group of v2 over to the container (config-linux.md, "Cgroup ownership"; cgroup-v2.rst, "Delegation").
//!
//! A container that manages groups of its own, as one with systemd inside does, must own the directory and the few files by which
//! processes move between groups. Its limits stay the host's: only the files that the kernel names are given, which are those that
//! cannot widen anything. And only to who sees nothing beyond the group: with a cgroup namespace, and a writable mount to use it.

use std::os::unix::fs::chown;
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use crate::error::{At, Result};
use crate::host::Host;

/// The kernel's own list of what to give (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// The host's uid of the container's user, if the group is to be theirs and is not already.
pub(super) fn plan(spec: &Spec, host: &Host) -> Option<u32> {
    let namespaces = spec.linux().as_ref()?.namespaces().as_deref().unwrap_or_default();
    let has = |kind| namespaces.iter().find(|n| n.typ() == kind);
    let private = has(LinuxNamespaceType::Cgroup).is_some_and(|n| n.path().is_none());
    let writable = spec.mounts().iter().flatten().any(is_writable_view);
    if host.rootless || !host.cgroups.is_unified() || !private || !writable {
        return None;
    }
    let uid = spec.process().as_ref().map_or(0, |p| p.user().uid());
    let outside = match has(LinuxNamespaceType::User) {
        None => uid,
        // An id that is not mapped is somebody else's mistake, and told elsewhere.
        Some(_) => spec.linux().as_ref()?.uid_mappings().iter().flatten().find_map(|m| {
            let offset = uid.checked_sub(m.container_id()).filter(|o| *o < m.size())?;
            m.host_id().checked_add(offset)
        })?,
    };
    Some(outside).filter(|uid| *uid != host.euid)
}

fn is_writable_view(mount: &Mount) -> bool {
    let last = mount.options().iter().flatten().rev().find(|o| matches!(o.as_str(), "ro" | "rro" | "rw"));
    matches!(mount.typ().as_deref(), Some("cgroup" | "cgroup2"))
        && mount.destination() == Path::new("/sys/fs/cgroup")
        && last.is_none_or(|o| o == "rw")
}

/// Gives the group `dir` to `uid`.
pub(super) fn give(dir: &Path, uid: u32) -> Result<()> {
    let list = std::fs::read_to_string(LIST).unwrap_or_else(|_| "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n".into());
    let at = |path: &Path| format!("chown {} to {uid}", path.display());
    chown(dir, Some(uid), None).at(|| at(dir))?;
    for file in list.lines() {
        let path = dir.join(file);
        match chown(&path, Some(uid), None) {
            // The list also has files of controllers that are not there.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            done => done.at(|| at(&path))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::paths::tests::{hybrid, unified};
    use super::*;
    use serde_json::json;

    fn owner(change: impl Fn(&mut serde_json::Value), host: &Host) -> Option<u32> {
        let mut spec = json!({
            "ociVersion": "1.3.0",
            "process": {"cwd": "/", "user": {"uid": 5, "gid": 0}},
            "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["nosuid", "rw"]}],
            "linux": {"namespaces": [{"type": "cgroup"}, {"type": "user"}],
                      "uidMappings": [{"containerID": 0, "hostID": 7000, "size": 5}, {"containerID": 5, "hostID": 9000, "size": 1}]},
        });
        change(&mut spec);
        plan(&serde_json::from_value(spec).expect("a spec"), host)
    }

    #[test]
    fn the_containers_user_owns_a_group_that_it_may_write() {
        assert_eq!(owner(|_| {}, &unified()), Some(9000));
        assert_eq!(owner(|s| s["process"]["user"]["uid"] = json!(1), &unified()), Some(7001));
        assert_eq!(owner(|s| s["linux"]["namespaces"] = json!([{"type": "cgroup"}]), &unified()), Some(5));
        assert_eq!(owner(|s| s["mounts"][0]["options"] = json!([]), &unified()), Some(9000));
    }

    #[test]
    fn otherwise_it_stays_the_hosts() {
        assert_eq!(owner(|_| {}, &hybrid()), None);
        assert_eq!(owner(|_| {}, &Host { rootless: true, ..unified() }), None);
        assert_eq!(owner(|s| s["process"]["user"]["uid"] = json!(6), &unified()), None, "not mapped");
        assert_eq!(owner(|s| s["mounts"][0]["options"] = json!(["rw", "ro"]), &unified()), None);
        assert_eq!(owner(|s| s["linux"]["namespaces"] = json!([{"type": "user"}]), &unified()), None);
        assert_eq!(owner(|s| s["mounts"] = json!([]), &unified()), None);
    }
}
