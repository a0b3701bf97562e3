//! The score: an average of what is wrong, and a floor under it for every open door.
//!
//! An average alone misleads: a container with 26 good checks and the engine's socket is lost. So each condition from which the
//! host is one step away has a floor, and the score is the largest of all. All numbers are whole: badness in hundredths, scores in tenths.

use std::collections::BTreeMap;

use super::facts::{Facts, Sharing};
use super::judge::{Verdict, writable_directories};
use super::policy::Policy;
use super::table::{self, CHECKS, Check};
use crate::workshop::observed::groups::Devices;
use crate::workshop::observed::namespaces::Kind;

/// A check and what it found.
pub struct Finding {
    /// The row of the table.
    pub check: &'static Check,
    /// Its weight, perhaps the policy's.
    pub weight: u32,
    /// `None`: it does not apply.
    pub verdict: Option<Verdict>,
    /// What it adds to the average, in hundredths of a point.
    pub cost: u32,
    /// The floor of the open doors that belong to it, in tenths.
    pub floor: Option<u32>,
    /// The policy's reason to accept it.
    pub accepted: Option<String>,
}

impl Finding {
    /// Whether something is wrong that nobody accepted.
    pub fn fails(&self) -> bool {
        self.accepted.is_none() && self.badness() > 0
    }

    /// In hundredths; 0 where it does not apply.
    pub fn badness(&self) -> u32 {
        self.verdict.as_ref().map_or(0, |v| v.badness)
    }
}

/// A condition from which the host is one step away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The check it belongs to.
    pub id: &'static str,
    /// In tenths.
    pub floor: u32,
    /// What it is.
    pub text: &'static str,
}

/// All of it.
pub struct Grade {
    /// In the order of the table.
    pub findings: Vec<Finding>,
    /// Widest first.
    pub doors: Vec<Door>,
    /// In tenths.
    pub average: u32,
    /// In tenths.
    pub score: u32,
}

impl Grade {
    /// HARDENED … DANGEROUS.
    pub fn level(&self) -> &'static str {
        table::level(self.score)
    }
}

/// Judges.
pub fn grade(facts: &Facts, policy: &Policy) -> Grade {
    let doors: Vec<Door> = doors(facts).into_iter().filter(|d| policy.accepted(d.id).is_none()).collect();
    let mut floors: BTreeMap<&str, u32> = BTreeMap::new();
    for door in &doors {
        let floor = floors.entry(door.id).or_default();
        *floor = door.floor.max(*floor);
    }
    let judge = |check: &'static Check| {
        let accepted = policy.accepted(check.id).map(str::to_owned);
        let weight = policy.weight(check);
        Finding { check, weight, verdict: (check.judge)(facts), cost: 0, floor: floors.get(check.id).copied(), accepted }
    };
    let mut findings: Vec<Finding> = CHECKS.iter().map(judge).collect();
    let counts = |f: &&mut Finding| f.verdict.is_some() && f.accepted.is_none();
    let total: u32 = findings.iter_mut().filter(counts).map(|f| f.weight).sum();
    let costs: u32 = findings.iter_mut().filter(counts).map(|f| f.weight * f.badness()).sum();
    findings.iter_mut().filter(counts).for_each(|f| f.cost = (10 * f.weight * f.badness()).checked_div(total).unwrap_or(0));
    let average = costs.checked_add(total.saturating_sub(1)).and_then(|sum| sum.checked_div(total)).unwrap_or(0);
    let score = doors.iter().map(|d| d.floor).fold(average, u32::max);
    Grade { findings, doors, average, score }
}

/// The open doors, widest first. All but the first need the absence of a user namespace, whose root is nobody on the host.
fn doors(facts: &Facts) -> Vec<Door> {
    let host = |kind: Kind| *facts.namespace(kind) == Sharing::Host;
    let alone = !facts.has_user_namespace();
    let root = facts.uid == 0;
    let socket = super::judge::sockets(facts).is_some_and(|v| v.badness > 0);
    let all = [
        (socket, "MNT-SOCK", 95, "an engine's socket is reachable: it starts any container for whoever asks"),
        (
            alone && root && writable_directories(facts).next().is_some(),
            "MNT-HOST",
            95,
            "uid 0 writes a sensitive directory of the host",
        ),
        (alone && facts.holds("SYS_MODULE"), "CAP-ADMIN", 95, "CAP_SYS_MODULE loads code into the host's kernel"),
        (alone && host(Kind::Mnt), "NS-MNT", 95, "without a mount namespace the host's files are the container's"),
        (
            alone && facts.devices == Devices::All && facts.holds("MKNOD"),
            "DEV",
            95,
            "all devices and CAP_MKNOD: the host's disk can be opened",
        ),
        (alone && facts.holds("SYS_ADMIN"), "CAP-ADMIN", 90, "CAP_SYS_ADMIN mounts the host's disk and cgroups"),
        (alone && facts.holds("DAC_READ_SEARCH"), "CAP-READ", 90, "CAP_DAC_READ_SEARCH opens the host's files by their numbers"),
        (
            alone && host(Kind::Pid) && facts.holds("SYS_PTRACE"),
            "NS-PID",
            90,
            "the host's processes and CAP_SYS_PTRACE: /proc/PID/root is the host's root directory",
        ),
        (
            alone && root && facts.writable.contains(&"/proc/sys"),
            "ROPATHS",
            90,
            "uid 0 writes /proc/sys: core_pattern names a program that the host runs as root",
        ),
    ];
    all.into_iter().filter(|(open, ..)| *open).map(|(_, id, floor, text)| Door { id, floor, text }).collect()
}

#[cfg(test)]
#[path = "calibration.rs"]
mod tests;
