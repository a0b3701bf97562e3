//! What a lab's script cannot ask of busybox, asked by rrun itself: `rrun lab witness DEED`.
//!
//! The program lies in the lab's root as a read-only mount of the running one. A deed concerns the process that does it, or a
//! file of the lab, and nothing else.

use std::fs::File;
use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::error::{At, Error, Result};
use crate::sys::{credentials, process};

/// Does it; what is to be printed.
pub fn run(deed: &str, operand: Option<&Path>) -> Result<String> {
    match (deed, operand) {
        ("user-namespace", None) => user_namespace(),
        ("uncache", Some(file)) => uncache(file).map(|()| String::new()),
        _ => Err(Error::new(format!("no such deed: {}", crate::log::value(deed)))
            .hint("they are parts of labs; use one of: user-namespace, uncache FILE")),
    }
}

/// Makes a user namespace and tells which capabilities are there in it.
fn user_namespace() -> Result<String> {
    Ok(match process::unshare(libc::CLONE_NEWUSER as u64) {
        Ok(()) => {
            let sets = credentials::capget().at(|| "capget")?;
            format!("new_user_namespace=made\ncapabilities_inside={:016x}\n", sets.effective)
        }
        Err(e) => format!("new_user_namespace={}\n", crate::error::strerror(e.raw_os_error().unwrap_or(0))),
    })
}

/// Brings a file's data to the disk and takes it out of the page cache (posix_fadvise(2)).
fn uncache(path: &Path) -> Result<()> {
    let at = || format!("uncache {}", path.display());
    let file = File::open(path).at(at)?;
    file.sync_all().at(at)?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).at(at)
}
