//! `exec`: one more process in a running container.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    it_sees_what_the_container_sees,
    its_status_is_passed_on,
    failure_is_255_and_leaves_no_pid_file,
    a_stopped_container_refuses,
    a_process_file_is_taken_whole,
    the_command_line_overrides_single_fields,
    capabilities_are_added_but_never_inherited,
    what_is_added_is_ambient_only_where_the_config_lets_it_be_inherited,
    it_enters_the_user_namespace,
    it_counts_against_the_limits if needs_groups,
    it_gets_a_terminal_of_the_container,
    detached_it_lives_on,
    it_enters_every_kind_of_namespace if lacks_time_namespaces,
    one_clone_makes_it if lacks_strace_of_root,
    the_bundle_may_be_gone,
    a_process_file_is_changed_in_single_fields,
    the_containers_rlimits_hold_for_it_too,
    home_is_the_users_in_the_container,
    users_are_numbers,
    a_label_is_taken_or_its_module_is_missed,
    its_terminal_goes_to_the_console_socket,
    a_pidfd_is_sent_before_it_runs,
    it_gets_preserved_descriptors,
];

fn lacks_time_namespaces() -> Option<&'static str> {
    (!std::path::Path::new("/proc/self/ns/time").exists()).then_some("needs time namespaces")
}

fn lacks_strace_of_root() -> Option<&'static str> {
    let lacks = || std::process::Command::new("strace").arg("-V").output().is_err().then_some("needs strace");
    // Who joins a user namespace without privilege needs a process between.
    needs_root().or_else(lacks)
}

fn running(edit: impl FnOnce(&mut Value)) -> Bundle {
    let mut b = Bundle::new(&["sleep", "1000"]);
    edit(&mut b.config);
    b.run_detached();
    b
}

fn witness(b: &Bundle, args: &[&str]) -> Value {
    let all: Vec<&str> = ["exec"].iter().chain(args).chain([&b.id.as_str(), &"/bin/witness"]).copied().collect();
    serde_json::from_str(&b.rrun(all).ok()).expect("the witness prints JSON")
}

fn it_sees_what_the_container_sees() {
    let b = running(|_| {});
    let seen = witness(&b, &[]);
    let pid = b.state()["pid"].as_i64().expect("pid");
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("namespace");
        assert_eq!(seen["namespaces"][kind], json!(theirs.to_string_lossy()), "{kind}");
    }
    assert_eq!(seen["hostname"], "box");
    assert_eq!(seen["no_new_privs"], true);
    assert_eq!(
        seen["fds"].as_array().expect("fds").iter().map(|f| f["fd"].as_i64()).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2)]
    );
    for line in seen["cgroup"].as_array().expect("lines") {
        let line = line.as_str().expect("text");
        assert!(line.contains("hugetlb") || line.ends_with(":/"), "{line}");
    }
}

fn its_status_is_passed_on() {
    let b = running(|_| {});
    let done = b.rrun(["exec", &b.id, "sh", "-c", "echo out; exit 9"]);
    assert_eq!((done.code, done.out.as_str()), (9, "out\n"));
    assert_eq!(b.rrun(["exec", &b.id, "sh", "-c", "kill -KILL $$"]).code, 137);
}

fn failure_is_255_and_leaves_no_pid_file() {
    let b = running(|_| {});
    let file = b.scratch("pid");
    let done = b.rrun(["exec", "--pid-file", file.to_str().expect("UTF-8"), &b.id, "nosuch"]);
    assert_eq!(done.code, 255, "{}", done.err);
    assert!(
        done.err.contains("exec failed: unable to start container process: exec: \"nosuch\": executable file not found in $PATH"),
        "{}",
        done.err
    );
    assert!(!file.exists());
    assert_eq!(b.rrun(["exec", "rrun-absent", "true"]).code, 255);
}

fn a_stopped_container_refuses() {
    let b = running(|_| {});
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    let done = b.rrun(["exec", &b.id, "true"]);
    assert_eq!(done.code, 255);
    assert!(done.err.contains("cannot exec in a stopped container"), "{}", done.err);
}

fn a_process_file_is_taken_whole() {
    let b = running(|_| {});
    let file = b.scratch("process.json");
    let process = json!({"args": ["/bin/witness"], "cwd": "/tmp", "env": ["ONLY=this"], "user": {"uid": 1000, "gid": 1000, "additionalGids": [5]}});
    std::fs::write(&file, process.to_string()).expect("write");
    let out = b.rrun(["exec", "--process", file.to_str().expect("UTF-8"), &b.id]).ok();
    let seen: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&seen["uid"], &seen["gid"], &seen["cwd"]), (&json!(1000), &json!(1000), &json!("/tmp")));
    assert_eq!(seen["groups"], json!([5]));
    assert_eq!(seen["env"]["ONLY"], "this");
    assert_eq!(seen["capabilities"]["effective"], "0000000000000000");
}

fn the_command_line_overrides_single_fields() {
    let b = running(|c| c["process"]["noNewPrivileges"] = json!(false));
    let seen = witness(&b, &["--cwd", "/tmp", "--env", "A=1", "-e", "B=2", "--user", "1000:7", "-g", "8", "--no-new-privs"]);
    assert_eq!(
        (&seen["uid"], &seen["gid"], &seen["cwd"], &seen["groups"]),
        (&json!(1000), &json!(7), &json!("/tmp"), &json!([8]))
    );
    assert_eq!((&seen["env"]["A"], &seen["env"]["B"]), (&json!("1"), &json!("2")));
    assert_eq!(seen["no_new_privs"], true);
}

fn capabilities_are_added_but_never_inherited() {
    let b = running(|_| {});
    let seen = witness(&b, &["--cap", "CAP_SYS_ADMIN"]);
    let bits = |set: &str| u64::from_str_radix(seen["capabilities"][set].as_str().expect("hex"), 16).expect("hex");
    for set in ["bounding", "effective", "permitted"] {
        assert!(bits(set) & (1 << 21) != 0, "{set}");
    }
    assert_eq!((bits("inheritable"), bits("ambient")), (0, 0));
}

fn what_is_added_is_ambient_only_where_the_config_lets_it_be_inherited() {
    let b = running(|c| c["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]));
    let ambient = |cap: &str| witness(&b, &["--user", "1000", "-c", cap])["capabilities"].clone();
    for set in ["effective", "ambient", "inheritable"] {
        assert_eq!(ambient("CAP_KILL")[set], "0000000000000020", "{set}");
    }
    assert_eq!(ambient("CAP_SYS_CHROOT")["ambient"], "0000000000000000");
    assert_eq!(ambient("CAP_SYS_CHROOT")["inheritable"], "0000000000000020");
    let done = b.rrun(["exec", "--cap", "CAP_NONSENSE", &b.id, "true"]);
    assert!(done.code == 255 && done.err.contains("unknown capability \"CAP_NONSENSE\""), "{done:?}");
    let done = b.rrun(["exec", "--cap", "CAP_NET_ADMINN", &b.id, "true"]);
    assert!(done.code == 255 && done.err.contains("did you mean CAP_NET_ADMIN?"), "{done:?}");
}

fn it_enters_the_user_namespace() {
    let b = running(|c| {
        // The rootfs stays root's: ids above are enough to run from it.
        map_ids(c, 100_000, 65_536);
    });
    let seen = witness(&b, &[]);
    let maps = b.config["linux"]["uidMappings"].as_array().expect("maps").iter();
    let map: Vec<_> = maps.map(|m| json!([m["containerID"], m["hostID"], m["size"]])).collect();
    assert_eq!((&seen["uid"], &seen["uid_map"]), (&json!(0), &json!(map)));
}

fn it_counts_against_the_limits() {
    let b = running(|c| c["linux"]["resources"]["pids"] = json!({"limit": 3}));
    let done = b.rrun(["exec", &b.id, "sh", "-c", "for i in 1 2 3 4; do sleep 5 & done; wait"]);
    assert!(done.err.contains("can't fork"), "{} {}", done.code, done.err);
}

fn it_gets_a_terminal_of_the_container() {
    let b = running(|_| {});
    let out = b.rrun(["exec", "--tty", &b.id, "tty"]).ok();
    assert_eq!(out.trim(), "/dev/pts/0");
}

fn detached_it_lives_on() {
    let b = running(|_| {});
    let file = b.scratch("pid");
    let mut command = b.command(["exec", "-d", "--pid-file", file.to_str().expect("UTF-8"), &b.id, "sleep", "500"]);
    let status = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().expect("start rrun");
    assert!(status.success());
    let pid = std::fs::read_to_string(file).expect("pid file");
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("the process lives");
    assert_eq!(comm.trim(), "sleep");
}

fn it_enters_every_kind_of_namespace() {
    let b = running(|c| {
        c["linux"]["namespaces"].as_array_mut().expect("array").push(json!({"type": "time"}));
        map_ids(c, 100_000, 65_536);
    });
    let seen = witness(&b, &[]);
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"] {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/{kind}", b.state()["pid"])).expect("namespace");
        assert_eq!(seen["namespaces"][kind], json!(theirs.to_string_lossy()), "{kind}");
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("namespace");
        assert!(theirs != own, "the container shares {kind} with the host");
    }
}

/// A helper process between would cost milliseconds, and be one more thing for a hostile container to look at.
fn one_clone_makes_it() {
    let b = running(|_| {});
    let trace = b.scratch("trace");
    let exec = b.command(["exec", &b.id, "true"]);
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-e", "trace=clone,clone3,fork,vfork", "-o"]).arg(&trace);
    command.arg(exec.get_program()).args(exec.get_args()).stdin(std::process::Stdio::null());
    let done: Done = command.output().expect("run strace").into();
    done.ok();
    let trace = std::fs::read_to_string(trace).expect("read");
    let calls: Vec<&str> = trace.lines().filter(|l| l.contains("clone") || l.contains("fork")).collect();
    assert!(calls.len() == 1 && calls[0].contains("clone3"), "{calls:?}");
}

/// Engines remove the bundle while the container runs; and a filter must not become weaker with a file that others write.
fn the_bundle_may_be_gone() {
    let b = running(|c| {
        c["process"]["env"].as_array_mut().expect("array").push(json!("FROM=config"));
        let refused = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]);
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": refused});
    });
    let config = b.path().join("config.json");
    let mut changed = b.config.clone();
    changed["linux"]["seccomp"] = json!(null);
    changed["process"]["env"] = json!(["PATH=/bin", "FROM=changed"]);
    let file = b.scratch("process.json");
    std::fs::write(
        &file,
        json!({"args": ["mkdir", "/made"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}).to_string(),
    )
    .expect("write");
    for (bundle, from) in [(Some(changed.to_string()), "changed\n"), (None, "config\n")] {
        match bundle {
            Some(text) => std::fs::write(&config, text).expect("write"),
            None => std::fs::remove_file(&config).expect("remove"),
        }
        assert_eq!(b.rrun(["exec", &b.id, "sh", "-c", "mkdir /made || echo $FROM"]).out, from);
        assert_ne!(b.rrun(["exec", "-p", file.to_str().expect("UTF-8"), &b.id]).code, 0);
        assert!(!b.rootfs().join("made").exists());
    }
}

fn a_process_file_is_changed_in_single_fields() {
    let b = running(|_| {});
    let file = b.scratch("process.json");
    let process = json!({"args": ["/bin/witness"], "cwd": "/tmp", "env": ["A=1"], "user": {"uid": 1000, "gid": 1000}});
    std::fs::write(&file, process.to_string()).expect("write");
    let file = file.to_str().expect("UTF-8");
    let args = ["exec", "-p", file, "--cwd", "/etc", "-e", "B=2", "-u", "7", "--additional-gids", "8", "--no-new-privs", &b.id];
    let seen: Value = serde_json::from_str(&b.rrun(args).ok()).expect("JSON");
    assert_eq!(
        (&seen["uid"], &seen["gid"], &seen["groups"], &seen["cwd"]),
        (&json!(7), &json!(1000), &json!([8]), &json!("/etc"))
    );
    assert_eq!((&seen["env"]["A"], &seen["env"]["B"], &seen["no_new_privs"]), (&json!("1"), &json!("2"), &json!(true)));
    std::fs::write(file, json!({"args": ["tty"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}).to_string())
        .expect("write");
    assert_eq!(b.rrun(["exec", "-t", "-p", file, &b.id]).ok().trim(), "/dev/pts/0");
}

fn the_containers_rlimits_hold_for_it_too() {
    let b = running(|c| c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 654}]));
    assert_eq!(b.rrun(["exec", &b.id, "sh", "-c", "ulimit -Sn; ulimit -Hn"]).ok(), "321\n654\n");
    let file = b.scratch("process.json");
    let process = json!({"args": ["sh", "-c", "ulimit -Sn"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"],
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 123, "hard": 456}]});
    std::fs::write(&file, process.to_string()).expect("write");
    assert_eq!(b.rrun(["exec", "-p", file.to_str().expect("UTF-8"), &b.id]).ok(), "123\n");
}

fn home_is_the_users_in_the_container() {
    let b = running(|_| {});
    for (user, home) in [("0", "/root"), ("1000", "/home/user"), ("77", "/")] {
        assert_eq!(witness(&b, &["--user", user])["env"]["HOME"], home, "{user}");
    }
    assert_eq!(witness(&b, &["--user", "1000", "--env", "HOME=/here"])["env"]["HOME"], "/here");
}

fn users_are_numbers() {
    let b = running(|_| {});
    for bad in ["root", "1000:", ":5", "+0", "-1", " 0", "0x0", "4294967295", "1:2:3", ""] {
        let done = b.rrun(["exec", "--user", bad, &b.id, "touch", "/ran"]);
        assert!(done.code == 255 && done.err.contains("invalid id"), "{bad:?}: {done:?}");
    }
    assert_eq!(b.rrun(["exec", "-g", "wheel", &b.id, "touch", "/ran"]).code, 255);
    assert!(!b.rootfs().join("ran").exists());
}

fn a_label_is_taken_or_its_module_is_missed() {
    let b = running(|_| {});
    let on = |file: &str, word: &str| std::fs::read_to_string(file).is_ok_and(|text| text.starts_with(word));
    let done = b.rrun(["exec", "--apparmor", "rrun-test-no-such-profile", &b.id, "true"]);
    let expected =
        if on("/sys/module/apparmor/parameters/enabled", "Y") { "unable to apply apparmor profile" } else { "apparmor" };
    assert!(done.code == 255 && done.err.contains(expected), "{done:?}");
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        let done = b.rrun(["exec", "--process-label", "system_u:system_r:container_t:s0", &b.id, "true"]);
        let expected = "selinux label is specified in config, but selinux is disabled or not supported";
        assert!(done.code == 255 && done.err.contains(expected), "{done:?}");
    }
}

fn its_terminal_goes_to_the_console_socket() {
    let b = running(|_| {});
    let socket = b.scratch("console");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bind");
    let socket = socket.to_str().expect("UTF-8");
    let exec = ["exec", "--tty", "--detach", "--console-socket", socket, &b.id, "tty"];
    assert!(b.command(exec).stdout(std::process::Stdio::null()).status().expect("start rrun").success());
    let (name, master) = crate::console::receive(&listener);
    assert_eq!((name.as_str(), crate::console::all_of(master).as_str()), ("/dev/ptmx", "/dev/pts/0\r\n"));
}

fn a_pidfd_is_sent_before_it_runs() {
    let b = running(|_| {});
    let (socket, file) = (b.scratch("pidfd"), b.scratch("pid"));
    let [path, pid_file] = [&socket, &file].map(|p| p.to_str().expect("UTF-8"));
    let exec = ["exec", "--pidfd-socket", path, "--pid-file", pid_file, &b.id, "touch", "/ran"];
    let done = b.rrun(exec);
    assert!(done.code == 255 && done.err.contains("pidfd socket: connect"), "{done:?}");
    assert!(!b.rootfs().join("ran").exists() && !file.exists(), "a failure that has an effect");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bind");
    b.rrun(exec).ok();
    assert!(b.rootfs().join("ran").exists());
    assert_eq!(crate::console::receive(&listener).0, "setns");
}

fn it_gets_preserved_descriptors() {
    let b = running(|_| {});
    let line = format!(
        "exec 3< <(echo three) 4</etc 5</; exec {} --root {} exec --preserve-fds 1 {} sh -c 'cat <&3; ls /proc/self/fd'",
        rrun_path().display(),
        b.root().display(),
        b.id
    );
    let done: Done = std::process::Command::new("bash").args(["-c", &line]).output().expect("run bash").into();
    // 4 is ls's own handle of the directory.
    assert_eq!(done.ok(), "three\n0\n1\n2\n3\n4\n");
}
