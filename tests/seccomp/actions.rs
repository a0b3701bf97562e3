//! Actions, operators, architectures and flags, run by the kernel.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::program::{Door, program};
use super::{ENOSYS, EPERM, GETPGID, THREE, agent, allow_but, bundle, results, rule};
use crate::support::*;

pub fn a_traced_call_without_a_tracer_does_not_exist() {
    assert_eq!(results(&bundle(&program(&THREE), allow_but(vec![rule("getppid", "TRACE")]))), [0, ENOSYS, 1]);
}

const TRACER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/tracer.py");

/// Whether the tracer can follow a process here: it needs ptrace(2), and Python's ctypes.
pub fn lacks_tracer() -> Option<&'static str> {
    let mut traced = Command::new("sleep").arg("1000").spawn().expect("start sleep");
    let mut tracer = Command::new("python3");
    tracer.args([TRACER, &traced.id().to_string(), "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let ready = tracer.spawn().ok().map(|mut tracer| {
        let mut said = String::new();
        BufReader::new(tracer.stdout.take().expect("stdout")).read_line(&mut said).expect("UTF-8");
        traced.kill().expect("end sleep");
        tracer.wait().expect("reap the tracer");
        said
    });
    traced.kill().expect("end sleep");
    traced.wait().expect("reap sleep");
    (ready.as_deref() != Some("ready\n")).then_some("nothing here can trace (ptrace, python3 with ctypes)")
}

pub fn a_traced_call_is_answered_by_the_tracer() {
    let mut traced = rule("getppid", "TRACE");
    traced["errnoRet"] = json!(777);
    let mut b = bundle(&program(&THREE), allow_but(vec![traced]));
    let out = b.scratch("out");
    b.config["mounts"].as_array_mut().expect("mounts").push(json!({"destination": "/out", "source": out, "options": ["bind"]}));
    std::fs::write(&out, "").expect("write");
    b.config["process"]["args"] = json!(["/bin/sh", "-c", "exec /bin/calls > /out"]);
    b.create();
    let pid = b.state()["pid"].to_string();
    let mut tracer = Command::new("python3").args([TRACER, &pid, "4242"]).stdout(Stdio::piped()).spawn().expect("start python3");
    let mut said = BufReader::new(tracer.stdout.take().expect("stdout")).lines().map(|l| l.expect("UTF-8"));
    assert_eq!(said.next().as_deref(), Some("ready"));
    b.rrun(["start", &b.id]).ok();
    assert!(tracer.wait().expect("reap the tracer").success());
    let numbers: Vec<String> = said.collect();
    assert!(numbers.iter().all(|n| n == "777") && !numbers.is_empty(), "{numbers:?}");
    let found = std::fs::read(out).expect("the results");
    let found: Vec<i64> = found.chunks(8).map(|w| i64::from_le_bytes(w.try_into().expect("eight bytes"))).collect();
    assert_eq!(found, [0, 4242, 1]);
}

pub fn a_logged_call_is_made() {
    for flags in [json!([]), json!(["SECCOMP_FILTER_FLAG_LOG"])] {
        let mut profile = json!({"defaultAction": "SCMP_ACT_LOG", "syscalls": [rule("getppid", "ERRNO")]});
        profile["flags"] = flags;
        assert_eq!(results(&bundle(&program(&THREE), profile)), [0, EPERM, 1]);
        assert_eq!(results(&bundle(&program(&THREE), allow_but(vec![rule("getppid", "LOG")]))), [0, 0, 1]);
    }
}

/// Every operator with values that differ in the upper half, in the lower half, and by order.
pub fn every_operator_compares_64_bits_in_the_kernel() {
    const VALUE: u64 = 0x2_0000_0005;
    const MASK: u64 = 0xf_0000_000f;
    let args = [0, 5, VALUE - 1, VALUE, VALUE + 1, 0x1_0000_0009, 0x3_0000_0001, VALUE | 0xf0, u64::MAX];
    let calls = args.map(|pid| (Door::Syscall, GETPGID, [pid, 0, 0]));
    type Holds = fn(u64) -> bool;
    let operators: [(&str, Holds); 7] = [
        ("EQ", |a| a == VALUE),
        ("NE", |a| a != VALUE),
        ("LT", |a| a < VALUE),
        ("LE", |a| a <= VALUE),
        ("GT", |a| a > VALUE),
        ("GE", |a| a >= VALUE),
        ("MASKED_EQ", |a| a & MASK == VALUE),
    ];
    for (operator, holds) in operators {
        let mut condition = json!({"index": 0, "op": format!("SCMP_CMP_{operator}"), "value": VALUE});
        if operator == "MASKED_EQ" {
            condition["value"] = json!(MASK);
            condition["valueTwo"] = json!(VALUE);
        }
        let mut blocked = rule("getpgid", "ERRNO");
        blocked["args"] = json!([condition]);
        blocked["errnoRet"] = json!(999);
        let denied: Vec<bool> =
            results(&bundle(&program(&calls), allow_but(vec![blocked]))).into_iter().map(|r| r == -999).collect();
        assert_eq!(denied, args.map(holds), "{operator}");
    }
}

/// Filters for other machines are larger, and the kernel takes them all the same.
pub fn every_architecture_can_be_listed() {
    let b = Bundle::new(&["true"]);
    let features: Value = serde_json::from_str(&b.rrun(["features"]).ok()).expect("JSON");
    let known = features["linux"]["seccomp"]["archs"].clone();
    assert!(known.as_array().is_some_and(|a| a.len() >= 23), "{known}");
    let mut profile = allow_but(vec![rule("getppid", "ERRNO")]);
    profile["architectures"] = known;
    assert_eq!(results(&bundle(&program(&THREE), profile)), [0, EPERM, 1]);
}

pub fn flags_reach_the_kernel_or_are_refused() {
    let flags = |names: Value| {
        let mut profile = allow_but(vec![rule("getppid", "ERRNO")]);
        profile["flags"] = names;
        let b = bundle(&program(&THREE), profile);
        b.write().rrun(["--debug", "run", &b.id])
    };
    for (names, number) in [
        (json!([]), 0),
        (json!(["SECCOMP_FILTER_FLAG_TSYNC"]), 0),
        (json!(["SECCOMP_FILTER_FLAG_LOG"]), 2),
        (json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"]), 6),
        (Value::Null, 4),
    ] {
        let done = flags(names.clone());
        assert!(done.code == 0 && done.err.contains(&format!("seccomp filter flags: {number}")), "{names}: {done:?}");
    }
    let done = flags(json!(["SECCOMP_FILTER_FLAG_TSYMC"]));
    done.fails_with("linux.seccomp.flags[0]");
    done.fails_with("did you mean SECCOMP_FILTER_FLAG_TSYNC?");
}

pub fn an_unknown_call_that_is_restricted_is_a_warning() {
    let b = bundle(&program(&THREE), allow_but(vec![rule("getpppid", "ERRNO")]));
    let text = "unknown system call \"getpppid\": its rule has NO effect - did you mean getppid?";
    let done = b.run();
    assert!(done.code == 0 && done.err.contains(text), "{done:?}");
    b.rrun(["--strict", "run", &b.id]).fails_with(text);
}

/// A process that is executed later has a filter of its own, and tells its own pid.
pub fn an_executed_process_has_its_own_listener() {
    let mut b = bundle(&program(&THREE), Value::Null);
    let sockets = ["first", "second"].map(|name| b.scratch(name));
    let listener = b.scratch("agent");
    b.config["process"]["args"] = json!(["/bin/sleep", "100"]);
    b.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": listener, "syscalls": [rule("getppid", "NOTIFY")],
    });
    let mut documents = Vec::new();
    for (at, socket) in sockets.iter().enumerate() {
        std::fs::remove_file(&listener).ok();
        std::os::unix::fs::symlink(socket, &listener).expect("symlink");
        let mut agent = agent(socket);
        let mut said = BufReader::new(agent.stdout.take().expect("stdout")).lines().map(|l| l.expect("UTF-8"));
        assert_eq!(said.next().as_deref(), Some("ready"));
        if at == 0 {
            b.run_detached();
        } else {
            let out = b.command(["exec", &b.id, "/bin/calls"]).output().expect("start rrun");
            let found: Vec<i64> = out.stdout.chunks(8).map(|w| i64::from_le_bytes(w.try_into().expect("eight bytes"))).collect();
            assert_eq!(found[..2], [0, 4242], "{}", String::from_utf8_lossy(&out.stderr));
        }
        documents.push(serde_json::from_str::<Value>(&said.next().expect("the document")).expect("JSON"));
        agent.kill().expect("end the agent");
        agent.wait().expect("reap the agent");
    }
    let (init, other) = (&documents[0], &documents[1]);
    assert_eq!((&init["state"]["status"], &other["state"]["status"]), (&json!("creating"), &json!("running")));
    assert_eq!(init["pid"], b.state()["pid"]);
    assert_eq!(other["state"]["pid"], b.state()["pid"]);
    assert!(other["pid"].is_number() && other["pid"] != init["pid"], "{other}");
    assert!(other.get("metadata").is_none(), "{other}");
}
