//! Faults: whatever fails, and at whatever instant, the program never runs half protected, and nothing is left behind.
//!
//! `steps` has each step of the plan fail, `calls` each system call, `rows` each message of the handshake, `kills` kills rrun at random instants, `frozen` stops what it
//! started, `wrecks` takes away what rrun stands on: disk, state, processes. All of it is more than a test run can take:
//! scripts/faults.sh does it all.

mod calls;
mod frozen;
mod kills;
mod rows;
mod steps;
mod wrecks;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    [calls::tests(), frozen::tests(), kills::tests(), rows::tests(), steps::tests(), wrecks::tests()]
        .into_iter()
        .flatten()
        .collect()
}

/// How often something random is done: `RRUN_STRESS` times, or as often as a test run can take.
fn rounds(usual: usize) -> usize {
    std::env::var("RRUN_STRESS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// A small generator with a fixed start: the same choice on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// The longest that a command may take that fails: far more than it needs on a busy machine, far less than for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command to its end, which must come.
#[track_caller]
fn finish(mut command: Command) -> Done {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start it");
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    let (done, end) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = end.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if hangs {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
        }
        hangs
    });
    let out = child.wait_with_output().expect("wait");
    drop(done);
    assert!(!watch.join().expect("the watch"), "it hangs: {command:?}");
    out.into()
}

/// A bundle with every restriction there is, whose program says that it runs, then what is in force.
struct Probe {
    bundle: Bundle,
    /// Whether the fault may also meet the witness.
    tolerant: bool,
}

/// What the probes differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// no_new_privs, so that the filter comes last.
    Plain,
    /// The filter comes before the capabilities are dropped; layers as root.
    EarlyFilter,
    /// A user namespace, and a time namespace with offsets.
    UserNamespace,
}

const KINDS: [Kind; 3] = [Kind::Plain, Kind::EarlyFilter, Kind::UserNamespace];

impl Probe {
    fn new(kind: Kind) -> Self {
        let mut bundle = Bundle::new(&[]);
        let id = bundle.id.clone();
        let config = &mut bundle.config;
        // The id as the last argument: by it the program is found in the list of processes.
        config["process"]["args"] = json!(["/bin/sh", "-c", "echo ran; exec /bin/witness", id]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5], "umask": 63});
        config["process"]["noNewPrivileges"] = json!(kind != Kind::EarlyFilter);
        config["process"]["capabilities"] =
            json!({"bounding": ["CAP_KILL"], "effective": [], "permitted": [], "inheritable": [], "ambient": []});
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]);
        config["process"]["oomScoreAdj"] = json!(100);
        config["process"]["cwd"] = json!("/tmp");
        config["root"]["readonly"] = json!(kind != Kind::EarlyFilter);
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["vhangup"], "action": "SCMP_ACT_ERRNO"}]});
        config["linux"]["sysctl"] = json!({"kernel.msgmax": "8000"});
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
        config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/proc/keys", "/proc/timer_list"]);
        let hook = |path: &str, args: Value| json!([{"path": path, "args": args}]);
        config["hooks"] = json!({
            "createRuntime": hook("/bin/true", json!(["true"])),
            "createContainer": hook("/bin/true", json!(["true"])),
            "startContainer": hook("/bin/busybox", json!(["true"])),
        });
        match kind {
            Kind::Plain => {}
            Kind::EarlyFilter => {
                let rootfs = bundle.rootfs();
                bundle.config["annotations"] = json!({"io.rrun.rootfs.layers": json!([rootfs]).to_string()});
            }
            Kind::UserNamespace => {
                map_ids(&mut bundle.config, 100_000, 65_536);
                let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
                namespaces.push(json!({"type": "time"}));
                bundle.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1000, "nanosecs": 0}});
            }
        }
        bundle.write();
        Self { bundle, tolerant: false }
    }

    /// What is wrong with a start that failed, or with one that did not.
    fn judge(&self, done: &Done) -> Result<bool, String> {
        let Some(said) = done.out.strip_prefix("ran\n") else {
            return match (done.code, done.out.as_str(), done.err.trim()) {
                (0, ..) => Err("it says that it worked, but the program did not run".into()),
                // Killed between its last word and execve(2), which is the program's start to who waits outside.
                (137, "", "") => Ok(false),
                (_, "", "") => Err("it failed without a word".into()),
                (_, "", _) => Ok(false),
                (_, out, _) => Err(format!("printed {out:?}")),
            };
        };
        // The witness may have met the fault itself.
        match serde_json::from_str(said) {
            Ok(seen) => self.unprotected(&seen).map_or(Ok(true), Err),
            Err(_) if done.code != 0 => Ok(true),
            Err(e) => Err(format!("{e}: {said:?}")),
        }
    }

    /// The first restriction that is not in force.
    fn unprotected(&self, seen: &Value) -> Option<String> {
        let config = &self.bundle.config;
        let caps = |set: &str| seen["capabilities"][set].as_str().and_then(|c| u64::from_str_radix(c, 16).ok());
        let mounted = |point: &str, option: &str| {
            let last = seen["mounts"].as_array()?.iter().rfind(|m| m["point"] == point)?;
            Some(option.is_empty() || last["options"].as_array()?.iter().any(|o| o == option))
        };
        let masked = ["/proc/kcore", "/proc/keys", "/proc/timer_list"].into_iter().filter(|p| Path::new(p).exists());
        // What the witness could not see, because the fault met itself, is null.
        let [uid, gid, caps_seen] = ["uid", "gid", "capabilities"].map(|key| &seen[key]);
        let files = &seen["rlimits"]["RLIMIT_NOFILE"];
        let checks = [
            ("uid", uid, *uid == 1000 && seen["euid"] == 1000),
            ("gid", gid, *gid == 1000 && seen["egid"] == 1000),
            ("groups", &seen["groups"], seen["groups"] == json!([5])),
            ("umask", &seen["umask"], seen["umask"] == 63 || seen["umask"] == "0077"),
            ("bounding set", &caps_seen["bounding"], caps("bounding") == Some(1 << 5)),
            ("permitted set", &caps_seen["permitted"], caps("permitted") == Some(0)),
            ("effective set", &caps_seen["effective"], caps("effective") == Some(0)),
            ("inheritable set", &caps_seen["inheritable"], caps("inheritable") == Some(0)),
            ("ambient set", &caps_seen["ambient"], caps("ambient") == Some(0)),
            ("no_new_privs", &seen["no_new_privs"], seen["no_new_privs"] == config["process"]["noNewPrivileges"]),
            ("seccomp", &seen["seccomp"], seen["seccomp"] == 2),
            ("oom_score_adj", &seen["oom_score_adj"], seen["oom_score_adj"] == 100),
            ("rlimits", files, *files == json!({"soft": 64, "hard": 64})),
            ("hostname", &seen["hostname"], seen["hostname"] == "box"),
            ("cwd", &seen["cwd"], seen["cwd"] == "/tmp"),
            ("read-only root", &seen["mounts"], config["root"]["readonly"] == false || mounted("/", "ro") == Some(true)),
            ("masks", &seen["mounts"], masked.clone().all(|p| mounted(p, "") == Some(true))),
            ("read-only paths", &seen["mounts"], ["/proc/sys", "/proc/irq"].iter().all(|p| mounted(p, "ro") == Some(true))),
            ("descriptors", &seen["fds"], seen["fds"].as_array().is_some_and(|fds| fds.len() <= 3)),
            ("pid namespace", &seen["pid"], seen["pid"] == 1),
        ];
        let fails = |(_, value, holds): &(&str, &Value, bool)| !(*holds || self.tolerant && value.is_null());
        checks.into_iter().find(fails).map(|(what, ..)| format!("{what} is not in force: {seen}"))
    }

    /// What is left of the container, if anything is: a process, a group, a directory, a mount.
    fn left(&self) -> Option<String> {
        let id = &self.bundle.id;
        let mut left = Vec::new();
        if self.bundle.root().join(id).exists() {
            left.push("the state directory".to_owned());
        }
        left.extend(groups_named(id).iter().map(|g| format!("group {}", g.display())));
        left.extend(processes_of(id).into_iter().map(|(pid, line)| format!("process {pid} ({line})")));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        left.extend(mounts.lines().filter(|l| l.contains(&format!("/{id}/"))).map(|m| format!("mount {m}")));
        (!left.is_empty()).then(|| left.join(", "))
    }

    /// `delete --force`, after which nothing may be left.
    #[track_caller]
    fn force(&self, after: &str) {
        let done = finish(self.bundle.command(["delete", "--force", &self.bundle.id]));
        assert_eq!(done.code, 0, "{after}: delete --force: {}", done.err);
        // What dies with its parent takes a moment to be gone.
        let start = Instant::now();
        while let Some(left) = self.left() {
            assert!(start.elapsed() < PATIENCE, "{after}: delete --force left {left}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The processes whose command line names the container, but for those that the test started to look.
fn processes_of(id: &str) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("read /proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.split(' ').any(|word| word == id) {
            found.push((pid, line));
        }
    }
    found
}
