//! The picture of namespaces: both pids, who shares what with whom, and the parts of it in full.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    a_container_has_both_pids_and_its_own_namespaces,
    shared_is_a_word,
    a_namespace_of_another_container_is_named if needs_root,
    a_container_joins_the_network_of_another if needs_root,
    a_bundle_that_means_another_network_is_refused,
    users_are_mapped if needs_root,
    mounts_are_found_on_the_host,
    the_network_is_that_of_its_namespace,
    only_pid_and_user_nest,
    between_two_containers,
    the_whole_machine_is_shown if needs_root,
    the_end_of_a_container_is_no_error,
    names_cannot_play_tricks,
    wrong_command_lines_are_explained,
];

/// As a locale without UTF-8 has it.
fn text(b: &Bundle, args: &[&str]) -> String {
    let mut command = b.command(["tree"].iter().chain(args).copied());
    Done::from(command.env("LC_ALL", "C").output().expect("start rrun")).ok()
}

fn document(b: &Bundle, args: &[&str]) -> Value {
    let all = [args, &["--json"]].concat();
    let out = text(b, &all);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("not JSON ({e}): {out}"))
}

fn namespace(pid: &Value, kind: &str) -> u64 {
    let pid = pid.to_string();
    let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", pid.trim_matches('"'))).expect("a namespace");
    let text = link.to_string_lossy().into_owned();
    text.split_once(":[").and_then(|(_, id)| id.trim_end_matches(']').parse().ok()).expect("a number")
}

fn a_container_has_both_pids_and_its_own_namespaces() {
    let b = Bundle::new(&["sh", "-c", "sleep 100 & sleep 101 & wait"]);
    b.run_detached();
    let pid = b.state()["pid"].clone();
    wait_until("both children run", || document(&b, &[])["containers"][0]["processes"].as_array().is_some_and(|p| p.len() == 3));
    let all = document(&b, &[&b.id]);
    let container = &all["containers"][0];
    assert_eq!((&container["id"], &container["status"], &container["pid"]), (&json!(b.id), &json!("running"), &pid));
    let explained: Value = serde_json::from_str(&b.rrun(["explain", &b.id, "--json"]).ok()).expect("JSON");
    assert_eq!(container["exposure"], json!({"score": explained["score"], "level": explained["level"]}));
    let exposure = format!("exposure {} {}", explained["score"], explained["level"].as_str().expect("a level"));
    assert!(text(&b, &[]).contains(&exposure), "{exposure}");
    for kind in ["pid", "net", "mnt", "uts", "ipc"] {
        let of = &container["namespaces"][kind];
        assert_eq!((&of["id"], &of["sharedWithHost"]), (&json!(namespace(&pid, kind)), &json!(false)), "{kind}");
    }
    assert_eq!(container["namespaces"]["time"]["sharedWithHost"], true);
    let inner: Vec<i64> =
        container["processes"].as_array().expect("processes").iter().filter_map(|p| p["inner"].as_i64()).collect();
    assert_eq!(inner[0], 1, "{container}");
    assert!(container["processes"].as_array().expect("a list")[1..].iter().all(|p| p["ppid"] == pid), "{container}");
    let picture = text(&b, &[]);
    assert!(picture.starts_with("host  pid ["), "{picture}");
    assert!(picture.contains(&format!("{pid}=1 sh -+- ")) && picture.contains(" sleep\n"), "{picture}");
    assert!(picture.contains("time SHARED") && picture.contains(&format!("{}  running  ", b.id)), "{picture}");
}

fn shared_is_a_word() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let namespaces = b.config["linux"]["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|n| !["uts", "ipc"].contains(&n["type"].as_str().unwrap_or_default()));
    b.config.as_object_mut().expect("an object").remove("hostname");
    let mounts = b.config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|m| m["destination"] != "/dev/mqueue");
    b.run_detached();
    let picture = text(&b, &[]);
    assert!(picture.contains("uts SHARED") && picture.contains("ipc SHARED"), "{picture}");
    if needs_root().is_none() {
        assert!(picture.contains("user SHARED with host  uid 0 = 0"), "{picture}");
    }
}

/// A second container below the same state root, in a namespace of the first.
fn joined(b: &Bundle, kind: &str, file: &str) -> PathBuf {
    let dir = b.scratch("joined");
    std::fs::create_dir(&dir).expect("mkdir");
    let mut config = b.config.clone();
    config["root"]["path"] = json!(b.rootfs());
    let path = format!("/proc/{}/ns/{file}", b.state()["pid"]);
    for namespace in config["linux"]["namespaces"].as_array_mut().expect("a list") {
        if namespace["type"] == kind {
            namespace["path"] = json!(path);
        }
    }
    std::fs::write(dir.join("config.json"), config.to_string()).expect("write");
    dir
}

fn start(b: &Bundle, dir: &std::path::Path, id: &str) {
    let mut command = b.command(["run", "--detach", "--bundle", dir.to_str().expect("UTF-8"), id]);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("run").success());
}

fn a_namespace_of_another_container_is_named() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let other = format!("{}-z", b.id);
    start(&b, &joined(&b, "network", "net"), &other);
    let picture = text(&b, &[]);
    assert!(picture.contains(&format!(" net  same as {}  [", b.id)), "{picture}");
    let all = document(&b, &[]);
    let second = &all["containers"][1];
    assert_eq!(
        (&second["id"], &second["namespaces"]["net"]["sameAs"], &second["namespaces"]["pid"]["sameAs"]),
        (&json!(other), &json!(b.id), &Value::Null)
    );
    let walls = document(&b, &["--between", &b.id, &other]);
    let shared =
        |what: &str| walls["between"].as_array().and_then(|w| w.iter().find(|w| w["what"] == what)).map(|w| w["shared"].clone());
    assert_eq!((shared("net namespace"), shared("pid namespace")), (Some(json!(true)), Some(json!(false))), "{walls}");
    b.rrun(["delete", "--force", &other]).ok();
}

fn a_container_joins_the_network_of_another() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let other = format!("{}-z", b.id);
    let dir = joined(&b, "none", "net");
    let script = ["run", "--net-of", &b.id, "--bundle", dir.to_str().expect("UTF-8")];
    let mut command = b.command(script.into_iter().chain(["--detach", other.as_str()]));
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("run").success());
    let containers = &document(&b, &[])["containers"];
    let of = |at: usize, kind: &str| containers[at]["namespaces"][kind]["id"].clone();
    assert_eq!((&containers[1]["id"], of(0, "net")), (&json!(other), of(1, "net")));
    assert_ne!((of(0, "pid"), of(0, "mnt")), (of(1, "pid"), of(1, "mnt")));
    // One more process is in it, too.
    let link = b.rrun(["exec", &other, "readlink", "/proc/self/ns/net"]).ok();
    assert_eq!(link.trim(), format!("net:[{}]", of(0, "net")));
    b.rrun(["delete", "--force", &other]).ok();
}

fn a_bundle_that_means_another_network_is_refused() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let other = format!("{}-z", b.id);
    let refused = |b: &Bundle, of: &str, text: &str| {
        let dir = joined(b, "none", "net");
        let done = b.rrun(["run", "--net-of", of, "--bundle", dir.to_str().expect("UTF-8"), &other]);
        std::fs::remove_dir_all(dir).expect("remove");
        done.fails_with(text);
        assert!(!b.root().join(&other).exists());
    };
    refused(&b, "no-such", "container does not exist");
    let namespaces = b.config["linux"]["namespaces"].clone();
    let network = namespaces.as_array().and_then(|n| n.iter().position(|n| n["type"] == "network")).expect("network");
    b.config["linux"]["namespaces"][network]["path"] = json!("/proc/1/ns/net");
    refused(&b, &b.id, "the bundle joins another network namespace, /proc/1/ns/net");
    b.config["linux"]["namespaces"].as_array_mut().expect("a list").remove(network);
    refused(&b, &b.id, "the bundle asks for the host's network");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    b.config["linux"]["namespaces"] = namespaces;
    refused(&b, &b.id, "container not running");
}

fn users_are_mapped() {
    let mut b = Bundle::new(&["sleep", "100"]);
    map_ids(&mut b.config, 100_000, 65536);
    b.run_detached();
    let users = text(&b, &["--users", &b.id]);
    assert!(users.contains("uid  0..") && users.contains(" -> 100000.."), "{users}");
    assert!(users.contains("root inside is uid 100000 outside; host id 0 is not mapped"), "{users}");
    assert_eq!(document(&b, &[])["containers"][0]["users"]["rootIs"], 100_000);
    assert!(text(&b, &[]).contains("-> 100000.."));
}

fn mounts_are_found_on_the_host() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let data = b.scratch("data");
    std::fs::create_dir(&data).expect("mkdir");
    for (destination, option) in [("/data", "rw"), ("/safe", "ro")] {
        let mount = json!({"destination": destination, "type": "none", "source": data, "options": ["bind", option]});
        b.config["mounts"].as_array_mut().expect("a list").push(mount);
    }
    b.run_detached();
    let all = document(&b, &[]);
    let mount = |point: &str| {
        let mounts = all["containers"][0]["mounts"].as_array().expect("mounts");
        mounts.iter().find(|m| m["inside"] == point).unwrap_or_else(|| panic!("no {point}: {all}")).clone()
    };
    assert_eq!((&mount("/data")["host"], &mount("/data")["risk"]), (&json!(data), &json!("writes reach the host")));
    assert_eq!((&mount("/safe")["risk"], &mount("/proc")["type"]), (&Value::Null, &json!("proc")));
    let table = text(&b, &["--mounts", &b.id]);
    assert!(table.contains("INSIDE") && table.contains(&format!("{}", data.display())), "{table}");
}

fn the_network_is_that_of_its_namespace() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let network = text(&b, &["--net", &b.id]);
    assert!(network.contains("of its own") && network.contains("INTERFACE"), "{network}");
    let all = document(&b, &[]);
    let names: Vec<&str> = all["containers"][0]["network"]["interfaces"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|i| i["name"].as_str())
        .collect();
    assert!(names.contains(&"lo"), "{all}");
    assert!(text(&b, &[]).contains(&format!("]  {}\n", names.join(" "))));
}

fn only_pid_and_user_nest() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let pid = b.state()["pid"].clone();
    let nested = document(&b, &["--nested"]);
    let line: Vec<u64> = nested[0]["pid"].as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert_eq!(line[..2], [namespace(&pid, "pid"), namespace(&json!("self"), "pid")], "{nested}");
    if needs_root().is_none() {
        assert_eq!(nested[0]["owners"]["net"], namespace(&json!("self"), "user"), "{nested}");
    }
    let told = text(&b, &["--nested"]);
    assert!(told.contains("pid namespaces nest:\nhost [") && told.contains("the other six are flat"), "{told}");
}

fn between_two_containers() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let other = format!("{}-z", b.id);
    start(&b, &joined(&b, "none", "net"), &other);
    let table = text(&b, &["--between", &b.id, &other]);
    let word = |what: &str| {
        let line = table.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("no {what}: {table}"));
        line[what.len()..].split_whitespace().next().expect("a word").to_owned()
    };
    for kind in ["pid", "net", "mnt", "uts", "ipc"] {
        assert_eq!(word(&format!("{kind} namespace")), "private");
    }
    assert_eq!((word("time namespace"), word("kernel")), ("SHARED".into(), "SHARED".into()));
    // Both stand on one directory, which is no layer.
    assert_eq!((word("mounts"), word("layers")), ("SHARED".into(), "private".into()), "{table}");
    let nested = text(&b, &["--nested"]);
    let lines = |begin: &str| nested.lines().filter(|line| line.starts_with(begin)).count();
    assert_eq!((lines("|- "), lines("`- ")), (3, 3), "one of two is the last: {nested}");
    b.rrun(["kill", &other, "KILL"]).ok();
    wait_until("it has ended", || b.rrun(["tree", "--between", &b.id, &other]).code == 1);
    b.rrun(["tree", "--between", &b.id, &other]).fails_with("container not running");
    b.rrun(["delete", "--force", &other]).ok();
}

/// A process in namespaces of its own that no runtime knows of.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn the_whole_machine_is_shown() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let stranger = Stranger(Command::new("unshare").args(["--uts", "sleep", "100"]).spawn().expect("start unshare"));
    let pid = json!(stranger.0.id());
    wait_until("it is in its namespace", || namespace(&pid, "uts") != namespace(&json!("self"), "uts"));
    let all = document(&b, &["--host"]);
    let of = |kind: &str, id: u64| {
        let found = all.as_array().expect("a list").iter().find(|n| n["kind"] == kind && n["id"] == id);
        found.unwrap_or_else(|| panic!("no {kind} {id}: {all}")).clone()
    };
    assert_eq!(of("pid", namespace(&b.state()["pid"], "pid"))["of"], b.id.as_str());
    assert_eq!(of("uts", namespace(&pid, "uts"))["of"], Value::Null);
    assert_eq!(of("uts", namespace(&pid, "uts"))["first"]["pid"], pid);
    assert_eq!(of("user", namespace(&json!("self"), "user"))["of"], "host");
    assert!(text(&b, &["--host"]).starts_with("KIND "));
}

fn the_end_of_a_container_is_no_error() {
    let b = Bundle::new(&["true"]);
    assert_eq!(text(&b, &[]).lines().nth(1).map(str::trim), Some("`- no containers"));
    b.run_detached();
    b.wait_for("stopped");
    assert!(text(&b, &[]).contains(&format!("{}  stopped  ", b.id)));
    b.rrun(["tree", "--users", &b.id]).fails_with("container not running");
    b.rrun(["tree", "no-such"]).fails_with("container does not exist");
}

fn names_cannot_play_tricks() {
    let b = Bundle::new(&["sh", "-c", "printf 'a\\033[2Jb' > /proc/self/comm; while :; do sleep 1; done"]);
    b.run_detached();
    wait_until("it has its name", || text(&b, &[]).contains("a\\x1b[2Jb"));
    assert!(!text(&b, &[]).contains('\x1b'));
}

fn wrong_command_lines_are_explained() {
    let b = Bundle::new(&["true"]);
    for (args, text) in [
        (vec!["tree", "--net", "--users"], "only one view can be shown"),
        (vec!["tree", "--between", "no-such"], "--between compares two containers"),
        (vec!["tree", "a", "b"], "requires"),
    ] {
        let done = b.rrun(args.iter().copied());
        assert!(done.code == 2 && done.err.contains(text), "{args:?}: {}", done.err);
    }
}
