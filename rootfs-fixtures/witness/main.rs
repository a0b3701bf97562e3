//! The witness: a static program that prints, as one JSON object, what a process in a container sees.
//!
//! Tests and the quickstart run it in place of the container's program and compare its answer with config.json: what the
//! runtime *says* it did proves nothing. It asks the kernel directly and shares no code with rrun. What cannot be seen
//! (no /proc, a call that a filter refuses) is `null`.
//!
//! ```text
//! witness [KEY…]          print all keys, or only these
//!   --open PATH r|w|rw    then try an action and add its outcome to "did": {"open":"/x","errno":"EACCES"}
//!   --call NUMBER [ARG…]  the system call NUMBER; an ARG is a number or str:TEXT; up to the next option
//!   --mem BYTES           touch so much memory      --fork N   have N children at once
//!   --sleep               after printing, wait for a signal, print its name and end with status 128+n
//!   --exit CODE           end with that status
//! witness attack …        try to harm rrun (attacks.rs)
//! ```
#![no_main]
#![allow(clippy::disallowed_methods, reason = "the witness tries what a container may try")]

mod actions;
mod attacks;
mod kernel;
mod procfs;

use std::io::Write;

use serde_json::{Map, Value, json};

/// A key and the question behind it.
type Key = (&'static str, fn() -> Value);

/// Everything the witness can tell.
const KEYS: &[Key] = &[
    ("argv", || std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect()),
    ("env", environment),
    ("cwd", || std::env::current_dir().map_or(Value::Null, |d| json!(d.to_string_lossy()))),
    ("pid", || json!(std::process::id())),
    ("ppid", || json!(std::os::unix::process::parent_id())),
    ("pgid", || json!(nix::unistd::getpgrp().as_raw())),
    ("sid", || nix::unistd::getsid(None).map_or(Value::Null, |s| json!(s.as_raw()))),
    ("comm", kernel::comm),
    ("uid", || json!(nix::unistd::getuid().as_raw())),
    ("euid", || json!(nix::unistd::geteuid().as_raw())),
    ("gid", || json!(nix::unistd::getgid().as_raw())),
    ("egid", || json!(nix::unistd::getegid().as_raw())),
    ("groups", kernel::groups),
    ("umask", kernel::umask),
    ("uid_map", || procfs::id_map("/proc/self/uid_map")),
    ("gid_map", || procfs::id_map("/proc/self/gid_map")),
    ("setgroups", || procfs::line("/proc/self/setgroups")),
    ("namespaces", procfs::namespaces),
    ("timens_offsets", procfs::time_offsets),
    ("clocks", kernel::clocks),
    ("hostname", || kernel::host_names().0),
    ("domainname", || kernel::host_names().1),
    ("capabilities", procfs::capabilities),
    ("securebits", || kernel::prctl(libc::PR_GET_SECUREBITS)),
    ("no_new_privs", || kernel::prctl(libc::PR_GET_NO_NEW_PRIVS).as_i64().map_or(Value::Null, |v| json!(v == 1))),
    ("seccomp", || procfs::status_number("Seccomp")),
    ("seccomp_filters", || procfs::status_number("Seccomp_filters")),
    ("attributes", procfs::attributes),
    ("lsm", || procfs::line("/proc/self/attr/current")),
    ("session_keyring", kernel::session_keyring),
    ("dumpable", || kernel::prctl(libc::PR_GET_DUMPABLE)),
    ("parent_death_signal", kernel::parent_death_signal),
    ("signals", procfs::signals),
    ("timers", kernel::timers),
    ("rlimits", kernel::rlimits),
    ("oom_score_adj", || procfs::number("/proc/self/oom_score_adj")),
    ("scheduler", kernel::scheduler),
    ("ioprio", kernel::ioprio),
    ("affinity", kernel::affinity),
    ("memory_policy", kernel::memory_policy),
    ("personality", kernel::personality),
    ("cgroup", procfs::cgroup),
    ("mounts", procfs::mounts),
    ("fds", procfs::fds),
    ("tty", || json!([0, 1, 2].map(kernel::is_terminal))),
    ("controlling_tty", || json!(std::fs::File::open("/dev/tty").is_ok())),
    ("winsize", kernel::window_size),
];

/// The C library's entry instead of Rust's: Rust's would open /dev/null for closed stdio and ignore SIGPIPE before the
/// witness could look.
#[unsafe(no_mangle)]
extern "C" fn main() -> libc::c_int {
    let args: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    testify(&args).unwrap_or_else(|message| {
        complain(&message);
        2
    })
}

fn testify(args: &[String]) -> Result<i32, String> {
    if let Some(("attack", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        say(&attacks::attack(rest)?);
        return Ok(0);
    }
    let first_option = args.iter().position(|a| a.starts_with("--")).unwrap_or(args.len());
    let (asked, options) = args.split_at(first_option);
    let actions = actions::parse(options)?;
    let mut answer = Map::new();
    for name in asked {
        let (name, ask) = KEYS.iter().find(|(key, _)| key == name).ok_or_else(|| format!("unknown key {name}"))?;
        answer.insert((*name).to_owned(), ask());
    }
    if asked.is_empty() && actions.outcomes.is_empty() {
        answer.extend(KEYS.iter().map(|(name, ask)| ((*name).to_owned(), ask())));
    }
    if !actions.outcomes.is_empty() {
        answer.insert("did".to_owned(), actions.outcomes.iter().map(|act| act()).collect());
    }
    say(&Value::Object(answer));
    if actions.sleep {
        return Ok(128 + kernel::wait_for_signal(|name| say(&json!({ "signal": name }))));
    }
    Ok(actions.exit)
}

fn environment() -> Value {
    let pair = |(k, v): (std::ffi::OsString, std::ffi::OsString)| (k.to_string_lossy().into_owned(), json!(v.to_string_lossy()));
    Value::Object(std::env::vars_os().map(pair).collect())
}

/// One line on stdout. A closed stdout is no reason to change the exit status.
fn say(value: &Value) {
    drop(std::io::stdout().write_all(format!("{value}\n").as_bytes()));
}

fn complain(message: &str) {
    drop(std::io::stderr().write_all(format!("witness: {message}\n").as_bytes()));
}
