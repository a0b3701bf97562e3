//! Every situation of `rrun help CODE`, made for real: what rrun says of it on a pipe, on a terminal and in a JSON log, with
//! which status it ends, and what an engine must conclude from the words.
//!
//! There is no code without a case: what this host is not, a mount namespace of the test's own makes it (see [`elsewhere`]).

mod configs;
mod containers;
mod elsewhere;
mod hosts;
mod programs;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use regex_lite::Regex;
use rrun::workshop::help::errors::entries;
use serde_json::Value;

use crate::matchers::{dockerd, podman_of};
use crate::support::{Bundle, Done, Test, screen::Screen, user::public_rrun};

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    [configs::tests(), containers::tests(), elsewhere::tests(), hosts::tests(), programs::tests(), own::tests()]
        .into_iter()
        .flatten()
        .collect()
}

mod own {
    use super::every_code_is_made_somewhere;

    crate::tests![every_code_is_made_somewhere];
}

/// What an engine concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 127.
    NotFound,
    /// 126.
    NotExecutable,
    /// 125: neither.
    Other,
}

/// A situation.
pub struct Case {
    /// Its code.
    pub code: &'static str,
    /// Makes it of a good bundle; returns the words behind `rrun`, where @ stands for the id.
    pub make: fn(&mut Bundle) -> &'static str,
    /// Run before each of the three forms: what the command itself, or the clean-up behind it, takes away.
    pub before: fn(&Bundle),
    /// The whole message, as a regular expression.
    pub text: &'static str,
    /// The exit status.
    pub exit: i32,
    /// What Docker concludes.
    pub class: Class,
}

/// All codes of the cases.
fn made() -> BTreeSet<&'static str> {
    let configs = [configs::CASES, configs::LABELS, configs::MOUNTS, programs::CASES];
    let hosts =
        [hosts::CASES, hosts::CPUSET, hosts::IN_GROUPS, containers::CASES, elsewhere::CASES, elsewhere::KEYS, elsewhere::MAPPED];
    configs.into_iter().chain(hosts).flatten().map(|c| c.code).collect()
}

fn every_code_is_made_somewhere() {
    let made = made();
    let missing: Vec<&str> = entries().map(|e| e.code).filter(|code| !made.contains(code)).collect();
    assert!(missing.is_empty(), "no bundle makes them: {missing:?}");
}

/// Makes each case and looks at it in all three forms.
pub fn check(cases: &[Case]) {
    for case in cases {
        let mut b = Bundle::new(&["true"]);
        let words = (case.make)(&mut b).replace('@', &b.id);
        let words: Vec<&str> = words.split(' ').collect();
        let line = on_a_pipe(case, &b, &words);
        in_json(case, &b, &words, &line);
        on_a_terminal(case, &b, &words);
        let (docker, podman) = (dockerd(&line, "", false), podman_of(&line));
        let status = match case.class {
            Class::NotFound => 127,
            Class::NotExecutable => 126,
            Class::Other => 125,
        };
        // dockerd has no phrase for what the kernel does not permit.
        let not_permitted = line.contains("operation not permitted");
        assert!(docker == status || not_permitted && docker == 125, "{}: dockerd concludes {docker} of {line}", case.code);
        // Podman has no phrase for what is no folder.
        let no_folder = line.contains("not a directory");
        assert!(podman == status || no_folder && podman == 125, "{}: Podman concludes {podman} of {line}", case.code);
    }
}

fn run(case: &Case, b: &Bundle, words: &[&str]) -> Done {
    // Null stands for a text of the case's own, which is no JSON.
    if !b.config.is_null() {
        b.write();
    }
    (case.before)(b);
    let done = b.rrun(words.iter().copied());
    b.rrun(["delete", "--force", &b.id]).ok();
    done
}

fn on_a_pipe(case: &Case, b: &Bundle, words: &[&str]) -> String {
    let done = run(case, b, words);
    let line = done.err.lines().next().unwrap_or_default().to_owned();
    assert_eq!(done.code, case.exit, "{}: {done:?}", case.code);
    let pattern = Regex::new(&format!("^{}$", case.text)).expect("a regular expression");
    assert!(pattern.is_match(&line), "{}: {line}\nshould match: {pattern}", case.code);
    lint(case.code, &line);
    line
}

/// What the hint lint (tests/house) asks of the sources, asked of what was really said.
fn lint(code: &str, line: &str) {
    if let Some((_, hint)) = line.split_once(" (hint: ") {
        let hint = hint.trim_end_matches(')');
        assert!(hint.len() <= 300 && !hint.ends_with('.'), "{code}: {hint}");
    }
}

fn in_json(case: &Case, b: &Bundle, words: &[&str], line: &str) {
    let log = b.scratch("errors.json");
    std::fs::remove_file(&log).ok();
    let flags = ["--log", log.to_str().expect("UTF-8"), "--log-format", "json"];
    let done = run(case, b, &[&flags, words].concat());
    assert_eq!(done.code, case.exit, "{}: {done:?}", case.code);
    let text = std::fs::read_to_string(&log).expect("the log");
    let record: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: one record: {e}: {text}", case.code));
    assert_eq!((&record["level"], &record["code"]), (&Value::from("error"), &Value::from(case.code)), "{text}");
    let message = record["msg"].as_str().expect("msg");
    // Numbers of processes and temporary names differ from run to run.
    assert_eq!(digits_gone(message), digits_gone(line));
    if let Some(hint) = record["hint"].as_str() {
        assert!(message.contains(&format!("(hint: {hint})")), "{text}");
    }
    if record["config"].is_string() && !["exec", "state", "update"].contains(&words[0]) {
        let file = record["file"].as_str().unwrap_or_default();
        assert!(Regex::new(r"^config\.json:\d+:\d+$").expect("valid").is_match(file), "{}: {text}", case.code);
    }
}

fn digits_gone(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn on_a_terminal(case: &Case, b: &Bundle, words: &[&str]) {
    (case.before)(b);
    let (mut command, rrun) = match &b.user {
        Some(user) => (user.command("env"), public_rrun().to_owned()),
        None => (Command::new("env"), crate::support::rrun_path()),
    };
    command.args(["LC_ALL=C", "TERM=xterm"]).arg(rrun).args(["--color", "never", "--root"]).arg(b.root());
    command.args(words).current_dir(b.path()).stdin(Stdio::null());
    let mut seen = Screen::start(&command, 24, 200);
    assert_eq!(seen.end(), case.exit, "{}: {}", case.code, seen.text);
    b.rrun(["delete", "--force", &b.id]).ok();
    let text = seen.text.replace("\r\n", "\n");
    let error = text.lines().find(|l| l.starts_with("error: ")).unwrap_or_else(|| panic!("{}: {text}", case.code));
    assert!(!error.contains("(hint: ") && !error.contains("(config.json: "), "{error}");
    let code = format!("[{0}: rrun help {0}]", case.code);
    assert!(text.lines().any(|l| l.ends_with(&code)), "{code}: {text}");
}
