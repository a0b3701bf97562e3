//! The options of a mount: attributes, flags of the superblock, and the filesystem's own words.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{bind, line, table, tmpfs, with};
use crate::support::*;

crate::tests![
    attributes_are_set,
    read_only_means_mount_and_superblock,
    filesystem_options_reach_the_filesystem,
    a_misspelt_option_is_explained,
    a_remount_changes_an_earlier_mount,
    a_tmpfs_takes_the_mode_of_what_it_covers,
    a_read_only_tmpfs_takes_its_mount_points,
    tmpcopyup_copies_all_kinds if needs_root,
    tmpcopyup_follows_nothing,
];

fn attributes_are_set() {
    for (option, seen) in [
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("nosymfollow", "nosymfollow"),
        ("noatime", "noatime"),
        ("nodiratime", "nodiratime"),
        ("relatime", "relatime"),
        ("ro", "ro"),
    ] {
        let locked = needs_root().is_some() && option.contains("atime");
        let mut mounts = vec![tmpfs("/x", &[option])];
        mounts.extend((!locked).then(|| bind(Path::new("/etc"), "/y", &["bind", option])));
        let table = table(&mounts);
        // What is the host's keeps its access times, unless root says otherwise.
        let points: &[&str] = if locked { &["/x"] } else { &["/x", "/y"] };
        for point in points {
            assert!(line(&table, point).0.split(',').any(|o| o == seen), "{option} on {point}: {table}");
        }
    }
    let (own, _, _) = line(&table(&[tmpfs("/x", &["strictatime", "nosuid", "suid"])]), "/x");
    assert_eq!(own, "rw");
}

fn read_only_means_mount_and_superblock() {
    let (own, _, superblock) = line(&table(&[]), "/sys");
    assert_eq!((own.as_str(), superblock.as_str()), ("ro,nosuid,nodev,noexec,relatime", "ro"));
    // A bind must not make the filesystem of its source read-only for all.
    let b = Bundle::new(&[]);
    let (own, _, superblock) = line(&table(&[bind(&b.rootfs(), "/x", &["bind", "ro"])]), "/x");
    assert!(own.starts_with("ro") && superblock.starts_with("rw"), "{own} {superblock}");
}

fn filesystem_options_reach_the_filesystem() {
    let table = table(&[tmpfs("/x", &["mode=1711,size=8k", "sync", "dirsync"])]);
    let (_, _, superblock) = line(&table, "/x");
    for option in ["mode=1711", "size=8k", "sync", "dirsync"] {
        assert!(superblock.split(',').any(|o| o == option), "{superblock}");
    }
    assert!(line(&table, "/dev/pts").2.contains("ptmxmode=666"));
}

fn a_misspelt_option_is_explained() {
    let done = with(&["true"], &[tmpfs("/x", &["nosiud"])]).run();
    done.fails_with("error mounting \"tmpfs\" to rootfs at \"/x\": fsconfig nosiud: invalid argument");
    done.fails_with("did you mean nosuid?");
    done.fails_with("mounts[7].options");
}

fn a_remount_changes_an_earlier_mount() {
    let changed = json!({"destination": "/x", "type": "tmpfs", "options": ["remount", "ro", "noexec"]});
    let table = table(&[tmpfs("/x", &["nosuid"]), changed]);
    assert_eq!(line(&table, "/x").0, "ro,nosuid,noexec,relatime");
    assert_eq!(line(&table, "/x").2.split(',').next(), Some("rw"), "the superblock is left alone");
    let absent = json!({"destination": "/etc", "type": "none", "options": ["remount", "ro"]});
    with(&["true"], &[absent]).run().fails_with("nothing is mounted there");
}

fn a_tmpfs_takes_the_mode_of_what_it_covers() {
    let b = with(
        &["stat", "-c", "%a", "/covered", "/fresh", "/told"],
        &[tmpfs("/covered", &[]), tmpfs("/fresh", &[]), tmpfs("/told", &["mode=700"])],
    );
    std::fs::create_dir(b.rootfs().join("covered")).expect("mkdir");
    std::fs::set_permissions(b.rootfs().join("covered"), PermissionsExt::from_mode(0o1751)).expect("chmod");
    assert_eq!(b.run().ok(), "1751\n755\n700\n");
}

fn a_read_only_tmpfs_takes_its_mount_points() {
    let script = "echo > /run/x; echo > /dev/x; cat /run/in/passwd >/dev/null && echo read; ls /dev/null";
    let mut b = with(&["sh", "-c", script], &[tmpfs("/run", &["ro"]), bind(Path::new("/etc"), "/run/in", &["bind", "ro"])]);
    b.config["mounts"][1]["options"].as_array_mut().expect("options").push(json!("ro"));
    let done = b.run();
    assert_eq!(done.out, "read\n/dev/null\n", "{done:?}");
    assert_eq!(done.err.matches("Read-only file system").count(), 2, "{done:?}");
}

/// A directory of the image with every kind of file in it.
fn fill(dir: &Path) {
    std::fs::create_dir_all(dir.join("sub")).expect("mkdir");
    std::fs::write(dir.join("sub/file"), "text").expect("write");
    std::fs::set_permissions(dir.join("sub/file"), PermissionsExt::from_mode(0o4755)).expect("chmod");
    std::os::unix::fs::chown(dir.join("sub/file"), Some(12), Some(34)).expect("chown");
    std::fs::set_permissions(dir.join("sub/file"), PermissionsExt::from_mode(0o4755)).expect("chmod");
    std::fs::set_permissions(dir.join("sub"), PermissionsExt::from_mode(0o2750)).expect("chmod");
    symlink("/etc/passwd", dir.join("link")).expect("symlink");
    assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().expect("run mkfifo").success());
}

fn tmpcopyup_copies_all_kinds() {
    let script = "cd /up; stat -c '%n %a %u:%g %F' sub sub/file link fifo; readlink link; cat sub/file; echo; echo new > sub/new && echo written";
    let b = with(&["sh", "-c", script], &[tmpfs("/up", &["tmpcopyup"])]);
    fill(&b.rootfs().join("up"));
    assert_eq!(
        b.run().ok(),
        "sub 2750 0:0 directory\nsub/file 4755 12:34 regular file\nlink 777 0:0 symbolic link\nfifo 644 0:0 fifo\n/etc/passwd\ntext\nwritten\n"
    );
    assert!(!b.rootfs().join("up/sub/new").exists(), "the image is as it was");
    let b = with(&["sh", "-c", "cat /up/sub/file; echo > /up/x"], &[tmpfs("/up", &["tmpcopyup", "ro"])]);
    fill(&b.rootfs().join("up"));
    let done = b.run();
    assert!(done.out == "text" && done.err.contains("Read-only file system"), "{done:?}");
}

fn tmpcopyup_follows_nothing() {
    let b = with(&["sh", "-c", "ls -A /up"], &[tmpfs("/up", &["tmpcopyup"])]);
    std::fs::create_dir(b.rootfs().join("real")).expect("mkdir");
    let canary = b.scratch("canary");
    std::fs::create_dir(&canary).expect("mkdir");
    std::fs::write(canary.join("secret"), "x").expect("write");
    symlink(&canary, b.rootfs().join("up")).expect("symlink");
    // Inside the root the link leads to an empty place, which is made there.
    assert_eq!(b.run().ok(), "");
    assert!(b.rootfs().join(canary.strip_prefix("/").expect("absolute")).is_dir());
}
