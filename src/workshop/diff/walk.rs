//! The walk through the writable layer, and what lies below each name.
//!
//! No recursion and no open directories: a layer may be nested deeper than any stack or table of descriptors. The work to do is
//! a list of paths; each is opened anew from the top, by one call that cannot leave it. Which layers a directory merges is
//! carried along: a whiteout or an opaque directory in one of them hides those further down.

use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::fstat;

use super::{Change, Kind, Look};
use crate::error::{At, Result};
use crate::host::host_directory;
use crate::sys::{entry, resolve, xattr};
use crate::workshop::progress::Progress;

/// A directory to look at: its path below the layer, the layers below that show through, and whether the layer hides them.
struct Todo {
    path: PathBuf,
    below: Vec<usize>,
    opaque: bool,
}

/// All changes in `upper` against `lower`, whose first one is on top.
pub fn read(upper: &Path, lower: &[PathBuf], progress: &mut Progress) -> Result<Vec<Change>> {
    let top = host_directory(upper)?;
    let lower = lower.iter().map(|path| host_directory(path)).collect::<Result<Vec<_>>>()?;
    let mut changes = vec![];
    let mut waiting = vec![Todo { path: PathBuf::new(), below: (0..lower.len()).collect(), opaque: false }];
    while let Some(todo) = waiting.pop() {
        directory(&top, &lower, todo, &mut waiting, &mut changes)?;
        progress.look(&format!("{} changes, {} directories to go", changes.len(), waiting.len()));
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// Opens a path below a layer, without a link or a mount on the way; `None` when it is not there, not what was asked for, or
/// too long for any path.
fn open(layer: &OwnedFd, path: &Path, flags: i32) -> io::Result<Option<OwnedFd>> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let path = CString::new(path.as_os_str().as_bytes())?;
    let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV;
    match resolve::openat2(layer.as_fd(), &path, flags | libc::O_NOFOLLOW, 0, how) {
        Err(e)
            if matches!(
                e.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EXDEV | libc::ENAMETOOLONG)
            ) =>
        {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

fn open_directory(layer: &OwnedFd, path: &Path) -> io::Result<Option<OwnedFd>> {
    open(layer, path, libc::O_RDONLY | libc::O_DIRECTORY)
}

fn directory(top: &OwnedFd, lower: &[OwnedFd], todo: Todo, waiting: &mut Vec<Todo>, changes: &mut Vec<Change>) -> Result<()> {
    let at = || format!("read /{} of the writable layer", crate::log::value(&todo.path.to_string_lossy()));
    let Some(dir) = open_directory(top, &todo.path).at(at)? else { return Ok(()) };
    let mut seen = vec![];
    for name in entry::names(dir.as_fd()).at(at)? {
        let path = todo.path.join(OsStr::from_bytes(name.as_c_str().to_bytes()));
        seen.push(path.clone());
        // Gone since it was listed.
        let Some(handle) = open(top, &path, libc::O_PATH).at(at)? else { continue };
        let now = look(&handle).at(at)?;
        let before = below(lower, &todo.below, &path).at(at)?;
        if now.is_whiteout() {
            changes.extend(before.map(|before| Change::new(Kind::Deleted, &path, None, Some(before))));
            continue;
        }
        let own = if now.is_directory() { mark(top, &path).at(at)? } else { None };
        let hides = own.is_some() && before.is_some();
        let mut change = Change::new(if before.is_some() { Kind::Changed } else { Kind::Added }, &path, Some(now), before);
        change.opaque = hides;
        change.warning = warning(handle.as_fd(), &now, before.as_ref()).or_else(|| own.filter(|text| !text.is_empty()));
        if hides || change.is_worth_a_line() {
            changes.push(change);
        }
        if now.is_directory() {
            let opaque = todo.opaque || hides;
            let below = merged(lower, &todo.below, &path).at(at)?;
            waiting.push(Todo { path, below, opaque });
        }
    }
    if todo.opaque {
        hidden(lower, &todo, &seen, changes).at(at)?;
    }
    Ok(())
}

/// What was in a directory that is hidden now, and was not made again.
fn hidden(lower: &[OwnedFd], todo: &Todo, seen: &[PathBuf], changes: &mut Vec<Change>) -> io::Result<()> {
    let mut seen: HashSet<PathBuf> = seen.iter().cloned().collect();
    for layer in &todo.below {
        let Some(dir) = open_directory(&lower[*layer], &todo.path)? else { continue };
        for name in entry::names(dir.as_fd())? {
            let path = todo.path.join(OsStr::from_bytes(name.as_c_str().to_bytes()));
            if !seen.contains(&path) {
                let before = below(lower, &todo.below, &path)?;
                changes.extend(before.map(|before| Change::new(Kind::Deleted, &path, None, Some(before))));
                seen.insert(path);
            }
        }
    }
    Ok(())
}

/// What the layers below showed at `path`.
fn below(lower: &[OwnedFd], layers: &[usize], path: &Path) -> io::Result<Option<Look>> {
    for layer in layers {
        if let Some(handle) = open(&lower[*layer], path, libc::O_PATH)? {
            let found = look(&handle)?;
            return Ok((!found.is_whiteout()).then_some(found));
        }
    }
    Ok(None)
}

/// The layers that the directory `path` merges, of those that its parent merges.
fn merged(lower: &[OwnedFd], layers: &[usize], path: &Path) -> io::Result<Vec<usize>> {
    let mut found = vec![];
    for layer in layers {
        let Some(handle) = open(&lower[*layer], path, libc::O_PATH)? else { continue };
        if !look(&handle)?.is_directory() {
            break;
        }
        found.push(*layer);
        if mark(&lower[*layer], path)?.is_some() {
            break;
        }
    }
    Ok(found)
}

/// Whether a directory hides what lies below it: empty if it is opaque; where from, if it was moved here. The attributes are
/// root's (`trusted.`) or, of a mount without privilege, the user's.
fn mark(layer: &OwnedFd, path: &Path) -> io::Result<Option<String>> {
    let Some(dir) = open_directory(layer, path)? else { return Ok(None) };
    let value = |name| xattr::get(dir.as_fd(), name).ok();
    let either = |trusted, user| value(trusted).or_else(|| value(user));
    if either(c"trusted.overlay.opaque", c"user.overlay.opaque").is_some_and(|value| value == b"y") {
        return Ok(Some(String::new()));
    }
    let moved = either(c"trusted.overlay.redirect", c"user.overlay.redirect");
    Ok(moved.map(|from| format!("moved from {}", crate::log::value(&String::from_utf8_lossy(&from)))))
}

fn look(handle: &OwnedFd) -> io::Result<Look> {
    let stat = fstat(handle)?;
    Ok(Look {
        mode: stat.st_mode,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        used: stat.st_blocks as u64 * 512,
        modified: (stat.st_mtime, stat.st_mtime_nsec),
        device: stat.st_rdev,
    })
}

impl Look {
    fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    fn is_whiteout(&self) -> bool {
        self.kind() == libc::S_IFCHR && self.device == 0
    }

    /// Its type as find(1) calls it.
    pub fn type_name(&self) -> &'static str {
        match self.kind() {
            libc::S_IFDIR => "directory",
            libc::S_IFLNK => "link",
            libc::S_IFCHR => "character device",
            libc::S_IFBLK => "block device",
            libc::S_IFIFO => "fifo",
            libc::S_IFSOCK => "socket",
            _ => "file",
        }
    }
}

impl Change {
    fn new(kind: Kind, path: &Path, now: Option<Look>, before: Option<Look>) -> Self {
        let path = Path::new("/").join(path);
        Self { kind, path, now, before, opaque: false, warning: None }
    }

    /// A directory is in the layer as soon as something in it is: that alone is no change.
    fn is_worth_a_line(&self) -> bool {
        match (&self.now, &self.before) {
            (Some(now), Some(before)) if now.is_directory() && before.is_directory() => {
                (now.mode, now.uid, now.gid) != (before.mode, before.uid, before.gid)
            }
            _ => true,
        }
    }
}

/// What a new or changed file may do to a host on which the layer is used again, or which shares its users.
fn warning(handle: BorrowedFd, now: &Look, before: Option<&Look>) -> Option<String> {
    let had = |bit: u32| before.is_some_and(|before| before.kind() == libc::S_IFREG && before.mode & bit != 0);
    match now.kind() {
        libc::S_IFCHR | libc::S_IFBLK => {
            let (major, minor) = (nix::sys::stat::major(now.device), nix::sys::stat::minor(now.device));
            Some(format!("new {} {major}:{minor}", now.type_name()))
        }
        libc::S_IFREG => {
            let owner = |id: u32, what: &str| if id == 0 { "root".to_owned() } else { format!("{what} {id}") };
            if now.mode & libc::S_ISUID != 0 && !had(libc::S_ISUID) {
                return Some(format!("new SETUID {} file", owner(now.uid, "uid")));
            }
            if now.mode & libc::S_ISGID != 0 && now.mode & libc::S_IXGRP != 0 && !had(libc::S_ISGID) {
                return Some(format!("new SETGID {} file", owner(now.gid, "gid")));
            }
            let capable = xattr::get_of_handle(handle, c"security.capability").is_ok();
            capable.then(|| "file capabilities".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Looks;

    fn silent() -> Progress {
        Progress::begin(true, &Looks::default())
    }

    /// As whiteouts need CAP_MKNOD, these layers have none; tests/diff.rs sees real ones.
    #[test]
    fn a_file_in_the_way_hides_the_layers_below_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        for path in ["upper/a", "one", "two/a/deep"] {
            std::fs::create_dir_all(at(path)).expect("mkdir");
        }
        std::fs::write(at("one/a"), "a file").expect("write");
        std::fs::write(at("upper/a/new"), "x").expect("write");
        let changes = read(&at("upper"), &[at("one"), at("two")], &mut silent()).expect("read");
        let told: Vec<_> = changes.iter().map(|c| (c.kind, c.path.to_str().expect("UTF-8"))).collect();
        assert_eq!(told, [(Kind::Changed, "/a"), (Kind::Added, "/a/new")]);
        let changes = read(&at("upper"), &[at("two")], &mut silent()).expect("read");
        assert_eq!(changes.len(), 1, "a directory that is there because of its content: {changes:?}");
    }

    #[test]
    fn nesting_without_end_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("upper")).expect("mkdir");
        let top = std::fs::File::open(dir.path().join("upper")).expect("open");
        let mut here = OwnedFd::from(top);
        let name = resolve::Name::new("d".repeat(200)).expect("a name");
        for _ in 0..100 {
            here = entry::make_directory(here.as_fd(), &name).expect("mkdirat");
        }
        let changes = read(&dir.path().join("upper"), &[], &mut silent()).expect("read");
        assert!(changes.len() >= 19, "{}", changes.len());
        let parent = std::fs::File::open(dir.path()).expect("open");
        let upper = resolve::Name::new("upper").expect("a name");
        crate::sys::tree::remove(parent.as_fd(), &upper).expect("remove");
    }
}
