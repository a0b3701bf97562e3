//! The writable layer on disk: made, limited, and taken away again.
//!
//! Its content is the container's, hence hostile: what is removed is removed by handles, links are never followed and mounts
//! never crossed, however deep or strange the tree is.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, umount2};

use super::{LayersPlan, Record, Upper};
use crate::error::{At, Error, Result};
use crate::sys::entry::{NoUmask, change_owner, make_directory};
use crate::sys::fd::cwd;
use crate::sys::mount::{Filesystem, attach};
use crate::sys::resolve::{Name, openat2};
use crate::sys::xattr::set;
use crate::sys::{quota, tree};

/// The directories of a writable layer.
pub(super) struct Prepared {
    /// The upper directory.
    pub upper: OwnedFd,
    /// The work directory.
    pub work: OwnedFd,
    /// It goes with the container.
    pub throw_away: bool,
}

/// Makes the directory where hooks may look for the root, if it is ours to make.
pub(super) fn make_place(plan: &LayersPlan) -> Result<()> {
    if plan.place.starts_with(&plan.state) {
        make(&directory(&plan.state)?, "rootfs")?;
    }
    Ok(())
}

/// Makes upper and work directories, limits them if asked, and gives a private layer to `owner`.
pub(super) fn prepare(plan: &LayersPlan, upper: &Upper, owner: Option<(u32, u32)>) -> Result<Prepared> {
    let _umask = NoUmask::new();
    let prepared = if upper.kept { prepare_kept(upper)? } else { prepare_private(plan, upper)? };
    if let Some((uid, gid)) = owner.filter(|o| *o != (0, 0) && !upper.kept) {
        for (dir, path) in [(&prepared.upper, &upper.upper), (&prepared.work, &upper.work)] {
            change_owner(dir.as_fd(), uid, gid).at(|| format!("chown {}", path.display())).map_err(|e| {
                let hint = "without privilege a layered root needs id 0 of the container mapped to your own id";
                e.code("E-IDMAP").config("linux.uidMappings").hint(hint)
            })?;
        }
    }
    Ok(prepared)
}

fn prepare_private(plan: &LayersPlan, upper: &Upper) -> Result<Prepared> {
    let mut layer = make(&directory(&plan.state)?, "layer")?;
    if let Some(size) = upper.size
        && !quota::limit_directory(layer.as_fd(), size).at(|| "limit the writable layer by a project quota")?
    {
        layer = limited_tmpfs(layer.as_fd(), size)?;
        if plan.user_marks {
            check_marks(layer.as_fd())?;
        }
    }
    Ok(Prepared { upper: make(&layer, "upper")?, work: make(&layer, "work")?, throw_away: true })
}

fn prepare_kept(upper: &Upper) -> Result<Prepared> {
    let parent = directory(upper.upper.parent().unwrap_or(Path::new("/")))?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kept = make(&parent, &name(&upper.upper))?;
    let work = make(&parent, &name(&upper.work))?;
    if let Some(size) = upper.size {
        let at = || "limit the kept layer by a project quota";
        if !quota::limit_directory(kept.as_fd(), size).at(at)? {
            let why = "a kept layer can only be limited on a file system with project quotas";
            return Err(Error::new(why).hint("leave out the size, or the place to keep it"));
        }
        quota::share_limit(kept.as_fd(), work.as_fd()).at(at)?;
    }
    Ok(Prepared { upper: kept, work, throw_away: false })
}

/// A tmpfs of that size, attached at the layer's directory, where `diff` finds it and `remove` unmounts it.
fn limited_tmpfs(place: BorrowedFd, size: u64) -> Result<OwnedFd> {
    let fs = Filesystem::open(c"tmpfs").at(|| "fsopen tmpfs")?;
    let size = CString::new(size.to_string()).map_err(|_| Error::new("a null byte"))?;
    fs.set_string(c"size", &size).at(|| "fsconfig size")?;
    fs.set_string(c"mode", c"700").at(|| "fsconfig mode")?;
    let made = fs.mount(libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOSUID).at(|| "fsmount tmpfs")?;
    attach(made.as_fd(), place).at(|| "move_mount")?;
    Ok(made)
}

/// Overlayfs would mount without the attributes in which it marks replaced directories, and fail with EIO when it needs one.
fn check_marks(layer: BorrowedFd) -> Result<()> {
    let opened = openat2(layer, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, 0);
    let done = opened.and_then(|layer| set(layer.as_fd(), c"user.overlay.rrun", b"y"));
    done.at(|| "set an attribute user.overlay of a tmpfs")
        .map_err(|e| e.hint("without privilege a size needs Linux 6.6, or a file system with project quotas: leave it out"))
}

/// A trusted directory of the host.
fn directory(path: &Path) -> Result<OwnedFd> {
    crate::host::host_directory(path)
}

fn make(parent: &OwnedFd, name: &str) -> Result<OwnedFd> {
    Name::new(name).and_then(|name| make_directory(parent.as_fd(), &name)).at(|| format!("mkdirat {name}"))
}

/// Takes away what `apply_from_parent` left on disk, except a kept layer. Missing parts are no error.
pub fn remove(record: &Record) -> Result<()> {
    if let Some(limited) = &record.limited
        && (record.work.is_some() || !unmounted(limited)?)
    {
        free_quota(limited)?;
    }
    remove_below(&record.state, "layer")?;
    remove_below(&record.state, "rootfs")?;
    match &record.work {
        Some(work) => {
            let name = work.file_name().unwrap_or_default().to_string_lossy();
            remove_below(work.parent().unwrap_or(Path::new("/")), &name)
        }
        None => Ok(()),
    }
}

/// Unmounts the limiting tmpfs of a private layer; `false` when none lies there. Never asked of a kept layer, which may
/// stand on a mount of its owner's.
fn unmounted(layer: &Path) -> Result<bool> {
    match umount2(layer, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::EPERM | nix::errno::Errno::ENOENT) => Ok(false),
        Err(e) => Err(Error::os(format!("umount2 {}", layer.display()), e)),
    }
}

fn free_quota(limited: &Path) -> Result<()> {
    let path = CString::new(limited.as_os_str().as_encoded_bytes()).map_err(|_| Error::new("a null byte"))?;
    let dir = openat2(cwd(), &path, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, 0);
    match dir {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        dir => {
            dir.and_then(|dir| quota::unlimit_directory(dir.as_fd())).at(|| format!("free the quota of {}", limited.display()))
        }
    }
}

fn remove_below(parent: &Path, name: &str) -> Result<()> {
    let parent = match directory(parent) {
        Err(e) if e.errno() == Some(libc::ENOENT) => return Ok(()),
        parent => parent?,
    };
    Name::new(name).and_then(|name| tree::remove(parent.as_fd(), &name)).at(|| format!("remove {name}"))
}
