//! Where config.json is right and the types of `oci-spec` are not: the document is brought into the shape they accept.
//!
//! Engines write with Go, whose reader takes `null` for "not there". Capabilities that this rrun does not know are a warning
//! by the specification, not an error. Other platforms' sections have no effect. Everything that is changed here either
//! means the same afterwards or is said in a warning.

use oci_spec::runtime::Capability;
use serde_json::Value;

use super::keys::unknown;
use super::places::{push_index, push_key};
use crate::suggest::did_you_mean;

/// What to say about the document, each with the path of what it is about.
pub type Notes = Vec<(String, String)>;

/// How a note about a capability begins.
pub const UNKNOWN_CAPABILITY: &str = "unknown capability";

const CAPABILITY_SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

/// The specification's names of two flags, and what the types call them: one underscore too many, one word too few.
pub const SCHEDULER_FLAGS: [(&str, &str); 2] =
    [("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"), ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK")];

/// Removes every member whose value is `null`.
pub fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, v| !v.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// A whole config.json.
pub fn spec(document: &mut Value, notes: &mut Notes) {
    let Some(top) = document.as_object_mut() else { return };
    for platform in ["windows", "solaris", "zos", "freebsd"] {
        if top.remove(platform).is_some() {
            notes.push((platform.into(), format!("the section {platform} is for another platform. It has NO effect")));
        }
    }
    // The types have these two at the top, the specification has not.
    for (key, place) in [("uidMappings", "linux.uidMappings"), ("gidMappings", "linux.gidMappings")] {
        if top.remove(key).is_some() {
            notes.push((key.into(), format!("unknown key {key} - did you mean {place}? It has NO effect")));
        }
    }
    if let Some(annotations) = top.get("annotations").and_then(Value::as_object) {
        annotations.keys().filter_map(|key| misspelt_annotation(key)).for_each(|note| notes.push(note));
    }
    if let Some(inner) = top.get_mut("process") {
        process(inner, "process", notes);
    }
    if let Some(inner) = top.get_mut("linux").and_then(|l| l.get_mut("resources")) {
        resources(inner, "linux.resources", notes);
    }
}

/// A process: `process` of config.json, or a file for `exec --process`. `path` is where it stands.
pub fn process(document: &mut Value, path: &str, notes: &mut Notes) {
    let Some(process) = document.as_object_mut() else { return };
    let here = |key: &str| {
        let mut place = path.to_owned();
        push_key(&mut place, key);
        place
    };
    // Go's zero values. An empty cwd is refused later, in the words that engines know.
    process.entry("cwd").or_insert_with(|| "".into());
    if !process.contains_key("user") {
        notes.push((path.to_owned(), format!("{} is missing: the process runs as uid 0", here("user"))));
        process.insert("user".into(), Value::Object(serde_json::Map::new()));
    }
    if process.remove("commandLine").is_some() {
        notes.push((here("commandLine"), super::keys::unknown("process", "commandLine")));
    }
    if process.get_mut("user").and_then(Value::as_object_mut).and_then(|u| u.remove("username")).is_some() {
        notes.push((here("user.username"), super::keys::unknown("process.user", "username")));
    }
    if let Some(flags) = process.get_mut("scheduler").and_then(|s| s.get_mut("flags")).and_then(Value::as_array_mut) {
        for (name, types) in SCHEDULER_FLAGS {
            flags.iter_mut().filter(|f| *f == name).for_each(|f| *f = types.into());
        }
    }
    for set in CAPABILITY_SETS {
        if let Some(names) = process.get_mut("capabilities").and_then(|c| c.get_mut(set)).and_then(Value::as_array_mut) {
            known_capabilities(names, &here(&format!("capabilities.{set}")), notes);
        }
    }
}

/// Removes the names that are no capability's, exactly as capabilities(7) writes it. The types would also take `net_admin`:
/// a name that runc ignores must not grant anything here.
fn known_capabilities(names: &mut Vec<Value>, path: &str, notes: &mut Notes) {
    let mut index = 0;
    names.retain(|value| {
        let mut place = path.to_owned();
        push_index(&mut place, index);
        index += 1;
        // Not a string: left for the error about its type.
        let Some(name) = value.as_str() else { return true };
        let known = capability(name).is_some();
        if !known {
            let hint = did_you_mean(name, capability_names());
            notes.push((place, format!("{UNKNOWN_CAPABILITY} {} is ignored{hint}", super::shown(name))));
        }
        known
    });
}

/// The capability that capabilities(7) spells `name`: with its prefix, in capital letters.
pub fn capability(name: &str) -> Option<Capability> {
    name.strip_prefix("CAP_")?.parse().ok()
}

/// The names of all that this rrun knows.
pub fn capability_names() -> impl Iterator<Item = &'static str> + Clone {
    const NAMES: [&str; 41] = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
    ];
    NAMES.into_iter()
}

/// `linux.resources`, or the document of `update --resources`; `place` is where it stands in what is read.
pub fn resources(document: &mut Value, place: &str, notes: &mut Notes) {
    let Some(resources) = document.as_object_mut() else { return };
    // Without a limit nothing is asked for; the type would read a limit of 0.
    if let Some(Value::Object(pids)) = resources.get("pids")
        && !pids.contains_key("limit")
    {
        // What stands there in its place is never seen by the type: a misspelt limit must not pass for none.
        for key in pids.keys() {
            let mut path = place.to_owned();
            push_key(&mut path, "pids");
            push_key(&mut path, key);
            notes.push((path, unknown("linux.resources.pids", &super::shown(key))));
        }
        resources.remove("pids");
    }
    for limit in resources.get_mut("hugepageLimits").and_then(Value::as_array_mut).into_iter().flatten() {
        // The specification counts without sign, the type with; what only the former can say is beyond any memory: no limit.
        if let Some(limit) = limit.get_mut("limit")
            && limit.as_u64().is_some_and(|n| i64::try_from(n).is_err())
        {
            *limit = (-1).into();
        }
    }
    for rule in resources.get_mut("devices").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(rule) = rule.as_object_mut() {
            // An empty type is Go's "not there": all devices.
            rule.retain(|key, value| key != "type" || value != "");
        }
    }
}

/// Annotations are free text, but two prefixes change what rrun does, so a slip in them is worth a word.
fn misspelt_annotation(key: &str) -> Option<(String, String)> {
    if !["systemd", "criu", "propert"].iter().any(|word| key.contains(word)) {
        return None;
    }
    let meant = ["org.systemd.property", "org.criu"].into_iter().find(|prefix| {
        let parts = prefix.split('.').count();
        let same_length: Vec<&str> = key.split('.').take(parts).collect();
        crate::suggest::closest(&same_length.join("."), [*prefix]).is_some()
    })?;
    let mut place = String::from("annotations");
    push_key(&mut place, key);
    Some((place, format!("the annotation {} has NO effect - did you mean {meant}.…?", super::shown(key))))
}

/// Whether one of these annotations has a misspelt prefix.
pub fn has_suspicious_annotation<'a>(keys: impl IntoIterator<Item = &'a String>) -> bool {
    keys.into_iter().any(|key| misspelt_annotation(key).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn removes_nulls_at_every_depth() {
        let mut value = json!({"a": null, "b": {"c": null, "d": [{"e": null}]}});
        without_nulls(&mut value);
        assert_eq!(value, json!({"b": {"d": [{}]}}));
    }

    #[test]
    fn removes_unknown_capabilities_only() {
        let mut value = json!({"cwd": "/", "user": {}, "capabilities": {"bounding": ["CAP_KILL", "CAP_NET_ADMINN", "NET_ADMIN", "cap_kill", 5]}});
        let mut notes = vec![];
        process(&mut value, "process", &mut notes);
        assert_eq!(value["capabilities"]["bounding"], json!(["CAP_KILL", 5]));
        assert_eq!(
            notes[0],
            (
                "process.capabilities.bounding[1]".into(),
                "unknown capability CAP_NET_ADMINN is ignored - did you mean CAP_NET_ADMIN?".into()
            )
        );
        assert_eq!(notes[1].1, "unknown capability NET_ADMIN is ignored - did you mean CAP_NET_ADMIN?");
        assert_eq!(notes[2].1, "unknown capability cap_kill is ignored - did you mean CAP_KILL?");
    }

    #[test]
    fn names_every_capability() {
        assert!(capability_names().all(|name| capability(name).is_some()));
    }

    #[test]
    fn tells_no_limit_from_a_limit_of_zero() {
        let mut value = json!({"pids": {}, "devices": [{"allow": true, "type": ""}]});
        resources(&mut value, "linux.resources", &mut vec![]);
        assert_eq!(value, json!({"devices": [{"allow": true}]}));
        let mut value = json!({"pids": {"limit": 0}});
        resources(&mut value, "linux.resources", &mut vec![]);
        assert_eq!(value, json!({"pids": {"limit": 0}}));
        let mut value = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": u64::MAX}, {"pageSize": "1GB", "limit": 4}]});
        resources(&mut value, "linux.resources", &mut vec![]);
        assert_eq!(value, json!({"hugepageLimits": [{"pageSize": "2MB", "limit": -1}, {"pageSize": "1GB", "limit": 4}]}));
    }

    #[test]
    fn a_misspelt_limit_is_noticed() {
        let told = "unknown key linux.resources.pids.limt - did you mean limit? It has NO effect".to_owned();
        for (place, path) in [("linux.resources", "linux.resources.pids.limt"), ("", "pids.limt")] {
            let (mut value, mut notes) = (json!({"pids": {"limt": 5}}), vec![]);
            resources(&mut value, place, &mut notes);
            assert_eq!((value, notes), (json!({}), vec![(path.to_owned(), told.clone())]));
        }
    }

    #[test]
    fn notices_misspelt_annotation_prefixes() {
        let suspicious = |key: &str| has_suspicious_annotation([&key.to_owned()]);
        assert!(suspicious("org.systemd.proprety.TasksMax"));
        assert!(suspicious("org.systemd.Property.TasksMax"));
        assert!(!suspicious("org.systemd.property.TasksMax"));
        assert!(!suspicious("org.criu.config"));
        assert!(!suspicious("com.example.systemd"));
        assert!(suspicious("orgs.criu.config"));
    }
}
