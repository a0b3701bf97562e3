//! What a container sees of the hierarchies, and that it cannot leave its group through them.

use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    a_container_cannot_leave_its_group,
    the_limits_stay_the_hosts if lacks_v2,
    who_runs_the_container_owns_its_group if || needs_root().or_else(lacks_v2),
];

/// A bundle whose cgroup mount has `option`, with or without a cgroup namespace.
fn view(args: &[&str], option: &str, namespace: bool) -> Bundle {
    let mut b = Bundle::new(args);
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    let mount = mounts.iter_mut().find(|m| m["type"] == "cgroup").expect("a cgroup mount");
    mount["options"] = json!(["nosuid", "noexec", "nodev", option]);
    if !namespace {
        b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "cgroup");
    }
    b
}

/// Tries every way there is, tells how many groups of others it sees, and whether it could make a group.
const ESCAPE: &str = "cd /sys/fs/cgroup
    for f in $(find . -name cgroup.procs -o -name tasks) ../cgroup/cgroup.procs ./*/../cgroup.procs ./*/../../cgroup.procs; do
        echo $$ > $f
    done 2> /dev/null
    echo others $(cat $(find . -name cgroup.procs) | sort -u | grep -vxc -e 1 -e $$)
    echo agents $(find . -name release_agent | wc -l)
    own=.; [ -d pids ] && own=pids
    mkdir $own/made 2> /dev/null && echo made && rmdir $own/made
    touch /tmp/done; exec sleep 100";

fn a_container_cannot_leave_its_group() {
    for (option, namespace) in [("ro", true), ("ro", false), ("rw", true), ("rw", false)] {
        let mut b = view(&["sh", "-c", &format!("{{ {ESCAPE}; }} > /tmp/out")], option, namespace);
        b.config["process"]["env"] = json!(["PATH=/bin"]);
        b.run_detached();
        until("it tried", || b.rootfs().join("tmp/done").exists());
        // Without a namespace a user gets it read-only, whatever the option.
        let made = if option == "rw" && (namespace || needs_root().is_none()) { "made\n" } else { "" };
        // Those without a number are processes that only the host can name; cat, find and sort are in it for a moment.
        let out = read(b.rootfs().join("tmp/out"));
        assert!(out.ends_with(&format!("agents 0\n{made}")), "{option}, namespace: {namespace}: {out}");
        let pid = b.state()["pid"].as_i64().expect("pid");
        for line in read(format!("/proc/{pid}/cgroup")).lines() {
            let (names, path) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':')).expect("three fields");
            let mounted = names.is_empty() || Path::new("/sys/fs/cgroup").join(names).exists();
            assert!(!mounted || path.ends_with(&format!("/{}", b.id)), "{option}, namespace: {namespace}: {line}");
        }
        b.rrun(["delete", "--force", &b.id]).ok();
        b.assert_no_trace();
    }
}

fn the_limits_stay_the_hosts() {
    // The hierarchy is mounted with nsdelegate: the root of a cgroup namespace bounds what root inside may change.
    let mut b = view(&["sh", "-c", "echo max > /sys/fs/cgroup/pids.max && echo raised"], "rw", true);
    b.config["linux"]["resources"]["pids"] = json!({"limit": 20});
    let done = b.run();
    assert!(done.out.is_empty() && done.err.contains("ermitted"), "{done:?}");
}

fn who_runs_the_container_owns_its_group() {
    let script = "mkdir /sys/fs/cgroup/in && echo $$ > /sys/fs/cgroup/in/cgroup.procs && cat /proc/self/cgroup; \
                  echo 3 > /sys/fs/cgroup/pids.max";
    let run = |option: &str| {
        let mut b = view(&["sh", "-c", script], option, true);
        map_ids(&mut b.config, 100_000, 65_536);
        b.config["linux"]["resources"]["pids"] = json!({"limit": 20});
        let owned = std::process::Command::new("chown").args(["-R", "-h", "100000:100000"]).arg(b.rootfs()).status();
        assert!(owned.expect("run chown").success());
        b.run()
    };
    let done = run("rw");
    assert_eq!(done.out, "0::/in\n", "{done:?}");
    assert!(done.err.contains("pids.max: Permission denied"), "{done:?}");
    assert_eq!(run("ro").out, "");
}
