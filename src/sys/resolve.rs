//! Paths below the root filesystem become handles here, and nowhere else.
//!
//! An image controls every name below its root. If rrun checked such a path and then used it, a symbolic link swapped in
//! between would lead to the host (CVE-2021-30465, CVE-2025-31133 and a dozen more). So a path is resolved once, by the
//! kernel, confined to the root (openat2(2), `RESOLVE_IN_ROOT`); from then on there is only the handle. What works on a
//! handle takes at most one [`Name`], which cannot walk anywhere.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use super::check;

/// How often a resolution is retried when a rename elsewhere disturbs it (openat2 returns EAGAIN).
const RETRIES: u32 = 128;

/// One path component: not empty, no `/`, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(CString);

impl Name {
    /// Accepts one plain component; anything that could walk is EINVAL.
    pub fn new(name: impl AsRef<OsStr>) -> io::Result<Self> {
        let bytes = name.as_ref().as_bytes();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        CString::new(bytes).map(Self).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
    }

    /// The component as the kernel takes it.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }
}

/// openat2(2). `path` is resolved below `dir` by the rules in `resolve` (`RESOLVE_*`).
pub fn openat2(dir: BorrowedFd, path: &CStr, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    // SAFETY: open_how is plain data; zero is valid for every field.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = mode as u64;
    how.resolve = resolve;
    for _ in 0..RETRIES {
        // SAFETY: path is NUL-terminated and how lives across the call; the result is a new descriptor or an error.
        let ret = unsafe {
            libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw mut how, size_of::<libc::open_how>())
        };
        match check(ret) {
            // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => continue,
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// What stands at the end of a path that is made when missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory, mode 0755.
    Directory,
    /// An empty regular file, mode 0644.
    File,
}

/// A directory below which paths are resolved as if it were `/`.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Takes a handle (`O_PATH` suffices) of the directory.
    pub fn new(dir: OwnedFd) -> Self {
        Self(dir)
    }

    /// Resolves `path` in the root to an `O_PATH` handle. Symbolic links are followed as the container would follow
    /// them; magic links of procfs are refused (ELOOP).
    pub fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open(path, libc::O_PATH)
    }

    /// As [`Root::resolve`], but a final symbolic link is not followed: the handle is the link's own.
    pub fn resolve_no_follow(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open(path, libc::O_PATH | libc::O_NOFOLLOW)
    }

    /// Opens `path` in the root with the open(2) flags given.
    pub fn open(&self, path: &Path, flags: i32) -> io::Result<OwnedFd> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        openat2(self.0.as_fd(), &path, flags, 0, libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS)
    }

    /// Resolves `path`, making what is missing: directories on the way, and `kind` at the end.
    ///
    /// Each component is made on the handle of the one before (mkdirat, then open with `O_NOFOLLOW`), so nothing is ever
    /// made outside the root, whatever is renamed meanwhile (CVE-2024-45310). A dangling symbolic link on the way is
    /// followed to where the container would see its target.
    pub fn resolve_or_make(&self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        match self.resolve(path) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
            found => return found,
        }
        let parts: Vec<&OsStr> = plain_components(path);
        let Some((last, dirs)) = parts.split_last() else {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        };
        let mut dir = self.0.try_clone()?;
        for depth in 1..=dirs.len() {
            let here: std::path::PathBuf = dirs[..depth].iter().collect();
            dir = match self.open(&here, libc::O_PATH | libc::O_DIRECTORY) {
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => make_directory(dir.as_fd(), &Name::new(dirs[depth - 1])?)?,
                found => found?,
            };
        }
        match kind {
            Kind::Directory => make_directory(dir.as_fd(), &Name::new(last)?),
            Kind::File => make_file(dir.as_fd(), &Name::new(last)?),
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The components of a path as the container means them: `.` and leading `/` vanish, `..` cancels lexically.
fn plain_components(path: &Path) -> Vec<&OsStr> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts
}

/// Makes the directory `name` in `dir` (mode 0755) unless it is there, and returns its handle. A symbolic link of that name
/// is ENOTDIR.
pub fn make_directory(dir: BorrowedFd, name: &Name) -> io::Result<OwnedFd> {
    // SAFETY: name is NUL-terminated; mkdirat keeps no pointer.
    match check(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_c_str().as_ptr(), 0o755) } as libc::c_long) {
        Err(e) if e.raw_os_error() != Some(libc::EEXIST) => return Err(e),
        _ => {}
    }
    openat2(dir, name.as_c_str(), libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, libc::RESOLVE_BENEATH)
}

/// Makes the empty file `name` in `dir` (mode 0644) unless it is there, and returns an `O_PATH` handle. A symbolic link of
/// that name is ELOOP.
pub fn make_file(dir: BorrowedFd, name: &Name) -> io::Result<OwnedFd> {
    let flags = libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    openat2(dir, name.as_c_str(), flags, 0o644, libc::RESOLVE_BENEATH)?;
    openat2(dir, name.as_c_str(), libc::O_PATH | libc::O_NOFOLLOW, 0, libc::RESOLVE_BENEATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_walk() {
        for bad in ["", ".", "..", "a/b", "/", "a\0b"] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        assert!(Name::new("null").is_ok());
    }

    #[test]
    fn parent_components_cancel_lexically() {
        assert_eq!(plain_components(Path::new("/a/../../b/./c")), ["b", "c"]);
    }
}
