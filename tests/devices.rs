//! Devices: the nodes of every container and those of the configuration, and images that would have them made elsewhere.

use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    every_container_has_these,
    a_umask_changes_nothing,
    nodes_of_the_configuration_are_made if needs_root,
    the_right_node_of_an_image_is_used if needs_root,
    a_wrong_node_of_an_image_is_refused if needs_root,
    user_namespaces_get_the_hosts,
    nothing_is_made_in_a_bound_dev,
    a_link_at_dev_stays_in_the_image,
    links_below_dev_stay_in_the_image if needs_root,
    ptmx_is_the_containers_own,
    the_console_is_the_terminal,
    a_link_at_console_is_covered,
];

const LIST: &str = "cd /dev; stat -c '%n %a %u:%g %F %t:%T' full null random tty urandom zero; \
                    for l in fd ptmx stderr stdin stdout; do echo $l $(readlink $l); done";

const DEFAULT: &str = "full 666 0:0 character special file 1:7\nnull 666 0:0 character special file 1:3\n\
                       random 666 0:0 character special file 1:8\ntty 666 0:0 character special file 5:0\n\
                       urandom 666 0:0 character special file 1:9\nzero 666 0:0 character special file 1:5\n\
                       fd /proc/self/fd\nptmx pts/ptmx\nstderr /proc/self/fd/2\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\n";

/// [`DEFAULT`]; to whom root is not mapped, the owner of the host's nodes is nobody.
fn expected() -> String {
    if needs_root().is_some() { DEFAULT.replace("666 0:0", "666 65534:65534") } else { DEFAULT.to_owned() }
}

fn with(args: &[&str], devices: Value) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["linux"]["devices"] = devices;
    b
}

/// No mount on or below /dev: the image's own directory is used.
fn bare(args: &[&str]) -> Bundle {
    let mut b = Bundle::new(args);
    b.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .retain(|m| !m["destination"].as_str().is_some_and(|d| d.starts_with("/dev")));
    b
}

fn every_container_has_these() {
    assert_eq!(Bundle::new(&["sh", "-c", LIST]).run().ok(), expected());
    let b =
        Bundle::new(&["sh", "-c", "echo x > /dev/null && head -c 3 /dev/zero | od -An -tx1 && head -c 1 /dev/urandom | wc -c"]);
    assert_eq!(b.run().ok(), " 00 00 00\n1\n");
}

fn a_umask_changes_nothing() {
    let b = with(&["sh", "-c", &format!("stat -c %a /dev/pts /dev/sub; {LIST}")], json!([{"path": "/dev/sub/x", "type": "p"}]));
    let rrun = rrun_path();
    let script = format!("umask 077; exec {} --root {} run {}", rrun.display(), b.root().display(), b.id);
    std::fs::create_dir_all(b.root()).expect("mkdir");
    b.write();
    let done: Done = Command::new("sh").args(["-c", &script]).current_dir(b.path()).output().expect("run sh").into();
    assert_eq!(done.ok(), format!("755\n755\n{}", expected()));
}

fn nodes_of_the_configuration_are_made() {
    let b = with(
        &["stat", "-c", "%n %a %u:%g %F %t:%T", "/dev/net/tun", "/dev/pipe", "/other/disk", "/dev/null"],
        json!([
            {"path": "/dev/net/tun", "type": "u", "major": 10, "minor": 200, "fileMode": 432, "uid": 7, "gid": 8},
            {"path": "/dev/pipe", "type": "p"},
            {"path": "/other/disk", "type": "b", "major": 7, "minor": 300, "fileMode": 0o600},
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o620},
        ]),
    );
    assert_eq!(
        b.run().ok(),
        "/dev/net/tun 660 7:8 character special file a:c8\n/dev/pipe 666 0:0 fifo 0:0\n\
         /other/disk 600 0:0 block special file 7:12c\n/dev/null 620 0:0 character special file 1:3\n"
    );
    with(&["true"], json!([{"path": "/dev/x", "type": "a"}])).run().fails_with("linux.devices[0]");
    with(&["true"], json!([{"path": "/dev/../etc/x", "type": "c", "major": 1, "minor": 3}])).run().fails_with("linux.devices[0]");
}

fn mknod(path: &Path, kind: &str, numbers: &[&str]) {
    assert!(Command::new("mknod").arg(path).arg(kind).args(numbers).status().expect("run mknod").success());
}

fn the_right_node_of_an_image_is_used() {
    let b = bare(&["sh", "-c", "stat -c '%a %t:%T' /dev/null"]);
    mknod(&b.rootfs().join("dev/null"), "c", &["1", "3"]);
    assert!(Command::new("chmod").arg("600").arg(b.rootfs().join("dev/null")).status().expect("run chmod").success());
    assert_eq!(b.run().ok(), "666 1:3\n");
}

fn a_wrong_node_of_an_image_is_refused() {
    let b = bare(&["true"]);
    mknod(&b.rootfs().join("dev/null"), "c", &["1", "1"]);
    b.run().fails_with("/dev/null exists in the image and is something else");
    let b = bare(&["true"]);
    std::fs::write(b.rootfs().join("dev/zero"), "").expect("write");
    b.run().fails_with("/dev/zero exists in the image and is something else");
}

fn in_user_namespace(mut b: Bundle) -> Bundle {
    map_ids(&mut b.config, 0, 65_536);
    b
}

fn user_namespaces_get_the_hosts() {
    let b = in_user_namespace(Bundle::new(&[
        "sh",
        "-c",
        &format!("{LIST}; echo x > /dev/null && grep -c ' /dev/null ' /proc/self/mountinfo"),
    ]));
    assert_eq!(b.run().ok(), format!("{}1\n", expected()));
    // A file of the host under a device's name is not taken for it.
    let b = Bundle::new(&[]);
    let fake = b.scratch("fake");
    std::fs::write(&fake, "").expect("write");
    let mut b = in_user_namespace(with(&["true"], json!([{"path": fake, "type": "c", "major": 1, "minor": 3}])));
    b.config["linux"]["resources"] = json!({});
    b.run().fails_with("of the host is another device");
}

fn nothing_is_made_in_a_bound_dev() {
    let mut b = bare(&["ls", "-A", "/dev"]);
    let dev = b.scratch("dev");
    std::fs::create_dir(&dev).expect("mkdir");
    b.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .push(json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]}));
    b.run().ok();
    assert!(std::fs::read_dir(&dev).expect("read").next().is_none());
}

fn canary(b: &Bundle) -> PathBuf {
    let dir = b.scratch("canary");
    std::fs::create_dir_all(dir.join("pts")).expect("mkdir");
    std::fs::write(dir.join("ptmx"), "keep").expect("write");
    dir
}

fn assert_untouched(canary: &Path) {
    let mut names: Vec<_> = std::fs::read_dir(canary).expect("read").map(|e| e.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["ptmx", "pts"]);
    assert_eq!(std::fs::read_to_string(canary.join("ptmx")).expect("read"), "keep");
}

/// CVE-2026-41579: `ptmx` was removed and links were made where the image's /dev led, on the host.
fn a_link_at_dev_stays_in_the_image() {
    for mounted in [true, false] {
        let b = if mounted { Bundle::new(&["true"]) } else { bare(&["true"]) };
        let canary = canary(&b);
        std::fs::remove_dir_all(b.rootfs().join("dev")).expect("rmdir");
        symlink(&canary, b.rootfs().join("dev")).expect("symlink");
        b.run().ok();
        assert_untouched(&canary);
        // A chain, and one that climbs.
        std::fs::remove_file(b.rootfs().join("dev")).expect("unlink");
        symlink("dev2", b.rootfs().join("dev")).expect("symlink");
        symlink(format!("../../../../../../../..{}", canary.display()), b.rootfs().join("dev2")).expect("symlink");
        b.run().ok();
        assert_untouched(&canary);
    }
}

fn links_below_dev_stay_in_the_image() {
    let mut b = bare(&["true"]);
    let canary = canary(&b);
    b.config["linux"]["devices"] = json!([{"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200}]);
    symlink(&canary, b.rootfs().join("dev/net")).expect("symlink");
    b.run().ok();
    assert_untouched(&canary);
    let node = b.rootfs().join(canary.strip_prefix("/").expect("absolute")).join("tun");
    assert!(node.metadata().expect("made in the image").file_type().is_char_device());
    let b = bare(&["true"]);
    symlink(canary.join("ptmx"), b.rootfs().join("dev/null")).expect("symlink");
    b.run().fails_with("/dev/null exists in the image");
    assert_untouched(&canary);
}

fn ptmx_is_the_containers_own() {
    let b = bare(&["readlink", "/dev/ptmx"]);
    let canary = canary(&b);
    symlink(canary.join("ptmx"), b.rootfs().join("dev/ptmx")).expect("symlink");
    assert_eq!(b.run().ok(), "pts/ptmx\n");
    assert_untouched(&canary);
}

fn with_terminal(b: &mut Bundle) -> Done {
    b.config["process"]["terminal"] = json!(true);
    b.write();
    // script(1) gives rrun a terminal to relay.
    let command = format!("{} --root {} run {}", rrun_path().display(), b.root().display(), b.id);
    std::fs::create_dir_all(b.root()).expect("mkdir");
    Command::new("script").args(["-qec", &command, "/dev/null"]).current_dir(b.path()).output().expect("run script").into()
}

fn the_console_is_the_terminal() {
    let script = "[ /dev/console -ef /dev/pts/0 ] && echo same; stat -c %t:%T /dev/console; echo through > /dev/console";
    let out = with_terminal(&mut Bundle::new(&["sh", "-c", script])).ok();
    // script(1) itself sends an end of file, which a terminal may echo as ^@.
    assert!(out.replace('\r', "").replace("^@", "").contains("same\n88:0\nthrough\n"), "{out}");
}

fn a_link_at_console_is_covered() {
    let mut b = bare(&["sh", "-c", "stat -L -c %t:%T /dev/console"]);
    b.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .push(json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
        "options": ["newinstance", "ptmxmode=0666"]}));
    let canary = canary(&b);
    symlink(canary.join("ptmx"), b.rootfs().join("dev/console")).expect("symlink");
    let out = with_terminal(&mut b).ok();
    assert!(out.contains("88:0"), "{out}");
    assert_untouched(&canary);
}
