//! `state`: the document, and a status that is asked of the kernel.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    the_document_has_the_keys_that_engines_read,
    the_status_follows_the_lifecycle if needs_groups,
    a_missing_container_is_named,
    a_recycled_pid_is_not_the_container,
    a_state_of_an_earlier_boot_is_stopped,
    it_does_not_wait_for_a_create_that_hangs,
    the_files_have_the_shape_of_runc if needs_groups,
];

fn the_document_has_the_keys_that_engines_read() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["annotations"] = json!({"k": "v", "a": "b"});
    b.create();
    let text = b.rrun(["state", &b.id]).ok();
    assert!(text.starts_with("{\n  \"ociVersion\": \"1.2.0\",\n  \"id\": "), "{text}");
    let state: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(state["id"], b.id);
    assert_eq!(state["bundle"], b.path().to_str().expect("UTF-8"));
    assert_eq!(state["rootfs"], b.rootfs().to_str().expect("UTF-8"));
    assert_eq!((&state["owner"], &state["annotations"]), (&json!(own_name()), &json!({"k": "v", "a": "b"})));
    let created = state["created"].as_str().expect("created");
    assert!(created.len() == 30 && created.ends_with('Z'), "{created}");
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", state["pid"])).expect("init is there");
    assert!(!cmdline.is_empty());
}

fn the_status_follows_the_lifecycle() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    assert_eq!(b.state()["status"], "created");
    b.rrun(["start", &b.id]).ok();
    assert_eq!(b.state()["status"], "running");
    b.rrun(["pause", &b.id]).ok();
    assert_eq!(b.state()["status"], "paused");
    b.rrun(["pause", &b.id]).fails_with("container not running");
    b.rrun(["resume", &b.id]).ok();
    assert_eq!(b.state()["status"], "running");
    b.rrun(["resume", &b.id]).fails_with("container not paused");
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    assert_eq!(b.state()["pid"], 0);
    for verb in ["pause", "kill"] {
        b.rrun([verb, &b.id]).fails_with("container not running");
    }
    b.rrun(["resume", &b.id]).fails_with("container not paused");
    assert_eq!(b.rrun(["ps", "-f", "json", &b.id]).ok(), "[]\n");
}

fn a_missing_container_is_named() {
    let b = Bundle::new(&["sleep", "100"]);
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        b.rrun([verb, "no-such"]).fails_with("container does not exist");
        b.rrun([verb, "a/b"]).fails_with("invalid container ID format");
        b.rrun([verb, ".."]).fails_with("invalid container ID format");
        b.rrun([verb, &"x".repeat(4096)]).fails_with("invalid container ID format");
        b.rrun([verb, ""]).fails_with("container id cannot be empty");
    }
    b.create();
    let typo = b.id.replace('-', "_");
    b.rrun(["state", &typo]).fails_with(&format!("similar: {}", b.id));
}

/// Changes the state on disk.
fn change(b: &Bundle, change: impl FnOnce(&mut Value)) {
    let file = b.root().join(&b.id).join("rrun.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).expect("read")).expect("JSON");
    change(&mut state["state"]);
    std::fs::write(file, state.to_string()).expect("write");
}

fn a_recycled_pid_is_not_the_container() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    b.rrun(["kill", &b.id, "KILL"]).ok();
    b.wait_for("stopped");
    // The pid now belongs to somebody else, who must not be hurt. Start times count in hundredths of a second.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let mut other = std::process::Command::new("sleep").arg("100").spawn().expect("start sleep");
    change(&b, |state| state["pid"] = json!(other.id()));
    assert_eq!(b.state()["status"], "stopped");
    b.rrun(["kill", &b.id, "KILL"]).fails_with("container not running");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert!(other.try_wait().expect("wait").is_none(), "the stranger was killed");
    other.kill().expect("kill");
    other.wait().expect("reap");
}

fn a_state_of_an_earlier_boot_is_stopped() {
    let b = Bundle::new(&["sleep", "100"]);
    b.run_detached();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("read");
    change(&b, |state| state["boot_id"] = json!("an-earlier-one"));
    assert_eq!(b.state()["status"], "stopped");
    b.rrun(["kill", &b.id])
        .fails_with(&format!("container not running (hint: it ran before the machine was started anew; rrun delete {})", b.id));
    change(&b, |state| state["boot_id"] = json!(boot.trim()));
    assert_eq!(b.state()["status"], "running");
}

fn it_does_not_wait_for_a_create_that_hangs() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let release = b.scratch("release");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", release.display());
    b.config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", wait]}]});
    b.write();
    let mut create = b
        .command(["create", &b.id])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("start rrun");
    wait_until("it is being made", || b.root().join(&b.id).join("rrun.json").exists());
    // Both answer while the hook still hangs.
    assert_eq!(b.state()["status"], "creating");
    assert!(b.rrun(["list"]).ok().contains("creating"));
    assert!(create.try_wait().expect("wait").is_none());
    std::fs::write(release, "").expect("write");
    assert!(create.wait().expect("wait").success());
    assert_eq!(b.state()["status"], "created");
}

fn the_files_have_the_shape_of_runc() {
    let mut b = Bundle::new(&["sleep", "100"]);
    let bind = json!({"destination": "/tmp", "source": "rootfs/etc", "options": ["rbind", "ro", "rslave"]});
    b.config["mounts"].as_array_mut().expect("an array").push(bind);
    b.create();
    let text = std::fs::read(b.root().join(&b.id).join("state.json")).expect("read");
    let json: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!((&json["id"], &json["init_process_pid"]), (&json!(b.id), &b.state()["pid"]));
    for (name, path) in json["namespace_paths"].as_object().expect("an object") {
        assert!(std::fs::symlink_metadata(path.as_str().expect("path")).is_ok(), "{name}");
    }
    let paths = json["cgroup_paths"].as_object().expect("an object");
    assert!(!paths.is_empty());
    for (name, path) in paths {
        assert!(std::path::Path::new(path.as_str().expect("path")).is_dir(), "{name}: {path}");
    }
    let label = format!("bundle={}", b.path().display());
    assert!(json["config"]["labels"].as_array().is_some_and(|l| l.contains(&json!(label))));
    // MS_RDONLY, MS_BIND and MS_REC; MS_SLAVE and MS_REC.
    let source = b.rootfs().join("etc");
    let bind = json!({"source": source, "destination": "/tmp", "device": "bind", "flags": 1 | 4096 | 16384,
                      "propagation_flags": [1 << 19 | 16384], "data": ""});
    assert_eq!(json["config"]["mounts"][7], bind);
}
