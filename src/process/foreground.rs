//! The foreground: relays stdio, forwards signals, reaps orphans, returns the exit status (signalfd(2), termios(3)).
use std::os::fd::{BorrowedFd, OwnedFd};

use super::stdio::{Stdio, StdioPlan};
use crate::error::Result;

/// Signals are blocked and a terminal is raw from here until drop, which restores both, whatever happens.
#[derive(Debug)]
pub struct Foreground;

impl Foreground {
    /// Before the clone: blocks the signals to forward (the child unblocks them: see [`Foreground::reset_in_child`]),
    /// becomes a subreaper unless told not to.
    pub fn begin(_subreaper: bool) -> Result<Self> {
        Ok(Self)
    }

    /// Inside: the signal mask and dispositions a new program expects.
    pub fn reset_in_child() -> Result<()> {
        Ok(())
    }

    /// Relays and forwards until the process ends; its exit status, 128+n if signal n ended it.
    pub fn wait(self, _plan: &StdioPlan, _stdio: Stdio, _master: Option<OwnedFd>, _pid: i32, _pidfd: BorrowedFd) -> Result<i32> {
        Ok(0)
    }
}
