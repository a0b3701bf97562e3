//! What the kernel says of processes and containers as they are now (proc(5), namespaces(7), cgroups(7)).
//!
//! Everything goes through [`Process`], a handle of `/proc/PID`: when the process ends, reads through it fail, and never show the
//! process that got its pid next. So a read answers `Option`: `None` is "gone, or not ours to see", which is no error while one looks at
//! others. Names of processes are escaped when they are read, as programs choose them; paths stay as they are, to be compared and
//! opened: show them through [`crate::log::value`] or [`shown`].
//!
//! How to use it: [`container::all`] or [`container::find`] → `container.init` → [`Process::namespaces`], [`Process::status`],
//! [`Process::mounts`], [`Process::limits`], … ; without a container, [`Process::open`] of any pid.

pub mod container;
pub mod groups;
pub mod maps;
pub mod mounts;
pub mod namespaces;
pub mod processes;
pub mod status;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::Mode;

use crate::host::Cgroups;

/// The largest file of procfs that is read: a mount table of thousands of lines fits.
const LARGEST: u64 = 8 << 20;

/// One process of this machine, as its directory in /proc. Later reads are of the same process, or fail.
#[derive(Debug)]
pub struct Process {
    /// Its id in rrun's pid namespace.
    pub pid: i32,
    dir: OwnedFd,
}

impl Process {
    /// `None` when there is no such process.
    pub fn open(pid: i32) -> Option<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(format!("/proc/{pid}").as_str(), flags, Mode::empty()).ok()?;
        Some(Self { pid, dir })
    }

    /// rrun itself.
    pub fn own() -> Option<Self> {
        Self::open(std::process::id().cast_signed())
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let file = openat(&self.dir, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = vec![];
        File::from(file).take(LARGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A file of its directory, such as `oom_score_adj` or `net/dev`. What is not UTF-8 in it is replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes(name)?).into_owned())
    }

    /// Where one of its links leads: `exe`, `cwd`, `ns/net`.
    pub fn link(&self, name: &str) -> Option<PathBuf> {
        readlinkat(&self.dir, name).ok().map(PathBuf::from)
    }

    /// Its directory, to open what is behind a magic link (`root`, `fd/3`).
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// What /proc/PID/status says.
    pub fn status(&self) -> Option<status::Status> {
        status::Status::parse(&self.text("status")?)
    }

    /// Its name, parent and start time.
    pub fn stat(&self) -> Option<processes::Stat> {
        processes::Stat::parse(&self.text("stat")?)
    }

    /// Its command line, escaped, words divided by blanks; empty for a kernel thread or a zombie.
    pub fn args(&self) -> Option<String> {
        let bytes = self.bytes("cmdline")?;
        let words = String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(&bytes)).replace('\0', " ");
        Some(crate::log::value(&words))
    }

    /// The namespaces that it is in.
    pub fn namespaces(&self) -> namespaces::Namespaces {
        namespaces::Namespaces::of(self)
    }

    /// Its user namespace's map of user ids (`uid_map`).
    pub fn uid_map(&self) -> Option<maps::IdMap> {
        self.text("uid_map").map(|text| maps::IdMap::parse(&text))
    }

    /// As [`Process::uid_map`], of group ids.
    pub fn gid_map(&self) -> Option<maps::IdMap> {
        self.text("gid_map").map(|text| maps::IdMap::parse(&text))
    }

    /// Its mount table, in the order of mounting.
    pub fn mounts(&self) -> Option<Vec<mounts::Mount>> {
        self.text("mountinfo").map(|text| mounts::parse(&text))
    }

    /// The cgroups that it is in, as directories of this machine.
    pub fn groups(&self) -> Option<groups::Groups> {
        let mountinfo = crate::host::mount_table().ok()?;
        Some(groups::Groups::of_hierarchies(&Cgroups::parse(&mountinfo, &self.text("cgroup")?)))
    }

    /// What its cgroups allow it.
    pub fn limits(&self) -> Option<groups::Limits> {
        self.groups().map(|groups| groups.limits())
    }

    /// Its label of AppArmor or SELinux; `None` also where it is `unconfined`, where there is no such module, and where SELinux
    /// has no policy, by which everything is `kernel`.
    pub fn label(&self) -> Option<String> {
        let text = self.text("attr/current")?;
        let label = text.trim_end_matches(['\0', '\n']);
        (!label.is_empty() && !["unconfined", "kernel"].contains(&label) && !label.contains(":unconfined_t:"))
            .then(|| crate::log::value(label))
    }
}

/// A path as it may be shown.
pub fn shown(path: &Path) -> String {
    crate::log::value(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let own = Process::own().expect("it is there");
        assert_eq!(own.status().expect("status").pid, own.pid);
        assert!(own.namespaces().get(namespaces::Kind::Pid).is_some());
        assert!(own.uid_map().is_some_and(|map| !map.0.is_empty()));
        assert!(own.mounts().is_some_and(|mounts| mounts.iter().any(|m| m.point == Path::new("/"))));
        assert!(own.args().is_some_and(|args| !args.is_empty()));
    }

    #[test]
    fn a_process_that_vanished_is_none_and_never_another() {
        let mut child = std::process::Command::new("true").spawn().expect("start true");
        let process = Process::open(child.id().cast_signed()).expect("not reaped yet");
        child.wait().expect("reap");
        assert!(process.status().is_none() && process.mounts().is_none() && process.args().is_none());
        assert_eq!(process.namespaces(), namespaces::Namespaces::default());
        assert!(Process::open(-1).is_none());
    }
}
