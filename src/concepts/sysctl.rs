//! Kernel parameters that have a value per namespace (sysctl(8), namespaces(7)).
//!
//! Most files below /proc/sys are one value for the whole machine: writing them "for a container" changes the host. Only
//! those that live in the container's own IPC, network, UTS or user namespace are allowed, and nothing else.
//! The boundary: with `kernel.core_pattern` writable, a crash in the container runs a program of its choice on the host as
//! root; CVE-2025-52881 led such a write there through a faked /proc. So the name is mapped strictly and written through a
//! procfs of our own.

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::error::{At, Error, Result};
use crate::sys::procfs::ProcFs;

/// The parameters of the IPC namespace below `kernel.` (ipc_namespaces(7)); besides these, all of `fs.mqueue.`.
const IPC: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];

/// Parameters to write, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SysctlPlan {
    entries: Vec<Entry>,
    /// The first parameter of the network namespace, if any.
    network: Option<String>,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// As the config has it.
    key: String,
    /// Below the procfs root: `sys/net/ipv4/ip_forward`.
    path: CString,
    value: String,
}

/// Decides them; one that is not namespaced, or whose namespace is the host's, is an error.
///
/// A name is read as sysctl(8) reads it: the first `.` or `/` is the separator, the other character stands for itself
/// swapped (`net.ipv4.conf.eth0/100.mtu` is `net/ipv4/conf/eth0.100/mtu`).
pub fn plan(spec: &Spec) -> Result<SysctlPlan> {
    let mut plan = SysctlPlan::default();
    let wanted = spec.linux().as_ref().and_then(|l| l.sysctl().as_ref());
    for (key, value) in wanted.into_iter().flatten() {
        let at_fault = |e: Error| e.config(format!("linux.sysctl.{key}")).code("E-SYSCTL");
        let parts = components(key).ok_or_else(|| at_fault(Error::new(format!("sysctl {key:?} is not a valid name"))))?;
        check(spec, key, &parts).map_err(at_fault)?;
        let path =
            CString::new(format!("sys/{}", parts.join("/"))).map_err(|_| at_fault(Error::new("sysctl name contains NUL")))?;
        if parts[0] == "net" {
            plan.network.get_or_insert_with(|| key.clone());
        }
        plan.entries.push(Entry { key: key.clone(), path, value: value.clone() });
    }
    // The config is a map without order; errors and `rrun plan` need one.
    plan.entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(plan)
}

/// Outside, where the config joins a network namespace: refuses one that is rrun's own, for writing there changes the
/// host. `joined` is its handle, `own` that of rrun's namespace.
pub fn check_from_parent(plan: &SysctlPlan, joined: BorrowedFd, own: BorrowedFd) -> Result<()> {
    let Some(key) = &plan.network else { return Ok(()) };
    let identity = |fd| nix::sys::stat::fstat(fd).map(|s| (s.st_dev, s.st_ino)).at(|| "fstat of a network namespace");
    if identity(joined)? == identity(own)? { Err(host_network(key)) } else { Ok(()) }
}

/// Writes them through the trusted procfs. The thread is in the container's namespaces.
pub fn apply(plan: &SysctlPlan, proc: &ProcFs) -> Result<()> {
    for entry in &plan.entries {
        proc.write(&entry.path, entry.value.as_bytes())
            .at(|| format!("write /proc/{}", entry.path.to_string_lossy()))
            .map_err(|e| e.config(format!("linux.sysctl.{}", entry.key)))?;
    }
    Ok(())
}

impl SysctlPlan {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        self.entries.iter().map(|e| format!("write {:?} to /proc/{}", e.value, e.path.to_string_lossy())).collect()
    }
}

/// The path components that a name stands for; none may be empty or walk.
fn components(key: &str) -> Option<Vec<String>> {
    let slashes = key.find(['.', '/']).is_some_and(|at| key.as_bytes()[at] == b'/');
    let parts: Vec<String> = if slashes {
        key.split('/').map(str::to_owned).collect()
    } else {
        key.split('.').map(|part| part.replace('/', ".")).collect()
    };
    let plain = |part: &String| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    (parts.len() > 1 && parts.iter().all(plain)).then_some(parts)
}

/// Whether the container has a namespace of its own for this parameter.
fn check(spec: &Spec, key: &str, parts: &[String]) -> Result<()> {
    let has = |kind| has_namespace(spec, kind);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["kernel", name] if IPC.contains(name) => ipc(key, has(LinuxNamespaceType::Ipc)),
        ["fs", "mqueue", _] => ipc(key, has(LinuxNamespaceType::Ipc)),
        ["net", ..] if has(LinuxNamespaceType::Network) => Ok(()),
        ["net", ..] => Err(host_network(key)),
        ["kernel", "hostname"] if has(LinuxNamespaceType::Uts) => Err(conflict(key, "hostname")),
        ["kernel", "domainname"] if has(LinuxNamespaceType::Uts) => match spec.domainname() {
            Some(_) => Err(conflict(key, "domainname")),
            None => Ok(()),
        },
        // ucounts: how many of each object the user namespace may have (user_namespaces(7)).
        ["user", _] if has(LinuxNamespaceType::User) => Ok(()),
        _ => {
            let hint = "it is one value for the whole kernel, or its namespace is the host's; remove it";
            Err(Error::new(format!("sysctl {key:?} is not in a separate kernel namespace")).hint(hint))
        }
    }
}

fn ipc(key: &str, own: bool) -> Result<()> {
    if own { Ok(()) } else { Err(Error::new(format!("sysctl {key:?} is not allowed in the hosts ipc namespace"))) }
}

fn host_network(key: &str) -> Error {
    Error::new(format!("sysctl {key:?} not allowed in host network namespace")).code("E-SYSCTL")
}

fn conflict(key: &str, field: &str) -> Error {
    Error::new(format!("sysctl {key:?} is not allowed as it conflicts with the OCI {field:?} field"))
}

fn has_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|l| l.namespaces().as_ref());
    namespaces.into_iter().flatten().any(|n| n.typ() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(sysctl: serde_json::Value, namespaces: &[&str]) -> Result<SysctlPlan> {
        let namespaces: Vec<_> = namespaces.iter().map(|n| serde_json::json!({"type": n})).collect();
        let spec = serde_json::json!({"ociVersion": "1.2.0", "linux": {"sysctl": sysctl, "namespaces": namespaces}});
        plan(&serde_json::from_value(spec).expect("a spec"))
    }

    fn refusal(key: &str, namespaces: &[&str]) -> String {
        decide(serde_json::json!({key: "1"}), namespaces).expect_err("refused").to_string()
    }

    #[test]
    fn canonical_refusals() {
        assert_eq!(refusal("vm.swappiness", &["ipc"]), r#"sysctl "vm.swappiness" is not in a separate kernel namespace"#);
        assert_eq!(refusal("kernel.msgmax", &[]), r#"sysctl "kernel.msgmax" is not allowed in the hosts ipc namespace"#);
        assert_eq!(refusal("fs/mqueue/msg_max", &[]), r#"sysctl "fs/mqueue/msg_max" is not allowed in the hosts ipc namespace"#);
        assert_eq!(refusal("net.ipv4.ip_forward", &[]), r#"sysctl "net.ipv4.ip_forward" not allowed in host network namespace"#);
        let conflict = r#"sysctl "kernel.hostname" is not allowed as it conflicts with the OCI "hostname" field"#;
        assert_eq!(refusal("kernel.hostname", &["uts"]), conflict);
        assert_eq!(refusal("kernel.domainname", &[]), r#"sysctl "kernel.domainname" is not in a separate kernel namespace"#);
        let users = r#"sysctl "user.max_user_namespaces" is not in a separate kernel namespace"#;
        assert_eq!(refusal("user.max_user_namespaces", &["uts"]), users);
        assert!(decide(serde_json::json!({"user.max_user_namespaces": "1"}), &["user"]).is_ok());
        assert!(decide(serde_json::json!({"kernel.domainname": "x"}), &["uts"]).is_ok());
        // Alike by prefix only.
        assert!(refusal("kernel.msg_whatever", &["ipc"]).contains("not in a separate kernel namespace"));
        assert!(refusal("network.x", &["network"]).contains("not in a separate kernel namespace"));
    }

    #[test]
    fn names_cannot_walk() {
        for bad in ["net", "net.", ".net", "net..ipv4", "net/../kernel/core_pattern", "net./../x", "net/./x", "", "/", ".."] {
            assert!(components(bad).is_none(), "{bad:?}");
        }
        assert!(refusal("net/../kernel/core_pattern", &["network"]).contains("not a valid name"));
    }

    #[test]
    fn both_separators_are_understood() {
        let path = |key| components(key).expect("a name").join("/");
        assert_eq!(path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net/ipv4/ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(path("net.ipv4.conf.eth0/100.forwarding"), "net/ipv4/conf/eth0.100/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.100/forwarding"), "net/ipv4/conf/eth0.100/forwarding");
    }
}
