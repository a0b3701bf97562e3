//! The two files of a container: `rrun.json`, ours, with a version; `state.json` in runc's shape, which scripts and
//! monitors read (cAdvisor takes the cgroups from it).
//!
//! Two, because a shape that others read cannot grow what rrun needs, and because each can stand in when the other is
//! damaged: what a container's processes and groups are must not be forgotten while they exist.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::State;
use crate::concepts::{cgroups, mounts};
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
    serde_json::to_vec(&LikeRunc::of(state)).expect("plain data has a JSON form")
}

/// What is written goes straight from the state to the text: with a tree of values in between, each start made a hundred
/// small objects more.
#[derive(Serialize)]
struct LikeRunc<'a> {
    id: &'a str,
    init_process_pid: i32,
    init_process_start: u64,
    created: &'a str,
    config: Config<'a>,
    cgroup_paths: &'a BTreeMap<String, PathBuf>,
    namespace_paths: NamespacePaths,
    #[serde(skip_serializing_if = "Option::is_none")]
    intel_rdt_path: Option<&'a Path>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rootless: bool,
}

#[derive(Serialize)]
struct Config<'a> {
    rootfs: &'a Path,
    labels: Labels<'a>,
    mounts: &'a [mounts::Record],
    namespaces: Vec<Namespace<'a>>,
    version: &'a str,
    rootless_cgroups: bool,
}

#[derive(Serialize)]
struct Namespace<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    path: &'a Path,
}

/// `bundle=PATH`, then the annotations as `KEY=VALUE`.
struct Labels<'a>(&'a State);

/// Where the namespaces of this process are.
struct NamespacePaths(i32);

impl<'a> LikeRunc<'a> {
    fn of(state: &'a State) -> Self {
        let namespace = |(kind, path): &'a (String, Option<PathBuf>)| {
            let (_, kind, _) = NAMESPACES.iter().find(|(config, ..)| config == kind)?;
            Some(Namespace { kind, path: path.as_deref().unwrap_or(Path::new("")) })
        };
        Self {
            id: &state.id,
            init_process_pid: state.pid,
            init_process_start: state.start_time,
            created: &state.created,
            config: Config {
                rootfs: &state.rootfs,
                labels: Labels(state),
                mounts: &state.mounts,
                namespaces: state.namespaces.iter().filter_map(namespace).collect(),
                version: &state.oci_version,
                rootless_cgroups: state.rootless,
            },
            cgroup_paths: &state.cgroups.paths,
            namespace_paths: NamespacePaths(state.pid),
            intel_rdt_path: state.rdt.as_ref().map(|rdt| rdt.group.as_path()),
            rootless: state.rootless,
        }
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let bundle = format!("bundle={}", self.0.bundle.display());
        to.collect_seq([bundle].into_iter().chain(self.0.annotations.iter().map(|(k, v)| format!("{k}={v}"))))
    }
}

impl Serialize for NamespacePaths {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(NAMESPACES.iter().map(|(_, name, file)| (*name, format!("/proc/{}/ns/{file}", self.0))))
    }
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
