//! Paths below the root filesystem become handles here, and nowhere else.
//!
//! An image controls every name below its root. If rrun checked such a path and then used it, a symbolic link swapped in
//! between would lead to the host (CVE-2021-30465, CVE-2025-31133 and a dozen more). So a path is resolved once, by the
//! kernel, confined to the root (openat2(2), `RESOLVE_IN_ROOT`); from then on there is only the handle. What works on a
//! handle takes at most one [`Name`], which cannot walk anywhere.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use nix::NixPath;

use super::procfs::is_procfs;
use super::{check, entry};

/// How often a resolution is retried when a rename elsewhere disturbs it (openat2 returns EAGAIN).
const RETRIES: u32 = 128;

/// How many symbolic links a walk follows, as many as the kernel would.
const LINKS: u32 = 40;

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

pub use entry::{make_directory, make_file};

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
        // The empty path would be ENOENT; it means the root, as `/` does.
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        path.with_nix_path(|path| openat2(self.0.as_fd(), path, flags, 0, libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS))?
    }

    /// Resolves `path`, making what is missing ([`Root::make`]).
    pub fn resolve_or_make(&self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        match self.resolve(path) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => self.make(path, kind),
            found => found,
        }
    }

    /// Makes what is missing of `path`: directories on the way, and `kind` at the end.
    ///
    /// Walks component by component, each on the handle of the one before, none through a link, so nothing is ever made
    /// outside the root, whatever is renamed meanwhile (CVE-2024-45310). Links are read and walked here: one that dangles
    /// (`/var/run -> /run` in an image without /run) leads to where the container will see its target.
    pub fn make(&self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        Walk::new(self.0.as_fd(), path).make(kind)
    }

    /// The directory of `path`'s last component, made when missing, and that component. EINVAL when there is none.
    pub fn parent(&self, path: &Path) -> io::Result<(OwnedFd, Name)> {
        let name = Name::new(path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?)?;
        let dir = self.resolve_or_make(path.parent().unwrap_or(Path::new("/")), Kind::Directory)?;
        Ok((dir, name))
    }
}

impl From<Root> for OwnedFd {
    fn from(root: Root) -> Self {
        root.0
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A walk below a root that makes what is missing.
struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// The handles of the directories passed, outermost first: `..` is the one before, never the kernel's parent.
    passed: Vec<OwnedFd>,
    /// The components still to go, the next one last.
    left: Vec<OsString>,
    links: u32,
}

/// What a component turned out to be.
enum Found {
    Directory(OwnedFd),
    Link(CString),
    Other(OwnedFd),
    Nothing,
}

impl<'a> Walk<'a> {
    fn new(root: BorrowedFd<'a>, path: &Path) -> Self {
        let mut walk = Self { root, passed: vec![], left: vec![], links: 0 };
        walk.push(path);
        walk
    }

    fn push(&mut self, path: &Path) {
        for component in path.components().rev() {
            match component {
                Component::Normal(part) => self.left.push(part.to_owned()),
                Component::ParentDir => self.left.push("..".into()),
                _ => {}
            }
        }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.passed.last().map_or(self.root, AsFd::as_fd)
    }

    fn look(&self, name: &Name) -> io::Result<Found> {
        match entry::open_directory(self.here(), name, libc::O_PATH) {
            Ok(dir) => return Ok(Found::Directory(dir)),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(Found::Nothing),
            Err(e) if !matches!(e.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) => return Err(e),
            Err(_) => {}
        }
        let handle = entry::open(self.here(), name)?;
        match entry::link_text(handle.as_fd())? {
            Some(_) if self.is_magic(name, &handle)? => Err(io::Error::from_raw_os_error(libc::ELOOP)),
            link => Ok(link.map_or(Found::Other(handle), Found::Link)),
        }
    }

    /// Whether a link is one of procfs's magic ones (`fd/7`), whose text means nothing. The walk meets such where it opened the
    /// descriptor itself: the path did not exist before.
    fn is_magic(&self, name: &Name, link: &OwnedFd) -> io::Result<bool> {
        if !is_procfs(link.as_fd())? {
            return Ok(false);
        }
        let how = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
        let followed = openat2(self.here(), name.as_c_str(), libc::O_PATH, 0, how);
        Ok(followed.is_err_and(|e| e.raw_os_error() == Some(libc::ELOOP)))
    }

    fn make(mut self, kind: Kind) -> io::Result<OwnedFd> {
        while let Some(part) = self.left.pop() {
            if part == ".." {
                self.passed.pop();
                continue;
            }
            let name = Name::new(part)?;
            let last = self.left.is_empty();
            // The last one is what was missing, as a rule: made first, looked at only if that fails.
            if last && kind == Kind::Directory && entry::mkdir(self.here(), &name).is_ok() {
                return entry::open_directory(self.here(), &name, libc::O_PATH);
            }
            match self.look(&name)? {
                Found::Directory(dir) => self.passed.push(dir),
                Found::Link(text) => self.follow(&text)?,
                Found::Other(handle) if last => return Ok(handle),
                Found::Other(_) => return Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
                Found::Nothing if last && kind == Kind::File => return entry::make_file(self.here(), &name),
                Found::Nothing => self.passed.push(entry::make_directory(self.here(), &name)?),
            }
        }
        match self.passed.pop() {
            Some(dir) => Ok(dir),
            None => self.root.try_clone_to_owned(),
        }
    }

    fn follow(&mut self, text: &CStr) -> io::Result<()> {
        self.links += 1;
        if self.links > LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = Path::new(OsStr::from_bytes(text.to_bytes()));
        if target.is_absolute() {
            self.passed.clear();
        }
        self.push(target);
        Ok(())
    }
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
}
