//! User namespaces: which ids of the container are which ids of the host (user_namespaces(7)).
//!
//! With a map, root inside is nobody special outside: most escapes of this decade end there. The maps are written from
//! outside, before init does anything. Without privilege the kernel takes from rrun a map of the caller's own id alone, and a
//! group only after setgroups(2) was denied, since dropping a group can also grant access (CVE-2014-8989). For more there are
//! newuidmap(1) and newgidmap(1), which check what /etc/subuid grants (`newuidmap`).

mod newuidmap;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::{LinuxIdMapping, Spec};
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};
use crate::host::obstacles::Obstacle;
use crate::host::{Capabilities, Host};
pub use newuidmap::grants;

/// Bits of the capability sets (linux/capability.h).
const CAP_SETGID: u8 = 6;
const CAP_SETUID: u8 = 7;
const CAP_SETFCAP: u8 = 31;

/// Who writes a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// rrun, into /proc/PID/uid_map.
    Ourselves,
    /// newuidmap(1) or newgidmap(1): more than the caller's own id, without privilege.
    Tool,
}

/// Which ids of a container (first) are which of the host (second), how many (third).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maps {
    /// The users.
    pub uid: Vec<[u32; 3]>,
    /// The groups.
    pub gid: Vec<[u32; 3]>,
}

/// A new user namespace and its maps.
#[derive(Debug, Clone)]
pub struct UsersPlan {
    maps: Maps,
    uid_writer: Writer,
    gid_writer: Writer,
    /// Without privilege, setgroups(2) must be denied before the kernel accepts a group from rrun.
    deny_setgroups: bool,
    /// The host's root is in a map, which takes a capability that rrun lacks (Linux 5.12): a container whose root is the host's could
    /// give files capabilities that count on the host.
    lacks_setfcap: bool,
}

impl Maps {
    /// Those of the config.
    pub fn of(spec: &Spec) -> Self {
        let linux = spec.linux().as_ref();
        let rows = |maps: Option<&Vec<LinuxIdMapping>>| -> Vec<[u32; 3]> {
            maps.into_iter().flatten().map(|m| [m.container_id(), m.host_id(), m.size()]).collect()
        };
        Self {
            uid: rows(linux.and_then(|l| l.uid_mappings().as_ref())),
            gid: rows(linux.and_then(|l| l.gid_mappings().as_ref())),
        }
    }

    /// The texts of a uid_map and a gid_map.
    pub fn parse([uid, gid]: [String; 2]) -> Self {
        let row = |line: &str| {
            let numbers: Option<Vec<u32>> = line.split_whitespace().map(|n| n.parse().ok()).collect();
            numbers?.try_into().ok()
        };
        Self { uid: uid.lines().filter_map(row).collect(), gid: gid.lines().filter_map(row).collect() }
    }

    /// The same with the caller's own ids added, unless they are there: for work on files of both.
    pub fn with_own(mut self, host: &Host) -> Self {
        for (map, own) in [(&mut self.uid, host.euid), (&mut self.gid, host.egid)] {
            let free = map.iter().map(|[inside, _, size]| inside.saturating_add(*size)).max().unwrap_or(0);
            if !map.iter().any(|[_, first, size]| own.checked_sub(*first).is_some_and(|n| n < *size)) {
                map.push([free, own, 1]);
            }
        }
        self
    }

    /// Decides who writes them.
    pub fn plan(self, host: &Host, own: &Capabilities) -> UsersPlan {
        let may = |capability: u8| own.permitted & (1 << capability) != 0;
        let writer = |map: &[[u32; 3]], id: u32, capability: u8| match map {
            _ if may(capability) => Writer::Ourselves,
            [[_, outside, 1]] if *outside == id => Writer::Ourselves,
            _ => Writer::Tool,
        };
        let uid_writer = writer(&self.uid, host.euid, CAP_SETUID);
        let gid_writer = writer(&self.gid, host.egid, CAP_SETGID);
        let deny_setgroups = gid_writer == Writer::Ourselves && !may(CAP_SETGID);
        let lacks_setfcap = !may(CAP_SETFCAP) && self.uid.iter().any(|[_, outside, _]| *outside == 0);
        UsersPlan { maps: self, uid_writer, gid_writer, deny_setgroups, lacks_setfcap }
    }
}

/// Decides the maps; `None` when the container has no user namespace of its own. `own`: what rrun may do.
pub fn plan(spec: &Spec, host: &Host, own: &Capabilities, new_user_namespace: bool) -> Option<UsersPlan> {
    new_user_namespace.then(|| Maps::of(spec).plan(host, own))
}

/// The host's id of the container's user `inside`; `None` where the config maps nothing.
pub fn host_uid(spec: &Spec, inside: u32) -> Option<u32> {
    outside(&Maps::of(spec).uid, inside)
}

/// One of newuidmap(1) and newgidmap(1), as the caller finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapTool {
    /// Its name.
    pub name: &'static str,
    /// The file that says which ids it may give.
    pub grants: &'static str,
    /// The ids that the caller may have from it.
    pub ranges: Vec<String>,
    /// What keeps the caller from getting them.
    pub obstacle: Option<Obstacle>,
}

/// What the caller can map beyond the own id, for `rrun doctor`.
pub fn tools() -> [MapTool; 2] {
    [&newuidmap::UID, &newuidmap::GID].map(|tool| {
        let (ranges, obstacle) = newuidmap::look(tool);
        MapTool { name: tool.name, grants: tool.grants, ranges, obstacle }
    })
}

/// Outside: writes the maps of the process `pid`, a child that waits and was not waited for, so that the pid is still its.
pub fn apply_from_parent(plan: &UsersPlan, pid: i32) -> Result<()> {
    let put = |name: &str, text: String, field: &str| {
        let path = format!("/proc/{pid}/{name}");
        std::fs::write(&path, text).at(|| format!("write {path}")).map_err(|e| {
            let hint = match plan.lacks_setfcap {
                true => {
                    "id 0 of the host is in the map, which takes the capability CAP_SETFCAP; map another id, or give it to rrun"
                }
                false => "each id must be one that rrun's own user namespace has, and none may be mapped twice",
            };
            e.code("E-IDMAP").config(field).hint(hint)
        })
    };
    match plan.uid_writer {
        Writer::Ourselves => put("uid_map", text(&plan.maps.uid), "linux.uidMappings")?,
        Writer::Tool => newuidmap::write(&newuidmap::UID, pid, &plan.maps.uid)?,
    }
    if plan.deny_setgroups {
        put("setgroups", "deny".to_owned(), "linux.gidMappings")?;
    }
    match plan.gid_writer {
        Writer::Ourselves => put("gid_map", text(&plan.maps.gid), "linux.gidMappings"),
        Writer::Tool => newuidmap::write(&newuidmap::GID, pid, &plan.maps.gid),
    }
}

fn text(map: &[[u32; 3]]) -> String {
    map.iter().map(|[inside, outside, size]| format!("{inside} {outside} {size}\n")).collect()
}

/// Inside, once the maps are written: becomes root of the new namespace, where root is mapped. The process was born with
/// all capabilities over the namespace, but files it makes need an owner that has an id there.
pub fn apply() -> Result<()> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid).at(|| "setresgid 0").map_err(unmapped)?;
    setresuid(uid, uid, uid).at(|| "setresuid 0").map_err(unmapped)?;
    // Groups of the caller must not remain; where setgroups is denied the kernel keeps what it will.
    match setgroups(&[]) {
        Err(nix::errno::Errno::EPERM) => Ok(()),
        done => done.at(|| "setgroups"),
    }
}

fn unmapped(e: Error) -> Error {
    e.code("E-IDMAP").config("linux.uidMappings").hint("rrun sets the container up as its root; map id 0 of the container")
}

impl UsersPlan {
    /// The host's uid and gid of the container's root; the overflow ids if it has none.
    pub fn root(&self) -> (u32, u32) {
        (outside(&self.maps.uid, 0).unwrap_or(65534), outside(&self.maps.gid, 0).unwrap_or(65534))
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let lines = |kind: &str, map: &[[u32; 3]], writer: Writer, tool: &str| -> Vec<String> {
            let by = if writer == Writer::Tool { format!(" by {tool}") } else { String::new() };
            let line =
                |[inside, outside, size]: &[u32; 3]| format!("map {kind} {inside} to {outside} of the host, {size} ids{by}");
            map.iter().map(line).collect()
        };
        let mut all = lines("uid", &self.maps.uid, self.uid_writer, "newuidmap");
        if self.deny_setgroups {
            all.push("deny setgroups".to_owned());
        }
        all.extend(lines("gid", &self.maps.gid, self.gid_writer, "newgidmap"));
        all
    }
}

fn outside(map: &[[u32; 3]], id: u32) -> Option<u32> {
    map.iter().find_map(|[inside, outside, size]| id.checked_sub(*inside).filter(|n| n < size).map(|n| outside + n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(uid: &[[u32; 3]], gid: &[[u32; 3]], permitted: u64) -> UsersPlan {
        let host = Host { euid: 1000, egid: 100, rootless: true, cgroups: Default::default() };
        let own = Capabilities { bounding: u64::MAX, permitted, last: 40 };
        Maps { uid: uid.to_vec(), gid: gid.to_vec() }.plan(&host, &own)
    }

    #[test]
    fn ones_own_ids_need_no_tools_but_no_setgroups() {
        let p = decide(&[[0, 1000, 1]], &[[0, 100, 1]], 0);
        assert_eq!((p.uid_writer, p.gid_writer, p.deny_setgroups), (Writer::Ourselves, Writer::Ourselves, true));
    }

    #[test]
    fn ranges_without_privilege_need_the_tools() {
        let p = decide(&[[0, 1000, 1], [1, 100_000, 65536]], &[[0, 100, 1]], 0);
        assert_eq!((p.uid_writer, p.gid_writer, p.deny_setgroups), (Writer::Tool, Writer::Ourselves, true));
        let p = decide(&[[0, 1000, 1]], &[[0, 100_000, 1]], 0);
        assert_eq!((p.uid_writer, p.gid_writer, p.deny_setgroups), (Writer::Ourselves, Writer::Tool, false));
    }

    #[test]
    fn who_may_set_ids_needs_no_tools() {
        let p = decide(&[[0, 5, 65536]], &[[0, 5, 65536]], 1 << CAP_SETUID | 1 << CAP_SETGID);
        assert_eq!((p.uid_writer, p.gid_writer, p.deny_setgroups), (Writer::Ourselves, Writer::Ourselves, false));
    }

    #[test]
    fn root_knows_its_host_ids() {
        assert_eq!(decide(&[[0, 100_000, 65536]], &[[0, 200_000, 65536]], 0).root(), (100_000, 200_000));
        assert_eq!(decide(&[[5, 100_000, 1]], &[], 0).root(), (65534, 65534));
    }

    #[test]
    fn own_ids_are_added_where_they_lack() {
        let host = Host { euid: 1000, egid: 100, rootless: true, cgroups: Default::default() };
        let maps = Maps { uid: vec![[0, 5000, 10], [10, 7000, 1]], gid: vec![[0, 90, 20]] }.with_own(&host);
        assert_eq!((maps.uid, maps.gid), (vec![[0, 5000, 10], [10, 7000, 1], [11, 1000, 1]], vec![[0, 90, 20]]));
    }
}
