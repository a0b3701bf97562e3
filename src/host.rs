//! What this machine and this caller offer, asked once per invocation and passed to every `plan`.
//!
//! A plan that asked the kernel itself could not be tested without root, nor printed for another machine. So all facts are
//! here: ids, hierarchies, and, only for configs that need them, features that a kernel may lack.

pub mod obstacles;
mod unified;

use std::os::fd::OwnedFd;

use crate::error::{At, Result};
use crate::sys::own::{OwnStatus, read_short};

/// The facts that plans depend on.
#[derive(Debug, Clone)]
pub struct Host {
    /// Effective user id of rrun.
    pub euid: u32,
    /// Effective group id of rrun.
    pub egid: u32,
    /// Whether rrun lacks root's rights over the host: it is not uid 0 of the initial user namespace.
    pub rootless: bool,
    /// Where the cgroup hierarchies are, and which of them is ours.
    pub cgroups: Cgroups,
}

/// How the control groups of this host are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// The v1 hierarchies, in the order of the mount table; empty on a pure v2 host.
    pub v1: Vec<Hierarchy>,
    /// The v2 hierarchy: on a hybrid host without controllers beside v1, else the only one.
    pub v2: Option<Hierarchy>,
    /// The user whose part of a hierarchy ruled by systemd is rrun's: its effective user, as the outside of its user namespace
    /// numbers it.
    pub owner: u32,
    /// Pure v2, without privilege: rrun's own group was delegated to it (`Delegate=` of a service), but not what lies around.
    pub only_below: bool,
}

/// One mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted, `/sys/fs/cgroup/memory`.
    pub mountpoint: std::path::PathBuf,
    /// The path inside the hierarchy that is mounted there (`/` unless bound or in a cgroup namespace).
    pub root: std::path::PathBuf,
    /// v1: its controllers, `["cpu", "cpuacct"]`, or `["name=systemd"]`. v2: empty.
    pub controllers: Vec<String>,
    /// rrun's own group in it, from /proc/self/cgroup, `/user.slice`.
    pub own: std::path::PathBuf,
}

impl Hierarchy {
    /// rrun's own group as a path below the mount point. One outside of what is mounted there counts as its root.
    pub fn below(&self) -> std::path::PathBuf {
        match self.own.strip_prefix(&self.root) {
            Ok(below) if below.components().all(|c| matches!(c, std::path::Component::Normal(_))) => below.to_owned(),
            _ => std::path::PathBuf::new(),
        }
    }

    /// The directory of rrun's own group.
    pub fn directory(&self) -> std::path::PathBuf {
        // Joined part by part: an empty path would leave a slash at the end.
        self.below().components().fold(self.mountpoint.clone(), |dir, part| dir.join(part))
    }
}

impl Host {
    /// Asks the kernel.
    pub fn ask() -> Result<Self> {
        let read = |path: &str| read_short(path).at(|| format!("read {path}"));
        let euid = nix::unistd::geteuid().as_raw();
        let egid = nix::unistd::getegid().as_raw();
        let map = if euid == 0 && in_initial_user_namespace() { None } else { Some(read("/proc/self/uid_map")?) };
        let rootless = euid != 0 || map.as_ref().is_some_and(|map| !is_initial(map));
        let own = read("/proc/self/cgroup")?;
        let mut cgroups = match unified::alone(&own) {
            Some(cgroups) => cgroups,
            None => Cgroups::parse(&mount_table()?, &own),
        };
        if rootless {
            cgroups.owner = map.and_then(|map| outside(&map, euid)).unwrap_or(euid);
            cgroups.only_below = cgroups.is_only_below();
        }
        Ok(Self { euid, egid, rootless, cgroups })
    }
}

/// /proc/self/mountinfo: two lines or ten thousand. Any user who may mount anything (FUSE) chooses names in it, so what is not
/// UTF-8 is replaced: no mount that matters to rrun has such a name.
pub fn mount_table() -> Result<String> {
    use std::io::Read;
    let at = || "read /proc/self/mountinfo";
    let mut bytes = Vec::with_capacity(8192);
    // Not File's own way to read to the end, which asks for a size that procfs does not know.
    std::fs::File::open("/proc/self/mountinfo").at(at)?.take(u64::MAX).read_to_end(&mut bytes).at(at)?;
    Ok(replaced(bytes))
}

/// A file such as /etc/passwd, in which people's names may be of another encoding; empty if it cannot be read.
pub fn text_of(path: &str) -> String {
    replaced(std::fs::read(path).unwrap_or_default())
}

fn replaced(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Whether rrun lacks root's rights over the host: what [`Host::ask`] finds, without the rest of its questions.
pub fn is_rootless() -> bool {
    !nix::unistd::geteuid().is_root() || !read_short("/proc/self/uid_map").is_ok_and(|map| is_initial(&map))
}

/// Whether rrun is known to be in the initial user namespace: one call, where reading the map takes three.
fn in_initial_user_namespace() -> bool {
    nix::sys::stat::stat("/proc/self/ns/user").is_ok_and(|s| s.st_ino == INITIAL_USER_NAMESPACE)
}

/// Whether a uid_map is that of the initial user namespace.
fn is_initial(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The id outside of the user namespace with this map.
pub fn outside(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(|n| n.parse::<u32>().ok());
        let (inside, outside, size) = (numbers.next()??, numbers.next()??, numbers.next()??);
        id.checked_sub(inside).filter(|offset| *offset < size).map(|offset| outside + offset)
    })
}

impl Cgroups {
    fn is_only_below(&self) -> bool {
        use nix::unistd::{AccessFlags, faccessat};
        let may_make = |dir: &std::path::Path| {
            faccessat(crate::sys::fd::cwd(), dir, AccessFlags::W_OK, nix::fcntl::AtFlags::AT_EACCESS).is_ok()
        };
        let Some(v2) = self.v2.as_ref().filter(|_| self.is_unified()) else { return false };
        let own = v2.directory();
        own != v2.mountpoint && may_make(&own) && !own.parent().is_some_and(may_make)
    }

    /// Reads the hierarchies from the texts of /proc/self/mountinfo and /proc/self/cgroup (proc(5), cgroups(7)).
    pub fn parse(mountinfo: &str, own: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines().filter(|l| l.contains(" - cgroup")) {
            let Some((mount, fs)) = line.split_once(" - ") else { continue };
            let mount: Vec<&str> = mount.split(' ').collect();
            let fs: Vec<&str> = fs.split(' ').collect();
            let (Some(root), Some(point), [fstype, _, options, ..]) = (mount.get(3), mount.get(4), fs.as_slice()) else {
                continue;
            };
            let place = |controllers: Vec<String>, own: &str| Hierarchy {
                mountpoint: point.into(),
                root: root.into(),
                controllers,
                own: own.into(),
            };
            if *fstype == "cgroup2" {
                let own = own.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or("/");
                found.v2.get_or_insert(place(vec![], own));
                continue;
            }
            // A hierarchy's own controllers are those of its super options that /proc/self/cgroup lists for it.
            for entry in own.lines() {
                let mut fields = entry.splitn(3, ':').skip(1);
                let (Some(names), Some(path)) = (fields.next(), fields.next()) else { continue };
                if !names.is_empty()
                    && names.split(',').all(|n| options.split(',').any(|o| o == n))
                    && !found.v1.iter().any(|h| h.controllers == names.split(',').collect::<Vec<_>>())
                {
                    found.v1.push(place(names.split(',').map(String::from).collect(), path));
                }
            }
        }
        found
    }

    /// Whether the v2 hierarchy is the only one, so that it carries the controllers.
    pub fn is_unified(&self) -> bool {
        self.v1.is_empty() && self.v2.is_some()
    }
}

/// What rrun itself has, and would pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// Its capabilities.
    pub capabilities: Capabilities,
    /// The signals that it ignores, which stay ignored in a program: bit n-1 stands for signal n.
    pub ignored_signals: u64,
    /// Whether it is known to be in the initial user namespace.
    pub initial_user_namespace: bool,
}

/// The inode of the initial user namespace (`PROC_USER_INIT_INO`, linux/nsfs.h).
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

impl Own {
    /// Asks the kernel about the calling process.
    pub fn ask() -> Result<Self> {
        let status = OwnStatus::ask().at(|| "read /proc/self/status")?;
        let last = crate::sys::credentials::last_capability();
        let capabilities = Capabilities { bounding: status.bounding, permitted: status.permitted, last };
        let initial_user_namespace = in_initial_user_namespace();
        Ok(Self { capabilities, ignored_signals: status.ignored, initial_user_namespace })
    }
}

/// The capabilities that rrun itself has, which bound those it can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// rrun's bounding set; bit n is capability n.
    pub bounding: u64,
    /// rrun's permitted set.
    pub permitted: u64,
    /// The kernel's highest capability.
    pub last: u8,
}

impl Capabilities {
    /// Asks the kernel about the calling process.
    pub fn ask() -> Result<Self> {
        Own::ask().map(|own| own.capabilities)
    }

    /// All that the kernel knows: what the first process of a new user namespace has in it, and who joins one.
    pub fn in_user_namespace(self) -> Self {
        let all = u64::MAX >> (63 - self.last.min(63));
        Self { bounding: all, permitted: all, ..self }
    }
}

/// Which mandatory access control modules this kernel enforces. Asked only when a config has a label: most have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecurityModules {
    /// AppArmor.
    pub apparmor: bool,
    /// SELinux.
    pub selinux: bool,
}

impl SecurityModules {
    /// Asks the kernel. selinuxfs is there only while SELinux is enabled.
    pub fn ask() -> Self {
        let apparmor = std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'));
        Self { apparmor, selinux: std::path::Path::new("/sys/fs/selinux/enforce").exists() }
    }
}

/// The AppArmor profile for containers that this host has loaded, if it enforces AppArmor: the one that an engine brought.
pub fn container_profile() -> Option<String> {
    if !SecurityModules::ask().apparmor {
        return None;
    }
    let loaded = std::fs::read_to_string("/sys/kernel/security/apparmor/profiles").ok()?;
    let enforced = |line: &str| line.strip_suffix(" (enforce)").map(str::to_owned);
    let of_an_engine = |name: &String| {
        ["docker-default", "crio-default", "cri-containerd.apparmor.d"].contains(&name.as_str())
            || name.starts_with("containers-default-")
    };
    loaded.lines().filter_map(enforced).find(of_an_engine)
}

/// What a kernel may lack and few configs use: asked one by one, when a rule comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// User namespaces (CONFIG_USER_NS).
    UserNamespaces,
    /// Cgroup namespaces (Linux 4.6).
    CgroupNamespaces,
    /// Time namespaces (Linux 5.6).
    TimeNamespaces,
}

/// Whether this kernel has a feature; one system call.
pub fn supports(feature: Feature) -> bool {
    let path = match feature {
        Feature::UserNamespaces => "/proc/self/ns/user",
        Feature::CgroupNamespaces => "/proc/self/ns/cgroup",
        Feature::TimeNamespaces => "/proc/self/timens_offsets",
    };
    std::path::Path::new(path).exists()
}

/// The resctrl file system, by which the processor's cache and memory bandwidth are divided: where it is, what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resctrl {
    /// Where it is mounted.
    pub root: std::path::PathBuf,
    /// Whether the last-level cache can be divided (CAT).
    pub cache: bool,
    /// Whether memory bandwidth can be divided (MBA).
    pub bandwidth: bool,
    /// Whether occupancy and traffic are counted (CMT, MBM).
    pub monitoring: bool,
}

impl Resctrl {
    /// Asks the kernel; `None` where it is not mounted. Few configs use it, so that it is no part of [`Host`].
    pub fn ask() -> Option<Self> {
        let (root, by_software) = Self::mounted(&mount_table().ok()?)?;
        let has = |name: &str| root.join("info").join(name).exists();
        // Mounted with `cdp`, code and data are divided apart. With `mba_MBps` the kernel itself holds the bandwidth.
        let (cache, bandwidth) = (has("L3") || has("L3CODE"), by_software || has("MB"));
        Some(Self { cache, bandwidth, monitoring: has("L3_MON"), root })
    }

    /// Finds the first one in the text of mountinfo, and whether bandwidth is held by software.
    pub fn mounted(mountinfo: &str) -> Option<(std::path::PathBuf, bool)> {
        mountinfo.lines().find_map(|line| {
            let (mount, fs) = line.split_once(" - resctrl ")?;
            let options = fs.split(' ').nth(1).unwrap_or_default();
            Some((mount.split(' ').nth(4)?.into(), options.split(',').any(|o| o == "mba_MBps")))
        })
    }
}

/// The uid_map and gid_map of the user namespace whose file is `/proc/PID/ns/user`. `None` for any other file: only a process
/// inside could read them.
pub fn id_maps(namespace: &std::path::Path) -> Option<[String; 2]> {
    let process = namespace.to_str()?.strip_prefix("/proc/")?.strip_suffix("/ns/user")?;
    if process.is_empty() || !process.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).ok();
    Some([read("uid_map")?, read("gid_map")?])
}

/// Whether the process `pid` is in rrun's own user namespace.
pub fn same_user_namespace(pid: i32) -> bool {
    let id = |path: &str| nix::sys::stat::stat(path).map(|s| (s.st_dev, s.st_ino)).ok();
    let own = id("/proc/self/ns/user");
    own.is_some() && own == id(&format!("/proc/{pid}/ns/user"))
}

/// An `O_PATH` handle of a trusted host path, for use before and after the clone.
pub fn host_directory(path: &std::path::Path) -> Result<OwnedFd> {
    use nix::fcntl::{OFlag, open};
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .at(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "3:cpu,cpuacct:/x\n2:name=systemd:/y\n0::/u\n";

    #[test]
    fn finds_hybrid_hierarchies() {
        let info = "30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    31 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                    32 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = Cgroups::parse(info, OWN);
        assert_eq!(found.v1[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found.v1[0].own.to_str(), Some("/x"));
        assert_eq!(found.v1[1].controllers, ["name=systemd"]);
        assert_eq!(found.v2.as_ref().map(|h| h.own.to_str()), Some(Some("/u")));
        assert!(!found.is_unified());
    }

    #[test]
    fn finds_resctrl() {
        let info = "30 25 0:27 / /sys rw shared:9 - sysfs sysfs rw\n31 30 0:28 / /sys/fs/resctrl rw - resctrl none rw,mba_MBps\n";
        assert_eq!(Resctrl::mounted(info), Some(("/sys/fs/resctrl".into(), true)));
        assert_eq!(Resctrl::mounted("30 25 0:27 / /resctrl rw - tmpfs resctrl rw\n"), None);
    }

    #[test]
    fn ids_are_followed_outside() {
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 0), Some(1000));
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 2), Some(100_001));
        assert_eq!(outside("0 1000 1\n", 1), None);
    }

    #[test]
    fn ones_own_group_lies_below_the_mount_point_whatever_the_texts_say() {
        // A mount point at two blanks: the field of the root is empty, and every path begins with nothing.
        for root in ["", "/", "/x"] {
            let info = format!("31 25 0:28 {root} /c rw - cgroup2 none rw\n");
            for own in ["/", "/x", "//etc", "/x/../../etc", ""] {
                let v2 = Cgroups::parse(&info, &format!("0::{own}\n")).v2.expect("found");
                assert!(v2.directory().starts_with("/c") && v2.below().is_relative(), "{root:?} {own:?}");
            }
        }
    }

    #[test]
    fn finds_a_pure_v2_host() {
        let found = Cgroups::parse("31 25 0:28 / /sys/fs/cgroup rw - cgroup2 none rw\n", "0::/user.slice\n");
        assert!(found.is_unified());
    }
}
