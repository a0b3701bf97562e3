//! Bundles that must be refused: exit status 1, a text that says what is wrong, nothing left behind.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    wrong_types_and_unknown_names,
    rules_between_fields if needs_root,
    broken_json,
    missing_files,
    nothing_of_a_refused_bundle_is_kept_by_create,
    misspelt_keys_warn_and_strict_refuses,
    what_is_for_other_platforms_warns,
    unknown_capabilities_warn,
    null_means_not_there,
    truncated_configs_never_crash,
    the_failure_is_one_line_and_one_json_record,
    process_files_of_exec_are_read_as_strictly,
];

/// Runs the default config with one value changed (`null` removes nothing: it is written), and expects `text` on stderr.
fn table(cases: &[(&str, Value, &str)]) {
    let mut b = Bundle::new(&["true"]);
    let good = b.config.clone();
    for (pointer, value, text) in cases {
        b.config = good.clone();
        set(&mut b.config, pointer, value.clone());
        let done = b.run();
        assert!(done.code == 1 && done.err.contains(text), "{pointer} = {value}: {done:?}\nshould contain: {text}");
        assert_eq!((done.out.as_str(), done.err.lines().count()), ("", 1), "{pointer}: {done:?}");
        b.assert_no_trace();
    }
}

fn set(config: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match config.pointer_mut(parent).expect(pointer) {
        Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
        object => object[key] = value,
    }
}

fn wrong_types_and_unknown_names() {
    table(&[
        ("/process/user/uid", json!("1000"), "process.user.uid: expected a number, got the string \"1000\" (config.json:"),
        ("/process/user/uid", json!("1000"), "(hint: remove the quotes)"),
        ("/process/user/uid", json!(-5), "expected a whole number from 0 to 4294967295, got -5"),
        ("/process/args", json!("sh -c ls"), "process.args: expected a list, got the string \"sh -c ls\""),
        ("/process/terminal", json!("yes"), "process.terminal: expected true or false, got the string \"yes\""),
        ("/process/cwd", json!(["/"]), "process.cwd: expected a string, got a list"),
        ("/process", json!("sh"), "process: expected an object, got the string \"sh\""),
        ("/mounts/0", json!({"type": "proc"}), "mounts[0]: the key destination is missing"),
        ("/linux/namespaces/0", json!({"typ": "pid"}), "linux.namespaces[0]: the key type is missing"),
        ("/linux/namespaces/0", json!({"typ": "pid"}), "(hint: rename typ to type)"),
        ("/linux/namespaces/0/type", json!("net"), "namespace \"net\" does not exist"),
        ("/linux/namespaces/0/type", json!("net"), "(hint: did you mean network?)"),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILES", "hard": 1, "soft": 1}]), "invalid rlimit type: RLIMIT_NOFILES"),
        (
            "/linux/resources/memory",
            json!({"limit": "64M"}),
            "linux.resources.memory.limit: expected a number, got the string \"64M\"",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_DENY"}),
            "linux.seccomp.defaultAction: \"SCMP_ACT_DENY\" is not one of",
        ),
        ("/ociVersion", json!("2.0.0"), "ociVersion 2.0.0 is not supported"),
        ("/ociVersion", json!(""), "ociVersion is missing"),
        ("/ociVersion", json!("newest"), "ociVersion \"newest\" is not a version"),
        ("/vm", json!({"kernel": {"path": "/k"}}), "vm asks for isolation"),
    ]);
}

fn rules_between_fields() {
    let all = |but: &str| -> Value {
        ["pid", "network", "ipc", "uts", "mount", "cgroup"]
            .into_iter()
            .filter(|t| *t != but)
            .map(|t| json!({"type": t}))
            .collect()
    };
    let map = |inside: u32, size: u32| json!([{"containerID": inside, "hostID": 1000, "size": size}]);
    table(&[
        ("/process", json!(null), "process property must not be empty"),
        ("/process/cwd", json!(""), "Cwd property must not be empty"),
        ("/process/cwd", json!("tmp"), "Cwd must be an absolute path"),
        ("/process/args", json!([]), "args must not be empty"),
        ("/root", json!(null), "root must be specified"),
        ("/root/path", json!(""), "invalid rootfs: root.path is empty"),
        ("/linux/namespaces", all("uts"), "unable to set hostname without a private UTS namespace"),
        ("/linux/namespaces", all("mount"), "unable to restrict sys entries without a private MNT namespace"),
        ("/linux/namespaces/0", json!({"type": "ipc"}), "malformed spec file: duplicated ns \"ipc\""),
        ("/linux/namespaces/0", json!({"type": "pid", "path": "x"}), "pid namespace path \"x\" is not absolute"),
        ("/linux/namespaces/0", json!({"type": "user"}), "no namespace path to join nor mappings to apply specified"),
        ("/linux/uidMappings", map(0, 1), "mappings specified, but user namespace isn't enabled in the config"),
        (
            "/linux/timeOffsets",
            json!({"monotonic": {"secs": 1}}),
            "time namespace offsets specified, but time namespace isn't enabled",
        ),
        ("/linux/cgroupsPath", json!("/a\u{0}b"), "contains a null byte"),
        ("/linux/netDevices", json!({"a/b": {}}), "invalid network device name \"a/b\""),
        ("/linux/rootfsPropagation", json!("public"), "rootfsPropagation=public is not supported"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "SCMP_ACT_NOTIFY cannot be used as default action"),
        ("/linux/intelRdt", json!({"closID": ".."}), "invalid intelRdt.ClosID \"..\""),
        ("/hooks", json!({"poststop": [{"path": "true"}]}), "hook path \"true\" is not absolute"),
        (
            "/mounts/0",
            json!({"destination": "/t", "type": "tmpfs", "uidMappings": map(0, 1), "gidMappings": map(0, 1)}),
            "id-mapped mounts are only supported",
        ),
        ("/mounts/0", json!({"destination": "/t", "source": "a\u{0}b"}), "source contains a null byte"),
    ]);
    let mut b = Bundle::new(&["true"]);
    set(&mut b.config, "/linux/rootfsPropagation", json!("private"));
    b.run_with(&["--no-pivot"]).fails_with("rootfsPropagation of [r]private is not safe without pivot_root");
    b.assert_no_trace();
}

/// Runs a config given as text.
fn run_text(b: &Bundle, text: &[u8]) -> Done {
    std::fs::write(b.path().join("config.json"), text).expect("write config.json");
    b.rrun(["run", &b.id])
}

fn broken_json() {
    let b = Bundle::new(&["true"]);
    let cases: &[(&[u8], &str)] = &[
        (b"", "config.json:1:1: the file is empty"),
        (b"{\n\"process\": {\n  \"args\": [\"a\"\n}}", "config.json:4:1: `}` closes the list opened at 3:11"),
        (b"{\"a\": 1,}", "config.json:1:8: `,` before `}`"),
        (b"{\n  // no\n}", "config.json:2:3: JSON has no comments"),
        (b"{\"a\": \"\xFF\"}", "config.json:1:"),
        (b"\x7FELF", "config.json:1:1: a value is missing"),
        (b"[]", "the document: expected an object, got a list"),
    ];
    for (text, message) in cases {
        run_text(&b, text).fails_with(message);
        b.assert_no_trace();
    }
    run_text(&b, "[".repeat(1 << 20).as_bytes()).fails_with("levels deep");
    run_text(&b, &vec![b' '; (16 << 20) + 1]).fails_with("config.json is larger than 16 MiB");
}

fn missing_files() {
    let b = Bundle::new(&["true"]);
    b.rrun(["run", &b.id]).fails_with("JSON specification file config.json not found");
    b.rrun(["run", "--bundle", "/nowhere", &b.id]).fails_with("chdir /nowhere: no such file or directory");
    std::fs::create_dir(b.path().join("config.json")).expect("mkdir");
    b.rrun(["run", &b.id]).fails_with("read config.json: is a directory");
    b.assert_no_trace();
}

fn nothing_of_a_refused_bundle_is_kept_by_create() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["cwd"] = json!("");
    let pid_file = b.scratch("pid");
    b.write()
        .rrun(["create", "--pid-file", pid_file.to_str().expect("UTF-8"), &b.id])
        .fails_with("rrun create failed: Cwd property must not be empty");
    assert!(!pid_file.exists());
    b.assert_no_trace();
    b.rrun(["state", &b.id]).fails_with("does not exist");
}

fn misspelt_keys_warn_and_strict_refuses() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["noNewPrivileged"] = json!(true);
    b.config["seccomp"] = json!({});
    let done = b.run();
    let warning = "unknown key process.noNewPrivileged - did you mean noNewPrivileges? It has NO effect";
    assert!(done.code == 0 && done.err.contains("warning: config.json:") && done.err.contains(warning), "{done:?}");
    assert!(done.err.contains("unknown key seccomp - did you mean linux.seccomp? It has NO effect"), "{done:?}");
    b.rrun(["--strict", "run", &b.id]).fails_with(warning);
    b.assert_no_trace();
}

fn what_is_for_other_platforms_warns() {
    for (pointer, value, warning) in [
        ("/windows", json!({"layerFolders": ["/x"]}), "the section windows is for another platform. It has NO effect"),
        ("/solaris", json!({"milestone": "x"}), "the section solaris is for another platform. It has NO effect"),
        ("/zos", json!({}), "the section zos is for another platform. It has NO effect"),
        ("/freebsd", json!({}), "the section freebsd is for another platform. It has NO effect"),
        ("/process/commandLine", json!("cmd"), "the key process.commandLine has NO effect: it is for Windows"),
        ("/process/user/username", json!("me"), "the key process.user.username has NO effect: it is for Windows"),
    ] {
        let mut b = Bundle::new(&["echo", "ran"]);
        set(&mut b.config, pointer, value);
        let done = b.run();
        assert!(done.code == 0 && done.out == "ran\n" && done.err.contains(warning), "{pointer}: {done:?}");
        b.rrun(["--strict", "run", &b.id]).fails_with(warning);
    }
}

fn unknown_capabilities_warn() {
    // A limit that is misspelt is no limit, and is said to be none.
    let mut limit = Bundle::new(&["true"]);
    limit.config["linux"]["resources"]["pids"] = json!({"limt": 5});
    let done = limit.run();
    assert!(done.code == 0 && done.err.contains("unknown key linux.resources.pids.limt - did you mean limit?"), "{done:?}");
    limit.rrun(["--strict", "run", &limit.id]).fails_with("linux.resources.pids.limt");
    let mut kind = Bundle::new(&["true"]);
    kind.config["mounts"][0] = json!({"destination": "/tmp", "type": "tmpfss", "source": "x"});
    kind.run().fails_with("this kernel has no file system tmpfss; did you mean tmpfs?");
    let mut b = Bundle::new(&[]);
    b.config["process"]["capabilities"]["bounding"] = json!(["CAP_KILL", "NET_ADMIN", "CAP_NET_ADMINN"]);
    b.config["process"]["args"] = json!(["grep", "CapBnd", "/proc/self/status"]);
    let done = b.run();
    assert!(done.err.contains("unknown capability NET_ADMIN is ignored - did you mean CAP_NET_ADMIN?"), "{done:?}");
    assert!(done.err.contains("unknown capability CAP_NET_ADMINN is ignored - did you mean CAP_NET_ADMIN?"), "{done:?}");
    // CAP_KILL is capability 5; 12, CAP_NET_ADMIN, is not there under another name.
    assert_eq!(done.out, "CapBnd:\t0000000000000020\n");
}

fn null_means_not_there() {
    let mut b = Bundle::new(&["echo", "ran"]);
    for pointer in [
        "/hostname",
        "/process/rlimits",
        "/process/capabilities",
        "/hooks",
        "/annotations",
        "/linux/seccomp",
        "/linux/maskedPaths",
        "/process/user/uid",
    ] {
        set(&mut b.config, pointer, Value::Null);
    }
    let done = b.run();
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (0, "ran\n", ""));
}

fn truncated_configs_never_crash() {
    let b = Bundle::new(&["true"]);
    let text = serde_json::to_vec_pretty(&b.config).expect("JSON");
    for end in (0..text.len()).step_by(97) {
        let done = run_text(&b, &text[..end]);
        assert!(done.code == 1 && done.err.starts_with("rrun run failed: config.json:"), "{end}: {done:?}");
    }
    b.assert_no_trace();
}

fn the_failure_is_one_line_and_one_json_record() {
    let mut b = Bundle::new(&["true"]);
    b.config["process"]["user"]["uid"] = json!("x\u{1b}[31m");
    let log = b.scratch("log");
    let flags = ["--log", log.to_str().expect("UTF-8"), "--log-format", "json", "run", &b.id];
    let mut command: Command = b.write().command(flags);
    let done: Done = command.stdout(Stdio::piped()).output().expect("start rrun").into();
    assert_eq!((done.code, done.err.lines().count(), done.err.contains('\u{1b}')), (1, 1, false), "{done:?}");
    let record: Value = serde_json::from_str(&std::fs::read_to_string(&log).expect("the log")).expect("one object");
    assert_eq!(
        (&record["level"], &record["code"], &record["config"]),
        (&json!("error"), &json!("E-TYPE"), &json!("process.user.uid"))
    );
}

fn process_files_of_exec_are_read_as_strictly() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let file = b.scratch("p.json");
    let exec = |text: &str| {
        std::fs::write(&file, text).expect("write the process file");
        b.rrun(["exec", "--process", file.to_str().expect("UTF-8"), &b.id])
    };
    let cases = [
        (
            r#"{"user": {"uid": "5"}, "cwd": "/", "args": ["true"]}"#,
            "process.user.uid: expected a number, got the string \"5\" (p.json:1:18)",
        ),
        (
            r#"{"user": {}, "cwd": "/", "args": ["true"]"#,
            "p.json:1:42: the file ends, but the object opened at 1:1 is not closed",
        ),
        (r#"{"user": [0, 0], "cwd": "/", "args": ["true"]}"#, "process.user: expected an object, got a list"),
        (r#"{"rlimits": [{"type": "NOFILE"}], "user": {}, "cwd": "/", "args": ["true"]}"#, "invalid rlimit type: NOFILE"),
    ];
    for (text, message) in cases {
        let done = exec(text);
        assert!(done.code == 255 && done.err.contains(message), "{text}: {done:?}\nshould contain: {message}");
    }
    let done =
        exec(r#"{"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/echo", "ran"], "capabilities": null, "envv": []}"#);
    assert_eq!((done.code, done.out.as_str()), (0, "ran\n"), "{done:?}");
    assert!(done.err.contains("p.json:1: unknown key process.envv - did you mean env?"), "{done:?}");
}
