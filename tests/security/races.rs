//! Races: somebody who shares the image exchanges a directory and a link, or two directories, all the time that rrun works.
//!
//! The exchanger is renameat2(2) in threads. `RRUN_STRESS_SECONDS` says how long each race runs and `RRUN_STRESS_THREADS`
//! how many threads exchange; scripts/stress.sh sets both. Here it is a glance: long enough to meet every step.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::json;

use super::{Canary, without_mounts_at};
use crate::support::*;

crate::tests![
    mount_destinations,
    directories_on_the_way,
    dev,
    the_console,
    proc if needs_root,
    sys if needs_root,
    masked_and_read_only_paths,
    the_working_directory,
    copied_up_directories,
    two_containers_on_one_volume if needs_root,
];

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

/// Exchanges the pairs in threads of its own while `run` is called again and again. Counts of (all, successful) runs.
fn race(pairs: &[(PathBuf, PathBuf)], mut run: impl FnMut() -> bool) -> (u32, u32) {
    let over = AtomicBool::new(false);
    let exchange = |(a, b): &(PathBuf, PathBuf), pause: u64| {
        while !over.load(Ordering::Relaxed) {
            renameat2(AT_FDCWD, a, AT_FDCWD, b, RenameFlags::RENAME_EXCHANGE).expect("renameat2");
            // At different speeds: the quick one meets instants, the slow one lets steps pass.
            if pause > 0 {
                std::thread::sleep(Duration::from_micros(pause));
            }
        }
    };
    std::thread::scope(|scope| {
        for n in 0..setting("RRUN_STRESS_THREADS", 2) {
            pairs.iter().for_each(|pair| drop(scope.spawn(move || exchange(pair, [0, 300, 2000][n as usize % 3]))));
        }
        let end = Instant::now() + Duration::from_secs(setting("RRUN_STRESS_SECONDS", 1));
        let (mut all, mut good) = (0, 0);
        // The threads must end whatever the attempt said.
        let raced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // On a busy machine few runs fit into the time, and a race may win them all.
            while all < 5 || Instant::now() < end || (good == 0 && all < 200) {
                all += 1;
                good += u32::from(run());
            }
        }));
        over.store(true, Ordering::Relaxed);
        raced.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        (all, good)
    })
}

/// Races the bundle's `run`: the canary stays, nothing of the host is shown, an error is clear and leaves nothing. A run
/// that succeeded must have printed what `told` accepts.
#[track_caller]
fn race_run(b: &Bundle, canary: &Canary, pairs: &[(PathBuf, PathBuf)], told: impl Fn(&str) -> bool) {
    b.write();
    let (all, good) = race(pairs, || {
        let done = b.rrun(["run", &b.id]);
        canary.assert_untouched("a race");
        assert!(!done.out.contains("secret of the host"), "{done:?}");
        assert!(done.code == 0 || (done.code == 1 && !done.err.trim().is_empty()), "{done:?}");
        assert!(done.code != 0 || told(&done.out), "{done:?}");
        assert!(!b.root().join(&b.id).exists(), "{done:?}");
        done.code == 0
    });
    b.assert_no_trace();
    // A race that never lets a container start would prove little.
    assert!(good > 0, "no run of {all} succeeded");
}

/// A directory of the root, and a link to the canary that takes its place.
fn directory_or_link(b: &Bundle, canary: &Canary, name: &str) -> (PathBuf, PathBuf) {
    let (dir, link) = (b.rootfs().join(name), b.rootfs().join(format!("{name}.link")));
    fs::create_dir_all(&dir).expect("mkdir");
    symlink(canary.path(), &link).expect("symlink");
    (dir, link)
}

fn mounted(b: &mut Bundle, mounts: impl IntoIterator<Item = serde_json::Value>) {
    b.config["mounts"].as_array_mut().expect("mounts").extend(mounts);
}

/// CVE-2021-30465: between the check of a destination and its use it became a link to the host.
fn mount_destinations() {
    let mut b = Bundle::new(&["sh", "-c", "cat /x/* /x/etc/* 2> /dev/null; true"]);
    let canary = Canary::new(&b);
    let pair = directory_or_link(&b, &canary, "x");
    fs::create_dir(pair.0.join("etc")).expect("mkdir");
    // The same path in the image, so that the link leads somewhere.
    fs::create_dir_all(canary.inside(&b).join("etc")).expect("mkdir");
    mounted(
        &mut b,
        [
            json!({"destination": "/x/etc", "type": "tmpfs"}),
            json!({"destination": "/x/pts", "type": "tmpfs", "options": ["tmpcopyup"]}),
            json!({"destination": "/x/passwd", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}),
        ],
    );
    let hostname = fs::read_to_string("/etc/hostname").unwrap_or_default();
    race_run(&b, &canary, &[pair], |out| out.lines().all(|line| hostname.contains(line)));
}

/// CVE-2024-45310: directories and files of a mount point were made on the host.
fn directories_on_the_way() {
    let mut b = Bundle::new(&["true"]);
    let canary = Canary::new(&b);
    let pairs = [directory_or_link(&b, &canary, "a"), directory_or_link(&b, &canary, "a.b")];
    let made = |n: u32| json!({"destination": format!("/a/new{n}/deep/er/{n}"), "type": "tmpfs"});
    mounted(&mut b, (0..4).map(made));
    mounted(
        &mut b,
        [
            json!({"destination": "/a.b/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}),
            json!({"destination": "/a.b/deep/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}),
        ],
    );
    race_run(&b, &canary, &pairs, |_| true);
}

/// CVE-2026-41579 and its like, in motion; with /dev of the image itself.
fn dev() {
    let mut b = Bundle::new(&["true"]);
    let canary = Canary::new(&b);
    let pairs = [directory_or_link(&b, &canary, "dev"), directory_or_link(&b, &canary, "sub")];
    without_mounts_at(&mut b, "/dev");
    if needs_root().is_none() {
        b.config["linux"]["devices"] = json!([{"path": "/sub/tun", "type": "c", "major": 10, "minor": 200}]);
    }
    b.config["linux"]["maskedPaths"] = json!(["/proc/keys"]);
    race_run(&b, &canary, &pairs, |_| true);
}

/// CVE-2025-52565: what was bound on /dev/console, or opened as a terminal, was another file by then.
fn the_console() {
    let mut b = Bundle::new(&["sh", "-c", "stat -L -c %t:%T /proc/self/fd/0; test ! -L /dev/pts/0 && echo good"]);
    let canary = Canary::new(&b);
    without_mounts_at(&mut b, "/dev");
    fs::create_dir_all(b.rootfs().join("dev/pts")).expect("mkdir");
    let options = json!(["newinstance", "ptmxmode=0666", "mode=0620"]);
    mounted(&mut b, [json!({"destination": "/dev/pts", "type": "devpts", "options": options})]);
    b.config["process"]["terminal"] = json!(true);
    fs::write(b.rootfs().join("dev/console"), "").expect("write");
    symlink(canary.path().join("console"), b.rootfs().join("console.link")).expect("symlink");
    let pairs = [(b.rootfs().join("dev/console"), b.rootfs().join("console.link"))];
    let socket = b.scratch("s");
    b.write();
    let (all, good) = race(&pairs, || {
        // A new one each time: what failed has connected too.
        fs::remove_file(&socket).ok();
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bind");
        let mut command = b.command(["run", "--detach", "--console-socket", socket.to_str().expect("UTF-8"), &b.id]);
        let status =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().expect("start rrun");
        canary.assert_untouched("a race for the console");
        if status.success() {
            let out = crate::console::all_of(crate::console::receive(&listener).1);
            assert!(out.contains("88:0") && out.contains("good"), "{out:?}");
        }
        b.rrun(["delete", "--force", &b.id]).ok();
        status.success()
    });
    assert!(good > 0, "no run of {all} succeeded");
}

/// What was masked must be so wherever the view is found afterwards.
const VIEWS: &str = "for d in /proc /proc.dir /sys /sys.dir; do cat $d/keys $d/kernel/uevent_seqnum 2> /dev/null; \
                     ( : >> $d/sys/kernel/core_pattern ) 2> /dev/null && echo writable; done; true";

fn two_directories(b: &Bundle, name: &str) -> (PathBuf, PathBuf) {
    let (dir, other) = (b.rootfs().join(name), b.rootfs().join(format!("{name}.dir")));
    [&dir, &other].iter().for_each(|d| fs::create_dir_all(d).expect("mkdir"));
    (dir, other)
}

fn views() -> Bundle {
    let mut b = Bundle::new(&["sh", "-c", VIEWS]);
    b.config["linux"]["maskedPaths"] = json!(["/proc/keys", "/sys/kernel", "/sys/firmware"]);
    b.config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/proc/sysrq-trigger"]);
    b
}

fn core_pattern() -> Vec<u8> {
    fs::read("/proc/sys/kernel/core_pattern").expect("core_pattern")
}

/// CVE-2019-19921, CVE-2025-31133, CVE-2025-52881: the procfs is elsewhere when its masks are laid, or a link takes its place.
fn proc() {
    let b = views();
    let canary = Canary::new(&b);
    let before = core_pattern();
    race_run(&b, &canary, &[two_directories(&b, "proc")], str::is_empty);
    let linked = views();
    let pair = directory_or_link(&linked, &canary, "proc");
    race_run(&linked, &canary, &[pair], str::is_empty);
    assert_eq!(core_pattern(), before);
}

fn sys() {
    let b = views();
    let canary = Canary::new(&b);
    race_run(&b, &canary, &[two_directories(&b, "sys")], str::is_empty);
    let linked = views();
    let pair = directory_or_link(&linked, &canary, "sys");
    race_run(&linked, &canary, &[pair], str::is_empty);
}

/// CVE-2025-31133, CVE-2025-62161: what was bound over a masked path was a link to what should be out of reach.
fn masked_and_read_only_paths() {
    let mut b =
        Bundle::new(&["sh", "-c", "cat /proc/keys; ( : >> /proc/sys/kernel/hostname ) 2> /dev/null && echo writable; true"]);
    let canary = Canary::new(&b);
    if needs_root().is_none() {
        without_mounts_at(&mut b, "/dev");
    }
    let pairs = [directory_or_link(&b, &canary, "data"), directory_or_link(&b, &canary, "dev")];
    fs::create_dir_all(b.rootfs().join("data/shm")).expect("mkdir");
    fs::write(b.rootfs().join("data/keys"), "").expect("write");
    b.config["linux"]["maskedPaths"] = json!(["/proc/keys", "/data/shm", "/data/keys", "/data/none"]);
    b.config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/data/net", "/data", "/data/ptmx"]);
    let before = core_pattern();
    race_run(&b, &canary, &pairs, str::is_empty);
    assert_eq!(core_pattern(), before);
}

/// CVE-2026-55686, CVE-2026-1386: the directory to work in, made when missing, is a link when it is made.
fn the_working_directory() {
    let mut b = Bundle::new(&["sh", "-c", "cat ../* ../../* 2> /dev/null; true"]);
    let canary = Canary::new(&b);
    let pair = directory_or_link(&b, &canary, "work");
    b.config["process"]["cwd"] = json!("/work/made/here");
    race_run(&b, &canary, &[pair], str::is_empty);
}

/// A tree that is copied into a tmpfs while its directories become links.
fn copied_up_directories() {
    let mut b = Bundle::new(&["sh", "-c", "find /up -type f | xargs cat"]);
    let canary = Canary::new(&b);
    let pair = directory_or_link(&b, &canary, "up/one");
    (0..20).for_each(|n| fs::create_dir_all(pair.0.join(format!("{n}/etc"))).expect("mkdir"));
    mounted(&mut b, [json!({"destination": "/up", "type": "tmpfs", "options": ["tmpcopyup"]})]);
    race_run(&b, &canary, &[pair], str::is_empty);
}

/// CVE-2019-19921 as it was: one container of the volume rearranges it from inside while the other one is made on it.
fn two_containers_on_one_volume() {
    let volume_of = |b: &mut Bundle, source: &Path| {
        mounted(b, [json!({"destination": "/v", "type": "bind", "source": source, "options": ["rbind"]})])
    };
    let script = "while :; do mv /v/x /v/y; ln -s /etc /v/x; rm /v/x; mv /v/y /v/x; done 2> /dev/null";
    let mut neighbour = Bundle::new(&["sh", "-c", script]);
    let mut b = Bundle::new(&["true"]);
    let canary = Canary::new(&b);
    // The neighbour's, who must be gone before it can be removed.
    let volume = neighbour.scratch("volume");
    fs::create_dir_all(volume.join("x")).expect("mkdir");
    volume_of(&mut neighbour, &volume);
    volume_of(&mut b, &volume);
    mounted(
        &mut b,
        [
            json!({"destination": "/v/x/etc", "type": "tmpfs"}),
            json!({"destination": "/v/x/made/file", "type": "bind", "source": "/etc/hostname", "options": ["bind"]}),
        ],
    );
    b.config["linux"]["maskedPaths"] = json!(["/v/x/etc"]);
    neighbour.run_detached();
    let names = || fs::read_dir("/etc").expect("readdir").count();
    let etc = names();
    race_run(&b, &canary, &[], |_| true);
    assert_eq!(names(), etc, "something was made in /etc of the host");
}
