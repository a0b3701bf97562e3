//! `ps`: the container's processes and nobody else's, in the columns that the caller wants.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::cgroups::{group, is_v2};
use serde_json::Value;

use crate::support::*;

crate::tests![
    all if needs_groups;
    shows_only_the_container,
    processes_in_groups_below_count,
    names_cannot_pass_for_pids,
    a_stopped_container_has_none,
    without_ps_the_pids_can_still_be_had,
];

fn pids(b: &Bundle) -> Vec<i64> {
    serde_json::from_str(&b.rrun(["ps", "--format", "json", &b.id]).ok()).expect("JSON")
}

fn shows_only_the_container() {
    let b = Bundle::new(&["sh", "-c", "sleep 100 & sleep 100 & wait"]);
    b.run_detached();
    wait_until("three processes", || pids(&b).len() == 3);
    assert!(pids(&b).contains(&b.state()["pid"].as_i64().expect("pid")));
    let json: Value = serde_json::from_str(&b.rrun(["ps", "--json", &b.id]).ok()).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(3));
    let table = b.rrun(["ps", &b.id]).ok();
    assert_eq!((table.lines().count(), table.matches(" sleep 100\n").count()), (4, 2), "{table}");
    assert!(table.lines().next().is_some_and(|l| l.contains("PID")));
    // containerd sends all options in one argument, people in several; those that look like ours are ps's as well.
    for args in [&["-e -o pid,args"][..], &["-e", "-o", "pid,args"], &["-e", "--format", "pid,args"]] {
        let table = b.rrun(["ps", &b.id].iter().chain(args).copied()).ok();
        assert_eq!(table.lines().count(), 4, "{args:?}: {table}");
    }
    let containerd = b.rrun(["ps", "--format", "table", &b.id, "-ef"]);
    assert_eq!((containerd.code, containerd.err.as_str(), containerd.out.lines().count()), (0, "", 4), "{}", containerd.out);
    b.rrun(["ps", &b.id, "-e", "-o", "comm"]).fails_with("couldn't find PID field in ps output");
    b.rrun(["ps", &b.id, "--nonsense"]).fails_with("ps failed: ");
}

fn processes_in_groups_below_count() {
    let b = Bundle::new(&["sh", "-c", "sleep 100 & wait"]);
    b.run_detached();
    wait_until("two processes", || pids(&b).len() == 2);
    // As a service manager in the container does it.
    let controllers = if is_v2() { vec![""] } else { vec!["freezer", "devices", "pids", "memory"] };
    let sleeper = *pids(&b).last().expect("two");
    for controller in controllers {
        let below = group(&b, controller).join("below/deep");
        std::fs::create_dir_all(&below).expect("mkdir");
        std::fs::write(below.join("cgroup.procs"), sleeper.to_string()).expect("move it");
    }
    assert!(pids(&b).contains(&sleeper) && pids(&b).len() == 2);
    let table = b.rrun(["ps", &b.id, "-e", "-o", "pid,ppid"]).ok();
    assert!(table.lines().any(|l| l.split_whitespace().next() == Some(&sleeper.to_string())), "{table}");
}

fn names_cannot_pass_for_pids() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let pid = b.state()["pid"].as_i64().expect("pid");
    // A neighbour whose name has the container's pid as its second word; the kernel keeps 15 letters.
    let rename = format!("printf 'a {pid} b' > /proc/$$/comm; echo; read x");
    let mut neighbour =
        Command::new("sh").args(["-c", &rename]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start sh");
    let mut line = [0; 1];
    neighbour.stdout.as_mut().expect("stdout").read_exact(&mut line).expect("renamed");
    let table = b.rrun(["ps", &b.id, "-e", "-o", "comm,pid"]).ok();
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.lines().nth(1).is_some_and(|l| l.starts_with("sleep")), "{table}");
    neighbour.kill().expect("kill");
    neighbour.wait().expect("reap");
}

fn a_stopped_container_has_none() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    assert_eq!(pids(&b).len(), 1, "a created container has its init");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    assert_eq!(pids(&b), [0i64; 0]);
    assert_eq!(b.rrun(["ps", &b.id]).ok().lines().count(), 1, "the header alone");
}

fn without_ps_the_pids_can_still_be_had() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let done: Done = b.command(["ps", &b.id]).env("PATH", "/nonexistent").output().expect("start rrun").into();
    done.fails_with("exec: \"ps\": executable file not found in $PATH (hint: install the package procps, or use --format json)");
    let done: Done = b.command(["ps", "-f", "json", &b.id]).env("PATH", "/nonexistent").output().expect("start rrun").into();
    assert_eq!(done.ok(), format!("[{}]\n", b.state()["pid"]));
}
