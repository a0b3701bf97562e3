//! Every kind of namespace: new, joined by path, shared; names and time offsets.

use serde_json::{Value, json};

use crate::support::neighbour::Neighbour;
use crate::support::*;

crate::tests![
    every_new_kind_is_private,
    kinds_left_out_are_shared,
    a_path_joins,
    a_pid_namespace_can_be_joined,
    a_path_of_another_kind_is_refused,
    a_missing_path_is_refused,
    the_mount_namespace_of_the_host_is_refused,
    names_are_set,
    clocks_are_offset,
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

fn host_namespace(file: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{file}")).expect("own namespace").to_string_lossy().into_owned()
}

fn seen<'a>(witness: &'a Value, file: &str) -> &'a str {
    witness["namespaces"][file].as_str().unwrap_or_else(|| panic!("no {file} in {}", witness["namespaces"]))
}

fn set_namespaces(bundle: &mut Bundle, namespaces: Value) {
    bundle.config["linux"]["namespaces"] = namespaces;
}

fn every_new_kind_is_private() {
    let mut b = Bundle::new(&[]);
    set_namespaces(&mut b, KINDS.iter().map(|(kind, _)| json!({"type": kind})).collect());
    let witness = b.witness();
    for (kind, file) in KINDS {
        assert_ne!(seen(&witness, file), host_namespace(file), "{kind}");
    }
    assert_eq!(seen(&witness, "user"), host_namespace("user"));
    assert_eq!(witness["pid"], 1);
}

fn kinds_left_out_are_shared() {
    let mut b = Bundle::new(&[]);
    b.config.as_object_mut().expect("object").remove("hostname");
    // A mount of mqueue or sysfs goes with the namespace that it shows.
    b.config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    set_namespaces(&mut b, json!([{"type": "mount"}]));
    let witness = b.witness();
    for (kind, file) in KINDS.into_iter().filter(|(kind, _)| *kind != "mount") {
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
