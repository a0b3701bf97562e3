//! Paths of /proc and /sys that are hidden or made read-only (runtime-spec, config-linux.md, Masked Paths).
//!
//! procfs and sysfs show the whole kernel, not the container's share: keys, timers, firmware, and switches such as
//! core_pattern that run programs as root of the host. Hiding goes by mounting over. What is mounted must not be taken from
//! the image: runtimes that bound the container's /dev/null got whatever a link in its place led to (CVE-2025-31133).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{fstat, makedev};
use nix::unistd::{chdir, fchdir};
use oci_spec::runtime::Spec;

use crate::error::{At, Error, Result};
use crate::sys::entry::{make_file, make_node, open};
use crate::sys::fd::Spent;
use crate::sys::mount::{Attributes, Filesystem, attach, clone_mount, clone_tree_with, set_attributes};
use crate::sys::procfs::{is_procfs_root, is_sysfs_root};
use crate::sys::resolve::{Name, Root};

/// maskedPaths and readonlyPaths.
#[derive(Debug, Clone, Default)]
pub struct MasksPlan {
    hidden: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
    /// The bundle mounts a procfs on /proc, or a sysfs on /sys: paths below are those of that view, and nothing else's.
    views: Vec<View>,
    /// linux.mountLabel: the SELinux label of what hides directories.
    label: Option<CString>,
}

/// A view of the kernel at its usual place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Proc,
    Sys,
}

impl View {
    /// Its place, and the type of its mount.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Proc => ("/proc", "proc"),
            Self::Sys => ("/sys", "sysfs"),
        }
    }

    fn is(self, place: BorrowedFd) -> std::io::Result<bool> {
        match self {
            Self::Proc => is_procfs_root(place),
            Self::Sys => is_sysfs_root(place),
        }
    }
}

/// Decides them. That there is a mount namespace for them was checked before (src/plan/rules).
pub fn plan(spec: &Spec) -> Result<MasksPlan> {
    let Some(linux) = spec.linux().as_ref() else { return Ok(MasksPlan::default()) };
    let paths = |list: &Option<Vec<String>>| list.iter().flatten().map(PathBuf::from).collect::<Vec<_>>();
    let (hidden, read_only) = (paths(linux.masked_paths()), paths(linux.readonly_paths()));
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let mounted = |view: &View| {
        let (place, kind) = view.names();
        let asked = hidden.iter().chain(&read_only).any(|p| p.starts_with(place));
        // The last mount there is the one that is seen.
        asked && mounts.iter().rfind(|m| m.destination() == Path::new(place)).is_some_and(|m| m.typ().as_deref() == Some(kind))
    };
    let views = [View::Proc, View::Sys].into_iter().filter(mounted).collect();
    let label = linux.mount_label().as_deref().filter(|l| !l.is_empty()).map(CString::new).transpose();
    let label = label.map_err(|_| Error::new("it contains a null byte").config("linux.mountLabel"))?;
    Ok(MasksPlan { hidden, read_only, views, label })
}

/// Hides and write-protects. A missing path is skipped.
pub fn apply(plan: &MasksPlan, root: &Root, spent: &mut Spent) -> Result<()> {
    let places = Places::open(plan, root)?;
    for path in &plan.read_only {
        let Some(place) = places.find(path)? else { continue };
        let at = |call: &str| format!("{call} {} (read-only)", path.display());
        let ro = Attributes::setting(libc::MOUNT_ATTR_RDONLY);
        let copy = clone_tree_with(place.as_fd(), c"", true, false, &ro).map_err(|(call, e)| Error::os(at(call), e))?;
        attach(copy.as_fd(), place.as_fd()).at(|| at("move_mount"))?;
        spent.push(copy);
        spent.push(place);
    }
    let mut covers = Covers::default();
    for path in &plan.hidden {
        let Some(place) = places.find(path)? else { continue };
        covers
            .put(place.as_fd(), root, plan.label.as_deref(), spent)
            .map_err(|e| e.context(format!("mask {}", path.display())))?;
        spent.push(place);
    }
    places.views.into_iter().for_each(|(_, view)| spent.push(view));
    [covers.directory, covers.file].into_iter().flatten().for_each(|cover| spent.push(cover));
    Ok(())
}

/// Where paths are looked up.
struct Places<'a> {
    root: &'a Root,
    /// The roots of the container's views of the kernel.
    views: Vec<(&'static str, Root)>,
}

impl<'a> Places<'a> {
    /// A root that two containers share can be rearranged by the other: what is called /proc now may be a plain directory,
    /// in which no mask would be missed. So it is held, and known to be the view, before paths below it are looked up.
    fn open(plan: &MasksPlan, root: &'a Root) -> Result<Self> {
        let hold = |view: &View| {
            let (place, _) = view.names();
            let found = root.resolve_no_follow(Path::new(place)).at(|| format!("open {place} of the container"))?;
            match view.is(found.as_fd()).at(|| format!("fstatfs {place} of the container"))? {
                true => Ok((place, Root::new(found))),
                false => {
                    let what = "is not what was mounted there any more: somebody changes its root file system";
                    Err(Error::new(format!("{place} of the container {what}")))
                }
            }
        };
        Ok(Self { root, views: plan.views.iter().map(hold).collect::<Result<_>>()? })
    }

    /// `None` for a path that is not there.
    fn find(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let held = self.views.iter().find_map(|(place, view)| Some((view, path.strip_prefix(place).ok()?)));
        let (root, below) = held.unwrap_or((self.root, path));
        match root.resolve(below) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            found => found.map(Some).at(|| format!("openat2 {}", path.display())),
        }
    }
}

/// What is put over hidden paths, each made when the first path asks for it and copied for the others. What is copied is
/// attached somewhere: a detached mount can be copied only since Linux 6.15.
#[derive(Default)]
struct Covers {
    /// An empty, read-only tmpfs.
    directory: Option<OwnedFd>,
    /// A null device.
    file: Option<OwnedFd>,
}

impl Covers {
    fn put(&mut self, place: BorrowedFd, root: &Root, label: Option<&CStr>, spent: &mut Spent) -> Result<()> {
        let directory = fstat(place).at(|| "fstat")?.st_mode & libc::S_IFMT == libc::S_IFDIR;
        if !directory && self.file.is_none() {
            self.file = containers_null(root)?;
        }
        let first = if directory { &mut self.directory } else { &mut self.file };
        match first {
            Some(first) => {
                let copy = clone_mount(first.as_fd(), false).at(|| "open_tree")?;
                attach(copy.as_fd(), place).at(|| "move_mount")?;
                spent.push(copy);
                Ok(())
            }
            none => {
                let made = if directory { empty_directory(label, spent) } else { own_null(root) }?;
                attach(made.as_fd(), place).at(|| "move_mount")?;
                *none = Some(made);
                Ok(())
            }
        }
    }
}

fn empty_directory(label: Option<&CStr>, spent: &mut Spent) -> Result<OwnedFd> {
    let fs = Filesystem::open(c"tmpfs").at(|| "fsopen tmpfs")?;
    if let Some(label) = label {
        fs.set_string(c"context", label).at(|| "fsconfig context").map_err(|e| e.config("linux.mountLabel"))?;
    }
    let made = fs.mount(DIRECTORY).at(|| "fsmount tmpfs")?;
    spent.push(fs);
    Ok(made)
}

/// The container's own null device, if that is what its handle is. The handle is what is copied then, so that neither a
/// name nor a link counts for anything; and what is character device 1:3 is the null device, whoever made it.
fn containers_null(root: &Root) -> Result<Option<OwnedFd>> {
    let Ok(found) = root.resolve_no_follow(Path::new("/dev/null")) else { return Ok(None) };
    let stat = fstat(&found).at(|| "fstat /dev/null")?;
    Ok((stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == makedev(1, 3)).then_some(found))
}

/// Attributes of the tmpfs that hides directories.
const DIRECTORY: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;

/// A null device on a tmpfs of our own, for a container without one; in a user namespace, which may make none, an empty file.
/// The tmpfs lies on the root for a moment, because a part of a detached mount can be copied only since Linux 6.15.
fn own_null(root: &Root) -> Result<OwnedFd> {
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
    let holder = Filesystem::open(c"tmpfs").and_then(|fs| fs.mount(attributes)).at(|| "fsmount tmpfs")?;
    let name = Name::new("null").at(|| "name a null device")?;
    match make_node(holder.as_fd(), &name, libc::S_IFCHR | 0o666, makedev(1, 3)) {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => make_file(holder.as_fd(), &name).map(drop),
        made => made,
    }
    .at(|| "mknodat a null device")?;
    // A file would keep what is written to it; a device does not mind.
    set_attributes(holder.as_fd(), false, &Attributes::setting(libc::MOUNT_ATTR_RDONLY)).at(|| "mount_setattr")?;
    attach(holder.as_fd(), root.as_fd()).at(|| "move_mount a null device")?;
    let copy = open(holder.as_fd(), &name).and_then(|node| clone_mount(node.as_fd(), false));
    fchdir(&holder).at(|| "fchdir")?;
    umount2(".", MntFlags::MNT_DETACH).at(|| "umount2 a null device's tmpfs")?;
    chdir("/").at(|| "chdir /")?;
    copy.at(|| "open_tree a null device")
}

impl MasksPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let read_only = self.read_only.iter().map(|p| format!("make {} read-only", p.display()));
        read_only.chain(self.hidden.iter().map(|p| format!("hide {}", p.display()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_below_a_view_of_the_kernel_are_known() {
        let mut config = json!({"ociVersion": "1.2.0", "linux": {"maskedPaths": ["/proc/keys"], "readonlyPaths": ["/sys"]}});
        let decide = |config: &serde_json::Value| plan(&serde_json::from_value(config.clone()).expect("valid")).expect("a plan");
        assert_eq!(decide(&config).views, []);
        config["mounts"] = json!([{"destination": "/proc", "type": "proc"}, {"destination": "/sys", "type": "sysfs"}]);
        assert_eq!(decide(&config).views, [View::Proc, View::Sys]);
        assert_eq!(decide(&config).describe(), ["make /sys read-only", "hide /proc/keys"]);
        config["linux"]["readonlyPaths"] = json!([]);
        assert_eq!(decide(&config).views, [View::Proc]);
    }
}
