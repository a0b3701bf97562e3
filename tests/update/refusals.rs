//! What is refused, and that it leaves everything as it was.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    a_refusal_leaves_everything_as_it_was,
    a_limit_below_what_is_used_is_refused_when_asked if lacks_v2,
    only_containers_that_live_take_limits,
    without_a_group_it_says_so,
    odd_documents_are_said_to_be_odd,
    kernel_memory_is_said_to_be_without_effect,
];

fn lacks_v2() -> Option<&'static str> {
    (!is_v2()).then_some("needs pure cgroup v2")
}

fn a_refusal_leaves_everything_as_it_was() {
    let b = sleeper(json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}));
    let unchanged = |done: Done, text: &str| {
        done.fails_with(text);
        assert_eq!((memory(&b), pids(&b).as_str()), ((64 << 20).to_string(), "50"), "{}", done.err);
    };
    // The kernel refuses the last one.
    let wide = ["--memory=80M", "--pids-limit=9", "--cpuset-cpus=0-4000"];
    unchanged(update(&b, &wide), "cannot set linux.resources.cpu.cpus: write \"0-4000\"");
    // The host has no such thing: known before anything is written.
    let lacking = if is_v2() { json!({"classID": 5}) } else { json!({"priorities": [{"name": "lo", "priority": 1}]}) };
    let all = json!({"memory": {"limit": 80 << 20}, "pids": {"limit": 9}, "network": lacking});
    let done = update_from(&b, &["-r", "-"], &all.to_string());
    if is_v2() || !read("/proc/self/mountinfo").contains("net_prio") {
        let said =
            if is_v2() { "cgroup v2 has no such limit" } else { "the cgroup controller net_prio is not mounted on this host" };
        unchanged(done, said);
    } else {
        update(&b, &["--memory=64M", "--pids-limit=50"]).ok();
    }
    let huge = json!({"memory": {"limit": 80 << 20}, "hugepageLimits": [{"pageSize": "7MB", "limit": 1}]});
    unchanged(update_from(&b, &["-r", "-"], &huge.to_string()), "linux.resources.hugepageLimits[0]");
    unchanged(update(&b, &["--memory=80M", "--memory-swap=70M"]), "memory+swap limit should be >= memory limit");
    for share in ["--l3-cache-schema=L3:0=f", "--mem-bw-schema=MB:0=50"] {
        unchanged(update(&b, &["--pids-limit=9", share]), "Intel RDT");
    }
    // A limit that is far too low would kill on v2; v1 refuses it by itself, and takes back what came before.
    if !is_v2() {
        unchanged(update(&b, &["--memory=4k"]), "cannot set linux.resources.memory.limit");
    }
}

fn a_limit_below_what_is_used_is_refused_when_asked() {
    let b = sleeper(json!({"memory": {"limit": 64 << 20, "checkBeforeUpdate": true}}));
    update(&b, &["--memory", "4k"]).fails_with("rejecting memory limit 4096 <= usage");
    assert_eq!((memory(&b), b.state()["status"].as_str()), ((64 << 20).to_string(), Some("running")));
    // A later update starts from what an earlier one said.
    update_from(&b, &["-r", "-"], &json!({"memory": {"checkBeforeUpdate": false}}).to_string()).ok();
    update(&b, &["--memory", "4k"]).ok();
    b.wait_for("stopped");
}

fn only_containers_that_live_take_limits() {
    let b = sleeper(json!({}));
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    update(&b, &["--pids-limit", "11"]).fails_with("container not running");
    b.rrun(["update", "--pids-limit", "11", "no-such"]).fails_with("container does not exist");
    b.rrun(["update", "a/b"]).fails_with("invalid container ID format");
}

fn without_a_group_it_says_so() {
    let b = Bundle::new(&["sleep", "1000"]);
    let log = b.scratch("log");
    let args = ["--cgroup-manager", "disabled", "--log", log.to_str().expect("UTF-8"), "run", "--detach", &b.id];
    let status = b.write().command(args).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun");
    assert!(status.success());
    for args in [&["--pids-limit", "5"][..], &[]] {
        update(&b, args)
            .fails_with("cannot update the container: it has no cgroup (hint: it was made with --cgroup-manager disabled)");
    }
}

fn odd_documents_are_said_to_be_odd() {
    let b = sleeper(json!({"pids": {"limit": 50}}));
    let done = update_from(&b, &["-r", "-"], "{\"pids\": {\"limit\": 20},\n \"memry\": {}}");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("stdin:2: unknown key linux.resources.memry"), "{}", done.err);
    assert_eq!(pids(&b), "20");
    for (odd, said) in [("\"memry\": {}", "unknown key"), ("\"memory\": {\"kernel\": 5}", "memory.kernel is ignored")] {
        let strict = ["--strict", "update", "-r", "-", b.id.as_str()];
        let mut child = b.command(strict).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start rrun");
        let text = format!("{{\"pids\": {{\"limit\": 30}}, {odd}}}");
        child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("write");
        Done::from(child.wait_with_output().expect("wait")).fails_with(said);
        assert_eq!(pids(&b), "20");
    }
    for (text, said) in [
        ("{\"pids\": ", "stdin:1:"),
        ("", "stdin:1:"),
        ("[]", "linux.resources"),
        ("{\"pids\": {\"limit\": \"5\"}}", "linux.resources.pids.limit: expected a number"),
        ("{\"pids\": {\"limit\": 99999999999999999999}}", "linux.resources.pids.limit"),
    ] {
        update_from(&b, &["-r", "-"], text).fails_with(said);
    }
    update(&b, &["-r", "/no/such/file"]).fails_with("open /no/such/file: no such file or directory");
    update(&b, &["-r", "x", "--memory", "1M"]).fails_with("--resources and flags for single limits exclude each other");
    assert_eq!(pids(&b), "20");
}

fn kernel_memory_is_said_to_be_without_effect() {
    let b = sleeper(json!({}));
    for flag in ["--kernel-memory", "--kernel-memory-tcp"] {
        let done = b.rrun(["--debug", "update", flag, "5M", &b.id]);
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.err.contains("have no effect"), "{}", done.err);
        assert_eq!(update(&b, &[flag, "5M"]).err, "");
    }
    let done = update_from(&b, &["-r", "-"], &json!({"memory": {"kernel": 5 << 20}}).to_string());
    assert!(done.code == 0 && done.err.contains("linux.resources.memory.kernel is ignored"), "{done:?}");
}
