//! Repairs as JSON patches (RFC 6902) of config.json, and the patched document.
//!
//! The patch is what is applied: the same operations that are printed make the new document, and grading that one shows what they are
//! worth. What would have to be guessed is left to people: a security
//! label on a host without such a module.

use serde_json::{Value, json};

use super::asked::{at, list};
use super::facts::{Facts, bit};
use super::table::{CAP_ADMIN, CAP_FILE, CAP_NET, CAP_READ};
use crate::bundle::template::{self, Profile};
use crate::workshop::observed::namespaces::Kind;

/// A document under repair, and the operations so far.
pub struct Patch<'a> {
    /// The document as patched.
    pub config: Value,
    /// The operations.
    pub operations: Vec<Value>,
    facts: &'a dyn Fn(&Value) -> Facts,
}

/// The patch that repairs these findings, in order. `facts` makes the picture of a document.
pub fn patch<'a>(config: &Value, ids: impl IntoIterator<Item = &'a str>, facts: &dyn Fn(&Value) -> Facts) -> (Value, Vec<Value>) {
    let mut patch = Patch { config: config.clone(), operations: vec![], facts };
    ids.into_iter().for_each(|id| patch.repair(id));
    (patch.config, patch.operations)
}

/// Applies one operation; `None` if its path is not there.
pub fn apply(config: &mut Value, operation: &Value) -> Option<()> {
    let (parent, last) = operation["path"].as_str()?.rsplit_once('/')?;
    let last = last.replace("~1", "/").replace("~0", "~");
    let value = || operation["value"].clone();
    let op = operation["op"].as_str()?;
    match config.pointer_mut(parent)? {
        Value::Object(members) if op == "remove" => members.remove(&last).map(drop),
        Value::Object(members) => {
            members.insert(last, value());
            Some(())
        }
        Value::Array(elements) if last == "-" => {
            elements.push(value());
            Some(())
        }
        Value::Array(elements) => {
            let index: usize = last.parse().ok().filter(|i| *i < elements.len())?;
            match op {
                "remove" => drop(elements.remove(index)),
                "replace" => elements[index] = value(),
                _ => elements.insert(index, value()),
            }
            Some(())
        }
        _ => None,
    }
}

impl Patch<'_> {
    fn operate(&mut self, op: &str, path: &str, value: Option<Value>) {
        let mut operation = json!({"op": op, "path": path});
        if let Some(value) = value {
            operation["value"] = value;
        }
        if apply(&mut self.config, &operation).is_some() {
            self.operations.push(operation);
        }
    }

    /// Sets a member, with the objects around it where they are missing.
    fn set(&mut self, pointer: &str, mut value: Value) {
        if at(&self.config, pointer) == Some(&value) {
            return;
        }
        let mut path = pointer;
        while let Some((parent, name)) = path.rsplit_once('/') {
            let parent_is_there = parent.is_empty() || at(&self.config, parent).is_some();
            if parent_is_there {
                let op = if self.config.pointer(path).is_some() { "replace" } else { "add" };
                return self.operate(op, path, Some(value));
            }
            value = json!({ name: value });
            path = parent;
        }
    }

    /// Appends to an array, which is made if it is missing.
    fn push(&mut self, pointer: &str, value: Value) {
        match at(&self.config, pointer) {
            Some(_) => self.operate("add", &format!("{pointer}/-"), Some(value)),
            None => self.set(pointer, json!([value])),
        }
    }

    fn repair(&mut self, id: &str) {
        match id {
            "NS-USER" => self.user_namespace(),
            "CAP-ADMIN" => self.drop_capabilities(CAP_ADMIN),
            "CAP-READ" => self.drop_capabilities(CAP_READ),
            "CAP-NET" => self.drop_capabilities(CAP_NET),
            "CAP-FILE" => self.drop_capabilities(CAP_FILE),
            "CAP-INH" => ["inheritable", "ambient"].iter().for_each(|set| self.empty_set(set)),
            "SECCOMP" => self.set("/linux/seccomp", allow_list()),
            "MNT-HOST" | "MNT-FLAGS" | "MNT-PROP" | "MNT-SOCK" => self.mounts(id),
            "DEV" => self.devices(),
            "UID-ROOT" => ["uid", "gid"].iter().for_each(|key| self.set(&format!("/process/user/{key}"), json!(1000))),
            "NNP" => self.set("/process/noNewPrivileges", json!(true)),
            "ROPATHS" => {
                (self.facts)(&self.config).writable.iter().for_each(|path| self.push("/linux/readonlyPaths", json!(path)));
            }
            "MASKED" => (self.facts)(&self.config).visible.iter().for_each(|path| self.push("/linux/maskedPaths", json!(path))),
            "ROOT-RO" => self.set("/root/readonly", json!(true)),
            "MEM" => {
                let limit = at(&self.config, "/linux/resources/memory/limit").and_then(Value::as_i64).filter(|n| *n > 0);
                let limit = limit.unwrap_or(512 << 20);
                ["limit", "swap"].iter().for_each(|key| self.set(&format!("/linux/resources/memory/{key}"), json!(limit)));
            }
            "LSM" => {
                if let Some(profile) = crate::host::container_profile() {
                    self.set("/process/apparmorProfile", json!(profile));
                }
            }
            "PIDS" => self.set("/linux/resources/pids/limit", json!(100)),
            "CPU" => {
                ["quota", "period"].iter().for_each(|key| self.set(&format!("/linux/resources/cpu/{key}"), json!(100_000)));
            }
            _ => {
                if let Some(kind) = id.strip_prefix("NS-").map(str::to_lowercase).and_then(|name| Kind::of(&name)) {
                    self.namespace(kind);
                }
            }
        }
    }

    fn namespace(&mut self, kind: Kind) {
        let is = |ns: &Value| ns["type"].as_str().and_then(Kind::of) == Some(kind);
        let found = list(&self.config, "/linux/namespaces").position(is);
        match found {
            Some(index) => self.operate("remove", &format!("/linux/namespaces/{index}/path"), None),
            None => self.push("/linux/namespaces", json!({"type": kind.config_name()})),
        }
    }

    fn user_namespace(&mut self) {
        self.namespace(Kind::User);
        for map in ["uidMappings", "gidMappings"] {
            self.set(&format!("/linux/{map}"), json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]));
        }
    }

    fn empty_set(&mut self, set: &str) {
        let pointer = format!("/process/capabilities/{set}");
        if list(&self.config, &pointer).next().is_some() {
            self.set(&pointer, json!([]));
        }
    }

    fn drop_capabilities(&mut self, names: &[&str]) {
        for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
            let pointer = format!("/process/capabilities/{set}");
            let unwanted = |v: &&Value| v.as_str().and_then(bit).is_some_and(|b| names.iter().any(|n| bit(n) == Some(b)));
            if list(&self.config, &pointer).any(|v| unwanted(&v)) {
                let kept: Vec<Value> = list(&self.config, &pointer).filter(|v| !unwanted(v)).cloned().collect();
                self.set(&pointer, json!(kept));
            }
        }
    }

    fn mounts(&mut self, id: &str) {
        let facts = (self.facts)(&self.config);
        // From the last on, so that places stay what they are.
        for bind in facts.binds.iter().rev() {
            let Some(index) = bind.index else {
                if id == "MNT-HOST" {
                    self.set("/root/readonly", json!(true));
                }
                continue;
            };
            match id {
                "MNT-SOCK" if bind.is_socket() && facts.may_write(bind.node) => {
                    self.operate("remove", &format!("/mounts/{index}"), None);
                }
                "MNT-HOST" if bind.is_sensitive() && !bind.read_only => self.option(index, "ro"),
                "MNT-FLAGS" => {
                    let missing = [(bind.nosuid, "nosuid"), (bind.nodev, "nodev")];
                    missing.iter().filter(|(there, _)| !there).for_each(|(_, name)| self.option(index, name));
                }
                _ => {}
            }
        }
        if id == "MNT-PROP" {
            self.propagation();
        }
    }

    fn option(&mut self, mount: usize, name: &str) {
        self.push(&format!("/mounts/{mount}/options"), json!(name));
    }

    fn propagation(&mut self) {
        if at(&self.config, "/linux/rootfsPropagation").is_some() {
            self.set("/linux/rootfsPropagation", json!("rslave"));
        }
        let options = |(i, mount): (usize, &Value)| {
            let of = |(k, o): (usize, &Value)| match o.as_str() {
                Some("shared") => Some((format!("/mounts/{i}/options/{k}"), "private")),
                Some("rshared") => Some((format!("/mounts/{i}/options/{k}"), "rprivate")),
                _ => None,
            };
            list(mount, "/options").enumerate().filter_map(of).collect::<Vec<_>>()
        };
        let changes: Vec<_> = list(&self.config, "/mounts").enumerate().flat_map(options).collect();
        changes.into_iter().for_each(|(path, option)| self.operate("replace", &path, Some(json!(option))));
    }

    fn devices(&mut self) {
        let single = |rule: &&Value| {
            let number = |key: &str| rule.get(key).and_then(Value::as_i64).is_some_and(|n| n >= 0);
            rule["allow"] == json!(true) && (number("major") || number("minor"))
        };
        let kept = list(&self.config, "/linux/resources/devices").filter(single).cloned();
        let rules: Vec<Value> = [json!({"allow": false, "access": "rwm"})].into_iter().chain(kept).collect();
        self.set("/linux/resources/devices", json!(rules));
    }
}

/// The filter of an engine's default: an allow-list for ordinary programs, for this machine's own architectures.
fn allow_list() -> Value {
    template::of(Profile::Docker, false, 0, 0, None)["linux"]["seccomp"].take()
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::blind;
    use super::super::grade::grade;
    use super::super::policy::Policy;
    use super::*;

    #[test]
    fn operations_do_what_rfc_6902_says() {
        let mut doc = json!({"a": [1, 2], "b": {"c/d": 3}});
        for op in [
            json!({"op": "add", "path": "/a/-", "value": 9}),
            json!({"op": "add", "path": "/a/0", "value": 0}),
            json!({"op": "replace", "path": "/b/c~1d", "value": 4}),
            json!({"op": "remove", "path": "/a/1"}),
        ] {
            apply(&mut doc, &op).expect("applies");
        }
        assert_eq!(doc, json!({"a": [0, 2, 9], "b": {"c/d": 4}}));
        assert!(apply(&mut doc, &json!({"op": "add", "path": "/x/y", "value": 1})).is_none());
    }

    #[test]
    fn what_is_missing_around_a_member_comes_with_it() {
        let (doc, operations) = patch(&json!({"linux": {}}), ["PIDS"], &blind);
        assert_eq!(doc, json!({"linux": {"resources": {"pids": {"limit": 100}}}}));
        assert_eq!(operations, [json!({"op": "add", "path": "/linux/resources", "value": {"pids": {"limit": 100}}})]);
    }

    /// Everything wrong at once: each repair makes its own check good, and leaves the others alone.
    #[test]
    fn every_repair_repairs_its_finding() {
        let worst = json!({
            "process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_CHOWN", "CAP_KILL"],
                                         "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]}},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/sys", "type": "sysfs"},
                       {"destination": "/e", "source": "/etc", "options": ["rbind", "rshared"]},
                       {"destination": "/s", "source": "/run/docker.sock", "options": ["bind"]}],
            "linux": {"namespaces": [{"type": "pid", "path": "/host"}], "rootfsPropagation": "shared",
                      "resources": {"devices": [{"allow": true, "access": "rwm"}]}},
        });
        let host_pid = |config: &Value| {
            let mut facts = blind(config);
            if at(config, "/linux/namespaces/0/path").is_some() {
                facts.namespaces[Kind::Pid as usize] = super::super::facts::Sharing::Host;
            }
            facts
        };
        let before = grade(&host_pid(&worst), &Policy::default());
        assert!(before.findings.iter().all(|f| f.fails()), "everything is wrong");
        for finding in before.findings.iter().filter(|f| f.check.id != "LSM") {
            let (fixed, operations) = patch(&worst, [finding.check.id], &host_pid);
            let after = grade(&host_pid(&fixed), &Policy::default());
            let now = after.findings.iter().find(|f| f.check.id == finding.check.id).expect("there");
            assert!(!now.fails() && !operations.is_empty(), "{}: {operations:?}", finding.check.id);
            assert!(after.average < before.average || finding.weight < 3, "{}", finding.check.id);
        }
        let (fixed, operations) = patch(&worst, before.findings.iter().map(|f| f.check.id), &host_pid);
        let after = grade(&host_pid(&fixed), &Policy::default());
        assert_eq!(after.findings.iter().filter(|f| f.fails()).map(|f| f.check.id).collect::<Vec<_>>(), ["LSM"]);
        assert_eq!((after.score, after.doors.len()), (4, 0));
        let mut replayed = worst;
        operations.iter().for_each(|op| apply(&mut replayed, op).expect("applies"));
        assert_eq!(replayed, fixed);
    }
}
