//! The keys that runtime-spec 1.3 knows, object by object, and what to say about one that it does not know.
//!
//! The specification orders runtimes to ignore unknown keys, so `noNewPrivileged` starts a container without the protection
//! its author wrote down. rrun obeys and says so, with the key that was probably meant and the place where it belongs.

use crate::suggest::{closest, did_you_mean};

/// Each object: its path (`[]` for any index, `*` for any key) and its keys, in the order of the specification.
pub const OBJECTS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "ociVersion",
            "process",
            "root",
            "hostname",
            "domainname",
            "mounts",
            "hooks",
            "annotations",
            "linux",
            "solaris",
            "windows",
            "vm",
            "zos",
            "freebsd",
        ],
    ),
    (
        "process",
        &[
            "terminal",
            "consoleSize",
            "user",
            "args",
            "commandLine",
            "env",
            "cwd",
            "capabilities",
            "rlimits",
            "noNewPrivileges",
            "apparmorProfile",
            "oomScoreAdj",
            "scheduler",
            "selinuxLabel",
            "ioPriority",
            "execCPUAffinity",
        ],
    ),
    ("process.consoleSize", &["height", "width"]),
    ("process.user", &["uid", "gid", "umask", "additionalGids", "username"]),
    ("process.capabilities", &["bounding", "effective", "inheritable", "permitted", "ambient"]),
    ("process.rlimits[]", &["type", "hard", "soft"]),
    ("process.scheduler", &["policy", "nice", "priority", "flags", "runtime", "deadline", "period"]),
    ("process.ioPriority", &["class", "priority"]),
    ("process.execCPUAffinity", &["initial", "final"]),
    ("root", &["path", "readonly"]),
    ("mounts[]", &["destination", "type", "source", "options", "uidMappings", "gidMappings"]),
    ("mounts[].uidMappings[]", ID_MAPPING),
    ("mounts[].gidMappings[]", ID_MAPPING),
    ("hooks", &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]),
    ("hooks.prestart[]", HOOK),
    ("hooks.createRuntime[]", HOOK),
    ("hooks.createContainer[]", HOOK),
    ("hooks.startContainer[]", HOOK),
    ("hooks.poststart[]", HOOK),
    ("hooks.poststop[]", HOOK),
    (
        "linux",
        &[
            "uidMappings",
            "gidMappings",
            "sysctl",
            "resources",
            "cgroupsPath",
            "namespaces",
            "devices",
            "netDevices",
            "seccomp",
            "rootfsPropagation",
            "maskedPaths",
            "readonlyPaths",
            "mountLabel",
            "intelRdt",
            "memoryPolicy",
            "personality",
            "timeOffsets",
        ],
    ),
    ("linux.uidMappings[]", ID_MAPPING),
    ("linux.gidMappings[]", ID_MAPPING),
    ("linux.namespaces[]", &["type", "path"]),
    ("linux.devices[]", &["path", "type", "major", "minor", "fileMode", "uid", "gid"]),
    ("linux.netDevices.*", &["name"]),
    ("linux.timeOffsets.*", &["secs", "nanosecs"]),
    ("linux.personality", &["domain", "flags"]),
    ("linux.memoryPolicy", &["mode", "nodes", "flags"]),
    ("linux.intelRdt", &["closID", "schemata", "l3CacheSchema", "memBwSchema", "enableMonitoring"]),
    (
        "linux.seccomp",
        &["defaultAction", "defaultErrnoRet", "architectures", "flags", "listenerPath", "listenerMetadata", "syscalls"],
    ),
    ("linux.seccomp.syscalls[]", &["names", "action", "errnoRet", "args"]),
    ("linux.seccomp.syscalls[].args[]", &["index", "value", "valueTwo", "op"]),
    ("linux.resources", &["devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified"]),
    ("linux.resources.devices[]", &["allow", "type", "major", "minor", "access"]),
    (
        "linux.resources.memory",
        &[
            "limit",
            "reservation",
            "swap",
            "kernel",
            "kernelTCP",
            "swappiness",
            "disableOOMKiller",
            "useHierarchy",
            "checkBeforeUpdate",
        ],
    ),
    ("linux.resources.cpu", &["shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems", "idle"]),
    ("linux.resources.pids", &["limit"]),
    (
        "linux.resources.blockIO",
        &[
            "weight",
            "leafWeight",
            "weightDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        ],
    ),
    ("linux.resources.blockIO.weightDevice[]", &["major", "minor", "weight", "leafWeight"]),
    ("linux.resources.blockIO.throttleReadBpsDevice[]", THROTTLE),
    ("linux.resources.blockIO.throttleWriteBpsDevice[]", THROTTLE),
    ("linux.resources.blockIO.throttleReadIOPSDevice[]", THROTTLE),
    ("linux.resources.blockIO.throttleWriteIOPSDevice[]", THROTTLE),
    ("linux.resources.hugepageLimits[]", &["pageSize", "limit"]),
    ("linux.resources.network", &["classID", "priorities"]),
    ("linux.resources.network.priorities[]", &["name", "priority"]),
    ("linux.resources.rdma.*", &["hcaHandles", "hcaObjects"]),
];

const ID_MAPPING: &[&str] = &["containerID", "hostID", "size"];
const HOOK: &[&str] = &["path", "args", "env", "timeout"];
const THROTTLE: &[&str] = &["major", "minor", "rate"];

/// Keys that an earlier specification had or another platform has, and what to say instead of a guess.
const KNOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("linux.intelRdt.enableCMT", "runtime-spec 1.3 has enableMonitoring in its place"),
    ("linux.intelRdt.enableMBM", "runtime-spec 1.3 has enableMonitoring in its place"),
    ("process.commandLine", "it is for Windows, rrun takes process.args"),
    ("process.user.username", "it is for Windows, rrun takes process.user.uid"),
];

/// The keys of the object at `path` (`linux.namespaces[2]`), or nothing if its keys are free or the object is unknown.
pub fn of_object(path: &str) -> &'static [&'static str] {
    OBJECTS.iter().find(|(pattern, _)| matches(pattern, path)).map_or(&[], |(_, keys)| keys)
}

/// Whether `path` is an instance of `pattern`.
fn matches(pattern: &str, path: &str) -> bool {
    // A free key (`*`) is always the last part, and may itself contain dots: `eth0.5`.
    if let Some(parent) = pattern.strip_suffix(".*") {
        return path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'));
    }
    let mut rest = path;
    for (i, part) in pattern.split("[]").enumerate() {
        if i > 0 {
            let Some(index) = rest.strip_prefix('[') else { return false };
            let Some((digits, after)) = index.split_once(']') else { return false };
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return false;
            }
            rest = after;
        }
        let Some(after) = rest.strip_prefix(part) else { return false };
        rest = after;
    }
    rest.is_empty()
}

/// What to say of an unknown key: `unknown key process.noNewPrivileged - did you mean noNewPrivileges? It has NO effect`.
pub fn unknown(object: &str, key: &str) -> String {
    let path = if object.is_empty() { key.to_owned() } else { format!("{object}.{key}") };
    if let Some((_, note)) = KNOWN_ELSEWHERE.iter().find(|(p, _)| *p == path) {
        return format!("the key {path} has NO effect: {note}");
    }
    let near = did_you_mean(key, of_object(object).iter().copied());
    let elsewhere = || {
        let mut homes = OBJECTS.iter().filter(|(_, keys)| keys.contains(&key));
        homes.next().filter(|_| homes.next().is_none()).map_or_else(String::new, |(home, _)| {
            let dot = if home.is_empty() { "" } else { "." };
            format!(" - did you mean {home}{dot}{key}?")
        })
    };
    let hint = if near.is_empty() { elsewhere() } else { near };
    let full_stop = if hint.is_empty() { "." } else { "" };
    format!("unknown key {path}{hint}{full_stop} It has NO effect")
}

/// A sibling key that was probably meant to be the missing `key`.
pub fn misspelt<'a>(object: &str, key: &str, present: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let known = of_object(object);
    present.map(String::as_str).find(|p| !known.contains(p) && closest(p, known.iter().copied()) == Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_an_object_by_its_path() {
        assert_eq!(of_object("linux.namespaces[12]"), ["type", "path"]);
        assert_eq!(of_object("linux.netDevices.eth0.5"), ["name"]);
        assert_eq!(of_object("linux.seccomp.syscalls[3].args[0]"), ["index", "value", "valueTwo", "op"]);
        assert!(of_object("annotations").is_empty());
        assert!(of_object("linux.namespaces[x]").is_empty());
        assert!(of_object("linux.namespacesX").is_empty());
    }

    #[test]
    fn guesses_the_key_or_its_place() {
        assert_eq!(
            unknown("process", "noNewPrivileged"),
            "unknown key process.noNewPrivileged - did you mean noNewPrivileges? It has NO effect"
        );
        assert_eq!(unknown("root", "readOnly"), "unknown key root.readOnly - did you mean readonly? It has NO effect");
        assert_eq!(unknown("", "seccomp"), "unknown key seccomp - did you mean linux.seccomp? It has NO effect");
        assert_eq!(unknown("linux", "hostname"), "unknown key linux.hostname - did you mean hostname? It has NO effect");
        assert_eq!(unknown("linux", "xyzzy"), "unknown key linux.xyzzy. It has NO effect");
        // Many objects have it: no guess.
        assert_eq!(unknown("", "limit"), "unknown key limit. It has NO effect");
        assert!(unknown("linux.intelRdt", "enableCMT").ends_with("enableMonitoring in its place"));
    }

    #[test]
    fn finds_the_misspelling_of_a_missing_key() {
        let keys = ["destinaton".to_owned(), "type".to_owned()];
        assert_eq!(misspelt("mounts[0]", "destination", keys.iter()), Some("destinaton"));
    }

    /// Every key of the table is known to the typed reader, and the typed reader knows no key that the table lacks: else a
    /// property would be dropped with a warning, or a misspelling would pass without one.
    #[test]
    fn agrees_with_the_types() {
        for (pattern, keys) in OBJECTS {
            for key in keys.iter().filter(|k| **k != "freebsd") {
                assert!(!is_ignored(pattern, key), "{pattern}.{key}");
            }
            assert!(is_ignored(pattern, "zzz"), "{pattern}.zzz");
        }
    }

    fn is_ignored(pattern: &str, key: &str) -> bool {
        let mut text = format!("{{\"{key}\": null}}");
        for part in pattern.rsplit('.').filter(|p| !p.is_empty()) {
            let name = part.strip_suffix("[]").unwrap_or(part);
            text = if part == name { format!("{{\"{name}\": {text}}}") } else { format!("{{\"{name}\": [{text}]}}") };
        }
        let watch = super::super::strict::Watch::default();
        // A type error after the key was seen is of no interest here.
        drop(super::super::typed::<oci_spec::runtime::Spec>(text.as_bytes(), &watch));
        watch.has_ignored()
    }
}
