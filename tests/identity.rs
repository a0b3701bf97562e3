//! The user, the environment, the working directory, and the program: found, or refused in the words that engines match.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    ids_groups_and_umask_are_as_given,
    a_number_is_never_looked_up_as_a_name,
    the_callers_groups_are_dropped if needs_root,
    the_last_of_duplicate_variables_wins,
    malformed_variables_are_refused,
    home_comes_from_the_containers_passwd,
    a_hostile_passwd_does_no_harm,
    a_missing_working_directory_is_made,
    a_working_directory_closed_to_the_user_is_entered,
    a_working_directory_stays_in_the_root,
    no_descriptor_is_a_working_directory,
    arguments_arrive_unchanged,
    a_bare_name_is_found_in_the_containers_path,
    refusals_have_their_canonical_texts,
    refusals_are_explained,
    a_filter_that_would_kill_for_the_search_leaves_the_bare_error,
    an_unmapped_user_is_refused,
    groups_that_cannot_be_dropped_are_kept if needs_root,
];

fn ids_groups_and_umask_are_as_given() {
    let mut b = Bundle::new(&["witness"]);
    b.config["process"]["user"] = json!({"uid": 1234, "gid": 4321, "umask": 0o27, "additionalGids": [5, 600]});
    let w = b.witness();
    assert_eq!([&w["uid"], &w["euid"], &w["gid"], &w["egid"]], [1234, 1234, 4321, 4321]);
    assert_eq!((&w["groups"], &w["umask"]), (&json!([5, 600]), &json!(0o27)));
}

fn a_number_is_never_looked_up_as_a_name() {
    // CVE-2016-3697
    let mut b = Bundle::new(&["witness"]);
    std::fs::write(b.rootfs().join("etc/passwd"), "1000:x:0:0::/root:/bin/sh\n").expect("write");
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(b.witness()["euid"], 1000);
}

fn the_callers_groups_are_dropped() {
    let mut b = Bundle::new(&["witness", "groups"]);
    let b = {
        b.config["process"]["user"] = json!({"uid": 0, "gid": 0});
        b
    };
    let mut rrun = std::process::Command::new("setpriv");
    rrun.args(["--groups", "6,27"])
        .arg(rrun_path())
        .arg("--root")
        .arg(b.root())
        .args(["run", &b.id])
        .current_dir(b.write().path());
    std::fs::create_dir_all(b.root()).expect("mkdir");
    let done: Done = rrun.stdin(std::process::Stdio::null()).output().expect("run setpriv").into();
    assert_eq!(done.ok().trim(), r#"{"groups":[]}"#);
}

fn the_last_of_duplicate_variables_wins() {
    let mut b = Bundle::new(&["env"]);
    b.config["process"]["env"] = json!(["A=1", "PATH=/bin", "A=2=3", "HOME=/x", "EMPTY="]);
    let out = b.run().ok();
    let mut lines: Vec<&str> = out.lines().filter(|l| !l.starts_with("PWD=") && !l.starts_with("SHLVL=")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=2=3", "EMPTY=", "HOME=/x", "PATH=/bin"]);
}

fn malformed_variables_are_refused() {
    let mut b = Bundle::new(&["true"]);
    for (entry, text) in [
        ("NOVALUE", r#"invalid environment variable: "NOVALUE""#),
        ("=x", r#"environment variable name can't be empty: "=x""#),
        ("A=\0", "environment variable value can't contain null"),
    ] {
        b.config["process"]["env"] = json!(["PATH=/bin", entry]);
        b.run().fails_with(text);
    }
}

fn home_comes_from_the_containers_passwd() {
    let mut b = Bundle::new(&["sh", "-c", "echo \"$HOME\""]);
    assert_eq!(b.run().ok(), "/root\n");
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 0});
    assert_eq!(b.run().ok(), "/home/user\n");
    b.config["process"]["user"] = json!({"uid": 77, "gid": 0});
    assert_eq!(b.run().ok(), "/\n");
    b.config["process"]["env"] = json!(["PATH=/bin", "HOME=/given"]);
    assert_eq!(b.run().ok(), "/given\n");
}

fn a_hostile_passwd_does_no_harm() {
    let b = Bundle::new(&["sh", "-c", "echo \"$HOME\""]);
    let passwd = b.rootfs().join("etc/passwd");
    let replace = |make: &dyn Fn()| {
        std::fs::remove_file(&passwd).expect("unlink");
        make();
    };
    replace(&|| nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo"));
    assert_eq!(b.run().ok(), "/\n", "a FIFO does not block");
    // A link to the host's file: what is read is the container's own.
    let host = b.scratch("passwd");
    std::fs::write(&host, "root:x:0:0::/of-the-host:\n").expect("write");
    replace(&|| symlink(&host, &passwd).expect("symlink"));
    assert_eq!(b.run().ok(), "/\n");
    replace(&|| symlink("/proc/self/fd/0", &passwd).expect("symlink"));
    assert_eq!(b.run().ok(), "/\n");
    replace(&|| std::fs::File::create(&passwd).and_then(|f| f.set_len(1 << 40)).expect("a large file"));
    assert_eq!(b.run().ok(), "/\n", "a terabyte is not read");
}

fn a_missing_working_directory_is_made() {
    let mut b = Bundle::new(&["pwd"]);
    b.config["process"]["cwd"] = json!("/new/deep/er");
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(b.run().ok(), "/new/deep/er\n");
    let made = std::fs::metadata(b.rootfs().join("new/deep")).expect("made");
    assert_eq!((made.uid(), made.mode() & 0o777), (nix::unistd::geteuid().as_raw(), 0o755));
    b.config["process"]["cwd"] = json!("/etc/passwd");
    b.run().fails_with("not a directory");
}

fn a_working_directory_closed_to_the_user_is_entered() {
    // As in runc: the directory is entered before the user changes.
    let mut b = Bundle::new(&["witness", "cwd"]);
    std::fs::create_dir(b.rootfs().join("closed")).expect("mkdir");
    std::fs::set_permissions(b.rootfs().join("closed"), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    b.config["process"]["cwd"] = json!("/closed");
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    b.config["process"]["args"] = json!(["/bin/witness", "cwd"]);
    assert_eq!(b.run().ok().trim(), r#"{"cwd":"/closed"}"#);
}

fn a_working_directory_stays_in_the_root() {
    // CVE-2026-55686: the image's working directory is a link to a path of the host.
    let mut b = Bundle::new(&["pwd"]);
    let host = b.scratch("canary");
    std::fs::create_dir(&host).expect("mkdir");
    symlink(&host, b.rootfs().join("work")).expect("symlink");
    symlink("../../../../../../../..", b.rootfs().join("up")).expect("symlink");
    b.config["process"]["cwd"] = json!("/work/made");
    let done = b.run();
    assert_eq!(std::fs::read_dir(&host).expect("readdir").count(), 0, "the host was written to");
    if done.code == 0 {
        assert!(b.rootfs().join(host.strip_prefix("/").expect("absolute")).join("made").is_dir());
    }
    b.config["process"]["cwd"] = json!("/up/../..");
    assert_eq!(b.run().ok(), "/\n");
}

fn no_descriptor_is_a_working_directory() {
    // CVE-2024-21626: some descriptor of rrun is a directory of the host, and from there `..` leads to the host's root.
    let mut b = Bundle::new(&["sh", "-c", "cd ../../../../../../../../..; cat marker"]);
    std::fs::write(b.rootfs().join("marker"), "of the container\n").expect("write");
    b.config["process"]["cwd"] = json!("/proc");
    assert_eq!(b.run().ok(), "of the container\n", "the test's own proof");
    let mut refused = 0;
    for number in 3..32 {
        b.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let done = b.run();
        assert!(done.code == 1 || done.out == "of the container\n", "cwd through descriptor {number}: {done:?}");
        refused += i32::from(done.code == 1);
    }
    assert!(refused > 20, "only {refused} of 29 descriptors were refused");
    b.config["process"]["cwd"] = json!("/proc/1/root");
    assert_eq!(b.run().code, 1);
}

fn arguments_arrive_unchanged() {
    let args = ["/bin/witness", "argv", "--exit", "0"];
    let b = Bundle::new(&args);
    let seen: Value = serde_json::from_str(&b.run().ok()).expect("JSON");
    assert_eq!(seen["argv"], json!(args));
    assert_eq!(Bundle::new(&["printf", "[%s]", "", "a b", "ä\n"]).run().ok(), "[][a b][ä\n]");
}

fn a_bare_name_is_found_in_the_containers_path() {
    let mut b = Bundle::new(&["tool"]);
    let tool = b.rootfs().join("opt");
    std::fs::create_dir(&tool).expect("mkdir");
    std::fs::write(tool.join("tool"), "#!/bin/sh\necho \"$0\"\n").expect("write");
    std::fs::set_permissions(tool.join("tool"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    b.config["process"]["env"] = json!(["PATH=/bin:/opt/"]);
    assert_eq!(b.run().ok(), "/opt/tool\n");
    b.config["process"]["cwd"] = json!("/opt");
    b.config["process"]["args"] = json!(["./tool"]);
    assert_eq!(b.run().ok(), "./tool\n");
}

/// A root with broken programs.
fn broken() -> Bundle {
    let b = Bundle::new(&["x"]);
    let write = |name: &str, content: &str, mode: u32| {
        std::fs::write(b.rootfs().join(name), content).expect("write");
        std::fs::set_permissions(b.rootfs().join(name), std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    write("plain", "text", 0o644);
    write("text", "text", 0o755);
    write("empty", "", 0o755);
    write("script", "#!/bin/bash\n", 0o755);
    write("windows", "#!/bin/sh\r\n", 0o755);
    write("private", "", 0o700);
    let mut foreign = vec![0u8; 64];
    foreign[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    foreign[18] = 243;
    std::fs::write(b.rootfs().join("foreign"), foreign).expect("write");
    std::fs::set_permissions(b.rootfs().join("foreign"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    copy_program("/bin/cat", b.rootfs().join("dynamic"));
    std::fs::create_dir(b.rootfs().join("closed")).expect("mkdir");
    std::fs::set_permissions(b.rootfs().join("closed"), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    copy_program("/bin/busybox", b.rootfs().join("closed/x"));
    b
}

fn refusals_have_their_canonical_texts() {
    let mut b = broken();
    for (program, text) in [
        ("nix", r#"exec: "nix": executable file not found in $PATH"#),
        ("", r#"exec: "": executable file not found in $PATH"#),
        ("/nix", r#"exec: "/nix": stat /nix: no such file or directory"#),
        ("/plain", r#"exec: "/plain": permission denied"#),
        ("/etc", r#"exec: "/etc": is a directory: permission denied"#),
        ("/etc/passwd/x", r#"exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory"#),
        ("/script", "exec /script: no such file or directory"),
        ("/windows", "exec /windows: no such file or directory"),
        ("/dynamic", "exec /dynamic: no such file or directory"),
        ("/text", "exec /text: exec format error"),
        ("/empty", "exec /empty: exec format error"),
        ("/foreign", "exec /foreign: exec format error"),
    ] {
        b.config["process"]["args"] = json!([program]);
        b.run().fails_with(text);
    }
    b.config["process"]["args"] = json!(["/closed/x"]);
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    b.run().fails_with(r#"exec: "/closed/x": stat /closed/x: permission denied"#);
}

fn refusals_are_explained() {
    let mut b = broken();
    let explained = |b: &Bundle| {
        let log = b.scratch("explained");
        std::fs::remove_file(&log).ok();
        b.write().rrun(["--log-format", "json", "--log", log.to_str().expect("UTF-8"), "run", &b.id]);
        let log = std::fs::read_to_string(log).expect("the log");
        let record: Value = serde_json::from_str(log.lines().last().expect("a record")).expect("JSON");
        (record["code"].as_str().unwrap_or_default().to_owned(), record["hint"].as_str().unwrap_or_default().to_owned())
    };
    for (args, code, hint) in [
        (json!(["nix"]), "E-NOTFOUND", "(PATH of the container)"),
        (json!(["withness"]), "E-NOTFOUND", "where witness is similar"),
        (json!(["/nix"]), "E-NOTFOUND", "the root filesystem lacks /nix"),
        (json!(["/bin/echo hello"]), "E-ARGV", r#"["/bin/echo", "hello"]"#),
        (json!(["/plain"]), "E-PERM", "without an x bit"),
        (json!(["/etc"]), "E-PERM", "is a folder"),
        (json!(["/script"]), "E-INTERP", "asks for the missing interpreter /bin/bash"),
        (json!(["/windows"]), "E-CRLF", "Windows line end"),
        (json!(["/dynamic"]), "E-LOADER", "needs the loader /lib"),
        (json!(["/text"]), "E-NOSHEBANG", "script with #!"),
        (json!(["/empty"]), "E-NOSHEBANG", "0 bytes"),
        (json!(["/foreign"]), "E-ARCH", "ELF file for riscv"),
    ] {
        b.config["process"]["args"] = args;
        let (found, text) = explained(&b);
        assert_eq!(found, code, "{text}");
        assert!(text.contains(hint), "{text}");
    }
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    b.config["process"]["args"] = json!(["/closed/x"]);
    assert_eq!(explained(&b).1, "uid 1000 cannot enter /closed (mode 0700, owner 0); change the mode or process.user");
    b.config["process"]["args"] = json!(["/private"]);
    assert!(explained(&b).1.starts_with("uid 1000 may not execute /private"));
    copy_program("/bin/busybox", b.scratch("tool"));
    std::fs::set_permissions(b.scratch("tool"), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let bind = json!({"destination": "/tool", "type": "bind", "source": b.scratch("tool"), "options": ["bind", "noexec"]});
    b.config["mounts"].as_array_mut().expect("array").push(bind);
    b.config["process"]["args"] = json!(["/tool"]);
    assert!(explained(&b).1.contains("a mount with noexec"));
}

fn a_filter_that_would_kill_for_the_search_leaves_the_bare_error() {
    let mut b = broken();
    b.config["process"]["args"] = json!(["/script"]);
    let filter = |names: Value| {
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": names, "action": "SCMP_ACT_KILL_PROCESS"}]})
    };
    b.config["linux"]["seccomp"] = filter(json!(["openat2", "pread64"]));
    let done = b.run();
    done.fails_with("exec /script: no such file or directory");
    assert!(!done.err.contains("hint"), "{}", done.err);
    b.config["linux"]["seccomp"] = filter(json!(["reboot"]));
    b.run().fails_with("asks for the missing interpreter /bin/bash");
}

fn an_unmapped_user_is_refused() {
    let mut b = Bundle::new(&["true"]);
    map_ids(&mut b.config, 100_000, 10);
    b.config["process"]["user"] = json!({"uid": 100_000, "gid": 0});
    b.run().fails_with("unmapped user in user namespace");
    b.assert_no_trace();
}

fn groups_that_cannot_be_dropped_are_kept() {
    // A user namespace whose setgroups file says "deny": whoever asks for no groups gets the caller's, who asks for some an error.
    let mut b = Bundle::new(&["witness", "groups"]);
    b.config["linux"]["resources"] = json!({});
    b.config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    b.config["linux"]["namespaces"] = json!([{"type": "user"}, {"type": "mount"}, {"type": "pid"}]);
    b.config.as_object_mut().expect("object").remove("hostname");
    let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    b.config["linux"]["uidMappings"] = map.clone();
    b.config["linux"]["gidMappings"] = map;
    let nested = |b: &Bundle| {
        std::fs::create_dir_all(b.root()).expect("mkdir");
        let mut rrun = std::process::Command::new("setpriv");
        rrun.args(["--groups", "0", "unshare", "--user", "--map-root-user", "--mount"]);
        rrun.arg(rrun_path()).arg("--root").arg(b.root()).args(["--cgroup-manager", "disabled", "run", &b.id]);
        Done::from(rrun.current_dir(b.write().path()).stdin(std::process::Stdio::null()).output().expect("run setpriv"))
    };
    assert_eq!(nested(&b).ok().trim(), r#"{"groups":[0]}"#);
    b.config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [0]});
    let done = nested(&b);
    done.fails_with("setgroups: operation not permitted");
    assert!(done.err.contains("additional groups need gidMappings"), "{}", done.err);
}
