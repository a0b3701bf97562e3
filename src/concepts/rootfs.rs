//! The root filesystem: attached, entered, the host's left behind (pivot_root(2), mount_namespaces(7)).
//!
//! A new mount namespace starts as a copy of the host's tree. pivot_root puts the container's root in its place and lets the
//! old one be unmounted, so that no path, no `..` and no forgotten descriptor leads back; chroot(2) alone only hides it, and
//! a process with CAP_SYS_CHROOT walks out again. Propagation is the other way out: a mount that is a peer of one of the host
//! carries whatever is mounted below it to the host, so copies are made slaves or private first.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::unistd::{chdir, chroot, fchdir};
use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::error::{At, Error, Result};
use crate::sys::fd::cwd;
use crate::sys::mount::{Attributes, Filesystem, attach as attach_at, clone_tree_with, pivot_root_here, set_attributes};
use crate::sys::resolve::{Root, openat2};

/// How the root is entered.
#[derive(Debug, Clone, Default)]
pub struct RootfsPlan {
    /// The root directory on the host, absolute.
    pub path: PathBuf,
    /// `MS_SLAVE`, `MS_PRIVATE`, `MS_SHARED` or `MS_UNBINDABLE`, perhaps with `MS_REC`, for `/` of the container; 0 when the
    /// configuration asks for none.
    pub propagation: u64,
    entry: Entry,
    /// Attached at `path` instead of `/`, for hooks that look there.
    visible: bool,
    read_only: bool,
}

/// How the root becomes `/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Entry {
    /// pivot_root(2): the host's tree is gone.
    #[default]
    Pivot,
    /// `--no-pivot`, for a host that runs from its initial ramfs: the root is stacked on `/`, then chroot(2).
    Stack,
    /// Without a mount namespace of its own: chroot(2) alone, nothing is mounted.
    Chroot,
}

/// Decides it. `layered`: an overlay takes the place of root.path; should it be visible, then here. `visible_outside`: hooks of the engine will look for the
/// root at its host path in the container's mount namespace, so it is attached there; else on `/`.
pub fn plan(spec: &Spec, bundle: &Path, layered: Option<&Path>, no_pivot: bool, visible_outside: bool) -> Result<RootfsPlan> {
    let root = spec.root().as_ref().ok_or_else(|| Error::new("root property must not be empty").config("root"))?;
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|l| l.namespaces().as_deref()).unwrap_or_default();
    let has_mounts = namespaces.iter().any(|n| n.typ() == LinuxNamespaceType::Mount);
    let propagation = propagation(linux.and_then(|l| l.rootfs_propagation().as_deref()).unwrap_or_default())?;
    let read_only = root.readonly().unwrap_or(false);
    let entry = match (has_mounts, no_pivot) {
        (false, _) => Entry::Chroot,
        (true, true) => Entry::Stack,
        (true, false) => Entry::Pivot,
    };
    if entry == Entry::Chroot && layered.is_some() {
        return Err(Error::new("a layered root needs a mount namespace")
            .config("linux.namespaces")
            .hint("add {\"type\":\"mount\"} to linux.namespaces"));
    }
    if entry == Entry::Chroot && (read_only || propagation != 0) {
        let field = if read_only { "root.readonly" } else { "linux.rootfsPropagation" };
        return Err(Error::new(format!("{field} needs a mount namespace"))
            .config(field)
            .hint("add {\"type\":\"mount\"} to linux.namespaces"));
    }
    let path = layered.map_or_else(|| bundle.join(root.path()), Path::to_owned);
    Ok(RootfsPlan { path, propagation, entry, visible: visible_outside, read_only })
}

fn propagation(word: &str) -> Result<u64> {
    match word {
        "" => Ok(0),
        "private" => Ok(libc::MS_PRIVATE),
        "rprivate" => Ok(libc::MS_PRIVATE | libc::MS_REC),
        "slave" => Ok(libc::MS_SLAVE),
        "rslave" => Ok(libc::MS_SLAVE | libc::MS_REC),
        "shared" => Ok(libc::MS_SHARED),
        "rshared" => Ok(libc::MS_SHARED | libc::MS_REC),
        "unbindable" => Ok(libc::MS_UNBINDABLE),
        "runbindable" => Ok(libc::MS_UNBINDABLE | libc::MS_REC),
        other => Err(Error::new(format!("rootfsPropagation={other} is not supported")).config("linux.rootfsPropagation")),
    }
}

/// Outside: a copy of the tree at root.path, attached nowhere (open_tree), or `overlay` as it is. `None` when only the
/// inside may copy it, for lack of privilege on the host.
pub fn apply_from_parent(plan: &RootfsPlan, overlay: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
    match (overlay, plan.entry) {
        (Some(overlay), _) => plan.isolate(overlay.as_fd()).map(|()| Some(overlay)),
        (None, Entry::Chroot) => Ok(None),
        (None, _) => match plan.copy() {
            Err(e) if e.errno() == Some(libc::EPERM) => Ok(None),
            tree => tree.map(Some),
        },
    }
}

/// Inside: sets the propagation of `/`, attaches the tree, returns it as the root for all further resolution.
pub fn attach(plan: &RootfsPlan, tree: Option<OwnedFd>) -> Result<Root> {
    if plan.entry == Entry::Chroot {
        return plan.open(libc::O_PATH).map(Root::new);
    }
    let host = openat2(cwd(), c"/", libc::O_PATH | libc::O_DIRECTORY, 0, 0).at(|| "open /")?;
    // Nothing done in this namespace may reach the host, least of all the unmounting of everything.
    let away = if plan.propagation & libc::MS_PRIVATE != 0 { libc::MS_PRIVATE } else { libc::MS_SLAVE };
    set_attributes(host.as_fd(), true, &Attributes::propagate(away)).at(|| "mount_setattr / (propagation)").map_err(in_chroot)?;
    let tree = match tree {
        Some(tree) => tree,
        None => plan.copy()?,
    };
    let place = if plan.visible { plan.open(libc::O_PATH)? } else { host };
    attach_at(tree.as_fd(), place.as_fd()).at(|| format!("move_mount {}", plan.path.display()))?;
    Ok(Root::new(tree))
}

/// Inside: the root becomes `/`, the host's tree is let go.
pub fn enter(plan: &RootfsPlan, root: &Root) -> Result<()> {
    fchdir(root).at(|| "fchdir to the root")?;
    match plan.entry {
        Entry::Pivot => {
            pivot_root_here().at(|| "pivot_root").map_err(explain_pivot)?;
            // The old root lies on top of the new one now: "." means it, and its unmounting uncovers the new one.
            umount2(".", MntFlags::MNT_DETACH).at(|| "umount2 the old root")?;
        }
        Entry::Stack => {
            hide_kernel_views(&plan.path)?;
            fchdir(root).at(|| "fchdir to the root")?;
            if plan.visible {
                let host = openat2(cwd(), c"/", libc::O_PATH | libc::O_DIRECTORY, 0, 0).at(|| "open /")?;
                attach_at(root.as_fd(), host.as_fd()).at(|| "move_mount to /")?;
            }
            chroot(".").at(|| "chroot")?;
        }
        Entry::Chroot => chroot(".").at(|| "chroot")?,
    }
    chdir("/").at(|| "chdir /")
}

/// Inside, by `exec`: the directory behind the handle becomes `/`, for a container that has nothing but chroot(2).
pub fn enter_handle(root: BorrowedFd) -> Result<()> {
    fchdir(root).at(|| "fchdir to the container's root")?;
    chroot(".").at(|| "chroot")
}

/// Inside, last: sets what `rootfsPropagation` asks for on the container's `/`, and read-only if `root.readonly`.
pub fn finish(plan: &RootfsPlan, root: BorrowedFd) -> Result<()> {
    if plan.entry == Entry::Chroot {
        return Ok(());
    }
    let (recursive, kind) = (plan.propagation & libc::MS_REC != 0, plan.propagation & !libc::MS_REC);
    if kind != 0 {
        set_attributes(root, recursive, &Attributes::propagate(kind)).at(|| "mount_setattr / (rootfsPropagation)")?;
    }
    if plan.read_only {
        set_attributes(root, false, &Attributes::setting(libc::MOUNT_ATTR_RDONLY)).at(|| "mount_setattr / (read-only)")?;
    }
    Ok(())
}

/// A host's full procfs or sysfs that stays reachable below the chroot would let a container's user namespace mount a fresh
/// one without the masks (the kernel allows it while an unmasked one is visible). With pivot_root they are gone anyway.
fn hide_kernel_views(root: &Path) -> Result<()> {
    let table = std::fs::read("/proc/self/mountinfo").at(|| "read /proc/self/mountinfo")?;
    // The container's own shows under the same path, as its root is stacked on `/`: what covers the host's must not be taken off then.
    let mut covered: Vec<PathBuf> = vec![];
    for line in table.split(|byte| *byte == b'\n').rev() {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let is_view = fields.windows(2).any(|pair| pair[0] == b"-" && (pair[1] == b"proc" || pair[1] == b"sysfs"));
        let Some(point) = fields.get(4).filter(|_| is_view).map(|point| unescape(point)) else { continue };
        if point.starts_with(root) || covered.contains(&point) {
            continue;
        }
        match umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Locked below a user namespace, or below something else by now: cover it.
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EPERM) => {
                cover(&point)?;
                covered.push(point);
            }
            Err(nix::errno::Errno::ENOENT) => {}
            done => done.at(|| format!("umount2 {}", point.display()))?,
        }
    }
    Ok(())
}

fn cover(point: &Path) -> Result<()> {
    let path = CString::new(point.as_os_str().as_encoded_bytes()).map_err(|_| Error::new("a mount point with a null byte"))?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let place = match openat2(cwd(), &path, flags, 0, 0) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
        place => place.at(|| format!("open {}", point.display()))?,
    };
    let made = Filesystem::open(c"tmpfs").and_then(|fs| fs.mount(libc::MOUNT_ATTR_RDONLY)).at(|| "fsmount tmpfs")?;
    attach_at(made.as_fd(), place.as_fd()).at(|| format!("move_mount {}", point.display()))
}

/// A path of mountinfo, where blank, tab, newline and backslash are octal.
fn unescape(text: &[u8]) -> PathBuf {
    let codes = [(b"\\040", b' '), (b"\\011", b'\t'), (b"\\012", b'\n'), (b"\\134", b'\\')];
    let (mut path, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, others)) = rest.split_first() {
        let code = codes.iter().find(|(code, _)| rest.starts_with(*code));
        path.push(code.map_or(*first, |(_, plain)| *plain));
        rest = if code.is_some() { &rest[4..] } else { others };
    }
    OsString::from_vec(path).into()
}

/// Where `/` is no mount, its propagation cannot be set, so that neither pivot_root nor a bare chroot would be safe.
fn in_chroot(error: Error) -> Error {
    match error.errno() {
        Some(libc::EINVAL) => error.code("E-PIVOT").hint(
            "rrun runs in a chroot, whose root is no mount point; use mount --bind DIR DIR before the chroot, or \
             begin outside of it",
        ),
        _ => error,
    }
}

fn explain_pivot(error: Error) -> Error {
    match error.errno() {
        Some(libc::EINVAL) => error
            .code("E-PIVOT")
            .hint("likely cause: the host runs from its initial ramfs, or from a chroot; use --no-pivot, which is weaker"),
        _ => error.code("E-PIVOT"),
    }
}

impl RootfsPlan {
    /// Whether mounts are the container's own: it has a mount namespace.
    pub fn has_mounts(&self) -> bool {
        self.entry != Entry::Chroot
    }

    fn open(&self, flags: i32) -> Result<OwnedFd> {
        let path = CString::new(self.path.as_os_str().as_encoded_bytes())
            .map_err(|_| Error::new("invalid rootfs: a null byte in root.path").config("root.path"))?;
        openat2(cwd(), &path, flags | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, 0).at(|| self.text()).map_err(|e| self.explain(e))
    }

    /// A copy of the tree at root.path with the mounts below it, isolated.
    fn copy(&self) -> Result<OwnedFd> {
        let dir = self.open(libc::O_PATH)?;
        let (all, kind) = self.isolation();
        let at_once = if all { Attributes::propagate(kind) } else { Attributes::default() };
        let tree = clone_tree_with(dir.as_fd(), c"", true, false, &at_once)
            .map_err(|(call, e)| Error::os(format!("{call} {}", self.path.display()), e))?;
        if !all {
            self.isolate(tree.as_fd())?;
        }
        Ok(tree)
    }

    /// Takes the tree out of the host's peer groups.
    fn isolate(&self, tree: BorrowedFd) -> Result<()> {
        let (all, kind) = self.isolation();
        set_attributes(tree, all, &Attributes::propagate(kind)).at(|| "mount_setattr root (propagation)")
    }

    /// How, and whether the mounts below it as well. `shared` comes back at the end, as a group of the container's own: made
    /// here it would carry /proc and /dev of the container to the host's directory.
    fn isolation(&self) -> (bool, u64) {
        match self.propagation & !libc::MS_REC {
            libc::MS_SHARED => (false, libc::MS_PRIVATE),
            libc::MS_PRIVATE | libc::MS_UNBINDABLE => (true, libc::MS_PRIVATE),
            _ => (true, libc::MS_SLAVE),
        }
    }

    fn text(&self) -> String {
        format!("open root {}", self.path.display())
    }

    fn explain(&self, error: Error) -> Error {
        match error.errno() {
            Some(libc::EACCES) => error.code("E-PATHPERM").config("root.path").hint(
                "likely cause: a directory on the way is closed to the container's root user: give it the x bit for others, or \
                 move the bundle",
            ),
            // What most bundles begin with.
            Some(libc::ENOENT) => {
                error.config("root.path").hint("the bundle lacks its root filesystem; put one there, or correct root.path")
            }
            _ => error.config("root.path"),
        }
    }

    /// The exchange of the root in a few words, for `--narrate`.
    pub fn story(&self) -> String {
        let (hidden, call) = match self.entry {
            Entry::Pivot => (", hid the old one", "pivot_root"),
            Entry::Stack => (", covered the old one", "--no-pivot, chroot"),
            Entry::Chroot => ("; the old one stays in reach of root", "chroot"),
        };
        format!("made / of {}{hidden} ({call})", self.path.display())
    }

    /// The lines of `rrun plan`: attaching, entering, finishing.
    pub fn describe(&self) -> [Vec<String>; 3] {
        if self.entry == Entry::Chroot {
            return [vec![format!("open {}", self.path.display())], vec!["chroot, chdir /".to_owned()], vec![]];
        }
        let place = if self.visible { self.path.display().to_string() } else { "/".to_owned() };
        let attach = vec!["make / a slave of the host's mounts".to_owned(), format!("attach the root's tree at {place}")];
        let enter = match self.entry {
            Entry::Pivot => "pivot_root to it, unmount the host's tree, chdir /",
            _ => "hide the host's proc and sysfs, chroot to it, chdir /",
        };
        let mut finish = vec![];
        if self.propagation != 0 {
            finish.push("set the propagation of /".to_owned());
        }
        if self.read_only {
            finish.push("make / read-only".to_owned());
        }
        [attach, vec![enter.to_owned()], finish]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decide(root: Value, linux: Value, no_pivot: bool) -> Result<RootfsPlan> {
        let spec = serde_json::from_value(json!({"ociVersion": "1.2.0", "root": root, "linux": linux})).expect("a configuration");
        plan(&spec, Path::new("/b"), None, no_pivot, false)
    }

    #[test]
    fn the_root_is_relative_to_the_bundle() {
        let linux = json!({"namespaces": [{"type": "mount"}]});
        let made = decide(json!({"path": "rootfs", "readonly": true}), linux.clone(), false).expect("valid");
        assert_eq!((made.path.to_str(), made.entry, made.read_only), (Some("/b/rootfs"), Entry::Pivot, true));
        assert_eq!(decide(json!({"path": "/r"}), linux, true).expect("valid").entry, Entry::Stack);
    }

    #[test]
    fn without_a_mount_namespace_nothing_can_be_mounted() {
        let made = decide(json!({"path": "r", "readonly": false}), json!({"namespaces": []}), false).expect("valid");
        assert_eq!(made.entry, Entry::Chroot);
        assert!(decide(json!({"path": "r", "readonly": true}), json!({"namespaces": []}), false).is_err());
    }

    #[test]
    fn unknown_propagation_is_refused() {
        let linux = |word: &str| json!({"namespaces": [{"type": "mount"}], "rootfsPropagation": word});
        let root = json!({"path": "r"});
        assert_eq!(decide(root.clone(), linux("rslave"), false).expect("valid").propagation, libc::MS_SLAVE | libc::MS_REC);
        let text = decide(root, linux("shred"), false).expect_err("unknown").to_string();
        assert_eq!(text, "rootfsPropagation=shred is not supported");
    }

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape(b"/a\\040b\\134"), PathBuf::from("/a b\\"));
        assert_eq!(unescape(b"/\xff\\134040").as_os_str().as_encoded_bytes(), b"/\xff\\040");
    }
}
