//! The other side of the conversation, well-behaved and not (D-Bus specification, "Message Protocol").
//!
//! systemd is trusted, but a process that answers in its place, or one that hangs, must not hang rrun or make it read beyond what
//! came in.

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

/// A message of the other side.
fn reply(kind: u8, fields: Vec<(u8, Value)>, args: &[Value]) -> Vec<u8> {
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
}

fn text(t: &str) -> Value {
    Value::Str(t.into())
}

/// The signal of a job's end.
fn gone(job: &str, result: &str) -> Vec<u8> {
    let body = [Value::U32(1), Value::Path(job.into()), text("x.scope"), text(result)];
    reply(SIGNAL, vec![(MEMBER, text("JobRemoved"))], &body)
}

/// Plays the other side: greets, answers one call with an error, one with a job whose end comes before the answer.
#[test]
fn a_conversation() {
    let (client, mut server) = UnixStream::pair().expect("pair");
    server.write_all(b"DATA\r\nOK 0123\r\n").expect("greet");
    let mut bus = Bus::greet(client, false, PATIENCE).expect("greeted");
    server
        .write_all(&reply(ERROR, vec![(REPLY_SERIAL, Value::U32(1)), (ERROR_NAME, text("a.B"))], &[text("no")]))
        .expect("write");
    let refusal = bus.manager("StopUnit", &[]).expect("answered").expect_err("refused");
    assert_eq!((refusal.name.as_str(), refusal.text.as_str()), ("a.B", "no"));
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

/// A connection that has been greeted, with little patience, and its other side.
fn greeted(patience: Duration) -> (Bus, UnixStream) {
    let (client, mut server) = UnixStream::pair().expect("pair");
    server.write_all(b"OK 0123\r\n").expect("greet");
    (Bus::greet(client, false, patience).expect("greeted"), server)
}

#[test]
fn a_silent_or_talkative_other_side_is_given_up() {
    let (client, _server) = UnixStream::pair().expect("pair");
    assert_eq!(Bus::greet(client, false, Duration::from_millis(20)).expect_err("silence").errno(), Some(libc::ETIMEDOUT));
    let (mut bus, _server) = greeted(Duration::from_millis(20));
    assert_eq!(bus.manager("StopUnit", &[]).expect_err("silence").errno(), Some(libc::ETIMEDOUT));
    // Signals without end, none of them the awaited answer: none is kept but the ends of jobs.
    let (mut bus, mut server) = greeted(Duration::from_millis(100));
    std::thread::scope(|scope| {
        let noise = reply(SIGNAL, vec![(MEMBER, text("UnitNew"))], &[text("x"), Value::Path("/x".into())]);
        let talker = scope.spawn(move || while server.write_all(&noise).is_ok() {});
        assert_eq!(bus.manager("StopUnit", &[]).expect_err("noise").errno(), Some(libc::ETIMEDOUT));
        assert!(bus.signals.is_empty());
        drop(bus);
        talker.join().expect("it ends with the connection");
    });
}

#[test]
fn nonsense_ends_the_conversation() {
    let answer = |bytes: &[u8]| {
        let (mut bus, mut server) = greeted(Duration::from_millis(200));
        server.write_all(bytes).expect("write");
        server.shutdown(std::net::Shutdown::Write).expect("shutdown");
        bus.manager("StopUnit", &[])
    };
    let good = reply(RETURN, vec![(REPLY_SERIAL, Value::U32(1))], &[text("fine")]);
    answer(&good).expect("a good answer").expect("no refusal");
    answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect_err("not D-Bus");
    answer(&[0xff; 64]).expect_err("not D-Bus");
    let mut long = good.clone();
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    answer(&long).expect_err("a length that nobody sends");
    // Every byte bent in turn: an answer or an error, never a panic, nor a wait beyond the deadline.
    for at in 0..good.len() {
        for bent in [0, 1, 0x28, 0x61, 0x76, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = bent;
            answer(&bytes).ok();
        }
    }
    for greeting in [&b"REJECTED EXTERNAL\r\n"[..], b"ERROR \x1b[2J\r\n", &[b'x'; 4096]] {
        let (client, mut server) = UnixStream::pair().expect("pair");
        server.write_all(greeting).expect("write");
        let e = Bus::greet(client, false, Duration::from_millis(200)).expect_err("refused");
        assert!(!e.to_string().contains('\x1b'), "{e}");
    }
}

#[test]
fn the_version_is_a_number() {
    let (mut bus, mut server) = greeted(Duration::from_millis(200));
    for (serial, (told, number)) in [("257.9-1~deb13u1", 257), ("v252", 252), ("", 0)].into_iter().enumerate() {
        let value = Value::Variant(Box::new(text(told)));
        server.write_all(&reply(RETURN, vec![(REPLY_SERIAL, Value::U32(serial as u32 + 1))], &[value])).expect("write");
        assert_eq!(bus.version().expect("an answer"), number, "{told}");
    }
}

#[test]
fn messages_are_counted_as_they_are_read() {
    let two = [gone("/a", "done"), gone("/b", "failed")].concat();
    assert_eq!(count_messages(&two).expect("two"), 2);
    assert_eq!(count_messages(&two[..two.len() - 1]).expect("one and a part"), 1);
    let mut huge = two;
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    count_messages(&huge).expect_err("a length that is not believed");
}
