//! Namespaces: which parts of the kernel's world a process sees as its own (namespaces(7)).
//!
//! Eight kinds: mount, pid, network, ipc, uts, user, cgroup, time. Each is new, joined by a path, or shared with the host. A
//! missing one is a window: with the host's pid namespace a container sees every process, with its network namespace it
//! reaches abstract sockets of the engine (CVE-2020-15257).
//!
//! All new ones are made by one clone3(2), but two: a cgroup namespace shows the group its maker was in, so init makes it
//! after it was moved; and a time namespace with offsets must be given them before anyone enters.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{OFlag, open};
use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};

use crate::error::{At, Error, Result};
use crate::sys::process::{setdomainname, setns, unshare};
use crate::sys::procfs::ProcFs;

/// A namespace to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// `CLONE_NEW*` of its kind.
    pub flag: u64,
    /// The kind as config.json calls it.
    pub name: &'static str,
    /// Where its file is on the host.
    pub path: PathBuf,
}

/// What becomes of each kind.
#[derive(Debug, Clone, Default)]
pub struct NamespacesPlan {
    /// `CLONE_NEW*` for clone3.
    pub clone_flags: u64,
    /// Joined by init or the joiner, the mount namespace last (it changes what paths mean).
    pub joins: Vec<Join>,
    /// Joined just before the clone by who clones init: setns(2) of a PID namespace moves only children.
    pub pid: Option<Join>,
    /// The user namespace to join, after all others.
    pub user: Option<Join>,
    /// Whether init makes a cgroup namespace.
    pub cgroup: bool,
    /// The lines for /proc/PID/timens_offsets, where a new time namespace has offsets.
    pub time_offsets: Option<String>,
    /// The names of the new kinds, in the order of the config.
    pub new: Vec<&'static str>,
    hostname: Option<String>,
    domainname: Option<CString>,
}

/// The `CLONE_NEW*` flag and the name of a kind.
pub fn flag_and_name(kind: Kind) -> (u64, &'static str) {
    let name = match kind {
        Kind::Mount => "mount",
        Kind::Cgroup => "cgroup",
        Kind::Uts => "uts",
        Kind::Ipc => "ipc",
        Kind::User => "user",
        Kind::Pid => "pid",
        Kind::Network => "network",
        Kind::Time => "time",
    };
    (kind as u64, name)
}

/// Sorts the config's namespaces into what clone3 makes, what init makes, and what is joined.
pub fn plan(spec: &Spec) -> Result<NamespacesPlan> {
    let mut plan = NamespacesPlan::default();
    let linux = spec.linux().as_ref();
    let offsets = linux.and_then(|l| l.time_offsets().as_ref()).filter(|o| !o.is_empty());
    for namespace in linux.and_then(|l| l.namespaces().as_ref()).into_iter().flatten() {
        let (flag, name) = flag_and_name(namespace.typ());
        let path = namespace.path().as_ref().filter(|p| !p.as_os_str().is_empty());
        match (path, namespace.typ()) {
            (Some(path), kind) => {
                let join = Join { flag, name, path: path.clone() };
                match kind {
                    Kind::Pid => plan.pid = Some(join),
                    Kind::User => plan.user = Some(join),
                    Kind::Mount => plan.joins.push(join),
                    _ => plan.joins.insert(0, join),
                }
                continue;
            }
            (None, Kind::Cgroup) => plan.cgroup = true,
            (None, Kind::Time) if offsets.is_some() => {
                let line = |(clock, o): (&String, &oci_spec::runtime::LinuxTimeOffset)| {
                    format!("{clock} {} {}\n", o.secs().unwrap_or(0), o.nanosecs().unwrap_or(0))
                };
                plan.time_offsets = offsets.map(|o| o.iter().map(line).collect());
            }
            (None, _) => plan.clone_flags |= flag,
        }
        plan.new.push(name);
    }
    plan.hostname = spec.hostname().clone().filter(|h| !h.is_empty());
    let domainname = spec.domainname().clone().filter(|d| !d.is_empty());
    plan.domainname = domainname
        .map(CString::new)
        .transpose()
        .map_err(|_| Error::new("domainname contains a zero byte").config("domainname"))?;
    Ok(plan)
}

/// The files of the namespaces to join, opened outside, where the paths are the host's.
#[derive(Debug, Default)]
pub struct Opened {
    /// Aligned with [`NamespacesPlan::joins`].
    pub joins: Vec<OwnedFd>,
    /// The PID namespace.
    pub pid: Option<OwnedFd>,
    /// The user namespace.
    pub user: Option<OwnedFd>,
}

/// Outside: opens what is to be joined.
pub fn apply_from_parent(plan: &NamespacesPlan) -> Result<Opened> {
    let file = |join: &Join| {
        open(&join.path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
            .at(|| format!("open {} namespace {}", join.name, join.path.display()))
            .map_err(|e| {
                let e = e.code("E-NSPATH").config("linux.namespaces");
                match (join.path.strip_prefix("/run/netns"), e.errno()) {
                    (Ok(name), Some(libc::ENOENT)) => {
                        let (path, name) = (join.path.display(), name.display());
                        e.hint(format!("{path} is absent; make it with ip netns add {name}"))
                    }
                    _ => e.hint("name the file of a living namespace, such as /proc/PID/ns/net"),
                }
            })
    };
    let opened = Opened {
        joins: plan.joins.iter().map(file).collect::<Result<_>>()?,
        pid: plan.pid.as_ref().map(file).transpose()?,
        user: plan.user.as_ref().map(file).transpose()?,
    };
    joined(plan, &opened, "mount").map_or(Ok(()), refuse_own_mounts)?;
    Ok(opened)
}

/// The root of a joined mount namespace is exchanged: in the host's own, that of every process of the host.
fn refuse_own_mounts(joined: BorrowedFd) -> Result<()> {
    let own = std::fs::File::open("/proc/self/ns/mnt").at(|| "open /proc/self/ns/mnt")?;
    let identity = |fd: BorrowedFd| nix::sys::stat::fstat(fd).map(|s| (s.st_dev, s.st_ino)).at(|| "fstat of a mount namespace");
    if identity(joined)? != identity(own.as_fd())? {
        return Ok(());
    }
    let refused = Error::new("cannot make a container in the mount namespace of rrun itself").config("linux.namespaces");
    Err(refused.hint("leave the path out for a new mount namespace, or name that of another container"))
}

/// The file of the joined namespace of the kind `name`.
pub fn joined<'a>(plan: &NamespacesPlan, opened: &'a Opened, name: &str) -> Option<BorrowedFd<'a>> {
    plan.joins.iter().zip(&opened.joins).find(|(join, _)| join.name == name).map(|(_, file)| file.as_fd())
}

/// Joins one namespace.
pub fn join(join: &Join, file: &OwnedFd) -> Result<()> {
    setns(file.as_fd(), join.flag).map_err(|err| {
        let e = Error::os(format!("join {} namespace {}", join.name, join.path.display()), err)
            .code("E-NSPATH")
            .config("linux.namespaces");
        match e.errno() {
            Some(libc::EINVAL) => {
                let kind = join.name;
                e.hint(format!("the file is of another kind, or this process is in it already; name a namespace of type {kind}"))
            }
            _ => e,
        }
    })
}

/// What is to be joined but the user namespace, with the files; the PID namespace only if its file is still there.
fn others<'a>(plan: &'a NamespacesPlan, opened: &'a Opened) -> impl Iterator<Item = (&'a Join, &'a OwnedFd)> {
    plan.joins.iter().zip(&opened.joins).chain(plan.pid.iter().zip(&opened.pid))
}

/// Joins all but the user namespace. Those refused for lack of privilege are tried again by [`join_refused`] after the user
/// namespace was joined, which may own them.
pub fn join_all(plan: &NamespacesPlan, opened: &Opened) -> Result<u64> {
    let mut refused = 0;
    for (item, file) in others(plan, opened) {
        match join(item, file) {
            Err(e) if e.errno() == Some(libc::EPERM) && plan.user.is_some() => refused |= item.flag,
            done => done?,
        }
    }
    Ok(refused)
}

/// Joins what [`join_all`] was refused.
pub fn join_refused(plan: &NamespacesPlan, opened: &Opened, refused: u64) -> Result<()> {
    others(plan, opened).filter(|(item, _)| refused & item.flag != 0).try_for_each(|(item, file)| join(item, file))
}

/// Inside, after the move into the groups: a cgroup namespace whose root is the container's own group.
pub fn apply_cgroup(plan: &NamespacesPlan) -> Result<()> {
    if plan.cgroup { unshare(libc::CLONE_NEWCGROUP as u64).at(|| "unshare cgroup namespace") } else { Ok(()) }
}

/// `CLONE_NEWTIME`, which libc gives another type.
const CLONE_NEWTIME: u64 = 0x80;

/// Inside, at birth: a time namespace with offsets. unshare(2) makes it for children only: until the first process enters it
/// can be given offsets, which is the parent's turn ([`apply_time_from_parent`]).
pub fn make_time(plan: &NamespacesPlan) -> Result<()> {
    if plan.time_offsets.is_some() { unshare(CLONE_NEWTIME).at(|| "unshare time namespace") } else { Ok(()) }
}

/// Outside: writes the offsets. The files of a process that is not dumpable belong to the host's root, so init of a user
/// namespace could not.
pub fn apply_time_from_parent(plan: &NamespacesPlan, pid: i32) -> Result<()> {
    let Some(offsets) = &plan.time_offsets else { return Ok(()) };
    let path = format!("/proc/{pid}/timens_offsets");
    std::fs::write(&path, offsets).at(|| format!("write {path}")).map_err(|e| e.config("linux.timeOffsets"))
}

/// Inside: enters the time namespace through the file that names it.
pub fn apply_time(plan: &NamespacesPlan, proc: &ProcFs) -> Result<()> {
    if plan.time_offsets.is_none() {
        return Ok(());
    }
    let file = proc.own_namespace(c"time_for_children").at(|| "open time_for_children")?;
    setns(file.as_fd(), CLONE_NEWTIME).at(|| "enter time namespace")
}

/// Inside: names the machine.
pub fn apply_names(plan: &NamespacesPlan) -> Result<()> {
    if let Some(name) = &plan.hostname {
        nix::unistd::sethostname(name).at(|| format!("sethostname {name}")).map_err(|e| e.config("hostname"))?;
    }
    match &plan.domainname {
        Some(name) => {
            setdomainname(name).at(|| format!("setdomainname {}", name.to_string_lossy())).map_err(|e| e.config("domainname"))
        }
        None => Ok(()),
    }
}

impl NamespacesPlan {
    /// Whether a second process must stand between: joins need the rights of a user namespace other than the one that the
    /// new namespaces will belong to.
    pub fn needs_joiner(&self) -> bool {
        let new_user = self.clone_flags & libc::CLONE_NEWUSER as u64 != 0;
        self.user.is_some() || (new_user && !self.joins.is_empty())
    }

    /// Whether the container has this kind to itself or with others than the host.
    pub fn has(&self, name: &str) -> bool {
        self.new.contains(&name) || self.joins.iter().chain(&self.pid).chain(&self.user).any(|j| j.name == name)
    }

    /// The names set, for `rrun plan`.
    pub fn describe_names(&self) -> Vec<String> {
        let host = self.hostname.iter().map(|n| format!("hostname {n}"));
        host.chain(self.domainname.iter().map(|n| format!("domainname {}", n.to_string_lossy()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> NamespacesPlan {
        let spec = format!(r#"{{"ociVersion":"1.0.0","linux":{json}}}"#);
        plan(&serde_json::from_str(&spec).unwrap()).unwrap()
    }

    #[test]
    fn the_cgroup_namespace_is_not_cloned() {
        let p = of(r#"{"namespaces":[{"type":"pid"},{"type":"cgroup"}]}"#);
        assert_eq!(p.clone_flags, libc::CLONE_NEWPID as u64);
        assert!(p.cgroup);
    }

    #[test]
    fn offsets_keep_time_out_of_the_clone() {
        let p = of(r#"{"namespaces":[{"type":"time"}],"timeOffsets":{"boottime":{"secs":7}}}"#);
        assert_eq!(p.clone_flags, 0);
        assert_eq!(p.time_offsets.as_deref(), Some("boottime 7 0\n"));
        assert_eq!(of(r#"{"namespaces":[{"type":"time"}]}"#).clone_flags, 0x80);
    }

    #[test]
    fn mount_is_joined_last_and_pid_and_user_apart() {
        let p = of(
            r#"{"namespaces":[{"type":"mount","path":"/m"},{"type":"ipc","path":"/i"},{"type":"pid","path":"/p"},{"type":"user","path":"/u"}]}"#,
        );
        assert_eq!(p.joins.iter().map(|j| j.name).collect::<Vec<_>>(), ["ipc", "mount"]);
        assert!(p.pid.is_some() && p.user.is_some() && p.needs_joiner());
    }

    #[test]
    fn a_new_user_namespace_with_joins_needs_the_joiner() {
        assert!(of(r#"{"namespaces":[{"type":"user"},{"type":"network","path":"/n"}]}"#).needs_joiner());
        assert!(!of(r#"{"namespaces":[{"type":"user"},{"type":"network"}]}"#).needs_joiner());
    }
}
