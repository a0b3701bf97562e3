//! What engines conclude from rrun's words: their matchers, written down here, are fed with real failures.
//!
//! An engine knows a missing program from a forbidden one, or a container that is gone from one that could not be killed, by
//! phrases in the runtime's message alone; users see the difference as exit status 125, 126 or 127.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    a_failed_create_has_the_status_of_its_class,
    a_failed_start_has_the_status_of_its_class,
    a_failed_exec_has_the_status_of_its_class if needs_groups,
    a_container_that_is_gone_is_known_to_be_gone,
    the_last_error_is_the_cause_with_and_without_debug,
    one_read_has_the_whole_message,
];

/// What a failed command left for its caller.
struct Failure {
    /// The log file.
    log: String,
    /// What one read(2) of 8191 bytes gets from stderr.
    read: String,
}

/// Runs a command that must fail, with the log flags of go-runc.
fn failure(b: &Bundle, args: &[&str]) -> Failure {
    let log = b.scratch("log.json");
    std::fs::remove_file(&log).ok();
    let log_flags = ["--log", log.to_str().expect("UTF-8"), "--log-format", "json"];
    let mut command = b.write().command(log_flags.iter().chain(args).copied());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start rrun");
    let status = child.wait().expect("wait");
    assert!(!status.success(), "{args:?} must fail");
    let mut stderr = child.stderr.take().expect("piped");
    let mut buffer = [0; 8191];
    let n = stderr.read(&mut buffer).expect("read");
    assert_eq!(stderr.read(&mut [0; 1]).expect("read"), 0, "more than one read");
    Failure { log: std::fs::read_to_string(log).unwrap_or_default(), read: String::from_utf8_lossy(&buffer[..n]).into_owned() }
}

/// go-runc: decodes all records of the log; the message of the last one of level error.
fn last_error(log: &str) -> String {
    let records = serde_json::Deserializer::from_str(log).into_iter::<Value>();
    let mut last = String::new();
    for record in records {
        let record = record.unwrap_or_else(|e| panic!("one bad record loses the message: {e}: {log}"));
        let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("no {key}: {record}")).to_owned();
        assert!(is_rfc_3339(&text("time")), "{record}");
        if text("level") == "error" {
            last = text("msg");
        }
    }
    last
}

/// 2006-01-02T15:04:05, a fraction of any length, and a zone.
fn is_rfc_3339(time: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd";
    let fits = |(c, p): (char, char)| if p == 'd' { c.is_ascii_digit() } else { c == p };
    let rest = time.get(pattern.len()..).unwrap_or_default();
    let zone = rest.trim_start_matches('.').trim_start_matches(|c: char| c.is_ascii_digit());
    time.chars().zip(pattern.chars()).all(fits) && (zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-'])))
}

fn has(text: &str, phrases: &[&str]) -> bool {
    let text = text.to_lowercase();
    phrases.iter().any(|p| text.contains(p))
}

/// Podman: the whole log is one object, else it is stderr; then the first class with a matching line.
fn podman(failure: &Failure, knows_json: bool) -> u8 {
    let object: Option<Value> = serde_json::from_str(&failure.log).ok();
    let message = match object.filter(|_| knows_json) {
        Some(object) => object["msg"].as_str().expect("msg").to_owned(),
        None => failure.read.clone(),
    };
    podman_of(&message)
}

/// The first class with a phrase in the message.
pub fn podman_of(message: &str) -> u8 {
    if has(message, &["permission denied", "operation not permitted"]) {
        126
    } else if has(message, &["executable file not found in", "no such file or directory", "open executable"]) {
        127
    } else {
        125
    }
}

/// dockerd's reading of the error of create and start. Until version 20.10 the command had to be in the text, and a
/// directory was no class of its own.
pub fn dockerd(message: &str, command: &str, old: bool) -> u8 {
    let message = format!("failed to create shim task: OCI runtime create failed: {message}: unknown");
    let missing = [
        "executable file not found",
        "no such file or directory",
        "system cannot find the file specified",
        "failed to run runc create/exec call",
    ];
    let mut status = 125;
    if has(&message, &missing) && (!old || message.contains(command)) {
        status = 127;
    }
    if has(&message, &["permission denied"]) || (!old && has(&message, &["is a directory"])) {
        status = 126;
    }
    if has(&message, &["not a directory"]) {
        status = 127;
    }
    status
}

/// Asserts that every reader gets `status`.
#[track_caller]
fn all_conclude(failure: &Failure, command: &str, [docker, other]: [u8; 2]) {
    let message = last_error(&failure.log);
    assert_eq!(failure.read.trim_end(), message, "stderr and log say the same");
    for old in [false, true] {
        assert_eq!(dockerd(&message, command, old), docker, "dockerd, old {old}: {message}");
    }
    for knows_json in [true, false] {
        assert_eq!(podman(failure, knows_json), other, "Podman, JSON {knows_json}: {message}");
    }
}

/// A bundle with files that cannot be run, each for a reason of its own.
fn with_bad_files() -> Bundle {
    let b = Bundle::new(&["true"]);
    for (name, text, mode) in [
        ("plain", "#!/bin/sh\n", 0o644),
        ("script", "#!/no/such/shell\n", 0o755),
        ("windows", "#!/bin/sh\r\n", 0o755),
        ("text", "just text\n", 0o755),
        ("empty", "", 0o755),
    ] {
        std::fs::write(b.rootfs().join(name), text).expect("write");
        std::fs::set_permissions(b.rootfs().join(name), std::fs::Permissions::from_mode(mode)).expect("chmod");
    }
    std::fs::copy("/bin/busybox", b.rootfs().join("noexec")).expect("copy");
    b
}

/// Programs that are refused when they are looked for, and what Docker and Podman make of it.
const REFUSED: [(&str, [u8; 2]); 7] = [
    ("nosuch", [127, 127]),
    ("", [127, 127]),
    ("/nosuch", [127, 127]),
    ("/plain", [126, 126]),
    ("/etc", [126, 126]),
    ("/etc/passwd", [126, 126]),
    // "not a directory" is no phrase of Podman's.
    ("/etc/passwd/x", [127, 125]),
];

fn a_failed_create_has_the_status_of_its_class() {
    let mut b = with_bad_files();
    let good = b.config.clone();
    for (program, statuses) in REFUSED {
        b.config["process"]["args"] = json!([program]);
        all_conclude(&failure(&b, &["create", &b.id]), program, statuses);
    }
    let bind = |source: &str, destination: &str| json!({"source": source, "destination": destination, "options": ["bind"]});
    for (pointer, value, statuses) in [
        ("/process/cwd", json!("/etc/passwd"), [127, 125]),
        ("/mounts/0", bind("/nosuch", "/tmp"), [127, 127]),
        ("/mounts/0", bind("/etc/passwd", "/tmp"), [127, 125]),
        ("/mounts/0", bind("/etc", "/etc/passwd"), [127, 125]),
        ("/linux/namespaces", json!([{"type": "mount"}]), [125, 125]),
        ("/linux/maskedPaths", json!("/nosuch"), [125, 125]),
        ("/process/user", json!({"uid": -1, "gid": 0}), [125, 125]),
    ] {
        b.config = good.clone();
        *b.config.pointer_mut(pointer).expect(pointer) = value;
        all_conclude(&failure(&b, &["create", &b.id]), "/", statuses);
    }
    b.config = good;
    b.create();
    all_conclude(&failure(&b, &["create", &b.id]), "true", [125, 125]);
}

fn a_failed_start_has_the_status_of_its_class() {
    let mut b = with_bad_files();
    // Found and allowed, but the kernel cannot run it: only start can know.
    for (program, statuses) in [("/script", [127, 127]), ("/windows", [127, 127]), ("/text", [125, 125]), ("/empty", [125, 125])]
    {
        b.config["process"]["args"] = json!([program]);
        b.create();
        all_conclude(&failure(&b, &["start", &b.id]), program, statuses);
        b.rrun(["delete", "--force", &b.id]).ok();
    }
    b.config["process"]["args"] = json!(["sleep", "100"]);
    b.run_detached();
    all_conclude(&failure(&b, &["start", &b.id]), "sleep", [125, 125]);
}

fn a_failed_exec_has_the_status_of_its_class() {
    let mut b = with_bad_files();
    b.config["process"]["args"] = json!(["sleep", "100"]);
    b.run_detached();
    for (program, statuses) in REFUSED.iter().chain(&[("/script", [127, 127]), ("/text", [125, 125])]) {
        let mut process = b.config["process"].clone();
        process["args"] = json!([program]);
        std::fs::write(b.scratch("process.json"), process.to_string()).expect("write");
        let file = b.scratch("process.json").display().to_string();
        let pid_file = b.scratch("exec.pid").display().to_string();
        let args = ["exec", "--detach", "--process", &file, "--pid-file", &pid_file, &b.id];
        all_conclude(&failure(&b, &args), program, *statuses);
        assert!(!b.scratch("exec.pid").exists(), "conmon knows a failure by the absence of the pid file");
    }
    b.rrun(["pause", &b.id]).ok();
    all_conclude(&failure(&b, &["exec", "--detach", &b.id, "true"]), "true", [125, 125]);
    b.rrun(["resume", &b.id]).ok();
}

/// containerd and CRI-O: whether a process is gone, or its container.
fn gone(text: &str) -> [bool; 3] {
    let containerd = ["os: process already finished", "container not running", "no such process"];
    let crio = ["no such process", "container not running", "invalid process"];
    [has(text, &containerd), has(text, &crio), text.contains("does not exist")]
}

fn a_container_that_is_gone_is_known_to_be_gone() {
    let b = Bundle::new(&["sleep", "100"]);
    for verb in ["kill", "delete", "state", "start", "pause", "exec"] {
        let args = [verb, "nosuch", "true"];
        let args = if verb == "exec" { &args[..] } else { &args[..2] };
        let failure = failure(&b, args);
        assert_eq!(gone(&failure.read), [false, false, true], "{verb}: {}", failure.read);
        assert_eq!(gone(&last_error(&failure.log)), [false, false, true], "{verb}");
    }
    b.run_detached();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    for args in [["kill", &b.id, "15"], ["kill", &b.id, "9"]] {
        let failure = failure(&b, &args);
        assert_eq!(gone(&failure.read), [true, true, false], "{}", failure.read);
        assert_eq!(gone(&last_error(&failure.log)), [true, true, false]);
    }
    // What cannot be done for another reason must not look like it.
    b.rrun(["delete", &b.id]).ok();
    b.run_detached();
    for args in [&["kill", &b.id, "NOSUCH"][..], &["delete", &b.id], &["start", &b.id], &["resume", &b.id]] {
        let failure = failure(&b, args);
        assert_eq!(gone(&failure.read), [false; 3], "{}", failure.read);
    }
}

fn the_last_error_is_the_cause_with_and_without_debug() {
    let mut b = Bundle::new(&["nosuch"]);
    // Something to warn of besides.
    b.config["process"]["noNewPrivileged"] = json!(true);
    let cause = "exec: \"nosuch\": executable file not found in $PATH";
    for debug in [&[][..], &["--debug"]] {
        let args: Vec<&str> = debug.iter().copied().chain(["create", b.id.as_str()]).collect();
        let failure = failure(&b, &args);
        assert!(last_error(&failure.log).contains(cause), "{}", failure.log);
        assert_eq!(failure.log.matches("\"level\":\"error\"").count(), 1, "{}", failure.log);
        assert_eq!(failure.log.lines().count() == 1, debug.is_empty(), "{}", failure.log);
    }
}

fn one_read_has_the_whole_message() {
    let mut b = Bundle::new(&["true"]);
    for program in ["x".repeat(100), "x".repeat(20_000), format!("/{}", "d/".repeat(3000)), "\n\u{1b}[31m".repeat(2000)] {
        b.config["process"]["args"] = json!([program]);
        let failure = failure(&b, &["create", &b.id]);
        assert!(failure.read.len() <= 4096 && failure.read.ends_with('\n'), "{} bytes", failure.read.len());
        assert_eq!(failure.read.lines().count(), 1, "{}", failure.read);
        // Cut or not, the class is still there.
        assert_ne!(podman(&failure, false), 126, "{}", failure.read);
        assert_eq!(podman(&failure, false), podman(&failure, true));
    }
}
