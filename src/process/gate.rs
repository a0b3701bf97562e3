//! The gate between created and started: a fifo in the state directory (fifo(7)).
//!
//! Init opens it for writing and is held there until `start` opens it for reading. The fifo's presence is the state
//! `created`; other tools look for it by its name. Init writes one byte, and closes it by becoming the program; if that
//! fails, it writes the reason instead, so that `start` can report an error that came after `create` had ended.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fchmodat};
use nix::unistd::mkfifo;

use super::handshake::Msg;
use crate::error::{At, Error, Result};
use crate::sys::procfs::{ProcFs, Way};

/// The fifo's name in the state directory.
pub const NAME: &str = "exec.fifo";

/// Makes the fifo and returns an `O_PATH` handle for init to reopen: its path will be out of sight inside.
pub fn make(state_dir: &Path) -> Result<OwnedFd> {
    let path = state_dir.join(NAME);
    let at = || format!("make {}", path.display());
    mkfifo(&path, Mode::from_bits_truncate(0o622)).at(at)?;
    // The mode is subject to the umask, but init opens it as the container's user; only the descriptor leads here.
    fchmodat(nix::fcntl::AT_FDCWD, &path, Mode::from_bits_truncate(0o622), nix::sys::stat::FchmodatFlags::FollowSymlink)
        .at(at)?;
    open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).at(at)
}

/// Init's side of an open gate.
#[derive(Debug)]
pub struct Passed(std::fs::File);

/// Inside: finds the way to the gate, before a filter may forbid the calls for it.
pub fn approach(fifo: BorrowedFd, proc: &ProcFs) -> Result<Way> {
    proc.way_to(fifo).at(|| "find the exec fifo")
}

/// Inside: waits until `start` opens the other end.
pub fn wait(way: &Way) -> Result<Passed> {
    let mut file = std::fs::File::from(way.open(libc::O_WRONLY).at(|| "open the exec fifo")?);
    file.write_all(b"0").at(|| "write to the exec fifo")?;
    Ok(Passed(file))
}

impl Passed {
    /// Tells `start` why the program does not run.
    pub fn fail(mut self, error: &Error) {
        // Nobody else can be told; if start is gone too, the exit status is all that remains.
        self.0.write_all(&Msg::Failed(error.clone()).encode()).ok();
    }
}

/// Outside: lets init through, and waits until it has become the program or says why not.
pub fn open_gate(state_dir: &Path, pidfd: BorrowedFd) -> Result<()> {
    let path = state_dir.join(NAME);
    let fifo = open(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        .at(|| format!("open {}", path.display()))?;
    let mut said = Vec::new();
    loop {
        let mut waited = [PollFd::new(fifo.as_fd(), PollFlags::POLLIN), PollFd::new(pidfd, PollFlags::POLLIN)];
        match poll(&mut waited, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled.at(|| "wait for container init")?,
        };
        let died = waited[1].any().unwrap_or(false);
        let mut chunk = [0; 4096];
        match (&std::fs::File::from(fifo.try_clone().at(|| "duplicate the exec fifo")?)).read(&mut chunk) {
            Ok(0) if !said.is_empty() || died => break,
            Ok(0) => {}
            Ok(n) => said.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(Error::os(format!("read {}", path.display()), e)),
        }
    }
    std::fs::remove_file(&path).at(|| format!("remove {}", path.display()))?;
    match said.split_first() {
        Some((_, [])) => Ok(()),
        Some((_, reason)) => match Msg::decode(reason) {
            Some(Msg::Failed(error)) => Err(error),
            _ => Err(Error::new("the handshake was disturbed")),
        },
        None => Err(Error::new("container process is already dead")),
    }
}
