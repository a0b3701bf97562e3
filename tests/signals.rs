//! Signals in the foreground: what rrun is sent goes to the container, and no child is lost.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::*;

crate::tests![
    a_signal_is_forwarded,
    a_signal_that_kills_is_the_status,
    a_real_time_signal_is_forwarded,
    what_the_caller_ignores_or_blocks_is_not_inherited,
    a_caller_that_ignores_its_children_still_gets_the_status,
    a_broken_pipe_kills_as_usual,
    orphans_come_to_rrun_and_are_reaped,
    without_a_subreaper_orphans_go_elsewhere,
    stopping_rrun_is_told_and_undone,
];

/// A bundle in the host's PID namespace: its first process has no protection from signals, and pids mean the same.
fn in_host_pids(args: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(args);
    share_pids(&mut bundle.config);
    bundle
}

/// rrun in the foreground, once the container has said its first line.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    bundle: Bundle,
}

impl Running {
    fn start(bundle: Bundle, args: &[&str]) -> Self {
        let all = ["run"].into_iter().chain(args.iter().copied()).chain([bundle.id.as_str()]);
        let mut child = bundle.write().command(all).stdout(Stdio::piped()).spawn().expect("start rrun");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, out, bundle }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("read");
        line.trim_end().to_owned()
    }

    fn kill(&self, signal: &str) {
        kill(signal, self.child.id() as i32);
    }

    /// The exit status of rrun, which must have cleaned up.
    fn end(mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait().expect("wait");
        self.bundle.assert_no_trace();
        status.code().unwrap_or_else(|| 1000 + status.signal().unwrap_or(0))
    }
}

fn kill(signal: &str, pid: i32) {
    assert!(Command::new("kill").args(["-s", signal, "--", &pid.to_string()]).status().expect("run kill").success());
}

/// Field `index` of /proc/PID/stat after the name (proc_pid_stat(5): 0 is the state, 1 the parent); `None` when it is gone.
fn stat(pid: i32, index: usize) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(index).map(str::to_owned)
}

/// Waits until `what` holds.
#[track_caller]
fn until(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("did not come true");
}

fn a_signal_is_forwarded() {
    for signal in ["TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "CONT"] {
        let script = format!("trap 'echo got; exit 5' {signal}; echo ready; while :; do sleep 0.05; done");
        let mut running = Running::start(Bundle::new(&["sh", "-c", &script]), &[]);
        assert_eq!(running.line(), "ready");
        running.kill(signal);
        assert_eq!(running.line(), "got", "{signal}");
        assert_eq!(running.end(), 5, "{signal}");
    }
}

fn a_signal_that_kills_is_the_status() {
    let bundle = in_host_pids(&["sh", "-c", "echo ready; exec sleep 100"]);
    let mut running = Running::start(bundle, &[]);
    assert_eq!(running.line(), "ready");
    running.kill("TERM");
    assert_eq!(running.end(), 143);
}

fn a_real_time_signal_is_forwarded() {
    let mut running = Running::start(in_host_pids(&["sh", "-c", "echo ready; exec sleep 100"]), &[]);
    assert_eq!(running.line(), "ready");
    running.kill("40");
    assert_eq!(running.end(), 128 + 40);
}

/// Runs the bundle from a shell line in which `"$@"` stands for rrun.
fn from_shell(line: &str, bundle: &Bundle, args: &[&str]) -> Done {
    let run = bundle.write().command(args.iter().copied().chain([bundle.id.as_str()]));
    let mut shell = Command::new("bash");
    shell.args(["-c", line, "bash"]).arg(run.get_program()).args(run.get_args()).current_dir(bundle.path()).stdin(Stdio::null());
    shell.output().expect("run bash").into()
}

fn what_the_caller_ignores_or_blocks_is_not_inherited() {
    let bundle = Bundle::new(&["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
    let ignore = "trap '' HUP INT QUIT PIPE TERM USR1 USR2 ALRM TSTP TTIN TTOU XFSZ; exec \"$@\"";
    let none = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n";
    assert_eq!(from_shell(ignore, &bundle, &["run"]).ok(), none);
    assert_eq!(from_shell("exec \"$@\"", &bundle, &["run"]).ok(), none);
    // Detached nothing is forwarded, and the same holds.
    let seen = bundle.scratch("seen");
    from_shell(&format!("{ignore} > {} 2>&1", seen.display()), &bundle, &["run", "--detach"]).ok();
    bundle.wait_for("stopped");
    assert_eq!(std::fs::read_to_string(seen).expect("read"), none);
}

fn a_caller_that_ignores_its_children_still_gets_the_status() {
    let bundle = Bundle::new(&["sh", "-c", "exit 7"]);
    // dash and bash keep SIGCHLD for themselves; env(1) passes the disposition on.
    let done = from_shell("exec env --ignore-signal=CHLD \"$@\"", &bundle, &["run"]);
    assert_eq!((done.code, done.err.as_str()), (7, ""));
}

fn a_broken_pipe_kills_as_usual() {
    let bundle = Bundle::new(&["sh", "-c", "(while echo line; do :; done); echo status=$? >&2"]);
    let done = from_shell("\"$@\" | head -n 1", &bundle, &["run"]);
    assert_eq!(done.out, "line\n");
    assert_eq!(done.err, "status=141\n", "the writer was killed by SIGPIPE, as in any shell");
}

fn orphans_come_to_rrun_and_are_reaped() {
    let bundle = in_host_pids(&["sh", "-c", "sh -c 'sleep 100 & echo $!'; echo done; exec sleep 100"]);
    let mut running = Running::start(bundle, &[]);
    let orphan: i32 = running.line().parse().expect("a pid");
    assert_eq!(running.line(), "done");
    until(|| stat(orphan, 1).as_deref() == Some(&running.child.id().to_string()));
    kill("KILL", orphan);
    // Not even a zombie is left, and rrun still waits for the container.
    until(|| stat(orphan, 0).is_none());
    assert!(running.child.try_wait().expect("wait").is_none());
    running.kill("TERM");
    assert_eq!(running.end(), 143);
}

fn without_a_subreaper_orphans_go_elsewhere() {
    let bundle = in_host_pids(&["sh", "-c", "sh -c 'sleep 100 & echo $!'; echo done; exec sleep 100"]);
    let mut running = Running::start(bundle, &["--no-subreaper"]);
    let orphan: i32 = running.line().parse().expect("a pid");
    assert_eq!(running.line(), "done");
    until(|| {
        stat(orphan, 1).is_some_and(|parent| parent != running.child.id().to_string()) && stat(orphan, 0).as_deref() == Some("S")
    });
    kill("KILL", orphan);
    running.kill("TERM");
    assert_eq!(running.end(), 143);
}

fn stopping_rrun_is_told_and_undone() {
    let script = "trap 'echo told' TSTP; trap 'echo continued; exit 8' CONT; echo ready; while :; do sleep 0.05; done";
    let bundle = Bundle::new(&["sh", "-c", script]);
    // A process group of its own whose parent is in the same session: only such a one may be stopped from the keyboard.
    let run = bundle.write().command(["run", &bundle.id]);
    let mut command = Command::new(run.get_program());
    std::os::unix::process::CommandExt::process_group(command.args(run.get_args()).current_dir(bundle.path()), 0);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("start rrun");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut running = Running { child, out, bundle };
    assert_eq!(running.line(), "ready");
    running.kill("TSTP");
    assert_eq!(running.line(), "told");
    let pid = running.child.id() as i32;
    until(|| stat(pid, 0).as_deref() == Some("T"));
    running.kill("CONT");
    assert_eq!(running.line(), "continued");
    assert_eq!(running.end(), 8);
}
