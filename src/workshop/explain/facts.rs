//! What the checks look at: one plain picture of a container, made from its config.json ([`super::asked`]) or from what the
//! kernel says ([`super::effective`]).
//!
//! Two pictures of one container can be compared, and the difference is drift: what was asked for and is not so.

use std::path::{Path, PathBuf};

use crate::workshop::observed::groups::{Devices, Limit};
use crate::workshop::observed::maps::IdMap;
use crate::workshop::observed::namespaces::Kind;

/// With whom a namespace is shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sharing {
    /// It cannot be seen.
    #[default]
    Unknown,
    /// The container has its own.
    Own,
    /// With what the text names: another container, or a path.
    With(String),
    /// With the host.
    Host,
}

/// The system call filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    /// There is none.
    #[default]
    None,
    /// All is forbidden but what it names.
    AllowList,
    /// All is allowed but what it names.
    DenyList,
    /// There is one; what it allows cannot be seen from outside.
    Some,
}

/// A piece of the host's file tree inside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bind {
    /// The path on the host.
    pub source: PathBuf,
    /// The path inside.
    pub target: PathBuf,
    /// Its place in the mounts of config.json.
    pub index: Option<usize>,
    /// Whether nothing can be written through it.
    pub read_only: bool,
    /// Whether setuid bits do not count.
    pub nosuid: bool,
    /// Whether device nodes do not count.
    pub nodev: bool,
    /// What the source is.
    pub node: Node,
}

/// What the source of a bind is on the host, and who may open it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Node {
    /// Not there, or not to be seen: taken for the worst that its name suggests.
    #[default]
    Unknown,
    /// A directory.
    Directory,
    /// Something else, with its owner, group and permission bits.
    File {
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
}

/// All that counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// By [`Kind`].
    pub namespaces: [Sharing; 8],
    /// The user ids inside and outside; `None` without a map.
    pub uids: Option<IdMap>,
    /// The group ids.
    pub gids: Option<IdMap>,
    /// The program's user, as the container numbers it.
    pub uid: u32,
    /// Its groups, as the container numbers them.
    pub groups: Vec<u32>,
    /// Capabilities that it has or can get: bit n is capability n.
    pub held: u64,
    /// The inheritable set.
    pub inheritable: u64,
    /// Whether execve gives no new privileges.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub filter: Filter,
    /// The label of AppArmor or SELinux.
    pub label: Option<String>,
    /// Which of [`SWITCHES`] can be written.
    pub writable: Vec<&'static str>,
    /// Which of [`REVEALING`] can be read.
    pub visible: Vec<&'static str>,
    /// The devices that may be opened.
    pub devices: Devices,
    /// Whether the root filesystem is read-only.
    pub read_only_root: bool,
    /// Memory in bytes.
    pub memory: Limit,
    /// Swap in bytes; [`Limit::Unknown`] where swap is not accounted.
    pub swap: Limit,
    /// Processes.
    pub pids: Limit,
    /// What bounds or weighs its processor time; empty: nothing does.
    pub processor: String,
    /// What the groups above allow it: no config.json of its own asks for that.
    pub above: Above,
    /// Mount points whose mounts the host sees, too.
    pub shared: Vec<PathBuf>,
    /// Pieces of the host's file tree.
    pub binds: Vec<Bind>,
}

/// Limits that hold because a group above has them: a slice of the host, a user's session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Above {
    /// Memory in bytes.
    pub memory: Limit,
    /// Swap in bytes.
    pub swap: Limit,
    /// Processes.
    pub pids: Limit,
    /// Whether it has fewer processors than the machine.
    pub cpuset: bool,
}

/// Switches of the kernel in /proc.
pub const SWITCHES: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Files that tell of the whole kernel.
pub const REVEALING: [&str; 4] = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"];

impl Facts {
    /// With whom a namespace is shared.
    pub fn namespace(&self, kind: Kind) -> &Sharing {
        &self.namespaces[kind as usize]
    }

    /// Whether there is a user namespace in which nobody is root of the host.
    pub fn has_user_namespace(&self) -> bool {
        let own = matches!(self.namespace(Kind::User), Sharing::Own | Sharing::With(_));
        own && self.uids.as_ref().is_none_or(|map| map.inside(0).is_none())
    }

    /// Whether the program has the capability `name` or can get it.
    pub fn holds(&self, name: &str) -> bool {
        bit(name).is_some_and(|bit| self.held & bit != 0)
    }

    /// Whether it may open a file of the host for writing, which is what connecting to a socket takes.
    pub fn may_write(&self, node: Node) -> bool {
        let Node::File { uid, gid, mode } = node else { return true };
        let separate = !matches!(self.namespace(Kind::User), Sharing::Host | Sharing::Unknown);
        let outside = |map: &Option<IdMap>, id: u32| match (separate, map) {
            (true, Some(map)) => map.outside(id),
            (true, None) => None,
            _ => Some(id),
        };
        let user = outside(&self.uids, self.uid);
        let passes = self.holds("DAC_OVERRIDE") && (!separate || self.uids.as_ref().is_some_and(|m| m.inside(uid).is_some()));
        if passes || (user == Some(0) && !separate) {
            return true;
        }
        if user == Some(uid) {
            return mode & 0o200 != 0;
        }
        if self.groups.iter().any(|group| outside(&self.gids, *group) == Some(gid)) {
            return mode & 0o020 != 0;
        }
        mode & 0o002 != 0
    }
}

/// Directories of the host in which whoever writes becomes its root; also everything below these.
const AND_BELOW: [&str; 10] = ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"];
/// As [`AND_BELOW`], but only these and what contains them: below them lie volumes that are meant to be given away.
const ITSELF: [&str; 12] = [
    "/",
    "/root",
    "/root/.ssh",
    "/run",
    "/var/run",
    "/var",
    "/var/lib",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/kubelet",
    "/run/rrun",
];
/// Below /dev, but memory of the container's own making.
const HARMLESS: [&str; 3] = ["/dev/shm", "/dev/mqueue", "/dev/hugepages"];
/// Sockets of engines and of what starts containers.
const SOCKETS: [&str; 8] = [
    "docker.sock",
    "containerd.sock",
    "containerd.sock.ttrpc",
    "crio.sock",
    "podman.sock",
    "buildkitd.sock",
    "cri-dockerd.sock",
    "dockershim.sock",
];
/// Directories in which they lie.
const OF_SOCKETS: [&str; 9] =
    ["/", "/run", "/var/run", "/var", "/run/containerd", "/run/crio", "/run/podman", "/run/docker", "/run/buildkit"];

impl Bind {
    /// Whether it is a directory from which the host can be taken over.
    pub fn is_sensitive(&self) -> bool {
        if matches!(self.node, Node::File { .. }) {
            return false;
        }
        let is = |list: &[&str]| list.iter().any(|dir| self.source == Path::new(dir));
        let below = AND_BELOW.iter().any(|dir| self.source.starts_with(dir));
        let harmless = HARMLESS.iter().any(|dir| self.source.starts_with(dir));
        (below && !harmless) || is(&ITSELF)
    }

    /// Whether it is an engine's socket or a directory that holds one.
    pub fn is_socket(&self) -> bool {
        let name = self.source.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_directory = !matches!(self.node, Node::File { .. });
        SOCKETS.contains(&name) || (is_directory && OF_SOCKETS.iter().any(|dir| self.source == Path::new(dir)))
    }
}

/// The bit of a capability by its name, with or without `CAP_`.
pub fn bit(name: &str) -> Option<u64> {
    let name = name.trim().to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name).to_owned();
    caps::all().iter().find(|c| c.to_string().strip_prefix("CAP_") == Some(&name)).map(|c| c.bitmask())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, node: Node) -> Bind {
        Bind { source: source.into(), node, ..Bind::default() }
    }

    #[test]
    fn what_is_sensitive() {
        for source in
            ["/", "/etc", "/etc/cron.d", "/usr/local/bin", "/root", "/var/run", "/var/lib/docker", "/dev", "/sys/fs/cgroup"]
        {
            assert!(bind(source, Node::Unknown).is_sensitive(), "{source}");
        }
        for source in ["/srv/data", "/root/project", "/run/user/7", "/var/lib/docker/volumes/x/_data", "/dev/shm", "/etcetera"] {
            assert!(!bind(source, Node::Unknown).is_sensitive(), "{source}");
        }
        assert!(!bind("/etc/hosts", Node::File { uid: 0, gid: 0, mode: 0o644 }).is_sensitive());
    }

    #[test]
    fn who_may_open_a_socket() {
        let socket = Node::File { uid: 0, gid: 27, mode: 0o660 };
        let mut facts = Facts { uid: 1000, groups: vec![1000], ..Facts::default() };
        facts.namespaces[Kind::User as usize] = Sharing::Host;
        assert!(!facts.may_write(socket) && facts.may_write(Node::Unknown));
        facts.groups.push(27);
        assert!(facts.may_write(socket));
        facts.groups.pop();
        facts.uid = 0;
        assert!(facts.may_write(socket));
        facts.namespaces[Kind::User as usize] = Sharing::Own;
        facts.uids = Some(IdMap::parse("0 100000 65536"));
        facts.gids.clone_from(&facts.uids);
        facts.held = u64::MAX;
        assert!(!facts.may_write(socket), "a mapped root is not the owner");
        assert!(facts.may_write(Node::File { uid: 100_000, gid: 0, mode: 0o600 }));
        assert!(facts.may_write(Node::File { uid: 0, gid: 0, mode: 0o666 }));
    }

    #[test]
    fn sockets_have_names() {
        assert!(bind("/run/docker.sock", Node::Unknown).is_socket() && bind("/var/run", Node::Directory).is_socket());
        assert!(bind("/run/user/7/podman/podman.sock", Node::Unknown).is_socket());
        assert!(!bind("/run/app.sock", Node::Unknown).is_socket());
    }

    #[test]
    fn capabilities_have_bits() {
        assert_eq!((bit("CAP_CHOWN"), bit("sys_admin"), bit("nonsense")), (Some(1), Some(1 << 21), None));
    }
}
