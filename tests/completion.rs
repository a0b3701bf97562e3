//! `rrun completion`: real shells ask, rrun answers from what is there.

use std::process::{Command, Stdio};

use crate::support::*;

crate::tests![
    the_words_fit_the_place,
    bash_completes if needs_bash,
    zsh_reads_its_script if needs_zsh,
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

fn shell(b: &Bundle, shell: &str, line: &str) -> String {
    let mut command = Command::new(shell);
    let done: Done = command.args(["-c", line]).env("PATH", with_wrapper(b)).output().expect("start a shell").into();
    done.ok()
}

fn bash_completes() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let line =
        r#"source <(rrun completion bash); COMP_WORDS=(rrun state ""); COMP_CWORD=2; _rrun; printf '%s\n' "${COMPREPLY[@]}""#;
    assert_eq!(shell(&b, "bash", line).trim(), b.id);
}

fn zsh_reads_its_script() {
    let b = Bundle::new(&["true"]);
    let line = "compdef() { :; }; source <(rrun completion zsh); whence -w _rrun";
    assert_eq!(shell(&b, "zsh", line).trim(), "_rrun: function");
}

fn fish_completes() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let out = shell(&b, "fish", "rrun completion fish | source; complete -C 'rrun state '");
    assert_eq!(out.trim(), b.id);
}

fn wrong_shells_are_refused_with_2() {
    let b = Bundle::new(&["true"]);
    for args in [&["completion", "tcsh"][..], &["completion"], &["doctor", "x"], &["plan", "a", "b"]] {
        let done = b.rrun(args.iter().copied());
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{args:?}: {done:?}");
        assert!(done.err.contains("usage: rrun "), "{done:?}");
    }
}
