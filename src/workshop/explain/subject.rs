//! Who is graded: a bundle before it runs, a container as it runs, or any process in the namespaces of some other runtime.
//!
//! A bundle has only a config. A container has both, and what differs is drift; one that was created and not started is
//! still rrun's own process, so that its config is what counts. A process of another runtime has no config here.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::asked::{self, Look};
use super::effective::{self, Surroundings};
use super::facts::{Facts, Filter, Sharing};
use super::notes::{self, Note};
use super::shown;
use crate::audit::sha256;
use crate::bundle;
use crate::error::{Error, Result, Warnings};
use crate::state::Status;
use crate::workshop::observed::container::{self, Container};
use crate::workshop::observed::namespaces::{HostNamespaces, Kind};
use crate::workshop::observed::{Process, processes};

/// A process as the pictures show it.
pub struct Member {
    /// Its pid on the host.
    pub pid: i32,
    /// Its pid inside.
    pub inner: i32,
    /// Its parent on the host.
    pub parent: i32,
    /// Its name, escaped.
    pub name: String,
}

/// The one that is graded.
pub struct Subject {
    /// What to call it; escaped.
    pub name: String,
    /// What to type for it, as it was typed; escaped.
    pub word: String,
    /// Where it is; escaped.
    pub place: String,
    /// `not running`, or the status of the container.
    pub status: &'static str,
    /// The SHA-256 of its config.json.
    pub hash: Option<String>,
    /// The bundle, to write a repaired config.
    pub bundle: Option<PathBuf>,
    /// Its config.json.
    pub config: Option<Value>,
    /// What counts.
    pub facts: Facts,
    /// What the config asks for, where that is not what counts.
    pub asked: Option<Facts>,
    /// Findings without weight.
    pub notes: Vec<Note>,
    /// The ids of its namespaces by kind, if it runs.
    pub ids: [Option<u64>; 8],
    /// Its processes, if it runs.
    pub members: Vec<Member>,
}

/// The parts of a subject that come from a config alone.
struct Asked {
    config: Value,
    facts: Facts,
    notes: Vec<Note>,
    hash: String,
}

/// A machine to look at: the state root for the names of other containers.
pub struct Machine {
    around: Surroundings,
}

impl Machine {
    /// Asks the kernel; `not` is a container that is not another one.
    pub fn ask(root: &Path, not: Option<&str>) -> Self {
        let others = container::all(root).unwrap_or_default();
        let named = |c: &Container| Some((c.state.id.clone(), c.init.as_ref()?.namespaces()));
        let others = others.iter().filter(|c| Some(c.state.id.as_str()) != not).filter_map(named).collect();
        let mounts = Process::own().and_then(|own| own.mounts()).unwrap_or_default();
        Self { around: Surroundings { host: HostNamespaces::ask(), others, mounts } }
    }

    /// The picture of a config.
    pub fn asked(&self, config: &Value, bundle: &Path) -> Facts {
        let source = |path: &Path| {
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let node = effective::node(&path);
            (path, node)
        };
        let namespace = |path: &Path, kind: Kind| self.behind(path, kind);
        asked::facts(config, &Look { bundle, source: &source, namespace: &namespace, maps: &crate::host::id_maps })
    }

    /// With whom the namespace that a path names is shared.
    fn behind(&self, path: &Path, kind: Kind) -> Sharing {
        let Ok(stat) = nix::sys::stat::stat(path) else { return Sharing::With(format!("{} (not there now)", shown(path))) };
        let host = &self.around.host;
        if [&host.own, &host.first].iter().any(|ns| ns.get(kind) == Some(stat.st_ino)) {
            return Sharing::Host;
        }
        let other = self.around.others.iter().find(|(_, ns)| ns.get(kind) == Some(stat.st_ino));
        Sharing::With(other.map_or_else(|| shown(path), |(name, _)| format!("container {name}")))
    }
}

/// The subject that the words of the command line mean: a path or a directory with a config.json is a bundle, unless a
/// container has that name.
pub fn of_word(word: &str, dir: &Path, root: &Path, warnings: &mut Warnings) -> Result<Subject> {
    let names_path = word.is_empty() || word.contains('/') || word == "." || word == "..";
    if !names_path {
        match container::find(root, word) {
            Ok(found) => return of_container(&found, root),
            Err(_) if dir.join("config.json").is_file() => {}
            Err(e) => return Err(e.hint("or name a bundle: a directory with a config.json")),
        }
    }
    let called = if word.is_empty() { ".".to_owned() } else { crate::log::value(word) };
    match of_bundle(dir, root, warnings).map(|subject| Subject { word: called, ..subject }) {
        Err(e) if word.is_empty() && !dir.join("config.json").exists() => {
            Err(e.hint("explain reads the current directory if nothing is named; name a container or a bundle: rrun explain web"))
        }
        read => read,
    }
}

/// A bundle that does not run.
pub fn of_bundle(dir: &Path, root: &Path, warnings: &mut Warnings) -> Result<Subject> {
    let mut said = Warnings::default();
    let bundle = bundle::load(dir, &mut said)?;
    said.lines().iter().for_each(|line| warnings.add(line.clone()));
    let machine = Machine::ask(root, None);
    let asked = from_text(&bundle.text, &bundle.path, &machine, said.lines())?;
    let name = bundle.path.file_name().map_or_else(|| "/".to_owned(), |name| shown(Path::new(name)));
    Ok(Subject {
        name,
        word: shown(&bundle.path),
        place: shown(&bundle.path),
        status: "not running",
        hash: Some(asked.hash),
        bundle: Some(bundle.path),
        config: Some(asked.config),
        facts: asked.facts,
        asked: None,
        notes: asked.notes,
        ids: [None; 8],
        members: vec![],
    })
}

fn from_text(text: &[u8], bundle: &Path, machine: &Machine, said: &[String]) -> Result<Asked> {
    let config: Value = serde_json::from_slice(text).map_err(|e| Error::new(format!("config.json: {e}")).code("E-JSON"))?;
    let facts = machine.asked(&config, bundle);
    let notes = notes::of(&config, bundle, said);
    Ok(Asked { config, facts, notes, hash: sha256(text) })
}

/// A container of rrun.
pub fn of_container(found: &Container, root: &Path) -> Result<Subject> {
    let machine = Machine::ask(root, Some(&found.state.id));
    let state = &found.state;
    let mut said = Warnings::default();
    let asked = match found.config.is_empty() {
        true => None,
        false => {
            bundle::parse_noting(&found.config, &mut said)?;
            Some(from_text(&found.config, &state.bundle, &machine, said.lines())?)
        }
    };
    let runs = matches!(found.status, Status::Running | Status::Paused);
    let init = found.init.as_ref().filter(|_| runs);
    let effective = init.and_then(|init| effective::facts(init, Some(found.groups()), &machine.around));
    let mut subject = Subject {
        name: crate::log::value(&state.id),
        word: crate::log::value(&state.id),
        place: shown(&state.bundle),
        status: found.status.name(),
        hash: asked.as_ref().map(|a| a.hash.clone()),
        bundle: Some(state.bundle.clone()),
        config: None,
        facts: Facts::default(),
        asked: None,
        notes: vec![],
        ids: found.init.as_ref().map_or([None; 8], ids),
        members: members(&found.pids()),
    };
    let kept = asked.is_some();
    if let Some(asked) = asked {
        (subject.config, subject.notes, subject.facts) = (Some(asked.config), asked.notes, asked.facts);
    }
    match effective {
        Some(effective) => subject.judge_by(effective, kept),
        None if kept => {}
        None => {
            return Err(Error::new(format!("nothing is known of container {}: it does not run", subject.name))
                .hint("its config.json was not kept; explain its bundle"));
        }
    }
    Ok(subject)
}

/// The container that the process `pid` is in, whoever made it.
pub fn of_pid(pid: i32, root: &Path) -> Result<Subject> {
    let gone = || Error::new(format!("process {pid} does not exist")).hint("it must be a process of this pid namespace");
    let process = Process::open(pid).ok_or_else(gone)?;
    let machine = Machine::ask(root, None);
    let facts = effective::facts(&process, None, &machine.around).ok_or_else(|| {
        Error::new(format!("process {pid} cannot be read")).hint("it has ended, or it takes root to look at it")
    })?;
    let pids = match (facts.namespace(Kind::Pid), process.namespaces().get(Kind::Pid)) {
        (Sharing::Own | Sharing::With(_), Some(namespace)) => processes::of_pid_namespace(namespace),
        _ => processes::below(pid),
    };
    Ok(Subject {
        name: process.stat().map(|stat| stat.name).unwrap_or_default(),
        word: format!("--pid {pid}"),
        place: format!("pid {pid}"),
        status: "running",
        hash: None,
        bundle: None,
        config: None,
        facts,
        asked: None,
        notes: vec![],
        ids: ids(&process),
        members: members(&pids),
    })
}

impl Subject {
    /// A command of the table, which speaks of a container `web`, with the name of this one, if it can be typed so.
    pub fn command(&self, text: &str) -> String {
        let takes_bundle = ["rrun trace ", "rrun explain "].iter().any(|verb| text.starts_with(verb));
        if self.bundle.is_none() || (self.status == "not running" && !takes_bundle) {
            return text.to_owned();
        }
        text.split(' ').map(|part| if part == "web" { &self.word } else { part }).collect::<Vec<_>>().join(" ")
    }

    /// What the kernel says counts; what the config says becomes what was asked for.
    fn judge_by(&mut self, mut effective: Facts, kept: bool) {
        if effective.filter == Filter::Some && kept && self.facts.filter != Filter::None {
            effective.filter = self.facts.filter;
        }
        let asked = std::mem::replace(&mut self.facts, effective);
        self.asked = kept.then_some(asked);
    }
}

fn ids(process: &Process) -> [Option<u64>; 8] {
    let namespaces = process.namespaces();
    Kind::ALL.map(|kind| namespaces.get(kind))
}

fn members(pids: &[i32]) -> Vec<Member> {
    let read = |pid: &i32| {
        let status = Process::open(*pid)?.status()?;
        Some(Member { pid: *pid, inner: status.inner_pid(), parent: status.ppid, name: status.name })
    };
    pids.iter().filter_map(read).collect()
}
