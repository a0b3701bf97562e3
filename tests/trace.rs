//! Traces: the calls of a program, of a bundle and of a container that runs, and the profiles made of them.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    a_program_of_the_host_is_traced,
    the_runtime_has_its_name_for_a_user_too if needs_root,
    a_program_keeps_its_status_and_its_streams,
    a_bundle_is_traced_as_it_runs,
    what_the_bundle_denies_stays_denied,
    without_no_new_privileges_it_works_as_well if needs_root,
    the_emitted_profile_runs_what_was_traced_and_blocks_another,
    a_merged_profile_allows_both,
    only_the_network_if_asked_for,
    a_running_container_is_watched_and_left_as_it_was,
    a_recorder_outlives_the_program_for_those_it_left,
    a_second_listener_is_refused,
    wrong_command_lines_are_explained,
];

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}

/// The names of a report.
fn names(report: &Value) -> Vec<&str> {
    report["calls"].as_array().expect("calls").iter().filter_map(|call| call["name"].as_str()).collect()
}

fn trace(b: &Bundle, args: &[&str]) -> Done {
    let path = b.write().path();
    if needs_root().is_none() {
        // The id comes from the folder's name, which all tests share: so would they the group that one makes and another removes.
        let mut config = b.config.clone();
        config["linux"]["cgroupsPath"] = json!(format!("/{}", b.id));
        std::fs::write(path.join("config.json"), config.to_string()).expect("write config.json");
    }
    b.rrun(["trace"].iter().chain(args).copied().chain([path.to_str().expect("UTF-8")]))
}

fn a_program_of_the_host_is_traced() {
    let b = Bundle::new(&[]);
    let text = b.rrun(["trace", "--", "/bin/busybox", "ls", "/proc/self"]).ok();
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.trim_start().starts_with("COUNT")).collect();
    assert!(rows.iter().any(|row| row.contains("  execve  ")), "{text}");
    assert!(rows.iter().any(|row| row.contains("  getdents64  ") && row.contains("busybox (")), "{text}");
    let sum = rows.iter().find(|row| row.contains(" distinct of ")).expect("a sum");
    let words: Vec<&str> = sum.split_whitespace().collect();
    let (distinct, total): (usize, u64) = (words[0].parse().expect("a number"), words[3].parse().expect("a number"));
    let table: Vec<u64> = rows[1..].iter().filter_map(|row| row.split_whitespace().next()?.parse().ok()).take(distinct).collect();
    assert_eq!((table.len(), table.iter().sum::<u64>()), (distinct, total), "{text}");
    assert!(text.contains("not what is needed"), "{text}");
}

/// Who may not mount runs a copy in memory.
fn the_runtime_has_its_name_for_a_user_too() {
    let done: Done = user::rrun_of_nobody().args(["trace", "--", "/bin/busybox", "true"]).output().expect("start rrun").into();
    let text = done.ok();
    assert!(text.lines().any(|row| row.contains("  execve  ") && row.contains(" rrun (")), "{text}");
}

fn a_program_keeps_its_status_and_its_streams() {
    let b = Bundle::new(&[]);
    let done = b.rrun(["trace", "--json", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((done.code, done.err.as_str()), (7, "out\nerr\n"));
    let report = parse(&done.out);
    assert_eq!((&report["status"], &report["method"]), (&json!(7), &json!("notify")));
    assert_eq!(b.rrun(["trace", "--", "sh", "-c", "kill -KILL $$"]).code, 128 + 9);
    b.rrun(["trace", "--", "no-such-program"]).fails_with("executable file not found in $PATH");
    b.rrun(["trace", "--", "/etc/passwd"]).fails_with("permission denied");
}

fn a_bundle_is_traced_as_it_runs() {
    let b = Bundle::new(&["sh", "-c", "mkdir /made; echo hello; exit 3"]);
    let done = trace(&b, &["--json"]);
    assert_eq!((done.code, done.err.as_str()), (3, "hello\n"));
    let report = parse(&done.out);
    let names = names(&report);
    assert!(["execve", "mkdir", "exit_group", "write"].iter().all(|name| names.contains(name)), "{names:?}");
    // rrun's own calls, which come before, are not the program's.
    assert!(["setns", "seccomp", "move_mount", "capset"].iter().all(|name| !names.contains(name)), "{names:?}");
    let mkdir = report["calls"].as_array().expect("calls").iter().find(|call| call["name"] == "mkdir").expect("mkdir");
    assert_eq!((&mkdir["count"], &mkdir["first"]["comm"]), (&json!(1), &json!("mkdir")));
    assert!(b.rootfs().join("made").is_dir());
    b.assert_no_trace();
}

fn what_the_bundle_denies_stays_denied() {
    let mut b = Bundle::new(&["sh", "-c", "mkdir /made; echo $?; rmdir /no"]);
    b.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["rmdir"], "action": "SCMP_ACT_LOG"}]});
    let done = trace(&b, &["--json"]);
    assert!(done.err.contains("No space left on device") && done.err.contains("\n1\n"), "{}", done.err);
    let report = parse(&done.out);
    let names = names(&report);
    assert!(!names.contains(&"mkdir") && names.contains(&"rmdir"), "{names:?}");
}

fn without_no_new_privileges_it_works_as_well() {
    let mut b = Bundle::new(&["mkdir", "/made"]);
    b.config["process"]["noNewPrivileges"] = json!(false);
    let report = parse(&trace(&b, &["--json"]).ok());
    assert!(names(&report).contains(&"mkdir") && !names(&report).contains(&"setresuid"), "{report}");
}

/// The profile of a program in a container.
fn profile_of(b: &Bundle, file: &str, more: &[&str]) -> Value {
    let path = b.scratch(file);
    let args = [&["--emit-profile", path.to_str().expect("UTF-8")], more].concat();
    trace(b, &args).ok();
    parse(&std::fs::read_to_string(path).expect("the profile"))
}

fn the_emitted_profile_runs_what_was_traced_and_blocks_another() {
    for no_new_privileges in [true, false] {
        let mut b = Bundle::new(&["sh", "-c", "ls /etc | sort; cat /etc/group"]);
        // Without it the filter needs root, as it does in any case.
        b.config["process"]["noNewPrivileges"] = json!(no_new_privileges || needs_root().is_some());
        let profile = profile_of(&b, "profile.json", &[]);
        assert_eq!(profile["syscalls"][1], json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
        b.config["linux"]["seccomp"] = profile;
        assert_eq!(b.run().ok(), "group\npasswd\nroot:x:0:\nuser:x:1000:\n");
        for denied in ["mkdir /x", "ln -s a /x", "unshare true", "hostname x"] {
            b.config["process"]["args"] = json!(["sh", "-c", denied]);
            let done = b.run();
            assert!(done.code != 0 && done.err.contains("Operation not permitted"), "{denied}: {done:?}");
        }
    }
}

fn a_merged_profile_allows_both() {
    let mut b = Bundle::new(&["mkdir", "/made"]);
    profile_of(&b, "old.json", &[]);
    b.config["process"]["args"] = json!(["rmdir", "/made"]);
    let old = b.scratch("old.json");
    b.config["linux"]["seccomp"] = profile_of(&b, "new.json", &["--merge", old.to_str().expect("UTF-8")]);
    b.config["process"]["args"] = json!(["sh", "-c", "mkdir /made && rmdir /made && ! ln -s x /made"]);
    assert!(b.run().err.contains("Operation not permitted"));
    std::fs::write(&old, r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).expect("write");
    let new = b.scratch("other.json");
    let done = trace(&b, &["--emit-profile", new.to_str().expect("UTF-8"), "--merge", old.to_str().expect("UTF-8")]);
    done.fails_with("cannot be merged: its defaultAction is \"SCMP_ACT_ALLOW\"");
    assert!(!new.exists());
}

fn only_the_network_if_asked_for() {
    let b = Bundle::new(&["wget", "-q", "http://127.0.0.1:9/"]);
    let report = parse(&trace(&b, &["--net", "--json"]).out);
    let names = names(&report);
    assert!(names.contains(&"socket") && names.contains(&"connect") && !names.contains(&"execve"), "{names:?}");
    let text = trace(&b, &["--net"]).out;
    assert!(text.contains("network: first AF_INET") && text.contains("network namespace"), "{text}");
}

fn a_running_container_is_watched_and_left_as_it_was() {
    let b = Bundle::new(&["sh", "-c", "trap 'exit 5' TERM; while :; do mkdir /x; rmdir /x; sleep 0.01; done"]);
    b.run_detached();
    let report = parse(&b.rrun(["trace", "--json", "--for", "700ms", &b.id]).ok());
    let names = names(&report);
    assert!(names.contains(&"mkdir") && names.contains(&"execve"), "{names:?}");
    assert_eq!((&report["method"], &report["status"]), (&json!("ptrace"), &Value::Null));
    // Nobody is stopped or traced any more, and a signal does what it did.
    let status = std::fs::read_to_string(format!("/proc/{}/status", b.state()["pid"])).expect("status");
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
    b.rrun(["kill", &b.id]).ok();
    b.wait_for("stopped");
    b.rrun(["trace", &b.id]).fails_with("container not running");
}

/// A call of a process that was left behind would fail with ENOSYS if nobody answered.
fn a_recorder_outlives_the_program_for_those_it_left() {
    let b = Bundle::new(&[]);
    let made = b.scratch("made");
    let script = format!("(sleep 0.5; mkdir {0} && mv {0} {0}-2) >/dev/null 2>&1 &", made.display());
    b.rrun(["trace", "--", "sh", "-c", &script]).ok();
    let moved = b.scratch("made-2");
    wait_until("the background process goes on", || moved.is_dir());
}

fn a_second_listener_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/agent",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]});
    let done = trace(&b, &[]);
    done.fails_with("a process can have one listener");
    assert!(done.err.contains("remove the rules with SCMP_ACT_NOTIFY"), "{}", done.err);
    b.assert_no_trace();
}

fn wrong_command_lines_are_explained() {
    let b = Bundle::new(&["true"]);
    for (args, text) in [
        (vec!["trace"], "requires a minimum of 1"),
        (vec!["trace", "--merge", "x", "y"], "--merge needs --emit-profile"),
        (vec!["trace", "ls", "-l", "x"], "takes one container or bundle"),
        (vec!["trace", "no-such"], "no-such is no container here, nor a bundle"),
    ] {
        let done = b.rrun(args.iter().copied());
        assert!(done.code != 0 && done.err.contains(text), "{args:?}: {}", done.err);
    }
    let path = b.path();
    let done = b.write().rrun(["trace", "--for", "1s", path.to_str().expect("UTF-8")]);
    done.fails_with("--for is for a container that runs already");
}
