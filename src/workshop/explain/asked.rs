//! The picture of a container as its config.json asks for it.
//!
//! The document was read and checked by [`crate::bundle`] before; here it is looked at as JSON, since patches are made for the
//! same document. What lies outside of it (the kind of a file, whose namespace a path names) is asked through [`Look`], so that the judgement
//! of a document can be tested without a machine.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::facts::{Bind, Facts, Filter, Node, REVEALING, SWITCHES, Sharing, bit};
use crate::workshop::observed::groups::{Devices, Limit};
use crate::workshop::observed::maps::{IdMap, Range};
use crate::workshop::observed::namespaces::Kind;

/// What a document refers to.
pub struct Look<'a> {
    /// The directory that relative paths start from.
    pub bundle: &'a Path,
    /// A path of the host without links, and what it is.
    pub source: &'a dyn Fn(&Path) -> (PathBuf, Node),
    /// With whom the namespace behind a path is shared.
    pub namespace: &'a dyn Fn(&Path, Kind) -> Sharing,
    /// The id maps of the user namespace behind a path.
    pub maps: &'a dyn Fn(&Path) -> Option<[String; 2]>,
}

/// The part of a document at a JSON pointer; null counts as absent.
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    value.pointer(pointer).filter(|v| !v.is_null())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of an array.
pub fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    at(value, pointer).and_then(Value::as_array).into_iter().flatten()
}

fn words<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    list(value, pointer).filter_map(Value::as_str)
}

fn on(value: &Value, pointer: &str) -> bool {
    at(value, pointer).and_then(Value::as_bool).unwrap_or(false)
}

fn number(value: &Value, pointer: &str) -> Option<i64> {
    at(value, pointer).and_then(Value::as_i64)
}

/// The picture.
pub fn facts(config: &Value, look: &Look) -> Facts {
    let mut facts = Facts {
        uid: number(config, "/process/user/uid").unwrap_or(0) as u32,
        no_new_privileges: on(config, "/process/noNewPrivileges"),
        filter: filter(config),
        label: label(config),
        writable: writable(config),
        visible: visible(config),
        devices: devices(config),
        read_only_root: on(config, "/root/readonly"),
        shared: shared(config),
        binds: binds(config, look),
        ..Facts::default()
    };
    let gids = list(config, "/process/user/additionalGids").filter_map(Value::as_u64).map(|gid| gid as u32);
    facts.groups = [number(config, "/process/user/gid").unwrap_or(0) as u32].into_iter().chain(gids).collect();
    namespaces(&mut facts, config, look);
    capabilities(&mut facts, config);
    limits(&mut facts, config);
    facts
}

fn namespaces(facts: &mut Facts, config: &Value, look: &Look) {
    facts.namespaces = std::array::from_fn(|_| Sharing::Host);
    let map = |name: &str| {
        let entry = |v: &Value| {
            let get = |key: &str| v.get(key).and_then(Value::as_u64).map(|n| n as u32);
            Some(Range { inside: get("containerID")?, outside: get("hostID")?, size: get("size")? })
        };
        Some(IdMap(list(config, &format!("/linux/{name}")).filter_map(entry).collect())).filter(|map| !map.0.is_empty())
    };
    (facts.uids, facts.gids) = (map("uidMappings"), map("gidMappings"));
    for entry in list(config, "/linux/namespaces") {
        let Some(kind) = Kind::of(text(entry, "/type")) else { continue };
        let path = Path::new(text(entry, "/path"));
        let joins = !path.as_os_str().is_empty();
        facts.namespaces[kind as usize] = if joins { (look.namespace)(path, kind) } else { Sharing::Own };
        if kind == Kind::User
            && joins
            && let Some([uids, gids]) = (look.maps)(path)
        {
            (facts.uids, facts.gids) = (Some(IdMap::parse(&uids)), Some(IdMap::parse(&gids)));
        }
    }
}

fn capabilities(facts: &mut Facts, config: &Value) {
    let set = |name: &str| words(config, &format!("/process/capabilities/{name}")).filter_map(bit).fold(0, |all, bit| all | bit);
    facts.inheritable = set("inheritable");
    facts.held = set("permitted") | set("effective") | set("ambient");
    // Up to the ceiling a setuid file lifts whoever runs it.
    facts.held |= if facts.no_new_privileges { 0 } else { set("bounding") };
}

fn filter(config: &Value) -> Filter {
    if at(config, "/linux/seccomp").is_none() {
        return Filter::None;
    }
    match (text(config, "/linux/seccomp/defaultAction"), list(config, "/linux/seccomp/syscalls").count()) {
        ("SCMP_ACT_ALLOW" | "SCMP_ACT_LOG", 0) => Filter::None,
        ("SCMP_ACT_ALLOW" | "SCMP_ACT_LOG", _) => Filter::DenyList,
        _ => Filter::AllowList,
    }
}

fn label(config: &Value) -> Option<String> {
    let labels = [text(config, "/process/apparmorProfile"), text(config, "/process/selinuxLabel")];
    labels.into_iter().find(|l| !l.is_empty() && *l != "unconfined").map(str::to_owned)
}

/// The mounts on `point`.
fn on_point<'a>(config: &'a Value, point: &str) -> impl Iterator<Item = &'a Value> {
    let point = point.to_owned();
    list(config, "/mounts").filter(move |m| text(m, "/destination").trim_end_matches('/') == point)
}

fn has_option(mount: &Value, names: &[&str]) -> bool {
    words(mount, "/options").any(|o| names.contains(&o))
}

fn listed(config: &Value, pointer: &str, path: &str) -> bool {
    words(config, pointer).any(|listed| Path::new(path).starts_with(listed))
}

fn writable(config: &Value) -> Vec<&'static str> {
    let proc = on_point(config, "/proc").last();
    if proc.is_none_or(|m| has_option(m, &["ro", "rro"])) {
        return vec![];
    }
    let open = |path: &&str| !listed(config, "/linux/readonlyPaths", path) && !listed(config, "/linux/maskedPaths", path);
    SWITCHES.into_iter().filter(open).collect()
}

fn visible(config: &Value) -> Vec<&'static str> {
    let there = |path: &str| on_point(config, if path.starts_with("/sys") { "/sys" } else { "/proc" }).next().is_some();
    REVEALING.into_iter().filter(|path| there(path) && !listed(config, "/linux/maskedPaths", path)).collect()
}

/// The last rule for everything is the default; without any, devices are denied.
fn devices(config: &Value) -> Devices {
    let everything = |rule: &&Value| {
        let any = |key: &str| rule.get(key).and_then(Value::as_i64).is_none_or(|n| n < 0);
        let access = text(rule, "/access");
        let all = access.is_empty() || ["r", "w", "m"].iter().all(|a| access.contains(a));
        matches!(text(rule, "/type"), "" | "a") && any("major") && any("minor") && all
    };
    match list(config, "/linux/resources/devices").filter(everything).last() {
        Some(rule) if on(rule, "/allow") => Devices::All,
        _ => Devices::Listed,
    }
}

fn limits(facts: &mut Facts, config: &Value) {
    let limit = |pointer: &str| match number(config, &format!("/linux/resources/{pointer}")) {
        Some(n) if n > 0 => Limit::Most(n as u64),
        _ => Limit::None,
    };
    (facts.memory, facts.pids) = (limit("memory/limit"), limit("pids/limit"));
    // config.json counts memory and swap together.
    facts.swap = match (limit("memory/swap"), facts.memory) {
        (Limit::Most(both), Limit::Most(memory)) => Limit::Most(both.saturating_sub(memory)),
        _ => Limit::None,
    };
    let mut parts = vec![];
    if let Limit::Most(quota) = limit("cpu/quota") {
        let period = if let Limit::Most(period) = limit("cpu/period") { period } else { 100_000 };
        parts.push(format!("quota {} %", quota * 100 / period));
    }
    if limit("cpu/shares").is_set() {
        parts.push("weight".to_owned());
    }
    if !text(config, "/linux/resources/cpu/cpus").is_empty() {
        parts.push("cpuset".to_owned());
    }
    facts.processor = parts.join(", ");
}

fn shared(config: &Value) -> Vec<PathBuf> {
    let root = matches!(text(config, "/linux/rootfsPropagation"), "shared" | "rshared").then(|| PathBuf::from("/"));
    let of_mounts = list(config, "/mounts").filter(|m| has_option(m, &["shared", "rshared"]));
    root.into_iter().chain(of_mounts.map(|m| text(m, "/destination").into())).collect()
}

/// Whether a mount of config.json is a piece of the host's tree.
pub fn is_bind(mount: &Value) -> bool {
    text(mount, "/type") == "bind" || has_option(mount, &["bind", "rbind"])
}

fn binds(config: &Value, look: &Look) -> Vec<Bind> {
    let read = |(index, mount): (usize, &Value)| {
        let (source, node) = (look.source)(&look.bundle.join(text(mount, "/source")));
        let has = |names: &[&str]| has_option(mount, names);
        let (read_only, nosuid, nodev) = (has(&["ro", "rro"]), has(&["nosuid", "rnosuid"]), has(&["nodev", "rnodev"]));
        Bind { source, target: text(mount, "/destination").into(), index: Some(index), read_only, nosuid, nodev, node }
    };
    let mut binds: Vec<Bind> = list(config, "/mounts").enumerate().filter(|(_, m)| is_bind(m)).map(read).collect();
    // A container whose root is the host's has all of it.
    let (source, node) = (look.source)(&look.bundle.join(text(config, "/root/path")));
    if source == Path::new("/") {
        let read_only = on(config, "/root/readonly");
        binds.push(Bind { source, target: "/".into(), index: None, read_only, nosuid: true, nodev: true, node });
    }
    binds
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// A look at a machine on which nothing is known.
    pub fn blind(config: &Value) -> Facts {
        let look = Look {
            bundle: Path::new("/bundle"),
            source: &|path| (path.to_owned(), Node::Unknown),
            namespace: &|path, _| Sharing::With(path.display().to_string()),
            maps: &|_| None,
        };
        facts(config, &look)
    }

    #[test]
    fn what_is_not_said_is_not_so() {
        let facts = blind(&json!({}));
        assert!(facts.namespaces.iter().all(|ns| *ns == Sharing::Host));
        assert_eq!((facts.uid, facts.held, facts.no_new_privileges, facts.filter), (0, 0, false, Filter::None));
        assert_eq!(
            (facts.memory, facts.swap, facts.pids, facts.devices),
            (Limit::None, Limit::None, Limit::None, Devices::Listed)
        );
        assert!(facts.binds.is_empty() && facts.writable.is_empty() && facts.visible.is_empty());
    }

    #[test]
    fn a_filter_is_what_its_default_makes_it() {
        let of = |default: &str, calls: Value| {
            blind(&json!({"linux": {"seccomp": {"defaultAction": default, "syscalls": calls}}})).filter
        };
        assert_eq!(of("SCMP_ACT_ERRNO", json!([])), Filter::AllowList);
        assert_eq!(of("SCMP_ACT_ALLOW", json!([{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}])), Filter::DenyList);
        assert_eq!(of("SCMP_ACT_ALLOW", json!([])), Filter::None);
        assert_eq!(blind(&json!({"linux": {"seccomp": null}})).filter, Filter::None);
    }

    #[test]
    fn the_last_rule_for_all_devices_counts() {
        let of = |rules: Value| blind(&json!({"linux": {"resources": {"devices": rules}}})).devices;
        assert_eq!(of(json!([{"allow": true, "access": "rwm"}])), Devices::All);
        assert_eq!(of(json!([{"allow": true}, {"allow": false, "type": "a"}])), Devices::Listed);
        assert_eq!(of(json!([{"allow": false}, {"allow": true, "type": "c", "access": "rwm"}])), Devices::Listed);
        assert_eq!(of(json!([{"allow": false}, {"allow": true, "major": -1, "minor": -1}])), Devices::All);
    }

    #[test]
    fn the_ceiling_counts_while_privileges_can_be_gained() {
        let mut config = json!({"process": {"capabilities": {"bounding": ["CAP_SYS_ADMIN"], "permitted": ["CAP_KILL"]}}});
        assert!(blind(&config).holds("SYS_ADMIN") && blind(&config).holds("KILL"));
        config["process"]["noNewPrivileges"] = json!(true);
        assert!(!blind(&config).holds("SYS_ADMIN"));
    }

    #[test]
    fn a_mount_of_the_hosts_root_is_seen_in_every_form() {
        let config = json!({"root": {"path": "/"}, "mounts": [
            {"destination": "/a", "source": "/etc", "options": ["rbind", "ro", "nosuid", "nodev"]},
            {"destination": "/b", "source": "data", "type": "bind"},
            {"destination": "/c", "source": "tmpfs", "type": "tmpfs"}]});
        let binds = blind(&config).binds;
        assert_eq!(binds.len(), 3);
        assert!(binds[0].read_only && binds[0].nosuid && binds[0].nodev);
        assert_eq!(binds[1].source, Path::new("/bundle/data"));
        assert_eq!((binds[2].source.as_path(), binds[2].is_sensitive()), (Path::new("/"), true));
    }
}
