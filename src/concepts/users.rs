//! User namespaces: which ids of the container are which ids of the host (user_namespaces(7)).
//!
//! With a map, root inside is nobody special outside: most escapes of this decade end there. The maps are written from
//! outside, before init does anything: by rrun itself if it may, else by newuidmap(1) and newgidmap(1), which check what
//! /etc/subuid grants. Without privilege setgroups(2) is denied first, since dropping a group can also grant access
//! (CVE-2014-8989).

use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::{LinuxIdMapping, Spec};

use crate::error::{At, Error, Result};
use crate::host::Host;

/// Who writes the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// rrun, into /proc/PID/uid_map.
    Ourselves,
    /// newuidmap(1) and newgidmap(1): more than the caller's own id, without privilege.
    Tools,
}

/// A new user namespace and its maps.
#[derive(Debug, Clone)]
pub struct UsersPlan {
    uid_map: Vec<[u32; 3]>,
    gid_map: Vec<[u32; 3]>,
    writer: Writer,
    /// Without privilege, setgroups(2) must be denied before a gid map is accepted.
    deny_setgroups: bool,
}

/// Decides the maps; `None` when the container has no user namespace of its own.
pub fn plan(spec: &Spec, host: &Host, new_user_namespace: bool) -> Option<UsersPlan> {
    if !new_user_namespace {
        return None;
    }
    let linux = spec.linux().as_ref();
    let rows = |maps: Option<&Vec<LinuxIdMapping>>| -> Vec<[u32; 3]> {
        maps.into_iter().flatten().map(|m| [m.container_id(), m.host_id(), m.size()]).collect()
    };
    let uid_map = rows(linux.and_then(|l| l.uid_mappings().as_ref()));
    let gid_map = rows(linux.and_then(|l| l.gid_mappings().as_ref()));
    let own = |map: &[[u32; 3]], id: u32| matches!(map, [[_, host, 1]] if *host == id);
    let alone = own(&uid_map, host.euid) && own(&gid_map, host.egid);
    let writer = if host.rootless && !alone { Writer::Tools } else { Writer::Ourselves };
    Some(UsersPlan { uid_map, gid_map, writer, deny_setgroups: host.rootless && alone })
}

/// The host's id of the container's user `inside`; `None` where the config maps nothing.
pub fn host_uid(spec: &Spec, inside: u32) -> Option<u32> {
    let maps = spec.linux().as_ref()?.uid_mappings().as_ref()?;
    let map: Vec<[u32; 3]> = maps.iter().map(|m| [m.container_id(), m.host_id(), m.size()]).collect();
    outside(&map, inside)
}

/// Outside: writes the maps of the process `pid`.
pub fn apply_from_parent(plan: &UsersPlan, pid: i32) -> Result<()> {
    if plan.writer == Writer::Tools {
        run_tool("newuidmap", pid, &plan.uid_map)?;
        return run_tool("newgidmap", pid, &plan.gid_map);
    }
    let put = |name: &str, text: String, field: &str| {
        let path = format!("/proc/{pid}/{name}");
        std::fs::write(&path, text).at(|| format!("write {path}")).map_err(|e| e.code("E-IDMAP").config(field))
    };
    put("uid_map", text(&plan.uid_map), "linux.uidMappings")?;
    if plan.deny_setgroups {
        put("setgroups", "deny".to_owned(), "linux.gidMappings")?;
    }
    put("gid_map", text(&plan.gid_map), "linux.gidMappings")
}

fn text(map: &[[u32; 3]]) -> String {
    map.iter().map(|[inside, outside, size]| format!("{inside} {outside} {size}\n")).collect()
}

fn run_tool(tool: &str, pid: i32, map: &[[u32; 3]]) -> Result<()> {
    let numbers = map.iter().flatten().map(u32::to_string);
    let output = Command::new(tool).arg(pid.to_string()).args(numbers).stdin(Stdio::null()).output();
    let output = match output {
        Err(e) => {
            return Err(Error::os(format!("run {tool}"), e)
                .code("E-IDMAP")
                .hint("install uidmap, which has newuidmap and newgidmap"));
        }
        Ok(output) => output,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    Err(Error::new(format!("{tool} refused the mapping: {said}"))
        .code("E-IDMAP")
        .hint("see the ranges granted in /etc/subuid and /etc/subgid"))
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
    e.code("E-IDMAP").config("linux.uidMappings").hint("map id 0 of the container: rrun sets the container up as its root")
}

impl UsersPlan {
    /// The host's uid and gid of the container's root; the overflow ids if it has none.
    pub fn root(&self) -> (u32, u32) {
        (outside(&self.uid_map, 0).unwrap_or(65534), outside(&self.gid_map, 0).unwrap_or(65534))
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let who = if self.writer == Writer::Tools { " by newuidmap and newgidmap" } else { "" };
        let lines = |kind: &str, map: &[[u32; 3]]| -> Vec<String> {
            map.iter()
                .map(|[inside, outside, size]| format!("map {kind} {inside} to {outside} of the host, {size} ids{who}"))
                .collect()
        };
        [lines("uid", &self.uid_map), lines("gid", &self.gid_map)].concat()
    }
}

fn outside(map: &[[u32; 3]], id: u32) -> Option<u32> {
    map.iter().find_map(|[inside, outside, size]| id.checked_sub(*inside).filter(|n| n < size).map(|n| outside + n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(map: &str, rootless: bool) -> UsersPlan {
        let json = format!(r#"{{"ociVersion":"1.0.0","linux":{{"uidMappings":{map},"gidMappings":{map}}}}}"#);
        let host = Host { euid: 1000, egid: 1000, rootless, cgroups: Default::default() };
        plan(&serde_json::from_str(&json).unwrap(), &host, true).unwrap()
    }

    #[test]
    fn one_own_id_needs_no_tools_but_no_setgroups() {
        let p = of(r#"[{"containerID":0,"hostID":1000,"size":1}]"#, true);
        assert!(p.writer == Writer::Ourselves && p.deny_setgroups);
    }

    #[test]
    fn ranges_without_privilege_need_the_tools() {
        let p = of(r#"[{"containerID":0,"hostID":1000,"size":1},{"containerID":1,"hostID":100000,"size":65536}]"#, true);
        assert!(p.writer == Writer::Tools && !p.deny_setgroups);
    }

    #[test]
    fn root_knows_its_host_ids() {
        assert_eq!(of(r#"[{"containerID":0,"hostID":100000,"size":65536}]"#, false).root(), (100000, 100000));
        assert_eq!(of(r#"[{"containerID":5,"hostID":100000,"size":1}]"#, false).root(), (65534, 65534));
    }
}
