//! Readiness: a service in the container tells the host's service manager that it is up (sd_notify(3), `NOTIFY_SOCKET`).
//!
//! The manager's own socket never enters the container, where anything could be said over it in rrun's name. The container
//! gets a socket of its own, in a directory of the state that is mounted read-only, and of all that arrives there only
//! `READY=1` goes on, with the main pid as the host sees it.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions, remove_file, set_permissions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockType;
use nix::unistd::pipe2;
use oci_spec::runtime::{MountBuilder, Spec};

use crate::error::{At, Error, Result};
use crate::sys::{fd, socket};

const DIRECTORY: &str = "notify";
const NAME: &str = "notify.sock";
const INSIDE: &str = "/run/notify";

/// How long the manager may take to note a message before rrun, whose pid it looks up, ends (systemd's own default).
const BARRIER_MS: u16 = 5000;

/// The service manager's address, from rrun's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(OsString);

/// The manager that waits for readiness, if the caller's `NOTIFY_SOCKET` names one: a path, or `@` and an abstract name.
pub fn address(value: Option<OsString>) -> Option<Address> {
    value.filter(|a| matches!(a.as_bytes(), [b'/' | b'@', _, ..])).map(Address)
}

/// The configuration with one mount and one variable more: those of the container's socket; `state` is the container's
/// directory, absolute.
pub fn with_socket(spec: &Spec, state: &Path) -> Result<Spec> {
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec();
    let mount = MountBuilder::default().destination(INSIDE).source(directory(state)).typ("bind").options(options).build();
    let mount = mount.map_err(|e| Error::new(format!("mount of {INSIDE}: {e}")))?;
    let mut spec = spec.clone();
    let mounts = spec.mounts().iter().flatten().cloned().chain([mount]).collect();
    spec.set_mounts(Some(mounts));
    if let Some(process) = spec.process_mut() {
        // The last one of a name counts: what the image or the engine says of another socket does not hold here.
        let variable = format!("NOTIFY_SOCKET={INSIDE}/{NAME}");
        let env = process.env().iter().flatten().cloned().chain([variable]).collect();
        process.set_env(Some(env));
    }
    Ok(spec)
}

/// `create`: makes the directory. The socket is bound only by who will listen ([`Notify::listen`]).
pub fn make_directory(state: &Path) -> Result<()> {
    let path = directory(state);
    // Open to all: it is seen through the mount only, where the process may be any user.
    DirBuilder::new().mode(0o755).create(&path).at(|| format!("mkdir {}", path.display()))
}

fn directory(state: &Path) -> PathBuf {
    state.join(DIRECTORY)
}

/// The container's socket and the manager's.
#[derive(Debug)]
pub struct Notify {
    container: OwnedFd,
    manager: OwnedFd,
}

impl Notify {
    /// `start` and `run`, before the program starts: binds the container's socket and connects to the manager's. `None`
    /// when the container was created without readiness.
    pub fn listen(state: &Path, address: &Address) -> Result<Option<Self>> {
        let dir = directory(state);
        let path = dir.join(NAME);
        match remove_file(&path) {
            // Left by a `start` that failed.
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(Error::os(format!("unlink {}", path.display()), e)),
        }
        let container = match socket::bind(SockType::Datagram, &dir, NAME) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.at(|| format!("bind {}", path.display()))?,
        };
        set_permissions(&path, Permissions::from_mode(0o777)).at(|| format!("chmod {}", path.display()))?;
        Ok(Some(Self { container, manager: address.connect()? }))
    }

    /// Takes one message of the container; `READY=1` is told to the manager, with `main_pid` if the manager should watch
    /// that process instead of rrun. Whether it was told.
    pub fn forward_one(&self, main_pid: Option<i32>) -> Result<bool> {
        let message = match fd::receive(self.container.as_fd()) {
            // Nobody sends that much to say that he is ready.
            Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => return Ok(false),
            other => other.at(|| "receive from the container's notify socket")?.0,
        };
        if !message.split(|b| *b == b'\n').any(|line| line == b"READY=1") {
            return Ok(false);
        }
        let main_pid = main_pid.map(|pid| format!("MAINPID={pid}\n")).unwrap_or_default();
        let text = format!("{main_pid}READY=1\n");
        fd::send(self.manager.as_fd(), text.as_bytes(), None).at(|| "tell the service manager (NOTIFY_SOCKET)")?;
        Ok(true)
    }

    /// `start` and `run --detach`: forwards until the container is ready or has ended.
    pub fn wait(self, main_pid: i32, pidfd: BorrowedFd) -> Result<()> {
        loop {
            let mut polled = [PollFd::new(self.container.as_fd(), PollFlags::POLLIN), PollFd::new(pidfd, PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other.at(|| "poll")?,
            };
            if polled[0].any() == Some(true) {
                if self.forward_one(Some(main_pid))? {
                    return self.barrier();
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Waits until the manager has read what was sent: it finds the service by the sender's pid, so that rrun must not be
    /// gone by then (sd_notify_barrier(3)). A manager that knows no barrier is not waited for longer than usual.
    fn barrier(&self) -> Result<()> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).at(|| "pipe2")?;
        fd::send(self.manager.as_fd(), b"BARRIER=1", Some(theirs.as_fd())).at(|| "tell the service manager (NOTIFY_SOCKET)")?;
        drop(theirs);
        poll(&mut [PollFd::new(ours.as_fd(), PollFlags::POLLIN)], BARRIER_MS).at(|| "poll").map(drop)
    }
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.container.as_fd()
    }
}

impl Address {
    fn connect(&self) -> Result<OwnedFd> {
        let connected = match self.0.as_bytes() {
            [b'@', name @ ..] => socket::connect_abstract(SockType::Datagram, name),
            _ => socket::connect(SockType::Datagram, Path::new(&self.0)),
        };
        connected.at(|| format!("connect NOTIFY_SOCKET {}", self.0.to_string_lossy().escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn only_an_absolute_path_or_an_abstract_name_is_a_manager() {
        for (address, is_one) in [("/run/x", true), ("@x", true), ("", false), ("@", false), ("x", false), ("vsock:2:1", false)] {
            assert_eq!(super::address(Some(address.into())).is_some(), is_one, "{address:?}");
        }
        assert_eq!(super::address(None), None);
    }

    #[test]
    fn only_readiness_is_passed_on() {
        let state = tempfile::tempdir().expect("tempdir");
        let host = state.path().join("host");
        let heard = UnixDatagram::bind(&host).expect("bind");
        make_directory(state.path()).expect("mkdir");
        let notify = Notify::listen(state.path(), &Address(host.into())).expect("listen").expect("made");
        let container = UnixDatagram::unbound().expect("socket");
        container.connect(state.path().join("notify/notify.sock")).expect("connect");
        let say = |text: &[u8]| {
            container.send(text).expect("send");
            notify.forward_one(Some(7)).expect("forward")
        };
        assert!(!say(b"MAINPID=1\nSTATUS=hello"));
        assert!(!say(b"READY=11"));
        assert!(!say(&[b'\n'; 9000]));
        assert!(say(b"STATUS=up\nREADY=1\nMAINPID=1"));
        let mut buffer = [0; 100];
        let n = heard.recv(&mut buffer).expect("recv");
        assert_eq!(&buffer[..n], b"MAINPID=7\nREADY=1\n");
    }

    #[test]
    fn without_a_directory_nothing_is_awaited() {
        let state = tempfile::tempdir().expect("tempdir");
        assert!(Notify::listen(state.path(), &Address("@none".into())).expect("not an error").is_none());
    }
}
