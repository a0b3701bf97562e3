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
    it_enters_the_user_namespace,
    it_counts_against_the_limits if needs_groups,
    it_gets_a_terminal_of_the_container,
    detached_it_lives_on,
];

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

fn it_enters_the_user_namespace() {
    let b = running(|c| {
        // The rootfs stays root's: ids above are enough to run from it.
        map_ids(c, 100_000, 65_536);
    });
    let seen = witness(&b, &[]);
    assert_eq!((&seen["uid"], &seen["uid_map"]), (&json!(0), &json!([[0, 100_000, 65_536]])));
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
