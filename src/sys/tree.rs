//! Removes directory trees of hostile content, on handles alone.
//!
//! A container's writable layer holds whatever its processes left: links to the host, names without end, directories nested
//! deeper than any stack or descriptor table. Every step here is one [`Name`] on one handle, links are objects and never
//! paths, and mounts are not entered.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::entry;
use super::resolve::{Name, openat2};

/// How many directories are open at a time. What lies deeper is first moved up.
const OPEN: usize = 32;

/// A directory being emptied.
struct Level {
    dir: OwnedFd,
    /// What is still in it.
    names: Vec<Name>,
    /// Whether the last of `names` is a directory that was emptied.
    emptied: bool,
}

impl Level {
    fn open(dir: BorrowedFd, name: &Name) -> io::Result<Self> {
        // NO_XDEV: a mount that is in the way is an error (EXDEV), not something to empty.
        let how = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV;
        let open = |flags| openat2(dir, name.as_c_str(), flags | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0, how);
        let dir = match open(libc::O_RDONLY) {
            // Without privilege a directory must be opened to oneself first; overlay's own has mode 0.
            Err(e) if e.raw_os_error() == Some(libc::EACCES) => {
                entry::change_mode(open(libc::O_PATH)?.as_fd(), 0o700)?;
                open(libc::O_RDONLY)?
            }
            dir => dir?,
        };
        let names = entry::names(dir.as_fd())?;
        Ok(Self { dir, names, emptied: false })
    }
}

/// Removes `name` in `dir` with everything below it. What is missing is no error; a mount below is EBUSY or EXDEV.
pub fn remove(dir: BorrowedFd, name: &Name) -> io::Result<()> {
    match remove_leaf(dir, name) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(()),
        Err(e) if e.raw_os_error() == Some(libc::ENOTEMPTY) => {}
        done => return done,
    }
    empty(Level::open(dir, name)?)?;
    entry::remove(dir, name, true)
}

/// Removes what needs no emptying: anything but a full directory, which is ENOTEMPTY.
fn remove_leaf(dir: BorrowedFd, name: &Name) -> io::Result<()> {
    match entry::remove(dir, name, false) {
        Err(e) if e.raw_os_error() == Some(libc::EISDIR) => entry::remove(dir, name, true),
        done => done,
    }
}

fn empty(top: Level) -> io::Result<()> {
    let mut levels = vec![top];
    let mut moved = 0u64;
    loop {
        let shallow = levels.len() < OPEN;
        let Some(level) = levels.last_mut() else { return Ok(()) };
        let Some(name) = level.names.last() else {
            levels.pop();
            if let Some(above) = levels.last_mut() {
                above.emptied = true;
            }
            continue;
        };
        match remove_leaf(level.dir.as_fd(), name) {
            Err(e) if e.raw_os_error() == Some(libc::ENOTEMPTY) && !level.emptied => {}
            Err(e) if e.raw_os_error() != Some(libc::ENOENT) => return Err(e),
            _ => {
                level.emptied = false;
                level.names.pop();
                continue;
            }
        }
        if shallow {
            let next = Level::open(level.dir.as_fd(), name)?;
            levels.push(next);
        } else {
            move_up(&mut levels, &mut moved)?;
        }
    }
}

/// Moves the next directory of the deepest level into the topmost one, where its turn comes later.
fn move_up(levels: &mut [Level], moved: &mut u64) -> io::Result<()> {
    let [top, .., deepest] = levels else { return Err(io::Error::from_raw_os_error(libc::EINVAL)) };
    let Some(name) = deepest.names.pop() else { return Ok(()) };
    loop {
        let new = Name::new(format!("rrun-moved-{moved}"))?;
        *moved += 1;
        match entry::rename(deepest.dir.as_fd(), &name, top.dir.as_fd(), &new) {
            // Somebody else's file has this name.
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => continue,
            Err(e) => return Err(e),
            // Not last: the last one is the directory in which the deeper levels are being emptied.
            Ok(()) => {
                top.names.insert(0, new);
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().expect("a directory");
        let handle = std::fs::File::open(dir.path()).expect("its handle");
        (dir, handle.into())
    }

    #[test]
    fn leaves_what_links_point_to() {
        let (dir, handle) = scratch();
        std::fs::create_dir_all(dir.path().join("outside")).expect("mkdir");
        std::fs::write(dir.path().join("outside/kept"), "x").expect("write");
        std::fs::create_dir_all(dir.path().join("victim/sub")).expect("mkdir");
        std::os::unix::fs::symlink("../../outside", dir.path().join("victim/sub/link")).expect("symlink");
        remove(handle.as_fd(), &Name::new("victim").expect("a name")).expect("remove");
        assert!(!dir.path().join("victim").exists());
        assert!(dir.path().join("outside/kept").exists());
    }

    #[test]
    fn survives_nesting_deeper_than_any_descriptor_table() {
        let (dir, handle) = scratch();
        std::fs::create_dir(dir.path().join("deep")).expect("mkdir");
        let name = Name::new("rrun-moved-0").expect("a name");
        let mut here = entry::open(handle.as_fd(), &Name::new("deep").expect("a name")).expect("open");
        for _ in 0..3000 {
            entry::make_file(here.as_fd(), &Name::new("f").expect("a name")).expect("file");
            here = entry::make_directory(here.as_fd(), &name).expect("mkdirat");
        }
        remove(handle.as_fd(), &Name::new("deep").expect("a name")).expect("remove");
        assert!(!dir.path().join("deep").exists());
    }

    #[test]
    fn what_is_missing_is_no_error() {
        let (_dir, handle) = scratch();
        remove(handle.as_fd(), &Name::new("nothing").expect("a name")).expect("nothing to do");
    }
}
