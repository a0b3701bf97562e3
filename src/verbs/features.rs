//! `features`: what this runtime can do, as the specification's features document (runtime-spec, features.md).
//!
//! Engines switch functions on by it (pods with a user namespace, recursive read-only mounts), so it says only what is so:
//! a restriction that is announced and not made is a hole.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

use super::Outcome;
use super::version::SPEC;
use crate::concepts::mounts;
use crate::error::Result;
use crate::sys::seccomp;

const HOOKS: &str = "prestart createRuntime createContainer startContainer poststart poststop";
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// As config.json has them, without their prefix.
const ACTIONS: &str = "ALLOW ERRNO KILL KILL_PROCESS KILL_THREAD LOG NOTIFY TRACE TRAP";
const OPERATORS: &str = "EQ GE GT LE LT MASKED_EQ NE";
const ARCHITECTURES: &str = "AARCH64 ARM LOONGARCH64 M68K MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PARISC PARISC64 PPC \
                             PPC64 PPC64LE RISCV64 S390 S390X SH SHEB X32 X86 X86_64";
/// With the bit by which the kernel is asked; TSYNC needs none, as a single thread installs the filter.
const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", seccomp::FLAG_SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_LOG", seccomp::FLAG_LOG),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", seccomp::FLAG_WAIT_KILLABLE_RECV),
];
const MEMORY_MODES: &str = "BIND DEFAULT INTERLEAVE LOCAL PREFERRED PREFERRED_MANY WEIGHTED_INTERLEAVE";
const MEMORY_FLAGS: &str = "NUMA_BALANCING RELATIVE_NODES STATIC_NODES";

/// Prints the document. Works as any user, without a state root.
pub fn run() -> Result<Outcome> {
    let mut text = vec![];
    let mut writer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    document().serialize(&mut writer).expect("plain data has a JSON form");
    Ok(Outcome::print(String::from_utf8(text).expect("JSON is UTF-8") + "\n"))
}

fn document() -> Value {
    let mut capabilities: Vec<String> = caps::all().iter().map(|c| format!("{c}")).collect();
    capabilities.sort_unstable();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC,
        "hooks": prefixed("", HOOKS),
        "mountOptions": &mounts::OPTIONS[..],
        "linux": {
            "namespaces": NAMESPACES,
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": filters(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {"modes": prefixed("MPOL_", MEMORY_MODES), "flags": prefixed("MPOL_F_", MEMORY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": {
            "io.rrun.version": env!("CARGO_PKG_VERSION"),
            "org.opencontainers.runc.checkpoint.enabled": "false",
        },
        // Those with power: directories of the host as root and to write to; whatever a unit of systemd can be told.
        "potentiallyUnsafeConfigAnnotations": ["io.rrun.rootfs.", "org.systemd.property."],
    })
}

fn filters() -> Value {
    let supported = FLAGS.iter().filter(|(_, bit)| *bit == 0 || seccomp::supports_flag(*bit));
    json!({
        "enabled": true,
        "actions": prefixed("SCMP_ACT_", ACTIONS),
        "operators": prefixed("SCMP_CMP_", OPERATORS),
        "archs": prefixed("SCMP_ARCH_", ARCHITECTURES),
        "knownFlags": FLAGS.map(|(name, _)| name),
        "supportedFlags": supported.map(|(name, _)| *name).collect::<Vec<_>>(),
    })
}

fn prefixed(prefix: &str, words: &str) -> Vec<String> {
    words.split_whitespace().map(|word| format!("{prefix}{word}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_of_the_specification() {
        // The types of oci-spec refuse a namespace, action or architecture that they do not know.
        let typed: oci_spec::runtime::Features = serde_json::from_value(document()).expect("a features document");
        let linux = typed.linux().as_ref().expect("linux");
        assert_eq!(linux.namespaces().as_ref().map(Vec::len), Some(8));
        assert!(linux.capabilities().as_ref().is_some_and(|c| c.iter().any(|c| c == "CAP_SYS_ADMIN")));
    }

    #[test]
    fn what_containerd_and_cri_o_look_for() {
        let document = document();
        assert!(document["mountOptions"].as_array().is_some_and(|o| o.contains(&json!("rro"))));
        assert!(document["linux"]["namespaces"].as_array().is_some_and(|n| n.contains(&json!("user"))));
        assert_eq!(document["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        assert_eq!((&document["ociVersionMin"], &document["ociVersionMax"]), (&json!("1.0.0"), &json!("1.3.0")));
    }
}
