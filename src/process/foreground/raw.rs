//! The caller's terminal, raw while a container's terminal is relayed (termios(3)): bytes pass untouched, Ctrl-C included,
//! which the container's own terminal turns into a signal. Left raw, a shell would be unusable, so every way out restores
//! it; only SIGKILL gives no chance (`stty sane` helps then).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::error::{At, Result};

/// A terminal and how it was; restored on drop.
#[derive(Debug)]
pub struct Raw {
    tty: OwnedFd,
    before: libc::termios,
    raw: libc::termios,
    active: bool,
}

impl Raw {
    /// Makes the terminal raw. `keep_output` leaves its output processing on, for a neighbour in a pipeline that still
    /// writes lines to it.
    pub fn enter(tty: BorrowedFd, keep_output: bool) -> Result<Self> {
        let tty = tty.try_clone_to_owned().at(|| "dup the terminal")?;
        let before = tcgetattr(&tty).at(|| "tcgetattr the terminal")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        if keep_output {
            raw.output_flags |= before.output_flags & OutputFlags::OPOST;
        }
        let mut this = Self { tty, before: before.into(), raw: raw.into(), active: false };
        this.restore_on_panic()?;
        this.resume()?;
        Ok(this)
    }

    /// Makes it raw again. In the background this stops rrun until the shell brings it to the front (SIGTTOU).
    pub fn resume(&mut self) -> Result<()> {
        self.active = true;
        // Not TCSAFLUSH: what was typed ahead is meant for the container.
        tcsetattr(&self.tty, SetArg::TCSANOW, &Termios::from(self.raw)).at(|| "make the terminal raw (tcsetattr)")
    }

    /// Restores it. A terminal that is gone has nothing left to restore.
    pub fn leave(&mut self) {
        if self.active {
            restore(self.tty.as_fd(), self.before);
        }
        self.active = false;
    }

    /// Whether it is raw now.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// A panic aborts without running destructors, but not before it has run this.
    fn restore_on_panic(&self) -> Result<()> {
        let tty = self.tty.try_clone().at(|| "dup the terminal")?;
        let before = self.before;
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore(tty.as_fd(), before);
            report(panic);
        }));
        Ok(())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Not TCSADRAIN: with output stopped (Ctrl-S) it would wait for ever.
fn restore(tty: BorrowedFd, before: libc::termios) {
    tcsetattr(tty, SetArg::TCSANOW, &Termios::from(before)).unwrap_or(());
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::openpty;

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let pty = openpty(None, None).expect("openpty");
        let before = tcgetattr(&pty.slave).expect("tcgetattr");
        let raw = Raw::enter(pty.slave.as_fd(), false).expect("raw");
        assert_ne!(tcgetattr(&pty.slave).expect("tcgetattr"), before);
        // The destructor must not be what restores it: rrun is built to abort.
        let raw = std::mem::ManuallyDrop::new(raw);
        std::panic::catch_unwind(|| panic!("as a mistake would")).expect_err("a panic");
        assert_eq!(tcgetattr(&pty.slave).expect("tcgetattr"), before);
        drop(std::mem::ManuallyDrop::into_inner(raw));
    }
}
