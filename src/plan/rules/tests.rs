//! One good config, and each rule broken once: the text is compared as engines and people read it.
//!
//! `supports` and `id_maps` stand in for the host, so that a rule about a kernel without time namespaces is tested on one
//! that has them.

use serde_json::{Value, json};

use super::*;

/// A config without a rule against it.
fn good() -> Value {
    json!({
        "ociVersion": "1.3.0", "root": {"path": "rootfs"}, "hostname": "box", "domainname": "lan",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh"]},
        "mounts": [{"destination": "/proc", "type": "proc"}],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "uts"}, {"type": "network"}, {"type": "pid"}],
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "rootfsPropagation": "rslave",
        },
    })
}

/// As [`good`], for a user who is not root.
fn rootless() -> Value {
    let mut config = good();
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    config
}

const CONTEXT: Context = Context { systemd: false, no_pivot: false, layered: false, supports: |_| true, id_maps: |_| None };

fn check_as(config: &Value, euid: u32, context: &Context) -> (String, Vec<String>) {
    let spec: Spec = serde_json::from_value(config.clone()).expect("a spec");
    let host = Host { euid, egid: euid, rootless: euid != 0, cgroups: crate::host::Cgroups::default() };
    let mut warnings = Warnings::default();
    let error = check(&spec, &host, context, &mut warnings).err();
    (error.map_or_else(String::new, |e| format!("{e} @ {}", e.config_text().unwrap_or("-"))), warnings.lines().to_vec())
}

/// The error for `config` with one change: `changed(&good(), "/root/path", json!(""))`.
fn changed(config: &Value, pointer: &str, value: Value) -> String {
    check_as(&with(config, pointer, value), 0, &CONTEXT).0
}

fn with(config: &Value, pointer: &str, value: Value) -> Value {
    let mut config = config.clone();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    match config.pointer_mut(parent).expect(pointer) {
        Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
        object => object[key] = value,
    }
    config
}

#[test]
fn a_good_config_passes() {
    assert_eq!(check_as(&good(), 0, &CONTEXT), (String::new(), vec![]));
    assert_eq!(check_as(&rootless(), 1000, &CONTEXT), (String::new(), vec![]));
}

#[test]
fn process_and_root() {
    let error = |pointer, value| changed(&good(), pointer, value);
    assert_eq!(error("/process/cwd", json!("")), "Cwd property must not be empty @ process.cwd");
    assert_eq!(error("/process/cwd", json!("a")), "Cwd must be an absolute path @ process.cwd");
    assert_eq!(error("/process/args", json!([])), "args must not be empty @ process.args");
    assert_eq!(error("/process/args", json!(null)), "args must not be empty @ process.args");
    assert_eq!(error("/root", json!(null)), "root must be specified @ root");
    assert_eq!(error("/root/path", json!("")), "invalid rootfs: root.path is empty @ root.path");
    let layered = Context { layered: true, ..CONTEXT };
    assert_eq!(check_as(&with(&good(), "/root", json!(null)), 0, &layered).0, "");
}

#[test]
fn what_needs_a_namespace() {
    let without = |name: &str| {
        let mut config = good();
        config["linux"]["namespaces"].as_array_mut().expect("a list").retain(|n| n["type"] != name);
        config
    };
    let fails = |config: &Value| check_as(config, 0, &CONTEXT).0;
    let uts = without("uts");
    assert_eq!(fails(&uts), "unable to set hostname without a private UTS namespace @ hostname");
    assert_eq!(changed(&uts, "/hostname", json!("")), "unable to set domainname without a private UTS namespace @ domainname");
    let mount = without("mount");
    let restrict = "unable to restrict sys entries without a private MNT namespace";
    assert_eq!(fails(&mount), format!("{restrict} @ linux.maskedPaths"));
    let mount = with(&mount, "/linux/maskedPaths", json!([]));
    assert_eq!(fails(&mount), format!("{restrict} @ linux.readonlyPaths"));
    let mount = with(&mount, "/linux/readonlyPaths", json!(null));
    assert_eq!(fails(&mount), "unable to mount without a private MNT namespace @ mounts");
    assert_eq!(changed(&mount, "/mounts", json!([])), "");
}

#[test]
fn namespaces_once_and_supported() {
    let error = |value| changed(&good(), "/linux/namespaces/3", value);
    assert_eq!(error(json!({"type": "uts"})), "malformed spec file: duplicated ns \"uts\" @ linux.namespaces[3]");
    assert_eq!(error(json!({"type": "ipc", "path": "x"})), "ipc namespace path \"x\" is not absolute @ linux.namespaces[3].path");
    assert_eq!(error(json!({"type": "ipc", "path": ""})), "");
    let old = Context { supports: |_| false, ..CONTEXT };
    for name in ["user", "cgroup", "time"] {
        let config = with(&good(), "/linux/namespaces/3", json!({"type": name}));
        let text = format!("{name} namespaces aren't enabled in the kernel @ linux.namespaces[3]");
        assert_eq!(check_as(&config, 0, &old).0, text);
    }
    // Nothing is asked about what the config does not use.
    let never = Context { supports: |f| panic!("asked for {f:?}"), ..CONTEXT };
    assert_eq!(check_as(&good(), 0, &never).0, "");
}

#[test]
fn time_offsets_need_a_new_time_namespace() {
    let offsets = |clock: &str, namespace: Value| {
        let config = with(&good(), "/linux/timeOffsets", json!({clock: {"secs": 1, "nanosecs": 5}}));
        changed(&config, "/linux/namespaces/3", namespace)
    };
    let at = "@ linux.timeOffsets";
    let missing = "time namespace offsets specified, but time namespace isn't enabled in the config";
    assert_eq!(offsets("monotonic", json!({"type": "pid"})), format!("{missing} {at}"));
    let both = "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one";
    assert_eq!(offsets("monotonic", json!({"type": "time", "path": "/x"})), format!("{both} {at}"));
    assert_eq!(offsets("boottime", json!({"type": "time"})), "");
    assert!(offsets("realtime", json!({"type": "time"})).starts_with("time offset for \"realtime\": only"));
    let config = with(
        &with(&good(), "/linux/namespaces/3", json!({"type": "time"})),
        "/linux/timeOffsets",
        json!({"monotonic": {"nanosecs": 1_000_000_000}}),
    );
    assert!(check_as(&config, 0, &CONTEXT).0.contains("nanosecs is not below"));
}

#[test]
fn user_namespace_and_maps_go_together() {
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let error = changed(&good(), "/linux/uidMappings", map.clone());
    assert_eq!(error, "user namespace mappings specified, but user namespace isn't enabled in the config @ linux.uidMappings");
    let error = changed(&good(), "/linux/namespaces/3", json!({"type": "user"}));
    let text = "user namespaces enabled, but no namespace path to join nor mappings to apply specified";
    assert_eq!(error, format!("{text} @ linux.gidMappings"));
    // Both a path and maps: only if they are the same.
    let joined = with(&rootless(), "/linux/namespaces/4", json!({"type": "user", "path": "/proc/1/ns/user"}));
    let same = Context { id_maps: |_| Some(["0 1000 1\n".into(), "0       1000          1\n".into()]), ..CONTEXT };
    assert_eq!(check_as(&joined, 0, &same).0, "");
    let other = Context { id_maps: |_| Some(["0 1000 1\n".into(), "0 1000 2\n".into()]), ..CONTEXT };
    let text = "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only provide one";
    assert_eq!(check_as(&joined, 0, &other).0, format!("{text} @ linux.uidMappings"));
}

#[test]
fn maps_the_kernel_would_refuse() {
    let error = |lines: Value| changed(&rootless(), "/linux/uidMappings", lines);
    let line = |inside: u32, outside: u32, size: u32| json!({"containerID": inside, "hostID": outside, "size": size});
    let field = "linux.uidMappings";
    assert_eq!(error(json!([line(0, 0, 1), line(1, 1, 0)])), format!("{field}[1]: size is 0 @ {field}[1]"));
    assert_eq!(
        error(json!([line(0, 5, 10), line(9, 100, 1)])),
        format!("{field}[0] and {field}[1] overlap in their container ids @ {field}[1]")
    );
    assert_eq!(
        error(json!([line(0, 5, 10), line(100, 14, 1)])),
        format!("{field}[0] and {field}[1] overlap in their host ids @ {field}[1]")
    );
    assert!(error(json!([line(0, u32::MAX - 1, 2)])).contains("hostID 4294967294 and size 2 reach beyond the last id"));
    assert!(error(json!([line(0, 0, 1), line(u32::MAX, 5, 1)])).contains("containerID 4294967295"));
    assert_eq!(error(json!([line(0, 0, u32::MAX)])), "");
    let many = |n: u32| Value::from((0..n).map(|i| line(i * 2, i * 2, 1)).collect::<Vec<_>>());
    assert!(error(many(341)).contains("has 341 lines, the kernel takes at most 340"));
    assert_eq!(error(many(340)), "");
}

#[test]
fn the_user_must_be_mapped() {
    let error = |key: &str, value| changed(&rootless(), &format!("/process/user/{key}"), value);
    assert_eq!(error("uid", json!(1000)), "cannot set uid to unmapped user in user namespace @ process.user.uid");
    assert_eq!(error("gid", json!(1)), "cannot set gid to unmapped user in user namespace @ process.user.gid");
    assert_eq!(
        error("additionalGids", json!([0, 7])),
        "cannot set gid to unmapped user in user namespace @ process.user.additionalGids"
    );
    assert_eq!(error("additionalGids", json!([0])), "");
}

#[test]
fn without_root() {
    let fails = |config: &Value| check_as(config, 1000, &CONTEXT).0;
    assert_eq!(fails(&good()), "rootless container requires user namespaces @ linux.namespaces");
    let text = "rootless containers requires at least one UID mapping @ linux.gidMappings";
    assert_eq!(fails(&with(&rootless(), "/linux/uidMappings", json!([]))), text);
    let text = "rootless containers requires at least one GID mapping @ linux.uidMappings";
    assert_eq!(fails(&with(&rootless(), "/linux/gidMappings", json!([]))), text);
    let tmpfs =
        |option: &str| fails(&with(&rootless(), "/mounts/0", json!({"destination": "/t", "type": "tmpfs", "options": [option]})));
    let text = "invalid mount \"/t\": cannot specify gid=5 mount option for rootless container: 5 is not mapped @ mounts[0]";
    assert_eq!(tmpfs("gid=5"), text);
    assert_eq!(tmpfs("uid=0"), "");
    let mut bind = json!({"destination": "/t", "type": "bind", "source": "/x"});
    bind["uidMappings"] = rootless()["linux"]["uidMappings"].clone();
    bind["gidMappings"] = bind["uidMappings"].clone();
    assert!(fails(&with(&rootless(), "/mounts/0", bind)).contains("id-mapped mounts are not supported for rootless containers"));
}

#[test]
fn mounts_of_all_kinds() {
    let error = |mount: Value| changed(&good(), "/mounts/0", mount);
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let text = "invalid mount \"/t\": id-mapped mounts are only supported for bind-mounts @ mounts[0]";
    assert_eq!(error(json!({"destination": "/t", "type": "tmpfs", "uidMappings": map, "gidMappings": map})), text);
    let text = "invalid mount \"/t\": id-mapped mounts must have both uid and gid mappings specified @ mounts[0]";
    assert_eq!(error(json!({"destination": "/t", "options": ["rbind"], "uidMappings": map})), text);
    assert_eq!(error(json!({"destination": "/t", "type": "bind", "uidMappings": map, "gidMappings": map})), "");
    let empty = json!([{"containerID": 0, "hostID": 1000, "size": 0}]);
    assert!(
        error(json!({"destination": "/t", "type": "bind", "uidMappings": map, "gidMappings": empty}))
            .contains("gidMappings[0]: size is 0")
    );
    assert!(error(json!({"destination": "/t", "source": "a\0b"})).contains("source contains a null byte"));
    assert!(error(json!({"destination": "/t\0", "source": "a"})).contains("destination contains a null byte"));
    assert!(error(json!({"destination": "/t", "options": ["x\0"]})).contains("options contains a null byte"));
    assert!(error(json!({"destination": ""})).contains("destination is empty"));
    let (error, warnings) = check_as(&with(&good(), "/mounts/0", json!({"destination": "proc"})), 0, &CONTEXT);
    assert_eq!((error.as_str(), warnings.len()), ("", 1));
    assert_eq!(warnings[0], "mounts[0]: relative destination path proc is deprecated, using it as relative to /");
}

#[test]
fn cgroups_path() {
    let error =
        |path: &str, systemd| check_as(&with(&good(), "/linux/cgroupsPath", json!(path)), 0, &Context { systemd, ..CONTEXT }).0;
    let text = "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/a/b\" instead @ linux.cgroupsPath";
    assert_eq!(error("/a/b", true), text);
    assert_eq!(error("/a/b", false), "");
    assert_eq!(error("user.slice:x:y", true), "");
    assert_eq!(error("", true), "");
}

#[test]
fn root_propagation() {
    let error = |value: &str, no_pivot| {
        check_as(&with(&good(), "/linux/rootfsPropagation", json!(value)), 0, &Context { no_pivot, ..CONTEXT }).0
    };
    for value in ["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"] {
        let refused = value.ends_with("private");
        assert_eq!(error(value, false), "");
        assert_eq!(!error(value, true).is_empty(), refused, "{value}");
    }
    assert_eq!(
        error("rprivate", true),
        "rootfsPropagation of [r]private is not safe without pivot_root @ linux.rootfsPropagation"
    );
    assert_eq!(error("public", false), "rootfsPropagation=public is not supported @ linux.rootfsPropagation");
}

#[test]
fn seccomp_notify() {
    let error = |profile: Value| changed(&good(), "/linux/seccomp", profile);
    let rule = |name: &str| json!({"names": [name], "action": "SCMP_ACT_NOTIFY"});
    let text = "SCMP_ACT_NOTIFY cannot be used as default action @ linux.seccomp.defaultAction";
    assert_eq!(error(json!({"defaultAction": "SCMP_ACT_NOTIFY"})), text);
    let text = "SCMP_ACT_NOTIFY cannot be used for the write syscall @ linux.seccomp.syscalls[1].action";
    assert_eq!(
        error(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [rule("mkdir"), rule("write")]})),
        text
    );
    assert_eq!(error(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [rule("mkdir")]})), "");
    assert!(error(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "m"})).contains("listenerPath is not"));
}
