//! Which test proves which flag, and which flags runc's callers send.
//!
//! A flag that is parsed and dropped is a restriction that its caller believes in. The unit tests of `cli` show that none is
//! lost while parsing; here each flag of the command line's table has tests that see what it does, and fails without.

mod rows;

use std::collections::BTreeSet;
use std::process::Command;

use rrun::cli::table::{GLOBAL, HELP, command, commands};

use super::conformance::test_exists;
use super::none;

/// Commands in one line, a flag, and the tests that prove what it does for them. `rrun` is the global part.
type Row = (&'static str, &'static str, &'static [&'static str]);

fn listed() -> Vec<(&'static str, &'static str)> {
    rows::ROWS.iter().flat_map(|(commands, flag, _)| commands.split(' ').map(move |command| (command, *flag))).collect()
}

#[test]
fn every_flag_has_a_test_of_its_effect() {
    let of_commands = commands().flat_map(|c| c.all_flags().map(move |flag| (c.name, flag.long)));
    let known: BTreeSet<_> = GLOBAL.iter().chain(&HELP).map(|flag| ("rrun", flag.long)).chain(of_commands).collect();
    let listed = listed();
    let set: BTreeSet<_> = listed.iter().copied().collect();
    let show = |(command, flag): &(&str, &str)| format!("{command} --{flag}");
    none("say in tests/flags who proves it:", known.difference(&set).map(show).collect());
    none("rrun has no such flag:", set.difference(&known).map(show).collect());
    assert_eq!(listed.len(), set.len(), "a flag is listed twice");
}

#[test]
fn every_test_of_a_flag_exists() {
    let missing = rows::ROWS.iter().flat_map(|(_, _, tests)| *tests).filter(|t| !test_exists(t)).map(|t| (*t).to_owned());
    none("tests/flags names a test that is not there:", missing.collect());
    let empty = rows::ROWS.iter().filter(|(_, _, tests)| tests.is_empty()).map(|(c, f, _)| format!("{c} --{f}"));
    none("a flag without a test:", empty.collect());
}

/// runc 1.5, with the few that engines send although runc does not list them; without checkpoint and restore.
const OF_RUNC: &[(&str, &str)] = &[
    ("rrun", "debug log log-format root systemd-cgroup rootless criu help,h version,v"),
    ("create", "bundle,b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds"),
    ("run", "bundle,b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds detach,d keep no-subreaper"),
    ("start", ""),
    ("state", ""),
    ("pause", ""),
    ("resume", ""),
    (
        "exec",
        "console-socket pidfd-socket cwd env,e tty,t user,u additional-gids,g process,p detach,d pid-file process-label \
         apparmor no-new-privs cap,c preserve-fds cgroup ignore-paused",
    ),
    ("kill", "all,a"),
    ("delete", "force,f"),
    ("list", "format,f quiet,q"),
    ("ps", "format,f"),
    ("events", "interval stats"),
    (
        "update",
        "resources,r blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpu-idle cpuset-cpus \
         cpuset-mems memory memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema kernel-memory \
         kernel-memory-tcp",
    ),
    ("spec", "bundle,b rootless"),
    ("features", ""),
];

#[test]
fn every_flag_and_abbreviation_of_runc_is_there() {
    let mut missing = vec![];
    for (name, flags) in OF_RUNC {
        let known: Vec<_> = match command(name) {
            Some(command) => command.all_flags().collect(),
            None if *name == "rrun" => GLOBAL.iter().chain(&HELP).collect(),
            None => {
                missing.push((*name).to_owned());
                continue;
            }
        };
        for flag in flags.split_whitespace() {
            let (long, short) = flag.split_once(',').map_or((flag, None), |(long, short)| (long, short.chars().next()));
            if !known.iter().any(|k| k.long == long && k.short == short) {
                missing.push(format!("{name} --{flag}"));
            }
        }
    }
    none("runc has it, rrun does not:", missing);
}

#[test]
fn what_is_not_there_is_not_promised() {
    for name in ["checkpoint", "restore"] {
        for args in [&[name, "--help"][..], &[name, "--image-path", "/x", "c"]] {
            let done = Command::new(env!("CARGO_BIN_EXE_rrun")).args(args).output().expect("start rrun");
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(1), "{args:?}");
            assert!(said.starts_with(&format!("unknown command \"{name}\" (hint: rrun cannot save a container")), "{said}");
        }
    }
    let features = Command::new(env!("CARGO_BIN_EXE_rrun")).arg("features").output().expect("start rrun");
    let features: serde_json::Value = serde_json::from_slice(&features.stdout).expect("JSON");
    assert_eq!(features["annotations"]["org.opencontainers.runc.checkpoint.enabled"], "false");
}
