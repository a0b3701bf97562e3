//! Each message of the handshake fails, as it is sent and as it is received, or its process dies over it: in containers that use
//! all rows of the table in src/process/handshake.rs. `steps` and `calls` meet the rows that every start has.

use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::json;

use super::calls::{needs_strace, traced};
use super::{Probe, finish};
use crate::support::*;

crate::tests![
    all if needs_strace;
    a_terminal_that_does_not_get_through_undoes_all,
    a_listener_that_does_not_get_through_undoes_all,
    a_container_that_a_joiner_makes_is_undone_as_well,
    a_process_that_joins_is_undone_alone,
];

const CALLS: [&str; 2] = ["sendmsg", "recvmsg"];

/// A container that ends by itself.
fn probe() -> Probe {
    let mut b = Bundle::new(&[]);
    // The id as the last argument: by it the program is found in the list of processes.
    b.config["process"]["args"] = json!(["/bin/sh", "-c", "echo ran", b.id]);
    b.write();
    Probe { bundle: b, tolerant: false }
}

/// A socket that takes what comes.
fn socket(b: &Bundle) -> (UnixListener, String) {
    let path = b.scratch("s");
    let listener = UnixListener::bind(&path).expect("bind");
    (listener, path.to_str().expect("UTF-8").to_owned())
}

/// The most often that one process makes each call while the command succeeds.
fn counts(command: impl Fn(&[&str]) -> Command, b: &Bundle) -> Vec<(&'static str, usize)> {
    let trace = b.scratch("trace");
    let done = finish(command(&["-e", "trace=sendmsg,recvmsg", "-o", trace.to_str().expect("UTF-8")]));
    assert_eq!(done.code, 0, "without a fault: {done:?}");
    let text = std::fs::read_to_string(&trace).expect("the trace");
    let process = |line: &str| line.split(' ').next().map(str::to_owned);
    let most = |call: &str| {
        let made: Vec<_> = text.lines().filter(|line| line.contains(&format!(" {call}("))).filter_map(process).collect();
        made.iter().map(|p| made.iter().filter(|other| *other == p).count()).max().unwrap_or(0)
    };
    CALLS.map(|call| (call, most(call))).to_vec()
}

/// Every fault once; `judge` is told what it was, whether it met the last message, and how the command ended. The last message is the
/// end of the stream, when the program has taken over.
fn each(command: impl Fn(&[&str]) -> Command, b: &Bundle, judge: impl Fn(&str, bool, &Done)) {
    let mut met = 0;
    for (call, most) in counts(&command, b) {
        assert!(most > 0, "nobody makes {call}");
        for (at, how) in (1..=most).flat_map(|at| ["error=EIO", "error=ENOMEM", "signal=KILL"].map(|how| (at, how))) {
            let inject = format!("inject={call}:{how}:when={at}");
            let done = finish(command(&["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]));
            met += usize::from(done.code != 0);
            judge(&inject, call == "recvmsg" && at == most, &done);
        }
    }
    assert!(met > 3, "hardly any fault was met");
}

/// `run --detach` under each fault: an error is one, without the program, and nothing is left.
#[track_caller]
fn each_start(probe: &Probe, options: &[&str]) {
    let id = probe.bundle.id.as_str();
    let words: Vec<&str> = ["run", "--detach"].iter().chain(options).copied().chain([id]).collect();
    let command = |strace: &[&str]| traced(probe, strace, &words);
    let counting = |strace: &[&str]| {
        if probe.bundle.root().join(id).exists() {
            probe.force("the last run");
        }
        command(strace)
    };
    each(counting, &probe.bundle, |fault, last, done| {
        if done.code == 0 || done.code == 137 {
            // It came through; or nobody was left to undo anything, as after SIGKILL.
            probe.force(fault);
            return;
        }
        assert!(!done.err.trim().is_empty(), "{fault}: failed without a word");
        assert!(last || !done.out.contains("ran"), "{fault}: {done:?}");
        assert_eq!(probe.left(), None, "{fault}: {}", done.err);
    });
}

fn a_terminal_that_does_not_get_through_undoes_all() {
    let mut probe = probe();
    probe.bundle.config["process"]["terminal"] = json!(true);
    let (listener, path) = socket(probe.bundle.write());
    // More connections than a test makes faults wait without being taken.
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1000).expect("a number")).expect("listen");
    each_start(&probe, &["--console-socket", &path]);
}

/// Before the gate and behind it: with no_new_privs the filter is installed last.
fn a_listener_that_does_not_get_through_undoes_all() {
    for last in [false, true] {
        let mut probe = probe();
        let (listener, path) = socket(&probe.bundle);
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(1000).expect("a number")).expect("listen");
        probe.bundle.config["process"]["noNewPrivileges"] = json!(last);
        probe.bundle.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
            "syscalls": [{"names": ["vhangup"], "action": "SCMP_ACT_NOTIFY"}]});
        probe.bundle.write();
        each_start(&probe, &[]);
    }
}

/// A new user namespace beside a namespace that is joined takes a process between.
fn a_container_that_a_joiner_makes_is_undone_as_well() {
    let neighbour = Bundle::new(&["sleep", "1000"]);
    neighbour.run_detached();
    let mut probe = probe();
    map_ids(&mut probe.bundle.config, 100_000, 65_536);
    let path = format!("/proc/{}/ns/ipc", neighbour.state()["pid"]);
    let namespaces = probe.bundle.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.iter_mut().filter(|n| n["type"] == "ipc").for_each(|n| n["path"] = json!(path));
    without_mqueue(&mut probe.bundle);
    probe.bundle.write();
    each_start(&probe, &[]);
}

/// Its file system belongs to the user namespace of the neighbour.
fn without_mqueue(b: &mut Bundle) {
    b.config["mounts"].as_array_mut().expect("mounts").retain(|m| m["type"] != "mqueue");
}

fn a_process_that_joins_is_undone_alone() {
    let mut probe = probe();
    map_ids(&mut probe.bundle.config, 100_000, 65_536);
    probe.bundle.config["process"]["args"] = json!(["/bin/sh", "-c", "sleep 1000", probe.bundle.id]);
    probe.bundle.run_detached();
    let (init, id) = (probe.bundle.state()["pid"].clone(), probe.bundle.id.clone());
    let members = || probe.bundle.rrun(["ps", "--format", "json", &id]).ok().split(',').count();
    let before = members();
    let words = ["exec", &id, "/bin/sh", "-c", "echo ran"];
    each(
        |strace| traced(&probe, strace, &words),
        &probe.bundle,
        |fault, _, done| {
            let ran = done.out.contains("ran");
            assert!(ran || done.code == 137 || !done.err.trim().is_empty(), "{fault}: {done:?}");
            // It does not wait to be heard: whoever fails to listen may kill it after its first word.
            assert!(!ran || done.code == 0 || done.code == 137 || fault.contains("recvmsg"), "{fault}: {done:?}");
            wait_until(&format!("{fault}: only init is left"), || members() == before);
            assert_eq!((&probe.bundle.state()["pid"], &probe.bundle.state()["status"]), (&init, &json!("running")), "{fault}");
        },
    );
    probe.force("exec");
}
