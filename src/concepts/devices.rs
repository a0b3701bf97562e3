//! Device nodes and standard links in /dev, and /dev/console (mknod(2), pts(4); config-linux.md, Default Devices).
//!
//! A node is a door to a driver; which doors open is the device rules' affair (cgroups), here they are only hung. A
//! runtime that made them by path could be led out: an image whose /dev is a symbolic link got nodes and links made on the
//! host (CVE-2026-41579). So everything happens on the handle of the mounted /dev, one name at a time. Where mknod is not
//! allowed, in a user namespace, the host's nodes are bound, each known to be the right device by its handle, not its name.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{fstat, makedev};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, LinuxNamespaceType, Spec};

use crate::error::{At, Error, Result};
use crate::host::Host;
use crate::sys::entry::{self, change_mode, change_owner, link_text, make_file, make_node, make_symlink};
use crate::sys::fd::cwd;
use crate::sys::mount::{Attributes, attach, attach_named, clone_mount, set_attributes};
use crate::sys::resolve::{Kind, Name, Root, openat2};

/// Every container gets these (name, major, minor), readable and writable for all.
const DEFAULT: [(&str, u64, u64); 6] =
    [("full", 1, 7), ("null", 1, 3), ("random", 1, 8), ("tty", 5, 0), ("urandom", 1, 9), ("zero", 1, 5)];

/// And these links; `core` only where the kernel has it.
const LINKS: [(&str, &CStr); 5] = [
    ("fd", c"/proc/self/fd"),
    ("ptmx", c"pts/ptmx"),
    ("stderr", c"/proc/self/fd/2"),
    ("stdin", c"/proc/self/fd/0"),
    ("stdout", c"/proc/self/fd/1"),
];

/// The nodes to make.
#[derive(Debug, Clone, Default)]
pub struct DevicesPlan {
    nodes: Vec<Node>,
    /// Nodes of the host are bound instead of made.
    binds: bool,
    /// The links too; not where the host's /dev is bound.
    links: bool,
    /// The place of /dev/console is made: the process has a terminal.
    console: bool,
    /// The mount at /dev becomes read-only when all is made.
    read_only: bool,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    /// Absolute.
    path: PathBuf,
    /// The path as the host has it.
    host: CString,
    /// File type and permissions.
    mode: libc::mode_t,
    device: libc::dev_t,
    uid: u32,
    gid: u32,
}

/// Host nodes to bind, where mknod is not allowed; aligned with the plan.
#[derive(Debug, Default)]
pub struct Sources(pub Vec<OwnedFd>);

/// Decides the nodes. In a user namespace they are binds of the host's.
pub fn plan(spec: &Spec, host: &Host) -> Result<DevicesPlan> {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|l| l.namespaces().as_deref()).unwrap_or_default();
    let binds = host.rootless || namespaces.iter().any(|n| n.typ() == LinuxNamespaceType::User);
    let console = spec.process().as_ref().is_some_and(|p| p.terminal().unwrap_or(false));
    let dev = spec.mounts().iter().flatten().rfind(|m| m.destination().components().eq(Path::new("/dev").components()));
    let has = |option: &str| dev.is_some_and(|m| m.options().iter().flatten().any(|o| o == option));
    if has("bind") || has("rbind") || dev.is_some_and(|m| m.typ().as_deref() == Some("bind")) {
        return Ok(DevicesPlan { console: false, ..DevicesPlan::default() });
    }
    let mut nodes: Vec<Node> = DEFAULT.iter().map(|d| Node::default_one(*d)).collect();
    for (index, device) in linux.and_then(|l| l.devices().as_deref()).unwrap_or_default().iter().enumerate() {
        let node = Node::new(device)
            .map_err(|why| Error::new(format!("device {:?}: {why}", device.path())).config(format!("linux.devices[{index}]")))?;
        // The configuration's word on a default node counts.
        nodes.retain(|n| n.path != node.path);
        nodes.push(node);
    }
    let options = dev.and_then(|m| m.options().as_deref()).unwrap_or_default();
    let read_only = options.iter().rfind(|o| matches!(o.as_str(), "ro" | "rw")).is_some_and(|o| o == "ro");
    Ok(DevicesPlan { nodes, binds, links: true, console, read_only })
}

impl Node {
    fn default_one((name, major, minor): (&str, u64, u64)) -> Self {
        let path = Path::new("/dev").join(name);
        let host = CString::new(path.as_os_str().as_encoded_bytes()).expect("a constant without NUL");
        Self { path, host, mode: libc::S_IFCHR | 0o666, device: makedev(major, minor), uid: 0, gid: 0 }
    }

    fn new(device: &LinuxDevice) -> std::result::Result<Self, String> {
        let path = device.path();
        if !path.is_absolute() || path.components().any(|c| c == Component::ParentDir) || path.file_name().is_none() {
            return Err("its path must be absolute and without ..".to_owned());
        }
        let number = |n: i64, what| {
            u64::try_from(n).ok().filter(|n| *n <= u64::from(u32::MAX)).ok_or(format!("its {what} is out of range"))
        };
        let (kind, device_number) = match device.typ() {
            LinuxDeviceType::B => (libc::S_IFBLK, makedev(number(device.major(), "major")?, number(device.minor(), "minor")?)),
            LinuxDeviceType::C | LinuxDeviceType::U => {
                (libc::S_IFCHR, makedev(number(device.major(), "major")?, number(device.minor(), "minor")?))
            }
            LinuxDeviceType::P => (libc::S_IFIFO, 0),
            LinuxDeviceType::A => return Err("its type must be b, c, u or p".to_owned()),
        };
        let mode = device.file_mode().unwrap_or(0o666);
        // Go writes the file type into the mode; only the permissions are ours to take.
        if mode & !(libc::S_IFMT | 0o7777) != 0 {
            return Err(format!("fileMode {mode} is no mode"));
        }
        let host = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "its path contains a null byte")?;
        let (uid, gid) = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
        let path = path.components().collect();
        Ok(Self { path, host, mode: kind | (mode & 0o7777), device: device_number, uid, gid })
    }

    fn is(&self, file: BorrowedFd) -> Result<bool> {
        let stat = fstat(file).at(|| format!("fstat {}", self.path.display()))?;
        Ok(stat.st_mode & libc::S_IFMT == self.mode & libc::S_IFMT && (self.is_fifo() || stat.st_rdev == self.device))
    }

    fn is_fifo(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFIFO
    }

    /// A copy of the mount at the host's node, which must be the device that it is called after.
    fn copy(&self) -> Result<OwnedFd> {
        let found = openat2(cwd(), &self.host, libc::O_PATH, 0, 0).at(|| format!("open {} of the host", self.path.display()))?;
        if !self.is(found.as_fd())? {
            return Err(Error::new(format!("{} of the host is another device", self.path.display())));
        }
        clone_mount(found.as_fd(), false).at(|| format!("open_tree {}", self.path.display()))
    }
}

/// Outside: opens the host's nodes to bind (open_tree), if the plan binds. None of them where only the inside may.
pub fn apply_from_parent(plan: &DevicesPlan) -> Result<Sources> {
    if !plan.binds {
        return Ok(Sources::default());
    }
    let copies: Result<Vec<_>> = plan.nodes.iter().filter(|n| !n.is_fifo()).map(Node::copy).collect();
    match copies {
        Err(e) if e.errno() == Some(libc::EPERM) => Ok(Sources::default()),
        copies => copies.map(Sources),
    }
}

/// Inside, without umask: makes nodes and links. `mounted` is the mounted /dev, if the bundle mounts one.
pub fn apply(plan: &DevicesPlan, sources: Sources, mounted: Option<&Root>, root: &Root) -> Result<()> {
    if !plan.links {
        return Ok(());
    }
    let found;
    let dev = match mounted {
        Some(dev) => dev,
        // Without a mount it is a directory of the image; a link in its place is followed inside the root.
        None => {
            let opened = root.resolve_or_make(Path::new("/dev"), Kind::Directory);
            found = Root::new(opened.at(|| "open /dev of the container")?);
            &found
        }
    };
    let mut sources = sources.0.into_iter();
    for node in &plan.nodes {
        let (dir, name) = place(&node.path, mounted, root)?;
        let dir = dir.as_ref().map_or(dev.as_fd(), AsFd::as_fd);
        match plan.binds && !node.is_fifo() {
            true => bind_node(node, sources.next(), dir, &name),
            false => make(node, dir, &name),
        }?;
    }
    for (name, target) in LINKS {
        link(dev.as_fd(), name, target)?;
    }
    // Looked at on the host, whose root is still this process's own.
    if Path::new("/proc/kcore").exists() {
        link(dev.as_fd(), "core", c"/proc/kcore")?;
    }
    if plan.console {
        console(dev.as_fd())?;
    }
    if plan.read_only {
        let done = set_attributes(dev.as_fd(), false, &Attributes::setting(libc::MOUNT_ATTR_RDONLY));
        done.at(|| "mount_setattr /dev (read-only)")?;
    }
    Ok(())
}

/// The directory and name of a node; no directory means /dev itself.
fn place(path: &Path, mounted_dev: Option<&Root>, root: &Root) -> Result<(Option<OwnedFd>, Name)> {
    let at = || format!("make the directory of {}", path.display());
    match (path.strip_prefix("/dev"), mounted_dev) {
        (Ok(below), _) if below.components().count() == 1 => Ok((None, Name::new(below).at(at)?)),
        (Ok(below), Some(dev)) => dev.parent(below).map(|(dir, name)| (Some(dir), name)).at(at),
        _ => root.parent(path).map(|(dir, name)| (Some(dir), name)).at(at),
    }
}

fn make(node: &Node, dir: BorrowedFd, name: &Name) -> Result<()> {
    let at = |call: &str| format!("{call} {}", node.path.display());
    match make_node(dir, name, node.mode, node.device) {
        Ok(()) if (node.uid, node.gid) == (0, 0) => return Ok(()),
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {}
        Err(e) => return Err(Error::os(at("mknodat"), e)),
    }
    let there = entry::open(dir, name).at(|| at("open"))?;
    // An image may bring a node of its own under this name: only the right one is used, and it is told by its handle.
    if !node.is(there.as_fd())? {
        return Err(Error::new(format!("{} exists in the image and is something else", node.path.display())));
    }
    change_owner(there.as_fd(), node.uid, node.gid).at(|| at("fchownat"))?;
    // After the owner, whose change clears set-id bits.
    change_mode(there.as_fd(), node.mode & 0o7777).at(|| at("fchmodat2"))
}

fn bind_node(node: &Node, copy: Option<OwnedFd>, dir: BorrowedFd, name: &Name) -> Result<()> {
    let copy = match copy {
        Some(copy) => copy,
        None => node.copy()?,
    };
    match make_node(dir, name, libc::S_IFREG | 0o644, 0) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => Err(Error::os(format!("mknodat {}", node.path.display()), e)),
        _ => attach_named(copy.as_fd(), dir, name).at(|| format!("move_mount {}", node.path.display())),
    }
}

fn link(dev: BorrowedFd, name: &str, target: &CStr) -> Result<()> {
    let at = || format!("symlinkat /dev/{name}");
    let name = Name::new(name).at(at)?;
    match make_symlink(dev, &name, target) {
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {}
        done => return done.at(at),
    }
    let there = entry::open(dev, &name).and_then(|f| link_text(f.as_fd())).at(at)?;
    // A ptmx that is no link to the container's own devpts would open terminals of somebody else's.
    if there.as_deref() == Some(target) || name.as_c_str() != c"ptmx" {
        return Ok(());
    }
    entry::remove(dev, &name, false).at(|| "unlinkat /dev/ptmx")?;
    make_symlink(dev, &name, target).at(at)
}

fn console(dev: BorrowedFd) -> Result<OwnedFd> {
    let name = Name::new("console").at(|| "name /dev/console")?;
    make_file(dev, &name).at(|| "make mountpoint /dev/console")
}

/// Inside, without umask: binds the terminal's other end on /dev/console: the open terminal itself, not a name in /dev/pts that might lead
/// elsewhere by now (CVE-2025-52565).
pub fn bind_console(dev: Option<BorrowedFd>, root: &Root, terminal: BorrowedFd) -> Result<()> {
    let found;
    let dev = match dev {
        Some(dev) => dev,
        None => {
            found = root.resolve_or_make(Path::new("/dev"), Kind::Directory).at(|| "open /dev of the container")?;
            found.as_fd()
        }
    };
    let target = match Name::new("console").and_then(|name| entry::open(dev, &name)) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => console(dev)?,
        target => target.at(|| "open /dev/console")?,
    };
    let copy = clone_mount(terminal, false).at(|| "open_tree of the terminal")?;
    attach(copy.as_fd(), target.as_fd()).at(|| "move_mount /dev/console")
}

impl DevicesPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let how = if self.binds { "bind the host's" } else { "make" };
        let mut lines: Vec<String> = self.nodes.iter().map(|n| format!("{how} {}", n.path.display())).collect();
        if self.links {
            lines.push(format!("link {}", LINKS.map(|(name, _)| name).join(" ")));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decide(config: Value) -> Result<DevicesPlan> {
        let mut host = Host::ask().expect("a host");
        host.rootless = false;
        plan(&serde_json::from_value(config).expect("a configuration"), &host)
    }

    fn device(device: Value) -> Result<Node> {
        let made = decide(json!({"ociVersion": "1.2.0", "linux": {"devices": [device]}}))?;
        Ok(made.nodes.into_iter().next_back().expect("the last one"))
    }

    #[test]
    fn types_and_modes() {
        let node = device(json!({"path": "/dev/x", "type": "u", "major": 10, "minor": 200, "fileMode": 384})).expect("valid");
        assert_eq!((node.mode, node.device), (libc::S_IFCHR | 0o600, makedev(10, 200)));
        let node = device(json!({"path": "/dev/x", "type": "p"})).expect("valid");
        assert_eq!(node.mode, libc::S_IFIFO | 0o666);
        // 0600 with the file type as Go's os.FileMode and stat(2) write it.
        let node = device(json!({"path": "/dev/x", "type": "b", "major": 8, "minor": 0, "fileMode": 0o60600})).expect("valid");
        assert_eq!(node.mode, libc::S_IFBLK | 0o600);
        assert!(device(json!({"path": "/dev/x", "type": "c", "major": -1, "minor": 0})).is_err());
        assert!(device(json!({"path": "/dev/../x", "type": "c", "major": 1, "minor": 3})).is_err());
    }

    #[test]
    fn the_configuration_overrides_a_default_node() {
        let made = decide(json!({"ociVersion": "1.2.0", "linux": {"devices": [
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600}]}}));
        let made = made.expect("valid");
        assert_eq!(made.nodes.len(), DEFAULT.len());
        assert_eq!(made.nodes.last().map(|n| n.mode & 0o777), Some(0o600));
    }

    #[test]
    fn user_namespaces_bind() {
        let made = decide(json!({"ociVersion": "1.2.0", "linux": {"namespaces": [{"type": "user"}]}})).expect("valid");
        assert!(made.binds);
    }

    #[test]
    fn nothing_is_made_in_the_hosts_dev() {
        let mounts = json!([{"destination": "/dev/", "source": "/dev", "type": "bind", "options": ["rbind"]}]);
        let made = decide(json!({"ociVersion": "1.2.0", "mounts": mounts})).expect("valid");
        assert!(made.nodes.is_empty() && !made.links);
    }

    #[test]
    fn a_read_only_dev_waits() {
        let mounts = json!([{"destination": "/dev", "type": "tmpfs", "options": ["ro"]}]);
        assert!(decide(json!({"ociVersion": "1.2.0", "mounts": mounts})).expect("valid").read_only);
    }
}
