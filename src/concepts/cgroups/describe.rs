//! The groups and their limits in words (cgroups(7)).
//!
//! `rrun plan` names each file and what is written to it, for those who know them; `--narrate` says memory, processes and
//! processor time in the units of people. Both speak of the same list of writes, so that neither can promise what is not done.

use super::CgroupsPlan;
use super::paths::Group;

impl CgroupsPlan {
    /// The group and its limits in a few words, for `--narrate`; `None` without a group.
    pub fn story(&self) -> Option<String> {
        let of_memory = |g: &&Group| g.is_v2() || g.controllers.iter().any(|c| c == "memory");
        let group = self.groups.iter().find(of_memory).or(self.groups.first())?;
        // As /proc/PID/cgroup names it: where the hierarchy is mounted says nothing about the container.
        let path = group.dir.strip_prefix(&group.mountpoint).unwrap_or(&group.dir);
        let limits = self.limits_in_words();
        let limits = if limits.is_empty() { "no limits".to_owned() } else { limits.join(", ") };
        Some(format!("joined cgroup /{} ({limits})", path.display()))
    }

    fn limits_in_words(&self) -> Vec<String> {
        let value = |field: &str| {
            let write = self.writes.iter().find(|w| w.field == format!("linux.resources.{field}"));
            write.map(|w| w.text.trim_end().to_owned())
        };
        let memory = self.memory_limit().map(|limit| format!("memory {}", amount(limit as u64)));
        let pids = value("pids.limit").map(|most| format!("pids {most}"));
        // v1 has a file for each of the two, v2 one for both.
        let quota = value("cpu.quota").and_then(|text| {
            let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
            let quota = numbers.next()??;
            let period = numbers.next().flatten().or_else(|| value("cpu.period")?.parse().ok()).unwrap_or(100_000);
            Some(format!("cpu {} %", quota * 100 / period.max(1)))
        });
        let cpus = value("cpu.cpus").map(|list| format!("cpus {list}"));
        memory.into_iter().chain(pids).chain(quota).chain(cpus).collect()
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let name = |g: &Group| if g.is_v2() { "v2".to_owned() } else { g.controllers.join(",") };
        let verb = if self.unit.is_some() { "use" } else { "mkdir" };
        let mut lines: Vec<String> = self.groups.iter().map(|g| format!("{verb} {} ({})", g.dir.display(), name(g))).collect();
        if let Some(unit) = &self.unit {
            lines.insert(0, format!("ask systemd for the scope {} in {}", unit.name, unit.slice));
            lines.extend(unit.lines());
        }
        lines.extend(self.writes.iter().map(|w| format!("write {}: {} = {}", name(&self.groups[w.group]), w.file, w.text)));
        lines.extend(self.owner.map(|uid| format!("give the group to uid {uid}")));
        if let Some(program) = &self.program {
            lines.push(format!(
                "load device program ({} instructions): all denied but {}",
                program.len(),
                self.rules.lines().collect::<Vec<_>>().join(", ")
            ));
        }
        lines
    }
}

/// `64 MiB`: in the largest unit that leaves no rest, as people write limits; else in bytes.
fn amount(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(shift, _)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    unit.map_or_else(|| format!("{bytes} B"), |(shift, name)| format!("{} {name}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::values::{Otherwise, Write};
    use super::*;

    fn plan(writes: &[(&str, &str, &str)], controllers: &[&str]) -> CgroupsPlan {
        let group = Group {
            mountpoint: PathBuf::from("/sys/fs/cgroup"),
            dir: PathBuf::from("/sys/fs/cgroup/rrun/web"),
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
        };
        let write = |(file, field, text): &(&str, &str, &str)| Write {
            group: 0,
            file: (*file).to_owned(),
            text: (*text).to_owned(),
            field: format!("linux.resources.{field}"),
            otherwise: Otherwise::Skip,
            retry: false,
        };
        CgroupsPlan { groups: vec![group], writes: writes.iter().map(write).collect(), ..CgroupsPlan::default() }
    }

    #[test]
    fn limits_are_told_in_the_units_of_people() {
        let v2 = [
            ("memory.swap.max", "memory.swap", "0"),
            ("memory.max", "memory.limit", "67108864"),
            ("cpu.weight", "cpu.shares", "59"),
            ("cpu.max", "cpu.quota", "50000 100000"),
            ("cpuset.cpus", "cpu.cpus", "0-1"),
            ("pids.max", "pids.limit", "100"),
        ];
        let told = "joined cgroup /rrun/web (memory 64 MiB, pids 100, cpu 50 %, cpus 0-1)";
        assert_eq!(plan(&v2, &[]).story().as_deref(), Some(told));
        let v1 = [
            ("memory.limit_in_bytes", "memory.limit", "67108864"),
            ("cpu.cfs_period_us", "cpu.period", "200000"),
            ("cpu.cfs_quota_us", "cpu.quota", "100000"),
            ("cpuset.cpus", "cpu.cpus", "0-1"),
            ("pids.max", "pids.limit", "100"),
        ];
        assert_eq!(plan(&v1, &["memory"]).story().as_deref(), Some(told));
        assert_eq!(plan(&[], &[]).story().as_deref(), Some("joined cgroup /rrun/web (no limits)"));
        assert_eq!(CgroupsPlan::default().story(), None);
    }

    #[test]
    fn an_amount_has_the_largest_unit_without_a_rest() {
        let told = [64 << 20, 3 << 30, (1 << 20) + 1024, 1000].map(amount);
        assert_eq!(told, ["64 MiB", "3 GiB", "1025 KiB", "1000 B"]);
    }
}
