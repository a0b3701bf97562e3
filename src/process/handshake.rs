//! What the two processes say to each other, in order, over one `SOCK_SEQPACKET` pair.
//!
//! | from   | message                   | the other side then                                      | why there                                      |
//! |--------|---------------------------|----------------------------------------------------------|------------------------------------------------|
//! | joiner | `Joined` + pidfd          | knows init's pid                                         | only if a joiner made init                     |
//! | init   | `NeedIdMaps`              | the parent writes the maps, makes the scope (`exec`: has it moved there), answers `Go` | only the outside may |
//! | init   | `Terminal` + master       | the parent keeps it or sends it to the console socket    | it exists only inside the container's devpts   |
//! | init   | `Namespaces`              | the parent moves devices, runs hooks, answers `Go`       | namespaces are there, the pivot is not         |
//! | init   | `SeccompFd` + listener    | the parent passes it on, answers `Go`                    | from here init obeys the profile               |
//! | init   | `Ready`                   | the parent writes state and pid file, answers `Go` (`exec`: only if something is left to do) | the program was found: ENOENT is create's error |
//! | any    | `Failed`                  | the parent reports it, kills, undoes                     | one voice: the child never prints              |
//! | any    | end of the stream         | after `Ready`: the program runs; before: init died       | the sockets close by themselves on execve      |
//!
//! With a `SECCOMP_RET_NOTIFY` filter that is installed last, `SeccompFd` comes after `Ready`.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt::ReceiveTimeout};
use nix::sys::time::TimeVal;

use crate::error::{At, Error, Result};
use crate::sys::fd::{LARGEST_MESSAGE as LARGEST, receive, send};

/// The tag of a message that is in the file that comes with it: a state document may be longer than what goes through the
/// socket, by its annotations. Cut off, or its length kept in too few bits (CVE-2021-43784), it would say something else.
const IN_FILE: u8 = b'L';
/// How much of each text of an error crosses; it may quote what the configuration says, and be escaped.
const TEXT: usize = 6 * 1024;

/// After so many seconds without a message the parent looks what holds init up.
const SILENCE: i64 = 2;

/// One message.
#[derive(Debug)]
pub enum Msg {
    /// Joiner: init's pid on the host; the descriptor is its pidfd.
    Joined(i32),
    /// Init: alive, waiting for what only the outside can do.
    NeedIdMaps,
    /// Init: the descriptor is the master of its terminal.
    Terminal,
    /// Init: all namespaces are there, the host's tree is still visible.
    Namespaces,
    /// Init: the descriptor is the listener of its seccomp filter.
    SeccompFd,
    /// Init: everything is in force but what must come last; the program was found.
    Ready,
    /// Parent: go on. Carries the state document for hooks that init runs itself.
    Go(Vec<u8>),
    /// Either: it failed.
    Failed(Error),
}

impl Msg {
    fn tag(&self) -> u8 {
        match self {
            Self::Joined(_) => b'J',
            Self::NeedIdMaps => b'M',
            Self::Terminal => b'T',
            Self::Namespaces => b'N',
            Self::SeccompFd => b'S',
            Self::Ready => b'R',
            Self::Go(_) => b'G',
            Self::Failed(_) => b'F',
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.tag()];
        match self {
            Self::Joined(pid) => bytes.extend(pid.to_le_bytes()),
            Self::Go(state) => bytes.extend(state),
            Self::Failed(e) => {
                let parts = (cut(e.op_text()), e.errno(), e.hint_text().map(cut), e.code_text(), e.config_text().map(cut));
                bytes.extend(serde_json::to_vec(&parts).unwrap_or_default());
            }
            _ => {}
        }
        bytes
    }

    /// From bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        Some(match tag {
            b'J' => Self::Joined(i32::from_le_bytes(rest.try_into().ok()?)),
            b'M' => Self::NeedIdMaps,
            b'T' => Self::Terminal,
            b'N' => Self::Namespaces,
            b'S' => Self::SeccompFd,
            b'R' => Self::Ready,
            b'G' => Self::Go(rest.to_vec()),
            b'F' => {
                let (op, errno, hint, code, config): (String, Option<i32>, Option<String>, Option<String>, Option<String>) =
                    serde_json::from_slice(rest).unwrap_or(("container init failed".to_owned(), None, None, None, None));
                // Codes are compile-time names everywhere else; one leaked string in a process about to end is no matter.
                Self::Failed(Error::from_parts(op, errno, hint, code.map(|c| &*c.leak()), config))
            }
            _ => return None,
        })
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT)]
}

/// One end of the pair.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Makes the pair: (the parent's end, init's end).
    pub fn pair() -> Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).at(|| "socketpair")?;
        setsockopt(&a, ReceiveTimeout, &TimeVal::new(SILENCE, 0)).at(|| "setsockopt SO_RCVTIMEO")?;
        Ok((Self(a), Self(b)))
    }

    /// Its number, for the child's copy to be closed.
    pub fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Sends one message, with a descriptor if it carries one.
    pub fn send(&self, msg: &Msg, fd: Option<BorrowedFd>) -> Result<()> {
        let bytes = msg.encode();
        let sent = match bytes.len() > LARGEST {
            true => in_file(&bytes).and_then(|file| send(self.0.as_fd(), &[IN_FILE], Some(file.as_fd()))),
            false => send(self.0.as_fd(), &bytes, fd),
        };
        sent.at(|| "talk to the other process of the handshake")
    }

    /// The parent's side: `Go`, with what it carries. That init is gone meanwhile is no error here: the next
    /// [`Channel::receive`] finds the end of the stream, and who asks then how init ended knows more than `EPIPE`.
    pub fn answer(&self, state: Vec<u8>) -> Result<()> {
        match self.send(&Msg::Go(state), None) {
            Err(e) if e.errno() == Some(libc::EPIPE) => Ok(()),
            sent => sent,
        }
    }

    /// The next message; `None` when the other side is gone (died, or became the program).
    pub fn receive(&self) -> Result<Option<(Msg, Option<OwnedFd>)>> {
        self.receive_while(|| Ok(()))
    }

    /// The same, but every few seconds of silence it is asked whether there is still hope.
    pub fn receive_while(&self, hope: impl Fn() -> Result<()>) -> Result<Option<(Msg, Option<OwnedFd>)>> {
        let (message, fd) = loop {
            match receive(self.0.as_fd()) {
                Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => hope()?,
                Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => break (vec![], None),
                got => break got.at(|| "listen to the other process of the handshake")?,
            }
        };
        if message.is_empty() {
            return Ok(None);
        }
        let disturbed = || Error::new("the handshake was disturbed");
        if let ([IN_FILE], Some(file)) = (message.as_slice(), &fd) {
            let mut whole = vec![];
            File::from(file.try_clone().at(|| "dup")?).read_to_end(&mut whole).at(|| "read a long message of the handshake")?;
            return Ok(Some((Msg::decode(&whole).ok_or_else(disturbed)?, None)));
        }
        let msg = Msg::decode(&message).ok_or_else(disturbed)?;
        Ok(Some((msg, fd)))
    }

    /// Init's side: waits for `Go` and returns what it carries. A parent that is gone ends init.
    pub fn wait_go(&self) -> Result<Vec<u8>> {
        match self.receive()? {
            Some((Msg::Go(state), _)) => Ok(state),
            _ => Err(Error::new("rrun went away during the start")),
        }
    }
}

fn in_file(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create(c"message", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_too_long() {
        let (parent, init) = Channel::pair().unwrap();
        let state = vec![b'x'; 3 * LARGEST];
        parent.send(&Msg::Go(state.clone()), None).unwrap();
        assert!(init.wait_go().unwrap() == state, "a long state crosses whole");
        init.send(&Msg::Failed(Error::new("\u{1}".repeat(LARGEST)).hint("h").code("E-X")), None).unwrap();
        match parent.receive().unwrap() {
            Some((Msg::Failed(e), None)) => {
                assert_eq!((e.op_text().len(), e.hint_text(), e.code_text()), (TEXT, Some("h"), Some("E-X")));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_crosses_whole() {
        let error = Error::os("open /x", std::io::Error::from_raw_os_error(2)).hint("h").code("E-X").config("a.b");
        match Msg::decode(&Msg::Failed(error.clone()).encode()) {
            Some(Msg::Failed(got)) => assert_eq!(got, error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_ends_talk() {
        let (parent, init) = Channel::pair().unwrap();
        init.send(&Msg::Joined(42), Some(init.0.as_fd())).unwrap();
        assert!(matches!(parent.receive().unwrap(), Some((Msg::Joined(42), Some(_)))));
        parent.send(&Msg::Go(b"state".to_vec()), None).unwrap();
        assert_eq!(init.wait_go().unwrap(), b"state");
        drop(init);
        parent.answer(vec![]).expect("told by receive");
        assert!(parent.receive().unwrap().is_none());
    }
}
