//! The five configurations whose scores are fixed.
//!
//! If one of these numbers moves, so does the meaning of every score that anybody wrote down, and the table needs a new version. They are
//! the profiles of `spec`, so that a profile that opens a door shows here as well.

use serde_json::{Value, json};

use super::super::asked::tests::blind;
use super::super::policy::Policy;
use super::*;
use crate::bundle::template::{self, Profile};

/// What `spec` writes, which is what runc's does.
fn spec() -> Value {
    template::config(false, false, 0, 0)
}

/// What an engine makes of an image by default, on a host with cgroup v2.
fn engine() -> Value {
    template::of(Profile::Docker, true, 0, 0, Some("docker-default"))
}

/// As [`engine`] with `--privileged`.
fn privileged() -> Value {
    let mut config = engine();
    let all: Value = caps::all().iter().map(|c| json!(c.to_string())).collect();
    config["process"]["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
    config["process"].as_object_mut().expect("an object").remove("apparmorProfile");
    config["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
    for key in ["seccomp", "maskedPaths", "readonlyPaths"] {
        config["linux"].as_object_mut().expect("an object").remove(key);
    }
    config
}

fn hardened() -> Value {
    template::of(Profile::Hardened, true, 0, 0, Some("docker-default"))
}

fn with_socket() -> Value {
    let mut config = hardened();
    let mount = json!({"destination": "/run/docker.sock", "source": "/var/run/docker.sock", "type": "bind",
                       "options": ["bind", "nosuid", "nodev"]});
    config["mounts"].as_array_mut().expect("a list").push(mount);
    config
}

fn of(config: &Value) -> Grade {
    grade(&blind(config), &Policy::default())
}

fn failing(grade: &Grade) -> Vec<&'static str> {
    grade.findings.iter().filter(|f| f.fails()).map(|f| f.check.id).collect()
}

#[test]
fn calibration() {
    for (name, config, average, score, level) in [
        ("runc spec", spec(), 28, 28, "FAIR"),
        ("engine default", engine(), 24, 24, "GOOD"),
        ("privileged", privileged(), 60, 95, "DANGEROUS"),
        ("hardened", hardened(), 0, 0, "HARDENED"),
        ("hardened, with the engine's socket", with_socket(), 8, 95, "DANGEROUS"),
    ] {
        let grade = of(&config);
        assert_eq!((grade.average, grade.score, grade.level()), (average, score, level), "{name}: {:?}", failing(&grade));
    }
    assert_eq!(table::YARDSTICKS.map(|(_, score)| score), [of(&spec()).score, of(&engine()).score]);
}

#[test]
fn the_default_has_eight_findings() {
    assert_eq!(failing(&of(&spec())), ["SECCOMP", "NS-USER", "UID-ROOT", "LSM", "MEM", "PIDS", "NS-CGROUP", "CPU"]);
}

#[test]
fn each_door_has_its_floor_and_a_user_namespace_closes_all_but_the_socket() {
    let base = || {
        let mut config = hardened();
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "user");
        config["process"]["user"]["uid"] = json!(0);
        config
    };
    let floors = |config: &Value| of(config).doors.iter().map(|d| (d.id, d.floor)).collect::<Vec<_>>();
    assert_eq!(floors(&base()), []);
    let capability = |name: &str| json!({"effective": [name]});
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: [(Change, &str, u32); 7] = [
        (&|c| c["process"]["capabilities"] = capability("CAP_SYS_MODULE"), "CAP-ADMIN", 95),
        (&|c| c["process"]["capabilities"] = capability("CAP_SYS_ADMIN"), "CAP-ADMIN", 90),
        (&|c| c["process"]["capabilities"] = capability("CAP_DAC_READ_SEARCH"), "CAP-READ", 90),
        (
            &|c| c["mounts"].as_array_mut().expect("a list").push(json!({"destination": "/e", "source": "/etc", "type": "bind"})),
            "MNT-HOST",
            95,
        ),
        (
            &|c| {
                c["process"]["capabilities"] = capability("CAP_MKNOD");
                c["linux"]["resources"]["devices"] = json!([{"allow": true}]);
            },
            "DEV",
            95,
        ),
        (
            &|c| {
                c["process"]["capabilities"] = capability("CAP_SYS_PTRACE");
                c["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "pid");
            },
            "NS-PID",
            90,
        ),
        (&|c| c["linux"]["readonlyPaths"] = json!(["/proc/bus"]), "ROPATHS", 90),
    ];
    for (change, id, floor) in changes {
        let mut config = base();
        change(&mut config);
        assert_eq!(floors(&config), [(id, floor)]);
        assert!(of(&config).score >= floor);
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        assert_eq!(floors(&config), [], "{id}");
    }
    let mut config = base();
    config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != "mount");
    assert_eq!(floors(&config), [("NS-MNT", 95)]);
}

#[test]
fn what_does_not_apply_and_what_is_accepted_leave_the_average() {
    let mut facts = blind(&spec());
    facts.namespaces[Kind::User as usize] = Sharing::Unknown;
    // 55 of 241.
    assert_eq!(grade(&facts, &Policy::default()).average, 23);
    assert_eq!(grade(&Facts::default(), &Policy::default()).findings.len(), 27);
}

#[test]
fn each_check_passes_and_fails() {
    let (good, bad) = (
        of(&hardened()),
        of(&json!({
            "process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_CHOWN"], "inheritable": ["CAP_KILL"]}},
            "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/sys", "type": "sysfs"},
                       {"destination": "/e", "source": "/etc", "options": ["bind", "shared"]},
                       {"destination": "/s", "source": "/run/docker.sock", "options": ["bind"]}],
            "linux": {"resources": {"devices": [{"allow": true}]}},
        })),
    );
    for (good, bad) in good.findings.iter().zip(&bad.findings) {
        assert!(!good.fails() && good.verdict.is_some(), "{}", good.check.id);
        assert!(bad.fails(), "{}", bad.check.id);
    }
}

#[test]
fn a_user_namespace_halves_what_capabilities_are_worth() {
    let mut config = hardened();
    config["process"]["capabilities"] = json!({"effective": ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_CHOWN"]});
    config["process"]["user"]["uid"] = json!(0);
    let badness = |id: &str| of(&config).findings.iter().find(|f| f.check.id == id).map(Finding::badness);
    let all = ["CAP-ADMIN", "CAP-READ", "CAP-NET", "CAP-FILE", "UID-ROOT"].map(badness);
    assert_eq!(all, [40, 40, 50, 40, 30].map(Some));
    // A map that contains the host's root separates nobody.
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1000}]);
    let grade = of(&config);
    let badness = |id: &str| grade.findings.iter().find(|f| f.check.id == id).map(Finding::badness);
    assert_eq!([badness("NS-USER"), badness("CAP-ADMIN"), badness("UID-ROOT")], [100, 100, 100].map(Some));
}

#[test]
fn half_hidden_files_are_half_as_bad() {
    let mut config = hardened();
    config["linux"]["maskedPaths"] = json!(["/proc/kcore", "/proc/keys", "/proc/timer_list"]);
    let grade = of(&config);
    assert_eq!(grade.findings.iter().find(|f| f.check.id == "MASKED").map(|f| (f.badness(), f.cost)), Some((25, 5)));
    config["linux"]["seccomp"] =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]});
    assert_eq!(of(&config).findings.iter().find(|f| f.check.id == "SECCOMP").map(Finding::badness), Some(80));
}
