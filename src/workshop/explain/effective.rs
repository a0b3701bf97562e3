//! The picture of a running container as the kernel shows it, whoever made it.
//!
//! Nothing here asks a config: an attacker is bound by what is in force. The mount table says which file trees of the host are inside: a
//! mount inside and one of the host with the same device number are of one filesystem, and the mount's root says which part of it.

use std::path::{Path, PathBuf};

use super::facts::{Above, Bind, Facts, Filter, Node, REVEALING, SWITCHES, Sharing};
use crate::workshop::observed::Process;
use crate::workshop::observed::groups::{Groups, Limits};
use crate::workshop::observed::maps::IdMap;
use crate::workshop::observed::mounts::{self, Mount};
use crate::workshop::observed::namespaces::{HostNamespaces, Kind, Namespaces};
use crate::workshop::observed::status::Status;

/// What the picture is compared with.
pub struct Surroundings {
    /// The host's namespaces.
    pub host: HostNamespaces,
    /// Other containers, by name.
    pub others: Vec<(String, Namespaces)>,
    /// The host's mount table.
    pub mounts: Vec<Mount>,
}

impl Surroundings {
    /// With whom a namespace is shared.
    pub fn sharing(&self, of: &Namespaces, kind: Kind) -> Sharing {
        if self.host.share(of, kind) {
            return Sharing::Host;
        }
        match self.others.iter().find(|(_, other)| other.share(of, kind)) {
            Some((name, _)) => Sharing::With(format!("container {name}")),
            None if of.get(kind).is_some() => Sharing::Own,
            None => Sharing::Unknown,
        }
    }
}

/// The picture; `None` when the process has ended. `groups`: where its limits are, if that is known better than from the process.
pub fn facts(process: &Process, groups: Option<Groups>, around: &Surroundings) -> Option<Facts> {
    let status = process.status()?;
    let of = process.namespaces();
    let table = process.mounts()?;
    let namespaces = Kind::ALL.map(|kind| around.sharing(&of, kind));
    let mut facts = Facts { namespaces, label: process.label(), ..Facts::default() };
    facts.binds = binds(&table, &facts, around);
    identity(&mut facts, &status, process);
    files(&mut facts, &table, around);
    let groups = groups.filter(|g| !g.0.is_empty()).or_else(|| process.groups());
    let groups = groups.unwrap_or_default();
    resources(&mut facts, &groups.limits());
    let above = groups.above().limits();
    facts.above = Above { memory: above.memory, swap: above.swap, pids: above.pids, cpuset: above.cpuset.is_some() };
    Some(facts)
}

fn identity(facts: &mut Facts, status: &Status, process: &Process) {
    let separate = *facts.namespace(Kind::User) != Sharing::Host;
    if separate {
        (facts.uids, facts.gids) = (process.uid_map(), process.gid_map());
    }
    let inside = |map: &Option<IdMap>, id: u32| map.as_ref().and_then(|m| m.inside(id)).unwrap_or(id);
    facts.uid = inside(&facts.uids, status.uids[1]);
    facts.groups = status.groups.iter().chain([&status.gids[1]]).map(|gid| inside(&facts.gids, *gid)).collect();
    facts.no_new_privileges = status.no_new_privileges;
    facts.inheritable = status.inheritable;
    facts.held = status.permitted | status.effective | status.ambient;
    facts.held |= if status.no_new_privileges { 0 } else { status.bounding };
    facts.filter = match status.seccomp {
        0 => Filter::None,
        1 => Filter::AllowList,
        _ => Filter::Some,
    };
}

fn files(facts: &mut Facts, table: &[Mount], around: &Surroundings) {
    let there = |path: &str| std::fs::symlink_metadata(path).is_ok();
    // Of the kernel's own filesystem, and not what was put over the path.
    let uncovered = |path: &str| {
        let found = mounts::at(table, Path::new(path)).filter(|m| matches!(m.fstype.as_str(), "proc" | "sysfs"));
        found.filter(|_| there(path))
    };
    facts.writable = SWITCHES.into_iter().filter(|path| uncovered(path).is_some_and(|m| !m.is_read_only())).collect();
    facts.visible = REVEALING.into_iter().filter(|path| uncovered(path).is_some()).collect();
    facts.read_only_root = mounts::at(table, Path::new("/")).is_some_and(Mount::is_read_only);
    let of_host = |tag: &String| tag.starts_with("shared:") && around.mounts.iter().any(|m| m.propagation.contains(tag));
    facts.shared = table.iter().filter(|m| m.propagation.iter().any(of_host)).map(|m| m.point.clone()).collect();
}

fn resources(facts: &mut Facts, limits: &Limits) {
    facts.devices = limits.devices;
    (facts.memory, facts.swap, facts.pids) = (limits.memory, limits.swap, limits.pids);
    let quota = limits.cpu.map(|(quota, period)| format!("quota {} %", quota * 100 / period.max(1)));
    // What a group has that nobody touched: 1024 of v1, 100 of v2.
    let weight = limits.weight.filter(|w| ![100, 1024].contains(w)).map(|_| "weight".to_owned());
    let cpuset = limits.cpuset.as_ref().map(|_| "cpuset".to_owned());
    facts.processor = quota.into_iter().chain(weight).chain(cpuset).collect::<Vec<_>>().join(", ");
}

/// Where on the host a mount inside comes from.
pub fn source(mount: &Mount, host: &[Mount]) -> Option<PathBuf> {
    let same = host.iter().filter(|h| h.device == mount.device && mount.root.starts_with(&h.root));
    // The mount of the whole filesystem names it best.
    let of = same.min_by_key(|h| (h.root.components().count(), h.point.components().count()))?;
    let below = mount.root.strip_prefix(&of.root).ok()?;
    Some(if below.as_os_str().is_empty() { of.point.clone() } else { of.point.join(below) })
}

fn binds(table: &[Mount], facts: &Facts, around: &Surroundings) -> Vec<Bind> {
    // One instance of these belongs to a namespace: shared with it, and no file tree of the host otherwise.
    let shared = |kind: Kind| *facts.namespace(kind) == Sharing::Host;
    let own = |m: &Mount| match m.fstype.as_str() {
        "proc" => shared(Kind::Pid),
        "sysfs" => shared(Kind::Net),
        "mqueue" => shared(Kind::Ipc),
        "cgroup" | "cgroup2" | "devpts" => true,
        _ => false,
    };
    let read = |m: &Mount| {
        let source = source(m, &around.mounts)?;
        let node = node(&source);
        let device = source.starts_with("/dev") && matches!(node, Node::File { .. });
        let (read_only, nosuid, nodev) = (m.is_read_only(), m.has("nosuid"), m.has("nodev"));
        let bind = Bind { source, target: m.point.clone(), index: None, read_only, nosuid, nodev, node };
        (!device).then_some(bind)
    };
    let is_root = |m: &&Mount| m.point == Path::new("/");
    let mut binds: Vec<Bind> = table.iter().filter(|m| !is_root(m) && !own(m)).filter_map(read).collect();
    // A container whose root is the host's has all of it.
    let root = table.iter().rfind(is_root).and_then(|m| Some((source(m, &around.mounts)?, m.is_read_only())));
    if let Some((source, read_only)) = root.filter(|(source, _)| source == Path::new("/")) {
        binds.push(Bind { source, target: "/".into(), index: None, read_only, nosuid: true, nodev: true, node: Node::Directory });
    }
    binds
}

/// What a path of the host is.
pub fn node(path: &Path) -> Node {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Node::Directory,
        Ok(meta) => Node::File { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o7777 },
        Err(_) => Node::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n22 21 0:5 / /proc rw - proc proc rw\n\
                        23 21 0:30 / /run rw shared:5 - tmpfs tmpfs rw\n24 21 8:1 /srv /mnt rw - ext4 /dev/sda1 rw\n";

    fn around() -> Surroundings {
        Surroundings { host: HostNamespaces::default(), others: vec![], mounts: mounts::parse(HOST) }
    }

    #[test]
    fn a_mount_inside_is_followed_to_the_host() {
        let of = |line: &str| source(&mounts::parse(line)[0], &around().mounts).map(|p| p.display().to_string());
        assert_eq!(of("1 1 8:1 /srv/data /data rw - ext4 x rw").as_deref(), Some("/srv/data"));
        assert_eq!(of("1 1 0:30 / /x rw - tmpfs x rw").as_deref(), Some("/run"));
        assert_eq!(of("1 1 0:99 / /tmp rw - tmpfs x rw"), None);
    }

    #[test]
    fn what_is_mounted_is_judged_as_it_is() {
        let inside = "1 1 8:1 /img / ro - ext4 x rw\n2 1 0:50 / /proc rw - proc proc rw\n3 2 0:50 /sys /proc/sys ro - proc proc rw\n\
                      4 2 0:51 / /proc/keys ro - tmpfs t rw\n5 1 8:1 /etc /e rw,nosuid - ext4 x rw\n6 1 0:30 / /r rw shared:5 - tmpfs t rw\n\
                      7 1 0:5 / /hostproc rw - proc proc rw\n";
        let table = mounts::parse(inside);
        let mut facts = Facts { namespaces: std::array::from_fn(|_| Sharing::Own), ..Facts::default() };
        facts.binds = binds(&table, &facts, &around());
        files(&mut facts, &table, &around());
        let sources: Vec<_> = facts.binds.iter().map(|b| b.source.display().to_string()).collect();
        assert_eq!(sources, ["/etc", "/run", "/proc"]);
        assert!(facts.binds[0].nosuid && !facts.binds[0].nodev);
        assert!(facts.read_only_root && !facts.writable.contains(&"/proc/sys") && !facts.visible.contains(&"/proc/keys"));
        assert!(facts.writable.contains(&"/proc/irq"), "{:?}", facts.writable);
        assert_eq!(facts.shared, [PathBuf::from("/r")]);
    }
}
