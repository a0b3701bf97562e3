//! Which namespaces a process is in, and how they are related (namespaces(7), ioctl_nsfs(2)).
//!
//! A namespace is known by the inode number of its file: two processes share one exactly if the numbers are equal. pid and user
//! namespaces nest; the other six are flat, each owned by a user namespace. A cgroup is no namespace: a cgroup *namespace* only hides the
//! path above a group.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};

use super::Process;
use crate::sys::nsfs;

/// The eight kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Process ids.
    Pid,
    /// User and group ids, and the power of root.
    User,
    /// Network interfaces, routes, ports.
    Net,
    /// The table of mounts.
    Mnt,
    /// Host and domain name.
    Uts,
    /// System V IPC, POSIX message queues.
    Ipc,
    /// What is shown as the root of the cgroup tree.
    Cgroup,
    /// Offsets of the clocks since boot.
    Time,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [Self::Pid, Self::User, Self::Net, Self::Mnt, Self::Uts, Self::Ipc, Self::Cgroup, Self::Time];

    /// The kernel's word, as in /proc/PID/ns.
    pub fn name(self) -> &'static str {
        ["pid", "user", "net", "mnt", "uts", "ipc", "cgroup", "time"][self as usize]
    }

    /// The word of config.json.
    pub fn config_name(self) -> &'static str {
        match self {
            Self::Net => "network",
            Self::Mnt => "mount",
            other => other.name(),
        }
    }

    /// The kind with the kernel's or the specification's word `name`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name || kind.config_name() == name)
    }
}

/// The namespaces of a process by kind: inode numbers, as `ls -l /proc/PID/ns` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespaces(BTreeMap<Kind, u64>);

impl Namespaces {
    /// Those of `process`; kinds that cannot be read (it ended, or belongs to somebody else) are left out.
    pub fn of(process: &Process) -> Self {
        let id = |kind: Kind| parse(process.link(&format!("ns/{}", kind.name()))?.to_str()?).map(|id| (kind, id));
        Self(Kind::ALL.into_iter().filter_map(id).collect())
    }

    /// The number of one of them.
    pub fn get(&self, kind: Kind) -> Option<u64> {
        self.0.get(&kind).copied()
    }

    /// Whether both are known to be in the same namespace of this kind.
    pub fn share(&self, other: &Self, kind: Kind) -> bool {
        self.get(kind).is_some() && self.get(kind) == other.get(kind)
    }
}

/// `net:[4026531840]` → 4026531840.
fn parse(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// The host's namespaces, as far as rrun sees a host: those of its own process, and of process 1 if it may look at it. Both, because a
/// service or a login may have a mount namespace of its own and is no container for that.
#[derive(Debug, Clone, Default)]
pub struct HostNamespaces {
    /// rrun's own.
    pub own: Namespaces,
    /// Those of process 1.
    pub first: Namespaces,
}

impl HostNamespaces {
    /// Asks the kernel.
    pub fn ask() -> Self {
        let of = |process: Option<Process>| process.map(|p| p.namespaces()).unwrap_or_default();
        Self { own: of(Process::own()), first: of(Process::open(1)) }
    }

    /// The number to show for the host.
    pub fn get(&self, kind: Kind) -> Option<u64> {
        self.first.get(kind).or(self.own.get(kind))
    }

    /// Whether a process with these namespaces shares this kind with the host.
    pub fn share(&self, of: &Namespaces, kind: Kind) -> bool {
        self.own.share(of, kind) || self.first.share(of, kind)
    }
}

/// An open namespace, to ask for its relatives.
#[derive(Debug)]
pub struct Namespace {
    /// Its inode number.
    pub id: u64,
    file: OwnedFd,
}

impl Namespace {
    /// The namespace of `process` of this kind.
    pub fn open(process: &Process, kind: Kind) -> Option<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        Self::new(openat(process.directory(), format!("ns/{}", kind.name()).as_str(), flags, Mode::empty()).ok()?)
    }

    fn new(file: OwnedFd) -> Option<Self> {
        Some(Self { id: fstat(&file).ok()?.st_ino, file })
    }

    /// The parent of a pid or user namespace; `None` for other kinds, and where it is out of sight.
    pub fn parent(&self) -> Option<Self> {
        nsfs::parent(self.file.as_fd()).ok().and_then(Self::new)
    }

    /// The user namespace that owns it; `None` where that is out of sight.
    pub fn owner(&self) -> Option<Self> {
        nsfs::owner(self.file.as_fd()).ok().and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read() {
        assert_eq!(parse("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(parse("net:[x]"), None);
        assert_eq!(parse("/etc/passwd"), None);
    }

    #[test]
    fn unknown_is_not_shared() {
        let some = Namespaces([(Kind::Pid, 7)].into());
        assert!(some.share(&some, Kind::Pid) && !some.share(&some, Kind::Net));
        assert!(!Namespaces::default().share(&Namespaces::default(), Kind::Pid));
        assert_eq!((Kind::of("network"), Kind::of("mnt"), Kind::of("x")), (Some(Kind::Net), Some(Kind::Mnt), None));
    }

    #[test]
    fn a_namespace_belongs_to_a_user_namespace_and_flat_ones_have_no_parent() {
        let own = Process::own().expect("there");
        let net = Namespace::open(&own, Kind::Net).expect("opens");
        assert_eq!(Some(net.id), own.namespaces().get(Kind::Net));
        assert!(net.parent().is_none());
        // The owner of rrun's network namespace is its own user namespace or one above, which is out of sight then.
        if let Some(owner) = net.owner() {
            assert_eq!(Some(owner.id), own.namespaces().get(Kind::User));
        }
    }
}
