//! Groups made by systemd.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::*;

crate::tests![
    systemd_makes_shows_and_removes_the_scope if lacks_systemd,
    a_scope_in_use_is_left_alone if lacks_systemd,
    properties_of_every_type_reach_systemd if lacks_systemd,
    malformed_properties_are_refused if lacks_systemd,
];

pub fn lacks_systemd() -> Option<&'static str> {
    (!Path::new("/run/systemd/system").exists()).then_some("needs systemd")
}

/// Runs with the driver systemd.
pub fn scope(b: &Bundle, verb: &[&str]) -> Done {
    let log = b.scratch("log");
    let mut args = vec!["--systemd-cgroup", "--log", log.to_str().expect("UTF-8")];
    args.extend(verb);
    args.push(&b.id);
    let status = b.write().command(args).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status();
    Done {
        code: status.expect("start rrun").code().unwrap_or(-1),
        out: String::new(),
        err: std::fs::read_to_string(log).unwrap_or_default(),
    }
}

pub fn shown(unit: &str, property: &str) -> String {
    let done: Done =
        Command::new("systemctl").args(["show", "--value", "-p", property, unit]).output().expect("run systemctl").into();
    done.ok().trim().to_owned()
}

fn systemd_makes_shows_and_removes_the_scope() {
    let mut b = limited(&["sleep", "100"], json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 7}}));
    b.config["linux"]["cgroupsPath"] = json!(format!("rrun-test.slice:box:{}", b.id));
    b.config["annotations"] = json!({"org.systemd.property.CollectMode": "'inactive-or-failed'"});
    let unit = format!("box-{}.scope", b.id);
    scope(&b, &["run", "--detach"]).ok();
    let pid = b.state()["pid"].as_i64().expect("pid");
    let path = format!("/rrun.slice/rrun-test.slice/{unit}\n");
    assert!(read(format!("/proc/{pid}/cgroup")).contains(&path));
    assert_eq!(shown(&unit, "TasksMax"), "7");
    assert_eq!(shown(&unit, "CollectMode"), "inactive-or-failed");
    // What systemd was told, it writes again; the container must not be left without its limits.
    assert!(Command::new("systemctl").arg("daemon-reload").status().expect("run systemctl").success());
    let dir = groups_named(&unit).into_iter().find(|d| d.join("pids.max").exists()).expect("the scope's group");
    assert_eq!(read(dir.join("pids.max")), "7\n");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert_eq!(shown(&unit, "LoadState"), "not-found");
    assert_eq!(groups_named(&unit), [] as [PathBuf; 0]);
    // A path of the other driver.
    b.config["linux"]["cgroupsPath"] = json!("/a/b");
    scope(&b, &["run"]).fails_with("expected cgroupsPath to be of format");
}

fn a_scope_in_use_is_left_alone() {
    let mut first = Bundle::new(&["sleep", "100"]);
    let path = json!(format!(":box:{}", first.id));
    first.config["linux"]["cgroupsPath"] = path.clone();
    scope(&first, &["run", "--detach"]).ok();
    let mut second = Bundle::new(&["true"]);
    second.config["linux"]["cgroupsPath"] = path;
    scope(&second, &["run"]).fails_with("container's cgroup is not empty");
    assert_eq!(first.state()["status"], "running");
}

fn properties_of_every_type_reach_systemd() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["linux"]["cgroupsPath"] = json!(format!(":box:{}", b.id));
    let wanted = [
        ("CollectMode", "'inactive-or-failed'", "CollectMode", "inactive-or-failed"),
        ("Description", "\"two words\"", "Description", "two words"),
        ("SendSIGHUP", "true", "SendSIGHUP", "yes"),
        ("KillSignal", "9", "KillSignal", "9"),
        ("TimeoutStopUSec", "uint64 42000000", "TimeoutStopUSec", "42s"),
        ("RuntimeMaxSec", "3600", "RuntimeMaxUSec", "1h"),
        ("After", "['time-sync.target', 'nss-lookup.target']", "After", "time-sync.target"),
        ("CPUWeight", "@t 77", "CPUWeight", "77"),
    ];
    for (name, value, ..) in wanted {
        b.config["annotations"][format!("org.systemd.property.{name}")] = json!(value);
    }
    scope(&b, &["run", "--detach"]).ok();
    let unit = format!("box-{}.scope", b.id);
    for (name, value, property, text) in wanted {
        let seen = shown(&unit, property);
        assert!(seen == text || seen.split(' ').any(|word| word == text), "{name}={value}: {seen}");
    }
}

fn malformed_properties_are_refused() {
    let mut b = Bundle::new(&["true"]);
    b.config["linux"]["cgroupsPath"] = json!(format!(":box:{}", b.id));
    for (name, value) in [("CollectMode", "'open"), ("After", "['a', 5]"), ("KillSignal", "uint99 1")] {
        b.config["annotations"] = json!({format!("org.systemd.property.{name}"): value});
        scope(&b, &["run"]).fails_with(&format!("org.systemd.property.{name}"));
        b.assert_no_trace();
    }
    // What systemd does not know, systemd refuses.
    b.config["annotations"] = json!({"org.systemd.property.NoSuchThing": "1"});
    assert_eq!(scope(&b, &["run"]).code, 1);
    b.assert_no_trace();
}
