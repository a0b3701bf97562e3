//! Hooks run for real here, as the caller: what they get, what their failure and their slowness do.

use std::time::{Duration, Instant};

use super::*;

fn decide(hooks: serde_json::Value) -> Result<HooksPlan> {
    plan_hooks(Some(&serde_json::from_value(hooks).expect("hooks")))
}

fn sh(script: &str) -> HooksPlan {
    decide(serde_json::json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b"]}]}))
        .expect("a plan")
}

fn failure(script: &str) -> String {
    run(&sh(script), Kind::CreateRuntime, b"{}").expect_err("a failure").to_string()
}

#[test]
fn bad_hooks_are_refused() {
    let refusal = |hook: serde_json::Value| decide(serde_json::json!({"poststop": [hook]})).expect_err("refused");
    let error = refusal(serde_json::json!({"path": "bin/x"}));
    assert_eq!(
        (error.to_string().as_str(), error.config_text()),
        (r#"hook path "bin/x" is not absolute"#, Some("hooks.poststop[0]"))
    );
    assert_eq!(refusal(serde_json::json!({"path": "/x", "timeout": 0})).to_string(), "hook timeout 0 is not greater than zero");
    assert_eq!(refusal(serde_json::json!({"path": "/x", "env": ["B"]})).to_string(), r#"invalid environment variable: "B""#);
}

#[test]
fn a_failure_names_hook_status_and_output() {
    let text = "error running createRuntime hook #0: exit status 3, stdout: out, stderr: boom";
    assert_eq!(failure("echo out; echo boom >&2; exit 3"), text);
    assert_eq!(failure("kill -9 $$"), "error running createRuntime hook #0: signal: SIGKILL, stdout: , stderr: ");
    assert!(failure("printf 'a\\033[31mb\\nc'; exit 1").contains(r"stdout: a\u{1b}[31mb\nc, "));
}

#[test]
fn a_missing_program_is_named() {
    let plan = decide(serde_json::json!({"prestart": [{"path": "/no/such"}]})).expect("a plan");
    let error = run(&plan, Kind::Prestart, b"").expect_err("a failure");
    assert_eq!(error.to_string(), "error running prestart hook #0: fork/exec /no/such: no such file or directory");
    assert_eq!(error.code_text(), Some("E-HOOK"));
}

#[test]
fn state_and_environment_are_the_hooks_own() {
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
    let script =
        format!("test $(wc -c) = {} && test \"$(env | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL=)\" = A=b", large.len());
    run(&sh(&script), Kind::CreateRuntime, large.as_bytes()).expect("all of the state, nothing of the caller's environment");
    run(&sh("exit 0"), Kind::CreateRuntime, large.as_bytes()).expect("a hook that reads nothing");
}

#[test]
fn only_stdio_is_passed_on() {
    let leak = nix::unistd::dup(std::io::stderr()).expect("a descriptor without close-on-exec");
    // One more than stdio: the handle of the listing itself.
    let listed = failure("ls /proc/self/fd | tr '\\n' ' '; exit 1");
    assert!(listed.contains("stdout: 0 1 2 3, "), "{listed}");
    drop(leak);
}

#[test]
fn a_timeout_kills_the_whole_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("alive");
    // The grandchild ignores nothing but outlives its parent unless the group is killed.
    let script = format!("(sleep 3; echo > {}) & sleep 60", file.display());
    let hook = serde_json::json!({"poststart": [{"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1}]});
    let error = run(&decide(hook).expect("a plan"), Kind::Poststart, b"").expect_err("a timeout");
    assert_eq!(error.to_string(), "error running poststart hook #0: hook ran past specified timeout of 1.0s");
    std::thread::sleep(Duration::from_secs(3));
    assert!(!file.exists(), "the grandchild lived on");
}

#[test]
fn what_a_hook_leaves_in_the_background_is_not_waited_for() {
    let begun = Instant::now();
    run(&sh("sleep 20 & exit 0"), Kind::CreateRuntime, b"").expect("success");
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[test]
fn poststop_goes_on_after_a_failure() {
    let plan = decide(serde_json::json!({"poststop": [{"path": "/bin/false"}, {"path": "/bin/true"}, {"path": "/bin/false"}]}))
        .expect("a plan");
    let texts: Vec<String> = run_all(&plan, Kind::Poststop, b"").iter().map(Error::to_string).collect();
    assert!(texts.len() == 2 && texts[1].starts_with("error running poststop hook #2: exit status 1"), "{texts:?}");
}

#[test]
fn hooks_that_others_may_write_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("hook");
    std::fs::write(&file, "").expect("write");
    let warned = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("chmod");
        let mut warnings = Warnings::default();
        warn_from_parent(&decide(serde_json::json!({"prestart": [{"path": file}]})).expect("a plan"), &mut warnings);
        warnings.lines().len()
    };
    assert_eq!((warned(0o755), warned(0o775), warned(0o757)), (0, 1, 1));
}
