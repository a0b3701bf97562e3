//! Unix sockets at paths of the host of any length (unix(7)).
//!
//! A socket address holds 107 bytes; engines keep their sockets in deep directories. A path that does not fit is opened
//! first and named by its descriptor.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, sockopt::SendTimeout};
use nix::sys::stat::Mode;
use nix::sys::time::TimeVal;

/// The longest path a socket address holds: 108 bytes with the final NUL.
const SUN_PATH_MAX: usize = 107;

/// How many seconds the other side may take to accept a connection or to make room for a message.
const PATIENCE: i64 = 10;

/// socket(2), close-on-exec.
pub fn unix(kind: SockType) -> io::Result<OwnedFd> {
    Ok(nix::sys::socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?)
}

/// A socket connected to the one at `path` (connect(2)).
pub fn connect(kind: SockType, path: &Path) -> io::Result<OwnedFd> {
    if path.as_os_str().len() <= SUN_PATH_MAX {
        return connect_address(kind, &UnixAddr::new(path)?);
    }
    let file = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    connect_address(kind, &UnixAddr::new(format!("/proc/self/fd/{}", file.as_raw_fd()).as_str())?)
}

/// A socket connected to the one in the abstract namespace whose name is `name`.
pub fn connect_abstract(kind: SockType, name: &[u8]) -> io::Result<OwnedFd> {
    connect_address(kind, &UnixAddr::new_abstract(name)?)
}

/// Connecting and each later send take at most [`PATIENCE`], then fail with EAGAIN: a listener that accepts nobody would hold its
/// caller for ever once its queue is full.
fn connect_address(kind: SockType, address: &UnixAddr) -> io::Result<OwnedFd> {
    let socket = unix(kind)?;
    setsockopt(&socket, SendTimeout, &TimeVal::new(PATIENCE, 0))?;
    nix::sys::socket::connect(socket.as_raw_fd(), address)?;
    Ok(socket)
}

/// A socket bound to the new name `name` in the directory `dir` (bind(2)).
pub fn bind(kind: SockType, dir: &Path, name: &str) -> io::Result<OwnedFd> {
    let dir = open(dir, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let socket = unix(kind)?;
    let address = UnixAddr::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).as_str())?;
    nix::sys::socket::bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}
