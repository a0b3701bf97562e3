//! Shares of the processor's cache and memory bandwidth: Intel RDT, AMD QoS (resctrl; Documentation/filesystems/resctrl.rst).
//!
//! All cores of a socket share one last-level cache and one way to the memory, and no cgroup divides them: a neighbour that
//! streams through memory slows everybody down, and one that times its own cache misses learns what others compute
//! (Prime+Probe). The kernel shows classes of service as directories of one file system: `schemata` says which part of the
//! cache a class gets, `tasks` who is in it; `mon_groups/NAME` below a class counts for some of its tasks.
//!
//! A processor has some sixteen classes for all of its containers, so that they are shared by name (`closID`), and only one
//! made for a single container is removed with it.

mod stats;

use std::collections::BTreeMap;
use std::fs::{OpenOptions, read_to_string};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIntelRdt, Spec};
use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result};
use crate::host::Resctrl;

pub use stats::{Stats, stats};

/// The class of service of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdtPlan {
    /// Where the file system is mounted.
    root: PathBuf,
    /// The directory of the class.
    group: PathBuf,
    /// Whether the config names the class, so that others may be in it.
    shared: bool,
    /// Lines for `schemata` that a class which is there must have already.
    allocation: Vec<String>,
    /// Lines for `schemata` that are written in any case.
    schemata: Vec<String>,
    /// The directory that counts for this container alone.
    monitor: Option<PathBuf>,
}

/// What later commands need to know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The directory of the class, on the host.
    pub group: PathBuf,
    /// Whether it was made for this container and goes with it.
    pub made: bool,
    /// The directory that counts for this container alone.
    pub monitor: Option<PathBuf>,
}

/// Names that the file system itself has beside the classes.
const TAKEN: [&str; 5] = [".", "..", "info", "mon_groups", "mon_data"];

/// Decides the class: `id` names it unless the config does. `host` tells of the file system, asked only if the config has
/// something to say about it.
pub fn plan(spec: &Spec, id: &str, host: fn() -> Option<Resctrl>) -> Result<Option<RdtPlan>> {
    let Some(wanted) = spec.linux().as_ref().and_then(|l| l.intel_rdt().as_ref()) else { return Ok(None) };
    check_texts(wanted)?;
    let set = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let (cache, bandwidth) = (set(wanted.l3_cache_schema()), set(wanted.mem_bw_schema()));
    let lacks = |key: &str, what: &str| {
        let text = format!("intelRdt{key} is specified in config, but Intel RDT{what} is not enabled");
        Err(Error::new(text).config(format!("linux.intelRdt{key}")))
    };
    let Some(host) = host() else {
        return lacks("", "").map_err(|e: Error| e.hint("mount it: mount -t resctrl resctrl /sys/fs/resctrl"));
    };
    if cache.is_some() && !host.cache {
        return lacks(".l3CacheSchema", "/CAT");
    }
    if bandwidth.is_some() && !host.bandwidth {
        return lacks(".memBwSchema", "/MBA");
    }
    let monitoring = wanted.enable_monitoring().unwrap_or(false);
    if monitoring && !host.monitoring {
        return lacks(".enableMonitoring", " monitoring");
    }
    let named = set(wanted.clos_id());
    let group = match named.as_deref() {
        Some("/") => host.root.clone(),
        Some(name) => host.root.join(name),
        None => host.root.join(id),
    };
    // The specification's order: the cache first, then the bandwidth.
    let lines = |text: Option<String>| text.iter().flat_map(|t| t.lines()).map(str::to_owned).collect::<Vec<_>>();
    Ok(Some(RdtPlan {
        root: host.root,
        monitor: monitoring.then(|| group.join("mon_groups").join(id)),
        group,
        shared: named.is_some(),
        allocation: [lines(cache), lines(bandwidth)].concat(),
        schemata: wanted.schemata().clone().unwrap_or_default(),
    }))
}

/// What the kernel would take for something else: a path, a second line.
fn check_texts(wanted: &LinuxIntelRdt) -> Result<()> {
    let fail = |text: String, key: &str| Err(Error::new(text).config(format!("linux.intelRdt.{key}")));
    if let Some(id) = wanted.clos_id().as_ref().filter(|id| *id != "/")
        && (TAKEN.contains(&id.as_str()) || id.contains(['/', '\n', '\0']))
    {
        return fail(format!("invalid intelRdt.ClosID {id:?}"), "closID");
    }
    if let Some(text) = wanted.mem_bw_schema().as_ref().filter(|t| !t.is_empty())
        && (!text.starts_with("MB:") || text.contains('\n'))
    {
        return fail(format!("intelRdt.memBwSchema {text:?} is not one line that starts with MB:"), "memBwSchema");
    }
    match wanted.schemata().iter().flatten().position(|line| line.contains('\n')) {
        Some(at) => fail(format!("intelRdt.schemata[{at}] is more than one line"), &format!("schemata[{at}]")),
        None => Ok(()),
    }
}

/// Outside, before the clone: makes the class and gives it its share. `record` tells of each directory as soon as it is
/// made, so that a failure can be undone by [`remove`].
pub fn apply_from_parent(plan: &RdtPlan, record: &mut Record) -> Result<()> {
    *record = Record { group: plan.group.clone(), ..Record::default() };
    if plan.shared && plan.allocation.is_empty() && plan.schemata.is_empty() {
        std::fs::metadata(&plan.group).at(|| format!("stat {}", plan.group.display())).map_err(|e| {
            e.context("clos dir not accessible (must be pre-created when l3CacheSchema, memBwSchema and schemata are empty)")
                .config("linux.intelRdt.closID")
        })?;
    } else {
        let there = !make_directory(&plan.group).map_err(|e| e.config("linux.intelRdt.closID"))?;
        record.made = !there && !plan.shared;
        if there && plan.shared {
            compare(&plan.group, &plan.allocation)?;
        } else {
            plan.allocation.iter().try_for_each(|line| write_schema(&plan.root, &plan.group, line))?;
        }
        plan.schemata.iter().try_for_each(|line| write_schema(&plan.root, &plan.group, line))?;
    }
    if let Some(monitor) = &plan.monitor {
        // One that is there counts for somebody else.
        std::fs::create_dir(monitor)
            .at(|| format!("mkdir {}", monitor.display()))
            .map_err(|e| last_status(&plan.root, e).config("linux.intelRdt.enableMonitoring"))?;
        record.monitor = Some(monitor.clone());
    }
    Ok(())
}

/// Whether the directory is new.
fn make_directory(path: &Path) -> Result<bool> {
    match std::fs::create_dir(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true).at(|| format!("mkdir {}", path.display())),
    }
}

/// Outside, after the clone: moves the process `pid` into the class; what it starts is born there. The order matters: a
/// group that counts takes only tasks of its own class.
pub fn join(record: &Record, pid: i32) -> Result<()> {
    for group in [Some(&record.group), record.monitor.as_ref()].into_iter().flatten() {
        let file = group.join("tasks");
        put(&file, &pid.to_string())
            .at(|| format!("write {pid} to {}", file.display()))
            .map_err(|e| e.config("linux.intelRdt"))?;
    }
    Ok(())
}

/// Removes what was made for the container alone. What is gone already is no error.
pub fn remove(record: &Record) -> Result<()> {
    let group = Some(&record.group).filter(|_| record.made);
    for path in [record.monitor.as_ref(), group].into_iter().flatten() {
        match std::fs::remove_dir(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            removed => removed.at(|| format!("rmdir {}", path.display()))?,
        }
    }
    Ok(())
}

/// `update --l3-cache-schema`, `--mem-bw-schema`: writes the lines given (`L3:0=f`, `MB:0=50`) to the class of the
/// container `id`. Without a record, makes a class of its own for the processes `pids`. Returns what to remember from now on.
pub fn update(record: Option<&Record>, id: &str, pids: &[i32], cache: Option<&str>, bandwidth: Option<&str>) -> Result<Record> {
    let host = Resctrl::ask();
    if cache.is_some() && !host.as_ref().is_some_and(|h| h.cache) {
        return Err(Error::new("Intel RDT/CAT: l3 cache schema is not enabled"));
    }
    if bandwidth.is_some() && !host.as_ref().is_some_and(|h| h.bandwidth) {
        return Err(Error::new("Intel RDT/MBA: memory bandwidth schema is not enabled"));
    }
    let Some(host) = host else { return Ok(record.cloned().unwrap_or_default()) };
    let current = match record {
        Some(record) => record.clone(),
        None => {
            let group = host.root.join(id);
            let made = make_directory(&group)?;
            Record { group, made, monitor: None }
        }
    };
    let lines = || [cache, bandwidth].into_iter().flatten().flat_map(str::lines);
    let write = || lines().try_for_each(|line| write_schema(&host.root, &current.group, line));
    if record.is_some() {
        return write().map(|()| current);
    }
    match write().and_then(|()| pids.iter().try_for_each(|pid| join(&current, *pid))) {
        Ok(()) => Ok(current),
        // The first error is the one to report.
        Err(e) => Err(match remove(&current) {
            Err(other) => e.hint(other.to_string()),
            Ok(()) => e,
        }),
    }
}

/// One write(2), one line; the kernel takes a share as a whole or not at all.
fn write_schema(root: &Path, group: &Path, line: &str) -> Result<()> {
    let file = group.join("schemata");
    put(&file, &format!("{line}\n"))
        .at(|| format!("write {line:?} to {}", file.display()))
        .map_err(|e| last_status(root, e).config("linux.intelRdt"))
}

/// Never creates: resctrl has the files that it has.
fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// The kernel keeps the reason of its last refusal in words.
fn last_status(root: &Path, error: Error) -> Error {
    match read_to_string(root.join("info/last_cmd_status")).as_deref().map(str::trim) {
        Ok("" | "ok") | Err(_) => error,
        Ok(said) => error.hint(format!("the kernel says: {said}")),
    }
}

/// A class that others are in is not changed: it must have what the config asks for.
fn compare(group: &Path, wanted: &[String]) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let file = group.join("schemata");
    let has = read_to_string(&file).at(|| format!("read {}", file.display()))?;
    match wanted.iter().find(|line| !holds(&has, line)) {
        None => Ok(()),
        Some(line) => Err(Error::new(format!("{} does not have {line:?}, which the config asks for", file.display()))
            .config("linux.intelRdt")
            .hint("name another closID, leave out the schemas to take the class as it is, or change the class")),
    }
}

/// Whether every share of `line` (`L3:0=f;1=0f`) is in the text of a `schemata` file. The kernel pads and fills as it likes.
fn holds(schemata: &str, line: &str) -> bool {
    let Some((name, wanted)) = shares(line) else { return false };
    let has = schemata.lines().filter_map(shares).find(|(other, _)| *other == name);
    has.is_some_and(|(_, has)| wanted.iter().all(|(at, share)| has.get(at) == Some(share)))
}

/// A line as resource and share by cache: `L3`, {`0`: `f`, `1`: `f`}.
fn shares(line: &str) -> Option<(&str, BTreeMap<&str, String>)> {
    let (name, list) = line.split_once(':')?;
    let plain = |share: &str| share.trim().trim_start_matches('0').to_ascii_lowercase();
    let pair = |entry| str::split_once(entry, '=').map(|(at, share)| (at.trim(), plain(share)));
    Some((name.trim(), list.split(';').map(pair).collect::<Option<_>>()?))
}

impl RdtPlan {
    /// What to remember before anything is made.
    pub fn record(&self) -> Record {
        Record { group: self.group.clone(), made: !self.shared, monitor: self.monitor.clone() }
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let lines = self.allocation.iter().chain(&self.schemata).map(|line| format!("write {line} to its schemata"));
        let monitor = self.monitor.iter().map(|path| format!("count in {}", path.display()));
        [format!("class of service {}", self.group.display())].into_iter().chain(lines).chain(monitor).collect()
    }
}

#[cfg(test)]
mod tests;
