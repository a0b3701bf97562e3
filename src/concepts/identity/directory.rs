//! The working directory (chdir(2)).
//!
//! A process whose working directory lies outside its root walks the host with `../..`. CVE-2024-21626: a directory handle
//! of the host leaked into init, and the config's cwd was `/proc/self/fd/7`. So the path is resolved inside the root
//! without magic links, missing parts are made on handles (CVE-2026-55686: a link in the image must not make directories on
//! the host), and afterwards the kernel is asked where we are.

use std::path::Path;

use super::IdentityPlan;
use crate::error::{At, Error, Result};
use crate::sys::credentials::getcwd;
use crate::sys::resolve::{Kind, Root};

/// chdir to `process.cwd` (made when missing: owner root, mode 0755, as in runc) and proof that it lies below the root.
///
/// Called as root before the user changes; and again as the user if that failed, for a directory that only he may enter (a
/// network file system that distrusts root).
pub fn enter_cwd(plan: &IdentityPlan, root: &Root) -> Result<()> {
    let failed = || format!("chdir to cwd ({:?}) set in config.json failed", plan.cwd);
    let dir = root.resolve_or_make(&plan.cwd, Kind::Directory).at(failed).map_err(|e| e.config("process.cwd"))?;
    nix::unistd::fchdir(&dir).at(failed).map_err(|e| e.config("process.cwd"))?;
    verify()
}

/// Proof that the working directory is below the root. The kernel says ENOENT or `(unreachable)` where it is not.
fn verify() -> Result<()> {
    let mut buffer = [0; libc::PATH_MAX as usize];
    match getcwd(&mut buffer) {
        Ok(path) if path.first() == Some(&b'/') => Ok(()),
        // Longer than PATH_MAX, yet reachable: only the kernel's buffer is too small for it.
        Err(e) if e.raw_os_error() == Some(libc::ENAMETOOLONG) => Ok(()),
        Ok(_) => Err(escaped()),
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Err(escaped()),
        Err(e) => Err(Error::os("failed to verify if current working directory is safe", e)),
    }
}

fn escaped() -> Error {
    Error::new("current working directory is outside of container mount namespace root -- possible container breakout detected")
        .config("process.cwd")
}

/// The container's root, which after pivot_root is `/` of this process.
pub fn container_root() -> Result<Root> {
    crate::host::host_directory(Path::new("/")).map(Root::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_links_are_no_working_directories() {
        let held = crate::host::host_directory(Path::new("/tmp")).expect("a handle");
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&held));
        let error = container_root().expect("a root").resolve_or_make(Path::new(&path), Kind::Directory).expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        // One that the walk itself makes come true.
        let error = container_root().expect("a root").make(Path::new(&path), Kind::Directory).expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        assert!(container_root().expect("a root").make(Path::new("/proc/self/task"), Kind::Directory).is_ok());
    }
}
