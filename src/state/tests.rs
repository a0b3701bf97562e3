//! The state on disk, and what is concluded from it, without a container: the test's own process and directories stand in
//! for one. Locks between processes are tested from outside (tests/delete.rs).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::*;

fn sample(id: &str) -> State {
    State {
        id: id.to_owned(),
        oci_version: "1.2.0".to_owned(),
        pid: std::process::id() as i32,
        start_time: start_time(std::process::id() as i32).expect("we run"),
        boot_id: boot_id().expect("readable"),
        created: "2026-01-01T00:00:00.000000000Z".to_owned(),
        bundle: "/b".into(),
        rootfs: "/b/rootfs".into(),
        owner: "root".to_owned(),
        rootless: false,
        annotations: HashMap::from([("k".to_owned(), "v".to_owned())]),
        cgroups: cgroups::Record::default(),
        rdt: None,
        layers: None,
        id_maps: None,
        namespaces: vec![("pid".to_owned(), None), ("network".to_owned(), Some("/run/netns/x".into()))],
        mounts: vec![],
        hooks: None,
        no_new_keyring: false,
    }
}

fn root() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("make a directory");
    let root = dir.path().join("root");
    (dir, root)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

#[test]
fn a_state_comes_back_as_it_was_saved() {
    let (_keep, root) = root();
    let dir = StateDir::create(&root, "a").expect("claims");
    dir.save(&sample("a")).expect("saves");
    let state = StateDir::read(&root, "a").expect("opens").load().expect("loads");
    assert_eq!(serde_json::to_value(&state).expect("JSON"), serde_json::to_value(sample("a")).expect("JSON"));
    let modes = [&root, &root.join("a"), &root.join("a/state.json"), &root.join("a/rrun.json")].map(|p| mode(p));
    assert_eq!(modes, [0o1700, 0o700, 0o600, 0o600]);
    dir.remove().expect("removes");
    assert!(!root.join("a").exists());
}

#[test]
fn state_json_has_the_shape_of_runc() {
    let (_keep, root) = root();
    let dir = StateDir::create(&root, "a").expect("claims");
    let mut state = sample("a");
    state.pid = 0;
    dir.save(&state).expect("saves");
    assert!(!root.join("a/state.json").exists(), "there is no process to speak of yet");
    state.pid = 77;
    state.cgroups.paths.insert("memory".to_owned(), "/sys/fs/cgroup/memory/a".into());
    dir.save(&state).expect("saves");
    let text = std::fs::read(root.join("a/state.json")).expect("there");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(
        (&json["id"], &json["init_process_pid"], &json["config"]["rootfs"]),
        (&json!("a"), &json!(77), &json!("/b/rootfs"))
    );
    assert_eq!(json["config"]["labels"], json!(["bundle=/b", "k=v"]));
    assert_eq!(json["cgroup_paths"], json!({"memory": "/sys/fs/cgroup/memory/a"}));
    assert_eq!(json["namespace_paths"]["NEWNS"], "/proc/77/ns/mnt");
    assert_eq!(json["config"]["namespaces"][1], json!({"type": "NEWNET", "path": "/run/netns/x"}));
}

#[test]
fn an_id_is_claimed_once() {
    let (_keep, root) = root();
    let dir = StateDir::create(&root, "a").expect("claims");
    let taken = StateDir::create(&root, "a").expect_err("taken");
    assert_eq!(taken.to_string(), "container with given ID already exists");
    assert_eq!(StateDir::create(&root, "../a").expect_err("walks").to_string(), "invalid container ID format");
    dir.remove().expect("removes");
    StateDir::create(&root, "a").expect("free again");
}

#[test]
fn a_missing_container_is_said_to_be_missing() {
    let (_keep, root) = root();
    assert_eq!(StateDir::read(&root, "a").expect_err("no root").to_string(), "container does not exist");
    StateDir::create(&root, "webserver").expect("claims");
    let missing = StateDir::open(&root, "webservr").expect_err("no container");
    assert_eq!((missing.to_string().as_str(), missing.code_text()), ("container does not exist", Some("E-NOID")));
    assert!(missing.hint_text().is_some_and(|h| h.contains("similar: webserver")));
    std::os::unix::fs::symlink("webserver", root.join("link")).expect("links");
    assert!(StateDir::read(&root, "link").is_err(), "a link is not a container");
}

#[test]
fn a_root_that_others_can_write_is_refused() {
    let (_keep, root) = root();
    StateDir::create(&root, "a").expect("claims");
    for bad in [0o777, 0o1777, 0o702] {
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(bad)).expect("chmod");
        let refused = [StateDir::create(&root, "b"), StateDir::read(&root, "a"), StateDir::open(&root, "a")];
        for refused in refused {
            assert!(refused.expect_err("refused").to_string().contains("is writable by others"), "{bad:o}");
        }
    }
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    StateDir::read(&root, "a").expect("ours again");
}

#[test]
fn a_damaged_state_names_the_way_out() {
    let (_keep, root) = root();
    let dir = StateDir::create(&root, "a").expect("claims");
    dir.save(&sample("a")).expect("saves");
    let whole = std::fs::read(root.join("a/rrun.json")).expect("there");
    for text in [&b""[..], b"{}", b"\0\0", &whole[..whole.len() / 2], b"{\"version\":1}", b"{\"version\":2,\"state\":{}}"] {
        std::fs::write(root.join("a/rrun.json"), text).expect("writes");
        let damaged = dir.load().expect_err("damaged");
        assert!(damaged.to_string().contains("state of container a is damaged"), "{damaged}");
        assert!(damaged.hint_text().is_some_and(|h| h.contains("delete --force a")));
        let salvaged = dir.salvage().expect("state.json is whole");
        assert_eq!((salvaged.pid, salvaged.start_time), (sample("a").pid, sample("a").start_time));
    }
    std::fs::write(root.join("a/state.json"), "{").expect("writes");
    assert!(dir.salvage().is_none());
    std::fs::write(root.join("a/rrun.json"), serde_json::to_vec(&json!({"version": 1, "state": sample("b")})).expect("JSON"))
        .expect("writes");
    assert!(dir.load().expect_err("another's").to_string().contains("another container"));
}

#[test]
fn the_status_is_that_of_the_process_recorded() {
    let (_keep, root) = root();
    let mut dir = StateDir::create(&root, "a").expect("claims");
    let status = |state: &State, dir: &StateDir| state.status(dir).expect("asks");
    let state = sample("a");
    assert_eq!(status(&state, &dir), Status::Running);
    std::fs::write(root.join("a/exec.fifo"), "").expect("writes");
    assert_eq!(status(&state, &dir), Status::Created);
    for gone in [
        State { start_time: state.start_time + 1, ..state.clone() },
        State { boot_id: "another".to_owned(), ..state.clone() },
        State { pid: i32::MAX, ..state.clone() },
        State { pid: -1, ..state.clone() },
    ] {
        assert_eq!(status(&gone, &dir), Status::Stopped);
        assert!(gone.init().expect("asks").is_none(), "nobody else may be signalled");
    }
    assert!(state.init().expect("asks").is_some());
    let making = State { pid: 0, ..state };
    assert_eq!(status(&making, &dir), Status::Creating);
    dir.release();
    assert_eq!(status(&making, &dir), Status::Stopped, "whoever made it is gone");
}

#[test]
fn the_start_time_is_found_behind_any_name() {
    let line = |name: &str, state: &str| format!("7 ({name}) {state} 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9");
    assert_eq!(parse_start_time(line("sh", "S").as_bytes()), Some(4711));
    assert_eq!(parse_start_time(line("a) R 1 (b", "S").as_bytes()), Some(4711));
    assert_eq!(parse_start_time(line("sh", "Z").as_bytes()), None);
    assert_eq!(parse_start_time(b"7 (sh"), None);
    assert_eq!(parse_start_time(b""), None);
}

#[test]
fn hooks_get_the_document_of_the_specification() {
    let text = sample("a").oci_json(Status::Created);
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let pid = std::process::id();
    assert_eq!(
        json,
        json!({"ociVersion": "1.2.0", "id": "a", "status": "created", "pid": pid, "bundle": "/b", "annotations": {"k": "v"}})
    );
    let json: serde_json::Value = serde_json::from_slice(&sample("a").oci_json(Status::Stopped)).expect("JSON");
    assert_eq!((json.get("pid"), &json["status"]), (None, &json!("stopped")));
}
