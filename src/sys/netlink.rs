//! A minimal rtnetlink client: one request, its answers, its acknowledgement (netlink(7), rtnetlink(7)).
//!
//! Messages are a header, a fixed structure, and attributes padded to four bytes, all in the host's byte order. The
//! kernel's answers are read with every length checked.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, send, socket};

use super::check;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// More than the kernel puts into one answer.
const LARGEST: usize = 1 << 16;
/// Acknowledge the request.
const ACK: u16 = 0x4;
/// It is a request.
const REQUEST: u16 = 0x1;
/// Answer with all objects (`NLM_F_ROOT | NLM_F_MATCH`).
const DUMP: u16 = 0x300;
/// `NLMSG_ERROR`, which with errno 0 is the acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;

/// A socket into the network namespace that the thread was in when it was opened.
#[derive(Debug)]
pub struct Netlink(OwnedFd);

/// One message of an answer: its type and what follows the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `RTM_*`.
    pub kind: u16,
    /// The fixed structure and the attributes.
    pub body: Vec<u8>,
}

impl Netlink {
    /// socket(2), family AF_NETLINK, protocol NETLINK_ROUTE.
    pub fn open() -> io::Result<Self> {
        Ok(Self(socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?))
    }

    /// Sends a request of the type `kind` (`RTM_*`) with additional `NLM_F_*` in `flags` and waits for the kernel's verdict.
    pub fn request(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.exchange(kind, flags | ACK, body).map(drop)
    }

    /// Asks for one object.
    pub fn get(&self, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        self.exchange(kind, ACK, body)
    }

    /// Asks for all objects.
    pub fn dump(&self, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        self.exchange(kind, DUMP, body)
    }

    fn exchange(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags | REQUEST).to_ne_bytes());
        // Sequence and port 0: one request at a time on a socket of our own, to which only the kernel may send.
        message.extend([0; 8]);
        message.extend(body);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answers = Vec::new();
        // Not zeroed: only the pages that an answer fills are touched, which in init count against the container's limit.
        let mut buffer = Vec::with_capacity(LARGEST);
        while !split(receive(&self.0, &mut buffer)?, &mut answers)? {}
        Ok(answers)
    }
}

/// recv(2) into `buffer` from its beginning; what came.
fn receive<'a>(socket: &OwnedFd, buffer: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    loop {
        // SAFETY: the kernel writes at most the capacity of a buffer that is borrowed for as long.
        let got = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.capacity(), 0) };
        match check(got as libc::c_long) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            // SAFETY: the kernel wrote so many bytes, which is not more than the capacity.
            got => unsafe { buffer.set_len(got? as usize) },
        }
        return Ok(buffer);
    }
}

/// Takes the messages out of one datagram; true when the answer is complete.
fn split(mut datagram: &[u8], answers: &mut Vec<Message>) -> io::Result<bool> {
    while datagram.len() >= HEADER {
        let length = number(datagram, 0).unwrap_or(0) as usize;
        let kind = u16::from_ne_bytes([datagram[4], datagram[5]]);
        let body = datagram.get(HEADER..length).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADMSG))?;
        match kind {
            // Both carry the errno, negative, first; DONE of old kernels may be empty.
            ERROR | DONE => match number(body, 0).unwrap_or(0) as i32 {
                0 => return Ok(true),
                errno => return Err(io::Error::from_raw_os_error(-errno)),
            },
            _ => answers.push(Message { kind, body: body.to_vec() }),
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The 32-bit number at `at`.
pub fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Appends an attribute (`struct rtattr`, value, padding) to a message under construction.
pub fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend(((4 + value.len()) as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The attributes behind a fixed structure: (type without its flag bits, value).
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]) as usize;
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_pushed() {
        let mut body = Vec::new();
        push_attribute(&mut body, 3, b"eth0\0");
        push_attribute(&mut body, 1, &[]);
        assert_eq!(body.len(), 16);
        assert_eq!(attributes(&body).collect::<Vec<_>>(), [(3, b"eth0\0".as_slice()), (1, b"".as_slice())]);
    }

    #[test]
    fn cut_messages_are_refused() {
        assert_eq!(attributes(&[9, 0, 1, 0, 0]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0, "a length below the header's own");
        let mut answers = Vec::new();
        let mut long = 99u32.to_ne_bytes().to_vec();
        long.resize(16, 0);
        assert!(split(&long, &mut answers).is_err());
    }

    #[test]
    fn the_kernel_answers() {
        // RTM_GETLINK of index 1 in a fresh socket: there is always a loopback.
        let mut body = vec![0; 16];
        body[4..8].copy_from_slice(&1i32.to_ne_bytes());
        let answers = Netlink::open().and_then(|n| n.get(libc::RTM_GETLINK, &body)).expect("an answer");
        let name = attributes(&answers[0].body[16..]).find(|(kind, _)| *kind == libc::IFLA_IFNAME);
        assert_eq!(name, Some((libc::IFLA_IFNAME, b"lo\0".as_slice())));
    }
}
