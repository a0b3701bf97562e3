//! Tests of the plan of mounts.

use serde_json::{Value, json};

use super::super::*;
use super::*;

fn host(rootless: bool) -> Host {
    let mut host = Host::ask().expect("a host");
    host.rootless = rootless;
    host.cgroups = crate::host::Cgroups::default();
    host
}

fn plan_with(config: &Value, rootless: bool) -> Result<MountsPlan> {
    let spec: Spec = serde_json::from_value(config.clone()).expect("a configuration");
    plan(&spec, &host(rootless), Path::new("/bundle"), &[])
}

fn config(mounts: Value) -> Value {
    json!({"ociVersion": "1.2.0", "root": {"path": "r"}, "mounts": mounts,
           "linux": {"namespaces": [{"type": "mount"}, {"type": "cgroup"}]}})
}

fn one(mount: Value) -> Result<Mount> {
    plan_with(&config(json!([mount])), false).map(|mut plan| plan.mounts.remove(0))
}

fn refusal(mount: Value) -> String {
    one(mount).expect_err("it should be refused").to_string()
}

#[test]
fn binds_are_known_by_type_or_option() {
    for mount in [
        json!({"destination": "/x", "type": "bind", "source": "a"}),
        json!({"destination": "/x", "type": "none", "source": "a", "options": ["bind"]}),
        json!({"destination": "/x", "type": "tmpfs", "source": "a", "options": ["bind"]}),
    ] {
        let Act::Bind(bind) = one(mount).expect("valid").act else { panic!("no bind") };
        assert_eq!(&*bind.source, c"/bundle/a");
        assert!(!bind.recursive);
    }
}

#[test]
fn a_bind_with_data_is_refused() {
    let text = refusal(json!({"destination": "/x", "source": "/a", "options": ["rbind", "nosiud"]}));
    assert!(text.contains("bind mounts cannot have any filesystem-specific options applied"), "{text}");
    assert!(text.contains("did you mean nosuid?"), "{text}");
}

#[test]
fn destinations_are_cleaned() {
    for (given, clean) in [("x/../y", "/y"), ("/a//b/./c/", "/a/b/c"), ("/../../x", "/x")] {
        assert_eq!(one(json!({"destination": given, "type": "tmpfs"})).expect("valid").destination, Path::new(clean));
    }
}

#[test]
fn proc_is_guarded() {
    assert!(refusal(json!({"destination": "/proc", "type": "tmpfs"})).contains("not of type proc"));
    assert!(refusal(json!({"destination": "/x/../proc/", "type": "tmpfs"})).contains("not of type proc"));
    let inside = "cannot be mounted because it is inside /proc";
    assert!(refusal(json!({"destination": "/proc/sys", "source": "/a", "options": ["bind"]})).contains(inside));
    assert!(refusal(json!({"destination": "/proc/cpuinfo", "type": "tmpfs"})).contains(inside));
    one(json!({"destination": "/proc/cpuinfo", "source": "/a", "options": ["bind"]})).expect("lxcfs does this");
    let Act::Bind(bind) = one(json!({"destination": "/proc", "source": "/proc", "options": ["rbind"]})).expect("valid").act
    else {
        panic!("no bind")
    };
    assert!(bind.must_be_procfs);
}

#[test]
fn read_only_means_superblock_and_mount_but_a_tmpfs_waits() {
    let Act::New(new) = one(json!({"destination": "/sys", "type": "sysfs", "options": ["ro"]})).expect("valid").act else {
        panic!("no filesystem")
    };
    assert_eq!((new.flags, new.attributes), (vec![c"ro"], libc::MOUNT_ATTR_RDONLY));
    let mount = one(json!({"destination": "/run", "type": "tmpfs", "options": ["ro", "nosuid"]})).expect("valid");
    assert_eq!(mount.late, libc::MOUNT_ATTR_RDONLY);
    let Act::New(new) = mount.act else { panic!("no filesystem") };
    assert_eq!((new.flags.len(), new.attributes), (0, libc::MOUNT_ATTR_NOSUID));
}

#[test]
fn id_maps_follow_their_rules() {
    let map = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let bind =
        json!({"destination": "/x", "source": "/a", "options": ["rbind", "ridmap"], "uidMappings": map, "gidMappings": map});
    let Act::Bind(made) = one(bind.clone()).expect("valid").act else { panic!("no bind") };
    let text = "0 1000 10\n".to_owned();
    assert_eq!(made.id_map, Some(IdMap { recursive: true, map: Map::Text(text.clone(), text) }));
    let plan = plan_with(&config(json!([bind])), true);
    assert!(plan.expect_err("rootless").to_string().contains("not supported for rootless containers"));
    let half = json!({"destination": "/x", "source": "/a", "options": ["bind"], "uidMappings": map});
    assert!(refusal(half).contains("must have both uid and gid mappings specified"));
    let tmpfs = json!({"destination": "/x", "type": "tmpfs", "uidMappings": map, "gidMappings": map});
    assert!(refusal(tmpfs).contains("only supported for bind-mounts"));
    let mut both = bind;
    both["options"] = json!(["rbind", "idmap", "rro"]);
    assert!(refusal(both).contains("recursive"));
    assert!(refusal(json!({"destination": "/x", "source": "/a", "options": ["bind", "idmap"]})).contains("uidMappings"));
}

#[test]
fn nothing_may_hide_the_root() {
    assert!(refusal(json!({"destination": "/a/..", "type": "tmpfs"})).contains("hide the root"));
}

#[test]
fn no_type_and_no_bind_is_explained() {
    let error = one(json!({"destination": "/x", "source": "/a", "type": "none"})).expect_err("no type");
    assert!(error.hint_text().is_some_and(|h| h.contains("rbind")));
}

#[test]
fn propagation_of_copies_follows_the_roots() {
    for (root, copies) in [(None, libc::MS_SLAVE), (Some("rprivate"), libc::MS_PRIVATE), (Some("rshared"), 0)] {
        let mut config = config(json!([]));
        if let Some(root) = root {
            config["linux"]["rootfsPropagation"] = json!(root);
        }
        assert_eq!(plan_with(&config, false).expect("valid").inherited, copies);
    }
}

#[test]
fn the_mount_label_goes_where_the_filesystem_takes_it() {
    let mut config = config(json!([
        {"destination": "/tmp", "type": "tmpfs", "source": "t"},
        {"destination": "/own", "type": "tmpfs", "source": "t", "options": [r#"context="a:b:c:s0:c1,c2""#]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "m", "options": ["ro"]},
        {"destination": "/proc", "type": "proc", "source": "p"},
        {"destination": "/bind", "type": "bind", "source": "/b"},
    ]));
    config["linux"]["mountLabel"] = json!("u:r:t:s0:c1,c2");
    let plan = plan_with(&config, false).expect("valid");
    let labels = |mount: &Mount| match &mount.act {
        Act::New(new) => {
            let texts =
                new.data.iter().map(ToString::to_string).chain(new.label.iter().map(|l| l.to_string_lossy().into_owned()));
            texts.collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    };
    let all: Vec<String> = plan.mounts.iter().map(labels).collect();
    assert_eq!(all, ["context=u:r:t:s0:c1,c2", "context=a:b:c:s0:c1,c2", "u:r:t:s0:c1,c2", "", ""]);
    let Act::New(mqueue) = &plan.mounts[2].act else { panic!("no filesystem") };
    assert!(mqueue.flags.is_empty(), "what is read-only from birth takes no label");
}
