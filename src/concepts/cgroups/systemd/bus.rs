//! A connection to systemd over D-Bus: one unix socket, one call at a time, no thread (D-Bus specification; org.freedesktop.systemd1(5)).
//!
//! Client libraries for D-Bus start threads, and a process that makes namespaces must have only one. What rrun needs is five calls and
//! one signal.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::wire::{Decoder, Encoder, Value};
use crate::error::{At, Error, Result};

/// systemd answers within milliseconds; a job that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest message believed; answers here are a few hundred bytes.
const MAX_MESSAGE: usize = 1 << 20;

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
    /// Signals that came in while a reply was awaited.
    signals: VecDeque<Message>,
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
            "the user's bus is missing: install dbus-user-session and log in anew, or use the cgroupfs driver"
        } else {
            "systemd does not run here: use the cgroupfs driver"
        };
        let mut last = Error::new("connect to systemd: no address is known");
        for (path, bus) in addresses(user) {
            match UnixStream::connect(&path).at(|| format!("connect to {}", path.display())) {
                Ok(stream) => return Self::greet(stream, bus).map_err(|e| e.code("E-BUS")),
                Err(e) => last = e,
            }
        }
        Err(last.code("E-BUS").hint(hint))
    }

    /// Authenticates by what the kernel says of this process (SASL EXTERNAL). No user id is named: in a user namespace, rrun
    /// knows another than the bus sees.
    fn greet(mut stream: UnixStream, bus: bool) -> Result<Self> {
        let at = || "authenticate to D-Bus";
        stream.set_read_timeout(Some(PATIENCE)).at(at)?;
        stream.set_write_timeout(Some(PATIENCE)).at(at)?;
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").at(at)?;
        loop {
            let line = read_line(&mut stream).at(at)?;
            match line.split(' ').next() {
                Some("DATA") => {}
                Some("OK") => break,
                _ => return Err(Error::new(format!("authenticate to D-Bus: refused ({line})"))),
            }
        }
        let mut this = Self { stream, serial: 0, signals: VecDeque::new() };
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

    /// As [`Bus::manager`] for methods that start a job: waits until the job has ended.
    pub fn job(&mut self, method: &str, args: &[Value]) -> Result<std::result::Result<(), Refusal>> {
        let job = match self.manager(method, args)? {
            Err(refusal) => return Ok(Err(refusal)),
            Ok(reply) => reply.first().and_then(Value::text).unwrap_or_default().to_owned(),
        };
        let start = Instant::now();
        loop {
            let signal = match self.signals.pop_front() {
                Some(signal) => signal,
                None => self.receive()?,
            };
            // JobRemoved: id, job, unit, result.
            if signal.kind == SIGNAL && signal.member == "JobRemoved" && signal.body.get(1).and_then(Value::text) == Some(&job) {
                let result = signal.body.get(3).and_then(Value::text).unwrap_or_default();
                return match result {
                    "done" | "skipped" => Ok(Ok(())),
                    other => Err(Error::new(format!("systemd: {method}: the job ended as {other}"))),
                };
            }
            if start.elapsed() > PATIENCE {
                return Err(Error::new(format!("systemd: {method}: the job does not end")));
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
        self.stream.write_all(&message).at(|| format!("D-Bus call {method}"))?;
        loop {
            let message = self.receive().map_err(|e| e.context(format!("D-Bus call {method}")))?;
            match message.kind {
                RETURN if message.reply_to == serial => return Ok(Ok(message.body)),
                ERROR if message.reply_to == serial => {
                    let text = message.body.first().and_then(Value::text).unwrap_or_default().to_owned();
                    return Ok(Err(Refusal { name: message.error, text }));
                }
                SIGNAL => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<Message> {
        let at = || "read from D-Bus";
        let mut head = [0u8; 16];
        self.stream.read_exact(&mut head).at(at)?;
        let word = |i: usize| u32::from_le_bytes(head[i..i + 4].try_into().expect("four bytes")) as usize;
        // Header: byte order, type, flags, version, body length, serial, and the length of the fields, which follow.
        let (body, fields) = (word(4), word(12));
        if head[0] != b'l' || body > MAX_MESSAGE || fields > MAX_MESSAGE {
            return Err(Error::new("D-Bus: unexpected kind of message"));
        }
        let fields_end = 16 + fields;
        let mut message = head.to_vec();
        message.resize(fields_end.next_multiple_of(8) + body, 0);
        self.stream.read_exact(&mut message[16..]).at(at)?;
        decode(&message, head[1], fields_end)
    }
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

/// A line of the authentication, read byte by byte: what follows it are messages.
fn read_line(stream: &mut UnixStream) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0u8];
    while !line.ends_with(b"\r\n") && line.len() < 1024 {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
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
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_back() {
        let args = [Value::Str("x.scope".into()), Value::Array("(sv)".into(), vec![])];
        let data = encode(3, SYSTEMD, SYSTEMD_PATH, MANAGER, "StartTransientUnit", &args);
        let fields = u32::from_le_bytes(data[12..16].try_into().expect("four"));
        let message = decode(&data, data[1], 16 + fields as usize).expect("decode");
        assert_eq!((message.kind, message.member.as_str()), (CALL, "StartTransientUnit"));
        assert_eq!(message.body, args);
    }

    /// Plays the other side: greets, answers one call with an error, one with a job whose end comes before the answer.
    #[test]
    fn a_conversation() {
        let (client, mut server) = UnixStream::pair().expect("pair");
        server.write_all(b"DATA\r\nOK 0123\r\n").expect("greet");
        let mut bus = Bus::greet(client, false).expect("greeted");
        let reply = |kind: u8, fields: Vec<(u8, Value)>, args: &[Value]| {
            let mut body = Encoder::default();
            args.iter().for_each(|a| body.value(a));
            let field = |(code, value)| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
            let mut all: Vec<Value> = fields.into_iter().map(field).collect();
            all.push(field((SIGNATURE, Value::Signature(args.iter().map(Value::signature).collect()))));
            let mut message = Encoder(vec![b'l', kind, 0, 1]);
            message.value(&Value::U32(body.0.len() as u32));
            message.value(&Value::U32(9));
            message.value(&Value::Array("(yv)".into(), all));
            message.pad(8);
            message.0.extend(body.0);
            message.0
        };
        let text = |t: &str| Value::Str(t.into());
        server
            .write_all(&reply(ERROR, vec![(REPLY_SERIAL, Value::U32(1)), (ERROR_NAME, text("a.B"))], &[text("no")]))
            .expect("write");
        let refusal = bus.manager("StopUnit", &[]).expect("answered").expect_err("refused");
        assert_eq!((refusal.name.as_str(), refusal.text.as_str()), ("a.B", "no"));
        let gone = |job: &str, result: &str| {
            let body = [Value::U32(1), Value::Path(job.into()), text("x.scope"), text(result)];
            reply(SIGNAL, vec![(MEMBER, text("JobRemoved"))], &body)
        };
        server.write_all(&gone("/other", "failed")).expect("write");
        server.write_all(&gone("/mine", "done")).expect("write");
        server.write_all(&reply(RETURN, vec![(REPLY_SERIAL, Value::U32(2))], &[Value::Path("/mine".into())])).expect("write");
        bus.job("StartTransientUnit", &[]).expect("answered").expect("done");
        server.write_all(&reply(RETURN, vec![(REPLY_SERIAL, Value::U32(3))], &[Value::Path("/mine".into())])).expect("write");
        server.write_all(&gone("/mine", "failed")).expect("write");
        assert!(bus.job("StartTransientUnit", &[]).is_err());
        drop(server);
        assert!(bus.manager("StopUnit", &[]).is_err());
    }
}
