//! The cgroups of a process and what they allow it (cgroups(7)).
//!
//! A limit holds in a group and all groups below it, so what a process is bound by is the least on the way up. v1 has a directory per
//! controller, v2 one for all, whose controller is the empty name here, as in [`Record`].

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::concepts::cgroups::Record;
use crate::host::Cgroups;
use crate::sys::bpf;

/// Directories of groups by controller (`memory`, `name=systemd`; v2: the empty name).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups(pub BTreeMap<String, PathBuf>);

/// A bound on something that is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Limit {
    /// There is no file that would say it: no such controller, or no group.
    #[default]
    Unknown,
    /// `max`.
    None,
    /// So much and no more.
    Most(u64),
}

impl Limit {
    /// v1 writes "no limit" as the largest number of pages, in bytes.
    fn parse(text: &str) -> Self {
        match text.trim() {
            "max" | "-1" => Self::None,
            number => match number.parse::<u64>() {
                Ok(n) if n >= (i64::MAX as u64) & !0xffff => Self::None,
                Ok(n) => Self::Most(n),
                Err(_) => Self::Unknown,
            },
        }
    }

    /// The stricter of two.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Most(a), Self::Most(b)) => Self::Most(a.min(b)),
            (Self::Most(a), _) | (_, Self::Most(a)) => Self::Most(a),
            (Self::None, _) | (_, Self::None) => Self::None,
            _ => Self::Unknown,
        }
    }

    /// Whether there is a bound.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Most(_))
    }
}

/// Which devices a group may open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Devices {
    /// It cannot be seen: no such controller, or no right to ask.
    #[default]
    Unknown,
    /// All of them.
    All,
    /// Those on a list; on v2, what a program decides.
    Listed,
}

/// What a group allows. The limits are the least of its own and those of the groups above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Limit,
    /// Swap in bytes: v2's `memory.swap.max`; of v1 what `memory.memsw.limit_in_bytes` leaves beside memory.
    pub swap: Limit,
    /// Processes and threads.
    pub pids: Limit,
    /// CPU time in microseconds for each period of so many microseconds: (quota, period).
    pub cpu: Option<(u64, u64)>,
    /// The share of CPU time in the group's own scale: v1 `cpu.shares` (default 1024), v2 `cpu.weight` (default 100).
    pub weight: Option<u64>,
    /// The processors it may use, if these are fewer than the machine has.
    pub cpuset: Option<String>,
    /// The devices.
    pub devices: Devices,
}

impl Groups {
    /// Those in a container's record.
    pub fn of_record(record: &Record) -> Self {
        Self(record.paths.clone())
    }

    /// Those that /proc/PID/cgroup names, read by [`Cgroups::parse`].
    pub fn of_hierarchies(all: &Cgroups) -> Self {
        let v1 = all.v1.iter().flat_map(|h| h.controllers.iter().map(|c| (c.clone(), h.directory())));
        Self(v1.chain(all.v2.iter().map(|h| (String::new(), h.directory()))).collect())
    }

    /// Whether there is a v1 hierarchy with this controller.
    fn v1(&self, controller: &str) -> Option<&Path> {
        self.0.get(controller).map(PathBuf::as_path)
    }

    /// The text of a file of the group itself, such as `memory.max`: v1 and v2 have their own names for most.
    pub fn read(&self, controller: &str, v1: &str, v2: &str) -> Option<String> {
        let (dir, file) = self.place(controller, v1, v2)?;
        std::fs::read_to_string(dir.join(file)).ok().map(|text| text.trim_end().to_owned())
    }

    fn place<'a>(&'a self, controller: &str, v1: &'a str, v2: &'a str) -> Option<(&'a Path, &'a str)> {
        self.v1(controller).map(|dir| (dir, v1)).or_else(|| Some((self.0.get("")?.as_path(), v2)))
    }

    /// The least limit of the group and those above it.
    fn limit(&self, controller: &str, v1: &str, v2: &str) -> Limit {
        let Some((dir, file)) = self.place(controller, v1, v2) else { return Limit::Unknown };
        let above = dir.ancestors().take_while(|d| d.join("cgroup.procs").exists());
        let read = |d: &Path| std::fs::read_to_string(d.join(file)).map_or(Limit::Unknown, |text| Limit::parse(&text));
        above.map(read).fold(Limit::Unknown, Limit::and)
    }

    /// The groups above: what they allow binds this one, whatever its own files say.
    pub fn above(&self) -> Self {
        let parent = |dir: &Path| dir.parent().filter(|d| d.join("cgroup.procs").exists()).map(Path::to_owned);
        Self(self.0.iter().filter_map(|(name, dir)| Some((name.clone(), parent(dir)?))).collect())
    }

    /// What the files of the group say.
    pub fn limits(&self) -> Limits {
        let memory = self.limit("memory", "memory.limit_in_bytes", "memory.max");
        let swap = self.limit("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
        let swap = match (self.v1("memory").is_some(), memory, swap) {
            (true, Limit::Most(memory), Limit::Most(both)) => Limit::Most(both.saturating_sub(memory)),
            (_, _, swap) => swap,
        };
        Limits {
            memory,
            swap,
            pids: self.limit("pids", "pids.max", "pids.max"),
            cpu: self.quota(),
            weight: self.read("cpu", "cpu.shares", "cpu.weight").and_then(|text| text.parse().ok()),
            cpuset: self.cpuset(),
            devices: self.devices(),
        }
    }

    fn quota(&self) -> Option<(u64, u64)> {
        let (quota, period) = match self.v1("cpu").is_some() {
            true => (self.read("cpu", "cpu.cfs_quota_us", "")?, self.read("cpu", "cpu.cfs_period_us", "")?),
            false => self.read("cpu", "", "cpu.max")?.split_once(' ').map(|(q, p)| (q.to_owned(), p.to_owned()))?,
        };
        Some((quota.parse().ok()?, period.parse().ok()?))
    }

    fn cpuset(&self) -> Option<String> {
        let own = self.read("cpuset", "cpuset.cpus", "cpuset.cpus.effective")?;
        let all = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
        (!own.is_empty() && own != all.trim_end()).then_some(own)
    }

    fn devices(&self) -> Devices {
        if let Some(dir) = self.v1("devices") {
            return match std::fs::read_to_string(dir.join("devices.list")) {
                Ok(list) if list.lines().any(|line| line == "a *:* rwm") => Devices::All,
                Ok(_) => Devices::Listed,
                Err(_) => Devices::Unknown,
            };
        }
        let Some(dir) = self.0.get("") else { return Devices::Unknown };
        let programs = |d: &Path| bpf::attached_device_programs(std::fs::File::open(d).ok()?.as_fd()).ok();
        let mut above = dir.ancestors().take_while(|d| d.join("cgroup.procs").exists()).map(programs);
        above
            .try_fold(Devices::All, |found, programs| programs.map(|list| if list.is_empty() { found } else { Devices::Listed }))
            .unwrap_or(Devices::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(Limit::parse("max\n"), Limit::None);
        assert_eq!(Limit::parse("9223372036854771712"), Limit::None);
        assert_eq!(Limit::parse("33554432\n"), Limit::Most(33_554_432));
        assert_eq!(Limit::parse(""), Limit::Unknown);
        assert_eq!(Limit::Most(9).and(Limit::Most(4)).and(Limit::None), Limit::Most(4));
        assert_eq!(Limit::None.and(Limit::Unknown), Limit::None);
    }

    /// A directory that looks like a group, with one above it.
    fn group(files: &[(&str, &str)], above: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let top = tempfile::tempdir().expect("a directory");
        let dir = top.path().join("web");
        std::fs::create_dir(&dir).expect("mkdir");
        for (place, files) in [(dir.as_path(), files), (top.path(), above)] {
            std::fs::write(place.join("cgroup.procs"), "").expect("write");
            files.iter().for_each(|(name, text)| std::fs::write(place.join(name), text).expect("write"));
        }
        (top, dir)
    }

    #[test]
    fn the_strictest_group_on_the_way_up_binds() {
        let own = [("memory.max", "max\n"), ("memory.swap.max", "0\n"), ("pids.max", "100\n"), ("cpu.max", "50000 100000\n")];
        let (_top, dir) = group(&own, &[("memory.max", "67108864\n"), ("pids.max", "4096\n"), ("memory.swap.max", "max\n")]);
        let limits = Groups([(String::new(), dir.clone())].into()).limits();
        assert_eq!((limits.memory, limits.swap, limits.pids), (Limit::Most(67_108_864), Limit::Most(0), Limit::Most(100)));
        assert_eq!(limits.cpu, Some((50_000, 100_000)));
        let groups = Groups([(String::new(), dir)].into());
        let above = groups.above().limits();
        assert_eq!((above.memory, above.swap, above.pids), (Limit::Most(67_108_864), Limit::None, Limit::Most(4096)));
        assert_eq!(groups.above().above(), Groups::default());
    }

    #[test]
    fn of_v1_swap_is_what_both_together_leave() {
        let memory = [("memory.limit_in_bytes", "100\n"), ("memory.memsw.limit_in_bytes", "150\n")];
        let (_top, dir) = group(&memory, &[]);
        let (_other, cpu) =
            group(&[("cpu.shares", "512\n"), ("cpu.cfs_quota_us", "-1\n"), ("cpu.cfs_period_us", "100000\n")], &[]);
        let (_third, devices) = group(&[("devices.list", "a *:* rwm\n")], &[]);
        let map = [("memory".to_owned(), dir), ("cpu".to_owned(), cpu), ("devices".to_owned(), devices)];
        let limits = Groups(map.into()).limits();
        assert_eq!((limits.memory, limits.swap), (Limit::Most(100), Limit::Most(50)));
        assert_eq!((limits.cpu, limits.weight, limits.devices), (None, Some(512), Devices::All));
        assert_eq!(Groups::default().limits(), Limits::default());
    }
}
