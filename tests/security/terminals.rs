//! Terminals: a container that gets hold of its caller's types commands into it (CVE-2017-5226).

use std::process::Stdio;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::fstat;
use serde_json::{Value, json};

use super::of_every_caller;
use crate::support::screen::Screen;
use crate::support::*;

crate::tests![
    nothing_can_be_typed_into_the_callers_terminal,
    a_terminal_handed_over_when_detached_cannot_be_typed_into,
    the_callers_terminal_keeps_its_owner_and_mode,
];

const TIOCSTI: &str = "0x5412";
const TIOCLINUX: &str = "0x541c";

/// What can be seen and done of terminals, from the witness in the container.
fn probe() -> Vec<String> {
    let mut words =
        vec!["/bin/witness".to_owned(), "controlling_tty".to_owned(), "tty".to_owned(), "sid".to_owned(), "pid".to_owned()];
    for (call, fd) in [(TIOCSTI, "0"), (TIOCSTI, "1"), (TIOCSTI, "2"), (TIOCLINUX, "0")] {
        words.extend(["--call", &libc::SYS_ioctl.to_string(), fd, call, "str:x"].map(str::to_owned));
    }
    words
}

#[track_caller]
fn assert_powerless(told: &Value) {
    for deed in told["did"].as_array().expect("deeds") {
        assert_ne!(deed["errno"], Value::Null, "typed into the caller's terminal: {told}");
    }
    assert_eq!(told["controlling_tty"], false, "{told}");
    assert_eq!(told["sid"], told["pid"], "a session of its own: {told}");
}

fn last_line(text: &str) -> Value {
    let line = text.lines().rev().find(|l| l.starts_with('{')).unwrap_or_else(|| panic!("{text:?}"));
    serde_json::from_str(line.trim()).expect("JSON")
}

/// In the foreground, without a terminal of its own: pipes stand between.
fn nothing_can_be_typed_into_the_callers_terminal() {
    for mut b in of_every_caller(&[]) {
        b.config["process"]["args"] = json!(probe());
        for verb in ["run", "exec"] {
            let command = if verb == "run" {
                b.write().command(["run", &b.id])
            } else {
                b.config["process"]["args"] = json!(["sleep", "1000"]);
                b.run_detached();
                let words = probe();
                let all: Vec<&str> = ["exec", b.id.as_str()].into_iter().chain(words.iter().map(String::as_str)).collect();
                b.command(all)
            };
            let mut screen = Screen::start(&command, 24, 10_000);
            assert_eq!(screen.end(), 0, "{}", screen.text);
            let told = last_line(&screen.text);
            assert_powerless(&told);
            assert_eq!(told["tty"], json!([false, false, false]));
        }
    }
}

/// `run --detach` gives away what the caller has; but it controls no session there, and so takes no typing.
fn a_terminal_handed_over_when_detached_cannot_be_typed_into() {
    let mut b = Bundle::new(&[]);
    b.config["process"]["args"] = json!(probe());
    let run = b.write().command(["run", "--detach", &b.id]);
    let line = "\"$@\"; while ! [ -e ../over ]; do sleep 0.05; done";
    let mut screen = Screen::start_in(line, &run, 24, 10_000);
    screen.expect("}");
    b.wait_for("stopped");
    std::fs::write(b.scratch("over"), "").expect("write");
    screen.end();
    assert_powerless(&last_line(&screen.text));
}

/// A runtime that gave its stdio to the container's user gave away the terminal of root.
fn the_callers_terminal_keeps_its_owner_and_mode() {
    for mut b in of_every_caller(&["true"]) {
        if b.user.is_none() {
            b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        }
        for (terminal, verb) in [(false, "run"), (true, "run"), (false, "run --detach")] {
            b.config["process"]["terminal"] = json!(terminal);
            b.write();
            let pty = nix::pty::openpty(None, None).expect("open a terminal");
            for end in [&pty.master, &pty.slave] {
                fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("fcntl");
            }
            let look = || fstat(&pty.slave).map(|s| (s.st_uid, s.st_gid, s.st_mode)).expect("stat");
            let (before, end) = (look(), || Stdio::from(pty.slave.try_clone().expect("dup")));
            let all: Vec<&str> = verb.split(' ').chain([b.id.as_str()]).collect();
            let status = b.command(all).stdin(end()).stdout(end()).stderr(end()).status().expect("start rrun");
            assert!(status.success(), "{verb}, terminal {terminal}");
            assert_eq!(look(), before, "{verb}, terminal {terminal}");
            if verb.contains("detach") {
                b.wait_for("stopped");
                b.rrun(["delete", &b.id]).ok();
            }
        }
    }
}
