//! User namespaces: maps, ownership, joining.

use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;

use serde_json::json;

use crate::support::neighbour::Neighbour;
use crate::support::*;

crate::tests![
    root_inside_is_nobody_outside if needs_root,
    files_made_inside_belong_to_the_mapped_owner if needs_root,
    new_namespaces_belong_to_the_new_user_namespace if needs_root,
    a_user_namespace_can_be_joined_by_path,
    other_namespaces_can_be_joined_beside_a_new_user_namespace if needs_root,
    the_rootfs_may_lie_behind_a_closed_directory if needs_root,
    groups_have_a_map_of_their_own if needs_root,
    a_refused_map_names_the_field if needs_root,
];

fn mapped(args: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    map_ids(&mut b.config, 100_000, 65_536);
    let owned = Command::new("chown").args(["-R", "-h", "100000:100000"]).arg(b.rootfs()).status().expect("run chown");
    assert!(owned.success());
    b
}

fn root_inside_is_nobody_outside() {
    let b = mapped(&["sleep", "100"]);
    b.run_detached();
    let pid = b.state()["pid"].as_i64().expect("pid");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    assert!(status.lines().any(|l| l.split_whitespace().eq(["Uid:", "100000", "100000", "100000", "100000"])), "{status}");
    let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).expect("uid_map");
    assert!(map.split_whitespace().eq(["0", "100000", "65536"]), "{map}");
}

fn files_made_inside_belong_to_the_mapped_owner() {
    let b = mapped(&["sh", "-c", "id -u; touch /made"]);
    assert_eq!(b.run().ok(), "0\n");
    assert_eq!(std::fs::metadata(b.rootfs().join("made")).expect("made").uid(), 100_000);
}

fn new_namespaces_belong_to_the_new_user_namespace() {
    // Only the owner of the network and UTS namespaces may do this.
    let caps = json!(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
    let mut b =
        mapped(&["sh", "-c", "ip link add dummy0 type dummy 2>&1 || ip link set lo mtu 1400 && hostname inside && hostname"]);
    b.config["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    assert_eq!(b.run().ok().lines().last(), Some("inside"));
}

fn a_user_namespace_can_be_joined_by_path() {
    let neighbour = Neighbour::new(&["--user", "--map-root-user"]);
    let mut b = Bundle::new(&[]);
    for field in ["uidMappings", "gidMappings"] {
        b.config["linux"].as_object_mut().expect("object").remove(field);
    }
    b.config["linux"]["namespaces"].as_array_mut().expect("array").retain(|n| n["type"] != "user");
    // One id is mapped: there is no group 5 for terminals.
    b.config["mounts"][2]["options"] = json!(["newinstance", "ptmxmode=0666", "mode=0620"]);
    b.config["linux"]["namespaces"].as_array_mut().expect("array").push(json!({"type": "user", "path": neighbour.file("user")}));
    let witness = b.witness();
    let theirs = std::fs::read_link(neighbour.file("user")).expect("the neighbour's namespace");
    assert_eq!(witness["namespaces"]["user"], json!(theirs.to_string_lossy()));
    assert_eq!(witness["uid"], 0);
    assert_eq!(witness["pid"], 1);
}

fn other_namespaces_can_be_joined_beside_a_new_user_namespace() {
    let neighbour = Neighbour::new(&["--ipc"]);
    let mut b = mapped(&[]);
    b.config["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "network"}, {"type": "user"}, {"type": "ipc", "path": neighbour.file("ipc")}]);
    // mqueue shows an IPC namespace that now belongs to somebody else.
    b.config["mounts"].as_array_mut().expect("array").retain(|m| m["type"] != "mqueue" && m["type"] != "cgroup");
    let witness = b.witness();
    let theirs = std::fs::read_link(neighbour.file("ipc")).expect("the neighbour's namespace");
    assert_eq!(witness["namespaces"]["ipc"], json!(theirs.to_string_lossy()));
    assert_eq!(witness["uid_map"], json!([[0, 100_000, 65_536]]));
}

fn the_rootfs_may_lie_behind_a_closed_directory() {
    use std::os::unix::fs::PermissionsExt;
    let b = mapped(&["true"]);
    std::fs::set_permissions(b.path(), std::fs::Permissions::from_mode(0o700)).expect("chmod");
    chown(b.path(), Some(0), Some(0)).expect("chown");
    b.run().ok();
}

fn groups_have_a_map_of_their_own() {
    let mut b = mapped(&["sh", "-c", "id -G; touch /made"]);
    b.config["linux"]["gidMappings"] = json!([
        {"containerID": 0, "hostID": 200_000, "size": 10}, {"containerID": 50, "hostID": 300_000, "size": 1},
    ]);
    b.config["process"]["user"] = json!({"uid": 0, "gid": 3, "additionalGids": [50, 4]});
    assert_eq!(b.run().ok(), "3 4 50\n");
    assert_eq!(std::fs::metadata(b.rootfs().join("made")).expect("made").gid(), 200_003);
    b.config["process"]["user"]["additionalGids"] = json!([49]);
    let done = b.run();
    done.fails_with("cannot set gid to unmapped user in user namespace");
    done.fails_with("additionalGids 49 is outside linux.gidMappings (0-9, 50-50)");
}

fn a_refused_map_names_the_field() {
    let mut b = mapped(&["true"]);
    b.config["linux"]["uidMappings"] =
        json!([{"containerID": 0, "hostID": 100_000, "size": 10}, {"containerID": 5, "hostID": 200_000, "size": 10}]);
    let done = b.run();
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("uidMappings") || done.err.contains("uid_map"), "{}", done.err);
    b.assert_no_trace();
}
