//! Kinds of filesystems with needs of their own: control groups, sysfs, overlay.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{bind, line};
use crate::support::*;

crate::tests![
    cgroups_show_the_containers_own_groups,
    cgroups_without_a_namespace_are_bound if needs_groups,
    sysfs_without_a_net_namespace_is_explained,
    procfs_without_a_pid_namespace_is_explained,
    overlay_paths_may_be_long,
    without_privilege_the_inside_mounts if needs_root,
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
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "network");
    map_ids(&mut b.config, 0, 65_536);
    let done = b.run();
    done.fails_with("error mounting \"sysfs\" to rootfs at \"/sys\"");
    done.fails_with("sysfs needs a net namespace");
}

fn procfs_without_a_pid_namespace_is_explained() {
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "pid");
    map_ids(&mut b.config, 0, 65_536);
    let done = b.run();
    done.fails_with("error mounting \"proc\" to rootfs at \"/proc\"");
    done.fails_with("needs a pid namespace of the container's own");
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

/// A user who may not mount on the host: the copies, the root and the nodes are the inside's to make.
fn without_privilege_the_inside_mounts() {
    let script = "cat /data/file; echo x > /dev/null && echo null; cat /proc/keys; echo > /ro/x; ls -A /sys/fs/cgroup/pids; grep -c . /proc/mounts";
    let mut b = Bundle::new(&["sh", "-c", script]);
    let data = b.scratch("data");
    std::fs::create_dir(&data).expect("mkdir");
    std::fs::write(data.join("file"), "text\n").expect("write");
    for (point, options) in [("/data", ["rbind", "rw"]), ("/ro", ["bind", "ro"])] {
        b.config["mounts"].as_array_mut().expect("mounts").push(bind(&data, point, &options));
    }
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").push(json!({"type": "user"}));
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "cgroup");
    b.config["linux"]["uidMappings"] = map.clone();
    b.config["linux"]["gidMappings"] = map;
    b.config["linux"]["resources"] = json!({});
    // devpts cannot belong to a group that is not mapped.
    b.config["mounts"][2]["options"].as_array_mut().expect("options").retain(|o| o != "gid=5");
    b.write();
    let all = b.path().parent().expect("a parent").to_owned();
    assert!(Command::new("chown").args(["-R", "1000:1000"]).arg(&all).status().expect("run chown").success());
    let rrun = b.scratch("rrun");
    copy_program(rrun_path(), &rrun);
    let state = b.scratch("user-state");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1000", "--regid", "1000", "--clear-groups"]).arg(&rrun).arg("--root").arg(&state);
    let done: Done = command.args(["run", &b.id]).current_dir(b.path()).output().expect("run setpriv").into();
    assert!(done.out.starts_with("text\nnull\n"), "{done:?}");
    assert_eq!(done.err.matches("Read-only file system").count(), 1, "{done:?}");
    assert!(!state.join(&b.id).exists());
}
