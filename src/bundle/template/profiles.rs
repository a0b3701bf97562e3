//! The profiles of `spec --profile`: configs to copy for a purpose, each a whole one that runs as it is.
//!
//! `hardened` closes every door that a config can close and `explain` looks at. `docker` is what container engines give when
//! nobody asks for more: comfortable for images, and a good thing to compare with. `rootless` asks for nothing that takes
//! privilege. What `spec` writes without a profile is what runc writes.

use serde_json::{Value, json};

use super::{config, filter};

/// A kind of config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Nothing that can be denied is allowed.
    Hardened,
    /// The default of container engines.
    Docker,
    /// For a user without root's rights over the host.
    Rootless,
}

impl Profile {
    /// The words of the command line.
    pub const WORDS: &'static [&'static str] = &["hardened", "docker", "rootless"];

    /// The profile of a word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Hardened, Self::Docker, Self::Rootless].into_iter().zip(Self::WORDS).find(|(_, w)| **w == word).map(|(p, _)| p)
    }
}

/// The first host id of the range that a hardened container's ids are mapped to: where the first range of subuid(5) begins.
const FIRST_ID: u32 = 100_000;

/// Of engines: what package managers and servers that start as root make use of. With NET_RAW a container can forge packets,
/// with MKNOD make device nodes; the others give root its powers over the container's own files and users.
const OF_ENGINES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The config of a profile. `apparmor`: a profile of this host for containers, if there is one.
pub fn of(profile: Profile, unified: bool, uid: u32, gid: u32, apparmor: Option<&str>) -> Value {
    let mut made = config(profile == Profile::Rootless, unified, uid, gid);
    match profile {
        Profile::Hardened => harden(&mut made),
        Profile::Docker => as_engines_do(&mut made),
        Profile::Rootless => return made,
    }
    if let Some(name) = apparmor {
        made["process"]["apparmorProfile"] = json!(name);
    }
    made
}

fn harden(config: &mut Value) {
    let limits = |kind: &str, value: u32| json!({"type": kind, "soft": value, "hard": value});
    let process = &mut config["process"];
    process["user"] = json!({"uid": 1000, "gid": 1000, "umask": 0o77});
    process["capabilities"] = json!({"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []});
    process["rlimits"] = json!([limits("RLIMIT_NOFILE", 1024), limits("RLIMIT_CORE", 0)]);
    config["hostname"] = json!("hardened");
    // The root is read-only: the one place to write is small, and holds neither programs nor devices.
    push(
        &mut config["mounts"],
        json!({
            "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "nodev", "noexec", "mode=1777", "size=65536k"],
        }),
    );
    let linux = &mut config["linux"];
    add_namespaces(linux, &["user", "cgroup"]);
    let map = json!([{"containerID": 0, "hostID": FIRST_ID, "size": 65536}]);
    (linux["uidMappings"], linux["gidMappings"]) = (map.clone(), map);
    linux["resources"] = json!({
        "devices": [{"allow": false, "access": "rwm"}],
        // Memory and swap together: a limit that swap gets round is none.
        "memory": {"limit": 256 << 20, "swap": 256 << 20},
        "cpu": {"shares": 512, "quota": 100_000, "period": 100_000},
        "pids": {"limit": 100},
    });
    hide(linux, &["/proc/interrupts", "/sys/devices/virtual/powercap", "/sys/kernel/debug", "/sys/kernel/tracing"]);
    linux["seccomp"] = filter::hardened();
}

fn as_engines_do(config: &mut Value) {
    let process = &mut config["process"];
    process["capabilities"] = json!({"bounding": OF_ENGINES, "effective": OF_ENGINES, "permitted": OF_ENGINES});
    process["noNewPrivileges"] = json!(false);
    process["rlimits"] = json!([]);
    config["root"]["readonly"] = json!(false);
    config["hostname"] = json!("docker");
    let linux = &mut config["linux"];
    add_namespaces(linux, &["cgroup"]);
    let any = |kind: &str| json!({"allow": true, "type": kind, "access": "m"});
    // Nodes of any device may be made; only those that every container has may be opened.
    linux["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}, any("c"), any("b")]});
    hide(linux, &["/proc/interrupts", "/sys/devices/virtual/powercap"]);
    linux["seccomp"] = filter::of_engines();
}

fn push(list: &mut Value, element: Value) {
    list.as_array_mut().expect("a list").push(element);
}

fn add_namespaces(linux: &mut Value, kinds: &[&str]) {
    for kind in kinds {
        let there = linux["namespaces"].as_array().into_iter().flatten().any(|n| n["type"] == *kind);
        if !there {
            push(&mut linux["namespaces"], json!({"type": kind}));
        }
    }
}

fn hide(linux: &mut Value, paths: &[&str]) {
    paths.iter().for_each(|path| push(&mut linux["maskedPaths"], json!(path)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_a_profile() {
        assert_eq!(Profile::WORDS.iter().filter_map(|w| Profile::of(w)).count(), 3);
        assert_eq!(Profile::of("strict"), None);
    }

    #[test]
    fn hardened_gives_nothing() {
        for unified in [false, true] {
            let made = of(Profile::Hardened, unified, 0, 0, None);
            assert!(made["process"]["capabilities"].as_object().expect("sets").values().all(|set| *set == json!([])));
            assert!(made["process"]["noNewPrivileges"] == true && made["root"]["readonly"] == true);
            assert_ne!(made["process"]["user"]["uid"], 0);
            let kinds = made["linux"]["namespaces"].as_array().expect("a list").len();
            assert_eq!(kinds, 7, "all but time, which hides nothing");
            assert!(made["linux"]["uidMappings"][0]["hostID"].as_u64() >= Some(65536));
        }
    }

    #[test]
    fn a_label_is_named_only_where_it_exists() {
        assert!(of(Profile::Docker, true, 0, 0, None)["process"]["apparmorProfile"].is_null());
        assert_eq!(of(Profile::Docker, true, 0, 0, Some("docker-default"))["process"]["apparmorProfile"], "docker-default");
    }

    #[test]
    fn rootless_is_that_of_the_flag() {
        assert_eq!(of(Profile::Rootless, true, 1000, 1000, Some("x")), config(true, true, 1000, 1000));
    }
}
