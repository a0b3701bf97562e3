//! Telling the caller which process it is: `--pid-file`, `--pidfd-socket`.
//!
//! An engine takes the pid file for the sign that the start succeeded, and may read it at any instant: so it appears
//! whole, by rename(2), and is gone again if the start fails after all.

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::stdio;
use crate::error::{At, Error, Result};
use crate::style::Looks;

/// Where the caller wants to be told of the new process.
#[derive(Debug, Default)]
pub struct Announce {
    /// `--pid-file`, absolute.
    pub pid_file: Option<PathBuf>,
    /// `--pidfd-socket`.
    pub pidfd_socket: Option<PathBuf>,
    /// `--narrate`.
    pub narrate: bool,
}

impl Announce {
    /// Tells what was done, numbered, if that is wanted: in one write(2), before the program can write its first word.
    pub fn story(&self, lines: impl FnOnce() -> Vec<String>) {
        if self.narrate {
            let lines = lines();
            let digits = lines.len().to_string().len();
            let (style, margin) = (Looks::default().stderr(), " ".repeat(digits + 2));
            let told = |(n, line): (usize, &String)| {
                style.hang(&format!("{:>digits$}  {}", n + 1, crate::log::escape(line)), &margin) + "\n"
            };
            let text: String = lines.iter().enumerate().map(told).collect();
            // A stderr that is closed is nobody's who wants to read.
            nix::unistd::write(std::io::stderr(), text.as_bytes()).ok();
        }
    }

    /// Writes the pid file, if one is wanted.
    pub(super) fn pid(&self, pid: i32) -> Result<()> {
        self.pid_file.as_ref().map_or(Ok(()), |path| write_pid_file(path, pid))
    }

    /// Sends the pidfd, if it is wanted; `kind` as in [`stdio::send_pidfd`].
    pub(super) fn pidfd(&self, kind: &str, pidfd: BorrowedFd) -> Result<()> {
        self.pidfd_socket.as_ref().map_or(Ok(()), |path| stdio::send_pidfd(path, kind, pidfd))
    }
}

fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().ok_or_else(|| Error::new(format!("pid file {} has no name", path.display())))?;
    let temporary = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(&temporary)
        .and_then(|mut f| f.write_all(pid.to_string().as_bytes()));
    let done = written.and_then(|()| std::fs::rename(&temporary, path));
    done.at(|| format!("write pid file {}", path.display())).inspect_err(|_| {
        std::fs::remove_file(&temporary).ok();
    })
}
