//! The command lines of engines, replayed with the environment of their callers.
//!
//! What an engine sends is fixed in its source, down to the order of flags and what little it leaves of the environment.
//! Each caller here takes a container through its life with exactly its own words.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    containerd_and_docker if needs_groups,
    containerd_under_the_name_of_runc if needs_groups,
    buildkit_runs_in_the_foreground,
    conmon_and_podman if needs_groups,
    conmon_and_cri_o if needs_groups,
    podmans_root_is_not_that_of_a_login if needs_root,
    a_shim_that_dies_takes_no_container_along,
];

/// A caller: what its commands have in common.
struct Caller {
    bundle: Bundle,
    /// argv[0].
    name: &'static str,
    /// All that there is of an environment.
    env: Vec<(&'static str, String)>,
    /// The global flags; each command gets them in another order.
    global: Vec<String>,
    calls: std::cell::Cell<usize>,
    _sockets: [UnixListener; 2],
}

/// What is on PATH for those who pass one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Caller {
    fn new(name: &'static str, env: &[(&'static str, &str)], global: &[&str]) -> Self {
        let mut bundle = Bundle::new(&["sleep", "1000"]);
        let runtime_dir = bundle.scratch("xdg");
        std::fs::create_dir(&runtime_dir).expect("mkdir");
        let mut process = bundle.config["process"].clone();
        process["args"] = json!(["sh", "-c", "exit 7"]);
        std::fs::write(bundle.scratch("process"), process.to_string()).expect("write");
        (process["terminal"], process["args"]) = (json!(true), json!(["sleep", "1000"]));
        std::fs::write(bundle.scratch("process-tty"), process.to_string()).expect("write");
        std::fs::write(bundle.scratch("resources"), r#"{"cpu":{"shares":512}}"#).expect("write");
        let sockets = ["console", "pidfd"].map(|s| UnixListener::bind(bundle.scratch(s)).expect("bind"));
        let filled = |text: &str| text.replace("{dir}", &bundle.scratch("").display().to_string().replace("//", "/"));
        let env = env.iter().map(|(key, value)| (*key, filled(value))).collect();
        let global = global.iter().map(|word| filled(word)).collect();
        bundle.config["process"]["terminal"] = json!(true);
        bundle.write();
        Self { bundle, name, env, global, calls: 0.into(), _sockets: sockets }
    }

    /// Runs `words`, in which {id}, {bundle} and {dir} are filled in; one word may hold blanks. `input` is its stdin.
    fn call_with(&self, input: &str, words: &[&str]) -> Done {
        let n = self.calls.replace(self.calls.get() + 1);
        let mut global = self.global.clone();
        global.rotate_left(n % self.global.len().max(1));
        let dir = self.bundle.scratch("");
        let dir = dir.to_str().expect("UTF-8").trim_end_matches('/');
        let fill = |word: &&str| {
            let word = word.replace("{id}", &self.bundle.id).replace("{dir}", dir);
            word.replace("{bundle}", self.bundle.path().to_str().expect("UTF-8"))
        };
        let global = global.iter().flat_map(|flag| flag.split(' '));
        let mut command = Command::new("/bin/bash");
        // Descriptor 3 is what --preserve-fds 1 passes on.
        command.args(["-c", "exec -a \"$0\" \"$@\" 3< /dev/null", self.name]).arg(rrun_path()).args(global);
        command.args(words.iter().map(fill)).env_clear().envs(self.env.iter().cloned()).current_dir("/");
        // To files: a container that lives on would keep a pipe open.
        let [out, err] = ["out", "err"].map(|name| self.bundle.scratch(name));
        let file = |path: &PathBuf| std::fs::File::create(path).expect("create");
        let mut child = command.stdin(Stdio::piped()).stdout(file(&out)).stderr(file(&err)).spawn().expect("start bash");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("write");
        let code = child.wait().expect("wait").code().expect("no signal");
        let read = |path| std::fs::read_to_string(path).expect("read");
        Done { code, out: read(out), err: read(err) }
    }

    fn call(&self, words: &[&str]) -> Done {
        self.call_with("", words)
    }

    /// A call that must succeed without a word on stderr: callers read both streams together.
    #[track_caller]
    fn ok(&self, words: &str) -> String {
        let done = self.call(&words.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{words}: {}", done.out);
        done.out
    }

    #[track_caller]
    fn json(&self, words: &str) -> Value {
        let out = self.ok(words);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{words}: {e}: {out}"))
    }

    fn pid_file(&self, name: &str) -> i32 {
        let text = std::fs::read_to_string(self.bundle.scratch(name)).expect("pid file");
        text.parse().expect("a number and nothing else")
    }

    /// Waits until the container has stopped.
    fn wait_for_end(&self) {
        let pid = self.pid_file("init.pid");
        wait_until("init is gone", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
    }
}

fn shim(name: &'static str) -> Caller {
    // go-runc takes NOTIFY_SOCKET away from the daemon's environment and leaves the rest.
    let global = ["--root {dir}/state", "--debug=false", "--log {dir}/log.json", "--log-format json", "--rootless=false"];
    Caller::new(name, &[("PATH", PATH), ("TTRPC_ADDRESS", "/run/x.sock"), ("MAX_SHIM_VERSION", "2")], &global)
}

fn lives_with_containerd(shim: &Caller) {
    shim.ok("create --bundle {bundle} --pid-file {dir}/init.pid --console-socket {dir}/console --pidfd-socket {dir}/pidfd --no-new-keyring --preserve-fds 1 {id}");
    let pid = shim.pid_file("init.pid");
    assert_eq!(shim.json("state {id}")["status"], "created");
    shim.ok("start {id}");
    let state = shim.json("state {id}");
    assert_eq!((&state["status"], &state["pid"]), (&json!("running"), &json!(pid)));
    shim.ok("exec --process {dir}/process-tty --console-socket {dir}/console --pidfd-socket {dir}/pidfd --detach --pid-file {dir}/exec.pid {id}");
    assert_eq!(shim.call(&["exec", "--process", "{dir}/process", "{id}"]).code, 7);
    let pids = shim.json("ps --format json {id}");
    assert_eq!(pids, json!([pid, shim.pid_file("exec.pid")]));
    let table = shim.call(&["ps", "--format", "table", "{id}", "-e -o pid,comm"]).ok();
    assert!(table.trim_start().starts_with("PID COMMAND\n") && table.contains("sleep"), "{table}");
    shim.ok("pause {id}");
    assert_eq!(shim.json("state {id}")["status"], "paused");
    shim.ok("resume {id}");
    let docker =
        r#"{"memory":{"limit":0,"reservation":0,"kernel":0},"cpu":{"shares":0,"quota":0,"period":0},"blockIO":{"weight":0}}"#;
    shim.call_with(docker, &["update", "--resources=-", "{id}"]).ok();
    shim.call_with(docker, &["update", "--resources", "-", "{id}"]).ok();
    let event = shim.json("events --stats {id}");
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(shim.bundle.id)));
    assert_eq!(shim.json("list --format=json")[0]["id"], shim.bundle.id);
    shim.ok("kill {id} 10");
    shim.ok("kill --all {id} 9");
    shim.wait_for_end();
    shim.ok("kill --all {id} 9");
    shim.ok("delete {id}");
    shim.ok("delete --force {id}");
    assert!(shim.json("list --format=json").is_null());
    assert_eq!(std::fs::read_to_string(shim.bundle.scratch("log.json")).unwrap_or_default(), "");
}

fn containerd_and_docker() {
    lives_with_containerd(&shim("rrun"));
}

fn containerd_under_the_name_of_runc() {
    let shim = shim("/usr/bin/runc");
    lives_with_containerd(&shim);
    // Without a root or any other global flag.
    let bare = Caller { global: vec![], ..self::shim("runc") };
    assert!(bare.ok("--version").starts_with("runc version "));
    assert!(bare.json("features")["mountOptions"].as_array().is_some_and(|o| o.contains(&json!("rro"))));
}

fn buildkit_runs_in_the_foreground() {
    let mut caller =
        Caller::new("runc", &[("PATH", PATH)], &["--log {dir}/runc-log.json", "--log-format json", "--root {dir}/state"]);
    caller.bundle.config["process"]["terminal"] = json!(false);
    caller.bundle.config["process"]["args"] = json!(["sh", "-c", "echo built; exit 3"]);
    caller.bundle.write();
    let done = caller.call(&["run", "--bundle", "{bundle}", "{id}"]);
    assert_eq!((done.code, done.out.as_str(), done.err.as_str()), (3, "built\n", ""));
    // containerd's restore sends it with one dash.
    let done = caller.call(&["run", "--bundle", "{bundle}", "-no-subreaper", "{id}"]);
    assert_eq!(done.code, 3, "{}", done.err);
}

/// What Podman and CRI-O have in common: conmon makes the container and what is executed in it.
fn conmon_makes(caller: &Caller, options: &str) {
    caller.ok(&format!(
        "create --bundle {{bundle}} --pid-file {{dir}}/init.pid --no-new-keyring {options}--console-socket {{dir}}/console {{id}}"
    ));
    caller.ok("start {id}");
    caller.ok("exec --pid-file {dir}/exec.pid --process {dir}/process --detach {id}");
    caller.ok("exec --pid-file {dir}/exec.pid --process {dir}/process-tty --detach --console-socket {dir}/console {id}");
    let failed = caller.call(&["exec", "--pid-file", "{dir}/no.pid", "--process", "{dir}/nosuch", "--detach", "{id}"]);
    assert_eq!(failed.code, 255);
    assert!(!caller.bundle.scratch("no.pid").exists());
}

fn conmon_and_podman() {
    let podman = Caller::new(
        "rrun",
        &[("XDG_RUNTIME_DIR", "{dir}/xdg")],
        // Podman gives no root; this one keeps the tests apart.
        &["--log-format=json", "--log {dir}/log.json", "--root {dir}/state"],
    );
    conmon_makes(&podman, "--preserve-fds 1 ");
    podman.ok("pause {id}");
    podman.ok("resume {id}");
    podman.ok("update --resources={dir}/resources {id}");
    podman.ok("kill {id} 10");
    podman.ok("kill --all {id} 9");
    podman.wait_for_end();
    let gone = podman.call(&["kill", "{id}", "15"]);
    gone.fails_with("container not running");
    podman.ok("delete --force {id}");
    podman.ok("delete --force {id}");
    assert!(podman.ok("--version").starts_with("rrun version "));
}

fn conmon_and_cri_o() {
    let env = [("CRI_O_EXTERNAL", "1"), ("XDG_RUNTIME_DIR", "{dir}/xdg"), ("PATH", PATH)];
    let crio = Caller::new("rrun", &env, &["--root {dir}/state", "--systemd-cgroup=false"]);
    conmon_makes(&crio, "");
    assert_eq!(crio.json("state {id}")["status"], "running");
    assert_eq!(crio.call(&["exec", "--process", "{dir}/process", "{id}"]).code, 7);
    crio.call_with(r#"{"cpu":{"shares":600},"memory":{"limit":0}}"#, &["update", "--resources", "-", "{id}"]).ok();
    crio.ok("pause {id}");
    crio.ok("resume {id}");
    crio.ok("kill {id} TERM");
    crio.ok("kill {id} SIGUSR1");
    crio.ok("kill -a {id} 9");
    crio.wait_for_end();
    crio.ok("delete --force {id}");
    // At its own start.
    let bare = Caller { global: vec![], ..Caller::new("rrun", &env, &[]) };
    let features = bare.json("features");
    assert!(features["ociVersionMin"].is_string() && features["ociVersionMax"].is_string());
    assert_eq!(bare.ok("--version").lines().nth(2), Some("spec: 1.3.0"));
}

fn podmans_root_is_not_that_of_a_login() {
    // Podman passes XDG_RUNTIME_DIR on, also as root, and no --root.
    let podman = Caller::new("rrun", &[("XDG_RUNTIME_DIR", "{dir}/xdg")], &[]);
    let root = Path::new("/run/rrun");
    let was_there = root.exists();
    podman.ok("create --bundle {bundle} --pid-file {dir}/init.pid --console-socket {dir}/console {id}");
    let places = [root.join(&podman.bundle.id), podman.bundle.scratch("xdg/rrun")].map(|p| p.exists());
    podman.ok("delete --force {id}");
    assert_eq!(places, [true, false]);
    if !was_there {
        // Another test may use it by now.
        std::fs::remove_dir(root).ok();
    }
}

fn a_shim_that_dies_takes_no_container_along() {
    // The shim asks that the runtime it starts die with it; the container must not have inherited that.
    let b = Bundle::new(&["sleep", "1000"]);
    b.write();
    let run = b.command(["run", "--detach", &b.id]);
    let mut shim = Command::new("/bin/bash");
    shim.args(["-c", "setpriv --pdeathsig KILL \"$@\" & wait $!", "shim"]).arg(run.get_program()).args(run.get_args());
    let status = shim.current_dir(b.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("start bash").success());
    assert_eq!(b.state()["status"], "running");
    b.rrun(["exec", &b.id, "true"]).ok();
}
