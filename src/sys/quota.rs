//! Project quotas: how much one directory tree may hold (quotactl(2), ioctl_xfs_fsgetxattr(2)).
//!
//! A directory carries a project number that all made below it inherits; the filesystem counts per project. XFS and ext4
//! have them, when mounted so.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::check;
use super::resolve::openat2;

/// quotactl(2): project quotas, and the commands to get and set limits, as `QCMD` packs them.
const PROJECT: u32 = 2;
const GET: u32 = (0x80_0007 << 8) | PROJECT;
const SET: u32 = (0x80_0008 << 8) | PROJECT;
/// Which fields of a `dqblk` count: the limits of space.
const SPACE_LIMITS: u32 = 1;
/// Everything made below inherits the project.
const INHERIT: u32 = 0x200;
/// Projects of ours have numbers from here, out of the way of hand-numbered ones.
const FIRST: u32 = 0x4000_0000;

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GET_ATTRIBUTES: libc::c_ulong = nix::request_code_read!(b'X', 31, size_of::<Attributes>());
const SET_ATTRIBUTES: libc::c_ulong = nix::request_code_write!(b'X', 32, size_of::<Attributes>());

/// `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

impl Attributes {
    fn of(dir: BorrowedFd) -> io::Result<Self> {
        let mut attributes = Self::default();
        // SAFETY: the ioctl fills a struct of the size its number states.
        check(unsafe { libc::ioctl(dir.as_raw_fd(), GET_ATTRIBUTES, &raw mut attributes) } as libc::c_long)?;
        Ok(attributes)
    }

    /// Sets them; what is made in the directory from now on belongs to the project.
    fn set(mut self, dir: BorrowedFd) -> io::Result<()> {
        self.flags |= INHERIT;
        // SAFETY: the ioctl reads a struct of the size its number states.
        check(unsafe { libc::ioctl(dir.as_raw_fd(), SET_ATTRIBUTES, &raw const self) } as libc::c_long).map(drop)
    }
}

/// Counts what is in `other` with what is in `limited`: files cannot be renamed between projects.
pub fn share_limit(limited: BorrowedFd, other: BorrowedFd) -> io::Result<()> {
    let reopen = |dir| openat2(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, libc::RESOLVE_BENEATH);
    let (limited, other) = (reopen(limited)?, reopen(other)?);
    let mut attributes = Attributes::of(other.as_fd())?;
    attributes.project = Attributes::of(limited.as_fd())?.project;
    attributes.set(other.as_fd())
}

/// Limits what a directory may hold to `bytes`: a new, empty one, or one that was limited before. `false` when its
/// filesystem has no project quotas.
pub fn limit_directory(dir: BorrowedFd, bytes: u64) -> io::Result<bool> {
    let dir = openat2(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, libc::RESOLVE_BENEATH)?;
    let Some(mut project) = free_project(dir.as_fd())? else { return Ok(false) };
    let mut attributes = Attributes::of(dir.as_fd())?;
    if attributes.project >= FIRST {
        project = attributes.project;
    }
    attributes.project = project;
    attributes.set(dir.as_fd())?;
    set_limit(dir.as_fd(), project, bytes)?;
    Ok(true)
}

/// Takes the limit of [`limit_directory`] back, if there is one.
pub fn unlimit_directory(dir: BorrowedFd) -> io::Result<()> {
    match Attributes::of(dir) {
        Ok(attributes) if attributes.project >= FIRST => set_limit(dir, attributes.project, 0),
        _ => Ok(()),
    }
}

fn set_limit(dir: BorrowedFd, project: u32, bytes: u64) -> io::Result<()> {
    // SAFETY: dqblk is plain data; zero is valid for every field.
    let mut limits: libc::dqblk = unsafe { std::mem::zeroed() };
    // In blocks of 1024 bytes; a limit below one block would be none.
    limits.dqb_bhardlimit = bytes.div_ceil(1024);
    limits.dqb_bsoftlimit = limits.dqb_bhardlimit;
    limits.dqb_valid = SPACE_LIMITS;
    quotactl(dir, SET, project, &mut limits)
}

/// A project that holds nothing and has no limit, derived from the directory so that two starts seldom try the same.
/// `None` when the filesystem counts no projects.
fn free_project(dir: BorrowedFd) -> io::Result<Option<u32>> {
    let inode = nix::sys::stat::fstat(dir)?.st_ino as u32;
    for step in 0..1024 {
        let project = FIRST | (inode.wrapping_add(step) & (FIRST - 1));
        // SAFETY: dqblk is plain data; zero is valid for every field.
        let mut used: libc::dqblk = unsafe { std::mem::zeroed() };
        match quotactl(dir, GET, project, &mut used) {
            // XFS: it was never used.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => return Ok(Some(project)),
            Err(_) => return Ok(None),
            Ok(()) if used.dqb_curspace == 0 && used.dqb_curinodes == 0 && used.dqb_bhardlimit == 0 => return Ok(Some(project)),
            Ok(()) => {}
        }
    }
    Err(io::Error::from_raw_os_error(libc::EDQUOT))
}

/// quotactl_fd(2), Linux 5.14.
fn quotactl(dir: BorrowedFd, command: u32, project: u32, data: &mut libc::dqblk) -> io::Result<()> {
    // SAFETY: the kernel reads or fills exactly one dqblk.
    check(unsafe { libc::syscall(libc::SYS_quotactl_fd, dir.as_raw_fd(), command, project, std::ptr::from_mut(data)) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filesystem_without_projects_says_so() {
        // /proc never has quotas.
        let dir = std::fs::File::open("/proc").expect("open /proc");
        assert!(!limit_directory(dir.as_fd(), 4096).expect("an answer"));
    }
}
