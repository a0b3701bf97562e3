//! One reading of a container's groups and processes (cgroups(7), proc_pid_status(5), the kernel's accounting/psi.rst).
//!
//! v1 has a directory per controller and names of its own; v2 has one directory. `None` is "no such file here".

use std::collections::BTreeMap;
use std::time::Instant;

use crate::workshop::observed::container::Container;
use crate::workshop::observed::groups::{Groups, Limit};

/// What the kernel says at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// Processor time in nanoseconds.
    pub cpu: Option<u64>,
    /// Periods of the CPU quota; those in which it was used up.
    pub throttling: Option<(u64, u64)>,
    /// Memory in use, bytes.
    pub memory: Option<u64>,
    /// memory.stat.
    pub memory_stat: BTreeMap<String, u64>,
    /// Memory of the kernel's own, of sockets, and swapped out, where there are files of their own.
    pub kernel: Option<u64>,
    /// See above.
    pub sockets: Option<u64>,
    /// See above.
    pub swap: Option<u64>,
    /// Processes that were killed for lack of memory.
    pub oom_kills: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Pressure in percent of the last ten seconds: CPU, memory, block devices.
    pub pressure: [Option<f64>; 3],
    /// Sums over all threads.
    pub sched: Sched,
    /// The limits in force.
    pub memory_limit: Limit,
    /// See above.
    pub pids_limit: Limit,
}

/// Switches between threads, and what waiting cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sched {
    /// Threads that were read.
    pub threads: u64,
    /// The thread had nothing to do.
    pub voluntary: Option<u64>,
    /// Its time was over.
    pub involuntary: Option<u64>,
    /// It went on on another CPU.
    pub migrations: Option<u64>,
    /// Nanoseconds in which it could have run, and another did.
    pub waited: Option<u64>,
}

impl Reading {
    /// Reads.
    pub fn of(container: &Container) -> Self {
        let groups = container.groups();
        let limits = groups.limits();
        let number = |controller, v1, v2| groups.read(controller, v1, v2)?.parse().ok();
        let v1 = groups.0.contains_key("memory");
        let stat = keyed(groups.read("memory", "memory.stat", "memory.stat"));
        let own = |v1_file, key: &str| if v1 { number("memory", v1_file, "") } else { stat.get(key).copied() };
        let pressure = |file: &str| avg10(&groups.read("", "", file)?);
        Self {
            at: Instant::now(),
            cpu: cpu(&groups),
            throttling: throttling(&groups),
            memory: number("memory", "memory.usage_in_bytes", "memory.current"),
            kernel: own("memory.kmem.usage_in_bytes", "kernel"),
            sockets: own("memory.kmem.tcp.usage_in_bytes", "sock"),
            swap: if v1 { stat.get("swap").copied() } else { number("memory", "", "memory.swap.current") },
            oom_kills: keyed(groups.read("memory", "memory.oom_control", "memory.events")).get("oom_kill").copied(),
            memory_stat: stat,
            pids: number("pids", "pids.current", "pids.current"),
            pressure: ["cpu.pressure", "memory.pressure", "io.pressure"].map(pressure),
            sched: Sched::of(&container.pids()),
            memory_limit: limits.memory,
            pids_limit: limits.pids,
        }
    }

    /// Pages of files, tmpfs among them.
    pub fn cache(&self) -> Option<u64> {
        self.memory_stat
            .get("total_cache")
            .or_else(|| self.memory_stat.get("file"))
            .or_else(|| self.memory_stat.get("cache"))
            .copied()
    }

    /// One of memory.stat's counters by v1's or v2's name; of v1 with the groups below.
    pub fn stat(&self, v1: &str, v2: &str) -> Option<u64> {
        self.memory_stat.get(&format!("total_{v1}")).or_else(|| self.memory_stat.get(v2)).copied()
    }
}

/// Lines of a name and a number.
fn keyed(text: Option<String>) -> BTreeMap<String, u64> {
    let text = text.unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(k, v)| Some((k.to_owned(), v.trim().parse().ok()?)))
        .collect()
}

fn cpu(groups: &Groups) -> Option<u64> {
    match groups.read("cpuacct", "cpuacct.usage", "cpu.stat")? {
        text if groups.0.contains_key("cpuacct") => text.parse().ok(),
        text => keyed(Some(text)).get("usage_usec").map(|usec| usec.saturating_mul(1000)),
    }
}

fn throttling(groups: &Groups) -> Option<(u64, u64)> {
    let stat = keyed(groups.read("cpu", "cpu.stat", "cpu.stat"));
    Some((*stat.get("nr_periods")?, *stat.get("nr_throttled")?))
}

/// `some avg10=8.20 …`.
fn avg10(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("some avg10="))?.split(' ').next()?.parse().ok()
}

impl Sched {
    /// Of all threads of these processes.
    fn of(pids: &[i32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            threads.for_each(|thread| sum.add(&thread.path()));
        }
        sum
    }

    fn add(&mut self, thread: &std::path::Path) {
        // The name of a thread, which is in these files, need not be text.
        let read = |name: &str| std::fs::read(thread.join(name)).ok().map(|b| String::from_utf8_lossy(&b).into_owned());
        let Some(status) = read("status") else { return };
        let field = |text: &str, key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
            value.trim().parse::<u64>().ok()
        };
        let add = |sum: &mut Option<u64>, value: Option<u64>| {
            if let Some(value) = value {
                *sum.get_or_insert(0) += value;
            }
        };
        self.threads += 1;
        add(&mut self.voluntary, field(&status, "voluntary_ctxt_switches"));
        add(&mut self.involuntary, field(&status, "nonvoluntary_ctxt_switches"));
        add(&mut self.migrations, read("sched").and_then(|text| field(&text, "se.nr_migrations")));
        add(&mut self.waited, read("schedstat").and_then(|text| text.split(' ').nth(1)?.parse().ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_lines() {
        let stat = keyed(Some("nr_periods 40\nnr_throttled 7\nthrottled_usec 12\nodd\n".into()));
        assert_eq!((stat.len(), stat["nr_throttled"]), (3, 7));
        assert_eq!(avg10("some avg10=8.20 avg60=0.10 avg300=0.00 total=9\nfull avg10=1.00 x\n"), Some(8.2));
        assert_eq!((avg10("full avg10=1.00"), keyed(None).len()), (None, 0));
    }

    #[test]
    fn this_process_has_switched() {
        let sched = Sched::of(&[std::process::id().cast_signed()]);
        assert!(sched.threads >= 1 && sched.voluntary.is_some() && sched.involuntary.is_some());
        assert_eq!(Sched::of(&[]).voluntary, None);
    }
}
