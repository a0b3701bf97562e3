//! `rrun completion`: real shells ask, rrun answers from what is there.

use std::process::{Command, Stdio};

use crate::support::screen::Screen;
use crate::support::*;

crate::tests![
    the_words_fit_the_place,
    bash_completes if needs_bash,
    zsh_completes if needs_zsh,
    fish_completes if needs_fish,
    wrong_shells_are_refused_with_2,
];

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn needs_bash() -> Option<&'static str> {
    (!has("bash")).then_some("needs bash")
}

fn needs_zsh() -> Option<&'static str> {
    (!has("zsh")).then_some("needs zsh")
}

fn needs_fish() -> Option<&'static str> {
    (!has("fish")).then_some("needs fish")
}

/// What rrun offers for the last of these words.
fn offered(b: &Bundle, words: &[&str]) -> Vec<String> {
    let all = [&["completion", "words"], words].concat();
    b.rrun(all).ok().lines().map(str::to_owned).collect()
}

fn the_words_fit_the_place() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    std::fs::create_dir_all(b.path().join("web")).expect("mkdir");
    std::fs::write(b.path().join("web/config.json"), "{}").expect("write");
    let id = b.id.as_str();
    assert_eq!(offered(&b, &["re"]), ["resume"]);
    assert_eq!(offered(&b, &["--log-format", "j"]), ["json"]);
    assert_eq!(offered(&b, &["--debug", "kill", ""]), [id]);
    assert_eq!(offered(&b, &["kill", id, "US"]), ["USR1", "USR2"]);
    assert_eq!(offered(&b, &["create", "--no"]), ["--no-new-keyring", "--no-pivot"]);
    assert_eq!(offered(&b, &["run", "--bundle", "w"]), ["web"]);
    assert_eq!(offered(&b, &["run", "we"]), ["web"]);
    assert_eq!(offered(&b, &["help", "E-INT"]), ["E-INTERP"]);
    assert!(offered(&b, &["help", "process.no"]).contains(&"process.noNewPrivileges".to_owned()));
    assert_eq!(offered(&b, &["--root", "/nonexistent", "state", ""]), [""; 0]);
    // Words of the program in the container are none of rrun's.
    assert_eq!(offered(&b, &["exec", id, "ls", "-"]), [""; 0]);
}

/// A directory whose `rrun` uses the bundle's state root.
fn with_wrapper(b: &Bundle) -> String {
    use std::os::unix::fs::PermissionsExt;
    let dir = b.scratch("bin");
    std::fs::create_dir(&dir).expect("mkdir");
    let text = format!("#!/bin/sh\nexec {} --root {} \"$@\"\n", rrun_path().display(), b.root().display());
    std::fs::write(dir.join("rrun"), text).expect("write");
    std::fs::set_permissions(dir.join("rrun"), PermissionsExt::from_mode(0o755)).expect("chmod");
    format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default())
}

/// A container, and what is typed with what it shall become: a verb, a flag, an id.
fn typed() -> (Bundle, [(String, String); 3]) {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let whole = ["rrun resume".to_owned(), "rrun create --no-pivot".to_owned(), format!("rrun state {}", b.id)];
    let cut = ["rrun resu", "rrun create --no-p", "rrun state "].map(str::to_owned);
    let pairs = cut.into_iter().zip(whole).collect::<Vec<_>>().try_into().expect("three");
    (b, pairs)
}

/// Types each into a shell on a terminal and presses the tab key.
fn completes_on_a_terminal(shell: &[&str], set_up: &str) {
    let (b, pairs) = typed();
    let mut command = Command::new("env");
    command.arg(format!("PATH={}", with_wrapper(&b))).args(["TERM=dumb", "LC_ALL=C", &format!("HOME={}", b.path().display())]);
    command.args(shell).current_dir(b.path());
    let mut screen = Screen::start(&command, 24, 200);
    // What a shell echoes is not yet what it runs.
    screen.send(format!("{set_up}; echo rea''dy\n").as_bytes());
    screen.expect("ready");
    for (cut, whole) in pairs {
        screen.send(format!("echo ok; {cut}\t").as_bytes());
        screen.expect(&whole);
        // Ctrl-U: the line is not run.
        screen.send(b"\x15");
    }
    screen.send(b"exit\n");
    assert_eq!(screen.end(), 0, "{}", screen.text);
}

fn bash_completes() {
    completes_on_a_terminal(&["bash", "--norc", "--noprofile", "-i"], "source <(rrun completion bash)");
}

fn zsh_completes() {
    completes_on_a_terminal(&["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; source <(rrun completion zsh)");
}

fn fish_completes() {
    let (b, pairs) = typed();
    let path = with_wrapper(&b);
    for (cut, whole) in pairs {
        let mut command = Command::new("fish");
        let line = format!("rrun completion fish | source; complete -C '{cut}'");
        let done: Done = command.args(["--no-config", "-c", &line]).env("PATH", &path).output().expect("start fish").into();
        assert_eq!(Some(done.ok().trim()), whole.rsplit(' ').next(), "{cut}");
    }
}

fn wrong_shells_are_refused_with_2() {
    let b = Bundle::new(&["true"]);
    for args in [&["completion", "tcsh"][..], &["completion"], &["doctor", "x"], &["plan", "a", "b"]] {
        let done = b.rrun(args.iter().copied());
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{args:?}: {done:?}");
        assert!(done.err.contains("usage: rrun "), "{done:?}");
    }
}
