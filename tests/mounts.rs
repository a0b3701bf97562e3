//! Mounts: every option, every kind, and what a hostile image can do about them.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    attributes_are_set,
    read_only_means_mount_and_superblock,
    filesystem_options_reach_the_filesystem,
    a_misspelt_option_is_explained,
    a_file_and_a_directory_are_bound,
    bind_does_not_take_what_is_mounted_below,
    rbind_does,
    read_only_and_recursively_read_only,
    attributes_of_the_source_are_kept,
    a_missing_source_is_explained,
    a_file_on_a_directory_is_explained,
    a_bind_takes_no_data,
    propagation_is_as_asked,
    slaves_see_what_the_host_mounts_later,
    shared_lets_out_only_what_the_root_lets_out,
    nothing_is_left_on_the_host,
    ids_are_mapped,
    the_containers_own_maps_are_mapped,
    a_tmpfs_takes_the_mode_of_what_it_covers,
    a_read_only_tmpfs_takes_its_mount_points,
    tmpcopyup_copies_all_kinds,
    tmpcopyup_follows_nothing,
    a_remount_changes_an_earlier_mount,
    links_are_copied_or_bound_when_asked,
    cgroups_show_the_containers_own_groups,
    cgroups_without_a_namespace_are_bound,
    sysfs_without_a_net_namespace_is_explained,
    overlay_paths_may_be_long,
    a_relative_destination_is_warned_of,
    missing_targets_are_made_where_links_lead,
    a_read_only_image_lacking_a_target_is_explained,
    proc_and_sys_must_be_directories,
    nothing_but_procfs_stands_on_proc,
    links_in_the_image_stay_in_the_image,
    a_link_into_proc_is_refused,
    devices_of_the_image_are_not_opened,
];

const INFO: [&str; 2] = ["cat", "/proc/self/mountinfo"];

/// The container's mount at `point`, as mountinfo has it: (attributes, optional fields, superblock options).
fn line(table: &str, point: &str) -> (String, String, String) {
    let line = table.lines().rfind(|l| l.split(' ').nth(4) == Some(point)).unwrap_or_else(|| panic!("no {point} in\n{table}"));
    let (left, right) = line.split_once(" - ").expect("a separator");
    let left: Vec<&str> = left.split(' ').collect();
    (left[5].to_owned(), left[6..].join(" "), right.split(' ').nth(2).unwrap_or_default().to_owned())
}

fn with(args: &[&str], mounts: &[Value]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["mounts"].as_array_mut().expect("mounts").extend(mounts.iter().cloned());
    b
}

fn table(mounts: &[Value]) -> String {
    with(&INFO, mounts).run().ok()
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "bind", "source": source, "options": options})
}

fn tmpfs(destination: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options})
}

/// A directory of the host with a mount in it (`inner`, a tmpfs with the file `deep`), gone on drop.
struct HostMount(std::path::PathBuf);

impl HostMount {
    fn new(b: &Bundle, propagation: &str) -> Self {
        let dir = b.scratch("source");
        let inner = dir.join("inner");
        std::fs::create_dir_all(&dir).expect("mkdir");
        let sh = |script: &str| {
            let done = Command::new("sh").args(["-c", script]).current_dir(&dir).status().expect("run sh");
            assert!(done.success(), "{script}");
        };
        // On a mount of its own, so that propagation is the test's alone.
        sh(&format!("mount -t tmpfs outer . && cd . && mount --make-{propagation} \"$PWD\""));
        std::fs::create_dir(&inner).expect("mkdir");
        sh("mount -t tmpfs inner inner && echo deep > inner/deep");
        Self(dir)
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-R").arg(&self.0).status();
        assert!(done.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}

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
        let table = table(&[tmpfs("/x", &[option]), bind(Path::new("/etc"), "/y", &["bind", option])]);
        for point in ["/x", "/y"] {
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

fn propagation_is_as_asked() {
    let b = Bundle::new(&[]);
    let host = HostMount::new(&b, "shared");
    let mounts = |option: &str| table(&[bind(&host.0, "/x", &["rbind", option])]);
    assert!(line(&mounts("rw"), "/x").1.starts_with("master:"), "a copy only receives by default");
    assert_eq!(line(&mounts("rprivate"), "/x").1, "");
    assert_eq!(line(&mounts("private"), "/x").1, "");
    assert!(line(&mounts("rslave"), "/x").1.starts_with("master:"));
    assert!(line(&mounts("rshared"), "/x").1.starts_with("shared:"));
    assert!(line(&mounts("rshared"), "/x").1.contains("master:"));
    assert!(line(&mounts("unbindable"), "/x").1.contains("unbindable"));
    let recursive = mounts("runbindable");
    assert!(line(&recursive, "/x/inner").1.contains("unbindable"), "{recursive}");
    assert!(line(&table(&[tmpfs("/y", &["shared"])]), "/y").1.starts_with("shared:"));
}

fn slaves_see_what_the_host_mounts_later() {
    let mut b =
        Bundle::new(&["sh", "-c", "until [ -e /x/later/flag ]; do sleep 0.02; done; [ ! -e /y/later/flag ] && echo seen"]);
    let host = HostMount::new(&b, "shared");
    std::fs::create_dir(host.0.join("later")).expect("mkdir");
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.extend([bind(&host.0, "/x", &["rbind", "rslave"]), bind(&host.0, "/y", &["rbind", "rprivate"])]);
    let mut child = b.write().command(["run", &b.id]).stdout(std::process::Stdio::piped()).spawn().expect("start rrun");
    // The state file is written by rename, after the directory of the container was made.
    while !b.root().join(&b.id).join("rrun.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    b.wait_for("running");
    let done = Command::new("sh").args(["-c", "mount -t tmpfs later later && : > later/flag"]).current_dir(&host.0).status();
    assert!(done.expect("run sh").success());
    let mut out = String::new();
    std::io::Read::read_to_string(child.stdout.as_mut().expect("piped"), &mut out).expect("read");
    assert!(child.wait().expect("wait").success());
    assert_eq!(out, "seen\n");
}

/// Mounts something at /x/new in the container, and says whether the host sees it.
fn let_out(root: Option<&str>, option: &str) -> bool {
    let mut b = Bundle::new(&["sh", "-c", "mount -t tmpfs new /x/new && : > /x/new/flag && echo mounted; sleep 100"]);
    let host = HostMount::new(&b, "shared");
    std::fs::create_dir(host.0.join("new")).expect("mkdir");
    b.config["mounts"].as_array_mut().expect("mounts").push(bind(&host.0, "/x", &["rbind", option]));
    for set in ["bounding", "effective", "permitted"] {
        b.config["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN"]);
    }
    if let Some(root) = root {
        b.config["linux"]["rootfsPropagation"] = json!(root);
    }
    let mut child = b.write().command(["run", &b.id]).stdout(std::process::Stdio::piped()).spawn().expect("start rrun");
    let mut said = [0; 8];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut said).expect("mounted");
    let seen = host.0.join("new/flag").exists();
    b.rrun(["delete", "--force", &b.id]).ok();
    child.wait().expect("wait");
    if seen {
        assert!(Command::new("umount").arg(host.0.join("new")).status().expect("run umount").success());
    }
    seen
}

fn shared_lets_out_only_what_the_root_lets_out() {
    assert!(!let_out(None, "rshared"), "the root is a slave");
    assert!(!let_out(Some("rshared"), "rprivate"));
    assert!(let_out(Some("rshared"), "rshared"));
}

fn nothing_is_left_on_the_host() {
    for root in ["rshared", "shared", "rslave", "rprivate", "private", "slave"] {
        let mut b = Bundle::new(&["true"]);
        // A root that is a shared mount of the host is the case in which /proc and /dev would be carried out.
        let dir = b.rootfs();
        let script = format!("mount --bind {0} {0} && mount --make-shared {0}", dir.display());
        assert!(Command::new("sh").args(["-c", &script]).status().expect("run sh").success());
        b.config["linux"]["rootfsPropagation"] = json!(root);
        let done = b.run();
        let left = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let left: Vec<&str> = left.lines().filter(|l| l.contains(dir.to_str().expect("UTF-8"))).collect();
        let inside = left.iter().filter(|l| !l.split(' ').nth(4).is_some_and(|p| Path::new(p) == dir)).count();
        assert!(Command::new("umount").arg("-R").arg(&dir).status().expect("run umount").success());
        done.ok();
        assert_eq!(inside, 0, "{root}: {left:?}");
    }
}

fn mapping(container: u32, host: u32) -> Value {
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
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").push(json!({"type": "user"}));
    b.config["linux"]["uidMappings"] = maps.clone();
    b.config["linux"]["gidMappings"] = maps;
    let mounts = b.config["mounts"].as_array_mut().expect("mounts");
    mounts.extend([bind(&dir, "/x", &["bind", "idmap"]), bind(&dir, "/y", &["bind"])]);
    for (made, mode) in [("x", 0o777), ("y", 0o777)] {
        std::fs::create_dir(b.rootfs().join(made)).expect("mkdir");
        std::fs::set_permissions(b.rootfs().join(made), PermissionsExt::from_mode(mode)).expect("chmod");
    }
    assert_eq!(b.run().ok(), "0\n65534\n");
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

fn a_remount_changes_an_earlier_mount() {
    let changed = json!({"destination": "/x", "type": "tmpfs", "options": ["remount", "ro", "noexec"]});
    let table = table(&[tmpfs("/x", &["nosuid"]), changed]);
    assert_eq!(line(&table, "/x").0, "ro,nosuid,noexec,relatime");
    assert_eq!(line(&table, "/x").2.split(',').next(), Some("rw"), "the superblock is left alone");
    let absent = json!({"destination": "/etc", "type": "none", "options": ["remount", "ro"]});
    with(&["true"], &[absent]).run().fails_with("nothing is mounted there");
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
        b.run().fails_with("must be mounted on an ordinary directory");
        assert!(is_empty(&canary));
        let (b, _) = hostile(at, &["true"], &[]);
        let link = b.rootfs().join(&at[1..]);
        std::fs::remove_file(&link).expect("unlink");
        symlink("etc", link).expect("symlink");
        b.run().fails_with("must be mounted on an ordinary directory");
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
