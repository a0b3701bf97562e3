//! Mounts of new filesystems: proc, sysfs, tmpfs, devpts, mqueue, cgroup2, overlay, and whatever else the kernel has
//! (fsopen(2), fsconfig(2), fsmount(2)).
//!
//! mount(2) with `ro` makes both the mount and its superblock read-only; so does this. The kernel's own words about an
//! option that it refuses come back with the error.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::stat::fstat;

use super::copy_up;
use crate::error::{At, Error, Result};
use crate::sys::fd::{Spent, cwd};
use crate::sys::mount::{Attributes, Filesystem, LONGEST_VALUE, set_attributes};
use crate::sys::resolve::openat2;
use crate::sys::xattr;

/// What is to be done about a label that was refused.
const LABEL: &str = "correct linux.mountLabel, or the mount's own context: the loaded policy knows no such label";

/// A filesystem to make.
#[derive(Debug, Clone, Default)]
pub(super) struct New {
    /// Its type.
    pub fstype: CString,
    /// Its source: a device, or just a word that the mount table shows.
    pub source: CString,
    /// Flags of the superblock, in order.
    pub flags: Vec<&'static CStr>,
    /// Its own options, in order.
    pub data: Vec<Data>,
    /// `MOUNT_ATTR_*`.
    pub attributes: u64,
    /// Propagations, in order.
    pub propagations: Vec<u64>,
    /// A tmpfs without `mode=`: it takes the permissions of the directory that it covers.
    pub takes_mode: bool,
    /// A tmpfs that starts with the content of the directory that it covers.
    pub copies_up: bool,
    /// The SELinux label of its root, where the filesystem has no option for it.
    pub label: Option<CString>,
}

/// One option of a filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    /// `newinstance`.
    Flag(CString),
    /// `mode=755`.
    Text(CString, CString),
    /// Directories whose paths are too long for a text.
    Directories(CString, Vec<CString>),
}

impl New {
    /// Makes the superblock and its mount, attached nowhere. `covered` is the directory that it will be attached to.
    pub fn mount(&self, covered: BorrowedFd, spent: &mut Spent) -> Result<OwnedFd> {
        let fs = Filesystem::open(&self.fstype).at(|| format!("fsopen {}", self.describe()))?;
        let said = |e: Error| match fs.message() {
            Some(message) => e.hint(format!("the kernel says: {message}")),
            None => e,
        };
        let held = self.configure(&fs, covered).map_err(said)?;
        // What is read-only from birth cannot be filled.
        let late = if self.copies_up || self.label.is_some() { self.attributes & libc::MOUNT_ATTR_RDONLY } else { 0 };
        let made = fs.mount(self.attributes & !late).at(|| format!("fsmount {}", self.describe())).map_err(said)?;
        held.into_iter().for_each(|fd| spent.push(fd));
        spent.push(fs);
        if self.copies_up {
            copy_up::fill(made.as_fd(), covered)?;
        }
        if let Some(label) = &self.label {
            let root = openat2(made.as_fd(), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, 0).at(|| "open the new mount")?;
            xattr::set(root.as_fd(), c"security.selinux", label.to_bytes())
                .at(|| format!("fsetxattr security.selinux={}", label.to_string_lossy()))
                .map_err(|e| e.hint(LABEL))?;
        }
        if late != 0 {
            set_attributes(made.as_fd(), false, &Attributes::setting(late)).at(|| "mount_setattr")?;
        }
        for kind in &self.propagations {
            set_attributes(made.as_fd(), false, &Attributes::propagate(*kind)).at(|| "mount_setattr")?;
        }
        Ok(made)
    }

    /// Returns the descriptors that options name; old kernels look at them only when the filesystem is made.
    fn configure(&self, fs: &Filesystem, covered: BorrowedFd) -> Result<Vec<OwnedFd>> {
        if !self.source.is_empty() {
            fs.set_string(c"source", &self.source).at(|| "fsconfig source")?;
        }
        for flag in &self.flags {
            fs.set_flag(flag).at(|| format!("fsconfig {}", flag.to_string_lossy()))?;
        }
        if self.takes_mode {
            let mode = fstat(covered).at(|| "fstat")?.st_mode & 0o7777;
            let mode = CString::new(format!("{mode:o}")).expect("a number has no NUL");
            fs.set_string(c"mode", &mode).at(|| "fsconfig mode")?;
        }
        let mut held = vec![];
        for data in &self.data {
            let set = data.set(fs, &mut held).at(|| format!("fsconfig {data}"));
            set.map_err(|e| if data.key() == c"context" { e.hint(LABEL) } else { e })?;
        }
        Ok(held)
    }

    /// Whether it shows the kernel itself: such a mount must stand on a real directory.
    pub fn is_kernel_view(&self) -> bool {
        matches!(self.fstype.to_bytes(), b"proc" | b"sysfs")
    }

    /// Whether nothing is in it but what rrun puts there: a tmpfs that is not filled from the image.
    pub fn starts_empty(&self) -> bool {
        self.fstype.to_bytes() == b"tmpfs" && !self.copies_up
    }

    /// Whether the directory that it covers decides how it is made.
    pub fn looks_at_covered(&self) -> bool {
        self.takes_mode || self.copies_up
    }

    /// The type, for messages.
    pub fn describe(&self) -> String {
        self.fstype.to_string_lossy().into_owned()
    }
}

impl Data {
    /// Reads `key` or `key=value`. Overlay's directories may have paths longer than fsconfig(2) takes as text; they are
    /// then named by their descriptors.
    pub fn parse(fstype: &str, option: &str) -> std::result::Result<Vec<Self>, std::ffi::NulError> {
        let Some((key, value)) = option.split_once('=') else {
            return Ok(vec![Self::Flag(CString::new(option)?)]);
        };
        // In mount(2)'s one text a label stands between quotes because of its commas; here nothing splits at them.
        let value = if key.ends_with("context") { value.trim_matches('"') } else { value };
        if value.len() <= LONGEST_VALUE || fstype != "overlay" {
            return Ok(vec![Self::Text(CString::new(key)?, CString::new(value)?)]);
        }
        match key {
            "upperdir" | "workdir" => Ok(vec![Self::Directories(CString::new(key)?, vec![CString::new(value)?])]),
            "lowerdir" if !value.contains("::") => {
                let layers = value.split(':').map(CString::new).collect::<std::result::Result<_, _>>()?;
                Ok(vec![Self::Directories(CString::new(key)?, layers)])
            }
            _ => Ok(vec![Self::Text(CString::new(key)?, CString::new(value)?)]),
        }
    }

    fn set(&self, fs: &Filesystem, held: &mut Vec<OwnedFd>) -> std::io::Result<()> {
        match self {
            Self::Flag(key) => fs.set_flag(key),
            Self::Text(key, value) => fs.set_string(key, value),
            Self::Directories(key, paths) => {
                let mut names = vec![];
                for path in paths {
                    let dir = openat2(cwd(), path, libc::O_PATH | libc::O_DIRECTORY, 0, 0)?;
                    names.push(format!("/proc/self/fd/{}", dir.as_raw_fd()));
                    held.push(dir);
                }
                fs.set_string(key, &CString::new(names.join(":"))?)
            }
        }
    }

    /// The option's name.
    pub fn key(&self) -> &CStr {
        match self {
            Self::Flag(key) | Self::Text(key, _) | Self::Directories(key, _) => key,
        }
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(key) => write!(f, "{}", key.to_string_lossy()),
            Self::Text(key, value) => write!(f, "{}={}", key.to_string_lossy(), value.to_string_lossy()),
            Self::Directories(key, paths) => {
                let paths: Vec<_> = paths.iter().map(|p| p.to_string_lossy()).collect();
                write!(f, "{}={}", key.to_string_lossy(), paths.join(":"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_overlay_paths_go_by_descriptor() {
        let long = format!("lowerdir={}:/b", "/a".repeat(200));
        let parsed = Data::parse("overlay", &long).expect("no NUL");
        assert!(matches!(&parsed[..], [Data::Directories(key, paths)] if &**key == c"lowerdir" && &*paths[1] == c"/b"));
        assert!(matches!(Data::parse("tmpfs", &long).expect("no NUL")[0], Data::Text(..)));
    }

    #[test]
    fn flags_and_texts_are_told_apart() {
        assert_eq!(Data::parse("devpts", "newinstance").expect("no NUL"), [Data::Flag(c"newinstance".into())]);
        assert_eq!(Data::parse("tmpfs", "mode=755").expect("no NUL"), [Data::Text(c"mode".into(), c"755".into())]);
        assert!(Data::parse("tmpfs", "a\0b").is_err());
        let context = Data::parse("tmpfs", r#"context="u:r:t:s0:c1,c2""#).expect("no NUL");
        assert_eq!(context, [Data::Text(c"context".into(), c"u:r:t:s0:c1,c2".into())]);
    }
}
