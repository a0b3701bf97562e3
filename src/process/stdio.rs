//! stdin, stdout, stderr: a terminal of the container's own, pipes, or what the caller gave (pty(7), console socket).
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::Process;

use crate::error::Result;

/// How the process gets its stdio.
#[derive(Debug, Clone, Default)]
pub struct StdioPlan {
    /// process.terminal.
    pub terminal: bool,
    /// Rows and columns, if the config gives them.
    pub size: Option<(u16, u16)>,
    /// Where the terminal's master goes when rrun detaches.
    pub console_socket: Option<PathBuf>,
    /// Whether rrun stays in the foreground and relays.
    pub foreground: bool,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// Descriptors passed by `LISTEN_FDS`.
    pub listen_fds: u32,
}

/// Decides it; `name` is rrun's own name in the canonical texts.
pub fn plan(
    _process: &Process,
    _name: &str,
    _foreground: bool,
    _console_socket: Option<PathBuf>,
    _preserve_fds: u32,
) -> Result<StdioPlan> {
    Ok(StdioPlan::default())
}

/// The ends that the two processes hold; made before the clone.
#[derive(Debug, Default)]
pub struct Stdio {
    /// The connected console socket.
    pub console: Option<OwnedFd>,
    /// For each of 0, 1, 2: (the container's end, our end), where a pipe stands between a terminal of the host and the
    /// container.
    pub pipes: [Option<(OwnedFd, OwnedFd)>; 3],
}

/// Outside, before the clone: connects the console socket, makes pipes where the caller's stdio is a terminal that the
/// container must not get, checks that preserved descriptors are open.
pub fn prepare(_plan: &StdioPlan) -> Result<Stdio> {
    Ok(Stdio::default())
}

/// Inside: a new terminal from the container's own devpts (`pts` is the mount's handle): (master, slave).
pub fn open_terminal(_plan: &StdioPlan, _pts: BorrowedFd) -> Result<(OwnedFd, OwnedFd)> {
    Err(crate::error::Error::new("no terminal"))
}

/// Inside, in a new session: the slave becomes the controlling terminal and stdio; without a terminal the pipes' ends do.
pub fn take(_plan: &StdioPlan, _stdio: &Stdio, _slave: Option<BorrowedFd>) -> Result<()> {
    Ok(())
}

/// Inside, last before execve: everything above stdio is close-on-exec but the preserved descriptors.
pub fn close_rest(_plan: &StdioPlan) -> Result<()> {
    Ok(())
}

/// Outside, detached: sends the master over the console socket.
pub fn hand_over(_plan: &StdioPlan, _stdio: &Stdio, _master: BorrowedFd) -> Result<()> {
    Ok(())
}

/// Outside, after the clone: closes the container's ends.
pub fn close_inside(_stdio: &mut Stdio) {}

/// Sends a pidfd to `--pidfd-socket`.
pub fn send_pidfd(_path: &std::path::Path, _pidfd: BorrowedFd) -> Result<()> {
    Ok(())
}

/// LISTEN_FDS for the process, if descriptors are passed on.
pub fn environment(_plan: &StdioPlan) -> Vec<(String, String)> {
    vec![]
}
