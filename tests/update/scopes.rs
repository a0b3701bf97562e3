//! Limits of groups that systemd made: both must know of the new ones.

use serde_json::json;

use super::*;
use crate::cgroups::scopes::{lacks_systemd, scope, shown, systemctl};

crate::tests![
    all if needs_groups;
    systemd_keeps_the_new_limits if lacks_systemd,
    what_systemd_cannot_do_leaves_it_as_it_was if lacks_systemd,
];

/// A container in a scope of systemd, and its unit.
fn scoped() -> (Bundle, String) {
    let mut b = limited(&["sleep", "1000"], json!({"pids": {"limit": 7}}));
    b.config["linux"]["cgroupsPath"] = json!(format!("rrun-test.slice:update:{}", b.id));
    scope(&b, &["run", "--detach"]).ok();
    let unit = format!("update-{}.scope", b.id);
    (b, unit)
}

fn in_scope(unit: &str, file: &str) -> String {
    let dir = groups_named(unit).into_iter().find(|d| d.join(file).exists()).expect("the scope's group");
    read(dir.join(file)).trim_end().to_owned()
}

fn systemd_keeps_the_new_limits() {
    let (b, unit) = scoped();
    // CRI-O does not say that it was systemd.
    update(&b, &["--pids-limit=9", "--memory=64M", "--cpu-quota=5000", "--cpu-period=7000"]).ok();
    assert_eq!((shown(&unit, "TasksMax").as_str(), shown(&unit, "MemoryMax")), ("9", (64 << 20).to_string()));
    if is_v2() {
        // systemd counts in whole percents; the container has what was asked.
        assert_eq!((shown(&unit, "CPUQuotaPerSecUSec").as_str(), in_scope(&unit, "cpu.max").as_str()), ("720ms", "5000 7000"));
    }
    systemctl(&["daemon-reload"]);
    assert_eq!(in_scope(&unit, "pids.max"), "9");
    update(&b, &["--pids-limit=-1"]).ok();
    assert_eq!((shown(&unit, "TasksMax").as_str(), in_scope(&unit, "pids.max").as_str()), ("infinity", "max"));
}

fn what_systemd_cannot_do_leaves_it_as_it_was() {
    let (b, unit) = scoped();
    update(&b, &["--pids-limit=9", "--cpuset-cpus=0-4000"]).fails_with("linux.resources.cpu.cpus");
    assert_eq!((shown(&unit, "TasksMax").as_str(), in_scope(&unit, "pids.max").as_str()), ("7", "7"));
}
