//! The whole life of a container that a user without privilege makes.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::layers::kernel_before;
use crate::support::screen::Screen;
use crate::support::user::public_rrun;
use crate::support::*;

crate::tests![
    all if needs_root;
    a_user_is_root_inside,
    a_container_lives_and_ends,
    exec_enters_all_namespaces,
    a_terminal_is_the_containers_own,
    what_spec_writes_runs_as_it_is,
    ranges_are_mapped_by_the_tools if lacks_tools,
    a_range_that_is_not_granted_is_explained if lacks_tools,
    missing_tools_are_explained if lacks_tools,
    groups_cannot_be_had_without_the_tools,
    state_is_kept_in_the_runtime_directory,
    without_a_runtime_directory_the_error_says_so,
    devices_are_the_hosts,
    unmapped_ids_in_options_are_refused,
    a_limit_is_never_dropped,
    a_cgroup_that_was_asked_for_is_never_left_out,
    root_of_a_user_namespace_counts_as_a_user,
    limits_are_as_given if lacks_tools,
    layers_are_stacked_and_taken_away,
    layers_with_files_of_other_ids_are_taken_away if lacks_tools,
    a_pod_shares_namespaces,
    root_joins_what_a_user_made,
];

fn lacks_tools() -> Option<&'static str> {
    let found = std::env::var_os("PATH").is_some_and(|p| std::env::split_paths(&p).any(|d| d.join("newuidmap").exists()));
    (!found).then_some("newuidmap (package uidmap) is missing")
}

fn a_user_is_root_inside() {
    let mut b = Bundle::rootless(&[]);
    let seen = b.witness();
    let id = b.user().id;
    assert_eq!((&seen["uid_map"], &seen["gid_map"]), (&json!([[0, id, 1]]), &json!([[0, id, 1]])));
    assert_eq!(seen["setgroups"], "deny");
    assert_eq!((&seen["uid"], &seen["gid"], &seen["pid"]), (&json!(0), &json!(0), &json!(1)));
    assert_eq!(seen["capabilities"]["effective"], "0000000020000420");
    assert_eq!(seen["no_new_privs"], true);
    let open: Vec<_> = seen["fds"].as_array().expect("fds").iter().map(|f| f["fd"].as_i64()).collect();
    assert_eq!(open, [Some(0), Some(1), Some(2)]);
    for kind in ["pid", "net", "ipc", "uts", "mnt", "user"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("own namespace");
        assert_ne!(seen["namespaces"][kind], json!(own.to_string_lossy()), "{kind}");
    }
    b.assert_no_trace();
}

fn a_container_lives_and_ends() {
    let b = Bundle::rootless(&["sleep", "1000"]);
    b.create();
    assert_eq!(b.state()["status"], "created");
    b.rrun(["start", &b.id]).ok();
    b.wait_for("running");
    assert_eq!(b.state()["owner"], "rrun-test");
    assert!(b.rrun(["list", "-q"]).ok().contains(&b.id));
    let mut exec = b.command(["exec", "--detach", &b.id, "sleep", "1000"]);
    assert!(exec.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
    let pids: Vec<i64> = serde_json::from_str(&b.rrun(["ps", "-f", "json", &b.id]).ok()).expect("pids");
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(pids.contains(&b.state()["pid"].as_i64().expect("pid")));
    // With a group of its own it could be paused; here or there nothing is done halfway.
    let paused = b.rrun(["pause", &b.id]);
    if paused.code == 0 {
        b.rrun(["resume", &b.id]).ok();
    } else {
        paused.fails_with("cannot pause a container without a cgroup");
    }
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.rrun(["delete", &b.id]).ok();
    b.assert_no_trace();
}

fn exec_enters_all_namespaces() {
    let b = Bundle::rootless(&["sleep", "1000"]);
    b.create();
    let early = b.rrun(["exec", &b.id, "true"]);
    assert!(early.code == 255 && early.err.contains("only once it was started: rrun start"), "{early:?}");
    b.rrun(["start", &b.id]).ok();
    let seen: Value = serde_json::from_str(&b.rrun(["exec", &b.id, "/bin/witness"]).ok()).expect("JSON");
    let pid = b.state()["pid"].as_i64().expect("pid");
    for kind in ["pid", "net", "ipc", "uts", "mnt", "user", "cgroup"] {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("namespace");
        assert_eq!(seen["namespaces"][kind], json!(theirs.to_string_lossy()), "{kind}");
    }
    assert_eq!((&seen["uid"], &seen["ppid"]), (&json!(0), &json!(0)));
    assert_eq!(seen["capabilities"]["effective"], "0000000020000420");
    let open: Vec<_> = seen["fds"].as_array().expect("fds").iter().map(|f| f["fd"].as_i64()).collect();
    assert_eq!(open, [Some(0), Some(1), Some(2)]);
    assert_eq!(b.rrun(["exec", &b.id, "sh", "-c", "exit 9"]).code, 9);
    assert_eq!(b.rrun(["exec", &b.id, "/none"]).code, 255);
}

fn a_terminal_is_the_containers_own() {
    let mut b = Bundle::rootless(&["sh", "-c", "tty; stat -c %F /dev/console"]);
    b.config["process"]["terminal"] = json!(true);
    let mut screen = Screen::start(&b.write().command(["run", &b.id]), 24, 80);
    screen.expect("/dev/pts/0\r\ncharacter special file\r\n");
    assert_eq!(screen.end(), 0);
    b.config["process"]["terminal"] = json!(false);
    b.config["process"]["args"] = json!(["sleep", "1000"]);
    b.run_detached();
    let mut screen = Screen::start(&b.command(["exec", "-t", &b.id, "tty"]), 24, 80);
    screen.expect("/dev/pts/0\r\n");
    assert_eq!(screen.end(), 0);
}

fn what_spec_writes_runs_as_it_is() {
    let b = Bundle::rootless(&[]);
    b.rrun(["spec", "--rootless"]).ok();
    let mut screen = Screen::start(&b.command(["run", &b.id]), 24, 80);
    screen.expect("# ");
    screen.send(b"echo uid-$(id -u); exit 3\n");
    screen.expect("uid-0\r\n");
    assert_eq!(screen.end(), 3);
    b.assert_no_trace();
}

fn ranges_are_mapped_by_the_tools() {
    let mut b = Bundle::mapped(&["sh", "-c", "id; chown 5:6 /tmp; touch /root/x; cat /proc/self/setgroups"]);
    b.config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [7, 65_536]});
    let caps = json!(["CAP_CHOWN", "CAP_DAC_OVERRIDE"]);
    b.config["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    assert_eq!(b.run().ok(), "uid=0(root) gid=0(root) groups=7,65536\nallow\n");
    let (user, tmp) = (b.user(), std::fs::metadata(b.rootfs().join("tmp")).expect("tmp"));
    assert_eq!((tmp.uid(), tmp.gid()), (user.subordinate + 4, user.subordinate + 5));
    assert_eq!(std::fs::metadata(b.rootfs().join("root/x")).expect("x").uid(), user.id);
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    b.config["process"]["args"] = json!(["id", "-u"]);
    assert_eq!(b.run().ok(), "1000\n");
}

fn a_range_that_is_not_granted_is_explained() {
    let mut b = Bundle::mapped(&["true"]);
    let granted = b.user().subordinate;
    b.config["linux"]["gidMappings"][1]["hostID"] = json!(granted + 1);
    let done = b.run();
    done.fails_with("newgidmap: gid range");
    let (first, last) = (granted + 1, granted + 65_536);
    done.fails_with(&format!(
        "gidMappings[1] wants the host ids {first}-{last}, /etc/subgid grants rrun-test {granted}-{}",
        last - 1
    ));
    done.fails_with(&format!("add the line rrun-test:{first}:65536"));
    b.assert_no_trace();
}

fn missing_tools_are_explained() {
    let mut b = Bundle::mapped(&["true"]);
    let hidden = b.scratch("hidden");
    std::fs::create_dir(&hidden).expect("mkdir");
    // Wherever PATH or the usual places have it; what comes after in the script must still be found.
    let copy = format!("cp $(command -v setpriv) $(command -v env) {0} && PATH={0} && ", hidden.display());
    let hide = "for d in /usr/local/bin /usr/bin /bin; do [ ! -e $d/newuidmap ] || /bin/busybox mount -t tmpfs none $d; done";
    b.user.as_mut().expect("a user").before =
        format!("cp /bin/busybox {}/mount && {copy}{hide}", hidden.display()).replace("/bin/busybox mount", "mount");
    let done = b.run();
    done.fails_with("cannot map a range of ids without privilege: newuidmap is not installed");
    done.fails_with("install the package uidmap");
    b.user.as_mut().expect("a user").before = ":".to_owned();
    b.assert_no_trace();
}

fn groups_cannot_be_had_without_the_tools() {
    let mut b = Bundle::rootless(&["true"]);
    b.config["process"]["user"]["additionalGids"] = json!([0]);
    let done = b.run();
    done.fails_with("setgroups: operation not permitted");
    done.fails_with("process.user.additionalGids");
    b.assert_no_trace();
}

fn state_is_kept_in_the_runtime_directory() {
    let b = Bundle::rootless(&["sleep", "1000"]);
    let rrun = |args: &[&str]| {
        let mut command = b.user().command(public_rrun());
        let command = command.args(args).current_dir(b.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("start rrun").success(), "{args:?}");
    };
    b.write();
    rrun(&["run", "--detach", &b.id]);
    let root = b.user().runtime_dir().join("rrun");
    let made = std::fs::metadata(&root).expect("the state root");
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o1700, b.user().id));
    assert!(root.join(&b.id).join("state.json").exists());
    rrun(&["--rootless=true", "state", &b.id]);
    rrun(&["delete", "--force", &b.id]);
    assert!(!root.join(&b.id).exists());
}

fn without_a_runtime_directory_the_error_says_so() {
    let b = Bundle::rootless(&["true"]);
    b.write();
    let rrun = |args: &[&str]| -> Done {
        let mut command = b.user().command("env");
        command.args(["-u", "XDG_RUNTIME_DIR"]).arg(public_rrun()).args(args).current_dir(b.path()).stdin(Stdio::null());
        command.output().expect("start rrun").into()
    };
    let done = rrun(&["run", &b.id]);
    done.fails_with("/run/rrun");
    done.fails_with("set XDG_RUNTIME_DIR");
}

fn devices_are_the_hosts() {
    let mut b = Bundle::rootless(&[]);
    b.config["linux"]["devices"] = json!([{"path": "/dev/full", "type": "c", "major": 1, "minor": 7}]);
    b.config["process"]["args"] =
        json!(["sh", "-c", "stat -c '%n %t:%T' /dev/null /dev/full; mknod /tmp/x c 1 3 || echo refused"]);
    let owner = || std::fs::metadata("/dev/null").map(|m| (m.uid(), m.gid(), m.permissions().mode())).expect("/dev/null");
    let before = owner();
    assert_eq!(b.run().ok(), "/dev/null 1:3\n/dev/full 1:7\nrefused\n");
    assert_eq!(owner(), before);
    assert!(!b.rootfs().join("dev/null").exists(), "a node was left in the image");
}

fn unmapped_ids_in_options_are_refused() {
    let mut b = Bundle::rootless(&["true"]);
    b.config["mounts"][2]["options"].as_array_mut().expect("options").push(json!("gid=5"));
    b.run().fails_with("invalid mount \"/dev/pts\": cannot specify gid=5 mount option for rootless container: 5 is not mapped");
    b.assert_no_trace();
}

fn a_limit_is_never_dropped() {
    let mut b = Bundle::rootless(&["true"]);
    b.config["linux"]["resources"] = json!({"pids": {"limit": 50}});
    let done = b.run();
    done.fails_with("cannot set linux.resources.pids.limit");
    done.fails_with("delegated");
    b.assert_no_trace();
}

fn a_cgroup_that_was_asked_for_is_never_left_out() {
    let mut b = Bundle::rootless(&["true"]);
    b.config["linux"]["cgroupsPath"] = json!(format!("/{}", b.id));
    let done = b.run();
    done.fails_with("unable to apply cgroup configuration: mkdir /sys/fs/cgroup");
    done.fails_with("leave cgroupsPath out");
    b.config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
    b.write().rrun(["--rootless=false", "run", &b.id]).fails_with("unable to apply cgroup configuration: mkdir /sys/fs/cgroup");
    b.run().ok();
    b.assert_no_trace();
}

fn root_of_a_user_namespace_counts_as_a_user() {
    let mut b = Bundle::rootless(&["cat", "/proc/self/uid_map"]);
    // In the eyes of the one below, the user is root already.
    b.config["linux"]["uidMappings"][0]["hostID"] = json!(0);
    b.config["linux"]["gidMappings"][0]["hostID"] = json!(0);
    let mut command = b.write().user().command("unshare");
    command.args(["--user", "--map-root-user"]).arg(public_rrun()).args(["run", &b.id]).current_dir(b.path());
    let done: Done = command.stdin(Stdio::null()).output().expect("start rrun").into();
    assert_eq!(done.ok().split_whitespace().collect::<Vec<_>>(), ["0", "0", "1"]);
    assert!(b.user().runtime_dir().join("rrun").exists(), "it did not count as rootless");
}

fn limits_are_as_given() {
    let mut b = Bundle::mapped(&[]);
    b.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]);
    b.config["process"]["oomScoreAdj"] = json!(321);
    b.config["process"]["user"] = json!({"uid": 7, "gid": 7});
    let seen = b.witness();
    assert_eq!((&seen["oom_score_adj"], &seen["rlimits"]["RLIMIT_NOFILE"]), (&json!(321), &json!({"soft": 50, "hard": 60})));
    b.config["process"]["args"] = json!(["sleep", "1000"]);
    b.run_detached();
    let seen: Value = serde_json::from_str(&b.rrun(["exec", &b.id, "/bin/witness"]).ok()).expect("JSON");
    assert_eq!((&seen["oom_score_adj"], &seen["uid"]), (&json!(321), &json!(7)));
    b.rrun(["delete", "--force", &b.id]).ok();
    b.config["process"]["rlimits"][0]["hard"] = json!(1_u64 << 40);
    b.run().fails_with("error setting rlimit RLIMIT_NOFILE");
    b.assert_no_trace();
}

/// As root of the user namespace, whoever the container's process became.
fn all_capabilities() -> Value {
    let all = json!(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID"]);
    json!({"bounding": all, "effective": all, "permitted": all})
}

fn layers_are_stacked_and_taken_away() {
    let b = Bundle::rootless(&[
        "sh",
        "-c",
        "rm -r /etc && mkdir /etc && echo new > /etc/x && mkdir -m 0 /closed && cat /etc/x && ls /etc",
    ]);
    assert_eq!(b.run_with(&["--overlay"]).ok(), "new\nx\n");
    assert!(b.rootfs().join("etc/passwd").exists(), "the layer below was changed");
    b.assert_no_trace();
    let done = b.run_with(&["--overlay", "--overlay-size", "8M"]);
    // What overlayfs cannot mark it must not pretend to: a tmpfs has attributes of users since Linux 6.6.
    match kernel_before(6, 6) {
        true => done.fails_with("without privilege a size needs Linux 6.6"),
        false => assert_eq!(done.ok(), "new\nx\n"),
    }
    b.assert_no_trace();
}

fn layers_with_files_of_other_ids_are_taken_away() {
    let mut b = Bundle::mapped(&[
        "sh",
        "-c",
        "mkdir -p /a/b && touch /a/b/c && chown -R 5:6 /a && chmod -R 700 /a && stat -c %u:%g /a/b/c",
    ]);
    b.config["process"]["capabilities"] = all_capabilities();
    assert_eq!(b.run_with(&["--overlay"]).ok(), "5:6\n");
    b.assert_no_trace();
    // After a start that failed, and by force.
    b.config["hooks"] = json!({"createContainer": [{"path": "/bin/false"}]});
    b.run_with(&["--overlay"]).fails_with("createContainer hook #0");
    b.assert_no_trace();
    b.config.as_object_mut().expect("an object").remove("hooks");
    b.config["process"]["args"] =
        json!(["sh", "-c", "mkdir -p /a/b && chown -R 5:6 /a && chmod 700 /a && mkfifo /ready && exec sleep 1000"]);
    let mut command = b.write().command(["run", "--overlay", "--detach", &b.id]);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
    let upper = b.root().join(&b.id).join("layer/upper");
    wait_until("the container made its files", || upper.join("ready").exists());
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

/// A container of the user's, and another bundle of the same user that joins its namespaces of these kinds.
fn pod(first: &Bundle, kinds: &[(&str, &str)]) -> Value {
    first.run_detached();
    let pid = first.state()["pid"].as_i64().expect("pid");
    let mut config = first.config.clone();
    config.as_object_mut().expect("an object").remove("hostname");
    let joined = kinds.iter().map(|(kind, file)| json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    let own = ["mount", "pid", "cgroup"].iter().filter(|kind| !kinds.iter().any(|(joined, _)| joined == *kind));
    config["linux"]["namespaces"] = joined.chain(own.map(|kind| json!({"type": kind}))).collect();
    config["process"]["args"] = json!(["/bin/witness"]);
    config
}

const POD: [(&str, &str); 5] = [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")];

fn assert_joined(seen: &Value, pid: i64, kinds: &[(&str, &str)]) {
    for (_, file) in kinds {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{file}")).expect("namespace");
        assert_eq!(seen["namespaces"][file], json!(theirs.to_string_lossy()), "{file}");
    }
}

fn a_pod_shares_namespaces() {
    for (kinds, maps) in [(&POD[..4], true), (&POD, false)] {
        let mut b = Bundle::rootless(&["sleep", "1000"]);
        let joining = pod(&b, kinds);
        let pid = b.state()["pid"].as_i64().expect("pid");
        let first = std::mem::replace(&mut b.config, joining);
        if !maps {
            b.config["linux"].as_object_mut().expect("an object").remove("uidMappings");
            b.config["linux"].as_object_mut().expect("an object").remove("gidMappings");
        }
        let second = format!("{}-2", b.id);
        let seen: Value = serde_json::from_str(&b.write().rrun(["run", &second]).ok()).expect("JSON");
        assert_joined(&seen, pid, kinds);
        assert_eq!((&seen["uid"], &seen["hostname"]), (&json!(0), &first["hostname"]));
        // And who enters the second is in all of them, too.
        b.config["process"]["args"] = json!(["sleep", "1000"]);
        let mut command = b.write().command(["run", "--detach", &second]);
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
        let seen: Value = serde_json::from_str(&b.rrun(["exec", &second, "/bin/witness"]).ok()).expect("JSON");
        assert_joined(&seen, pid, kinds);
        b.rrun(["delete", "--force", &second]).ok();
    }
}

fn root_joins_what_a_user_made() {
    let user = Bundle::rootless(&["sleep", "1000"]);
    let joining = pod(&user, &POD);
    let mut root = Bundle::new(&[]);
    root.config = joining;
    for maps in ["uidMappings", "gidMappings"] {
        root.config["linux"].as_object_mut().expect("an object").remove(maps);
    }
    root.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]);
    let seen = root.witness();
    assert_joined(&seen, user.state()["pid"].as_i64().expect("pid"), &POD);
    assert_eq!((&seen["uid"], &seen["uid_map"]), (&json!(0), &json!([[0, user.user().id, 1]])));
}
