//! Control groups: which limits hold for all processes of the container together (cgroups(7)).
//!
//! Namespaces hide what a process may see; a control group bounds what it may use: memory, processor time, processes, devices, I/O.
//! Without it one container starves the host (a fork bomb suffices), and nothing else forbids opening the host's disk through a node made
//! inside. The groups are directories; a process is bound by being in them *before* it runs anything of the image. Whoever may write to
//! the hierarchy of v1 may also name a program that the kernel runs as root on the host (CVE-2022-0492, release_agent).
//!
//! `paths` says where the groups lie, `values`, `v1` and `v2` what is written, `devices` and `ebpf` which devices are allowed; `make`,
//! `join`, `freezer`, `tree`, `oom` and `update` act; `systemd` asks the service manager to make the group instead.

mod describe;
mod devices;
mod ebpf;
mod freezer;
mod join;
mod make;
mod oom;
mod owner;
mod paths;
mod record;
pub mod stats;
mod systemd;
mod tree;
mod update;
mod v1;
mod v2;
mod values;
mod write;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

pub use self::join::SubGroup;
pub use self::oom::OomWatch;
use self::paths::Group;
pub use self::record::Record;
pub use self::systemd::count_messages;
pub use self::update::Change;
use self::values::{Occasion, Otherwise, Write};
use crate::error::{At, Error, Result, Warnings};
use crate::host::Host;
use crate::sys::fd::close_all;

/// Who makes the group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// rrun, with mkdir below /sys/fs/cgroup.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus for a transient scope.
    Systemd,
    /// Nobody: no group is made or joined.
    Disabled,
}

/// The groups to make and the values to write.
#[derive(Debug, Clone, Default)]
pub struct CgroupsPlan {
    driver: Driver,
    groups: Vec<Group>,
    writes: Vec<Write>,
    /// Pure v2: the program of the device rules.
    program: Option<Vec<u64>>,
    /// The device rules.
    rules: devices::Rules,
    /// rrun has not the rights of root over the host.
    rootless: bool,
    /// Groups without a limit may be left out if they cannot be made: without privilege, and no path was asked for.
    tolerant: bool,
    check_before_update: bool,
    /// v2: whom the group is given to.
    owner: Option<u32>,
    /// Driver systemd: the unit to ask for.
    unit: Option<systemd::Unit>,
}

/// How the new process gets in.
#[derive(Debug, Default)]
pub struct Join {
    /// v2: the group's directory, for `CLONE_INTO_CGROUP`.
    pub v2: Option<OwnedFd>,
    /// v1: one open `tasks` file per hierarchy, into each of which init writes `0`.
    pub v1_tasks: Vec<OwnedFd>,
    /// Groups that the caller may not make, and that nobody asked for.
    pub left_out: Vec<PathBuf>,
    /// v2: only systemd may move the process in ([`attach`]).
    pub by_systemd: bool,
    /// Something to warn of: the group existed before and is shared with others ([`Record::shared`]).
    pub note: Option<String>,
    /// As [`Record::devices_skipped`].
    pub devices_skipped: bool,
}

impl Drop for Join {
    fn drop(&mut self) {
        close_all(self.v1_tasks.drain(..));
    }
}

/// What the freezer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freezer {
    /// Running.
    Thawed,
    /// Frozen or freezing.
    Frozen,
}

/// Decides the groups' paths and every value. `tolerant`: a container that asks for no path and no limit may go without groups
/// if they cannot be made.
pub fn plan(spec: &Spec, host: &Host, id: &str, driver: Driver, tolerant: bool, warnings: &mut Warnings) -> Result<CgroupsPlan> {
    let linux = spec.linux().clone().unwrap_or_default();
    let resources = linux.resources().clone().unwrap_or_default();
    let rules = devices::plan(resources.devices().as_deref().unwrap_or_default())?;
    let mut plan = CgroupsPlan { driver, rootless: host.rootless, ..CgroupsPlan::default() };
    plan.check_before_update = resources.memory().as_ref().and_then(|m| m.check_before_update()).unwrap_or(false);
    if driver == Driver::Disabled {
        return disabled(plan, &resources, host, warnings);
    }
    let path = linux.cgroups_path().as_deref().filter(|p| !p.as_os_str().is_empty());
    if driver == Driver::Systemd && host.rootless && !host.cgroups.is_unified() {
        return Err(Error::new("cannot use the systemd driver without root on cgroup v1")
            .code("E-DELEGATE")
            .hint("the user's service manager may only give what cgroup v2 delegates; use the cgroupfs driver, without limits"));
    }
    let mut unit = (driver == Driver::Systemd).then(|| systemd::plan(path, id, host.rootless)).transpose()?;
    plan.groups = match &unit {
        Some(unit) => paths::systemd(host, &unit.slice, &unit.name, unit.user)?,
        None => paths::cgroupfs(host, path, id)?,
    };
    plan.writes = values::plan(&plan.groups, &resources, Occasion::Create, warnings)?;
    if let Some(unit) = &mut unit {
        unit.describe_to_systemd(spec, &plan.writes, (!host.cgroups.is_unified()).then_some(&rules), id)?;
    }
    plan.unit = unit;
    plan.tolerant = tolerant && path.is_none();
    plan.owner = owner::plan(spec, host);
    plan.add_devices(&rules, host)?;
    plan.rules = rules;
    Ok(plan)
}

/// Without a group nothing can be limited; a limit in the config would be a promise not kept.
fn disabled(plan: CgroupsPlan, resources: &LinuxResources, host: &Host, warnings: &mut Warnings) -> Result<CgroupsPlan> {
    let anywhere =
        if host.cgroups.is_unified() { vec![] } else { host.cgroups.v1.iter().flat_map(|h| h.controllers.clone()).collect() };
    let group = Group { mountpoint: PathBuf::new(), dir: PathBuf::new(), controllers: anywhere };
    if let Some(write) = values::plan(&[group], resources, Occasion::Create, warnings)?.first() {
        return Err(Error::new(format!("cannot set {}: cgroups are disabled (--cgroup-manager disabled)", write.field))
            .config(&write.field));
    }
    if !host.rootless {
        warnings.add("linux.resources.devices is not in force: cgroups are disabled (--cgroup-manager disabled)");
    }
    Ok(plan)
}

/// Makes the groups and writes the limits. What was made is removed again on failure. With systemd ([`CgroupsPlan::needs_pid`])
/// nothing can be made yet: [`adopt`] does it.
pub fn apply_from_parent(plan: &CgroupsPlan) -> Result<Join> {
    if plan.needs_pid() { make::check_unused(plan).map(|()| Join::default()) } else { make::groups(plan) }
}

/// The way into the container's groups for another process (`exec`), by `sub` perhaps further below. `init` is the pid of the
/// container's first process.
pub fn join(record: &Record, sub: &[SubGroup], init: i32) -> Result<Join> {
    join::open(record, sub, init)
}

/// Outside: has systemd move the process `pid` into the container's scope. For an `exec` without privilege that may not go there itself
/// ([`Join::by_systemd`]): from a login session no user may move processes over to the own manager's part of the hierarchy, but the
/// manager may. An error if the group is no unit of systemd.
pub fn attach(record: &Record, pid: i32) -> Result<()> {
    match &record.unit {
        Some((unit, user)) => systemd::attach(unit, *user, pid),
        None => Err(Error::new("cannot move a process: the container's cgroup is no unit of systemd")),
    }
}

/// Inside, first of all: moves the calling, single-threaded process into the v1 groups.
pub fn apply(join: &Join) -> Result<()> {
    for tasks in &join.v1_tasks {
        // The kernel checks the rights of who opened the file, which was the parent, and reads 0 as "me".
        nix::unistd::write(tasks, b"0").at(|| "join cgroup: write 0 to tasks")?;
    }
    Ok(())
}

/// Outside, after the clone and while init waits: asks systemd for the scope around `pid`, then writes what systemd has no property
/// for, and into `record` what became of it. Does nothing for other drivers. What was made goes with [`remove`].
pub fn adopt(plan: &CgroupsPlan, pid: i32, record: &mut Record) -> Result<()> {
    if let Some(unit) = &plan.unit {
        unit.start(pid)?;
        record.devices_skipped = make::in_scope(plan, pid)?.devices_skipped;
    }
    Ok(())
}

/// How often the out-of-memory killer struck in the groups; 0 if that cannot be known.
pub fn oom_kills(record: &Record) -> u64 {
    let file = match (record.paths.get("memory"), record.paths.get("")) {
        (Some(v1), _) => v1.join("memory.oom_control"),
        (None, Some(v2)) => v2.join("memory.events"),
        (None, None) => return 0,
    };
    oom::count(&std::fs::read_to_string(file).unwrap_or_default())
}

/// What a start takes of the container's memory before its program has any: the kernel's records of mounts, files and the
/// process (docs/performance.md has the command that measures it).
const START_NEEDS: u64 = START_NEEDS_KIB << 10;
const START_NEEDS_KIB: u64 = 224;

/// What to do about a memory limit of so many bytes, under which a start or a program did not live.
pub fn too_little(limit: i64) -> String {
    let needs = format!("what a start itself needs, about {START_NEEDS_KIB} KiB");
    match limit.unsigned_abs() < START_NEEDS {
        true => format!("the limit of {limit} bytes is below {needs}; raise memory.limit"),
        false => format!("the limit of {limit} bytes was reached; raise memory.limit"),
    }
}

/// Begins to watch for the out-of-memory killer; `None` if the groups have no memory controller.
pub fn watch_oom(record: &Record) -> Result<Option<OomWatch>> {
    oom::watch(record)
}

/// Decides what an `update` writes; `rootless` as when the container was made. Zeros mean unset. Nothing is written yet.
pub fn plan_update(record: &Record, resources: &LinuxResources, rootless: bool, warnings: &mut Warnings) -> Result<Change> {
    update::plan(record, resources, rootless, warnings)
}

/// Writes changed limits and device rules to existing groups; on failure the old ones hold. The record is changed to what later
/// updates start from.
pub fn update(record: &mut Record, change: &Change) -> Result<()> {
    let unit = record.unit.clone();
    update::apply(change, record, |writes, rules| match &unit {
        Some((unit, user)) => systemd::update(unit, *user, writes, rules).map(|()| true),
        None => Ok(false),
    })
}

/// Freezes or thaws all processes of the groups and waits until it is so.
pub fn freeze(record: &Record, wanted: Freezer) -> Result<()> {
    freezer::set(record, wanted)
}

/// Asks the freezer. Missing groups are thawed.
pub fn freezer(record: &Record) -> Result<Freezer> {
    freezer::state(record)
}

/// The host pids of all processes in the groups and below.
pub fn pids(record: &Record) -> Result<Vec<i32>> {
    // Who is in one hierarchy is in each of them; which one is asked must not depend on what others rearrange (systemd inside
    // the container divides its own and the v2 hierarchy up, below the container's group).
    let chosen = ["freezer", "devices", "pids", "memory", ""].iter().find_map(|name| record.paths.get(*name));
    match chosen.or_else(|| record.paths.values().next()) {
        Some(dir) => tree::pids(dir),
        None => Ok(vec![]),
    }
}

/// What the groups have used so far (`events --stats`).
pub fn stats(record: &Record) -> stats::Stats {
    stats::read(record)
}

/// Kills every process of the groups and below (cgroup.kill, else freeze, signal, thaw). Nobody in groups that were there before
/// the container, with others in them: who of them is whose, the groups do not say.
pub fn kill_all(record: &Record) -> Result<()> {
    if record.shared { Ok(()) } else { freezer::kill_all(record) }
}

/// Removes the groups with all below them. Missing groups are no error; groups still busy are waited for, unless they are shared.
pub fn remove(record: &Record) -> Result<()> {
    if record.shared {
        return record.places().into_iter().try_for_each(|(dir, _)| tree::remove_unused(dir));
    }
    let stopped = record.unit.as_ref().map_or(Ok(()), |(unit, user)| systemd::stop(unit, *user));
    // All are tried, as whoever is in one is in the others too, within one time; the first failure is told.
    let deadline = std::time::Instant::now() + tree::PATIENCE;
    let removed = record.places().into_iter().map(|(dir, _)| tree::remove(dir, deadline)).fold(Ok(()), Result::and);
    match stopped {
        // No manager, but no group either: nothing is left of the unit.
        Err(e) if e.code_text() == Some("E-BUS") && removed.is_ok() => Ok(()),
        stopped => stopped.and(removed),
    }
}

impl CgroupsPlan {
    fn add_devices(&mut self, rules: &devices::Rules, host: &Host) -> Result<()> {
        if host.cgroups.is_unified() {
            self.program = Some(ebpf::program(rules));
            return Ok(());
        }
        let Some(group) = self.groups.iter().position(|g| g.controllers.iter().any(|c| c == "devices")) else {
            // Rootless: no node can be made, nor opened on a mount of one's own user namespace.
            let needed = !self.rootless && !host.cgroups.v1.is_empty();
            let e =
                || Error::new("cannot set linux.resources.devices: the cgroup controller devices is not mounted on this host");
            return if needed { Err(e().config("linux.resources.devices")) } else { Ok(()) };
        };
        if !self.rootless {
            let field = "linux.resources.devices".to_owned();
            let write = |(file, text): (&str, String)| Write {
                group,
                file: file.to_owned(),
                text,
                field: field.clone(),
                otherwise: Otherwise::Fail,
                retry: false,
            };
            self.writes.extend(rules.v1().into_iter().map(write));
        }
        Ok(())
    }

    fn paths_of(&self, group: &Group) -> BTreeMap<String, PathBuf> {
        match group.is_v2() {
            true => [(String::new(), group.dir.clone())].into(),
            false => group.controllers.iter().map(|c| (c.clone(), group.dir.clone())).collect(),
        }
    }

    /// What the state keeps.
    pub fn record(&self) -> Record {
        Record {
            driver: self.driver,
            paths: self.groups.iter().flat_map(|g| self.paths_of(g)).collect(),
            check_before_update: self.check_before_update,
            devices: self.rules.record(),
            unit: self.unit.as_ref().map(|u| (u.name.clone(), u.user)),
            ..Record::default()
        }
    }

    /// Whether the group is made only after the clone, with the process id (systemd).
    pub fn needs_pid(&self) -> bool {
        self.unit.is_some()
    }

    /// Whether init has v1 groups to enter.
    pub fn joins_v1(&self) -> bool {
        self.unit.is_none() && self.groups.iter().any(|g| !g.is_v2())
    }

    /// Whether the container can do without this group.
    fn may_lack(&self, group: usize) -> bool {
        self.tolerant && self.writes.iter().all(|w| w.group != group)
    }

    /// The memory limit in bytes, if there is one.
    pub fn memory_limit(&self) -> Option<i64> {
        let write = self.writes.iter().find(|w| matches!(w.file.as_str(), "memory.limit_in_bytes" | "memory.max"));
        write.and_then(|w| w.text.parse().ok()).filter(|limit| *limit > 0)
    }
}
