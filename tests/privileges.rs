//! Least privilege: each row of docs/privileges.md suffices, and none of its capabilities can be spared.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::cgroups::lacks_v1;
use crate::support::*;

crate::tests![
    all if needs_everything;
    each_row_suffices_and_nothing_in_it_is_spare,
    who_only_looks_needs_no_write,
    what_a_map_of_the_hosts_root_takes_is_said,
];

/// cgroup v1, whose groups other rows would be about; setpriv(1); and every capability of the rows.
fn needs_everything() -> Option<&'static str> {
    let held = rrun::host::Capabilities::ask().expect("capabilities").bounding;
    let wanted: u64 = [0, 1, 5, 6, 7, 8, 12, 18, 19, 21, 27].iter().map(|bit| 1_u64 << bit).sum();
    let setpriv = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let lacks = (held & wanted != wanted || !setpriv).then_some("needs root's capabilities and setpriv(1)");
    needs_root().or_else(lacks_v1).or(lacks)
}

struct Row {
    command: Vec<String>,
    container: String,
    capabilities: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/privileges.md")).expect("the document");
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[command, container, capabilities] = cells.as_slice() else { return None };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let known = container.starts_with("of ") || container.starts_with("in ") || container == "none";
        Some(Row {
            command: words(command.strip_prefix('`')?.strip_suffix('`')?),
            container: known.then(|| container.to_owned())?,
            capabilities: if capabilities == "none" { vec![] } else { words(capabilities) },
        })
    };
    text.lines().filter_map(row).collect()
}

/// The container that a row speaks of.
fn bundle(container: &str) -> Bundle {
    let mut b = Bundle::new(&["sleep", "1000"]);
    b.config["linux"]["resources"]["memory"] = json!({"limit": 100_000_000});
    b.config["linux"]["resources"]["pids"] = json!({"limit": 50});
    b.config["linux"]["cgroupsPath"] = json!(format!("/{}", b.id));
    if container == "of user 1000" {
        b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5]});
        b.config["process"]["capabilities"] = json!({});
    }
    if container.starts_with("in a user namespace") {
        map_ids(&mut b.config, 100_000, 65_536);
    }
    if container.ends_with("no groups") {
        b.config["linux"]["resources"] = json!({});
        b.config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
        b.config["mounts"].as_array_mut().expect("mounts").retain(|m| m["type"] != "cgroup");
        // The kernel owns the files of the root; who has no capability over them cannot pass the ids of the image.
        let namespaces = b.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        namespaces.retain(|n| n["type"] != "cgroup");
    }
    b
}

/// Brings it into the state in which the command makes sense, with all capabilities.
fn prepare(b: &Bundle, command: &str) {
    b.rrun(["delete", "--force", &b.id]).ok();
    match command {
        "create" | "run" | "features" | "plan" => drop(b.write()),
        "start" => b.create(),
        "resume" => {
            b.run_detached();
            b.rrun(["pause", &b.id]).ok();
        }
        _ => b.run_detached(),
    }
}

/// Runs the row's command as uid 0 with these capabilities and no others.
fn with(b: &Bundle, row: &Row, capabilities: &[&String]) -> (bool, String) {
    let log = b.scratch("said");
    std::fs::write(&log, "").expect("write");
    let mut words = vec!["--log".to_owned(), log.to_str().expect("UTF-8").to_owned()];
    if row.container.ends_with("no groups") {
        words.extend(["--cgroup-manager".to_owned(), "disabled".to_owned()]);
    }
    words.extend(row.command.clone());
    match row.command[0].as_str() {
        "list" | "features" | "plan" => {}
        "exec" => words.extend([b.id.clone(), "true".to_owned()]),
        "kill" => words.extend([b.id.clone(), "KILL".to_owned()]),
        _ => words.push(b.id.clone()),
    }
    let rrun = b.command(words.iter().map(String::as_str));
    let set = capabilities.iter().fold("-all".to_owned(), |all, c| format!("{all},+{}", c.to_lowercase()));
    let mut command = Command::new("setpriv");
    command.arg(format!("--bounding-set={set}")).arg(rrun.get_program()).args(rrun.get_args()).current_dir(b.path());
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("run setpriv");
    (status.success(), std::fs::read_to_string(log).expect("the log"))
}

fn each_row_suffices_and_nothing_in_it_is_spare() {
    let rows = rows();
    assert!(rows.len() > 20, "the document has its table");
    for row in rows {
        let b = bundle(&row.container);
        let what = format!("{} {}", row.command.join(" "), row.container);
        let all: Vec<&String> = row.capabilities.iter().collect();
        prepare(&b, &row.command[0]);
        let (worked, said) = with(&b, &row, &all);
        assert!(worked, "{what}: what the document names does not suffice: {said}");
        for spare in &all {
            prepare(&b, &row.command[0]);
            let rest: Vec<&String> = all.iter().copied().filter(|c| c != spare).collect();
            let (worked, said) = with(&b, &row, &rest);
            assert!(!worked, "{what}: it also works without {spare}");
            assert!(said.contains("permi") || said.contains("not "), "{what}, without {spare}: {said}");
            if ["create", "run"].contains(&row.command[0].as_str()) {
                // Without DAC_OVERRIDE it could not remove a group at the root either, but then it made none.
                b.assert_no_trace();
            }
        }
    }
}

/// Below a read-only mount of the state root, in a mount namespace of the test's own.
fn who_only_looks_needs_no_write() {
    let b = Bundle::new(&["sleep", "1000"]);
    b.run_detached();
    let root = b.root();
    let root = root.to_str().expect("UTF-8");
    for command in [
        vec!["state", &b.id],
        vec!["list"],
        vec!["ps", &b.id],
        vec!["events", "--stats", &b.id],
        vec!["pause", &b.id],
        vec!["resume", &b.id],
        vec!["kill", &b.id, "WINCH"],
    ] {
        let script = format!(
            "mount --bind {root} {root} && mount -o remount,bind,ro {root} && exec {} --root {root} {}",
            rrun_path().display(),
            command.join(" ")
        );
        let done = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::null())
            .output()
            .expect("run unshare");
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn what_a_map_of_the_hosts_root_takes_is_said() {
    let mut b = Bundle::new(&["true"]);
    map_ids(&mut b.config, 0, 65_536);
    let run = b.write().command(["run", &b.id]);
    let mut command = Command::new("setpriv");
    command.arg("--bounding-set=-setfcap").arg(run.get_program()).args(run.get_args()).current_dir(b.path());
    let done = Done::from(command.stdin(Stdio::null()).output().expect("run setpriv"));
    assert!(done.code == 1 && done.err.contains("uid_map: operation not permitted"), "{done:?}");
    assert!(done.err.contains("linux.uidMappings") && done.err.contains("CAP_SETFCAP"), "{done:?}");
    b.assert_no_trace();
    b.run().ok();
}
