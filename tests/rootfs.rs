//! The root: entered, read-only, propagated as asked, and nothing of the host left behind it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    the_hosts_tree_is_gone,
    nothing_leads_back,
    a_root_is_writable_unless_read_only,
    propagation_is_as_asked,
    unknown_propagation_is_refused,
    a_root_in_a_mount_with_mounts_below if needs_root,
    without_pivot_it_works_too,
    without_pivot_a_procfs_without_masks_is_out_of_reach,
    without_a_mount_namespace_there_is_only_chroot if needs_root,
    hooks_see_the_root_where_it_is,
    a_missing_root_is_explained,
    a_root_that_is_a_link_is_refused,
];

const INFO: [&str; 2] = ["cat", "/proc/self/mountinfo"];

fn root_line(table: &str) -> Vec<String> {
    let line = table.lines().find(|l| l.split(' ').nth(4) == Some("/")).unwrap_or_else(|| panic!("no / in {table}"));
    line.split(' ').map(str::to_owned).collect()
}

fn the_hosts_tree_is_gone() {
    let b = Bundle::new(&INFO);
    let table = b.run().ok();
    let points: Vec<&str> = table.lines().filter_map(|l| l.split(' ').nth(4)).collect();
    assert_eq!(points.iter().filter(|p| **p == "/").count(), 1, "{table}");
    let known = ["/", "/proc", "/dev", "/sys"];
    assert!(points.iter().all(|p| known.iter().any(|k| p == k || (*k != "/" && p.starts_with(&format!("{k}/"))))), "{table}");
}

fn nothing_leads_back() {
    // chroot(2) and climbing is the classic way out of a chroot; here there is nothing to climb to.
    let script = "mkdir -p /tmp/jail; cp /bin/busybox /tmp/jail; cd /; chroot /tmp/jail /busybox true; \
                  ls ../../../../../../..; readlink /proc/self/root; readlink /proc/self/cwd";
    let mut b = Bundle::new(&["sh", "-c", script]);
    for set in ["bounding", "effective", "permitted"] {
        b.config["process"]["capabilities"][set] = json!(["CAP_SYS_CHROOT"]);
    }
    let out = b.run().ok();
    assert!(out.contains("witness") || out.contains("bin\ndev\netc\n"), "{out}");
    assert!(out.ends_with("/\n/\n"), "{out}");
}

fn a_root_is_writable_unless_read_only() {
    let mut b = Bundle::new(&["sh", "-c", "echo x > /written && cat /written; mkdir /made && echo made"]);
    assert_eq!(b.run().ok(), "x\nmade\n");
    std::fs::remove_dir(b.rootfs().join("made")).expect("made by the container");
    b.config["root"]["readonly"] = json!(true);
    let done = b.run();
    assert_eq!(done.out, "", "{done:?}");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
    // Only the mount: the host's filesystem stays writable.
    std::fs::write(b.rootfs().join("still"), "").expect("write");
}

fn propagation_is_as_asked() {
    let fields = |word: &str| {
        let mut b = Bundle::new(&INFO);
        b.config["linux"]["rootfsPropagation"] = json!(word);
        let line = root_line(&b.run().ok());
        line[6..line.iter().position(|f| f == "-").expect("a separator")].join(" ")
    };
    for word in ["shared", "rshared"] {
        assert!(fields(word).starts_with("shared:"), "{word}: {}", fields(word));
    }
    for word in ["private", "rprivate", "slave", "rslave"] {
        assert!(!fields(word).contains("shared:"), "{word}");
    }
    assert_eq!(fields("unbindable"), "unbindable");
}

fn unknown_propagation_is_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["rootfsPropagation"] = json!("sharde");
    b.run().fails_with("rootfsPropagation=sharde is not supported");
}

fn a_root_in_a_mount_with_mounts_below() {
    let b = Bundle::new(&["cat", "/data/file"]);
    let data = b.rootfs().join("data");
    std::fs::create_dir(&data).expect("mkdir");
    let script = format!("mount -t tmpfs data {0} && echo below > {0}/file", data.display());
    assert!(Command::new("sh").args(["-c", &script]).status().expect("run sh").success());
    let done = b.run();
    assert!(Command::new("umount").arg(&data).status().expect("run umount").success());
    assert_eq!(done.ok(), "below\n");
}

fn without_pivot_it_works_too() {
    let mut b = Bundle::new(&["sh", "-c", "ls /; readlink /proc/self/cwd; echo x > /written"]);
    b.config["root"]["readonly"] = json!(true);
    let done = b.run_with(&["--no-pivot"]);
    assert!(done.out.contains("proc\nroot\n") && done.out.ends_with("/\n"), "{done:?}");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
    b.config["linux"]["rootfsPropagation"] = json!("rprivate");
    b.run_with(&["--no-pivot"]).fails_with("rootfsPropagation of [r]private is not safe without pivot_root");
}

/// Below a chroot the host's mounts are still in the namespace; a full procfs among them would let the container mount
/// itself one without masks.
fn without_pivot_a_procfs_without_masks_is_out_of_reach() {
    let script = "unshare -U -r -m -p -f mount -t proc proc /proc; echo $?";
    let mut b = Bundle::new(&["sh", "-c", script]);
    // A user namespace of root's own may not map root.
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    for arguments in [&["--no-pivot"][..], &[]] {
        let done = b.run_with(arguments);
        assert_eq!(done.out, "1\n", "{done:?}");
        assert!(done.err.contains("permission denied") || done.err.contains("Operation not permitted"), "{done:?}");
    }
}

fn without_a_mount_namespace_there_is_only_chroot() {
    let mut b = Bundle::new(&["ls", "/"]);
    b.config["mounts"] = json!([]);
    b.config.as_object_mut().expect("an object").remove("hostname");
    b.config["linux"]["namespaces"] = json!([{"type": "pid"}]);
    b.config["linux"]["maskedPaths"] = json!([]);
    b.config["linux"]["readonlyPaths"] = json!([]);
    let before = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    assert!(b.run().ok().starts_with("bin\ndev\netc\n"));
    let count = |table: &str| table.lines().filter(|l| l.contains(&b.id)).count();
    assert_eq!(count(&before), count(&std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo")));
    b.config["mounts"] = json!([{"destination": "/x", "type": "tmpfs"}]);
    b.run().fails_with("unable to mount without a private MNT namespace");
    b.config["mounts"] = json!([]);
    b.config["root"]["readonly"] = json!(true);
    b.run().fails_with("root.readonly needs a mount namespace");
}

fn hooks_see_the_root_where_it_is() {
    let mut b = Bundle::new(&["cat", "/from-hook"]);
    let root = b.rootfs();
    let script = format!("mount | grep -q ' {0}/proc type proc' && echo seen > {0}/from-hook", root.display());
    let hook: Value = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]});
    b.config["hooks"] = json!({"createContainer": [hook]});
    assert_eq!(b.run().ok(), "seen\n");
}

fn a_missing_root_is_explained() {
    let mut b = Bundle::new(&["true"]);
    b.config["root"]["path"] = json!("absent");
    let done = b.run();
    assert_eq!(done.code, 1);
    assert!(done.err.contains("(config.json: root.path) (hint: the bundle lacks its root filesystem; "), "{done:?}");
}

fn a_root_that_is_a_link_is_refused() {
    let mut b = Bundle::new(&["true"]);
    symlink("/", b.path().join("link")).expect("symlink");
    b.config["root"]["path"] = json!("link");
    let done = b.run();
    assert_eq!(done.code, 1, "{done:?}");
    assert!(!Path::new("/from-hook").exists());
}
