//! The two files of a container: `rrun.json`, ours, with a version; `state.json` in runc's shape, which scripts and
//! monitors read (cAdvisor takes the cgroups from it).
//!
//! Two, because a shape that others read cannot grow what rrun needs, and because each can stand in when the other is
//! damaged: what a container's processes and groups are must not be forgotten while they exist.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;
use crate::concepts::cgroups;
use crate::error::{Error, Result};

/// The version of rrun.json that this rrun writes, and the only one it reads.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct Read {
    state: State,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// rrun.json.
pub fn own(state: &State) -> Vec<u8> {
    serde_json::to_vec(&Written { version: VERSION, state }).expect("plain data has a JSON form")
}

/// Reads rrun.json.
pub fn read_own(text: &[u8]) -> Result<State> {
    let broken =
        |e: serde_json::Error| Error::new(format!("rrun.json, line {}, column {}: not as rrun wrote it", e.line(), e.column()));
    match serde_json::from_slice::<Read>(text) {
        Ok(read) => Ok(read.state),
        // Only now is it worth asking whether another rrun wrote it.
        Err(e) => match serde_json::from_slice::<Version>(text) {
            Ok(Version { version }) if version != VERSION => {
                Err(Error::new(format!("rrun.json has version {version}, this rrun knows {VERSION}")))
            }
            _ => Err(broken(e)),
        },
    }
}

/// runc's names of the namespace types, and their files below /proc/PID/ns.
const NAMESPACES: [(&str, &str, &str); 8] = [
    ("mount", "NEWNS", "mnt"),
    ("network", "NEWNET", "net"),
    ("uts", "NEWUTS", "uts"),
    ("ipc", "NEWIPC", "ipc"),
    ("pid", "NEWPID", "pid"),
    ("user", "NEWUSER", "user"),
    ("cgroup", "NEWCGROUP", "cgroup"),
    ("time", "NEWTIME", "time"),
];

/// state.json in runc's shape.
pub fn like_runc(state: &State) -> Vec<u8> {
    let paths: BTreeMap<&str, String> =
        NAMESPACES.iter().map(|(_, name, file)| (*name, format!("/proc/{}/ns/{file}", state.pid))).collect();
    let namespaces: Vec<Value> = state
        .namespaces
        .iter()
        .filter_map(|(kind, path)| {
            let (_, name, _) = NAMESPACES.iter().find(|(config, ..)| config == kind)?;
            Some(json!({"type": name, "path": path.clone().unwrap_or_default()}))
        })
        .collect();
    let labels = [format!("bundle={}", state.bundle.display())]
        .into_iter()
        .chain(state.annotations.iter().map(|(k, v)| format!("{k}={v}")));
    let mut text = json!({
        "id": state.id,
        "init_process_pid": state.pid,
        "init_process_start": state.start_time,
        "created": state.created,
        "config": {
            "rootfs": state.rootfs,
            "labels": labels.collect::<Vec<_>>(),
            "mounts": state.mounts,
            "namespaces": namespaces,
            "version": state.oci_version,
            "rootless_cgroups": state.rootless,
        },
        "cgroup_paths": state.cgroups.paths,
        "namespace_paths": paths,
    });
    if let Some(rdt) = &state.rdt {
        text["intel_rdt_path"] = json!(rdt.group);
    }
    if state.rootless {
        text["rootless"] = json!(true);
    }
    text.to_string().into_bytes()
}

/// What `delete --force` can use of a state.json whose rrun.json is damaged. The boot is taken to be this one: pid and start
/// time have to fit both anyway.
pub fn read_like_runc(id: &str, text: &[u8]) -> Option<State> {
    #[derive(Deserialize)]
    struct Parts {
        init_process_pid: i32,
        init_process_start: u64,
        #[serde(default)]
        cgroup_paths: BTreeMap<String, PathBuf>,
    }
    let parts: Parts = serde_json::from_slice(text).ok()?;
    Some(State {
        id: id.to_owned(),
        oci_version: "1.0.0".to_owned(),
        pid: parts.init_process_pid,
        start_time: parts.init_process_start,
        boot_id: super::boot_id().ok()?,
        created: String::new(),
        bundle: PathBuf::new(),
        rootfs: PathBuf::new(),
        owner: String::new(),
        rootless: false,
        annotations: HashMap::new(),
        cgroups: cgroups::Record { paths: parts.cgroup_paths, ..cgroups::Record::default() },
        rdt: None,
        layers: None,
        id_maps: None,
        namespaces: vec![],
        mounts: vec![],
        hooks: None,
        no_new_keyring: false,
    })
}
