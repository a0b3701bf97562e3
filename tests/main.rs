//! The black-box tests: they run the real binary as root, in real namespaces and cgroups, in parallel, and leave no trace.
//!
//! One binary with a harness of its own (libtest-mimic), so that a test can say at run time what the host lacks: it is
//! then counted as ignored, with the reason in brackets before its name. A test that is not in its module's list is dead
//! code, which the lints refuse.

#![allow(clippy::disallowed_methods, reason = "the tests are the attacker: they swap links, kill by pid and make nodes")]

mod audit;
mod badinput;
mod capabilities;
mod cgroups;
mod cli;
mod completion;
mod console;
mod cost;
mod crowd;
mod delete;
mod devices;
mod diff;
mod doctor;
mod errors;
mod events;
mod exec;
mod explain;
mod faults;
mod features;
mod fixtures;
mod help;
mod hooks;
mod identity;
mod install;
mod keyring;
mod kill;
mod lab;
mod layers;
mod lifecycle;
mod limits;
mod list;
mod log;
mod lsm;
mod masks;
mod matchers;
mod mounts;
mod namespaces;
mod narrate;
mod network;
mod notify;
mod pause;
mod privileges;
mod progress;
mod ps;
mod rdt;
mod readme;
mod replay;
mod rootfs;
mod rootless;
mod scheduling;
mod seccomp;
mod security;
mod shell;
mod signals;
mod spec;
mod state;
mod stats;
mod stdio;
mod support;
mod sysctl;
mod terminal;
mod trace;
mod traffic;
mod tree;
mod update;
mod users;
mod workshop;

fn main() -> std::process::ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let tests = support::collect();
    let conclusion = libtest_mimic::run(&args, tests);
    support::clean_up();
    conclusion.exit_code()
}
