//! /proc/PID/mountinfo: which file trees a process sees, where they come from, and with which restrictions (proc_pid_mountinfo(5)).
//!
//! One line is one mount. `root` says which directory of the filesystem is mounted: for a bind mount of the host's /etc it is `/etc`,
//! while the mount point may be `/data`. Paths are as the kernel has them; they may hold anything but NUL, so they are not for
//! printing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number in this table.
    pub id: u32,
    /// The mount that it lies on.
    pub parent: u32,
    /// `major:minor` of the filesystem.
    pub device: String,
    /// What of the filesystem is mounted.
    pub root: PathBuf,
    /// Where, seen from the process's root.
    pub point: PathBuf,
    /// The mount's own options: `ro`, `nosuid`, …
    pub options: Vec<String>,
    /// `shared:N`, `master:N`, `propagate_from:N`, `unbindable`; empty for a private mount.
    pub propagation: Vec<String>,
    /// `ext4`, `proc`, `overlay`, …
    pub fstype: String,
    /// The filesystem's source, chosen by whoever mounted it.
    pub source: PathBuf,
    /// The filesystem's own options.
    pub superblock: Vec<String>,
}

impl Mount {
    /// Whether the mount has this option.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// Whether nothing can be written through it.
    pub fn is_read_only(&self) -> bool {
        self.has("ro") || self.superblock.iter().any(|o| o == "ro")
    }

    /// Whether mounts made here appear elsewhere too.
    pub fn is_shared(&self) -> bool {
        self.propagation.iter().any(|tag| tag.starts_with("shared:"))
    }

    /// The value of one of the filesystem's options: `lowerdir`.
    pub fn super_option(&self, key: &str) -> Option<&str> {
        self.superblock.iter().find_map(|o| o.strip_prefix(key)?.strip_prefix('='))
    }
}

/// Reads a table; lines that are none are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mount> {
    let (mount, fs) = line.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let mut next = || fields.next();
    let (id, parent, device, root, point, options) = (next()?, next()?, next()?, next()?, next()?, next()?);
    let propagation = fields.map(str::to_owned).collect();
    let mut fs = fs.split(' ');
    let (fstype, source) = (fs.next()?, fs.next()?);
    let list = |text: &str| text.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
    Some(Mount {
        id: id.parse().ok()?,
        parent: parent.parse().ok()?,
        device: device.to_owned(),
        root: unescaped(root),
        point: unescaped(point),
        options: list(options),
        propagation,
        fstype: fstype.to_owned(),
        source: unescaped(source),
        superblock: list(fs.next().unwrap_or_default()),
    })
}

/// The kernel writes blanks, newlines, tabs, `#` and backslashes as `\` with three octal digits.
fn unescaped(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 4).filter(|d| bytes[at] == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        match digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

/// The mount that `path` lies on: the last one of those whose point is the longest prefix of it. What lies below a mount that
/// was covered later is not seen, as in life.
pub fn at<'a>(table: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    table.iter().filter(|m| path.starts_with(&m.point)).max_by_key(|m| m.point.components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        22 21 0:5 / /proc rw,nosuid - proc proc rw\n\
        23 22 0:5 /sys /proc/sys ro,nosuid - proc proc rw\n\
        24 21 8:1 /srv/a\\040b /da\\134ta rw,nodev master:4 propagate_from:2 - ext4 /dev/sda1 rw,errors=remount-ro\n\
        25 21 0:9 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/u\nnonsense\n1 2 3 - x\n";

    #[test]
    fn reads_every_field() {
        let table = parse(TABLE);
        assert_eq!(table.len(), 5);
        let bind = &table[3];
        assert_eq!((bind.root.as_path(), bind.point.as_path()), (Path::new("/srv/a b"), Path::new("/da\\ta")));
        assert_eq!(
            (bind.propagation.as_slice(), bind.has("nodev")),
            (["master:4", "propagate_from:2"].map(String::from).as_slice(), true)
        );
        assert!(table[0].is_shared() && !bind.is_shared());
        assert!(table[2].is_read_only() && !bind.is_read_only());
        assert_eq!(table[4].super_option("lowerdir"), Some("/a:/b"));
    }

    #[test]
    fn finds_the_mount_of_a_path() {
        let table = parse(TABLE);
        let id = |path: &str| at(&table, Path::new(path)).map(|m| m.id);
        assert_eq!((id("/proc/sys/kernel"), id("/proc/1"), id("/etc")), (Some(23), Some(22), Some(25)));
    }

    #[test]
    fn a_bad_escape_stays_as_it_is() {
        assert_eq!(unescaped("a\\04"), Path::new("a\\04"));
        assert_eq!(unescaped("\\999\\012"), Path::new("\\999\n"));
    }
}
