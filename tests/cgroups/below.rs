//! `exec --cgroup`: a process enters a group below the container's.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::*;

crate::tests![
    all if needs_root;
    a_process_enters_a_group_below_the_containers,
    groups_that_contradict_or_lead_out_are_refused,
];

fn running() -> Bundle {
    let b = Bundle::new(&["sleep", "1000"]);
    b.run_detached();
    b
}

/// The container's groups, by the controller that the mount point is named after; in pure v2 the only one, as "".
fn groups(b: &Bundle) -> Vec<(String, PathBuf)> {
    let top = Path::new("/sys/fs/cgroup");
    let name = |dir: &Path| match dir.strip_prefix(top).ok()?.components().next()? {
        _ if top.join("cgroup.controllers").exists() => Some(String::new()),
        first => first.as_os_str().to_str().map(str::to_owned),
    };
    groups_named(&b.id).into_iter().filter_map(|dir| Some((name(&dir)?, dir))).collect()
}

/// On v1 a group takes no process until it has CPUs and memory nodes.
fn make_group(dir: &Path) {
    std::fs::create_dir(dir).expect("mkdir");
    for file in
        ["cpuset.cpus", "cpuset.mems"].into_iter().filter(|f| dir.starts_with("/sys/fs/cgroup/cpuset") && dir.join(f).exists())
    {
        let above = std::fs::read(dir.parent().expect("a group").join(file)).expect("read");
        std::fs::write(dir.join(file), above).expect("write");
    }
}

fn a_process_enters_a_group_below_the_containers() {
    let b = running();
    let groups = groups(&b);
    for sub in ["sub", "sub/group"] {
        groups.iter().for_each(|(_, dir)| make_group(&dir.join(sub)));
    }
    let inside = |args: &[&str]| -> String {
        let file = b.scratch("pid");
        let exec = ["exec", "-d", "--pid-file", file.to_str().expect("UTF-8")];
        let all: Vec<&str> = exec.iter().chain(args).copied().chain([b.id.as_str(), "sleep", "500"]).collect();
        assert!(b.command(all).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success(), "{args:?}");
        let pid = std::fs::read_to_string(&file).expect("pid file");
        std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup")
    };
    let below = |text: &str| text.lines().filter(|l| l.ends_with("/sub/group")).count();
    // Everywhere.
    assert_eq!(below(&inside(&["--cgroup", "sub/group"])), groups.len());
    let named: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).filter(|n| !["systemd", "unified"].contains(n)).collect();
    if let [one, two, ..] = named.as_slice() {
        assert_eq!(below(&inside(&["--cgroup", &format!("{one}:sub/group")])), 1);
        let mixed = inside(&["--cgroup", &format!("{one}:sub"), "--cgroup", &format!("{two}:sub/group")]);
        assert!(below(&mixed) == 1 && mixed.lines().any(|l| l.ends_with("/sub")), "{mixed}");
    }
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

fn groups_that_contradict_or_lead_out_are_refused() {
    let b = running();
    for (args, text) in [
        (&["--cgroup", "../x"][..], "cannot contain .."),
        (&["--cgroup", "bogus:/"], "unknown controller bogus"),
        (&["--cgroup", ":x"], "empty controller"),
        (&["--cgroup", "a", "--cgroup", "b"], "missing controllers"),
        (&["--cgroup", "pids:a", "--cgroup", "pids:b"], "pids stands twice"),
        (&["--cgroup", "not-there"], "no such file or directory"),
    ] {
        let all: Vec<&str> = ["exec"].iter().chain(args).copied().chain([b.id.as_str(), "touch", "/ran"]).collect();
        let done = b.rrun(all);
        assert!(done.code == 255 && done.err.contains(text), "{args:?}: {done:?}");
    }
    assert!(!b.rootfs().join("ran").exists());
}
