//! Each system call of a start fails once, as strace(1) injects it: in rrun and in the container's first process alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Dice, KINDS, Probe, finish, rounds};
use crate::support::*;

crate::tests![all if needs_strace; a_failed_call_undoes_all_before_it];

/// strace, and the right to trace.
pub(super) fn needs_strace() -> Option<&'static str> {
    let trial = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=getppid:error=EPERM:when=9", "/bin/true"];
    let works = Command::new("strace").args(trial).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    needs_root().or((!works).then_some("needs strace(1) and the right to trace")).or_else(crate::fixtures::lacks_time_namespace)
}

/// Calls that do not fail, or not without having done their work; and those whose failure the standard library takes for the end of
/// the world, which is SIGKILL's test.
const NEVER_FAIL: [&str; 29] = [
    "arch_prctl",
    "brk",
    "close",
    "execve",
    "execveat",
    "exit_group",
    "fcntl",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "getuid",
    "lseek",
    "mprotect",
    "munmap",
    "recvfrom",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "umask",
    "uname",
];

/// Those by which things are undone. One that fails in init while the parent makes it for the same time leaves something.
const UNDO: [&str; 9] =
    ["getdents64", "newfstatat", "pidfd_send_signal", "poll", "rmdir", "statx", "unlink", "unlinkat", "wait4"];

const ERRORS: [&str; 4] = ["ENOMEM", "EPERM", "EIO", "EMFILE"];

/// How often each call is made, by whichever process makes it most.
fn counted(probe: &Probe) -> BTreeMap<String, usize> {
    let trace = probe.bundle.scratch("trace");
    let mut command = traced(probe, &["-o", trace.to_str().expect("UTF-8")], &["run", &probe.bundle.id]);
    let done: Done = command.output().expect("run strace").into();
    assert_eq!(probe.judge(&done), Ok(true), "without a fault: {done:?}");
    let mut by_process: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).expect("the trace").lines() {
        if let Some((process, call)) = line.split_once(' ')
            && let Some((name, _)) = call.trim_start().split_once('(')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        {
            *by_process.entry((process.to_owned(), name.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, name), count) in by_process {
        let known: &mut usize = most.entry(name).or_default();
        *known = count.max(*known);
    }
    most
}

/// `strace -f … rrun WORDS…`
pub(super) fn traced(probe: &Probe, options: &[&str], words: &[&str]) -> Command {
    let run = probe.bundle.command(words.iter().copied());
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(options).arg(run.get_program()).args(run.get_args());
    command.current_dir(Path::new(run.get_current_dir().expect("the bundle"))).stdin(Stdio::null());
    command
}

fn a_failed_call_undoes_all_before_it() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut wrong = vec![];
    for kind in KINDS {
        let mut probe = Probe::new(kind);
        let calls = counted(&probe).into_iter().filter(|(name, _)| !NEVER_FAIL.contains(&name.as_str()));
        let mut faults: Vec<(String, usize)> = calls.flat_map(|(name, n)| (1..=n).map(move |i| (name.clone(), i))).collect();
        assert!(faults.len() > 100, "the trace was not understood: {faults:?}");
        probe.tolerant = true;
        for _ in 0..rounds(15).min(faults.len()) {
            let (name, at) = faults.swap_remove(dice.below(faults.len()));
            let error = ERRORS[dice.below(ERRORS.len())];
            let trace = format!("trace={name}");
            let inject = format!("inject={name}:error={error}:when={at}");
            let done = finish(traced(&probe, &["-o", "/dev/null", "-e", &trace, "-e", &inject], &["run", &probe.bundle.id]));
            let what = format!("{kind:?}, {inject}");
            // The standard library looks at its streams before the program begins, and aborts if it cannot.
            let aborted = name == "poll" && (done.code, done.out.as_str(), done.err.trim()) == (134, "", "");
            let ran = !aborted
                && probe.judge(&done).unwrap_or_else(|e| {
                    wrong.push(format!("{what}: {e}; {}", done.err));
                    true
                });
            // The program ran, so that the fault may have met what comes after it; then an error says so.
            let may_leave = done.code != 0 && (ran || UNDO.contains(&name.as_str()));
            if let Some(left) = probe.left() {
                if !may_leave {
                    wrong.push(format!("{what}: left {left}; {}", done.err));
                }
                probe.force(&what);
            }
        }
    }
    // All of them: a run of every call takes minutes.
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
