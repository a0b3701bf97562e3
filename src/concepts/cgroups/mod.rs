//! Control groups: which limits hold for all processes of the container together (cgroups(7)).
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

use crate::error::{Result, Warnings};
use crate::host::Host;

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
pub struct CgroupsPlan;

/// What later commands need to find the groups again; kept in the state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// Who made them.
    pub driver: Driver,
    /// Directory of each group by the names of its controllers (`memory`, `name=systemd`; v2: the empty name).
    pub paths: std::collections::BTreeMap<String, PathBuf>,
}

/// How the new process gets in.
#[derive(Debug, Default)]
pub struct Join {
    /// v2: the group's directory, for `CLONE_INTO_CGROUP`.
    pub v2: Option<OwnedFd>,
    /// v1: one open `tasks` file per hierarchy, into each of which init writes `0`.
    pub v1_tasks: Vec<OwnedFd>,
}

/// What the freezer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freezer {
    /// Running.
    Thawed,
    /// Frozen or freezing.
    Frozen,
}

/// Decides the groups' paths and every value.
pub fn plan(_spec: &Spec, _host: &Host, _id: &str, _driver: Driver, _warnings: &mut Warnings) -> Result<CgroupsPlan> {
    Ok(CgroupsPlan)
}

/// Makes the groups and writes the limits. What was made is removed again on failure.
pub fn apply_from_parent(_plan: &CgroupsPlan) -> Result<Join> {
    Ok(Join::default())
}

/// Inside, first of all: moves the calling, single-threaded process into the v1 groups.
pub fn apply(_join: &Join) -> Result<()> {
    Ok(())
}

/// Outside, after the clone: puts the process `pid` in the group, where [`CgroupsPlan::needs_pid`].
pub fn adopt(_plan: &CgroupsPlan, _pid: i32) -> Result<()> {
    Ok(())
}

/// How often the out-of-memory killer struck in the groups.
pub fn oom_kills(_record: &Record) -> u64 {
    0
}

/// Writes changed limits to existing groups (`update`).
pub fn update(_record: &Record, _host: &Host, _resources: &LinuxResources) -> Result<()> {
    Ok(())
}

/// Freezes or thaws all processes of the groups and waits until it is so.
pub fn freeze(_record: &Record, _wanted: Freezer) -> Result<()> {
    Ok(())
}

/// Asks the freezer. Missing groups are thawed.
pub fn freezer(_record: &Record) -> Result<Freezer> {
    Ok(Freezer::Thawed)
}

/// The host pids of all processes in the groups and below.
pub fn pids(_record: &Record) -> Result<Vec<i32>> {
    Ok(vec![])
}

/// Kills every process of the groups and below (cgroup.kill, else freeze, signal, thaw).
pub fn kill_all(_record: &Record) -> Result<()> {
    Ok(())
}

/// Removes the groups with all below them. Missing groups are no error; groups still busy are waited for.
pub fn remove(_record: &Record) -> Result<()> {
    Ok(())
}

impl CgroupsPlan {
    /// What the state keeps.
    pub fn record(&self) -> Record {
        Record::default()
    }
    /// Whether the group is made only after the clone, with the process id (systemd).
    pub fn needs_pid(&self) -> bool {
        false
    }

    /// Whether init has v1 groups to enter.
    pub fn joins_v1(&self) -> bool {
        false
    }

    /// The memory limit in bytes, if there is one.
    pub fn memory_limit(&self) -> Option<i64> {
        None
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
