//! Mounts as objects: made unattached, given their flags, attached to a handle (fsopen(2), open_tree(2),
//! mount_setattr(2), move_mount(2)).
//!
//! A mount that is made by path can be led elsewhere by whoever swaps a symbolic link in time, and "bind, then remount
//! read-only" leaves a window in which it is writable. An object has neither.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;

use super::check;
use super::resolve::Name;

/// `FSCONFIG_*` commands of fsconfig(2).
const SET_FLAG: u32 = 0;
const SET_STRING: u32 = 1;
const SET_FD: u32 = 5;
const CMD_CREATE: u32 = 6;

/// The longest value that [`Filesystem::set_string`] can carry: the kernel copies 256 bytes with the final NUL.
pub const LONGEST_VALUE: usize = 255;

/// The attributes of a mount (mount_setattr(2)): what to set, what to clear, how to propagate.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0 to leave the propagation as it is.
    pub propagation: u64,
    /// The descriptor of the user namespace for `MOUNT_ATTR_IDMAP`, else 0.
    pub userns_fd: u64,
}

impl Attributes {
    /// Whether applying them would do nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Only a propagation (`MS_PRIVATE`, …).
    pub fn propagate(propagation: u64) -> Self {
        Self { propagation, ..Self::default() }
    }

    /// Only attributes to set.
    pub fn setting(set: u64) -> Self {
        Self { set, ..Self::default() }
    }
}

/// A new, unconfigured filesystem of the type `fstype` (fsopen(2)).
#[derive(Debug)]
pub struct Filesystem(OwnedFd);

impl Filesystem {
    /// fsopen(2).
    pub fn open(fstype: &CStr) -> io::Result<Self> {
        // SAFETY: fstype is NUL-terminated.
        let fd = check(unsafe {
            libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), 1 /* FSOPEN_CLOEXEC */)
        })?;
        // SAFETY: a new descriptor that only we own.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    fn config(&self, cmd: u32, key: *const libc::c_char, value: *const libc::c_char, aux: RawFd) -> io::Result<()> {
        // SAFETY: key and value are null or NUL-terminated strings that outlive the call.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), cmd, key, value, aux) }).map(drop)
    }

    /// Sets a flag of the filesystem (`FSCONFIG_SET_FLAG`), such as `ro`.
    pub fn set_flag(&self, key: &CStr) -> io::Result<()> {
        self.config(SET_FLAG, key.as_ptr(), ptr::null(), 0)
    }

    /// Sets an option with a text value (`FSCONFIG_SET_STRING`), such as `mode` `755`; at most [`LONGEST_VALUE`] bytes.
    pub fn set_string(&self, key: &CStr, value: &CStr) -> io::Result<()> {
        self.config(SET_STRING, key.as_ptr(), value.as_ptr(), 0)
    }

    /// Sets an option whose value is a descriptor (`FSCONFIG_SET_FD`), such as overlay's `lowerdir+` (Linux 6.13).
    pub fn set_fd(&self, key: &CStr, value: BorrowedFd) -> io::Result<()> {
        self.config(SET_FD, key.as_ptr(), ptr::null(), value.as_raw_fd())
    }

    /// Creates the superblock and returns its mount, attached nowhere. `attributes` are `MOUNT_ATTR_*`.
    pub fn mount(&self, attributes: u64) -> io::Result<OwnedFd> {
        self.config(CMD_CREATE, ptr::null(), ptr::null(), 0)?;
        // SAFETY: plain numbers.
        let fd = check(unsafe {
            libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), 1 /* FSMOUNT_CLOEXEC */, attributes)
        })?;
        // SAFETY: a new descriptor that only we own.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    }

    /// What the filesystem said about its refusal: the oldest line of the kernel's log of this context, without its mark
    /// (`e ` for an error).
    pub fn message(&self) -> Option<String> {
        let mut text = [0u8; 512];
        // SAFETY: the buffer is ours and as long as we say.
        let n = unsafe { libc::read(self.0.as_raw_fd(), text.as_mut_ptr().cast(), text.len()) };
        let text = text.get(..usize::try_from(n).ok()?)?;
        Some(String::from_utf8_lossy(text.get(2..)?).trim_end().to_owned())
    }
}

impl From<Filesystem> for OwnedFd {
    fn from(fs: Filesystem) -> Self {
        fs.0
    }
}

/// open_tree(2) with `OPEN_TREE_CLONE`: a copy of the mount at `path` below `dir` (with `recursive`, of the mounts below it
/// too), attached nowhere. An empty path means `dir` itself.
pub fn clone_tree(dir: BorrowedFd, path: &CStr, recursive: bool, follow: bool) -> io::Result<OwnedFd> {
    let flags = clone_flags(recursive, follow);
    // SAFETY: path is NUL-terminated.
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })?;
    // SAFETY: a new descriptor that only we own.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

fn clone_flags(recursive: bool, follow: bool) -> u32 {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
    if recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    if !follow {
        flags |= libc::AT_SYMLINK_NOFOLLOW as u32;
    }
    flags
}

/// open_tree_attr(2), Linux 6.15: [`clone_tree`], and [`set_attributes`] as `recursive` as the copy, in one call. libc has no
/// number for it yet; it is the same for all architectures that Rust knows.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// [`clone_tree`] with attributes from the beginning: by one call where the kernel has it. A refusal comes with the name of the call
/// that refused; whatever the one call refuses, the two are asked about.
pub fn clone_tree_with(
    dir: BorrowedFd,
    path: &CStr,
    recursive: bool,
    follow: bool,
    attributes: &Attributes,
) -> Result<OwnedFd, (&'static str, io::Error)> {
    // Where the kernel does not know the call, it is asked once.
    static UNKNOWN: OnceLock<()> = OnceLock::new();
    if !attributes.is_empty() && UNKNOWN.get().is_none() {
        let flags = clone_flags(recursive, follow);
        // SAFETY: path is NUL-terminated; attributes is laid out as struct mount_attr and lives across the call.
        let made = check(unsafe {
            libc::syscall(
                OPEN_TREE_ATTR,
                dir.as_raw_fd(),
                path.as_ptr(),
                flags,
                ptr::from_ref(attributes),
                size_of::<Attributes>(),
            )
        });
        match made {
            // SAFETY: a new descriptor that only we own.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
            Err(e) if e.raw_os_error() == Some(libc::ENOSYS) => drop(UNKNOWN.set(())),
            Err(_) => {}
        }
    }
    let copy = clone_tree(dir, path, recursive, follow).map_err(|e| ("open_tree", e))?;
    if !attributes.is_empty() {
        set_attributes(copy.as_fd(), recursive, attributes).map_err(|e| ("mount_setattr", e))?;
    }
    Ok(copy)
}

/// [`clone_tree`] of the mount at the handle `place` itself.
pub fn clone_mount(place: BorrowedFd, recursive: bool) -> io::Result<OwnedFd> {
    clone_tree(place, c"", recursive, false)
}

/// mount_setattr(2) on the mount at the handle `mount`; with `recursive` on all mounts below it too.
pub fn set_attributes(mount: BorrowedFd, recursive: bool, attributes: &Attributes) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: attributes is laid out as struct mount_attr and lives across the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    check(ret).map(drop)
}

/// move_mount(2): attaches the mount `mount` at the handle `target`. A handle names one place in one mount: whatever is
/// renamed or linked meanwhile, the mount lands there or nowhere.
pub fn attach(mount: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are empty, NUL-terminated strings.
    let ret =
        unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), target.as_raw_fd(), c"".as_ptr(), flags) };
    check(ret).map(drop)
}

/// move_mount(2): attaches the mount `mount` at `name` in the directory `dir`; a link of that name is not followed.
pub fn attach_named(mount: BorrowedFd, dir: BorrowedFd, name: &Name) -> io::Result<()> {
    let name = name.as_c_str().as_ptr();
    // SAFETY: both paths are NUL-terminated.
    let ret = unsafe {
        libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), dir.as_raw_fd(), name, libc::MOVE_MOUNT_F_EMPTY_PATH)
    };
    check(ret).map(drop)
}

/// pivot_root(2) of the current directory onto itself: the old root ends up stacked on the new one.
pub fn pivot_root_here() -> io::Result<()> {
    // SAFETY: constant, NUL-terminated paths.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }).map(drop)
}
