//! `tmpcopyup`: a tmpfs that starts with what the image has at its place.
//!
//! The image is hostile, so the copy goes by handles: links are copied as links, nothing is followed, and the depth is
//! bounded. The tmpfs is attached nowhere while it is filled.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::stat::{FileStat, SFlag, fstat};

use crate::error::{At, Error, Result};
use crate::sys::entry::{change_mode, change_owner, link_text, make_directory, make_node, make_symlink, names, open};
use crate::sys::resolve::{Name, openat2};
use crate::sys::xattr;

/// How deep a copy goes; each level holds two descriptors.
const DEEPEST: u32 = 64;
/// SELinux's label says where a file lies. The copy lies in a new filesystem, which has one of its own or takes none (`context=`).
const LABEL: &CStr = c"security.selinux";

/// Copies what is in `from` to the root of the mount `to`, and its owner, permissions and attributes.
pub(super) fn fill(to: BorrowedFd, from: BorrowedFd) -> Result<()> {
    let from = read_again(from).at(|| "open the directory to copy up")?;
    let to = read_again(to).at(|| "open a tmpfs")?;
    copy_directory(from.as_fd(), to.as_fd(), 0)?;
    let stat = fstat(&from).at(|| "fstat")?;
    change_owner(to.as_fd(), stat.st_uid, stat.st_gid).at(|| "fchownat")
}

fn read_again(dir: BorrowedFd) -> std::io::Result<OwnedFd> {
    openat2(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0, libc::RESOLVE_BENEATH)
}

fn copy_directory(from: BorrowedFd, to: BorrowedFd, depth: u32) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::new(format!("tmpcopyup: directories are nested deeper than {DEEPEST}")));
    }
    xattr::copy_all(from, to, LABEL).at(|| "tmpcopyup: copy extended attributes")?;
    for name in names(from).at(|| "tmpcopyup: getdents64")? {
        let text = || format!("tmpcopyup: copy {:?}", name.as_c_str());
        copy_entry(from, to, &name, depth)
            .map_err(|e| if e.op_text().starts_with("tmpcopyup") { e } else { e.context(text()) })?;
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd, to: BorrowedFd, name: &Name, depth: u32) -> Result<()> {
    let source = open(from, name).at(|| "open")?;
    let stat = fstat(&source).at(|| "fstat")?;
    let copy = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFDIR => {
            let copy = make_directory(to, name).at(|| "mkdirat")?;
            let (source, copy) = (read_again(source.as_fd()).at(|| "open")?, read_again(copy.as_fd()).at(|| "open")?);
            copy_directory(source.as_fd(), copy.as_fd(), depth + 1)?;
            copy
        }
        SFlag::S_IFLNK => {
            let text = link_text(source.as_fd()).at(|| "readlinkat")?.ok_or_else(|| Error::new("a link changed meanwhile"))?;
            make_symlink(to, name, &text).at(|| "symlinkat")?;
            open(to, name).at(|| "open")?
        }
        SFlag::S_IFREG => copy_file(from, to, name, &stat)?,
        // Sockets, FIFOs and nodes are only names.
        _ => {
            make_node(to, name, stat.st_mode, stat.st_rdev).at(|| "mknodat")?;
            open(to, name).at(|| "open")?
        }
    };
    change_owner(copy.as_fd(), stat.st_uid, stat.st_gid).at(|| "fchownat")?;
    if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits() {
        return Ok(());
    }
    // After the owner: a change of owner clears the set-id bits.
    change_mode(copy.as_fd(), stat.st_mode & 0o7777).at(|| "fchmodat2")
}

fn copy_file(from: BorrowedFd, to: BorrowedFd, name: &Name, looked_at: &FileStat) -> Result<OwnedFd> {
    // Not blocking: a FIFO put in its place meanwhile would hold us for ever.
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let source = openat2(from, name.as_c_str(), flags, 0, libc::RESOLVE_BENEATH).at(|| "open")?;
    let stat = fstat(&source).at(|| "fstat")?;
    if (stat.st_ino, stat.st_dev) != (looked_at.st_ino, looked_at.st_dev) {
        return Err(Error::new("a file was exchanged meanwhile"));
    }
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let copy = openat2(to, name.as_c_str(), flags, 0o600, libc::RESOLVE_BENEATH).at(|| "create")?;
    let (mut reader, mut writer) = (std::fs::File::from(source), std::fs::File::from(copy));
    std::io::copy(&mut reader, &mut writer).at(|| "copy")?;
    xattr::copy_all(reader.as_fd(), writer.as_fd(), LABEL).at(|| "copy extended attributes")?;
    Ok(writer.into())
}
