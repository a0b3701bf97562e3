//! create, start, run: the lifecycle of the specification, and what remains of it.

use std::process::Stdio;

use serde_json::json;

use crate::support::*;

crate::tests![
    run_passes_output_and_status_on,
    a_signal_becomes_128_plus_n,
    create_then_start,
    create_reports_a_missing_program,
    start_reports_what_execve_refuses,
    a_pid_file_holds_the_pid_and_no_newline,
    a_failed_create_leaves_no_pid_file,
    run_deletes_unless_kept,
    an_id_is_used_once,
    many_racing_on_one_id_have_one_winner,
    the_operand_may_be_the_bundle,
    killed_during_the_start_leaves_nothing_after_delete,
    init_is_a_child_of_the_caller_subreaper,
    debug_prints_the_plan_with_times,
    the_plan_takes_no_step,
    the_plan_is_in_the_order_of_the_run,
];

fn run_passes_output_and_status_on() {
    let done = Bundle::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]).run();
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (7, "out\n", "err\n"));
}

fn a_signal_becomes_128_plus_n() {
    // Init of a PID namespace ignores what it does not handle, so a child dies and sh passes its status on; the kernel's
    // own kill of init is tested with memory limits.
    assert_eq!(Bundle::new(&["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"]).run().code, 143);
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
}

fn create_then_start() {
    let b = Bundle::new(&["sh", "-c", "echo started > /started; sleep 100"]);
    b.create();
    let state = b.state();
    assert_eq!(state["status"], "created");
    assert!(state["pid"].as_i64().expect("pid") > 1);
    assert!(!b.rootfs().join("started").exists());
    b.rrun(["start", &b.id]).ok();
    b.wait_for("running");
    while !b.rootfs().join("started").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    b.rrun(["start", &b.id]).fails_with("cannot start an already running container");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.rrun(["start", &b.id]).fails_with("cannot start a container that has stopped");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn create_reports_a_missing_program() {
    let b = Bundle::new(&["nosuch"]);
    b.write().rrun(["create", &b.id]).fails_with("exec: \"nosuch\": executable file not found in $PATH");
    b.assert_no_trace();
}

fn start_reports_what_execve_refuses() {
    use std::os::unix::fs::PermissionsExt;
    let b = Bundle::new(&["/bin/text"]);
    let path = b.rootfs().join("bin/text");
    std::fs::write(&path, "just text\n").expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    b.create();
    b.rrun(["start", &b.id]).fails_with("exec format error");
    b.run_with(&["--bundle", b.path().to_str().expect("UTF-8")]).fails_with("already exists");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.run().fails_with("exec format error");
    b.assert_no_trace();
}

fn a_pid_file_holds_the_pid_and_no_newline() {
    let b = Bundle::new(&["sleep", "100"]);
    let file = b.scratch("pid");
    let done = b
        .write()
        .command(["run", "-d", "--pid-file", file.to_str().expect("UTF-8"), &b.id])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(done.expect("start rrun").success());
    assert_eq!(std::fs::read_to_string(file).expect("pid file"), b.state()["pid"].to_string());
}

fn a_failed_create_leaves_no_pid_file() {
    let b = Bundle::new(&["nosuch"]);
    let file = b.scratch("pid");
    b.write().rrun(["create", "--pid-file", file.to_str().expect("UTF-8"), &b.id]).fails_with("nosuch");
    assert!(!file.exists());
}

fn run_deletes_unless_kept() {
    let b = Bundle::new(&["true"]);
    b.run().ok();
    b.assert_no_trace();
    b.run_with(&["--keep"]).ok();
    assert_eq!(b.state()["status"], "stopped");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn an_id_is_used_once() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["run", &b.id]).fails_with("container with given ID already exists");
    assert_eq!(b.state()["status"], "running");
}

fn many_racing_on_one_id_have_one_winner() {
    let b = Bundle::new(&["sleep", "100"]);
    b.write();
    let racers: Vec<_> = (0..8)
        .map(|_| b.command(["create", &b.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun"))
        .collect();
    let won = racers.into_iter().map(|mut r| r.wait().expect("wait")).filter(|s| s.success()).count();
    assert_eq!(won, 1);
    assert_eq!(b.state()["status"], "created");
}

fn the_operand_may_be_the_bundle() {
    let b = Bundle::new(&["echo", "hello"]);
    b.write();
    let path = b.path();
    assert_eq!(b.rrun(["run", path.to_str().expect("UTF-8")]).ok(), "hello\n");
    let mut beside = b.command(["run", "bundle"]);
    let done: Done = beside.current_dir(path.parent().expect("parent")).output().expect("start rrun").into();
    assert_eq!(done.ok(), "hello\n");
}

fn killed_during_the_start_leaves_nothing_after_delete() {
    let b = Bundle::new(&["sleep", "100"]);
    b.write();
    for wait in (0..30).map(|i| i * 700) {
        let mut child = b.command(["create", &b.id]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun");
        std::thread::sleep(std::time::Duration::from_micros(wait));
        child.kill().expect("kill");
        child.wait().expect("reap");
        b.rrun(["delete", "--force", &b.id]).ok();
        b.assert_no_trace();
    }
    b.create();
    assert_eq!(b.state()["status"], "created");
}

fn init_is_a_child_of_the_caller_subreaper() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let pid = b.state()["pid"].as_i64().expect("pid");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let parent: i64 = stat.rsplit(')').next().expect("fields").split_whitespace().nth(1).expect("ppid").parse().expect("number");
    let comm = std::fs::read_to_string(format!("/proc/{parent}/comm")).expect("comm");
    assert_ne!(comm.trim(), "rrun", "an rrun process stays between");
}

fn debug_prints_the_plan_with_times() {
    let b = Bundle::new(&["true"]);
    let done = b.write().rrun(["--debug", "run", &b.id]);
    assert_eq!(done.code, 0, "{}", done.err);
    for text in ["clone3 with new namespaces", "execve", " us)"] {
        assert!(done.err.contains(text), "{text} is not in {}", done.err);
    }
}

fn the_plan_takes_no_step() {
    let b = Bundle::new(&["true"]);
    b.write();
    let text = b.rrun(["plan", b.path().to_str().expect("UTF-8")]).ok();
    assert!(text.contains("clone3 with new namespaces: pid, network, ipc, uts, mount"), "{text}");
    assert!(text.lines().last().is_some_and(|l| l.contains("execve \"true\"")), "{text}");
    assert!(text.starts_with("before there is a process: ") && text.contains("\n\nthe program\n"), "{text}");
    b.assert_no_trace();
    let lines: serde_json::Value =
        serde_json::from_str(&b.rrun(["plan", "--json", b.path().to_str().expect("UTF-8")]).ok()).expect("JSON");
    assert_eq!(lines[0]["process"], json!("parent"));
}

fn the_plan_is_in_the_order_of_the_run() {
    let b = Bundle::new(&["true"]);
    b.write();
    let planned: serde_json::Value =
        serde_json::from_str(&b.rrun(["plan", "--json", b.path().to_str().expect("UTF-8")]).ok()).expect("JSON");
    let done = b.rrun(["--debug", "run", "--bundle", b.path().to_str().expect("UTF-8"), &b.id]);
    assert_eq!(done.code, 0, "{}", done.err);
    // Every planned line was taken, in this order (ids and state directories differ).
    let mut rest = done.err.as_str();
    for line in planned.as_array().expect("lines") {
        // The log escapes quotes.
        let text = &line["text"].as_str().expect("text").replace('"', "\\\"");
        if text.contains("/sys/fs/cgroup") || text.contains("claim the id") {
            continue;
        }
        let at = rest.find(text.as_str()).unwrap_or_else(|| panic!("{text} does not follow in {}", done.err));
        rest = &rest[at + text.len()..];
    }
}
