//! Hosts, kernels and users that lack what a container needs.

use serde_json::json;

use super::{Case, Class, check};
use crate::cgroups::cpu::lacks_cpuset;
use crate::support::{Bundle, map_ids, needs_root};

crate::tests![what_the_host_lacks_is_said if needs_root, limits_that_cannot_be_kept_are_said if crate::fixtures::dies_with_a_start, processors_that_are_not_there_are_said if lacks_cpuset];

const fn case(code: &'static str, class: Class, make: fn(&mut Bundle) -> &'static str, text: &'static str) -> Case {
    Case { code, make, before: |_| {}, text, exit: 1, class }
}

/// A user namespace, and without a namespace of this kind.
fn mapped_without(b: &mut Bundle, kind: &str) {
    map_ids(&mut b.config, 100_000, 65_536);
    b.config["linux"]["namespaces"].as_array_mut().expect("namespaces").retain(|n| n["type"] != kind);
}

pub const CASES: &[Case] = &[
    case(
        "E-PROC",
        Class::NotExecutable,
        |b| {
            mapped_without(b, "pid");
            "run @"
        },
        r#"rrun run failed: .*: error mounting "proc" to rootfs at "/proc": .*operation not permitted .*\(hint: .*; add \{"type":"pid"\} to linux\.namespaces, .*\)"#,
    ),
    case(
        "E-SYSFS",
        Class::NotExecutable,
        |b| {
            mapped_without(b, "network");
            "run @"
        },
        r#"rrun run failed: .*: error mounting "sysfs" to rootfs at "/sys": .*operation not permitted .*\(hint: .*; add \{"type":"network"\} to linux\.namespaces, or bind /sys read-only\)"#,
    ),
];

pub const IN_GROUPS: &[Case] = &[case(
    "E-MEMLOW",
    Class::Other,
    |b| {
        b.config["linux"]["resources"] = json!({"memory": {"limit": 4096}});
        "run @"
    },
    r"rrun run failed: .* \(hint: the limit of 4096 bytes is below .*; raise memory\.limit\)",
)];

pub const CPUSET: &[Case] = &[case(
    "E-CPUSET",
    Class::Other,
    |b| {
        b.config["linux"]["resources"] = json!({"cpu": {"cpus": "0-999"}});
        "run @"
    },
    r#"rrun run failed: .*cannot set linux\.resources\.cpu\.cpus: .*\(hint: the group above has \S+; name those alone\)"#,
)];

fn what_the_host_lacks_is_said() {
    check(CASES);
}

fn limits_that_cannot_be_kept_are_said() {
    check(IN_GROUPS);
}

fn processors_that_are_not_there_are_said() {
    check(CPUSET);
}
