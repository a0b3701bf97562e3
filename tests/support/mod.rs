//! What every test stands on: a bundle of its own in a directory of its own, with a state root and an id of its own.

mod config;
mod list;
pub mod neighbour;
mod programs;
mod rootless;
pub mod screen;
pub mod user;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

pub use config::default_config;
pub use list::all;
pub use programs::{copy_program, rrun_path, witness_path};
pub use rootless::{map_ids, map_own_ids, needs_groups, needs_root, own_name, share_pids};

/// A test and what it needs of the host.
pub struct Test {
    /// `module::name`.
    pub name: &'static str,
    /// The body; it panics to fail.
    pub body: fn(),
    /// Asked before the run: the first `Some(reason)` skips the test.
    pub lacks: &'static [Lacks],
}

/// What asks the host whether it can carry a test; why not, if it cannot.
pub type Lacks = fn() -> Option<&'static str>;

/// Lists the tests of a module: `tests![name_one, name_two if needs_root]`, where `needs_root: fn() -> Option<&'static str>`
/// says what is lacking. `tests![all if needs_root; name_one, …]` says it of each.
#[macro_export]
macro_rules! tests {
    (all if $of_all:ident; $($name:ident $(if $lacks:expr)?),* $(,)?) => {
        /// The tests of this module.
        pub fn tests() -> Vec<$crate::support::Test> {
            vec![$($crate::support::Test {
                name: concat!(module_path!(), "::", stringify!($name)),
                body: $name,
                lacks: &[$of_all, $($lacks)?],
            }),*]
        }
    };
    ($($name:ident $(if $lacks:expr)?),* $(,)?) => {
        /// The tests of this module.
        pub fn tests() -> Vec<$crate::support::Test> {
            vec![$($crate::support::Test {
                name: concat!(module_path!(), "::", stringify!($name)),
                body: $name,
                lacks: &[$($lacks)?],
            }),*]
        }
    };
}

impl Test {
    /// Its name as the harness prints it: without that of the program.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once("::").map_or(self.name, |(_, rest)| rest)
    }

    /// Why the host cannot carry it. Many tests ask the same, so each question is asked once.
    fn lacking(&self) -> Option<&'static str> {
        static ASKED: Mutex<BTreeMap<usize, Option<&'static str>>> = Mutex::new(BTreeMap::new());
        let mut asked = ASKED.lock().expect("the answers so far");
        self.lacks.iter().find_map(|ask| *asked.entry(*ask as usize).or_insert_with(ask))
    }
}

fn trial(test: Test) -> Trial {
    let name = test.short_name();
    let body = test.body;
    let run = move || {
        let start = std::time::Instant::now();
        let result = std::panic::catch_unwind(body).map_err(|cause| {
            let text = cause.downcast_ref::<String>().cloned().or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
        });
        note(name, if result.is_ok() { "passed" } else { "failed" }, "", start.elapsed().as_millis());
        result
    };
    let trial = Trial::test(name, run);
    match test.lacking() {
        Some(reason) => {
            note(name, "skipped", reason, 0);
            trial.with_kind(reason).with_ignored_flag(true)
        }
        None => trial,
    }
}

/// Every test as the harness wants it, in alphabetical order.
pub fn collect() -> Vec<Trial> {
    all().into_iter().map(trial).collect()
}

/// Appends a line to the file `RRUN_TEST_RESULTS`, from which the table of docs/conformance.md is made.
fn note(name: &str, outcome: &str, reason: &str, milliseconds: u128) {
    let Some(path) = std::env::var_os("RRUN_TEST_RESULTS") else { return };
    let line = format!("{}\n", json!({"name": name, "outcome": outcome, "reason": reason, "ms": milliseconds as u64}));
    let mut file = std::fs::File::options().append(true).create(true).open(path).expect("open RRUN_TEST_RESULTS");
    // One write: tests end in parallel.
    std::io::Write::write_all(&mut file, line.as_bytes()).expect("write RRUN_TEST_RESULTS");
}

/// The directory of this run, removed at the end.
pub fn work_dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("rrun-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the work directory");
        dir
    })
}

/// A directory for what is about disks: that of this run, unless it lies in memory.
pub fn on_disk() -> &'static Path {
    use nix::sys::statfs::{TMPFS_MAGIC, statfs};
    let in_memory = statfs(work_dir()).expect("statfs").filesystem_type() == TMPFS_MAGIC;
    if in_memory { Path::new("/var/tmp") } else { work_dir() }
}

/// Removes what all tests shared.
pub fn clean_up() {
    rootless::remove_tree(work_dir()).expect("remove the work directory");
}

/// The programs of busybox that tests run inside. Not all 269 that there are: a link costs a dozen system calls for each bundle, and
/// there are a thousand bundles.
const APPLETS: &str = "\
    [ [[ cat chmod chown chroot cp cut date dd echo env expr false find grep groups head hostname httpd id ip kill link ln \
    ls mkdir mkfifo mknod mount mv nl nsenter od ping printf ps pwd readlink rm rmdir sed seq setpriv setsid sh sha256sum \
    sleep sort stat stty sync sysctl tar tee test timeout top touch tr true truncate tty umount uname unlink unshare uptime \
    wc wget which xargs yes";

/// A root filesystem with busybox ([`APPLETS`]) and the witness, made once and copied per bundle.
fn base_root() -> &'static Path {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    BASE.get_or_init(|| {
        let base = work_dir().join("base");
        for dir in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var/run"] {
            std::fs::create_dir_all(base.join(dir)).expect("make the base root");
        }
        copy_program("/bin/busybox", base.join("bin/busybox"));
        for applet in APPLETS.split_whitespace() {
            std::os::unix::fs::symlink("busybox", base.join("bin").join(applet)).expect("link an applet");
        }
        copy_program(witness_path(), base.join("bin/witness"));
        std::fs::write(base.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
            .expect("passwd");
        std::fs::write(base.join("etc/group"), "root:x:0:\nuser:x:1000:\n").expect("group");
        base
    })
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Exit status; 128+n if signal n ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    /// Asserts success and returns stdout.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    /// Asserts failure with status 1 and `text` in stderr.
    #[track_caller]
    pub fn fails_with(&self, text: &str) {
        assert_eq!(self.code, 1, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.err.contains(text), "stderr: {}\nshould contain: {text}", self.err);
    }
}

/// A bundle with its own state root and container id, all below one temporary directory; the container is deleted by force
/// when it goes out of scope.
pub struct Bundle {
    dir: PathBuf,
    /// The container id used by the short-cuts.
    pub id: String,
    /// config.json, written anew before each command that reads it.
    pub config: Value,
    /// Who runs the commands, if not root.
    pub user: Option<user::User>,
}

impl Bundle {
    /// A bundle that runs `args` in a copy of the base root, with the default configuration ([`default_config`]).
    pub fn new(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = work_dir().join(&id);
        std::fs::create_dir_all(dir.join("bundle")).expect("make the bundle");
        let copied = Command::new("cp").arg("-a").arg(base_root()).arg(dir.join("bundle/rootfs")).status().expect("run cp");
        assert!(copied.success());
        Self { dir, id, config: default_config(args), user: None }
    }

    /// The bundle directory.
    pub fn path(&self) -> PathBuf {
        self.dir.join("bundle")
    }

    /// The root filesystem on the host.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("bundle/rootfs")
    }

    /// The state root.
    pub fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// A scratch path outside the bundle.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes config.json as it stands now.
    pub fn write(&self) -> &Self {
        std::fs::write(self.path().join("config.json"), serde_json::to_vec_pretty(&self.config).expect("JSON"))
            .expect("write config.json");
        self
    }

    /// `rrun --root … ARGS`, not yet started; stdin is /dev/null. The current directory is the bundle.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        std::fs::create_dir_all(self.root()).expect("make the state root");
        let mut command = match &self.user {
            Some(user) => user.command(user::public_rrun()),
            None => Command::new(rrun_path()),
        };
        command.arg("--root").arg(self.root()).args(args).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs `rrun --root … ARGS` to its end.
    pub fn rrun<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Done {
        self.command(args).output().expect("start rrun").into()
    }

    /// Writes config.json and runs the container in the foreground.
    pub fn run(&self) -> Done {
        self.write().rrun(["run", &self.id])
    }

    /// As [`Bundle::run`], with more arguments before the id.
    pub fn run_with(&self, args: &[&str]) -> Done {
        let all: Vec<&str> = ["run"].iter().chain(args).chain([&self.id.as_str()]).copied().collect();
        self.write().rrun(all)
    }

    /// Runs the witness and returns what it saw.
    pub fn witness(&mut self) -> Value {
        self.config["process"]["args"] = json!(["/bin/witness"]);
        let out = self.run().ok();
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("the witness printed {out:?}: {e}"))
    }

    /// `create`; stdio of the container is /dev/null, so that nothing keeps a pipe of the test open.
    #[track_caller]
    pub fn create(&self) {
        self.quiet(&["create", &self.id.clone()]);
    }

    /// `run --detach`, stdio as for [`Bundle::create`].
    #[track_caller]
    pub fn run_detached(&self) {
        self.quiet(&["run", "--detach", &self.id.clone()]);
    }

    #[track_caller]
    fn quiet(&self, args: &[&str]) {
        let log = self.scratch("log");
        let mut command = self.write().command(["--log", log.to_str().expect("UTF-8")]);
        let status = command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun");
        assert!(status.success(), "{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// The `state` document.
    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.rrun(["state", &self.id]).ok()).expect("state prints JSON")
    }

    /// Waits until `state` says `status`, at most ten seconds.
    #[track_caller]
    pub fn wait_for(&self, status: &str) {
        for _ in 0..1000 {
            if self.state()["status"] == status {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the container did not become {status}: {}", self.state());
    }

    /// Asserts that nothing of the container is left: no state directory, no process in a group of its name, no group.
    #[track_caller]
    pub fn assert_no_trace(&self) {
        assert!(!self.root().join(&self.id).exists(), "the state directory is still there");
        let groups = groups_named(&self.id);
        assert!(groups.is_empty(), "cgroups are still there: {groups:?}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let ours: Vec<&str> = mounts.lines().filter(|l| l.contains(&format!("/{}/", self.id))).collect();
        assert!(ours.is_empty(), "mounts are still there: {ours:?}");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if self.root().join(&self.id).exists() {
            let done = self.rrun(["delete", "--force", &self.id]);
            if !std::thread::panicking() {
                assert_eq!(done.code, 0, "delete --force: {}", done.err);
            }
        }
        if let Err(e) = rootless::remove_tree(&self.dir)
            && !std::thread::panicking()
        {
            panic!("remove {}: {e}", self.dir.display());
        }
    }
}

/// Waits until something is so, at most ten seconds; `what` is said when it never was.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}

/// The directories of all hierarchies whose name is `name`.
pub fn groups_named(name: &str) -> Vec<PathBuf> {
    let found = Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", name]).output().expect("run find");
    String::from_utf8_lossy(&found.stdout).lines().map(PathBuf::from).collect()
}
