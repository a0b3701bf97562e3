//! Masked and read-only paths: what is hidden, and what a hostile image cannot do about it.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::support::*;

crate::tests![
    files_read_as_nothing,
    directories_are_empty_and_cannot_be_written,
    read_only_includes_what_is_mounted_below,
    what_is_not_there_is_skipped,
    paths_are_resolved_in_the_container,
    a_link_in_place_of_the_null_device_is_no_mask if needs_root,
    masks_cannot_be_taken_off,
    a_container_without_dev_has_masks_too,
    a_bound_dev_has_no_say_in_masks,
    user_namespaces_have_masks,
];

fn masked(args: &[&str], hidden: &[&str], read_only: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["linux"]["maskedPaths"] = json!(hidden);
    b.config["linux"]["readonlyPaths"] = json!(read_only);
    b
}

fn files_read_as_nothing() {
    let b = masked(&["sh", "-c", "cat /proc/keys /secret; stat -c '%t:%T %F' /proc/keys"], &["/proc/keys", "/secret"], &[]);
    std::fs::write(b.rootfs().join("secret"), "secret").expect("write");
    assert_eq!(b.run().ok(), "1:3 character special file\n");
}

fn directories_are_empty_and_cannot_be_written() {
    let b =
        masked(&["sh", "-c", "ls -A /proc/fs /sys/firmware /etc; echo > /etc/x"], &["/proc/fs", "/sys/firmware", "/etc"], &[]);
    let done = b.run();
    assert_eq!(done.out, "/etc:\n\n/proc/fs:\n\n/sys/firmware:\n", "{done:?}");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
}

fn read_only_includes_what_is_mounted_below() {
    let mut b = masked(
        &["sh", "-c", "echo > /data/x; echo > /data/inner/x; echo x > /proc/sys/kernel/hostname"],
        &[],
        &["/data", "/proc/sys"],
    );
    b.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .extend([json!({"destination": "/data", "type": "tmpfs"}), json!({"destination": "/data/inner", "type": "tmpfs"})]);
    let done = b.run();
    assert_eq!(done.err.matches("Read-only file system").count(), 3, "{done:?}");
}

fn what_is_not_there_is_skipped() {
    masked(&["true"], &["/no/such", "/etc/passwd/below", "/proc/no/such"], &["/no/such", "/etc/passwd/below"]).run().ok();
}

fn paths_are_resolved_in_the_container() {
    let b = masked(&["cat", "/secret"], &["/link"], &[]);
    std::fs::write(b.rootfs().join("secret"), "secret").expect("write");
    symlink("/secret", b.rootfs().join("link")).expect("symlink");
    assert_eq!(b.run().ok(), "");
}

fn a_link_in_place_of_the_null_device_is_no_mask() {
    // Without a mount on /dev the image's own directory is used.
    let mut b = masked(&["true"], &["/proc/keys"], &[]);
    b.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .retain(|m| !m["destination"].as_str().is_some_and(|d| d.starts_with("/dev")));
    std::fs::create_dir_all(b.rootfs().join("dev")).expect("mkdir");
    symlink("/proc/sys/kernel/core_pattern", b.rootfs().join("dev/null")).expect("symlink");
    let before = std::fs::read("/proc/sys/kernel/core_pattern").expect("core_pattern");
    b.run().fails_with("/dev/null exists in the image and is something else");
    assert_eq!(std::fs::read("/proc/sys/kernel/core_pattern").expect("core_pattern"), before);
}

fn masks_cannot_be_taken_off() {
    let b = masked(&["umount", "/proc/keys"], &["/proc/keys"], &[]);
    assert_ne!(b.run().code, 0);
}

/// The host's /dev bound, but nothing of it: no node of the right kind is at /dev/null.
fn a_container_without_dev_has_masks_too() {
    let mut b = masked(&["cat", "/proc/keys"], &["/proc/keys"], &[]);
    let empty = b.scratch("empty");
    std::fs::create_dir(&empty).expect("mkdir");
    b.config["mounts"] = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "bind", "source": empty, "options": ["bind"]},
    ]);
    assert_eq!(b.run().ok(), "");
    assert!(std::fs::read_dir(&empty).expect("read").next().is_none(), "nothing is made in a /dev of the host");
}

/// What is called /dev/null in a volume on /dev may be anything, and must not be seen where something is hidden.
fn a_bound_dev_has_no_say_in_masks() {
    let mut b = masked(&["cat", "/proc/keys"], &["/proc/keys"], &[]);
    let dev = b.scratch("dev");
    std::fs::create_dir(&dev).expect("mkdir");
    b.config["mounts"] = json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]},
    ]);
    std::fs::write(dev.join("null"), "something else\n").expect("write");
    assert_eq!(b.run().ok(), "");
    std::fs::remove_file(dev.join("null")).expect("unlink");
    symlink("/proc/version", dev.join("null")).expect("symlink");
    assert_eq!(b.run().ok(), "");
}

fn user_namespaces_have_masks() {
    let mut b = masked(
        &["sh", "-c", "cat /proc/keys; ls -A /proc/fs; echo x > /proc/sys/kernel/hostname"],
        &["/proc/keys", "/proc/fs"],
        &["/proc/sys"],
    );
    map_ids(&mut b.config, 0, 65_536);
    let done = b.run();
    assert_eq!(done.out, "", "{done:?}");
    assert!(done.err.contains("Read-only file system"), "{done:?}");
}
