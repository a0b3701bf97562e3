//! The config.json to begin with, as `spec` writes it (runtime-spec, config.md).
//!
//! It is the default that people copy, so it is confined: all namespaces but user, three capabilities, no new privileges,
//! the dangerous files of /proc and /sys hidden or read-only, and a read-only root. Every line that somebody deletes from it
//! is a wall taken down knowingly.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Value, json};

use super::keys;

mod filter;
mod profiles;

pub use profiles::{Profile, of};

/// What `runc spec` and `runc spec --rootless` write. `unified`: on a host with cgroup v2 alone the container gets a cgroup
/// namespace, too. `uid` and `gid` are the caller's, mapped to root when `rootless`.
pub fn config(rootless: bool, unified: bool, uid: u32, gid: u32) -> Value {
    let mut namespaces = vec!["pid", "network", "ipc", "uts", "mount"];
    if unified {
        namespaces.push("cgroup");
    }
    let mut mounts = default_mounts();
    let mut linux = json!({
        "maskedPaths": [
            "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
            "/proc/sched_debug", "/sys/firmware", "/proc/scsi", "/sys/devices/virtual/tpm",
        ],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    });
    if rootless {
        // The host's network and groups need root; sysfs belongs to the network namespace, so it can only be bound.
        namespaces.retain(|n| *n != "network");
        namespaces.push("user");
        linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
        linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
        mounts[2]["options"].as_array_mut().into_iter().for_each(|o| o.retain(|option| option != "gid=5"));
        mounts[5] = json!({"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
    } else {
        linux["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    }
    linux["namespaces"] = namespaces.into_iter().map(|n| json!({"type": n})).collect();
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "runc",
        "mounts": mounts,
        "linux": linux,
    })
}

fn default_mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ])
}

/// The text of a config: indented with tabs, keys in the order of the specification: people read and edit it.
pub fn text(config: &Value) -> String {
    let mut bytes = vec![];
    let mut json = serde_json::Serializer::with_formatter(&mut bytes, serde_json::ser::PrettyFormatter::with_indent(b"\t"));
    Ordered { value: config, path: String::new() }.serialize(&mut json).expect("writing to memory");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// A value whose objects are written in the order of [`keys::OBJECTS`].
struct Ordered<'a> {
    value: &'a Value,
    path: String,
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.value {
            Value::Object(members) => {
                let order = keys::of_object(&self.path);
                let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
                sorted.sort_by_key(|(key, _)| order.iter().position(|k| k == key));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                let dot = if self.path.is_empty() { "" } else { "." };
                for (key, value) in sorted {
                    map.serialize_entry(key, &Ordered { value, path: format!("{}{dot}{key}", self.path) })?;
                }
                map.end()
            }
            Value::Array(elements) => {
                let mut list = serializer.serialize_seq(Some(elements.len()))?;
                for (i, value) in elements.iter().enumerate() {
                    list.serialize_element(&Ordered { value, path: format!("{}[{i}]", self.path) })?;
                }
                list.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_in_the_order_of_the_specification() {
        let text = text(&config(false, false, 0, 0));
        assert!(text.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,\n"), "{text}");
        let at = |key: &str| text.find(&format!("\n\t\"{key}\"")).expect(key);
        assert!(at("process") < at("root") && at("root") < at("hostname") && at("mounts") < at("linux"));
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), config(false, false, 0, 0));
    }

    #[test]
    fn rootless_needs_no_privilege() {
        let config = super::config(true, true, 1000, 100);
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 1000);
        assert_eq!(config["linux"]["gidMappings"][0]["hostID"], 100);
        assert!(config["linux"]["resources"].is_null());
        let types: Vec<&str> =
            config["linux"]["namespaces"].as_array().expect("a list").iter().filter_map(|n| n["type"].as_str()).collect();
        assert_eq!(types, ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        assert!(!config["mounts"].to_string().contains("gid="));
        assert_eq!(config["mounts"][5]["type"], "none");
    }
}
