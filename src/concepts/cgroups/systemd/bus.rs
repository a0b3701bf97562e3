//! A connection to systemd over D-Bus: one unix socket, one call at a time, no thread (D-Bus specification; org.freedesktop.systemd1(5)).
//!
//! Client libraries for D-Bus start threads, and a process that makes namespaces must have only one. What rrun needs is five calls and
//! one signal.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, socket, sockopt::SendTimeout};
use nix::sys::time::TimeVal;

use super::wire::{Decoder, Encoder, Value};
use crate::error::{At, Error, Result};

/// systemd answers within milliseconds; a job that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest message believed; answers here are a few hundred bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// The length of a header without its fields.
const HEAD: usize = 16;

/// Message types.
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const DBUS: &str = "org.freedesktop.DBus";

/// A message that came in.
#[derive(Debug, Default)]
struct Message {
    kind: u8,
    reply_to: u32,
    member: String,
    error: String,
    body: Vec<Value>,
}

/// The connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// What was read and not yet looked at.
    pending: VecDeque<u8>,
    /// Ends of jobs that came in while a reply was awaited.
    signals: VecDeque<Message>,
    /// How long an answer may take.
    patience: Duration,
    /// Until when the answer must be there, however busily the other side sends other things.
    deadline: Instant,
}

/// What systemd refused: the name of the D-Bus error and its text.
#[derive(Debug)]
pub(super) struct Refusal {
    pub name: String,
    pub text: String,
}

impl Bus {
    /// Connects to the service manager of the system, or with `user` to the caller's own.
    pub fn connect(user: bool) -> Result<Self> {
        let hint = if user {
            "the user's bus is missing; install dbus-user-session and log in anew, or use the cgroupfs driver"
        } else {
            "systemd does not run here; use the cgroupfs driver"
        };
        let mut last = Error::new("connect to systemd: no address is known");
        for (path, bus) in addresses(user) {
            match connect(&path).at(|| format!("connect to {}", path.display())) {
                Ok(stream) => return Self::greet(stream, bus, PATIENCE).map_err(|e| e.code("E-BUS")),
                Err(e) => last = e,
            }
        }
        Err(last.code("E-BUS").hint(hint))
    }

    /// Authenticates by what the kernel says of this process (SASL EXTERNAL). No user id is named: in a user namespace, rrun
    /// knows another than the bus sees.
    fn greet(stream: UnixStream, bus: bool, patience: Duration) -> Result<Self> {
        let at = || "authenticate to D-Bus";
        stream.set_write_timeout(Some(patience)).at(at)?;
        let mut this = Self {
            stream,
            serial: 0,
            pending: VecDeque::new(),
            signals: VecDeque::new(),
            patience,
            deadline: Instant::now() + patience,
        };
        this.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").at(at)?;
        loop {
            let line = this.read_line().at(at)?;
            match line.split(' ').next() {
                Some("DATA") => {}
                Some("OK") => break,
                _ => return Err(Error::new(format!("authenticate to D-Bus: refused ({line:?})"))),
            }
        }
        if bus {
            this.call(DBUS, "/org/freedesktop/DBus", DBUS, "Hello", &[])?.map_err(refused("Hello"))?;
            let rule =
                format!("type='signal',sender='{SYSTEMD}',path='{SYSTEMD_PATH}',interface='{MANAGER}',member='JobRemoved'");
            this.call(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", &[Value::Str(rule)])?.map_err(refused("AddMatch"))?;
        }
        Ok(this)
    }

    /// Calls a method of the manager. The outer result is the connection's, the inner one systemd's.
    pub fn manager(&mut self, method: &str, args: &[Value]) -> Result<std::result::Result<Vec<Value>, Refusal>> {
        self.call(SYSTEMD, SYSTEMD_PATH, MANAGER, method, args)
    }

    /// The version of systemd, `257` of `257.9-1`; 0 if it does not tell.
    pub fn version(&mut self) -> Result<u32> {
        let args = [Value::Str(MANAGER.into()), Value::Str("Version".into())];
        let reply = self.call(SYSTEMD, SYSTEMD_PATH, "org.freedesktop.DBus.Properties", "Get", &args)?.unwrap_or_default();
        let Some(Value::Variant(value)) = reply.into_iter().next() else { return Ok(0) };
        let text = value.text().unwrap_or_default().trim_start_matches('v');
        Ok(text.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0))
    }

    /// As [`Bus::manager`] for methods that start a job: waits until the job has ended.
    pub fn job(&mut self, method: &str, args: &[Value]) -> Result<std::result::Result<(), Refusal>> {
        let job = match self.manager(method, args)? {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(reply) => reply.first().and_then(Value::text).unwrap_or_default().to_owned(),
        };
        self.deadline = Instant::now() + self.patience;
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.receive().map_err(|e| e.context(format!("systemd: {method}: the job does not end")))?,
            };
            // JobRemoved: id, job, unit, result.
            if signal.is_end_of_job() && signal.body.get(1).and_then(Value::text) == Some(&job) {
                let result = signal.body.get(3).and_then(Value::text).unwrap_or_default();
                return match result {
                    "done" | "skipped" => Ok(Ok(())),
                    other => Err(Error::new(format!("systemd: {method}: the job ended as {other}"))),
                };
            }
        }
    }

    fn call(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        method: &str,
        args: &[Value],
    ) -> Result<std::result::Result<Vec<Value>, Refusal>> {
        self.serial += 1;
        let serial = self.serial;
        let message = encode(serial, destination, path, interface, method, args);
        self.deadline = Instant::now() + self.patience;
        self.stream.write_all(&message).at(|| format!("D-Bus call {method}"))?;
        loop {
            let message = self.receive().map_err(|e| e.context(format!("D-Bus call {method}")))?;
            match message.kind {
                RETURN if message.reply_to == serial => return Ok(Ok(message.body)),
                ERROR if message.reply_to == serial => {
                    let text = message.body.first().and_then(Value::text).unwrap_or_default().to_owned();
                    return Ok(Err(Refusal { name: message.error, text }));
                }
                _ if message.is_end_of_job() => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<Message> {
        let at = || "read from D-Bus";
        let head = self.take(HEAD).at(at)?;
        let (fields_end, end) = lengths(&head)?;
        let rest = self.take(end - HEAD).at(at)?;
        decode(&[head.as_slice(), &rest].concat(), head[1], fields_end)
    }

    /// The next `length` bytes, or an error at the deadline. Read in large pieces: one that is waited for brings others with it.
    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.pending.len() < length {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.pending.extend(&piece[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(self.pending.drain(..length).collect())
    }

    /// A line of the authentication; what follows it are messages.
    fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") && line.len() < 1024 {
            line.extend(self.take(1)?);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

impl Message {
    fn is_end_of_job(&self) -> bool {
        self.kind == SIGNAL && self.member == "JobRemoved"
    }
}

/// A connection to the socket at `path`. Connecting takes no longer than sending may: it waits while the listener's queue is full.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, SendTimeout, &TimeVal::new(PATIENCE.as_secs() as i64, 0))?;
    nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket.into())
}

/// A refusal that is not expected.
pub(super) fn refused(method: &str) -> impl Fn(Refusal) -> Error {
    move |refusal| Error::new(format!("systemd: {method}: {} ({})", refusal.text, refusal.name))
}

/// Where systemd listens: its own socket first, which root may use and which is there before the bus is; then the bus.
fn addresses(user: bool) -> Vec<(PathBuf, bool)> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let from_address = |name: &str| {
        let address = std::env::var(name).ok()?;
        let path = address.split(';').find_map(|a| a.strip_prefix("unix:path="))?.split(',').next()?.to_owned();
        Some(PathBuf::from(path))
    };
    let mut found = Vec::new();
    if user {
        let runtime = variable("XDG_RUNTIME_DIR");
        found.extend(from_address("DBUS_SESSION_BUS_ADDRESS").map(|p| (p, true)));
        found.extend(runtime.iter().map(|dir| (dir.join("bus"), true)));
        found.extend(runtime.iter().map(|dir| (dir.join("systemd/private"), false)));
    } else {
        found.push(("/run/systemd/private".into(), false));
        found.extend(from_address("DBUS_SYSTEM_BUS_ADDRESS").map(|p| (p, true)));
        found.push((Path::new("/run/dbus/system_bus_socket").into(), true));
    }
    found
}

fn encode(serial: u32, destination: &str, path: &str, interface: &str, method: &str, args: &[Value]) -> Vec<u8> {
    let mut body = Encoder::default();
    args.iter().for_each(|arg| body.value(arg));
    let field = |code: u8, value: Value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
    let mut fields = vec![
        field(PATH, Value::Path(path.into())),
        field(DESTINATION, Value::Str(destination.into())),
        field(INTERFACE, Value::Str(interface.into())),
        field(MEMBER, Value::Str(method.into())),
    ];
    if !args.is_empty() {
        fields.push(field(SIGNATURE, Value::Signature(args.iter().map(Value::signature).collect())));
    }
    let mut message = Encoder::default();
    for head in [
        Value::Byte(b'l'),
        Value::Byte(CALL),
        Value::Byte(0),
        Value::Byte(1),
        Value::U32(body.0.len() as u32),
        Value::U32(serial),
    ] {
        message.value(&head);
    }
    message.value(&Value::Array("(yv)".into(), fields));
    message.pad(8);
    message.0.extend(body.0);
    message.0
}

/// Where the header's fields and the whole message end, from its first bytes: byte order, type, flags, version, body length,
/// serial, and the length of the fields, which follow.
fn lengths(head: &[u8]) -> Result<(usize, usize)> {
    let word = |i: usize| u32::from_le_bytes(head[i..i + 4].try_into().expect("four bytes")) as usize;
    let (body, fields) = (word(4), word(12));
    if head[0] != b'l' || body > MAX_MESSAGE || fields > MAX_MESSAGE {
        return Err(Error::new("D-Bus: unexpected kind of message"));
    }
    let fields_end = HEAD + fields;
    Ok((fields_end, fields_end.next_multiple_of(8) + body))
}

/// Reads the messages in `data`, as they would come from the socket; how many there are. An unfinished one at the end does not count.
pub fn count_messages(mut data: &[u8]) -> Result<usize> {
    let mut count = 0;
    while data.len() >= HEAD {
        let (fields_end, end) = lengths(&data[..HEAD])?;
        let Some((message, rest)) = data.split_at_checked(end) else { break };
        decode(message, message[1], fields_end)?;
        (count, data) = (count + 1, rest);
    }
    Ok(count)
}

fn decode(data: &[u8], kind: u8, fields_end: usize) -> Result<Message> {
    let mut message = Message { kind, ..Message::default() };
    let mut signature = String::new();
    let mut head = Decoder::new(data);
    for field in head.values("yyyyuua(yv)")?.into_iter().nth(6).into_iter().flat_map(elements) {
        let Value::Struct(mut parts) = field else { continue };
        let (Some(Value::Variant(value)), Some(Value::Byte(code))) = (parts.pop(), parts.pop()) else { continue };
        match (code, *value) {
            (REPLY_SERIAL, Value::U32(serial)) => message.reply_to = serial,
            (MEMBER, Value::Str(member)) => message.member = member,
            (ERROR_NAME, Value::Str(name)) => message.error = name,
            (SIGNATURE, Value::Signature(types)) => signature = types,
            _ => {}
        }
    }
    let body = data.get(fields_end.next_multiple_of(8)..).unwrap_or_default();
    message.body = Decoder::new(body).values(&signature)?;
    Ok(message)
}

fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(_, values) => values,
        _ => vec![],
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
