//! The log file and stderr: engines decide by their text, so a failure is one record and one line, and data stays alone.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    a_failure_is_one_json_record_and_one_line,
    a_failure_is_one_write,
    a_text_record_is_one_line_with_a_time,
    json_without_a_file_goes_to_stderr,
    the_log_is_appended_to,
    a_log_that_cannot_be_opened_is_an_error,
    success_of_a_data_verb_says_nothing,
    warnings_wait_for_the_outcome,
    warnings_of_a_run_do_not_wait_for_its_end,
    strict_refuses_before_anything_is_made,
    the_least_level_counts,
    an_old_flag_is_warned_about,
    no_control_character_gets_out,
    on_a_terminal_it_names_the_fix,
];

/// Runs rrun with a log and returns what it did and what it logged.
fn logged(b: &Bundle, args: &[&str]) -> (Done, String) {
    let log = b.scratch("log");
    std::fs::remove_file(&log).ok();
    let done = b.rrun(["--log", log.to_str().expect("UTF-8")].iter().chain(args).copied());
    (done, std::fs::read_to_string(log).unwrap_or_default())
}

fn a_failure_is_one_json_record_and_one_line() {
    let b = Bundle::new(&["true"]);
    for args in [&["state", "x"][..], &["kill", "x"], &["start"], &["nope"], &["create", "--bundle", "/nonexistent", "x"]] {
        let all: Vec<&str> = ["--log-format", "json"].iter().chain(args).copied().collect();
        let (done, log) = logged(&b, &all);
        // Podman decodes the whole file as one object.
        let record: Value = serde_json::from_str(&log).unwrap_or_else(|e| panic!("{args:?}: {e}: {log}"));
        assert_eq!((&record["level"], log.lines().count()), (&json!("error"), 1));
        let line = done.err.lines().next().expect("one line");
        assert_eq!(record["msg"], line, "stderr repeats it bare");
        let time = record["time"].as_str().expect("time");
        assert!(time.len() == 30 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    }
    let (_, log) = logged(&b, &["--log-format=json", "state", "x"]);
    let record: Value = serde_json::from_str(&log).expect("JSON");
    assert_eq!(record["code"], "E-NOID");
    assert!(record["hint"].as_str().is_some_and(|h| h.contains("rrun list")));
}

fn a_failure_is_one_write() {
    let b = Bundle::new(&["true"]);
    // A pipe in packet mode keeps writes apart (pipe2(2), O_DIRECT).
    let long = "x".repeat(9000);
    for args in [&["start"][..], &["state", "x"], &["nope"], &["state", &long], &["create", "--bundle", &format!("/{long}"), "x"]]
    {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_DIRECT | nix::fcntl::OFlag::O_CLOEXEC).expect("pipe2");
        let mut child = b.command(args.iter().copied()).stdout(Stdio::null()).stderr(writer).spawn().expect("start rrun");
        assert!(!child.wait().expect("wait").success());
        let mut reader = std::fs::File::from(reader);
        let mut chunk = [0; 65536];
        let first = reader.read(&mut chunk).expect("read");
        assert!((1..=4096).contains(&first), "{first} bytes");
        // The command itself still holds the writer's copy in `b.command`'s builder no longer: EOF means one write.
        assert_eq!(reader.read(&mut chunk).expect("read"), 0, "a second write: {}", String::from_utf8_lossy(&chunk[..200]));
    }
}

fn a_text_record_is_one_line_with_a_time() {
    let b = Bundle::new(&["true"]);
    let (done, log) = logged(&b, &["start"]);
    assert!(
        log.starts_with("time=\"20")
            && log.ends_with("Z\" level=error msg=\"rrun: \\\"start\\\" requires exactly 1 argument(s)\"\n"),
        "{log}"
    );
    assert!(done.err.starts_with("rrun: \"start\" requires"), "{}", done.err);
}

fn json_without_a_file_goes_to_stderr() {
    let b = Bundle::new(&["true"]);
    let done = b.rrun(["--log-format=json", "state", "x"]);
    let record: Value = serde_json::from_str(&done.err).expect("one object and nothing else");
    assert_eq!(record["level"], "error");
}

fn the_log_is_appended_to() {
    let b = Bundle::new(&["true"]);
    let log = b.scratch("log");
    std::fs::write(&log, "before\n").expect("write");
    b.rrun(["--log", log.to_str().expect("UTF-8"), "state", "x"]).fails_with("container does not exist");
    let text = std::fs::read_to_string(&log).expect("read");
    assert!(text.starts_with("before\ntime="), "{text}");
    std::fs::remove_file(&log).expect("remove");
    b.rrun(["--log", log.to_str().expect("UTF-8"), "list"]).ok();
    assert_eq!(std::fs::metadata(&log).expect("made").permissions().mode() & 0o7777, 0o644);
}

fn a_log_that_cannot_be_opened_is_an_error() {
    let b = Bundle::new(&["true"]);
    b.rrun(["--log", "/nonexistent/log", "list"]).fails_with("open log file /nonexistent/log: no such file or directory");
}

fn success_of_a_data_verb_says_nothing() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    // A broken neighbour is a warning, and --criu another.
    std::fs::create_dir(b.root().join("broken")).expect("mkdir");
    for args in [&["state", &b.id][..], &["list"], &["list", "-f", "json"], &["ps", &b.id], &["features"], &["--version"]] {
        let done = b.rrun(["--criu", "/x"].iter().chain(args).copied());
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{args:?}");
    }
    let (_, log) = logged(&b, &["list"]);
    assert!(log.contains("level=warning msg=\"container broken: state of container broken is damaged"), "{log}");
}

fn warnings_wait_for_the_outcome() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["noNewPrivileged"] = json!(true);
    b.write();
    // Success: records of their own, and not a word on what may be the container's stderr.
    let (done, log) = logged(&b, &["--log-format=json", "run", &b.id]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let record: Value = serde_json::from_str(log.lines().next().expect("a record")).expect("JSON");
    assert_eq!(record["level"], "warning");
    assert!(record["msg"].as_str().is_some_and(|m| m.contains("noNewPrivileged")), "{log}");
    // Failure: one record that holds them.
    b.config["process"]["args"] = json!(["nosuch"]);
    b.write();
    let (_, log) = logged(&b, &["--log-format=json", "run", &b.id]);
    let record: Value = serde_json::from_str(&log).expect("one object");
    assert!(record["warnings"][0].as_str().is_some_and(|w| w.contains("noNewPrivileged")), "{log}");
    // Without a log they are for whoever called.
    b.config["process"]["args"] = json!(["true"]);
    let done = b.run();
    assert!(done.code == 0 && done.err.starts_with("warning: ") && done.err.contains("noNewPrivileged"), "{}", done.err);
}

fn warnings_of_a_run_do_not_wait_for_its_end() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["process"]["noNewPrivileged"] = json!(true);
    b.write();
    let log = b.scratch("log");
    let mut run = b
        .command(["--log", log.to_str().expect("UTF-8"), "run", &b.id])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start rrun");
    wait_until("the warning is written", || std::fs::read_to_string(&log).unwrap_or_default().contains("noNewPrivileged"));
    b.rrun(["kill", &b.id, "KILL"]).ok();
    run.wait().expect("wait");
    let warnings = std::fs::read_to_string(&log).expect("read");
    assert_eq!(warnings.matches("level=warning").count(), warnings.lines().count());
    assert_eq!(warnings.lines().filter(|l| l.contains("noNewPrivileged")).count(), 1, "{warnings}");
}

fn strict_refuses_before_anything_is_made() {
    let mut b = Bundle::new(&["sh", "-c", "echo made > /made"]);
    b.config["process"]["noNewPrivileged"] = json!(true);
    b.write();
    let by_environment: Done = b.command(["run", &b.id]).env("RRUN_STRICT", "1").output().expect("start rrun").into();
    for done in [b.rrun(["--strict", "run", &b.id]), by_environment] {
        done.fails_with("noNewPrivileged");
        assert!(!b.rootfs().join("made").exists());
        b.assert_no_trace();
    }
    let lax: Done = b.command(["run", &b.id]).env("RRUN_STRICT", "0").output().expect("start rrun").into();
    lax.ok();
    assert!(b.rootfs().join("made").exists());
}

fn the_least_level_counts() {
    let b = Bundle::new(&["true"]);
    std::fs::create_dir_all(b.root().join("broken")).expect("mkdir");
    let has = |level: &str, text: &str| logged(&b, &["--log-level", level, "list"]).1.contains(text);
    assert!(has("warning", "level=warning") && has("info", "level=warning") && has("debug", "level=warning"));
    assert!(!has("error", "level=warning"));
    let killed = |level: &str| logged(&b, &["--log-level", level, "kill", "--all", "broken"]).1;
    assert!(!killed("info").contains("level=debug"));
}

fn an_old_flag_is_warned_about() {
    let b = Bundle::new(&["true"]);
    let (done, log) = logged(&b, &["--criu", "/bin/false", "list"]);
    assert_eq!(done.code, 0);
    assert!(log.contains("level=warning msg=\"--criu is ignored"), "{log}");
}

fn no_control_character_gets_out() {
    let b = Bundle::new(&["true"]);
    let evil = "\x1b]0;owned\x07\n{\"level\":\"error\"}\u{202e}";
    for args in [
        &["kill", "x", evil][..],
        &[evil],
        &["create", "--bundle", &format!("/{evil}"), "x"],
        &["--root", &format!("/{evil}"), "list"],
    ] {
        let (done, log) = logged(&b, &[&["--log-format", "json"], args].concat());
        for text in [&done.err, &log] {
            assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
        }
        assert!(done.code == 1 && log.lines().count() == 1, "{log}");
    }
}

fn on_a_terminal_it_names_the_fix() {
    let b = Bundle::new(&["true"]);
    let pty = nix::pty::openpty(None, None).expect("openpty");
    let mut child =
        b.command(["--color", "never", "state", "x"]).stdout(Stdio::null()).stderr(pty.slave).spawn().expect("start rrun");
    child.wait().expect("wait");
    let mut text = [0; 4096];
    let n = std::fs::File::from(pty.master).read(&mut text).expect("read");
    let text = String::from_utf8_lossy(&text[..n]).replace("\r\n", "\n");
    // A long path stands on a line of its own.
    let cause =
        text.strip_prefix("error: container does not exist\ncause: no container x under").unwrap_or_else(|| panic!("{text}"));
    assert!(cause.trim_start().starts_with('/') && cause.contains("\nfix:   rrun list "), "{text}");
    assert!(text.ends_with("rrun help E-NOID]\n"), "{text}");
}
