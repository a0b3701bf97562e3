//! What rrun says of its own work for people: `--narrate`, the line and column of a mistake, the statuses of env(1).

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    each_step_is_told_before_the_program_runs,
    create_and_exec_tell_too,
    a_failure_ends_the_story_where_it_happened,
    a_json_log_and_a_story_exclude_each_other,
    failures_have_the_status_of_env_if_wanted,
    a_mistake_has_its_line_and_column,
];

fn each_step_is_told_before_the_program_runs() {
    let mut b = Bundle::new(&["sh", "-c", "echo first word >&2"]);
    b.config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/kcore"]);
    b.config["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    b.config["process"]["noNewPrivileges"] = json!(true);
    let told = b.run_with(&["--narrate"]);
    let lines: Vec<&str> = told.err.lines().collect();
    assert_eq!(told.code, 0, "{told:?}");
    assert!(lines[0].starts_with("1  new namespaces: mount, uts, ipc, pid, network"), "{told:?}");
    let root = format!("  made / of {}, hid the old one (pivot_root)", b.rootfs().display());
    for part in [&root, "  hid 2 paths, made 1 read-only", "  dropped capabilities: 3 of 4", "  no new privileges"] {
        assert!(told.err.contains(part), "{part}: {told:?}");
    }
    assert!(lines[lines.len() - 2].ends_with("execve sh as uid 0") && lines[lines.len() - 1] == "first word", "{told:?}");
    assert_eq!(b.run().err, "first word\n");
}

fn create_and_exec_tell_too() {
    let b = Bundle::new(&["sleep", "100"]);
    let told = b.scratch("told");
    let mut create = b.write().command(["create", "--narrate", &b.id]);
    let status = create.stdout(std::process::Stdio::null()).stderr(std::fs::File::create(&told).expect("create")).status();
    assert!(status.expect("start rrun").success());
    let text = std::fs::read_to_string(told).expect("read");
    assert!(text.ends_with("  waits for rrun start\n") && text.contains("new namespaces: "), "{text}");
    b.rrun(["start", &b.id]).ok();
    let pid = b.state()["pid"].clone();
    let done = b.rrun(["exec", "--narrate", &b.id, "true"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains(&format!(" namespaces of pid {pid}; no daemon, no key, no port\n")), "{done:?}");
    assert!(done.err.ends_with("  execve true as uid 0\n"), "{done:?}");
}

fn a_failure_ends_the_story_where_it_happened() {
    let mut b = Bundle::new(&["true"]);
    b.config["mounts"][0]["type"] = json!("tmpfs");
    b.config["mounts"][0]["destination"] = json!("/tmp");
    b.config["mounts"][0]["options"] = json!(["nosiud"]);
    let done = b.run_with(&["--narrate"]);
    done.fails_with("did you mean nosuid?");
    assert!(done.err.contains("file systems below the root\n") && !done.err.contains("execve"), "{done:?}");
    b.assert_no_trace();
}

fn a_json_log_and_a_story_exclude_each_other() {
    let b = Bundle::new(&["true"]);
    for verb in [&["run", "--narrate", "x"][..], &["create", "--narrate", "x"], &["exec", "--narrate", "x", "true"]] {
        let done = b.rrun([&["--log-format", "json"], verb].concat());
        assert_eq!(done.code, if verb[0] == "exec" { 255 } else { 1 }, "{done:?}");
        assert!(done.err.contains("--narrate contradicts --log-format json"), "{done:?}");
    }
}

fn failures_have_the_status_of_env_if_wanted() {
    let mut b = Bundle::new(&["sh", "-c", "exit 7"]);
    std::fs::write(b.rootfs().join("script"), "#!/no/shell\n").expect("write");
    std::fs::set_permissions(b.rootfs().join("script"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let env = |b: &Bundle| b.run_with(&["--exit-style", "env"]).code;
    assert_eq!(env(&b), 7);
    for (program, code) in
        [("nosuch", 127), ("/nosuch", 127), ("/etc/passwd/x", 127), ("/script", 127), ("/etc", 126), ("/etc/passwd", 126)]
    {
        b.config["process"]["args"] = json!([program]);
        assert_eq!(env(&b), code, "{program}");
        assert_eq!(b.run_with(&["--exit-style=runc"]).code, 1, "{program}");
    }
    b.config["process"]["cwd"] = json!("relative");
    assert_eq!(env(&b), 125);
}

fn a_mistake_has_its_line_and_column() {
    let mut b = Bundle::new(&["/nosuch"]);
    let record = |b: &Bundle| -> Value {
        let log = b.scratch("log");
        std::fs::remove_file(&log).ok();
        b.write().rrun(["--log", log.to_str().expect("UTF-8"), "--log-format", "json", "run", &b.id]);
        serde_json::from_str(&std::fs::read_to_string(log).expect("the log")).expect("one record")
    };
    let place = |b: &Bundle, line: &str| {
        let text = std::fs::read_to_string(b.path().join("config.json")).expect("read");
        let at = text.lines().position(|l| l.contains(line)).expect("the line") + 1;
        format!("config.json:{at}:")
    };
    let found = record(&b);
    assert_eq!(found["config"], "process.args[0]");
    assert!(found["file"].as_str().is_some_and(|f| f.starts_with(&place(&b, "\"/nosuch\""))), "{found}");
    b.config["process"]["user"]["uid"] = json!("1000");
    let found = record(&b);
    assert!(found["file"].as_str().is_some_and(|f| f.starts_with(&place(&b, "\"1000\""))), "{found}");
    // What is not there has the place of what it should stand in.
    b.config["process"]["user"]["uid"] = json!(0);
    b.config["linux"]["sysctl"] = json!({"vm.swappiness": "1"});
    let found = record(&b);
    assert!(found["file"].as_str().is_some_and(|f| f.starts_with(&place(&b, "vm.swappiness"))), "{found}");
}
