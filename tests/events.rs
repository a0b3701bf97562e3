//! `events`: what is printed is what the kernel counts, and it ends when it has to.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::cgroups::{has_cpuset, is_v2, limited};
use crate::support::*;

crate::tests![
    all if needs_groups;
    one_record_has_all_the_numbers,
    created_and_paused_containers_have_numbers_too,
    the_stream_ends_with_the_container,
    out_of_memory_is_told,
    the_end_by_out_of_memory_is_told_before_the_end,
    a_reader_that_leaves_ends_it,
    intervals_are_those_of_go,
    only_containers_that_live_have_events,
    without_a_group_it_says_so,
];

/// The data of `events --stats`.
pub fn stats(b: &Bundle) -> Value {
    let done = b.rrun(["events", "--stats", &b.id]);
    assert_eq!(done.err, "");
    let out = done.ok();
    assert_eq!(out.lines().count(), 1, "{out}");
    let record: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&record["type"], &record["id"]), (&json!("stats"), &json!(b.id)));
    record["data"].clone()
}

/// `events ARGS ID`, and its stdout line by line.
fn stream(b: &Bundle, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut command = b.command(["events"].iter().chain(args).copied().chain([b.id.as_str()]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start rrun");
    let out = BufReader::new(child.stdout.take().expect("stdout"));
    (child, out)
}

fn next(out: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    out.read_line(&mut line).expect("read");
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
}

#[track_caller]
fn ends_well(mut child: Child, mut out: BufReader<ChildStdout>) -> String {
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("read");
    let mut err = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut err).expect("read");
    assert_eq!((child.wait().expect("wait").code(), err.as_str()), (Some(0), ""));
    rest
}

fn one_record_has_all_the_numbers() {
    let cpus = if has_cpuset() { "0" } else { "" };
    let resources =
        json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}, "cpu": {"quota": 20000, "period": 100_000, "cpus": cpus}});
    let b = limited(&["sh", "-c", "sleep 100 & sleep 100 & wait"], resources);
    b.run_detached();
    wait_until("three processes", || stats(&b)["pids"]["current"] == 3);
    let data = stats(&b);
    assert_eq!(data["pids"], json!({"current": 3, "limit": 20}));
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    let positive = |path: &str| assert!(data.pointer(path).and_then(Value::as_u64).is_some_and(|n| n > 0), "{path}: {data}");
    positive("/memory/usage/usage");
    positive("/memory/raw/pgfault");
    positive("/cpu/usage/total");
    if has_cpuset() {
        assert_eq!(data["cpuset"]["cpus"], json!([0]));
    }
    for key in ["cache", "usage", "swap", "kernel", "kernelTCP", "raw"] {
        assert!(!data["memory"][key].is_null(), "{key}");
    }
    for key in ["periods", "throttledPeriods", "throttledTime"] {
        assert!(data["cpu"]["throttling"][key].is_u64(), "{key}");
    }
    for key in ["ServiceBytes", "Serviced", "Queue", "ServiceTime", "WaitTime", "Merged", "Time"] {
        assert!(data["blkio"][format!("io{key}Recursive")].is_array(), "{key}");
    }
    assert!(data["blkio"]["sectorsRecursive"].is_array() && data["hugetlb"].is_object());
    // A kernel may give every namespace a tunnel; the loopback is no interface worth counting.
    let names: Vec<&str> =
        data["network_interfaces"].as_array().into_iter().flatten().filter_map(|i| i["Name"].as_str()).collect();
    assert!(names.iter().all(|name| *name == "sit0"), "{names:?}");
    assert!(!names.is_empty() || data["network_interfaces"].is_null());
    let pressure = is_v2() && std::path::Path::new("/proc/pressure/cpu").exists();
    for part in ["cpu", "memory", "blkio"] {
        assert_eq!(data[part]["psi"]["some"]["avg10"].is_number(), pressure, "{part}: {}", data[part]);
    }
    if !is_v2() {
        assert!(data["cpu"]["usage"]["percpu"].as_array().is_some_and(|p| !p.is_empty()));
        positive("/memory/kernel/limit");
    }
}

fn created_and_paused_containers_have_numbers_too() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    assert_eq!(stats(&b)["pids"]["current"], 1);
    b.rrun(["start", &b.id]).ok();
    b.rrun(["pause", &b.id]).ok();
    assert_eq!(stats(&b)["pids"]["current"], 1);
    let (child, mut out) = stream(&b, &["--interval", "10ms"]);
    assert_eq!(next(&mut out)["data"]["pids"]["current"], 1);
    b.rrun(["delete", "--force", &b.id]).ok();
    ends_well(child, out);
}

fn the_stream_ends_with_the_container() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let (child, mut out) = stream(&b, &["--interval=20ms"]);
    for _ in 0..3 {
        assert_eq!(next(&mut out)["type"], "stats");
    }
    let (quiet, nothing) = stream(&b, &["--interval=1000000h"]);
    // What it watches for out-of-memory events is the last that it opens.
    wait_until("it watches", || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", quiet.id())).into_iter().flatten().flatten();
        let names: Vec<String> =
            open.filter_map(|e| Some(std::fs::read_link(e.path()).ok()?.to_string_lossy().into_owned())).collect();
        names.iter().any(|n| n.contains("eventfd") || n.ends_with("memory.events"))
    });
    b.rrun(["kill", &b.id, "KILL"]).ok();
    for line in ends_well(child, out).lines() {
        assert_eq!(serde_json::from_str::<Value>(line).expect("JSON")["type"], "stats");
    }
    assert_eq!(ends_well(quiet, nothing), "");
}

fn out_of_memory_is_told() {
    let b = limited(&["sleep", "100"], json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}}));
    b.run_detached();
    let fill = ["exec", &b.id, "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];
    // One before anybody watches.
    assert_eq!(b.rrun(fill).code, 137);
    let (child, mut out) = stream(&b, &["--interval", "10ms"]);
    assert_eq!(next(&mut out)["type"], "stats", "it watches now, and old events are not news");
    assert_eq!(b.rrun(fill).code, 137);
    let told = std::iter::repeat_with(|| next(&mut out)).find(|record| record["type"] != "stats");
    assert_eq!(told, Some(json!({"type": "oom", "id": b.id})));
    b.rrun(["kill", &b.id, "KILL"]).ok();
    ends_well(child, out);
}

fn the_end_by_out_of_memory_is_told_before_the_end() {
    let fill = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];
    let b = limited(&fill, json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}}));
    b.create();
    let (child, mut out) = stream(&b, &["--interval", "10ms"]);
    next(&mut out);
    b.rrun(["start", &b.id]).ok();
    let rest = ends_well(child, out);
    assert_eq!(rest.lines().filter(|l| l.contains("\"oom\"")).count(), 1, "{rest}");
}

fn a_reader_that_leaves_ends_it() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    for args in [&["--interval", "1000h"][..], &["--interval", "5ms"], &["--stats"]] {
        let (mut child, out) = stream(&b, args);
        drop(out);
        let mut err = String::new();
        child.stderr.take().expect("stderr").read_to_string(&mut err).expect("read");
        assert_eq!((child.wait().expect("wait").code(), err.as_str()), (Some(0), ""), "{args:?}");
    }
    assert_eq!(b.state()["status"], "running");
}

fn intervals_are_those_of_go() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    for (text, said) in [
        ("0s", "duration interval must be greater than 0"),
        ("0", "duration interval must be greater than 0"),
        ("-1s", "invalid value \"-1s\" for --interval"),
        ("5", "invalid value \"5\" for --interval (hint: write it with its unit: 5s, 500ms, 1m30s)"),
    ] {
        b.rrun(["events", "--interval", text, &b.id]).fails_with(said);
    }
    for text in ["0.01s", "10ms", "10000us", "1ns"] {
        let (mut child, mut out) = stream(&b, &["--interval", text]);
        assert_eq!(next(&mut out)["type"], "stats", "{text}");
        child.kill().expect("kill");
        child.wait().expect("reap");
    }
}

fn only_containers_that_live_have_events() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    for args in [&["events", b.id.as_str()][..], &["events", "--stats", b.id.as_str()]] {
        b.rrun(args.iter().copied()).fails_with("container not running");
    }
    b.rrun(["events", "no-such"]).fails_with("container does not exist");
}

fn without_a_group_it_says_so() {
    let b = Bundle::new(&["sleep", "100"]);
    let log = b.scratch("log");
    let args = ["--cgroup-manager", "disabled", "--log", log.to_str().expect("UTF-8"), "run", "--detach", &b.id];
    let status = b.write().command(args).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun");
    assert!(status.success());
    b.rrun(["events", "--stats", &b.id]).fails_with("the container has no cgroup, and so no statistics");
}
