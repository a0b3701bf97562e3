//! The audit log: who did what, when, from where, and why it ended; and that it cannot be fooled, forged unseen, or in the way.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    each_event_is_a_line if needs_groups,
    the_caller_is_named,
    an_end_for_lack_of_memory_has_its_cause if needs_groups,
    the_end_is_logged_once,
    a_failure_is_logged_with_its_errno,
    hostile_arguments_stay_one_line,
    the_exposure_is_that_of_the_same_config,
    a_changed_line_is_noticed,
    a_failing_log_is_a_warning,
    a_required_log_comes_first,
    following_prints_what_comes,
    the_switch_turns_it_on if lacks_mounts,
    off_it_costs_one_look if lacks_strace,
];

fn dir(b: &Bundle) -> PathBuf {
    b.scratch("audit")
}

/// A command that logs; stdio is nobody's.
fn audited(b: &Bundle, args: &[&str]) -> Done {
    let dir = dir(b);
    let all: Vec<&str> = ["--audit", dir.to_str().expect("UTF-8")].into_iter().chain(args.iter().copied()).collect();
    b.write();
    Done::from(b.command(all).output().expect("start rrun"))
}

fn quietly(b: &Bundle, args: &[&str]) {
    let dir = dir(b);
    let all: Vec<&str> = ["--audit", dir.to_str().expect("UTF-8")].into_iter().chain(args.iter().copied()).collect();
    b.write();
    assert!(b.command(all).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success(), "{args:?}");
}

fn records(b: &Bundle) -> Vec<Value> {
    let text = std::fs::read_to_string(dir(b).join("audit.jsonl")).expect("the log");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"))).collect()
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().filter_map(|r| r["eventName"].as_str()).collect()
}

fn each_event_is_a_line() {
    let b = Bundle::new(&["sleep", "100"]);
    quietly(&b, &["create", &b.id]);
    quietly(&b, &["start", &b.id]);
    quietly(&b, &["exec", &b.id, "true", "x"]);
    quietly(&b, &["pause", &b.id]);
    quietly(&b, &["resume", &b.id]);
    quietly(&b, &["kill", &b.id, "KILL"]);
    b.wait_for("stopped");
    quietly(&b, &["delete", &b.id]);
    let all = records(&b);
    assert_eq!(names(&all), ["create", "start", "exec", "pause", "resume", "kill", "exit", "delete"]);
    assert!(all.iter().all(|r| r["id"] == b.id.as_str() && r["result"] == "success" && r["eventTime"].is_string()), "{all:?}");
    assert_eq!((&all[0]["argv"], &all[2]["argv"]), (&json!(["sleep", "100"]), &json!(["true", "x"])));
    assert_eq!((&all[1]["bundle"], &all[5]["details"]["signal"]), (&json!(b.path()), &json!("KILL")));
    let config = Command::new("sha256sum").arg(b.path().join("config.json")).output().expect("run sha256sum");
    let sum = String::from_utf8_lossy(&config.stdout).split(' ').next().map(|sum| format!("sha256:{sum}"));
    assert_eq!(all[1]["config"].as_str().map(str::to_owned), sum);
    let file = dir(&b).join("audit.jsonl");
    assert_eq!(file.metadata().expect("the log").permissions().mode() & 0o777, 0o600);
    let told = audited(&b, &["log", &b.id]).ok();
    assert_eq!(told.lines().count(), 8, "{told}");
    assert!(told.contains("  exec    ") && told.contains("argv [\"true\",\"x\"]") && !told.contains("broken"), "{told}");
    let raw = audited(&b, &["log", "--json"]).ok();
    assert_eq!(raw, std::fs::read_to_string(file).expect("the log"));
    assert_eq!(audited(&b, &["log", "other"]).ok(), "");
}

fn the_caller_is_named() {
    let b = Bundle::new(&["true"]);
    let dir = dir(&b);
    let mut command = b.write().command(["--audit", dir.to_str().expect("UTF-8"), "run", &b.id]);
    command.env("SSH_CONNECTION", "10.0.0.7 5 10.0.0.1 22").env("SUDO_UID", "0");
    assert!(command.status().expect("run").success());
    let start = &records(&b)[0];
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim().parse::<u32>().ok().filter(|uid| *uid != u32::MAX);
    let identity = &start["userIdentity"];
    assert_eq!(identity["login"]["uid"].as_u64(), login.map(u64::from), "{identity}");
    assert_eq!((&identity["sudo"]["name"], &identity["sudo"]["verified"]), (&json!("root"), &json!(false)));
    assert_eq!(identity["euid"].as_u64(), Some(u64::from(nix::unistd::geteuid().as_raw())));
    assert_eq!((&start["sourceIPAddress"], &start["sourceIPAddressVerified"]), (&json!("10.0.0.7"), &json!(false)));
    let told = audited(&b, &["log"]).ok();
    assert!(told.contains("from 10.0.0.7 (unverified)") && told.contains("via sudo"), "{told}");
}

fn an_end_for_lack_of_memory_has_its_cause() {
    let mut b = Bundle::new(&["sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=64M"]);
    b.config["linux"]["resources"]["memory"] = json!({"limit": 32 << 20});
    assert_eq!(audited(&b, &["run", &b.id]).code, 137);
    let all = records(&b);
    assert_eq!(names(&all), ["start", "exit"]);
    let details = &all[1]["details"];
    assert_eq!(
        (&details["status"], &details["signal"], &details["cause"]),
        (&json!(137), &json!("SIGKILL"), &json!("memory limit"))
    );
    let told = audited(&b, &["log"]).ok();
    assert!(told.contains("137  SIGKILL  cause memory limit (oom_kill 0"), "{told}");
}

fn the_end_is_logged_once() {
    let b = Bundle::new(&["sh", "-c", "exit 3"]);
    assert_eq!(audited(&b, &["run", "--keep", &b.id]).code, 3);
    audited(&b, &["state", &b.id]).ok();
    quietly(&b, &["delete", &b.id]);
    let all = records(&b);
    assert_eq!((names(&all), &all[1]["details"]["status"]), (vec!["start", "exit", "delete"], &json!(3)));
    // Nobody waited for this one: `state` is the first to see its end.
    quietly(&b, &["run", "--detach", &b.id]);
    b.wait_for("stopped");
    audited(&b, &["state", &b.id]).ok();
    audited(&b, &["state", &b.id]).ok();
    quietly(&b, &["delete", "--force", &b.id]);
    let all = records(&b);
    assert_eq!((names(&all[3..]), &all[4]["details"]["status"]), (vec!["start", "exit", "delete"], &Value::Null));
    // One that was never started has no end.
    quietly(&b, &["create", &b.id]);
    quietly(&b, &["delete", &b.id]);
    assert_eq!(names(&records(&b)[6..]), ["create", "delete"]);
}

fn a_failure_is_logged_with_its_errno() {
    let b = Bundle::new(&["/no/such/program"]);
    assert_eq!(audited(&b, &["run", &b.id]).code, 1);
    assert_eq!(audited(&b, &["kill", &b.id]).code, 1);
    let all = records(&b);
    let last = |n: usize| (&all[n]["eventName"], &all[n]["result"]);
    assert_eq!((last(0), last(1)), ((&json!("start"), &json!("failure")), (&json!("kill"), &json!("failure"))));
    assert_eq!(all[0]["errorCode"], "ENOENT");
    assert!(all[0]["errorMessage"].as_str().is_some_and(|m| m.contains("no such file or directory")), "{all:?}");
    assert!(audited(&b, &["log"]).ok().contains("FAILED"));
}

fn hostile_arguments_stay_one_line() {
    let long = "x\u{1b}[2J\n\"".repeat(3000);
    let b = Bundle::new(&["true", "a\nb\u{1b}[2J", &long, &long, &long, "last"]);
    audited(&b, &["run", &b.id]).ok();
    let text = std::fs::read_to_string(dir(&b).join("audit.jsonl")).expect("the log");
    assert!(text.lines().all(|line| line.len() < 4096), "{}", text.len());
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains('\u{1b}') && !text.contains("\\u001b"), "{text}");
    let told = audited(&b, &["log"]).ok();
    assert!(told.lines().count() == 2 && !told.contains('\u{1b}'), "{told:?}");
}

fn the_exposure_is_that_of_the_same_config() {
    let mut b = Bundle::new(&["true"]);
    audited(&b, &["run", &b.id]).ok();
    let explained: Value = serde_json::from_str(&b.rrun(["explain", ".", "--json"]).ok()).expect("JSON");
    let exposure = format!("exposure {} {}", explained["score"], explained["level"].as_str().expect("a level"));
    let told = audited(&b, &["log"]).ok();
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains(" start ") && lines[0].ends_with(&format!("  {exposure}  argv [\"true\"]")), "{told}");
    assert!(!lines[1].contains("exposure"), "{told}");
    // Of another config nobody knows what it was.
    b.config["hostname"] = json!("changed");
    assert!(!audited(&b, &["log"]).ok().contains("exposure"));
}

fn a_changed_line_is_noticed() {
    let b = Bundle::new(&["true"]);
    (0..2).for_each(|_| drop(audited(&b, &["run", &b.id]).ok()));
    let whole = audited(&b, &["log"]).ok();
    assert!(!whole.contains("broken"), "{whole}");
    let path = dir(&b).join("audit.jsonl");
    let text = std::fs::read_to_string(&path).expect("the log");
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&path, [lines[0], lines[2], lines[3], ""].join("\n")).expect("write");
    let told = audited(&b, &["log"]).ok();
    assert_eq!(told.lines().position(|line| line.contains("the chain is broken here")), Some(1), "{told}");
    assert_eq!(told.matches("broken").count(), 1, "{told}");
}

fn a_failing_log_is_a_warning() {
    let b = Bundle::new(&["echo", "runs"]);
    std::fs::write(dir(&b), "a file").expect("write");
    let done = audited(&b, &["run", &b.id]);
    assert_eq!((done.code, done.out.as_str()), (0, "runs\n"));
    assert!(done.err.contains("the audit log misses an event"), "{}", done.err);
}

fn a_required_log_comes_first() {
    let b = Bundle::new(&["sh", "-c", "touch /ran"]);
    std::fs::write(dir(&b), "a file").expect("write");
    let required = format!("required:{}", dir(&b).display());
    b.write();
    let done = b.rrun(["--audit", &required, "run", &b.id]);
    done.fails_with("audit");
    assert!(!b.rootfs().join("ran").exists());
    b.assert_no_trace();
    std::fs::remove_file(dir(&b)).expect("remove");
    b.rrun(["--audit", &required, "run", &b.id]).ok();
    assert!(b.rootfs().join("ran").exists());
    assert_eq!(names(&records(&b)), ["start", "exit"]);
    let file = dir(&b).join("audit.jsonl");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).expect("chmod");
    b.rrun(["--audit", &required, "run", &b.id]).fails_with("only it can change");
}

fn following_prints_what_comes() {
    let b = Bundle::new(&["true"]);
    audited(&b, &["run", &b.id]).ok();
    let out = b.scratch("followed");
    let to = std::fs::File::create(&out).expect("create");
    let dir = dir(&b);
    let mut command = b.command(["--audit", dir.to_str().expect("UTF-8"), "log", "-f", "--json"]);
    let mut child = command.stdout(to).spawn().expect("start rrun");
    let lines = || std::fs::read_to_string(&out).expect("read").lines().count();
    wait_until("what was there is printed", || lines() == 2);
    audited(&b, &["run", &b.id]).ok();
    wait_until("what comes is printed", || lines() == 4);
    child.kill().expect("kill");
    child.wait().expect("wait");
    let nothing = b.rrun(["--audit", "/nonexistent/audit", "log"]);
    nothing.fails_with("no such file or directory");
    assert!(nothing.err.contains("nothing has been logged yet"), "{}", nothing.err);
}

fn lacks_mounts() -> Option<&'static str> {
    needs_root()
}

/// With a mount namespace in which /etc is another, as the machine's own is not to be changed.
fn the_switch_turns_it_on() {
    let b = Bundle::new(&["true"]);
    let etc = b.scratch("etc");
    std::fs::create_dir_all(etc.join("rrun")).expect("mkdir");
    std::fs::write(etc.join("rrun/audit"), format!("{}\n", dir(&b).display())).expect("write");
    let script = format!(
        "mount --make-rprivate / && mount --bind {} /etc && exec {} --root {} run --bundle {} {}",
        etc.display(),
        rrun_path().display(),
        b.root().display(),
        b.path().display(),
        b.id
    );
    b.write();
    let done = Done::from(Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().expect("run unshare"));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(names(&records(&b)), ["start", "exit"]);
}

fn lacks_strace() -> Option<&'static str> {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    (!there).then_some("no strace")
}

fn off_it_costs_one_look() {
    let b = Bundle::new(&["true"]);
    let trace = b.scratch("trace");
    let mut command = Command::new("strace");
    command.arg("-o").arg(&trace).arg(rrun_path()).arg("--root").arg(b.root()).args(["run", "--bundle"]).arg(b.path()).arg(&b.id);
    b.write();
    assert!(command.stdin(Stdio::null()).status().expect("run strace").success());
    let calls = std::fs::read_to_string(trace).expect("read");
    let looks: Vec<&str> = calls.lines().filter(|line| line.contains("audit") || line.contains("loginuid")).collect();
    assert!(looks.len() == 1 && looks[0].contains("\"/etc/rrun/audit\""), "{looks:?}");
}
