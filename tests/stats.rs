//! What a container uses: numbers that the groups confirm, dashes where nothing is known, and Docker's object.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    one_line_for_each_that_runs,
    numbers_are_those_of_the_groups if needs_groups,
    what_is_not_known_is_a_dash,
    memory_is_where_it_was_put if needs_groups,
    switches_are_counted,
    throttling_is_a_share_of_periods if needs_groups,
    following_ends_with_the_container,
    dockers_object_has_its_keys if needs_groups,
    wrong_command_lines_are_explained,
];

fn document(b: &Bundle, args: &[&str]) -> Value {
    let all: Vec<&str> = ["stats"].iter().chain(args).copied().chain([b.id.as_str()]).collect();
    let text = b.rrun(all).ok();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}

/// The cells of the one row.
fn row(b: &Bundle, args: &[&str]) -> Vec<String> {
    let text = b.rrun(["stats"].iter().chain(args).copied()).ok();
    let row = text.lines().nth(1).unwrap_or_else(|| panic!("no row: {text}"));
    row.split("  ").filter(|cell| !cell.trim().is_empty()).map(|cell| cell.trim().to_owned()).collect()
}

fn one_line_for_each_that_runs() {
    let b = Bundle::new(&["sleep", "100"]);
    let nothing = b.rrun(["stats"]).ok();
    assert_eq!(nothing.lines().count(), 1, "{nothing}");
    assert!(
        nothing.starts_with("ID ") && nothing.contains("MEM / LIMIT") && nothing.contains("PRESSURE cpu/mem/io"),
        "{nothing}"
    );
    assert_eq!(b.rrun(["stats", "--json"]).ok(), "[]\n");
    b.run_detached();
    let cells = row(&b, &[]);
    assert_eq!((cells[0].as_str(), cells.len()), (b.id.as_str(), 9), "{cells:?}");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    assert_eq!(b.rrun(["stats"]).ok().lines().count(), 1);
    b.rrun(["stats", &b.id]).fails_with("container not running");
    b.rrun(["stats", "no-such"]).fails_with("container does not exist");
}

fn numbers_are_those_of_the_groups() {
    let mut b = Bundle::new(&["sh", "-c", "sleep 100 & while :; do :; done"]);
    b.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    b.config["linux"]["resources"]["pids"] = json!({"limit": 10});
    b.run_detached();
    let stats = document(&b, &["--json"]);
    assert_eq!(
        (&stats["id"], &stats["memory"]["limit"], &stats["pids"]),
        (&json!(b.id), &json!(64 << 20), &json!({"current": 2, "limit": 10}))
    );
    assert_eq!((&stats["memory"]["oomKills"], &stats["sched"]["threads"]), (&json!(0), &json!(2)));
    assert!(stats["cpu"]["percent"].as_f64().is_some_and(|p| p > 0.0) && stats["memory"]["usage"].as_u64() > Some(0), "{stats}");
    let cells = row(&b, &[]);
    assert!(cells[3].contains(" / 64M ") && cells[6] == "2/10", "{cells:?}");
}

fn what_is_not_known_is_a_dash() {
    let b = Bundle::new(&["sleep", "100"]);
    b.write();
    let log = b.scratch("log");
    let mut command = b.command(["--log", log.to_str().expect("UTF-8"), "--cgroup-manager", "disabled", "run", "-d", &b.id]);
    let status = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().expect("run");
    if !status.success() {
        // Limits cannot be in force without groups, and the default configuration limits devices.
        let mut bare = Bundle::new(&["sleep", "100"]);
        bare.config["linux"]["resources"] = json!({});
        bare.write();
        let mut command = bare.command(["--cgroup-manager", "disabled", "run", "-d", &bare.id]);
        assert!(command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().expect("run").success());
        return unknown(&bare);
    }
    unknown(&b);
}

#[track_caller]
fn unknown(b: &Bundle) {
    let cells = row(b, &[]);
    let expected = [b.id.as_str(), "-", "-", "- / -", "-", "-", "-/-"];
    assert_eq!(cells[..7], expected, "{cells:?}");
    let stats = document(b, &["--json"]);
    assert_eq!(
        (&stats["cpu"]["percent"], &stats["memory"]["usage"], &stats["pids"]["current"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

fn memory_is_where_it_was_put() {
    let b = Bundle::new(&["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=8 2>/dev/null; touch /done; sleep 100"]);
    b.run_detached();
    wait_until("the file is written", || b.rootfs().join("done").exists());
    let memory = &document(&b, &["--json"])["memory"];
    let tmpfs = memory["breakdown"]["tmpfs"].as_u64().expect("a number");
    assert!((8 << 20..12 << 20).contains(&tmpfs), "{memory}");
    assert!(memory["breakdown"]["anon"].as_u64() > Some(0) && memory["usage"].as_u64() >= Some(tmpfs), "{memory}");
    let text = b.rrun(["stats", "--memory-breakdown", &b.id]).ok();
    assert!(text.starts_with("ID ") && text.contains(" tmpfs ") && text.contains("charged to who touched it first"), "{text}");
    assert!(text.lines().nth(1).is_some_and(|row| row.contains(" 8M ") || row.contains(" 8.")), "{text}");
}

fn switches_are_counted() {
    let b = Bundle::new(&["sh", "-c", "while :; do sleep 0.01; done"]);
    b.run_detached();
    let sched = document(&b, &["--json"])["sched"].clone();
    assert!(sched["voluntary"].as_u64() > Some(0) && sched["involuntary"].is_u64(), "{sched}");
    let text = b.rrun(["stats", "--sched"]).ok();
    assert!(
        text.starts_with("ID ") && text.contains(" invol ") && text.lines().nth(1).is_some_and(|r| r.starts_with(&b.id)),
        "{text}"
    );
}

fn throttling_is_a_share_of_periods() {
    let mut b = Bundle::new(&["sh", "-c", "while :; do :; done"]);
    b.config["linux"]["resources"]["cpu"] = json!({"quota": 2000, "period": 20000});
    b.run_detached();
    let cpu = document(&b, &["--json", "--interval", "1s"])["cpu"].clone();
    assert!(cpu["throttledPeriods"].as_u64() > Some(0) && cpu["throttledPercent"].as_f64() > Some(0.0), "{cpu}");
    assert!(cpu["percent"].as_f64().is_some_and(|p| p < 60.0), "{cpu}");
    assert!(row(&b, &[])[2].ends_with('%'));
}

fn following_ends_with_the_container() {
    let b = Bundle::new(&["sleep", "1"]);
    b.run_detached();
    let text = b.rrun(["stats", "--follow", "--interval", "100ms", "--json", &b.id]).ok();
    assert!(text.lines().count() >= 2, "{text}");
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|v| v["id"] == b.id.as_str())), "{text}");
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn dockers_object_has_its_keys() {
    let mut b = Bundle::new(&["sh", "-c", "while :; do :; done"]);
    b.config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    b.run_detached();
    let object = document(&b, &["--format", "docker"]);
    let expected =
        ["blkio_stats", "cpu_stats", "id", "memory_stats", "name", "networks", "pids_stats", "precpu_stats", "preread", "read"];
    assert_eq!(keys(&object), expected);
    for cpu in [&object["cpu_stats"], &object["precpu_stats"]] {
        assert_eq!(keys(cpu), ["cpu_usage", "online_cpus", "system_cpu_usage", "throttling_data"]);
        assert_eq!(keys(&cpu["cpu_usage"]), ["total_usage", "usage_in_kernelmode", "usage_in_usermode"]);
        assert_eq!(keys(&cpu["throttling_data"]), ["periods", "throttled_periods", "throttled_time"]);
    }
    assert_eq!(keys(&object["pids_stats"]), ["current", "limit"]);
    let v1 = object["memory_stats"].get("max_usage").is_some();
    let memory = if v1 { vec!["failcnt", "limit", "max_usage", "stats", "usage"] } else { vec!["limit", "stats", "usage"] };
    assert_eq!((keys(&object["memory_stats"]), &object["memory_stats"]["limit"]), (memory, &json!(64 << 20)));
    assert!(keys(&object["blkio_stats"]).contains(&"io_service_bytes_recursive"));
    // The share that Docker's own tools compute from it.
    let of = |cpu: &str, path: &str| object.pointer(&format!("/{cpu}/{path}")).and_then(Value::as_u64).expect("a number");
    assert!(of("cpu_stats", "cpu_usage/total_usage") > of("precpu_stats", "cpu_usage/total_usage"), "{object}");
    assert!(of("cpu_stats", "system_cpu_usage") > of("precpu_stats", "system_cpu_usage"), "{object}");
    let all: Value = serde_json::from_str(&b.rrun(["stats", "--format", "docker"]).ok()).expect("JSON");
    assert_eq!(keys(&all), [b.id.as_str()], "as a task's statistics: by id");
}

fn wrong_command_lines_are_explained() {
    let b = Bundle::new(&["true"]);
    for (args, text) in [
        (["stats", "--json", "--sched"], "only one form can be printed"),
        (["stats", "--interval", "0s"], "--interval must be greater than 0"),
        (["stats", "x", "y"], "requires"),
    ] {
        let done = b.rrun(args);
        assert!(done.code != 0 && done.err.contains(text), "{args:?}: {}", done.err);
    }
}
