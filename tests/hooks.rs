//! Hooks: when they run, what they get, what their failure does.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    hooks_run_in_the_order_of_the_lifecycle,
    each_hook_gets_the_state,
    a_hook_gets_its_own_environment_and_no_descriptor,
    a_start_container_hook_runs_in_the_container,
    preserved_descriptors_outlive_start_container_hooks,
    a_failing_hook_stops_the_start,
    a_hook_is_killed_at_its_timeout,
    every_kind_of_hook_has_its_timeout,
    a_start_container_hook_gets_its_own_environment,
    a_failing_poststart_hook_fails,
    a_failing_poststop_hook_warns,
    wrong_hooks_are_refused,
    a_hook_that_others_may_write_is_a_warning,
];

fn sh(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})
}

fn hooked(kind: &str, hook: Value, args: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["hooks"] = json!({kind: [hook]});
    b
}

fn hooks_run_in_the_order_of_the_lifecycle() {
    let mut b = Bundle::new(&["true"]);
    let order = b.scratch("order");
    std::fs::create_dir(b.rootfs().join("shared")).expect("mkdir");
    let note = |name: &str| sh(&format!("echo {name} >> {}", order.display()));
    b.config["hooks"] = json!({
        "poststop": [note("poststop")], "poststart": [note("poststart")], "createContainer": [note("createContainer")],
        "createRuntime": [note("createRuntime 0"), note("createRuntime 1")], "prestart": [note("prestart")],
        "startContainer": [sh("echo startContainer > /seen")],
    });
    b.run().ok();
    let seen = std::fs::read_to_string(order).expect("the order");
    assert_eq!(seen, "prestart\ncreateRuntime 0\ncreateRuntime 1\ncreateContainer\npoststart\npoststop\n");
    assert_eq!(std::fs::read_to_string(b.rootfs().join("seen")).expect("seen"), "startContainer\n");
}

fn each_hook_gets_the_state() {
    let mut b = Bundle::new(&["true"]);
    let take = |kind: &str| (b.scratch(kind), sh(&format!("cat > {}", b.scratch(kind).display())));
    let kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"].map(|kind| (kind, take(kind)));
    b.config["annotations"] = json!({"a": "b"});
    for (kind, (_, hook)) in &kinds {
        b.config["hooks"][kind] = json!([hook]);
    }
    b.run().ok();
    for ((kind, (file, _)), status) in kinds.iter().zip(["creating", "creating", "creating", "running", "stopped"]) {
        let state: Value = serde_json::from_str(&std::fs::read_to_string(file).expect("a state")).expect("JSON");
        assert_eq!((&state["id"], &state["status"]), (&json!(b.id), &json!(status)), "{kind}");
        assert_eq!((&state["bundle"], &state["annotations"]["a"]), (&json!(b.path()), &json!("b")), "{kind}");
        let pid = state["pid"].as_i64();
        assert!(if status == "stopped" { pid.unwrap_or(0) == 0 } else { pid.is_some_and(|p| p > 0) }, "{kind}: {state}");
    }
}

fn a_hook_gets_its_own_environment_and_no_descriptor() {
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        let mut b = Bundle::new(&["true"]);
        let seen = b.scratch("seen");
        let script = format!("(/usr/bin/env; ls /proc/self/fd; pwd) > {}", seen.display());
        b.config["hooks"] = json!({kind: [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b"]}]});
        let mut rrun = b.write().command(["run", &b.id]);
        rrun.env("SECRET", "of the caller");
        // Fifty descriptors that a careless caller left open.
        let left: Vec<_> = (0..50).map(|_| nix::unistd::dup(std::io::stderr()).expect("dup")).collect();
        Done::from(rrun.output().expect("start rrun")).ok();
        drop(left);
        let seen = std::fs::read_to_string(&seen).expect("seen");
        let lines: Vec<&str> =
            seen.lines().filter(|l| !l.starts_with("PWD=") && !l.starts_with("OLDPWD=") && !l.starts_with("_=")).collect();
        // 3 is the listing's own.
        assert_eq!(lines[..5], ["A=b", "0", "1", "2", "3"], "{kind}: {seen}");
        assert_eq!(lines.len(), 6, "{kind}: {seen}");
    }
}

fn a_start_container_hook_runs_in_the_container() {
    let b = hooked("startContainer", sh("cat /etc/passwd > /seen; hostname >> /seen; cat > /state"), &["cat", "/seen"]);
    let out = b.run().ok();
    assert!(out.contains("/home/user") && out.ends_with("box\n"), "{out}");
    let state: Value = serde_json::from_str(&std::fs::read_to_string(b.rootfs().join("state")).expect("state")).expect("JSON");
    assert_eq!((&state["id"], &state["status"]), (&json!(b.id), &json!("created")));
}

fn preserved_descriptors_outlive_start_container_hooks() {
    let b = hooked("startContainer", sh("ls /proc/self/fd > /seen"), &["sh", "-c", "cat <&3"]);
    let file = b.scratch("passed");
    std::fs::write(&file, "passed on\n").expect("write");
    let b = b.write();
    let open = format!(
        "exec {} --root {} run --preserve-fds 1 {} 3< {}",
        rrun_path().display(),
        b.root().display(),
        b.id,
        file.display()
    );
    std::fs::create_dir_all(b.root()).expect("mkdir");
    let mut shell = std::process::Command::new("/bin/sh");
    let done: Done = shell.args(["-c", &open]).current_dir(b.path()).output().expect("run sh").into();
    assert_eq!(done.ok(), "passed on\n");
    assert_eq!(std::fs::read_to_string(b.rootfs().join("seen")).expect("seen"), "0\n1\n2\n3\n", "3 is the listing's own");
}

fn a_failing_hook_stops_the_start() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let b = hooked(kind, sh("echo out; echo boom >&2; exit 3"), &["touch", "/ran"]);
        b.run().fails_with(&format!("error running {kind} hook #0: exit status 3, stdout: out, stderr: boom"));
        assert!(!b.rootfs().join("ran").exists(), "{kind}: the program ran");
        b.assert_no_trace();
    }
    let b = hooked("startContainer", sh("exit 4"), &["touch", "/ran"]);
    b.run().fails_with("error running startContainer hook #0: exit status 4");
    assert!(!b.rootfs().join("ran").exists(), "the program ran");
    hooked("createRuntime", json!({"path": "/no/such"}), &["true"])
        .run()
        .fails_with("error running createRuntime hook #0: fork/exec /no/such: no such file or directory");
}

fn a_hook_is_killed_at_its_timeout() {
    let mut hook = sh("(sleep 600) & sleep 600");
    hook["timeout"] = json!(1);
    let b = hooked("createRuntime", hook, &["true"]);
    b.run().fails_with("error running createRuntime hook #0: hook ran past specified timeout of 1.0s");
    b.assert_no_trace();
}

fn every_kind_of_hook_has_its_timeout() {
    for kind in ["prestart", "createContainer", "startContainer", "poststart", "poststop"] {
        let mut hook = sh("sleep 600");
        hook["timeout"] = json!(1);
        let b = hooked(kind, hook, if kind == "poststart" { &["sleep", "600"] } else { &["true"] });
        let text = format!("error running {kind} hook #0: hook ran past specified timeout of 1.0s");
        let done = b.run();
        // After the end a failure is only told.
        assert_eq!(done.code, i32::from(kind != "poststop"), "{kind}: {done:?}");
        assert!(done.err.contains(&text), "{kind}: {done:?}");
        b.assert_no_trace();
    }
}

fn a_start_container_hook_gets_its_own_environment() {
    let mut hook = sh("env > /seen");
    hook["env"] = json!(["PATH=/bin", "A=b"]);
    let b = hooked("startContainer", hook, &["cat", "/seen"]);
    let mut run = b.write().command(["run", &b.id]);
    let out = Done::from(run.env("SECRET", "of the caller").output().expect("start rrun")).ok();
    let mut lines: Vec<&str> = out.lines().filter(|l| !l.starts_with("PWD=") && !l.starts_with("SHLVL=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=b", "PATH=/bin"]);
    let mut b = hooked(
        "startContainer",
        json!({"path": "/bin/sh", "args": ["sh", "-c", "echo $OF_THE_PROCESS > /seen"]}),
        &["cat", "/seen"],
    );
    b.config["process"]["env"] = json!(["PATH=/bin", "OF_THE_PROCESS=inherited"]);
    assert_eq!(b.run().ok(), "inherited\n");
}

fn a_failing_poststart_hook_fails() {
    let b = hooked("poststart", sh("exit 5"), &["sleep", "100"]);
    b.run().fails_with("error running poststart hook #0: exit status 5");
}

fn a_failing_poststop_hook_warns() {
    let mut b = hooked("poststop", sh("exit 6"), &["true"]);
    let ran = b.scratch("ran");
    b.config["hooks"]["poststop"].as_array_mut().expect("array").push(sh(&format!("echo > {}", ran.display())));
    let log = b.scratch("log");
    b.write().rrun(["--log", log.to_str().expect("UTF-8"), "run", &b.id]).ok();
    let log = std::fs::read_to_string(log).expect("the log");
    assert!(log.contains("level=warning") && log.contains("error running poststop hook #0: exit status 6"), "{log}");
    assert!(ran.exists(), "the next hook did not run");
}

fn wrong_hooks_are_refused() {
    hooked("prestart", json!({"path": "bin/true"}), &["true"]).run().fails_with("is not absolute");
    hooked("prestart", json!({"path": "/bin/true", "timeout": 0}), &["true"]).run().fails_with("is not greater than zero");
    hooked("prestart", json!({"path": "/bin/true", "env": ["X"]}), &["true"])
        .run()
        .fails_with(r#"invalid environment variable: "X""#);
}

fn a_hook_that_others_may_write_is_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let mut b = Bundle::new(&["true"]);
    let hook = b.scratch("hook");
    std::fs::write(&hook, "#!/bin/sh\n").expect("write");
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    b.config["hooks"] = json!({"prestart": [{"path": hook}]});
    let log = b.scratch("log");
    b.write().rrun(["--log", log.to_str().expect("UTF-8"), "run", &b.id]).ok();
    let text = std::fs::read_to_string(log).expect("the log");
    assert!(text.contains("can be written by others (mode 0777)"), "{text}");
    b.rrun(["--strict", "run", &b.id]).fails_with("can be written by others (mode 0777)");
}
