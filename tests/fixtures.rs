//! The bundles of rootfs-fixtures/, a real Debian, a server, and rrun killed at any instant.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    hello_says_hello,
    limited_is_limited if lacks_cpuset,
    userns_root_is_nobody_outside if needs_root,
    hardened_holds_against_its_own_process if needs_groups,
    shell_talks_over_a_terminal,
    layered_shows_three_layers_as_one_root if lacks_marks_of_layers,
    layered_has_all_eight_namespaces if lacks_time_namespace,
    layered_is_under_its_limits if lacks_time_namespace,
    layered_writes_are_its_own if lacks_time_namespace,
    debian_runs if lacks_debian,
    a_server_answers_until_it_is_killed,
    a_kill_at_any_instant_leaves_nothing_that_delete_cannot_clean if lacks_time_namespace,
];

/// The fixtures: `RRUN_FIXTURES` if given, else built once for this run.
pub fn fixtures() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        if let Some(dir) = std::env::var_os("RRUN_FIXTURES") {
            return dir.into();
        }
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("rootfs-fixtures/build.sh");
        let out = work_dir().join("fixtures");
        let done: Done = Command::new(build).arg(&out).arg(witness_path()).output().expect("start build.sh").into();
        done.ok();
        out
    })
}

/// The fixture `name` as it is, but with a state root and an id of the test's own.
fn fixture(name: &str) -> Bundle {
    let mut bundle = Bundle::new(&[]);
    let dir = fixtures().join(name);
    let config = std::fs::read(dir.join("config.json")).expect("a fixture");
    bundle.config = serde_json::from_slice(&config).expect("JSON");
    bundle.config["root"]["path"] = json!(dir.join("rootfs"));
    if needs_root().is_some() {
        bundle.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != "user");
        map_own_ids(&mut bundle.config);
    }
    if let Some(layers) = bundle.config["annotations"]["io.rrun.rootfs.layers"].as_str() {
        let layers: Vec<String> = serde_json::from_str(layers).expect("an array");
        let layers: Vec<PathBuf> = layers.iter().map(|l| dir.join(l)).collect();
        bundle.config["annotations"]["io.rrun.rootfs.layers"] = json!(serde_json::to_string(&layers).expect("JSON"));
    }
    bundle
}

/// Runs the bundle with these arguments for the witness, separated by blanks.
fn ask(bundle: &mut Bundle, args: &str) -> Value {
    bundle.config["process"]["args"] = format!("witness {args}").split_whitespace().collect();
    serde_json::from_str(&bundle.run().ok()).expect("JSON of the witness")
}

fn errno(answer: &Value, deed: usize) -> &str {
    answer["did"][deed]["errno"].as_str().unwrap_or("none")
}

fn hello_says_hello() {
    assert_eq!(fixture("hello").run().ok(), "Hello from a container\n");
}

fn limited_is_limited() {
    let mut bundle = fixture("limited");
    let seen = ask(&mut bundle, "rlimits oom_score_adj scheduler ioprio affinity umask --fork 50");
    assert_eq!(seen["rlimits"]["RLIMIT_NOFILE"], json!({"soft": 256, "hard": 512}));
    assert_eq!(seen["rlimits"]["RLIMIT_FSIZE"], json!({"soft": 1_048_576, "hard": 1_048_576}));
    assert_eq!(seen["oom_score_adj"], 500);
    assert_eq!((&seen["scheduler"]["policy"], &seen["scheduler"]["nice"]), (&json!("SCHED_BATCH"), &json!(5)));
    assert_eq!(seen["ioprio"], json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    assert_eq!(seen["affinity"], json!([0]));
    assert_eq!(seen["umask"], 0o77);
    // The limit of 16 counts the witness itself.
    assert_eq!((&seen["did"][0]["fork"], errno(&seen, 0)), (&json!(15), "EAGAIN"));
    bundle.config["process"]["args"] = json!(["witness", "--mem", "134217728"]);
    assert_eq!(bundle.run().code, 137, "twice the memory limit");
}

fn userns_root_is_nobody_outside() {
    let mut bundle = fixture("userns");
    let seen = ask(&mut bundle, "uid gid groups uid_map gid_map --open /etc/passwd w");
    assert_eq!(seen["uid_map"], json!([[0, 100_000, 65536]]));
    assert_eq!(seen["gid_map"], json!([[0, 100_000, 65536]]));
    assert_eq!((&seen["uid"], &seen["groups"]), (&json!(0), &json!([5, 10])));
    assert_eq!(errno(&seen, 0), "none", "root of the container owns its root filesystem");
    let name = format!("made-by-{}", bundle.id);
    bundle.config["process"]["args"] = json!(["touch", format!("/srv/{name}")]);
    bundle.run().ok();
    let made = fixtures().join("userns/rootfs/srv").join(name);
    let meta = std::fs::metadata(&made).expect("the file the container made");
    assert_eq!((meta.uid(), meta.gid()), (100_000, 100_000));
    std::fs::remove_file(made).expect("remove it");
}

fn hardened_holds_against_its_own_process() {
    let mut bundle = fixture("hardened");
    let deeds = format!(
        "--open /etc/passwd w --open /tmp/x r --open /proc/sys/kernel/hostname w --call {} --call {}",
        libc::SYS_mount,
        libc::SYS_clone3
    );
    let seen = ask(&mut bundle, &format!("uid capabilities no_new_privs seccomp session_keyring {deeds}"));
    assert_eq!((&seen["uid"], &seen["no_new_privs"], &seen["seccomp"]), (&json!(1000), &json!(true), &json!(2)));
    for (set, bits) in seen["capabilities"].as_object().expect("the sets") {
        assert_eq!(bits, "0000000000000000", "{set}");
    }
    assert_eq!(seen["session_keyring"], Value::Null, "keyctl is not in the profile");
    assert_eq!(errno(&seen, 0), "EACCES", "a file of root");
    assert_eq!(errno(&seen, 1), "ENOENT", "an own, empty /tmp");
    assert!(["EACCES", "EROFS"].contains(&errno(&seen, 2)), "{seen}");
    assert_eq!(errno(&seen, 3), "EPERM", "mount is not in the profile");
    assert_eq!(errno(&seen, 4), "ENOSYS", "clone3, so that the C library falls back");
    let seen = ask(&mut bundle, "mounts --fork 50");
    let root = seen["mounts"].as_array().expect("mounts").iter().find(|m| m["point"] == "/").expect("a root");
    assert!(root["options"].as_array().expect("options").contains(&json!("ro")), "{root}");
    assert_eq!(errno(&seen, 0), "EAGAIN");
    if Path::new("/proc/timer_list").exists() {
        bundle.config["process"]["args"] = json!(["cat", "/proc/timer_list"]);
        assert_eq!(bundle.run().ok(), "", "a masked file is there and empty");
    }
}

fn shell_talks_over_a_terminal() {
    let bundle = fixture("shell");
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let slave = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    let mut command = bundle.write().command(["run", &bundle.id]);
    let mut shell = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("start rrun");
    drop(command);
    drop(pty.slave);
    let mut master = std::fs::File::from(pty.master);
    // The shell reads its terminal only once it runs; what is typed before must not be lost.
    std::io::Write::write_all(&mut master, b"tty; stty size; echo $((6 * 7)); exit 3\n").expect("type");
    let mut said = Vec::new();
    // The end of a terminal is EIO.
    std::io::Read::read_to_end(&mut master, &mut said).ok();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(shell.wait().expect("wait").code(), Some(3), "{said}");
    assert!(said.contains("/dev/pts/0") || said.contains("/dev/console"), "{said}");
    assert!(said.contains("42"), "{said}");
}

/// What /app/report.sh of the layered bundle tells, by name.
fn report(bundle: &Bundle) -> std::collections::HashMap<String, String> {
    let out = bundle.run().ok();
    out.lines().filter_map(|l| l.split_once('=')).map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn layered_shows_three_layers_as_one_root() {
    let told = report(&fixture("layered"));
    assert_eq!(told["release"], "app, replacing the file of base");
    assert_eq!(told["secret"], "gone", "the whiteout of patch");
    assert_eq!(told["data"], "new", "the opaque directory of patch");
}

fn layered_has_all_eight_namespaces() {
    let told = report(&fixture("layered"));
    let inside: Value = serde_json::from_str(&told["witness"]).expect("JSON");
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "time", "user"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        let container = inside["namespaces"][kind].as_str().expect("a namespace");
        assert_ne!(Path::new(container), host, "{kind}");
    }
    assert_eq!((&inside["hostname"], &inside["domainname"]), (&json!("layered"), &json!("example.test")));
    assert_eq!(told["interfaces"], "lo");
    assert_eq!(inside["timens_offsets"], json!({"monotonic": [86400, 0], "boottime": [86400, 0]}));
    let uptime = told["uptime_days"].parse::<u32>().expect("a number");
    assert!(uptime >= 1, "the clock of the time namespace is a day ahead");
}

fn layered_is_under_its_limits() {
    let told = report(&fixture("layered"));
    assert_eq!(told["big_child_status"], "137", "memory");
    let children: Value = serde_json::from_str(&told["hundred_children"]).expect("JSON");
    assert_eq!(errno(&children, 0), "EAGAIN", "pids");
    assert!(children["did"][0]["fork"].as_u64().expect("a number") < 20);
    assert!(told["throttled_periods"].parse::<u32>().expect("a number") > 0, "cpu");
}

fn layered_writes_are_its_own() {
    let layers = fixtures().join("layered/layers");
    let list = || {
        let found = Command::new("find").arg(&layers).args(["-printf", "%p %m %U %G %s %T@ %l\n"]).output().expect("find");
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    let before = list();
    let first = report(&fixture("layered"));
    assert_eq!(first["own_write"], "by this container");
    assert_eq!(report(&fixture("layered"))["earlier_writes"], "none");
    assert_eq!(list(), before, "a container changed a layer");
}

/// Of what the layered bundle needs; Debian's user-mode Linux lacks it and cpuset.
pub fn lacks_time_namespace() -> Option<&'static str> {
    needs_groups().or((!Path::new("/proc/self/ns/time").exists()).then_some("this kernel has no time namespaces"))
}

/// User-mode Linux has no answer where a system call is to read a page of a process that is being killed for want of memory.
pub fn dies_with_a_start() -> Option<&'static str> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    needs_groups()
        .or(cpu.contains("User Mode Linux").then_some("this kernel panics where a process dies of memory in a system call"))
}

/// The patch layer carries the marks that only root's overlays obey (`trusted.overlay`).
fn lacks_marks_of_layers() -> Option<&'static str> {
    lacks_time_namespace().or(needs_root())
}

fn lacks_cpuset() -> Option<&'static str> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    // The first lists what v1 has, the second what v2 has.
    let known = read("/proc/cgroups") + &read("/sys/fs/cgroup/cgroup.controllers");
    needs_groups().or((!known.split_whitespace().any(|w| w == "cpuset")).then_some("this kernel has no cpuset controller"))
}

/// The root that rootfs-fixtures/debian.sh made.
fn debian() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian");
    std::env::var_os("RRUN_DEBIAN").map_or_else(default, PathBuf::from)
}

fn lacks_debian() -> Option<&'static str> {
    if debian().join("etc/os-release").exists() { None } else { Some("no Debian root: rootfs-fixtures/debian.sh") }
}

fn debian_runs() {
    let mut bundle = Bundle::new(&["cat", "/etc/os-release"]);
    bundle.config["root"] = json!({"path": debian(), "readonly": true});
    assert!(bundle.run().ok().contains("ID=debian"));
    // A dynamic C library, a shell that forks, a program of its own package.
    bundle.config["process"]["args"] = json!(["/bin/bash", "-c", "dpkg-query -W -f '${Package}\n' | grep -cx bash"]);
    assert_eq!(bundle.run().ok(), "1\n");
}

fn a_server_answers_until_it_is_killed() {
    let bundle = Bundle::new(&["httpd", "-f", "-p", "127.0.0.1:80", "-h", "/srv"]);
    std::fs::create_dir(bundle.rootfs().join("srv")).expect("mkdir");
    std::fs::write(bundle.rootfs().join("srv/index.html"), "served\n").expect("write");
    bundle.run_detached();
    let pid = bundle.state()["pid"].to_string();
    let fetch = || -> Done {
        let mut command = Command::new("/bin/busybox");
        command.args(["nsenter", "-t", &pid, "-n"]).args(needs_root().map(|_| "-U"));
        command.args(["/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1/"]);
        command.output().expect("start wget").into()
    };
    // It listens a moment after it was started.
    let answer = (0..500).map(|_| fetch()).find(|done| {
        std::thread::sleep(Duration::from_millis(if done.code == 0 { 0 } else { 20 }));
        done.code == 0
    });
    assert_eq!(answer.expect("an answer").out, "served\n");
    assert_eq!(bundle.state()["status"], "running");
    bundle.rrun(["kill", &bundle.id, "KILL"]).ok();
    bundle.wait_for("stopped");
    bundle.rrun(["delete", &bundle.id]).ok();
    bundle.assert_no_trace();
}

fn a_kill_at_any_instant_leaves_nothing_that_delete_cannot_clean() {
    let mut bundle = fixture("layered");
    let mark = format!("RRUN_KILL_MARK={}", bundle.id);
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.config["process"]["env"].as_array_mut().expect("env").push(json!(mark));
    bundle.write();
    let start = |verb: &str| {
        let mut command = bundle.command([verb, &bundle.id]);
        let (name, value) = mark.split_once('=').expect("a pair");
        command.env(name, value).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start rrun")
    };
    // How long an undisturbed create takes here tells which instants are worth a kill.
    let begun = Instant::now();
    assert!(start("create").wait().expect("wait").success());
    let whole = begun.elapsed();
    bundle.rrun(["delete", "--force", &bundle.id]).ok();
    for round in 0..30 {
        let mut child = start(if round % 2 == 0 { "create" } else { "run" });
        std::thread::sleep(whole * round / 24);
        child.kill().expect("kill -9");
        child.wait().expect("wait");
        bundle.rrun(["delete", "--force", &bundle.id]).ok();
        bundle.assert_no_trace();
        // A process that nobody waits for any more takes a moment to notice.
        let left = (0..200).map(|_| marked(&mark)).find(|left| {
            std::thread::sleep(Duration::from_millis(if left.is_empty() { 0 } else { 25 }));
            left.is_empty()
        });
        assert!(left.is_some(), "round {round}: processes are left: {:?}", marked(&mark));
    }
}

/// The processes whose environment holds `mark`.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let holds =
        |dir: &PathBuf| std::fs::read(dir.join("environ")).is_ok_and(|e| e.split(|b| *b == 0).any(|v| v == mark.as_bytes()));
    let own = std::process::id().to_string();
    let found = processes.map(|e| e.path()).filter(|p| !p.ends_with(&own)).filter(holds);
    found.map(|p| p.display().to_string() + " " + &std::fs::read_to_string(p.join("cmdline")).unwrap_or_default()).collect()
}
