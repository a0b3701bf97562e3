//! `list`: all containers at a glance, whatever state they are in.

use serde_json::{Value, json};

use crate::support::*;

crate::tests![
    the_table_the_json_and_the_ids,
    nothing_to_list_is_null,
    a_missing_root_is_an_error_only_when_given if needs_root,
    a_broken_neighbour_hides_nobody,
    a_root_that_others_can_write_is_refused if needs_root,
];

fn the_table_the_json_and_the_ids() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let table = b.rrun(["list"]).ok();
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let state = b.state();
    let path = b.path();
    let owner = own_name();
    let wanted = [
        b.id.as_str(),
        &state["pid"].to_string(),
        "created",
        path.to_str().expect("UTF-8"),
        state["created"].as_str().expect("time"),
        owner.as_str(),
    ];
    assert_eq!(rows[1], wanted);
    assert_eq!(rows.len(), 2);
    let json = b.rrun(["list", "--format", "json"]).ok();
    assert_eq!(json.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), json!([state]));
    assert_eq!(b.rrun(["list", "--json"]).ok(), json);
    b.rrun(["list", "--json", "--format", "table"]).fails_with("--json and --format table contradict each other");
    assert_eq!(b.rrun(["list", "-q"]).ok(), format!("{}\n", b.id));
}

fn nothing_to_list_is_null() {
    let b = Bundle::new(&["true"]);
    assert_eq!(b.rrun(["list", "-f", "json"]).ok(), "null\n");
    assert_eq!(b.rrun(["list"]).ok(), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    assert_eq!(b.rrun(["list", "-q"]).ok(), "");
}

fn a_missing_root_is_an_error_only_when_given() {
    let b = Bundle::new(&["true"]);
    let run = |args: &[&str]| -> Done {
        let mut command = std::process::Command::new(user::public_rrun());
        // As nobody with a runtime directory of its own, whose default root does not exist yet.
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        command.args(args).env("XDG_RUNTIME_DIR", b.scratch("none")).output().expect("start rrun").into()
    };
    assert_eq!(run(&["list", "-f", "json"]).ok(), "null\n");
    run(&["--root", "/nonexistent/root", "list"]).fails_with("open /nonexistent/root: no such file or directory");
}

fn a_broken_neighbour_hides_nobody() {
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let root = b.root();
    std::fs::create_dir(root.join("0empty")).expect("mkdir");
    std::fs::create_dir(root.join("0half")).expect("mkdir");
    std::fs::write(root.join("0half/rrun.json"), "{\"version\":1,\"sta").expect("write");
    std::fs::write(root.join("0file"), "").expect("write");
    std::os::unix::fs::symlink(&b.id, root.join("0link")).expect("link");
    std::fs::create_dir(root.join("not an id")).expect("mkdir");
    assert_eq!(b.rrun(["list", "-q"]).ok(), format!("{}\n", b.id));
    b.rrun(["state", "0half"]).fails_with("state of container 0half is damaged");
    b.rrun(["--strict", "list"]).fails_with("0empty");
    for wreck in ["0empty", "0half"] {
        b.rrun(["delete", wreck]).fails_with("is damaged");
        b.rrun(["delete", "--force", wreck]).ok();
        assert!(!root.join(wreck).exists());
    }
    b.rrun(["--strict", "list"]).ok();
}

fn a_root_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let b = Bundle::new(&["sleep", "100"]);
    b.create();
    let mode = |mode| std::fs::set_permissions(b.root(), std::fs::Permissions::from_mode(mode)).expect("chmod");
    mode(0o777);
    for args in [&["list"][..], &["state", &b.id], &["kill", &b.id, "KILL"], &["delete", "--force", &b.id], &["run", "other"]] {
        b.rrun(args.iter().copied()).fails_with("is writable by others");
    }
    mode(0o755);
    assert_eq!(b.state()["status"], "created");
    // Nor may it be somebody else's.
    std::os::unix::fs::chown(b.root(), Some(65534), None).expect("chown");
    b.rrun(["list"]).fails_with("belongs to another user");
    std::os::unix::fs::chown(b.root(), Some(0), None).expect("chown");
}
