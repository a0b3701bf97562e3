//! Groups made by systemd.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::*;

crate::tests![
    all if needs_groups;
    systemd_makes_shows_and_removes_the_scope if lacks_systemd,
    devices_stay_as_they_are_when_systemd_writes_its_units_anew if || needs_root().or_else(lacks_systemd),
    a_scope_in_use_is_left_alone if lacks_systemd,
    properties_of_every_type_reach_systemd if lacks_systemd,
    malformed_properties_are_refused if lacks_systemd,
    systemd_knows_every_limit_and_keeps_it if lacks_systemd,
    a_property_that_systemd_refuses_leaves_nothing if lacks_systemd,
    a_scope_that_failed_stands_in_nobodys_way if lacks_systemd,
    the_bus_serves_where_the_private_socket_does_not if || needs_root().or_else(lacks_systemd),
    without_systemd_the_error_says_so if has_systemd,
];

fn has_systemd() -> Option<&'static str> {
    lacks_systemd().is_none().then_some("needs a host without systemd")
}

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
    systemctl(&["show", "--value", "-p", property, unit])
}

/// The manager that rrun asks.
fn manager() -> &'static str {
    if needs_root().is_some() { "--user" } else { "--system" }
}

pub fn systemctl(args: &[&str]) -> String {
    let done: Done = Command::new("systemctl").arg(manager()).args(args).output().expect("run systemctl").into();
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
    systemctl(&["daemon-reload"]);
    let dir = groups_named(&unit).into_iter().find(|d| d.join("pids.max").exists()).expect("the scope's group");
    assert_eq!(read(dir.join("pids.max")), "7\n");
    b.rrun(["delete", "--force", &b.id]).ok();
    assert_eq!(shown(&unit, "LoadState"), "not-found");
    assert_eq!(groups_named(&unit), [] as [PathBuf; 0]);
    // A path of the other driver.
    b.config["linux"]["cgroupsPath"] = json!("/a/b");
    scope(&b, &["run"]).fails_with("expected cgroupsPath to be of format");
}

/// On v2 systemd is not told of the rules: it would attach them as a second program, which after each of its turns overrules what
/// was opened since by anybody else.
fn devices_stay_as_they_are_when_systemd_writes_its_units_anew() {
    let b = devices::maker(&["sh", "-c", "mknod /dev/shut b 7 1; mknod /dev/opened b 7 2; sleep 100"], json!([]));
    scope(&b, &["run", "--detach"]).ok();
    wait_until("the nodes are there", || b.rrun(["exec", &b.id, "test", "-e", "/dev/opened"]).code == 0);
    let open = |node: &str| b.rrun(["exec", &b.id, "sh", "-c", &format!("true < /dev/null && true < /dev/{node}")]);
    let is_shut = |node: &str, when: &str| {
        let done = open(node);
        assert!(done.code != 0 && done.err.contains("Operation not permitted"), "{when}: {done:?}");
    };
    is_shut("shut", "at first");
    is_shut("opened", "at first");
    let rules = json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "b", "major": 7, "minor": 2, "access": "rwm"},
    ]});
    let file = b.scratch("rules");
    std::fs::write(&file, rules.to_string()).expect("write");
    b.rrun(["update", "--resources", file.to_str().expect("UTF-8"), &b.id]).ok();
    systemctl(&["daemon-reload"]);
    systemctl(&["set-property", "--runtime", &format!("rrun-{}.scope", b.id), "TasksMax=50"]);
    is_shut("shut", "after systemd's turn");
    let done = open("opened");
    assert!(!done.err.contains("Operation not permitted"), "after systemd's turn: {done:?}");
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

fn systemd_knows_every_limit_and_keeps_it() {
    let resources = json!({
        "memory": {"limit": 64 << 20, "swap": 80 << 20, "reservation": 32 << 20}, "pids": {"limit": 9},
        "cpu": {"shares": 512, "quota": 10050, "period": 50000},
    });
    let weights = Path::new("/sys/fs/cgroup/system.slice/io.weight").exists();
    let script = "while [ ! -e /tmp/go ]; do sleep 0.1; done; for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; wait";
    let mut b = limited(&["sh", "-c", script], resources);
    if read("/sys/fs/cgroup/cgroup.controllers").contains("cpuset") {
        b.config["linux"]["resources"]["cpu"]["cpus"] = json!("0");
    }
    if weights {
        b.config["linux"]["resources"]["blockIO"] = json!({"weight": 100});
    }
    b.config["linux"]["cgroupsPath"] = json!(format!("rrun-a-b.slice:box:{}", b.id));
    let unit = format!("box-{}.scope", b.id);
    scope(&b, &["run", "--detach"]).ok();
    for (property, value) in [
        ("MemoryMax", (64u64 << 20).to_string()),
        ("MemorySwapMax", (16u64 << 20).to_string()),
        ("MemoryLow", (32u64 << 20).to_string()),
        ("TasksMax", "9".into()),
        // systemd counts in whole percents, rounded up; the file has it to the microsecond.
        ("CPUQuotaPerSecUSec", "210ms".into()),
        ("CPUQuotaPeriodUSec", "50ms".into()),
        ("IOWeight", if weights { "910".into() } else { "[not set]".into() }),
        ("Delegate", "yes".into()),
        ("Slice", "rrun-a-b.slice".into()),
        ("ActiveState", "active".into()),
    ] {
        assert_eq!(shown(&unit, property), value, "{property}");
    }
    let pid = b.state()["pid"].as_i64().expect("pid");
    let own = read(format!("/proc/{pid}/cgroup"));
    assert!(own.ends_with(&format!("/rrun.slice/rrun-a.slice/rrun-a-b.slice/{unit}\n")), "{own}");
    let dir = groups_named(&unit).into_iter().next().expect("the scope's group");
    let is = |when: &str| {
        assert_eq!(read(dir.join("cpu.max")), "10050 50000\n", "{when}");
        let weights = shown(&unit, "CPUWeight");
        assert_eq!(read(dir.join("cpu.weight")).trim(), weights, "{when}");
    };
    is("at first");
    systemctl(&["daemon-reload"]);
    is("after daemon-reload");
    // By effect: the process is in the scope still, and forks no more than it may.
    std::fs::write(b.rootfs().join("tmp/go"), "").expect("write");
    b.wait_for("stopped");
    b.rrun(["delete", &b.id]).ok();
    assert_eq!(shown(&unit, "LoadState"), "not-found");
    b.assert_no_trace();
    let idle = limited(&["sleep", "100"], json!({"cpu": {"idle": 1}}));
    scope(&idle, &["run", "--detach"]).ok();
    assert_eq!(shown(&format!("rrun-{}.scope", idle.id), "CPUWeight"), "idle");
    scope(&limited(&["true"], json!({"unified": {"misc.max": "nonsense 1"}})), &["run"]).fails_with("misc.max");
}

fn a_property_that_systemd_refuses_leaves_nothing() {
    let mut b = Bundle::new(&["sleep", "100"]);
    b.config["annotations"] = json!({
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.OOMPolicy": "'continue'",
        "org.systemd.property.Documentation": "['man:runc', \"http://example.org\"]",
        "org.systemd.property.IODeviceWeight": "[('/dev/null', uint64 50)]",
    });
    scope(&b, &["run", "--detach"]).ok();
    let unit = format!("rrun-{}.scope", b.id);
    assert_eq!(shown(&unit, "TimeoutStopUSec"), "7s");
    assert_eq!(shown(&unit, "OOMPolicy"), "continue");
    assert_eq!(shown(&unit, "Documentation"), "man:runc http://example.org");
    assert_eq!(shown(&unit, "IODeviceWeight"), "/dev/null 50");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.config["annotations"] = json!({"org.systemd.property.TasksMax": "'many'"});
    let done = scope(&b, &["run"]);
    done.fails_with("systemd: StartTransientUnit");
    b.assert_no_trace();
    assert_eq!(shown(&unit, "LoadState"), "not-found");
}

fn a_scope_that_failed_stands_in_nobodys_way() {
    let limit = json!({"memory": {"limit": 32 << 20, "swap": 32 << 20}});
    let b = limited(&["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"], limit);
    let unit = format!("rrun-{}.scope", b.id);
    // Killed for its memory, the scope fails; systemd would show it for ever.
    for _ in 0..2 {
        assert_eq!(scope(&b, &["run"]).code, 137);
        assert_eq!(shown(&unit, "LoadState"), "not-found");
    }
    // One that somebody else left failed under the same name is cleared away.
    let left = Command::new("systemd-run")
        .args([
            manager(),
            "--scope",
            "--unit",
            &unit,
            "-p",
            "MemoryMax=16M",
            "-p",
            "MemorySwapMax=0",
            "dd",
            "if=/dev/zero",
            "of=/dev/null",
        ])
        .args(["bs=64M", "count=1"])
        .output()
        .expect("run systemd-run");
    assert!(!left.status.success(), "{left:?}");
    assert_eq!(shown(&unit, "ActiveState"), "failed", "{left:?}");
    let mut b = b;
    b.config["process"]["args"] = json!(["true"]);
    scope(&b, &["run"]).ok();
    assert_eq!(shown(&unit, "LoadState"), "not-found");
}

fn the_bus_serves_where_the_private_socket_does_not() {
    let b = limited(&["sleep", "100"], json!({"pids": {"limit": 7}}));
    let command = b.write().command(["--systemd-cgroup", "run", "--detach", &b.id]);
    let hide = "mount --bind /dev/null /run/systemd/private && exec \"$@\" > /dev/null 2>&1";
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", hide, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(b.path())
        .status();
    assert!(done.expect("run unshare").success());
    assert_eq!(shown(&format!("rrun-{}.scope", b.id), "TasksMax"), "7");
    b.rrun(["delete", "--force", &b.id]).ok();
    b.assert_no_trace();
}

fn without_systemd_the_error_says_so() {
    let b = Bundle::new(&["true"]);
    let done = scope(&b, &["run"]);
    done.fails_with("connect to /run/dbus/system_bus_socket: no such file or directory");
    done.fails_with("systemd does not run here; use the cgroupfs driver");
    b.assert_no_trace();
}
