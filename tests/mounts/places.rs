//! Where mounts go, and images that would have them go elsewhere.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{INFO, bind, line, tmpfs, with};
use crate::support::*;

crate::tests![
    a_relative_destination_is_warned_of,
    missing_targets_are_made_where_links_lead,
    a_read_only_image_lacking_a_target_is_explained if needs_root,
    proc_and_sys_must_be_directories,
    nothing_but_procfs_stands_on_proc,
    links_in_the_image_stay_in_the_image,
    a_link_into_proc_is_refused,
    devices_of_the_image_are_not_opened,
];

fn a_relative_destination_is_warned_of() {
    let done = with(&INFO, &[tmpfs("x/../rel", &[])]).run();
    line(&done.out, "/rel");
    assert!(done.err.contains("mounts[7]: relative destination path x/../rel"), "{done:?}");
}

fn missing_targets_are_made_where_links_lead() {
    let b = with(&INFO, &[tmpfs("/var/lock/deep/x", &[])]);
    // As in images whose /var/lock leads to a /run that nobody made.
    symlink("../not/yet", b.rootfs().join("var/lock")).expect("symlink");
    line(&b.run().ok(), "/not/yet/deep/x");
    assert!(b.rootfs().join("not/yet/deep/x").is_dir());
}

fn a_read_only_image_lacking_a_target_is_explained() {
    let b = with(&["true"], &[tmpfs("/absent", &[])]);
    let dir = b.rootfs();
    let script = format!("mount --bind {0} {0} && mount -o remount,bind,ro {0}", dir.display());
    assert!(Command::new("sh").args(["-c", &script]).status().expect("run sh").success());
    let done = b.run();
    assert!(Command::new("umount").arg(&dir).status().expect("run umount").success());
    done.fails_with("make mountpoint /absent: read-only file system");
    done.fails_with("create it in the image");
}

/// A bundle whose image has a symbolic link at `at`, leading to a directory of the host that must stay empty.
fn hostile(at: &str, args: &[&str], mounts: &[Value]) -> (Bundle, std::path::PathBuf) {
    let b = with(args, mounts);
    let canary = b.scratch("canary");
    std::fs::create_dir(&canary).expect("mkdir");
    let link = b.rootfs().join(at.trim_start_matches('/'));
    match link.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(&link).expect("rmdir"),
        Ok(_) => std::fs::remove_file(&link).expect("unlink"),
        Err(_) => {}
    }
    symlink(&canary, &link).expect("symlink");
    (b, canary)
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).expect("read the canary").next().is_none()
}

fn proc_and_sys_must_be_directories() {
    for at in ["/proc", "/sys"] {
        let (b, canary) = hostile(at, &["true"], &[]);
        b.run().fails_with("must be mounted on ordinary directory");
        assert!(is_empty(&canary));
        let (b, _) = hostile(at, &["true"], &[]);
        let link = b.rootfs().join(&at[1..]);
        std::fs::remove_file(&link).expect("unlink");
        symlink("etc", link).expect("symlink");
        b.run().fails_with("must be mounted on ordinary directory");
    }
}

fn nothing_but_procfs_stands_on_proc() {
    with(&["true"], &[tmpfs("/proc", &[])]).run().fails_with("cannot be mounted because it is not of type proc");
    with(&["true"], &[bind(Path::new("/etc"), "/proc", &["bind"])]).run().fails_with("not of type proc");
    // A directory of a procfs is no procfs either.
    with(&["true"], &[bind(Path::new("/proc/self"), "/proc", &["bind"])]).run().fails_with("not of type proc");
    with(&["true"], &[bind(Path::new("/etc"), "/proc/sys", &["bind"])]).run().fails_with("it is inside /proc");
    let b = Bundle::new(&[]);
    let fake = b.scratch("cpuinfo");
    std::fs::write(&fake, "fake\n").expect("write");
    let b = with(&["cat", "/proc/cpuinfo"], &[bind(&fake, "/proc/cpuinfo", &["bind"])]);
    assert_eq!(b.run().ok(), "fake\n");
}

fn links_in_the_image_stay_in_the_image() {
    // To the host's root, absolutely and by more `..` than there are directories.
    for target in ["/", "../../../../../../../.."] {
        let b = with(&INFO, &[tmpfs("/x/etc", &[]), bind(Path::new("/etc/passwd"), "/x/new/file", &["bind"])]);
        symlink(target, b.rootfs().join("x")).expect("symlink");
        let table = b.run().ok();
        line(&table, "/etc");
        line(&table, "/new/file");
        assert!(!Path::new("/new").exists());
        assert!(b.rootfs().join("new/file").exists());
    }
    let (b, canary) = hostile("/y", &INFO, &[tmpfs("/y/made", &[])]);
    b.run().ok();
    assert!(is_empty(&canary));
    // A loop is an error, not a hang.
    let b = with(&["true"], &[tmpfs("/a/x", &[])]);
    symlink("b", b.rootfs().join("a")).expect("symlink");
    symlink("a", b.rootfs().join("b")).expect("symlink");
    b.run().fails_with("too many");
}

fn a_link_into_proc_is_refused() {
    for (link, destination) in [("proc", "/x"), ("proc/sys", "/x"), ("proc", "/x/sys")] {
        let b = with(&["true"], &[tmpfs(destination, &[])]);
        symlink(link, b.rootfs().join("x")).expect("symlink");
        b.run().fails_with("cannot be mounted because it is inside /proc");
    }
    // The magic links of procfs lead out of any root; none is followed.
    let b = with(&["true"], &[tmpfs("/x/tmp", &[])]);
    symlink("proc/self/root", b.rootfs().join("x")).expect("symlink");
    let done = b.run();
    assert_eq!(done.code, 1, "{done:?}");
}

fn devices_of_the_image_are_not_opened() {
    // A FIFO without a reader: opening it to make a target would wait for ever.
    let b = with(&["cat", "/pipe"], &[bind(Path::new("/etc/hostname"), "/pipe", &["bind"])]);
    assert!(Command::new("mkfifo").arg(b.rootfs().join("pipe")).status().expect("run mkfifo").success());
    assert_eq!(b.run().ok(), std::fs::read_to_string("/etc/hostname").expect("hostname"));
}
