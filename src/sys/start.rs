//! The way from the kernel to `main`: what must hold before the first line of rrun runs.
//!
//! Descriptors 0, 1 and 2 are open: a caller that closed one would otherwise see the next file that rrun opens, which may be
//! a secret, become a container's stdout. And SIGPIPE is ignored, so that a reader that went away is an error to handle, not a
//! death. Rust's own start does this too, and a dozen calls more for threads, of which rrun has none.

use std::ffi::c_int;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

/// By how much the heap grows at a time.
const HEAP: c_int = 1 << 20;

/// Opens /dev/null in place of each of stdin, stdout and stderr that is closed; ignores SIGPIPE. Aborts where it cannot.
pub fn prepare() {
    let mut stdio = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the array is ours and as long as we say.
    while unsafe { libc::poll(stdio.as_mut_ptr(), 3, 0) } < 0 {
        if std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            std::process::abort();
        }
    }
    for _ in stdio.iter().filter(|fd| fd.revents & libc::POLLNVAL != 0) {
        // It gets the lowest free number, which is the one that is closed.
        match nix::fcntl::open("/dev/null", OFlag::O_RDWR, Mode::empty()) {
            Ok(null) => std::mem::forget(null),
            Err(_) => std::process::abort(),
        }
    }
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // The heap grows in one step to what a start needs, and is not given back and taken again in between. What is not touched
    // is not resident.
    // SAFETY: plain numbers; nothing was allocated by another thread.
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, HEAP);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 * HEAP);
    }
}

/// What `main` of the C library returns.
pub fn status(status: u8) -> c_int {
    c_int::from(status)
}

/// Defines the program's entrance: `start!(path::to::run)`, where `run` returns the exit status. The C library calls it, and
/// has kept argv and environment for [`std::env`].
#[macro_export]
macro_rules! start {
    ($run:path) => {
        // SAFETY: the one symbol of this name: `no_main` keeps Rust's own away.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ::std::ffi::c_int {
            $crate::sys::start::prepare();
            $crate::sys::start::status($run())
        }
    };
}
