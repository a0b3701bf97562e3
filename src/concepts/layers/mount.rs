//! The overlay itself (overlayfs; fsconfig(2)).
//!
//! Layers are passed as handles, one by one: a path could be too long, hundreds of them always are, and one that holds a
//! colon or a comma would have to be quoted.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::LayersPlan;
use super::writable::Prepared;
use crate::error::{At, Error, Result};
use crate::sys::fd::cwd;
use crate::sys::mount::{Attributes, Filesystem, LONGEST_VALUE, clone_mount, set_attributes};
use crate::sys::resolve::openat2;

/// The overlay, attached nowhere. One layer without a writable one needs none: it is the layer's own mount, read-only.
pub(super) fn mount(plan: &LayersPlan, upper: Option<Prepared>) -> Result<OwnedFd> {
    if let ([only], None) = (plan.lower.as_slice(), &upper) {
        let copy = clone_mount(open(only)?.as_fd(), false).at(|| format!("open_tree {}", only.to_string_lossy()))?;
        set_attributes(copy.as_fd(), false, &Attributes::setting(libc::MOUNT_ATTR_RDONLY)).at(|| "mount_setattr")?;
        return Ok(copy);
    }
    let fs = Filesystem::open(c"overlay").at(|| "fsopen overlay")?;
    let made = configure(&fs, plan, upper.as_ref()).and_then(|names| {
        let made = fs.mount(0).at(|| "fsmount overlay");
        drop(names);
        made
    });
    made.map_err(|e| explain(&fs, plan, e))
}

fn open(path: &CStr) -> Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    openat2(cwd(), path, flags, 0, 0).at(|| format!("open layer {}", path.to_string_lossy())).map_err(|e| match e.errno() {
        Some(libc::ENOENT) => e.hint("the layer is absent on the host; create it, or correct the list"),
        _ => e,
    })
}

fn configure(fs: &Filesystem, plan: &LayersPlan, upper: Option<&Prepared>) -> Result<Option<Names>> {
    fs.set_string(c"source", c"overlay").at(|| "fsconfig source")?;
    let names = set_lower(fs, &plan.lower)?;
    if let Some(upper) = upper {
        set_directory(fs, c"upperdir", upper.upper.as_fd()).at(|| "fsconfig upperdir")?;
        set_directory(fs, c"workdir", upper.work.as_fd()).at(|| "fsconfig workdir")?;
        if upper.throw_away {
            // Nothing of it shall survive: without this the end of each container would flush the host's filesystem.
            fs.set_flag(c"volatile").at(|| "fsconfig volatile")?;
        }
    }
    if plan.user_marks {
        fs.set_flag(c"userxattr").at(|| "fsconfig userxattr")?;
    }
    Ok(names)
}

/// The layers one by one, each closed at once, so that their number meets no limit of ours.
fn set_lower(fs: &Filesystem, lower: &[CString]) -> Result<Option<Names>> {
    for (index, path) in lower.iter().enumerate() {
        match set_layer(fs, open(path)?.as_fd()) {
            // EOPNOTSUPP before Linux 6.5, EINVAL before 6.7.
            Err(e) if index == 0 && matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
                return set_lower_at_once(fs, lower).map(Some);
            }
            done => done.at(|| format!("fsconfig lowerdir+={}", path.to_string_lossy()))?,
        }
    }
    Ok(None)
}

/// One layer below those set before, as a handle (Linux 6.13), else as a path to the handle (6.7).
fn set_layer(fs: &Filesystem, dir: BorrowedFd) -> std::io::Result<()> {
    match fs.set_fd(c"lowerdir+", dir) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => fs.set_string(c"lowerdir+", &path_of(dir)),
        done => done,
    }
}

/// The upper or the work directory, as a handle or as a path to it.
fn set_directory(fs: &Filesystem, key: &CStr, dir: BorrowedFd) -> std::io::Result<()> {
    match fs.set_fd(key, dir) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => match fs.set_string(key, &path_of(dir)) {
            // It was not the handle that it refused.
            Err(_) => Err(e),
            done => done,
        },
        done => done,
    }
}

fn path_of(dir: BorrowedFd) -> CString {
    CString::new(format!("/proc/self/fd/{}", dir.as_raw_fd())).expect("a number has no NUL")
}

/// Short names of all layers, good while it lives: the numbers of their descriptors, seen from the directory of descriptors.
struct Names {
    _layers: Vec<OwnedFd>,
    back: OwnedFd,
}

impl Drop for Names {
    fn drop(&mut self) {
        // The directory was this process's before; it cannot have become unusable.
        nix::unistd::fchdir(&self.back).ok();
    }
}

/// Before Linux 6.7 all layers stand in one text of limited length, which before 6.5 is read only when the overlay is made:
/// so each gets the shortest name there is.
fn set_lower_at_once(fs: &Filesystem, lower: &[CString]) -> Result<Names> {
    let layers: Vec<OwnedFd> = lower.iter().map(|path| open(path)).collect::<Result<_>>()?;
    let text = layers.iter().map(|fd| fd.as_raw_fd().to_string()).collect::<Vec<_>>().join(":");
    if text.len() > LONGEST_VALUE {
        return Err(Error::new(format!("{} layers are too many for this kernel", lower.len())).hint("Linux 6.7 takes 500"));
    }
    let back = openat2(cwd(), c".", libc::O_PATH | libc::O_DIRECTORY, 0, 0).at(|| "open .")?;
    nix::unistd::chdir("/proc/self/fd").at(|| "chdir /proc/self/fd")?;
    let names = Names { _layers: layers, back };
    let text = CString::new(text).expect("numbers have no NUL");
    fs.set_string(c"lowerdir", &text).at(|| "fsconfig lowerdir")?;
    Ok(names)
}

fn explain(fs: &Filesystem, plan: &LayersPlan, error: Error) -> Error {
    let message = fs.message().unwrap_or_default();
    let about_upper = ["fsmount", "fsconfig upperdir"].iter().any(|call| error.op_text().starts_with(call));
    if about_upper && plan.upper.is_some() && error.errno() == Some(libc::EINVAL) {
        return error.hint(format!(
            "likely cause: the file system of the writable layer cannot be one ({message}): use --overlay-size (a tmpfs), or put \
             it elsewhere with --keep-layer or --root"
        ));
    }
    if message.is_empty() { error } else { error.hint(format!("the kernel says: {message}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_get_all_layers_at_once() {
        // Root only: the test is void without the right to make a filesystem context.
        let Ok(fs) = Filesystem::open(c"overlay") else { return };
        let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a directory")).collect();
        std::fs::write(dirs[1].path().join("middle"), "").expect("write");
        let lower: Vec<CString> = dirs.iter().map(|d| CString::new(d.path().to_str().expect("UTF-8")).expect("no NUL")).collect();
        let before = std::env::current_dir().expect("a directory");
        let names = set_lower_at_once(&fs, &lower).expect("set");
        let mount = fs.mount(0).expect("an overlay");
        drop(names);
        assert_eq!(std::env::current_dir().expect("a directory"), before);
        let found = openat2(mount.as_fd(), c"middle", libc::O_PATH, 0, 0);
        assert!(found.is_ok());
    }
}
