//! Binds: what of the host is seen, how much of it, and with whose rights and ids.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{HostMount, INFO, bind, line, with};
use crate::support::*;

crate::tests![
    a_file_and_a_directory_are_bound,
    bind_does_not_take_what_is_mounted_below if needs_root,
    rbind_does if needs_root,
    read_only_and_recursively_read_only if needs_root,
    attributes_of_the_source_are_kept if needs_root,
    a_missing_source_is_explained,
    a_file_on_a_directory_is_explained,
    a_bind_takes_no_data,
    ids_are_mapped if lacks_id_maps,
    the_containers_own_maps_are_mapped if lacks_id_maps,
    links_are_copied_or_bound_when_asked,
];

fn a_file_and_a_directory_are_bound() {
    let b = with(&["sh", "-c", "cat /made/file /made/dir/in; cat /relative"], &[]);
    let (file, dir) = (b.scratch("file"), b.scratch("dir"));
    std::fs::write(&file, "F").expect("write");
    std::fs::create_dir(&dir).expect("mkdir");
    std::fs::write(dir.join("in"), "D").expect("write");
    std::fs::write(b.path().join("rel"), "R").expect("write");
    let link = b.scratch("link");
    symlink(&dir, &link).expect("symlink");
    let mut b = b;
    // The link is the host's: it is followed there.
    b.config["mounts"].as_array_mut().expect("mounts").extend([
        bind(&file, "/made/file", &["bind"]),
        bind(&link, "/made/dir", &["rbind"]),
        bind(Path::new("rel"), "/relative", &["bind"]),
    ]);
    assert_eq!(b.run().ok(), "FDR");
    assert!(b.rootfs().join("made/file").is_file() && b.rootfs().join("made/dir").is_dir());
    assert_eq!(b.rootfs().join("made").metadata().expect("made").mode() & 0o7777, 0o755);
}

fn bind_does_not_take_what_is_mounted_below() {
    let mut b = Bundle::new(&["ls", "/x/inner"]);
    let host = HostMount::new(&b, "private");
    b.config["mounts"].as_array_mut().expect("mounts").push(bind(&host.0, "/x", &["bind"]));
    assert_eq!(b.run().ok(), "");
}

fn rbind_does() {
    let mut b = Bundle::new(&["cat", "/x/inner/deep"]);
    let host = HostMount::new(&b, "private");
    b.config["mounts"].as_array_mut().expect("mounts").push(bind(&host.0, "/x", &["rbind"]));
    assert_eq!(b.run().ok(), "deep\n");
}

fn read_only_and_recursively_read_only() {
    let mut b = Bundle::new(&[
        "sh",
        "-c",
        "echo > /ro/f; echo > /ro/inner/f && echo inner; echo > /rro/f; echo > /rro/inner/f; echo end",
    ]);
    let host = HostMount::new(&b, "private");
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.extend([bind(&host.0, "/ro", &["rbind", "ro"]), bind(&host.0, "/rro", &["rbind", "rro"])]);
    let done = b.run();
    assert_eq!(done.out, "inner\nend\n", "{done:?}");
    assert_eq!(done.err.matches("Read-only file system").count(), 3, "{done:?}");
    // The host's own mount is as it was.
    std::fs::write(host.0.join("inner/f"), "").expect("still writable");
}

fn attributes_of_the_source_are_kept() {
    let mut b = Bundle::new(&INFO);
    let host = HostMount::new(&b, "private");
    let done = Command::new("mount").args(["-o", "remount,bind,noexec,nodev"]).arg(&host.0).status().expect("run mount");
    assert!(done.success());
    b.config["mounts"].as_array_mut().expect("mounts").push(bind(&host.0, "/x", &["bind", "nosuid"]));
    b.config["mounts"].as_array_mut().expect("mounts").push(bind(&host.0, "/y", &["bind", "exec"]));
    let table = b.run().ok();
    assert!(line(&table, "/x").0.starts_with("rw,nosuid,nodev,noexec"), "{table}");
    assert!(line(&table, "/y").0.starts_with("rw,nodev,relatime"), "{table}");
}

fn a_missing_source_is_explained() {
    let done = with(&["true"], &[bind(Path::new("/no/such"), "/x", &["bind"])]).run();
    done.fails_with("error mounting \"/no/such\" to rootfs at \"/x\": open_tree /no/such: no such file or directory");
    done.fails_with("mounts[7].source");
    done.fails_with("create it");
}

fn a_file_on_a_directory_is_explained() {
    let done = with(&["true"], &[bind(Path::new("/etc/passwd"), "/etc", &["bind"])]).run();
    done.fails_with("error mounting \"/etc/passwd\" to rootfs at \"/etc\": move_mount: not a directory");
    done.fails_with("make both the same kind");
}

fn a_bind_takes_no_data() {
    let done = with(&["true"], &[bind(Path::new("/etc"), "/x", &["bind", "mode=755"])]).run();
    done.fails_with("bind mounts cannot have any filesystem-specific options applied");
    let done = with(&["true"], &[json!({"destination": "/x", "source": "/etc"})]).run();
    done.fails_with("rbind");
}

/// Whether the kernel is older than this version.
pub fn is_older_than((major, minor): (u32, u32)) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    let mut numbers = release.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) < (Some(major), Some(minor))
}

/// Most filesystems can be id-mapped since Linux 5.12; tmpfs, on which a test may run, since 6.3.
pub fn lacks_id_maps() -> Option<&'static str> {
    let old = is_older_than((6, 3));
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(std::env::temp_dir()).output().expect("run stat");
    needs_root().or((old && kind.stdout.starts_with(b"tmpfs")).then_some("no id maps on tmpfs"))
}

/// Ten ids.
pub fn mapping(container: u32, host: u32) -> Value {
    json!([{"containerID": container, "hostID": host, "size": 10}])
}

fn ids_are_mapped() {
    let mut b = Bundle::new(&["stat", "-c", "%u:%g", "/x/f", "/y/f"]);
    let dir = b.scratch("dir");
    std::fs::create_dir(&dir).expect("mkdir");
    std::fs::write(dir.join("f"), "").expect("write");
    let mut mapped = bind(&dir, "/x", &["bind"]);
    mapped["uidMappings"] = mapping(0, 1000);
    mapped["gidMappings"] = mapping(0, 2000);
    b.config["mounts"].as_array_mut().expect("mounts").extend([mapped, bind(&dir, "/y", &["bind"])]);
    assert_eq!(b.run().ok(), "1000:2000\n0:0\n");
}

fn the_containers_own_maps_are_mapped() {
    let mut b = Bundle::new(&["stat", "-c", "%u", "/x/f", "/y/f"]);
    let dir = b.scratch("dir");
    std::fs::create_dir(&dir).expect("mkdir");
    std::fs::write(dir.join("f"), "").expect("write");
    map_ids(&mut b.config, 100_000, 65_536);
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.extend([bind(&dir, "/x", &["bind", "idmap"]), bind(&dir, "/y", &["bind"])]);
    for (made, mode) in [("x", 0o777), ("y", 0o777)] {
        std::fs::create_dir(b.rootfs().join(made)).expect("mkdir");
        std::fs::set_permissions(b.rootfs().join(made), PermissionsExt::from_mode(mode)).expect("chmod");
    }
    assert_eq!(b.run().ok(), "0\n65534\n");
}

fn links_are_copied_or_bound_when_asked() {
    let mut b = Bundle::new(&["sh", "-c", "readlink /copied; cat /followed; ls -ld /bound | cut -c1; readlink /bound"]);
    let (file, link) = (b.scratch("file"), b.scratch("link"));
    std::fs::write(&file, "text\n").expect("write");
    symlink("file", &link).expect("symlink");
    symlink("nowhere", b.rootfs().join("bound")).expect("symlink");
    b.config["mounts"].as_array_mut().expect("mounts").extend([
        bind(&link, "/copied", &["bind", "copy-symlink"]),
        bind(&file, "/followed", &["bind", "copy-symlink"]),
        bind(&link, "/bound", &["bind", "src-nofollow", "dest-nofollow"]),
    ]);
    assert_eq!(b.run().ok(), "file\ntext\nl\nfile\n");
    assert!(!b.rootfs().join("nowhere").exists());
}
