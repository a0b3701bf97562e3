//! Running containers, ours and others', are judged by what the kernel says.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{document, failing};
use crate::cgroups::{group, is_v2};
use crate::support::*;

crate::tests![
    what_runs_is_judged_as_it_is,
    a_limit_that_was_taken_away_is_drift if needs_groups,
    what_an_exec_cannot_change_is_no_drift if needs_groups,
    a_container_that_waits_is_judged_by_its_config,
    a_joined_namespace_names_its_owner if needs_root,
    mounts_are_followed_to_the_host if needs_root,
    any_process_can_be_judged if needs_root,
    a_container_of_another_runtime_is_judged if lacks_runc,
];

/// A container that waits.
fn sleeping() -> Bundle {
    Bundle::new(&["sleep", "1000"])
}

fn check<'a>(document: &'a Value, id: &str) -> Option<&'a Value> {
    document["findings"].as_array().expect("a list").iter().find(|f| f["id"] == id)
}

fn what_runs_is_judged_as_it_is() {
    let b = sleeping();
    b.run_detached();
    let running = document(&b, &[&b.id.clone()]);
    assert_eq!(running["subject"]["status"], "running");
    assert_eq!(running["namespaces"]["pid"]["sharing"], "own");
    // Debian's user-mode Linux has none.
    let time = if std::path::Path::new("/proc/self/ns/time").exists() { "host" } else { "unknown" };
    assert_eq!(running["namespaces"]["time"]["sharing"], time);
    let pid = b.state()["pid"].as_i64().expect("a pid");
    let processes = running["processes"].as_array().expect("a list");
    assert!(processes.iter().any(|p| p["pid"] == pid && p["containerPid"] == 1), "{processes:?}");
    let text = b.rrun(["explain", &b.id]).ok();
    assert!(text.lines().next().is_some_and(|l| l.starts_with(&b.id) && l.contains("running")), "{text}");
}

fn a_limit_that_was_taken_away_is_drift() {
    let mut b = sleeping();
    b.config["linux"]["resources"]["pids"] = json!({"limit": 64});
    b.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    b.run_detached();
    let id = b.id.clone();
    assert_eq!(document(&b, &[&id])["drift"], json!([]));
    let max = if is_v2() { ("memory.max", "max") } else { ("memory.limit_in_bytes", "-1") };
    let memory = group(&b, if is_v2() { "" } else { "memory" });
    std::fs::write(memory.join(max.0), max.1).expect("take it away");
    std::fs::write(group(&b, if is_v2() { "" } else { "pids" }).join("pids.max"), "128").expect("widen it");
    let drift = document(&b, &[&id])["drift"].clone();
    let texts: Vec<&str> = drift.as_array().expect("a list").iter().filter_map(|d| d["text"].as_str()).collect();
    assert!(texts.iter().any(|t| t.starts_with("config says memory 64 MiB") && t.ends_with("the cgroup has max")), "{texts:?}");
    assert!(texts.contains(&"config says pids 64, the cgroup has 128"), "{texts:?}");
    assert!(drift.as_array().expect("a list").iter().all(|d| d["weaker"] == true));
    assert!(b.rrun(["explain", &id]).ok().contains("Drift from config.json"));
    assert!(failing(&document(&b, &[&id])).contains(&"MEM"), "what is counts, not what was asked for");
}

/// A config with a bit of everything: what it asks for is what the kernel says.
fn what_an_exec_cannot_change_is_no_drift() {
    let mut b = sleeping();
    b.config["root"]["readonly"] = json!(true);
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    b.config["linux"]["resources"]["cpu"] = json!({"quota": 50000, "period": 100_000});
    b.config["linux"]["seccomp"] =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]});
    b.run_detached();
    let id = b.id.clone();
    b.rrun(["exec", &id, "true"]).ok();
    let document = document(&b, &[&id]);
    assert_eq!(document["drift"], json!([]));
    assert_eq!(check(&document, "SECCOMP").map(|f| &f["badness"]), Some(&json!(0.8)), "the kind of the filter is the config's");
}

fn a_container_that_waits_is_judged_by_its_config() {
    let b = sleeping();
    b.create();
    let document = document(&b, &[&b.id.clone()]);
    assert_eq!((&document["subject"]["status"], &document["drift"]), (&json!("created"), &json!([])));
    assert!(!failing(&document).contains(&"NNP"), "rrun itself, which waits in there, is not what is judged");
}

fn a_joined_namespace_names_its_owner() {
    let first = sleeping();
    first.run_detached();
    let mut second = sleeping();
    let pid = first.state()["pid"].clone();
    let join = |path: String| json!({"type": "network", "path": path});
    let set = |b: &mut Bundle, entry: Value| {
        let list = b.config["linux"]["namespaces"].as_array_mut().expect("a list");
        list.retain(|n| n["type"] != "network");
        list.push(entry);
    };
    set(&mut second, join(format!("/proc/{pid}/ns/net")));
    second.write();
    // Names are those of one state root.
    let of = |second: &Bundle| {
        let path = second.path();
        let done = first.rrun(["explain", "--json", path.to_str().expect("UTF-8")]);
        serde_json::from_str::<Value>(&done.ok()).expect("JSON")
    };
    let document = of(&second);
    assert_eq!(document["namespaces"]["net"]["sharing"], format!("container {}", first.id));
    assert!(!failing(&document).contains(&"NS-NET"));
    set(&mut second, join("/proc/self/ns/net".to_owned()));
    second.write();
    assert!(failing(&of(&second)).contains(&"NS-NET"), "the host's by another name");
}

fn mounts_are_followed_to_the_host() {
    let mut b = sleeping();
    let etc = json!({"destination": "/host", "source": "/etc", "type": "bind", "options": ["rbind", "rprivate"]});
    b.config["mounts"].as_array_mut().expect("a list").push(etc);
    b.run_detached();
    let id = b.id.clone();
    let seen = document(&b, &[&id]);
    let host = seen["mounts"].as_array().expect("a list").iter().find(|m| m["destination"] == "/host").expect("seen").clone();
    assert_eq!((&host["source"], &host["readOnly"], &host["sensitive"]), (&json!("/etc"), &json!(false), &json!(true)));
    assert_eq!(check(&seen, "MNT-HOST").map(|f| &f["floor"]), Some(&json!(9.5)));
    assert_eq!(seen["drift"], json!([]));
}

/// A process that ends with the test, however that ends.
struct Running(Child);

impl Running {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("start it"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("reap");
    }
}

fn any_process_can_be_judged() {
    let b = sleeping();
    let free = Running::start("sleep", &["1000"]);
    let shut = Running::start("unshare", &["--net", "--ipc", "--uts", "sleep", "1000"]);
    let of = |process: &Running| document(&b, &["--pid", &process.pid()]);
    let host = of(&free);
    assert_eq!((host["score"].as_f64() >= Some(9.5), &host["level"]), (true, &json!("DANGEROUS")), "{host}");
    assert_eq!(host["subject"]["place"], format!("pid {}", free.pid()));
    wait_until("it has its namespaces", || of(&shut)["namespaces"]["uts"]["sharing"] == "own");
    let document = of(&shut);
    assert!(!failing(&document).contains(&"NS-NET") && failing(&document).contains(&"NS-PID"));
    let one = b.rrun(["explain", "--pid", &free.pid(), "NS-NET"]).ok();
    assert!(one.contains("the container uses the host's network"), "{one}");
    let pid = free.pid();
    drop(free);
    b.rrun(["explain", "--pid", &pid]).fails_with(&format!("process {pid} does not exist"));
}

/// Debian's runc, the runtime that engines use by default.
fn lacks_runc() -> Option<&'static str> {
    needs_groups().or_else(|| (!std::path::Path::new("/usr/sbin/runc").exists()).then_some("runc is not installed"))
}

fn a_container_of_another_runtime_is_judged() {
    let mut b = sleeping();
    b.config["linux"]["resources"]["pids"] = json!({"limit": 33});
    b.config["ociVersion"] = json!("1.0.2");
    b.write();
    let (root, pid_file) = (b.scratch("runc"), b.scratch("pid"));
    let runc = |args: &[&str]| {
        let mut command = Command::new("/usr/sbin/runc");
        command.arg("--root").arg(&root).args(args).current_dir(b.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start runc")
    };
    let pid_path = pid_file.to_str().expect("UTF-8");
    assert!(runc(&["run", "--detach", "--pid-file", pid_path, &b.id]).success());
    let pid = std::fs::read_to_string(&pid_file).expect("its pid");
    let asked = document(&b, &["."]);
    let judged = document(&b, &["--pid", pid.trim()]);
    let gone = runc(&["delete", "--force", &b.id]).success();
    assert!(gone, "runc delete");
    // What it made is what the config asks for, seen from outside.
    assert_eq!(failing(&judged), failing(&asked));
    assert_eq!(judged["score"], asked["score"]);
    assert_eq!(judged["namespaces"]["net"]["sharing"], "own");
}
