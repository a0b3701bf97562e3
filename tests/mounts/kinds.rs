//! Kinds of filesystems with needs of their own: control groups, sysfs, overlay.

use serde_json::json;

use super::line;
use crate::support::*;

crate::tests![
    cgroups_show_the_containers_own_groups,
    cgroups_without_a_namespace_are_bound,
    sysfs_without_a_net_namespace_is_explained,
    overlay_paths_may_be_long,
];

fn cgroups_show_the_containers_own_groups() {
    let b = Bundle::new(&["sh", "-c", "cat /proc/self/mountinfo; mkdir /sys/fs/cgroup/pids/x; mkdir /sys/fs/cgroup/x"]);
    let done = b.run();
    let (own, _, _) = line(&done.out, "/sys/fs/cgroup/pids");
    assert_eq!(own, "ro,nosuid,nodev,noexec,relatime");
    assert!(line(&done.out, "/sys/fs/cgroup/memory").2.contains("memory"));
    assert_eq!(done.err.matches("Read-only file system").count(), 2, "{done:?}");
}

fn cgroups_without_a_namespace_are_bound() {
    let mut b = Bundle::new(&["sh", "-c", "cat /sys/fs/cgroup/pids/cgroup.procs; grep /sys/fs/cgroup/pids /proc/self/mountinfo"]);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "cgroup");
    let out = b.run().ok();
    assert!(out.starts_with("1\n"), "only its own processes: {out}");
    assert!(out.contains(&format!("/{} /sys/fs/cgroup/pids ro,", b.id)), "{out}");
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
