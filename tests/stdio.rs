//! stdin, stdout, stderr and the descriptors that a caller hands over or merely forgot to close.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    stdio_passes_through,
    closed_stdio_is_no_obstacle,
    what_the_caller_left_open_does_not_leak,
    hooks_get_no_descriptor_of_the_caller,
    preserved_descriptors_keep_their_numbers,
    a_preserved_descriptor_must_be_open,
    a_descriptor_of_rrun_is_not_preserved,
    passed_sockets_come_before_preserved_descriptors,
    sockets_passed_to_another_process_are_left_alone,
    a_count_of_sockets_must_be_a_number,
    a_user_can_open_the_stderr_it_was_given,
    a_user_of_another_namespace_can_open_it_too,
    nothing_of_the_host_changes_its_owner,
    the_output_of_a_relayed_pipe_is_complete,
    the_end_of_input_reaches_a_relayed_pipe,
    a_pidfd_is_sent,
];

/// Runs the bundle from a line of bash in which `"$@"` stands for rrun.
fn from_shell(line: &str, bundle: &Bundle, args: &[&str]) -> Done {
    let run = bundle.write().command(args.iter().copied().chain([bundle.id.as_str()]));
    let mut shell = Command::new("bash");
    shell.args(["-c", line, "bash"]).arg(run.get_program()).args(run.get_args()).current_dir(bundle.path()).stdin(Stdio::null());
    shell.output().expect("run bash").into()
}

fn numbers(seen: &Value) -> Vec<i64> {
    seen["fds"].as_array().expect("fds").iter().map(|fd| fd["fd"].as_i64().expect("a number")).collect()
}

/// What the witness saw of its descriptors.
fn witness(line: &str, args: &[&str]) -> Value {
    let done = from_shell(line, &Bundle::new(&["witness", "fds", "env"]), args);
    serde_json::from_str(&done.clone().ok()).unwrap_or_else(|e| panic!("{e}: {done:?}"))
}

fn stdio_passes_through() {
    let bundle = Bundle::new(&["sh", "-c", "cat; echo err >&2; stat -L -c %i /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"]);
    std::fs::write(bundle.scratch("in"), "text\n").expect("write");
    let files = format!("exec \"$@\" < {0}/in > {0}/out 2> {0}/err", bundle.scratch("").display());
    from_shell(&files, &bundle, &["run"]).ok();
    let read = |name| std::fs::read_to_string(bundle.scratch(name)).expect("read");
    let inode = |name| std::fs::metadata(bundle.scratch(name)).expect("stat").ino();
    assert_eq!(read("err"), "err\n");
    // The very files, not something between.
    assert_eq!(read("out"), format!("text\n{}\n{}\n{}\n", inode("in"), inode("out"), inode("err")));
}

fn closed_stdio_is_no_obstacle() {
    for close in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let bundle = Bundle::new(&["sh", "-c", "cat; echo x; echo x >&2; echo alive > /alive; exit 4"]);
        let done = from_shell(&format!("\"$@\" {close}; exit $?"), &bundle, &["run"]);
        assert_eq!(done.code, 4, "{close}: {done:?}");
        assert!(bundle.rootfs().join("alive").exists(), "{close}");
    }
}

const OPEN_FIFTY: &str = "for n in {3..52}; do eval \"exec $n</etc\"; done; exec \"$@\"";

fn what_the_caller_left_open_does_not_leak() {
    assert_eq!(numbers(&witness(OPEN_FIFTY, &["run"])), [0, 1, 2]);
}

fn hooks_get_no_descriptor_of_the_caller() {
    let mut bundle = Bundle::new(&["true"]);
    let seen = bundle.scratch("seen");
    let script = format!("#!/bin/sh\nls /proc/self/fd > {}\n", seen.display());
    let hook = bundle.scratch("hook");
    std::fs::write(&hook, script).expect("write");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    bundle.config["hooks"] = json!({"createRuntime": [{"path": hook}]});
    from_shell(OPEN_FIFTY, &bundle, &["run", "--preserve-fds", "2"]).ok();
    // 3 is ls's own handle of the directory.
    assert_eq!(std::fs::read_to_string(seen).expect("the hook ran"), "0\n1\n2\n3\n");
}

fn preserved_descriptors_keep_their_numbers() {
    let seen = witness(OPEN_FIFTY, &["run", "--preserve-fds", "2"]);
    assert_eq!(numbers(&seen), [0, 1, 2, 3, 4]);
    assert_eq!(seen["env"]["LISTEN_FDS"], Value::Null);
    let bundle = Bundle::new(&["sh", "-c", "cat <&4; cat <&3"]);
    let done = from_shell("exec 3< <(echo three) 4< <(echo four); exec \"$@\"", &bundle, &["run", "--preserve-fds", "2"]);
    assert_eq!(done.ok(), "four\nthree\n");
}

fn a_preserved_descriptor_must_be_open() {
    let bundle = Bundle::new(&["true"]);
    let done = from_shell("exec 3</etc; exec \"$@\"", &bundle, &["run", "--preserve-fds", "3"]);
    done.fails_with("unable to stat preserved-fd 1 (of 3)");
    bundle.assert_no_trace();
}

fn a_descriptor_of_rrun_is_not_preserved() {
    // rrun's log and state are open at the numbers asked for: neither may be taken for the caller's.
    let bundle = Bundle::new(&["true"]);
    let log = bundle.scratch("log");
    let args = ["--debug", "--log", log.to_str().expect("UTF-8"), "run", "--preserve-fds", "20"];
    from_shell("exec \"$@\"", &bundle, &args).fails_with("unable to stat preserved-fd 0 (of 20)");
}

fn passed_sockets_come_before_preserved_descriptors() {
    let line = "export LISTEN_FDS=2 LISTEN_PID=$$; exec 3< <(echo three) 4< <(echo four) 5< <(echo five) 6</etc; exec \"$@\"";
    let seen = witness(line, &["run", "--preserve-fds", "1"]);
    assert_eq!(numbers(&seen), [0, 1, 2, 3, 4, 5]);
    assert_eq!((&seen["env"]["LISTEN_FDS"], &seen["env"]["LISTEN_PID"]), (&json!("2"), &json!("1")));
    let bundle = Bundle::new(&["sh", "-c", "cat <&5; cat <&4; cat <&3"]);
    assert_eq!(from_shell(line, &bundle, &["run", "--preserve-fds", "1"]).ok(), "five\nfour\nthree\n");
    let missing = from_shell("export LISTEN_FDS=2 LISTEN_PID=$$; exec 3</etc; exec \"$@\"", &bundle, &["run"]);
    missing.fails_with("unable to stat LISTEN_FDS descriptor 1 (of 2)");
}

fn sockets_passed_to_another_process_are_left_alone() {
    for pid in ["1", "", "x"] {
        let seen = witness(&format!("export LISTEN_FDS=2 LISTEN_PID={pid}; exec 3</etc 4</etc; exec \"$@\""), &["run"]);
        assert_eq!(numbers(&seen), [0, 1, 2], "LISTEN_PID={pid}");
        assert_eq!(seen["env"]["LISTEN_FDS"], Value::Null);
    }
}

fn a_count_of_sockets_must_be_a_number() {
    let bundle = Bundle::new(&["true"]);
    for count in ["x", "-1", "", "99999999999"] {
        let done = from_shell(&format!("export LISTEN_FDS={count} LISTEN_PID=$$; exec \"$@\""), &bundle, &["run"]);
        done.fails_with(&format!("LISTEN_FDS is no number: {count}"));
    }
}

fn a_user_can_open_the_stderr_it_was_given() {
    let script = "cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr";
    for uid in [0, 1000] {
        let mut bundle = Bundle::new(&["sh", "-c", script]);
        bundle.config["process"]["user"] = json!({"uid": uid, "gid": uid});
        let done = from_shell("echo in | \"$@\" 2> >(cat >&2) | cat", &bundle, &["run"]);
        assert_eq!((done.out.as_str(), done.err.as_str()), ("in\nout\n", "err\n"), "uid {uid}");
        // Where an engine made the pipes, they are the container's.
        let detached = from_shell("echo in | { \"$@\"; } 2> >(cat >&2) | cat", &bundle, &["run", "--detach"]);
        assert_eq!((detached.out.as_str(), detached.err.as_str()), ("in\nout\n", "err\n"), "uid {uid}, detached");
        bundle.wait_for("stopped");
    }
}

fn a_user_of_another_namespace_can_open_it_too() {
    let script = "cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr";
    let piped = "echo in | \"$@\" 2> >(cat >&2) | cat";
    for uid in [0, 1000] {
        let mut bundle = Bundle::new(&["sh", "-c", script]);
        map_ids(&mut bundle.config, 100_000, 65_536);
        bundle.config["process"]["user"] = json!({"uid": uid, "gid": uid});
        for args in [["run"].as_slice(), &["run", "--detach"]] {
            let done = from_shell(piped, &bundle, args);
            assert_eq!((done.out.as_str(), done.err.as_str()), ("in\nout\n", "err\n"), "uid {uid} {args:?}");
            bundle.rrun(["delete", "--force", &bundle.id]).ok();
        }
        bundle.config["process"]["args"] = json!(["sleep", "100"]);
        bundle.run_detached();
        let user = format!("{uid}:{uid}");
        let exec = bundle.command(["exec", "--user", &user, &bundle.id, "sh", "-c", script]);
        let mut shell = Command::new("bash");
        shell.args(["-c", piped, "bash"]).arg(exec.get_program()).args(exec.get_args()).current_dir(bundle.path());
        let done = Done::from(shell.output().expect("run bash"));
        assert_eq!((done.out.as_str(), done.err.as_str()), ("in\nout\n", "err\n"), "uid {uid} exec");
    }
}

fn nothing_of_the_host_changes_its_owner() {
    let mut bundle = Bundle::new(&["true"]);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let file = bundle.scratch("file");
    std::fs::write(&file, "").expect("write");
    let fifo = bundle.scratch("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let owners = || {
        ["/dev/null".into(), file.clone(), fifo.clone()]
            .map(|path| std::fs::metadata(path).map(|m| (m.uid(), m.gid())).expect("stat"))
    };
    let before = owners();
    for args in [["run"].as_slice(), &["run", "--detach"]] {
        from_shell(&format!("exec \"$@\" < /dev/null > {} 2<> {}", file.display(), fifo.display()), &bundle, args).ok();
        assert_eq!(owners(), before, "{args:?}");
    }
    bundle.wait_for("stopped");
}

/// A bundle whose stdio rrun relays by pipes of its own: its user could not open the caller's.
fn relayed(script: &str) -> Bundle {
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    bundle
}

fn the_output_of_a_relayed_pipe_is_complete() {
    let bundle = relayed("seq 1 50000; seq 1 50000 >&2; exit 6");
    let expected: String = (1..=50000).map(|i| format!("{i}\n")).collect();
    let done = bundle.run();
    assert_eq!(done.code, 6);
    assert!(done.out == expected && done.err == expected, "{} and {} bytes", done.out.len(), done.err.len());
}

fn the_end_of_input_reaches_a_relayed_pipe() {
    let bundle = relayed("cat | wc -c");
    let mut child =
        bundle.write().command(["run", &bundle.id]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start");
    child.stdin.take().expect("a pipe").write_all(&[b'x'; 300_000]).expect("write");
    let done: Done = child.wait_with_output().expect("wait").into();
    assert_eq!(done.ok().trim(), "300000");
    // A program that reads nothing ends all the same.
    let bundle = relayed("exit 3");
    let done = from_shell("yes | { \"$@\"; echo status=$?; }", &bundle, &["run"]);
    assert_eq!(done.out, "status=3\n");
}

fn a_pidfd_is_sent() {
    use std::os::fd::{AsFd, AsRawFd};
    for how in [&["run", "--detach"][..], &["create"]] {
        let bundle = Bundle::new(&["sleep", "100"]);
        let path = bundle.scratch("pidfd");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
        let socket = ["--pidfd-socket", path.to_str().expect("UTF-8"), &bundle.id];
        let mut command = bundle.write().command(how.iter().copied().chain(socket));
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
        let (stream, _) = listener.accept().expect("accept");
        let (data, pidfd) = rrun::sys::fd::receive(stream.as_fd()).expect("receive");
        let pidfd = pidfd.expect("a descriptor");
        // The word that tells a container's first process from later ones.
        assert_eq!(data, b"standard");
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).expect("fdinfo");
        let pid = info.lines().find_map(|l| l.strip_prefix("Pid:")).expect("a pidfd").trim().to_owned();
        assert_eq!(pid, bundle.state()["pid"].to_string());
    }
}
