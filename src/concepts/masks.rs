//! Paths of /proc and /sys that are hidden or made read-only (runtime-spec, config-linux.md, Masked Paths).
//!
//! procfs and sysfs show the whole kernel, not the container's share: keys, timers, firmware, and switches such as
//! core_pattern that run programs as root of the host. Hiding goes by mounting over. What is mounted must not be taken from
//! the image: runtimes that bound the container's /dev/null got whatever a link in its place led to (CVE-2025-31133).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, fstat, makedev};
use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::error::{At, Error, Result};
use crate::sys::entry::{NoUmask, make_directory, make_node, open};
use crate::sys::mount::{Attributes, Filesystem, attach, clone_mount, set_attributes};
use crate::sys::procfs::is_procfs_root;
use crate::sys::resolve::{Name, Root};

/// maskedPaths and readonlyPaths.
#[derive(Debug, Clone, Default)]
pub struct MasksPlan {
    hidden: Vec<PathBuf>,
    read_only: Vec<PathBuf>,
    /// The bundle mounts a procfs on /proc: paths below it are those of that procfs, and nothing else's.
    has_proc: bool,
}

/// Decides them; they need a mount namespace.
pub fn plan(spec: &Spec) -> Result<MasksPlan> {
    let Some(linux) = spec.linux().as_ref() else { return Ok(MasksPlan::default()) };
    let paths = |list: &Option<Vec<String>>| list.iter().flatten().map(PathBuf::from).collect::<Vec<_>>();
    let (hidden, read_only) = (paths(linux.masked_paths()), paths(linux.readonly_paths()));
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let has_mounts = namespaces.iter().any(|n| n.typ() == LinuxNamespaceType::Mount);
    if !has_mounts && !(hidden.is_empty() && read_only.is_empty()) {
        let field = if hidden.is_empty() { "linux.readonlyPaths" } else { "linux.maskedPaths" };
        return Err(Error::new("unable to restrict sys entries without a private MNT namespace").config(field));
    }
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let has_proc = mounts.iter().any(|m| m.destination() == Path::new("/proc") && m.typ().as_deref() == Some("proc"));
    Ok(MasksPlan { hidden, read_only, has_proc })
}

/// Hides and write-protects. A missing path is skipped.
pub fn apply(plan: &MasksPlan, root: &Root) -> Result<()> {
    let places = Places::open(plan, root)?;
    for path in &plan.read_only {
        let Some(place) = places.find(path)? else { continue };
        let at = |call: &str| format!("{call} {} (read-only)", path.display());
        let copy = clone_mount(place.as_fd(), true).at(|| at("open_tree"))?;
        let ro = Attributes::setting(libc::MOUNT_ATTR_RDONLY);
        set_attributes(copy.as_fd(), true, &ro).at(|| at("mount_setattr"))?;
        attach(copy.as_fd(), place.as_fd()).at(|| at("move_mount"))?;
    }
    let mut covers = None;
    for path in &plan.hidden {
        let Some(place) = places.find(path)? else { continue };
        let covers = match &mut covers {
            Some(covers) => covers,
            none => none.insert(Covers::make(root)?),
        };
        covers.put(place.as_fd()).at(|| format!("mask {}", path.display()))?;
    }
    Ok(())
}

/// Where paths are looked up.
struct Places<'a> {
    root: &'a Root,
    /// The root of the container's procfs.
    proc: Option<Root>,
}

impl<'a> Places<'a> {
    /// A root that two containers share can be rearranged by the other: what is called /proc now may be a plain directory,
    /// in which no mask would be missed. So it is held, and known to be a procfs, before paths below it are looked up.
    fn open(plan: &MasksPlan, root: &'a Root) -> Result<Self> {
        let below_proc = |paths: &[PathBuf]| paths.iter().any(|p| p.starts_with("/proc"));
        if !plan.has_proc || !(below_proc(&plan.hidden) || below_proc(&plan.read_only)) {
            return Ok(Self { root, proc: None });
        }
        let proc = root.resolve_no_follow(Path::new("/proc")).at(|| "open /proc of the container")?;
        if !is_procfs_root(proc.as_fd()).at(|| "fstatfs /proc of the container")? {
            return Err(Error::new("/proc of the container is no procfs any more: somebody changes its root file system"));
        }
        Ok(Self { root, proc: Some(Root::new(proc)) })
    }

    /// `None` for a path that is not there.
    fn find(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let found = match (&self.proc, path.strip_prefix("/proc")) {
            (Some(proc), Ok(below)) => proc.resolve(below),
            _ => self.root.resolve(path),
        };
        match found {
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            found => found.map(Some).at(|| format!("openat2 {}", path.display())),
        }
    }
}

/// What is put over hidden paths.
struct Covers {
    directory: OwnedFd,
    file: OwnedFd,
}

impl Covers {
    /// A read-only tmpfs of our own with an empty directory and a null device. Where nodes may not be made, the container's
    /// /dev/null is taken, once its handle is known to be the null device, which no file of an image can be.
    fn make(root: &Root) -> Result<Self> {
        let _umask = NoUmask::new();
        let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC;
        let holder = Filesystem::open(c"tmpfs").and_then(|fs| fs.mount(attributes)).at(|| "fsmount tmpfs for masks")?;
        let name = |n| Name::new(n).at(|| "name a mask");
        let (empty, null) = (name("empty")?, name("null")?);
        let empty = make_directory(holder.as_fd(), &empty).at(|| "mkdirat a mask")?;
        let made = make_node(holder.as_fd(), &null, libc::S_IFCHR | 0o666, makedev(1, 3));
        let file = match made {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                root.resolve_no_follow(Path::new("/dev/null")).at(|| "open /dev/null")?
            }
            made => made.and_then(|()| open(holder.as_fd(), &null)).at(|| "mknodat a mask")?,
        };
        let stat = fstat(&file).at(|| "fstat a mask")?;
        if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFCHR.bits() || stat.st_rdev != makedev(1, 3) {
            return Err(Error::new("/dev/null of the container is not the null device"));
        }
        let read_only = Attributes::setting(libc::MOUNT_ATTR_RDONLY);
        set_attributes(holder.as_fd(), false, &read_only).at(|| "mount_setattr a mask")?;
        Ok(Self { directory: empty, file })
    }

    fn put(&self, place: BorrowedFd) -> std::io::Result<()> {
        let directory = fstat(place)?.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
        let cover = clone_mount(if directory { self.directory.as_fd() } else { self.file.as_fd() }, false)?;
        attach(cover.as_fd(), place)
    }
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
    fn masks_need_a_mount_namespace() {
        let mut config = json!({"ociVersion": "1.2.0", "linux": {"maskedPaths": ["/proc/keys"], "namespaces": []}});
        let spec = serde_json::from_value(config.clone()).expect("a configuration");
        let text = plan(&spec).expect_err("no namespace").to_string();
        assert_eq!(text, "unable to restrict sys entries without a private MNT namespace");
        config["linux"]["namespaces"] = json!([{"type": "mount"}]);
        config["mounts"] = json!([{"destination": "/proc", "type": "proc"}]);
        let made = plan(&serde_json::from_value(config).expect("a configuration")).expect("valid");
        assert!(made.has_proc);
        assert_eq!(made.describe(), ["hide /proc/keys"]);
    }
}
