//! Kinds of filesystems with needs of their own: control groups, sysfs, overlay.

use std::path::Path;

use serde_json::json;

use super::line;
use crate::support::*;

crate::tests![
    cgroups_show_the_containers_own_groups,
    cgroups_without_a_namespace_are_bound,
    sysfs_without_a_net_namespace_is_explained,
    overlay_paths_may_be_long,
];

/// A group's directory in the container: that of one controller on a host with v1 hierarchies.
fn place() -> &'static str {
    if Path::new("/sys/fs/cgroup/pids").is_dir() { "/sys/fs/cgroup/pids" } else { "/sys/fs/cgroup" }
}

fn cgroups_show_the_containers_own_groups() {
    let b =
        Bundle::new(&["sh", "-c", &format!("cat /proc/self/mountinfo {0}/cgroup.procs; mkdir {0}/x /sys/fs/cgroup/x", place())]);
    let done = b.run();
    let (own, _, _) = line(&done.out, place());
    assert_eq!(own, "ro,nosuid,nodev,noexec,relatime");
    assert!(done.out.ends_with("\n1\n2\n") || done.out.ends_with("\n1\n"), "only its own processes: {}", done.out);
    assert_eq!(done.err.matches("Read-only file system").count(), 2, "{done:?}");
}

fn cgroups_without_a_namespace_are_bound() {
    let script = format!("cat {0}/cgroup.procs; grep ' {0} ' /proc/self/mountinfo", place());
    let mut b = Bundle::new(&["sh", "-c", &script]);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "cgroup");
    let out = b.run().ok();
    assert!(out.starts_with("1\n"), "only its own processes: {out}");
    assert!(out.contains(&format!("/{} {} ro,", b.id, place())), "{out}");
}

fn sysfs_without_a_net_namespace_is_explained() {
    let mut b = Bundle::new(&["true"]);
    let maps = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    let namespaces = b.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.retain(|n| n["type"] != "network");
    namespaces.push(json!({"type": "user"}));
    b.config["linux"]["uidMappings"] = maps.clone();
    b.config["linux"]["gidMappings"] = maps;
    let done = b.run();
    done.fails_with("error mounting \"sysfs\" to rootfs at \"/sys\"");
    done.fails_with("sysfs needs a net namespace");
}

fn overlay_paths_may_be_long() {
    let mut b = Bundle::new(&["cat", "/x/low", "/x/lower"]);
    let deep = b.scratch(&format!("{}/{}", "a".repeat(200), "b".repeat(200)));
    for dir in ["1", "2", "up", "work"] {
        std::fs::create_dir_all(deep.join(dir)).expect("mkdir");
    }
    std::fs::write(deep.join("1/low"), "1").expect("write");
    std::fs::write(deep.join("2/low"), "hidden").expect("write");
    std::fs::write(deep.join("2/lower"), "2").expect("write");
    let at = |dir: &str| deep.join(dir).display().to_string();
    b.config["mounts"].as_array_mut().expect("mounts").push(json!({
        "destination": "/x", "type": "overlay", "source": "overlay",
        "options": [format!("lowerdir={}:{}", at("1"), at("2")), format!("upperdir={}", at("up")), format!("workdir={}", at("work"))],
    }));
    assert_eq!(b.run().ok(), "12");
}
