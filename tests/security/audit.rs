//! The leak audit: everything that a program and a hook receive, for each way to start one, beside what they should.
//!
//! The caller is as careless as can be: fifty open descriptors, ignored signals, a secret in its environment, an alarm, a
//! parent-death signal, a mask of its own. Of that only what runtimes pass on by custom arrives: umask, limits, niceness.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{is_rootless, of_every_caller};
use crate::support::*;

crate::tests![run_passes_on_nothing, exec_passes_on_nothing, create_and_start_pass_on_nothing, hooks_get_nothing_of_the_caller];

/// `"$@"` from a careless caller.
const CARELESS: &str = "for n in {3..52}; do eval \"exec $n</etc\"; done; trap '' HUP INT QUIT USR1 TSTP TTOU; umask 027; \
                        export SECRET=x LD_PRELOAD= NOTIFY=x; cd /; \
                        exec setpriv --pdeathsig USR2 perl -e 'alarm 300; exec @ARGV' \"$@\"";

fn careless(b: &Bundle, args: &[&str]) -> Command {
    let usual = b.command(args.iter().copied());
    let mut shell = match &b.user {
        Some(user) => user.command("bash"),
        None => Command::new("bash"),
    };
    shell.args(["-c", CARELESS, "bash"]);
    match &b.user {
        Some(_) => shell.arg(user::public_rrun()).arg("--root").arg(b.root()).args(args),
        None => shell.arg(usual.get_program()).args(usual.get_args()),
    };
    shell.stdin(Stdio::null());
    shell
}

/// What a program of the bundle should see, whichever way it was started.
#[track_caller]
fn assert_clean(b: &Bundle, seen: &Value, what: &str) {
    let path = b.config["process"]["env"][0].as_str().expect("PATH").trim_start_matches("PATH=").to_owned();
    let caps = "0000000020000420";
    let none = "0000000000000000";
    let expected = json!({
        "env": {"PATH": path, "TERM": "xterm", "HOME": "/root"},
        "cwd": "/",
        "ppid": 0,
        "uid": 0, "euid": 0, "gid": 0, "egid": 0,
        "capabilities": {"bounding": caps, "effective": caps, "permitted": caps, "inheritable": none, "ambient": none},
        "securebits": 0,
        "no_new_privs": true,
        "dumpable": 1,
        "parent_death_signal": 0,
        "signals": {"blocked": none, "ignored": none},
        "timers": {"interval": [[0, 0], [0, 0], [0, 0]], "slack": 50_000},
        "umask": 0o27,
        "controlling_tty": false,
        "tty": [false, false, false],
        "personality": 0,
        "comm": "witness",
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&seen[key], value, "{what}: {key}");
    }
    // A session and a group of its own.
    assert_eq!((&seen["sid"], &seen["pgid"]), (&seen["pid"], &seen["pid"]), "{what}");
    assert_eq!(numbers(seen), [0, 1, 2], "{what}: {}", seen["fds"]);
    if !is_rootless(b) {
        assert_eq!(seen["groups"], json!([]), "{what}");
    }
    let keyring = seen["session_keyring"]["description"].as_str().unwrap_or("_ses.no-keys");
    assert!(keyring.ends_with(&format!("_ses.{}", b.id)) || keyring == "_ses.no-keys", "{what}: {keyring}");
    for next in ["exec", "fscreate", "keycreate", "sockcreate"] {
        let text = seen["attributes"][next].as_str().unwrap_or_default();
        assert!(text.is_empty(), "{what}: a label is left for the next {next}: {text}");
    }
    let own = fs::read_to_string("/proc/self/limits").expect("limits");
    let files =
        own.lines().find(|l| l.starts_with("Max open files")).and_then(|l| l.split_whitespace().nth(3)).expect("a number");
    assert_eq!(seen["rlimits"]["RLIMIT_NOFILE"]["soft"].to_string(), files, "{what}: the caller's, unless configured");
    for line in seen["cgroup"].as_array().expect("lines").iter().filter_map(Value::as_str).filter(|_| !is_rootless(b)) {
        assert!(line.ends_with(":/") || line.contains("hugetlb"), "{what}: a group of the host shows: {line}");
    }
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        assert_ne!(seen["namespaces"][kind], json!(host.to_string_lossy()), "{what}: {kind}");
    }
}

fn numbers(seen: &Value) -> Vec<i64> {
    seen["fds"].as_array().expect("fds").iter().filter_map(|fd| fd["fd"].as_i64()).collect()
}

#[track_caller]
fn json_of(done: Done) -> Value {
    serde_json::from_str(&done.clone().ok()).unwrap_or_else(|e| panic!("{e}: {done:?}"))
}

fn run_passes_on_nothing() {
    for b in of_every_caller(&["/bin/witness"]) {
        b.write();
        let bundle = b.path();
        let done: Done =
            careless(&b, &["run", "--bundle", bundle.to_str().expect("UTF-8"), &b.id]).output().expect("start").into();
        assert_clean(&b, &json_of(done), "run");
    }
}

fn exec_passes_on_nothing() {
    for b in of_every_caller(&["sleep", "1000"]) {
        b.run_detached();
        let done: Done = careless(&b, &["exec", &b.id, "/bin/witness"]).output().expect("start").into();
        assert_clean(&b, &json_of(done), "exec");
    }
}

fn create_and_start_pass_on_nothing() {
    for b in of_every_caller(&["/bin/witness"]) {
        b.write();
        let out = b.scratch("out");
        let bundle = b.path();
        let file = fs::File::create(&out).expect("create");
        let mut create = careless(&b, &["create", "--bundle", bundle.to_str().expect("UTF-8"), &b.id]);
        assert!(create.stdout(file).stderr(Stdio::null()).status().expect("start").success());
        assert!(careless(&b, &["start", &b.id]).stdout(Stdio::null()).status().expect("start").success());
        b.wait_for("stopped");
        let seen = serde_json::from_str(&fs::read_to_string(&out).expect("read")).expect("JSON");
        assert_clean(&b, &seen, "create and start");
    }
}

/// Hooks of the engine run with rrun's rights, so little can be withheld from them; but what the caller left lying about is
/// not theirs. Those that run in the container's process see what the container sees of it.
fn hooks_get_nothing_of_the_caller() {
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    for mut b in of_every_caller(&["true"]) {
        let place = |kind: &str| if kind == "startContainer" { b.rootfs().join("seen") } else { b.scratch(kind) };
        let host = witness_path();
        let mut hooks = serde_json::Map::new();
        for kind in kinds {
            let inside = kind == "startContainer";
            let (program, file) = if inside { ("/bin/witness".into(), "/seen".into()) } else { (host.clone(), place(kind)) };
            let line = format!("exec {} > {}", program.display(), file.display());
            hooks.insert(kind.to_owned(), json!([{"path": "/bin/sh", "args": ["sh", "-c", line], "env": ["A=b"]}]));
        }
        b.config["hooks"] = Value::Object(hooks);
        b.write();
        if b.user.is_some() {
            // The user cannot reach the witness where it was built.
            let copy = b.scratch("witness");
            copy_program(&host, &copy);
            let text = b.config["hooks"].to_string().replace(host.to_str().expect("UTF-8"), copy.to_str().expect("UTF-8"));
            b.config["hooks"] = serde_json::from_str(&text).expect("JSON");
            b.write();
        }
        let bundle = b.path();
        let done: Done =
            careless(&b, &["run", "--bundle", bundle.to_str().expect("UTF-8"), &b.id]).output().expect("start").into();
        done.ok();
        for kind in kinds {
            let file = if kind == "startContainer" { b.rootfs().join("seen") } else { b.scratch(kind) };
            let seen: Value = serde_json::from_str(&fs::read_to_string(file).expect("the hook ran")).expect("JSON");
            let env = seen["env"].as_object().expect("env");
            // The shell adds some of its own; PATH is none of the caller's inside.
            let own: Vec<_> = env.keys().filter(|k| !["PWD", "OLDPWD", "SHLVL", "PATH", "_"].contains(&k.as_str())).collect();
            assert_eq!(own, ["A"], "{kind}: {env:?}");
            assert_eq!(numbers(&seen), [0, 1, 2], "{kind}: {}", seen["fds"]);
            assert_eq!(seen["parent_death_signal"], 0, "{kind}");
            assert_eq!(seen["timers"]["interval"], json!([[0, 0], [0, 0], [0, 0]]), "{kind}");
            assert_eq!(seen["signals"]["blocked"], "0000000000000000", "{kind}");
            assert_eq!(seen["dumpable"], 1, "{kind}");
            if ["createContainer", "startContainer"].contains(&kind) {
                assert_eq!(seen["signals"]["ignored"], "0000000000000000", "{kind}");
                assert_eq!(seen["controlling_tty"], false, "{kind}");
                let keyring = seen["session_keyring"]["description"].as_str().unwrap_or("_ses.no-keys");
                assert!(keyring.ends_with(&b.id) || keyring == "_ses.no-keys", "{kind}: {keyring}");
            }
            if kind == "startContainer" {
                assert_eq!(seen["capabilities"]["effective"], "0000000020000420");
                assert_eq!((&seen["no_new_privs"], &seen["hostname"]), (&json!(true), &json!("box")));
            }
        }
    }
}
