//! A container's directory below the state root: who may make it, who may read it, who holds it.
//!
//! `kill` and `delete` believe what stands here, as root. So a state root that others can write is refused, links are not
//! followed, and each file is replaced in one step (rename(2)): a reader sees the old or the new, never a half.
//!
//! Commands that change a container hold a record lock on `<id>/lock` (fcntl(2), F_SETLK). Such a lock belongs to the
//! process, not to the descriptor: the container's init, which inherits every descriptor and then waits for `start`, does
//! not inherit it, and it ends with the process, however that ends. Commands that only read take no lock.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat, renameat};
use nix::sys::stat::{Mode, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::root::{StateRoot, no_container};
use super::{State, check_id, files};
use crate::error::{At, Error, Result};

/// What engines take for "no such container".
pub const MISSING: &str = "container does not exist";

/// How long a command waits for another one that holds the container.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any state: what is longer is not ours.
const LARGEST: u64 = 16 << 20;

/// A container's directory below the state root, locked by this process if it may change it.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    dir: OwnedFd,
    lock: Option<File>,
}

impl StateDir {
    /// The directory behind a handle, not locked.
    pub(super) fn unlocked(path: PathBuf, dir: OwnedFd) -> Self {
        Self { path, dir, lock: None }
    }

    /// Claims the id: makes `<root>/<id>` (0700) or fails with `container with given ID already exists`.
    pub fn create(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let root = StateRoot::open_or_make(root)?;
        root.make(id)?;
        // A full disk has room for a directory but not for a file in it: then the id is given back.
        root.container(id).and_then(Self::locked).inspect_err(|_| root.unmake(id))
    }

    fn locked(mut self) -> Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let lock = openat(&self.dir, "lock", flags, Mode::from_bits_truncate(0o600));
        let lock = lock.map(File::from).at(|| format!("make {}/lock", self.path.display()))?;
        if !self.lock_by(lock)? {
            self.acquire()?;
        }
        Ok(self)
    }

    /// Keeps the claim if what had to be done before anything was made is done; else gives the id back.
    pub fn claimed_for<T>(self, done: Result<T>) -> Result<(Self, T)> {
        match done {
            Ok(done) => Ok((self, done)),
            Err(e) => {
                // The error that led here is the one to report.
                self.remove().ok();
                Err(e)
            }
        }
    }

    /// Opens and locks an existing container's directory, else `container does not exist`. Waits for a command that holds
    /// it, at most ten seconds.
    pub fn open(root: &Path, id: &str) -> Result<Self> {
        let mut dir = Self::read(root, id)?;
        dir.acquire()?;
        Ok(dir)
    }

    /// Opens an existing container's directory to look at it: no lock, so that nothing hangs behind a running `create`.
    pub fn read(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        match StateRoot::open(root) {
            Err(e) if e.errno() == Some(libc::ENOENT) => Err(no_container(id, root, &[])),
            opened => opened?.container(id),
        }
    }

    /// Takes the lock, waiting at most ten seconds.
    pub fn acquire(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let end = Instant::now() + PATIENCE;
        let mut pause = Duration::from_millis(1);
        while !self.try_acquire()? {
            if Instant::now() >= end {
                let said = format!("container {} is held by another command", self.id());
                return Err(Error::new(said).hint("wait for it to end, or end it"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Takes the lock if nobody holds it. A directory that was removed meanwhile is `container does not exist`.
    pub fn try_acquire(&mut self) -> Result<bool> {
        let file = self.lock_file()?;
        self.lock_by(file)
    }

    fn lock_by(&mut self, file: File) -> Result<bool> {
        let said = || format!("lock {}", self.path.display());
        match fcntl(&file, FcntlArg::F_SETLK(&whole_file())) {
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            locked => locked.at(said)?,
        };
        // Between our opening the directory and our lock, its holder may have removed it.
        if self.is_removed()? {
            return Err(self.gone());
        }
        self.lock = Some(file);
        Ok(true)
    }

    /// Opens the lock file. It is missing while a directory is being made or removed, which takes no time, and for ever if
    /// that was cut short: only then is it made here.
    fn lock_file(&self) -> Result<File> {
        let open = |more: OFlag| {
            openat(
                &self.dir,
                "lock",
                OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | more,
                Mode::from_bits_truncate(0o600),
            )
        };
        for _ in 0..20 {
            match open(OFlag::empty()) {
                Err(Errno::ENOENT) if self.is_removed()? => return Err(self.gone()),
                Err(Errno::ENOENT) => std::thread::sleep(Duration::from_millis(5)),
                file => return file.map(File::from).at(|| format!("open {}/lock", self.path.display())),
            }
        }
        open(OFlag::O_CREAT).map(File::from).at(|| format!("open {}/lock", self.path.display()))
    }

    /// Whether a directory without a record is just being made or removed. Its lock file goes last, and then the directory
    /// at once.
    fn is_passing(&self) -> Result<bool> {
        for _ in 0..20 {
            if self.holder().is_some() || self.is_removed()? {
                return Ok(true);
            }
            if self.has("lock") {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(false)
    }

    fn is_removed(&self) -> Result<bool> {
        Ok(fstat(&self.dir).at(|| format!("stat {}", self.path.display()))?.st_nlink == 0)
    }

    /// Gives the lock back early: a foreground `run` must not keep `kill` and `delete` waiting for its container's life.
    pub fn release(&mut self) {
        self.lock = None;
    }

    /// Whether a command holds the container: we, or another process.
    pub fn is_held(&self) -> bool {
        self.lock.is_some() || self.holder().is_some()
    }

    /// The process that holds the container, if it is not this one.
    pub fn holder(&self) -> Option<i32> {
        // To open the lock file a second time and close it would end a lock of our own (fcntl(2)).
        if self.lock.is_some() {
            return None;
        }
        let Ok(file) = openat(&self.dir, "lock", OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()) else {
            return None;
        };
        let mut lock = whole_file();
        fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
        (i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid)
    }

    fn gone(&self) -> Error {
        Error::new(MISSING).code("E-NOID")
    }

    /// The container's id: the name of the directory.
    pub fn id(&self) -> &str {
        self.path.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes both files, each by rename: rrun.json, and (once there is a process to speak of) state.json.
    pub fn save(&self, state: &State) -> Result<()> {
        self.stage(state)?;
        self.commit(state)
    }

    /// The first half of [`StateDir::save`]: writes what is not yet to be seen. Without fsync: a state that a crash of the
    /// machine loses speaks of processes that the crash ended too.
    pub fn stage(&self, state: &State) -> Result<()> {
        self.write(&new("rrun.json"), &files::own(state))?;
        if state.pid != 0 { self.write(&new("state.json"), &files::like_runc(state)) } else { Ok(()) }
    }

    /// The second half: from here it holds, each file replaced in one step.
    pub fn commit(&self, state: &State) -> Result<()> {
        let names: &[&str] = if state.pid != 0 { &["rrun.json", "state.json"] } else { &["rrun.json"] };
        for name in names {
            renameat(&self.dir, new(name).as_str(), &self.dir, *name)
                .at(|| format!("write {}", self.path.join(name).display()))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, text: &[u8]) -> Result<()> {
        let said = || format!("write {}", self.path.join(name).display());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.dir, name, flags, Mode::from_bits_truncate(0o600)).at(said)?;
        File::from(file).write_all(text).at(said)
    }

    /// Keeps the text of config.json: what holds for the container's later processes is what it was made from, whatever
    /// becomes of the bundle. Not by rename: nobody reads it before there is a process.
    pub fn keep_config(&self, text: &[u8]) -> Result<()> {
        self.write("config.json", text)
    }

    /// The text that [`StateDir::keep_config`] kept.
    pub fn config(&self) -> Result<Vec<u8>> {
        self.text("config.json").at(|| format!("read {}", self.path.join("config.json").display()))
    }

    /// Reads the state. A missing or broken file is an error that names `delete --force`.
    pub fn load(&self) -> Result<State> {
        let damaged = |e: Error| {
            e.context(format!("state of container {} is damaged", self.id()))
                .code("E-STATE")
                .hint(format!("rrun delete --force {} removes what is left of it", self.id()))
        };
        let text = match self.text("rrun.json") {
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.is_passing()? => return Err(self.gone()),
            text => text.at(|| "read rrun.json").map_err(damaged)?,
        };
        let mut state = files::read_own(&text).map_err(damaged)?;
        // Groups do not outlive a boot. Whoever is in one of the same name now is not the container's, and not ours to kill.
        state.cgroups.shared |= state.boot_id != super::boot_id()?;
        if state.id != self.id() {
            return Err(damaged(Error::new("rrun.json speaks of another container")));
        }
        Ok(state)
    }

    /// What can still be known of a container whose state is damaged: from rrun.json, else from the parts of state.json
    /// that say where its processes and groups are.
    pub fn salvage(&self) -> Option<State> {
        self.load().ok().or_else(|| files::read_like_runc(self.id(), &self.text("state.json").ok()?))
    }

    fn text(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.dir, name, flags, Mode::empty())?);
        // Most fit, and what does not fill the page is all: `list` reads a thousand of them.
        let mut page = [0; 8192];
        let n = file.read(&mut page)?;
        let mut text = page[..n].to_vec();
        if n == page.len() {
            file.take(LARGEST - n as u64).read_to_end(&mut text)?;
        }
        Ok(text)
    }

    /// Leaves an empty file of this name.
    pub fn mark(&self, name: &str) -> Result<()> {
        self.write(name, b"")
    }

    /// Its descriptor's number, for init to close its copy.
    pub fn number(&self) -> RawFd {
        self.dir.as_raw_fd()
    }

    /// Whether an entry of this name exists in it.
    pub fn has(&self, name: &str) -> bool {
        fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes the directory with everything in it; links are removed, not followed. The lock goes last: who finds no record
    /// but a held lock knows why.
    pub fn remove(self) -> Result<()> {
        let said = || format!("remove {}", self.path.display());
        if self.remove_known() {
            return Ok(());
        }
        for entry in std::fs::read_dir(&self.path).at(said)? {
            let entry = entry.at(said)?;
            if entry.file_name() != "lock" {
                let is_dir = entry.file_type().at(said)?.is_dir();
                let path = entry.path();
                if is_dir { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.at(said)?;
            }
        }
        std::fs::remove_dir_all(&self.path).at(said)
    }

    /// Removes what a container that ended well leaves, in few calls. `false`: there is more in it.
    fn remove_known(&self) -> bool {
        for name in ["state.json", "rrun.json", "config.json", "lock"] {
            if !matches!(unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir), Ok(()) | Err(Errno::ENOENT)) {
                return false;
            }
        }
        std::fs::remove_dir(&self.path).is_ok()
    }

    /// Removes one file in it; a missing one is no error.
    pub fn remove_file(&self, name: &str) -> Result<()> {
        match unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            removed => removed.at(|| format!("unlink {}", self.path.join(name).display())),
        }
    }
}

impl AsFd for StateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// What a file is called while it is written.
fn new(name: &str) -> String {
    format!(".{name}.new")
}

/// An exclusive lock on a whole file.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
