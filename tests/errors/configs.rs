//! Configurations and command lines that cannot be honoured.

use serde_json::{Value, json};

use super::{Case, Class, check};
use crate::support::{Bundle, needs_root};

crate::tests![
    what_is_wrong_with_a_config_is_said,
    what_is_wrong_with_a_label_is_said if crate::lsm::host_has_selinux,
    what_is_wrong_with_a_mount_is_said if needs_root,
];

const fn case(code: &'static str, make: fn(&mut Bundle) -> &'static str, text: &'static str) -> Case {
    Case { code, make, before: |_| {}, text, exit: 1, class: Class::Other }
}

fn set(b: &mut Bundle, pointer: &str, value: Value) -> &'static str {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    b.config.pointer_mut(parent).expect("its parent")[key] = value;
    "run @"
}

fn mount(b: &mut Bundle, mount: Value) -> &'static str {
    b.config["mounts"].as_array_mut().expect("mounts").push(mount);
    "run @"
}

pub const CASES: &[Case] = &[
    case(
        "E-KEY",
        |b| {
            set(b, "/process/noNewPrivileged", json!(true));
            "--strict run @"
        },
        r"rrun run failed: config\.json:\d+: unknown key process\.noNewPrivileged - did you mean noNewPrivileges\? It has NO effect \(hint: --strict makes each warning an error; correct the configuration, or run without --strict\)",
    ),
    case(
        "E-CAP",
        |b| {
            set(b, "/process/capabilities/bounding", json!(["NET_ADMIN"]));
            "--strict run @"
        },
        r"rrun run failed: config\.json:\d+: unknown capability NET_ADMIN is ignored - did you mean CAP_NET_ADMIN\? .*",
    ),
    case(
        "E-STRICT",
        |b| {
            let filter =
                json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["unshar"], "action": "SCMP_ACT_ERRNO"}]});
            set(b, "/linux/seccomp", filter);
            "--strict run @"
        },
        r#"rrun run failed: .*unknown system call "unshar": its rule has NO effect - did you mean unshare\? \(hint: --strict .*\)"#,
    ),
    case(
        "E-TYPE",
        |b| set(b, "/process/user/uid", json!("1000")),
        r#"rrun run failed: process\.user\.uid: expected a number, got the string "1000" \(config\.json:\d+:\d+\) \(hint: remove the quotes\)"#,
    ),
    case(
        "E-JSON",
        |b| {
            b.config = Value::Null;
            std::fs::write(b.path().join("config.json"), "{\"process\": {\n  \"args\": [\"true\"\n  }\n}").expect("write");
            "run @"
        },
        r"rrun run failed: config\.json:3:3: `\}` closes the list opened at 2:11; `\]` is due",
    ),
    case(
        "E-RLIMIT",
        |b| set(b, "/process/rlimits", json!([{"type": "RLIMIT_NOFILES", "soft": 8, "hard": 8}])),
        r"rrun run failed: invalid rlimit type: RLIMIT_NOFILES .*\(hint: did you mean RLIMIT_NOFILE\?\)",
    ),
    case(
        "E-SECCOMP",
        |b| {
            let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_KILL_PROCESS"}]});
            set(b, "/linux/seccomp", filter)
        },
        r"rrun run failed: unable to init seccomp: the profile denies execve \(kill process\), which starting needs .*\(hint: add execve with SCMP_ACT_ALLOW to linux\.seccomp\.syscalls\)",
    ),
    case(
        "E-TTY",
        |b| {
            set(b, "/process/terminal", json!(true));
            "run --detach @"
        },
        r"rrun run failed: cannot allocate tty if rrun will detach without setting console socket .*\(hint: name a socket with --console-socket PATH, or set terminal to false\)",
    ),
    case(
        "E-SYSCTL",
        |b| set(b, "/linux/sysctl", json!({"vm.swappiness": "1"})),
        r#"rrun run failed: sysctl "vm\.swappiness" is not in a separate kernel namespace .*\(hint: it is one value for the whole kernel, or its namespace is the host's; remove it\)"#,
    ),
    case(
        "E-HOOK",
        |b| set(b, "/hooks", json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo boom >&2; exit 3"]}]})),
        r"rrun run failed: .*: error running createRuntime hook #0: exit status 3, .*stderr: boom \(config\.json: hooks\.createRuntime\[0\]\)",
    ),
    case(
        "E-USAGE",
        |_| "update --resources - --memory 64M @",
        r"--resources and flags for single limits exclude each other \(hint: choose one: .*\)",
    ),
    case("E-USAGE", |_| "lst", r#"unknown command "lst" \(hint: did you mean list\?\)"#),
    case(
        "E-NOID",
        |_| "state nosuch",
        r"container does not exist \(hint: no container nosuch under .*; rrun list shows those there are\)",
    ),
    case(
        "E-IDMAP",
        |b| {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 10}]);
            set(b, "/linux/uidMappings", map.clone());
            set(b, "/linux/gidMappings", map);
            let namespaces = b.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
            namespaces.retain(|n| n["type"] != "user");
            namespaces.push(json!({"type": "user"}));
            set(b, "/process/user/uid", json!(1000))
        },
        r"rrun run failed: cannot set uid to unmapped user in user namespace .*\(hint: uid 1000 is outside linux\.uidMappings \(0-9\); map it, or choose a mapped one\)",
    ),
];

/// Where no kernel would take a label.
pub const LABELS: &[Case] = &[case(
    "E-LSM",
    |b| set(b, "/process/selinuxLabel", json!("no:such:label:s0")),
    r"rrun run failed: .*(selinux is disabled or not supported|unable to apply selinux label).*",
)];

pub const MOUNTS: &[Case] = &[
    Case {
        class: Class::NotFound,
        ..case(
            "E-MOUNT",
            |b| mount(b, json!({"destination": "/data", "type": "bind", "source": "/no/such/dir", "options": ["rbind"]})),
            r#"rrun run failed: .*: error mounting "/no/such/dir" to rootfs at "/data": open_tree /no/such/dir: no such file or directory .*\(hint: mounts\[\d+\]\.source /no/such/dir is absent on the host; create it, or correct the source\)"#,
        )
    },
    Case {
        class: Class::NotFound,
        ..case(
            "E-MOUNT",
            |b| mount(b, json!({"destination": "/tmp", "type": "bind", "source": "/etc/passwd", "options": ["bind"]})),
            r#"rrun run failed: .*: error mounting "/etc/passwd" to rootfs at "/tmp": .*not a directory .*\(hint: one of source and destination is a file, the other a folder; make both the same kind\)"#,
        )
    },
    case(
        "E-MOUNT",
        |b| mount(b, json!({"destination": "/tmp", "type": "none", "source": "/etc"})),
        r#"rrun run failed: invalid mount at "/tmp": it has no type and is no bind .*\(hint: add the option `rbind`, or name a type\)"#,
    ),
    case(
        "E-MOUNT",
        |b| mount(b, json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosiud"]})),
        r#"rrun run failed: .*: error mounting "tmpfs" to rootfs at "/tmp": fsconfig nosiud: invalid argument .*\(hint: unknown option `nosiud` was passed to tmpfs as data; did you mean nosuid\?\)"#,
    ),
    Case {
        class: Class::NotFound,
        ..case(
            "E-NSPATH",
            |b| {
                let namespaces = b.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
                namespaces.retain(|n| n["type"] != "network");
                namespaces.push(json!({"type": "network", "path": "/run/netns/rrun-no-such"}));
                "run @"
            },
            r"rrun run failed: .*: open network namespace /run/netns/rrun-no-such: no such file or directory .*\(hint: /run/netns/rrun-no-such is absent; make it with ip netns add rrun-no-such\)",
        )
    },
];

fn what_is_wrong_with_a_config_is_said() {
    check(CASES);
}

fn what_is_wrong_with_a_label_is_said() {
    check(LABELS);
}

fn what_is_wrong_with_a_mount_is_said() {
    check(MOUNTS);
}
