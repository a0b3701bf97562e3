//! Hooks, mounts, namespaces, capabilities, groups, labels, memory policies and the rest.

use serde_json::{Value, json};

use super::*;

crate::tests![
    versions_within_the_bounds_are_accepted,
    each_hook_is_known,
    each_mount_option_is_known if needs_root,
    each_namespace_can_be_made if needs_root,
    each_capability_can_be_given,
    the_groups_of_both_versions_and_of_systemd if needs_groups,
    labels_are_taken_or_the_module_is_missed,
    each_memory_policy_is_known,
    classes_of_service_are_taken_or_the_host_has_none,
    ids_are_mapped_and_devices_moved if needs_root,
    annotations_that_are_called_unsafe_have_power if needs_groups,
];

#[track_caller]
fn accepted(done: &Done, what: &str) {
    assert_eq!(done.code, 0, "{what} is listed: {}", done.err);
}

/// The claim is about rrun; a host may lack what it is for.
#[track_caller]
fn accepted_or_lacking(done: &Done, what: &str, lacking: &str) {
    assert!(done.code == 0 || done.err.contains(lacking), "{what} is listed: {}", done.err);
}

fn versions_within_the_bounds_are_accepted() {
    let asked = Asked::new();
    let document = features();
    let bounds = ["ociVersionMin", "ociVersionMax"].map(|key| document[key].as_str().expect("a version").to_owned());
    for version in &bounds {
        accepted(&asked.plan(|c| c["ociVersion"] = json!(version)), version);
    }
    for version in ["0.9.0", "1.4.0", "2.0.0"] {
        asked.plan(|c| c["ociVersion"] = json!(version)).fails_with(&format!("ociVersion {version}"));
    }
}

fn each_hook_is_known() {
    let asked = Asked::new();
    let hook = |name: &str| asked.plan(|c| c["hooks"] = json!({name: [{"path": "/bin/true"}]}));
    for name in words("/hooks") {
        accepted(&hook(&name), &name);
    }
    hook("prestop").fails_with("unknown key hooks.prestop");
}

fn each_mount_option_is_known() {
    let asked = Asked::new();
    let listed = words("/mountOptions");
    let ids = json!([{"containerID": 0, "hostID": 0, "size": 1000}]);
    let mount = |options: Value, mapped: bool| {
        let mut mount = json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": options});
        if mapped {
            mount["uidMappings"] = ids.clone();
            mount["gidMappings"] = ids.clone();
        }
        asked.plan(|c| c["mounts"].as_array_mut().expect("an array").push(mount))
    };
    for option in &listed {
        let done = match option.as_str() {
            // For filesystems that are new.
            "tmpcopyup" => asked.plan(|c| {
                let mount = json!({"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": [option]});
                c["mounts"].as_array_mut().expect("an array").push(mount);
            }),
            _ => mount(json!(["rbind", option]), option.ends_with("idmap")),
        };
        accepted(&done, option);
    }
    for option in ["nosiud", "acl", "user", "rro=recursive", "NOSUID", ""] {
        assert!(!listed.iter().any(|l| l == option));
        let done = mount(json!(["rbind", option]), false);
        assert!(option.is_empty() || done.code == 1, "{option:?} is not listed: {}", done.out);
    }
}

fn each_namespace_can_be_made() {
    let asked = Asked::new();
    let listed = words("/linux/namespaces");
    assert_eq!(listed.len(), 8);
    for kind in &listed {
        let done = asked.plan(|c| {
            c["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": kind}]);
            if kind == "mount" {
                c["linux"]["namespaces"] = json!([{"type": "mount"}]);
            }
            if kind == "user" {
                let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                (c["linux"]["uidMappings"], c["linux"]["gidMappings"]) = (map.clone(), map);
            }
            c.as_object_mut().expect("an object").remove("hostname");
        });
        accepted_or_lacking(&done, kind, &format!("{kind} namespaces aren't enabled in the kernel"));
    }
    asked.plan(|c| c["linux"]["namespaces"] = json!([{"type": "mnt"}])).fails_with("namespace \"mnt\" does not exist");
}

fn each_capability_can_be_given() {
    let asked = Asked::new();
    let listed = words("/linux/capabilities");
    let give = |name: &str| {
        asked.plan(|c| {
            // In a user namespace of its own a container can have all that the kernel knows.
            map_ids(c, 100_000, 65_536);
            c["process"]["capabilities"] = json!({"bounding": [name], "permitted": [name], "effective": [name]});
        })
    };
    for name in &listed {
        let done = give(name);
        accepted_or_lacking(&done, name, "kernel");
        assert!(done.code != 0 || done.out.contains(name.trim_start_matches("CAP_")), "{name}: {}", done.out);
    }
    for name in ["CAP_EVERYTHING", "SYS_ADMIN", "cap_sys_admin"] {
        assert!(!listed.iter().any(|l| l == name));
        give(name).fails_with(&format!("unknown capability {name}"));
    }
}

fn the_groups_of_both_versions_and_of_systemd() {
    let asked = Asked::new();
    let cgroup = features()["linux"]["cgroup"].clone();
    for claim in ["v1", "v2", "systemd", "systemdUser", "rdma"] {
        assert_eq!(cgroup[claim], true, "{claim}");
    }
    // This host has one of the versions; the VM of scripts/vm.sh has the other.
    let limits = |c: &mut Value| c["linux"]["resources"] = json!({"pids": {"limit": 5}, "memory": {"limit": 64 << 20}});
    let done = asked.plan(limits);
    accepted(&done, "cgroups");
    assert!(done.out.contains("pids.max = 5"), "{}", done.out);
    let done = asked.plan_with(&["--systemd-cgroup"], |c| {
        limits(c);
        c["linux"]["cgroupsPath"] = json!("a.slice:b:c");
    });
    accepted(&done, "systemd");
    assert!(done.out.contains("b-c.scope") && done.out.contains("TasksMax"), "{}", done.out);
    let done = asked.plan(|c| c["linux"]["resources"]["rdma"] = json!({"mlx5_1": {"hcaHandles": 3}}));
    accepted_or_lacking(&done, "rdma", "the cgroup controller rdma is not mounted on this host");
    asked.plan(|c| c["linux"]["resources"]["rmda"] = json!({})).fails_with("unknown key linux.resources.rmda");
}

fn labels_are_taken_or_the_module_is_missed() {
    let asked = Asked::new();
    let linux = features()["linux"].clone();
    assert_eq!((&linux["apparmor"]["enabled"], &linux["selinux"]["enabled"]), (&json!(true), &json!(true)));
    let done = asked.plan(|c| c["process"]["apparmorProfile"] = json!("unconfined-by-name"));
    accepted_or_lacking(&done, "apparmor", "AppArmor");
    assert!(done.code != 0 || done.out.contains("unconfined-by-name"), "{}", done.out);
    let done = asked.plan(|c| c["process"]["selinuxLabel"] = json!("system_u:system_r:container_t:s0"));
    accepted_or_lacking(&done, "selinux", "selinux label is specified in config, but selinux is disabled or not supported");
    assert!(done.code != 0 || done.out.contains("container_t"), "{}", done.out);
}

fn each_memory_policy_is_known() {
    let asked = Asked::new();
    let policy = |mode: &str, nodes: &str, flags: Value| {
        asked.plan(|c| c["linux"]["memoryPolicy"] = json!({"mode": mode, "nodes": nodes, "flags": flags}))
    };
    for mode in words("/linux/memoryPolicy/modes") {
        let nodes = if matches!(mode.as_str(), "MPOL_DEFAULT" | "MPOL_LOCAL") { "" } else { "0" };
        let done = policy(&mode, nodes, json!([]));
        accepted(&done, &mode);
        assert!(done.out.contains(&mode), "{}", done.out);
    }
    for flag in words("/linux/memoryPolicy/flags") {
        accepted(&policy("MPOL_BIND", "0", json!([flag])), &flag);
    }
    assert_eq!(policy("MPOL_NEAREST", "0", json!([])).code, 1);
    assert_eq!(policy("MPOL_BIND", "0", json!(["MPOL_F_HARD"])).code, 1);
}

fn classes_of_service_are_taken_or_the_host_has_none() {
    let asked = Asked::new();
    let claims = features()["linux"]["intelRdt"].clone();
    assert_eq!(claims, json!({"enabled": true, "schemata": true, "monitoring": true}));
    for config in [json!({"closID": "gold"}), json!({"schemata": ["L3:0=f"]}), json!({"enableMonitoring": true})] {
        let done = asked.plan(|c| c["linux"]["intelRdt"] = config.clone());
        accepted_or_lacking(&done, &config.to_string(), "is specified in config, but Intel RDT");
        assert!(done.code != 0 || done.out.contains("class of service"), "{}", done.out);
    }
    asked.plan(|c| c["linux"]["intelRdt"] = json!({"closID": "../gold"})).fails_with("linux.intelRdt.closID");
}

fn ids_are_mapped_and_devices_moved() {
    let asked = Asked::new();
    let linux = features()["linux"].clone();
    assert_eq!(linux["mountExtensions"]["idmap"]["enabled"], true);
    let ids = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let done = asked.plan(|c| {
        let mount = json!({"destination": "/x", "type": "bind", "source": "/tmp", "options": ["bind"], "uidMappings": ids, "gidMappings": ids});
        c["mounts"].as_array_mut().expect("an array").push(mount);
    });
    accepted(&done, "idmap");
    assert_eq!(linux["netDevices"]["enabled"], true);
    let done = asked.plan(|c| c["linux"]["netDevices"] = json!({"eth7": {"name": "inside7"}}));
    accepted(&done, "netDevices");
    assert!(done.out.contains("inside7"), "{}", done.out);
}

fn annotations_that_are_called_unsafe_have_power() {
    let asked = Asked::new();
    let document = features();
    assert_eq!(document["annotations"]["org.opencontainers.runc.checkpoint.enabled"], "false");
    // Until there is one, nobody may be told so.
    assert!(asked.0.rrun(["checkpoint", "--help"]).code != 0);
    assert_eq!(words("/potentiallyUnsafeConfigAnnotations"), ["io.rrun.rootfs.", "org.systemd.property."]);
    let done = asked.plan_with(&["--systemd-cgroup"], |c| {
        c["linux"]["cgroupsPath"] = json!("a.slice:b:c");
        c["annotations"] = json!({"org.systemd.property.TimeoutStopUSec": "uint64 7654321"});
    });
    assert!(done.code == 0 && done.out.contains("7654321"), "{done:?}");
    let done = asked.plan(|c| c["annotations"] = json!({"io.rrun.rootfs.layers": "[\"/usr/share\"]"}));
    assert!(done.code == 0 && done.out.contains("/usr/share"), "{done:?}");
    // One of no effect: it is no annotation of ours.
    let plain = asked.plan(|_| {});
    for name in ["bundle", "org.criu.config"] {
        assert_eq!(asked.plan(|c| c["annotations"] = json!({name: "/usr/share"})).out, plain.out, "{name}");
    }
}
