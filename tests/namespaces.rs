//! Every kind of namespace: new, joined by path, shared; names and time offsets.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::neighbour::Neighbour;
use crate::support::user::public_rrun;
use crate::support::*;

crate::tests![
    every_new_kind_is_private,
    kinds_left_out_are_shared,
    a_path_joins if needs_root,
    a_pid_namespace_can_be_joined if needs_root,
    a_path_of_another_kind_is_refused,
    a_missing_path_is_refused,
    root_of_a_user_namespace_enters_pid_namespaces if needs_root,
    the_mount_namespace_of_the_host_is_refused,
    names_are_set,
    clocks_are_offset if lacks_time_namespaces,
    clocks_may_be_set_back if lacks_time_namespaces,
    exec_reads_the_same_clocks if lacks_time_namespaces,
    clocks_are_offset_in_a_user_namespace if lacks_time_namespaces,
    wrong_offsets_are_refused if lacks_time_namespaces,
    the_cgroup_namespace_hides_the_group,
    loopback_is_up,
];

const KINDS: [(&str, &str); 7] = [
    ("cgroup", "cgroup"),
    ("ipc", "ipc"),
    ("mount", "mnt"),
    ("network", "net"),
    ("pid", "pid"),
    ("time", "time"),
    ("uts", "uts"),
];

fn lacks_time_namespaces() -> Option<&'static str> {
    (!std::path::Path::new("/proc/self/ns/time").exists()).then_some("needs a kernel with time namespaces")
}

/// The kinds of this kernel, each with the name of its file.
fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    KINDS.into_iter().filter(|(kind, _)| *kind != "time" || lacks_time_namespaces().is_none())
}

fn host_namespace(file: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{file}")).expect("own namespace").to_string_lossy().into_owned()
}

fn seen<'a>(witness: &'a Value, file: &str) -> &'a str {
    witness["namespaces"][file].as_str().unwrap_or_else(|| panic!("no {file} in {}", witness["namespaces"]))
}

fn set_namespaces(bundle: &mut Bundle, namespaces: Value) {
    bundle.config["linux"]["namespaces"] = namespaces;
    if needs_root().is_some() {
        map_own_ids(&mut bundle.config);
    }
}

fn every_new_kind_is_private() {
    let mut b = Bundle::new(&[]);
    set_namespaces(&mut b, kinds().map(|(kind, _)| json!({"type": kind})).collect());
    let witness = b.witness();
    for (kind, file) in kinds() {
        assert_ne!(seen(&witness, file), host_namespace(file), "{kind}");
    }
    assert_eq!(seen(&witness, "user") == host_namespace("user"), needs_root().is_none());
    assert_eq!(witness["pid"], 1);
}

fn kinds_left_out_are_shared() {
    let mut b = Bundle::new(&[]);
    b.config.as_object_mut().expect("object").remove("hostname");
    // A mount of mqueue or sysfs goes with the namespace that it shows.
    b.config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    set_namespaces(&mut b, json!([{"type": "mount"}]));
    share_pids(&mut b.config);
    let witness = b.witness();
    for (kind, file) in kinds().filter(|(kind, _)| *kind != "mount") {
        assert_eq!(seen(&witness, file), host_namespace(file), "{kind}");
    }
}

fn a_path_joins() {
    let neighbour = Neighbour::new(&["--net", "--ipc", "--uts"]);
    let mut b = Bundle::new(&[]);
    b.config.as_object_mut().expect("object").remove("hostname");
    let (net, ipc, uts) = (neighbour.file("net"), neighbour.file("ipc"), neighbour.file("uts"));
    set_namespaces(
        &mut b,
        json!([{"type": "pid"}, {"type": "mount"}, {"type": "network", "path": net}, {"type": "ipc", "path": ipc}, {"type": "uts", "path": uts}]),
    );
    let witness = b.witness();
    for file in ["net", "ipc", "uts"] {
        let theirs = std::fs::read_link(neighbour.file(file)).expect("the neighbour's namespace");
        assert_eq!(seen(&witness, file), theirs.to_string_lossy(), "{file}");
    }
}

fn a_pid_namespace_can_be_joined() {
    let neighbour = Neighbour::new(&["--pid"]);
    let mut b = Bundle::new(&[]);
    set_namespaces(
        &mut b,
        json!([{"type": "pid", "path": neighbour.file("pid")}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]),
    );
    let witness = b.witness();
    let theirs = std::fs::read_link(neighbour.file("pid")).expect("the neighbour's namespace");
    assert_eq!(seen(&witness, "pid"), theirs.to_string_lossy());
    assert_ne!(witness["pid"], 1);
}

fn a_path_of_another_kind_is_refused() {
    let mut b = Bundle::new(&["true"]);
    set_namespaces(
        &mut b,
        json!([{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "network", "path": "/proc/self/ns/ipc"}]),
    );
    let done = b.run();
    done.fails_with("join network namespace /proc/self/ns/ipc");
    assert!(done.err.contains("another kind"), "{}", done.err);
    b.assert_no_trace();
}

fn a_missing_path_is_refused() {
    let mut b = Bundle::new(&["true"]);
    set_namespaces(
        &mut b,
        json!([{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "network", "path": "/run/netns/rrun-absent"}]),
    );
    b.run().fails_with("/run/netns/rrun-absent");
    b.assert_no_trace();
}

fn the_mount_namespace_of_the_host_is_refused() {
    let mut b = Bundle::new(&["true"]);
    set_namespaces(
        &mut b,
        json!([{"type": "mount", "path": "/proc/self/ns/mnt"}, {"type": "pid"}, {"type": "uts"}, {"type": "network"}, {"type": "ipc"}]),
    );
    b.run().fails_with("cannot make a container in the mount namespace of rrun itself");
    b.assert_no_trace();
}

fn names_are_set() {
    let mut b = Bundle::new(&[]);
    b.config["hostname"] = json!("testbox");
    b.config["domainname"] = json!("example.test");
    let witness = b.witness();
    assert_eq!(witness["hostname"], "testbox");
    assert_eq!(witness["domainname"], "example.test");
}

fn clocks_are_offset() {
    let mut b = Bundle::new(&[]);
    b.config["linux"]["namespaces"].as_array_mut().expect("array").push(json!({"type": "time"}));
    b.config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 100_000}, "boottime": {"secs": 200_000, "nanosecs": 5}});
    let witness = b.witness();
    let uptime: f64 =
        std::fs::read_to_string("/proc/uptime").expect("uptime").split(' ').next().expect("seconds").parse().expect("number");
    let [monotonic, boottime] = ["monotonic", "boottime"].map(|c| witness["clocks"][c].as_f64().expect("seconds"));
    assert!(monotonic >= 100_000.0, "{monotonic}");
    assert!((boottime - uptime - 200_000.0).abs() < 60.0, "{boottime} inside, {uptime} outside");
}

fn offset(offsets: Value, args: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["linux"]["namespaces"].as_array_mut().expect("array").push(json!({"type": "time"}));
    b.config["linux"]["timeOffsets"] = offsets;
    b
}

fn clocks_may_be_set_back() {
    // Not below zero: the machine has run for longer.
    let mut b = offset(json!({"monotonic": {"secs": -5, "nanosecs": 250_000_000}, "boottime": {"nanosecs": 7}}), &[]);
    let witness = b.witness();
    assert_eq!(witness["timens_offsets"], json!({"monotonic": [-5, 250_000_000], "boottime": [0, 7]}));
    let offset = |file: &str| std::fs::read_to_string(file).expect("offsets");
    assert!(offset("/proc/self/timens_offsets").split_whitespace().all(|w| w.parse::<i64>().map_or(true, |n| n == 0)));
}

fn exec_reads_the_same_clocks() {
    let b = offset(json!({"monotonic": {"secs": 1_000_000}, "boottime": {"secs": 2_000_000}}), &["sleep", "100"]);
    b.run_detached();
    let seen: Value = serde_json::from_str(&b.rrun(["exec", &b.id, "witness"]).ok()).expect("JSON");
    assert_eq!(seen["timens_offsets"], json!({"monotonic": [1_000_000, 0], "boottime": [2_000_000, 0]}));
    let [monotonic, boottime] = ["monotonic", "boottime"].map(|c| seen["clocks"][c].as_i64().expect("seconds"));
    assert!(monotonic >= 1_000_000 && boottime >= 2_000_000, "{seen}");
    let of_init = std::fs::read_link(format!("/proc/{}/ns/time", b.state()["pid"])).expect("link");
    assert_eq!(seen["namespaces"]["time"], json!(of_init.to_string_lossy()));
}

fn clocks_are_offset_in_a_user_namespace() {
    let mut b = offset(json!({"boottime": {"secs": 3_000_000}}), &[]);
    map_ids(&mut b.config, 100_000, 65_536);
    let witness = b.witness();
    assert!(witness["clocks"]["boottime"].as_i64().is_some_and(|s| s >= 3_000_000), "{witness}");
}

fn wrong_offsets_are_refused() {
    let refused = |offsets: Value, text: &str| offset(offsets, &["true"]).run().fails_with(text);
    refused(json!({"realtime": {"secs": 1}}), "only monotonic and boottime can be shifted");
    refused(json!({"boottime": {"nanosecs": 1_000_000_000}}), "nanosecs is not below 1000000000");
    // A clock of the container may not start below zero.
    refused(json!({"boottime": {"secs": -4_000_000_000i64}}), "numerical result out of range");
    let mut b = offset(json!({"boottime": {"secs": 1}}), &["true"]);
    b.config["linux"]["namespaces"].as_array_mut().expect("array").retain(|n| n["type"] != "time");
    b.run().fails_with("time namespace offsets specified, but time namespace isn't enabled in the config");
}

fn the_cgroup_namespace_hides_the_group() {
    let mut b = Bundle::new(&[]);
    let witness = b.witness();
    for line in witness["cgroup"].as_array().expect("lines") {
        assert!(line.as_str().expect("text").ends_with(":/"), "{line}");
    }
}

fn loopback_is_up() {
    let out = Bundle::new(&["sh", "-c", "ip link show lo"]).run().ok();
    assert!(out.contains("LOOPBACK,UP"), "{out}");
}

fn root_of_a_user_namespace_enters_pid_namespaces() {
    // As rootless Podman calls: root of a user namespace that it made, whose containers have none of their own. rrun may join
    // their PID namespaces, but never return to the host's.
    let mut b = Bundle::rootless(&["sleep", "1000"]);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "user");
    b.config["mounts"].as_array_mut().expect("mounts").retain(|m| m["type"] != "cgroup");
    b.config["linux"].as_object_mut().expect("linux").retain(|key, _| !key.ends_with("Mappings"));
    let mut neighbour = b.config.clone();
    neighbour["process"]["args"] = json!(["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline"]);
    neighbour["linux"]["namespaces"][0]["path"] = json!("/proc/PID/ns/pid");
    std::fs::write(b.path().join("neighbour"), neighbour.to_string()).expect("write");
    let script = r#"
        "$0" run --detach "$1" < /dev/null > /dev/null 2>&1 || exit 3
        "$0" exec "$1" sh -c 'echo "among $(ls -d /proc/[0-9]* | wc -l)"'
        pid=$("$0" state "$1" | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
        sed "s#PID#$pid#" neighbour > new && mv new config.json
        "$0" run "$1-neighbour"
        "$0" delete --force "$1"
    "#;
    let mut command = b.write().user().command("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(public_rrun()).arg(&b.id).current_dir(b.path());
    let done: Done = command.stdin(Stdio::null()).output().expect("start rrun").into();
    // init, the shell and ls at least.
    assert!(done.out.starts_with("among ") && done.out.ends_with("\nsleep 1000 "), "{done:?}");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
}
