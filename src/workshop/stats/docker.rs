//! `stats --format docker`: the object that Docker's interface and the metadata endpoint of tasks return for a container.
//!
//! Tools divide the differences of two readings by each other: `cpu_stats` is now, `precpu_stats` a moment before, both with the time
//! of all CPUs of the machine (`system_cpu_usage`). Times are nanoseconds, sizes bytes. No memory limit is the machine's memory.

use std::time::Duration;

use serde_json::{Value, json};

use crate::concepts::cgroups::stats::{Cpu, Entry, Stats};
use crate::concepts::{cgroups, traffic};
use crate::error::Result;
use crate::workshop::observed::container::Container;

/// The objects of these containers, by id, from two readings `apart` from each other. One that ends in between is left out.
pub fn objects(containers: Vec<Container>, apart: Duration) -> Result<Vec<(String, Value)>> {
    let before: Vec<Sample> = containers.iter().map(Sample::of).collect();
    std::thread::sleep(apart);
    let object = |(container, before): (Container, Sample)| {
        let now = Sample::of(&container);
        let alive = container.state.is_alive().unwrap_or(false);
        alive.then(|| object(&container, &before, &now).map(|object| (container.state.id.clone(), object)))
    };
    containers.into_iter().zip(before).filter_map(object).collect()
}

/// A reading in that form, with its time.
struct Sample {
    read: String,
    stats: Stats,
    system: u64,
}

impl Sample {
    fn of(container: &Container) -> Self {
        Self { read: crate::log::now(), stats: cgroups::stats(&container.state.cgroups), system: system_cpu() }
    }

    fn cpu(&self) -> Value {
        let Cpu { usage, throttling, .. } = &self.stats.cpu;
        json!({
            "cpu_usage": {"total_usage": usage.total, "usage_in_kernelmode": usage.kernel, "usage_in_usermode": usage.user},
            "system_cpu_usage": self.system,
            "online_cpus": std::thread::available_parallelism().map_or(1, usize::from),
            "throttling_data": {"periods": throttling.periods, "throttled_periods": throttling.throttled_periods,
                                "throttled_time": throttling.throttled_time},
        })
    }
}

fn object(container: &Container, before: &Sample, now: &Sample) -> Result<Value> {
    let stats = &now.stats;
    let has = |controller: &str| container.state.cgroups.paths.keys().any(|key| key.is_empty() || key == controller);
    let blkio = serde_json::to_value(&stats.blkio).unwrap_or_default();
    let lists = [
        ("io_service_bytes_recursive", "ioServiceBytesRecursive"),
        ("io_serviced_recursive", "ioServicedRecursive"),
        ("io_queue_recursive", "ioQueueRecursive"),
        ("io_service_time_recursive", "ioServiceTimeRecursive"),
        ("io_wait_time_recursive", "ioWaitTimeRecursive"),
        ("io_merged_recursive", "ioMergedRecursive"),
        ("io_time_recursive", "ioTimeRecursive"),
        ("sectors_recursive", "sectorsRecursive"),
    ];
    // An empty list is null, as Docker writes it.
    let list = |name: &str| blkio[name].as_array().filter(|list| !list.is_empty() && has("blkio")).cloned();
    let blkio: serde_json::Map<String, Value> =
        lists.iter().map(|(name, ours)| ((*name).to_owned(), json!(list(ours)))).collect();
    let networks = traffic::of(container.state.pid)?.unwrap_or_default();
    let network = |c: &traffic::Counters| {
        let counters = json!({"rx_bytes": c.rx_bytes, "rx_packets": c.rx_packets, "rx_errors": c.rx_errors, "rx_dropped": c.rx_dropped,
                              "tx_bytes": c.tx_bytes, "tx_packets": c.tx_packets, "tx_errors": c.tx_errors, "tx_dropped": c.tx_dropped});
        (c.name.clone(), counters)
    };
    Ok(json!({
        "read": now.read, "preread": before.read, "id": container.state.id, "name": container.state.id,
        "pids_stats": if has("pids") { pids(stats) } else { json!({}) },
        "networks": networks.iter().map(network).collect::<serde_json::Map<_, _>>(),
        "memory_stats": if has("memory") { memory(container, stats) } else { json!({}) },
        "blkio_stats": blkio, "cpu_stats": now.cpu(), "precpu_stats": before.cpu(),
    }))
}

/// No limit is the largest number, as Docker has it.
fn pids(stats: &Stats) -> Value {
    json!({"current": stats.pids.current, "limit": if stats.pids.limit == 0 { u64::MAX } else { stats.pids.limit }})
}

fn memory(container: &Container, stats: &Stats) -> Value {
    let Entry { limit, usage, max, failcnt } = stats.memory.usage;
    let limit = limit.min(total_memory());
    let mut memory = json!({"usage": usage, "limit": limit, "stats": stats.memory.raw});
    if container.state.cgroups.paths.contains_key("memory") {
        (memory["max_usage"], memory["failcnt"]) = (json!(max), json!(failcnt));
    }
    memory
}

fn total_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib.saturating_mul(1024))
}

/// The time of all CPUs since boot: user, nice, system, idle, iowait, irq, softirq, steal of /proc/stat, in clock ticks of 10 ms.
fn system_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: u64 =
        text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks.saturating_mul(10_000_000)
}
