//! What rrun stands on breaks away: the disk is full, the state damaged or of another time, init frozen or killed, the other side of
//! a socket deaf. A clear error, never a hang, never another process signalled; and the other containers are still listed.

use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{Dice, finish, processes_of};
use crate::support::*;

crate::tests![
    a_full_disk_is_an_error_that_leaves_nothing if needs_root,
    a_full_log_or_pid_file_is_an_error,
    a_mount_of_any_name_on_the_host_is_no_obstacle if needs_root,
    a_damaged_state_hides_nobody_else,
    nobody_else_is_signalled if needs_root,
    groups_of_an_earlier_boot_are_somebody_elses if needs_groups,
    init_that_is_killed_is_said,
    a_killed_parent_ends_init,
    a_socket_that_accepts_nobody_is_an_error,
    a_console_socket_that_closes_is_no_hang,
];

/// A process of the test's own that must not be touched.
struct Innocent(Child);

impl Innocent {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("start sleep"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn start_time(&self) -> u64 {
        let stat = std::fs::read(format!("/proc/{}/stat", self.pid())).expect("it lives");
        rrun::state::parse_start_time(&stat).expect("a start time")
    }

    fn assert_untouched(&mut self, what: &str) {
        assert_eq!(self.0.try_wait().expect("wait"), None, "{what}");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it lives");
        assert!(!stat.contains(") T "), "{what}: stopped");
    }
}

impl Drop for Innocent {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait().map(drop)).ok();
    }
}

/// Changes the state on disk.
fn change(b: &Bundle, change: impl FnOnce(&mut Value)) {
    let file = b.root().join(&b.id).join("rrun.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect("JSON");
    change(&mut state["state"]);
    std::fs::write(file, state.to_string()).expect("write");
}

/// In a mount namespace of its own, the state root is a tmpfs with room for so many pages or files.
fn a_full_disk_is_an_error_that_leaves_nothing() {
    let b = Bundle::new(&["true"]);
    b.write();
    let root = b.scratch("full");
    std::fs::create_dir(&root).expect("mkdir");
    let (root, rrun) = (root.to_str().expect("UTF-8"), rrun_path());
    let mut failures = 0;
    for limit in (2..10).map(|n| format!("nr_inodes={n}")).chain((1..5).map(|n| format!("size={}k", 4 * n))) {
        let script = format!(
            "mount -t tmpfs -o mode=755,{limit} tmpfs {root} && '{0}' --root {root} run {1}; code=$?; ls -A {root} >&2; exit $code",
            rrun.display(),
            b.id
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).current_dir(b.path()).stdin(Stdio::null());
        let done = finish(command);
        if done.code == 0 {
            continue;
        }
        failures += 1;
        assert!(done.err.contains("no space left on device"), "{limit}: {}", done.err);
        assert!(done.err.contains(root), "{limit}: the place is named: {}", done.err);
        assert!(!done.err.lines().any(|line| line == b.id), "{limit}: left its directory: {}", done.err);
        b.assert_no_trace();
    }
    assert!(failures > 3, "the disk was never full");
}

fn a_full_log_or_pid_file_is_an_error() {
    let b = Bundle::new(&["true"]);
    let done = b.run_with(&["--pid-file", "/dev/full/x"]);
    done.fails_with("/dev/full/x");
    b.assert_no_trace();
    b.write().rrun(["--log", "/dev/full/x", "run", &b.id]).fails_with("/dev/full/x");
    b.assert_no_trace();
}

/// Whoever may mount anything, as users may by FUSE, chooses a name in the table of mounts.
fn a_mount_of_any_name_on_the_host_is_no_obstacle() {
    let b = Bundle::new(&["echo", "fine"]);
    b.write();
    let place = b.scratch("places");
    for options in ["", "--no-pivot"] {
        let script = "for name in $(printf 'a\\377\\376 b\\033c'); do mkdir -p \"$1/$name\" && mount -t proc proc \"$1/$name\"; done; \
                      shift; exec \"$@\"";
        let run = b.command(["run"].into_iter().chain(options.split_whitespace()).chain([b.id.as_str()]));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", script, "sh"]).arg(&place);
        command.arg(run.get_program()).args(run.get_args()).current_dir(b.path()).stdin(Stdio::null());
        assert_eq!(finish(command).ok(), "fine\n", "{options}");
    }
}

fn a_damaged_state_hides_nobody_else() {
    let (sound, broken) = (Bundle::new(&["sleep", "100"]), Bundle::new(&["sleep", "100"]));
    // Both under one root.
    let root = broken.root();
    let (ids, at) = ([&sound.id, &broken.id], root.to_str().expect("UTF-8"));
    for (bundle, id) in [&sound, &broken].into_iter().zip(ids) {
        let mut create = Command::new(rrun_path());
        create.args(["--root", at, "create", "--bundle"]).arg(bundle.write().path()).arg(id);
        std::fs::create_dir_all(at).expect("make the state root");
        assert!(create.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun").success());
    }
    let file = root.join(&broken.id).join("rrun.json");
    let text = std::fs::read(&file).expect("read");
    let mut dice = Dice(5);
    let mut wrecks: Vec<Vec<u8>> = (0..8).map(|n| text[..text.len() * n / 8].to_vec()).collect();
    wrecks.push(vec![0; text.len()]);
    wrecks.push(b"null".to_vec());
    wrecks.push(vec![b'['; 100_000]);
    for _ in 0..20 {
        let mut bent = text.clone();
        (0..3).for_each(|_| bent[dice.below(text.len())] ^= 1 << dice.below(8));
        wrecks.push(bent);
    }
    for wreck in wrecks {
        std::fs::write(&file, &wreck).expect("write");
        let done = broken.rrun(["list"]);
        let shown = String::from_utf8_lossy(&wreck).into_owned();
        assert!(done.code == 0 && done.out.contains(&format!("{} ", sound.id)), "{shown}: {done:?}");
        for verb in ["state", "start", "pause", "events", "ps"] {
            let more: &[&str] = if verb == "events" { &["--stats"] } else { &[] };
            let args: Vec<&str> = [verb].iter().chain(more).copied().chain([broken.id.as_str()]).collect();
            let done = finish(broken.command(args));
            assert!(done.code == 0 || (done.code == 1 && !done.err.trim().is_empty()), "{verb}, {shown}: {done:?}");
        }
        if done.err.contains("damaged") {
            broken.rrun(["state", &broken.id]).fails_with(&format!("rrun delete --force {}", broken.id));
        }
    }
    std::fs::write(&file, &text).expect("write");
    for id in ids {
        broken.rrun(["delete", "--force", id]).ok();
    }
    assert_eq!(processes_of(&sound.id), []);
}

/// The state speaks of a pid that is another process by now, in this boot or another.
fn nobody_else_is_signalled() {
    let mut innocent = Innocent::new();
    let (pid, start) = (innocent.pid(), innocent.start_time());
    for (start, boot) in [(start + 1, None), (start, Some("another-boot")), (0, None), (u64::MAX, Some(""))] {
        let mut b = Bundle::new(&["sleep", "100"]);
        // Without a PID namespace, rrun has to find what the container started.
        share_pids(&mut b.config);
        b.run_detached();
        let own = b.state()["pid"].as_i64().expect("a pid") as i32;
        change(&b, |state| {
            state["pid"] = json!(pid);
            state["start_time"] = json!(start);
            if let Some(boot) = boot {
                state["boot_id"] = json!(boot);
            }
        });
        let what = format!("start time {start}, boot {boot:?}");
        assert_eq!(b.state()["status"], "stopped", "{what}");
        for args in
            [&["kill", &b.id, "KILL"][..], &["kill", &b.id], &["pause", &b.id], &["exec", &b.id, "true"], &["start", &b.id]]
        {
            let done = finish(b.command(args.iter().copied()));
            // `kill KILL` may end what is in the container's own group.
            assert!(done.code != 0 || args.len() == 3, "{what}: {args:?}: {done:?}");
            innocent.assert_untouched(&format!("{what}: {args:?}"));
        }
        let done = finish(b.command(["delete", "--force", &b.id]));
        assert_eq!(done.code, 0, "{what}: {}", done.err);
        innocent.assert_untouched(&what);
        // Where nothing tells rrun of it, it is the test's to end.
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(own), nix::sys::signal::Signal::SIGKILL).ok();
        wait_until("its group can go", || {
            groups_named(&b.id).iter().all(|group| std::fs::remove_dir(group).is_ok()) && groups_named(&b.id).is_empty()
        });
    }
}

/// Groups are made anew after a boot, perhaps by others and with the same names.
fn groups_of_an_earlier_boot_are_somebody_elses() {
    let mut b = Bundle::new(&["sleep", "100"]);
    share_pids(&mut b.config);
    b.run_detached();
    let stale = Bundle::new(&["true"]);
    std::fs::create_dir_all(stale.root()).expect("mkdir");
    let copied = Command::new("cp").arg("-a").arg(b.root().join(&b.id)).arg(stale.root()).status().expect("run cp");
    assert!(copied.success());
    let file = stale.root().join(&b.id).join("rrun.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect("JSON");
    state["state"]["boot_id"] = json!("an-earlier-one");
    std::fs::write(&file, state.to_string()).expect("write");
    stale.rrun(["kill", &b.id, "KILL"]).fails_with("container not running");
    stale.rrun(["delete", "--force", &b.id]).ok();
    assert_eq!(b.state()["status"], "running", "the container of this boot lives");
    assert!(!groups_named(&b.id).is_empty());
}

fn with_runtime_hook(script: &str) -> Bundle {
    let mut b = Bundle::new(&["sleep", "100"]);
    let script = format!("pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); {script}");
    b.config["hooks"] =
        json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]});
    b
}

fn init_that_is_killed_is_said() {
    let b = with_runtime_hook("kill -9 $pid");
    b.run().fails_with("container init was killed by SIGKILL");
    b.assert_no_trace();
}

/// The parent dies while init waits for its answer.
fn a_killed_parent_ends_init() {
    let b = with_runtime_hook("kill -9 $PPID");
    let done = finish(b.write().command(["run", &b.id]));
    assert_eq!(done.code, 137, "{done:?}");
    wait_until("init ends by itself", || processes_of(&b.id).is_empty());
    assert_eq!(b.state()["status"], "stopped");
    assert!(b.rrun(["list"]).ok().contains("stopped"));
    b.rrun(["run", &b.id]).fails_with("container with given ID already exists");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

/// A listener whose queue is full: a connection would wait for ever.
fn a_socket_that_accepts_nobody_is_an_error() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let path = b.scratch("deaf");
    let listener = UnixListener::bind(&path).expect("bind");
    nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).expect("a number")).expect("listen");
    let _waiting = UnixStream::connect(&path).expect("the first one fits");
    let path = path.to_str().expect("UTF-8");
    let done = finish(b.write().command(["create", "--pidfd-socket", path, &b.id]));
    assert!(done.code == 1 && done.err.contains("accepts no connection"), "{done:?}");
    b.assert_no_trace();
    b.config["process"]["terminal"] = json!(true);
    let done = finish(b.write().command(["create", "--console-socket", path, &b.id]));
    assert!(done.code == 1 && done.err.contains("accepts no connection"), "{done:?}");
    b.assert_no_trace();
}

fn a_console_socket_that_closes_is_no_hang() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["process"]["terminal"] = json!(true);
    let path = b.scratch("console");
    let listener = UnixListener::bind(&path).expect("bind");
    let closes = std::thread::spawn(move || drop(listener.accept()));
    let log = b.scratch("log");
    let (path, log) = (path.to_str().expect("UTF-8").to_owned(), log.to_str().expect("UTF-8").to_owned());
    let mut command = b.write().command(["--log", &log, "create", "--console-socket", &path, &b.id]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("start rrun");
    closes.join().expect("accepted");
    // Whether the terminal was sent before the other side closed is a race; an error names the socket and leaves nothing.
    if status.success() {
        b.rrun(["delete", "--force", &b.id]).ok();
    } else {
        assert!(std::fs::read_to_string(&log).expect("the log").contains("console socket"));
    }
    b.assert_no_trace();
    // Nobody has the terminal's master then; that is the program's affair, and the container can still be removed.
    assert_eq!(processes_of(&b.id), []);
}
