//! What the groups have used so far: the data of `events --stats` and of everything that watches containers (engines read it by the
//! names that runc gave it).
//!
//! Here is the shape; `read` fills it.

mod read;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use self::read::read;

/// All of it. What a controller does not tell is zero or empty.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are those of the kernel's files, see each section")]
pub struct Stats {
    pub cpu: Cpu,
    pub cpuset: Cpuset,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: Blkio,
    pub hugetlb: BTreeMap<String, Hugetlb>,
}

/// Processor time in nanoseconds.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct Cpu {
    pub usage: CpuUsage,
    pub throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Total, per CPU, and by mode.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct CpuUsage {
    pub total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// How often the quota took effect; the time in nanoseconds.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "named by the format")]
pub struct Throttling {
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_time: u64,
}

/// The CPUs and memory nodes in use, and v1's switches.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel")]
pub struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub cpu_exclusive: u64,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory in bytes; `swap` counts memory and swap together, as v1 does.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct Memory {
    pub cache: u64,
    pub usage: Entry,
    pub swap: Entry,
    pub kernel: Entry,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Entry,
    /// memory.stat.
    pub raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory; no limit is the largest number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct Entry {
    pub limit: u64,
    pub usage: u64,
    pub max: u64,
    pub failcnt: u64,
}

/// Processes; no limit is 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct Pids {
    pub current: u64,
    pub limit: u64,
}

/// Block devices. Current kernels fill the first two lists; the others were CFQ's.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "named by the format")]
pub struct Blkio {
    pub io_service_bytes_recursive: Vec<Io>,
    pub io_serviced_recursive: Vec<Io>,
    pub io_queue_recursive: Vec<Io>,
    pub io_service_time_recursive: Vec<Io>,
    pub io_wait_time_recursive: Vec<Io>,
    pub io_merged_recursive: Vec<Io>,
    pub io_time_recursive: Vec<Io>,
    pub sectors_recursive: Vec<Io>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One device and operation.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct Io {
    pub major: u64,
    pub minor: u64,
    pub op: String,
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the format")]
pub struct Hugetlb {
    pub usage: u64,
    pub max: u64,
    pub failcnt: u64,
}

/// Pressure stall information (kernel documentation: accounting/psi.rst).
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel")]
pub struct Pressure {
    pub some: Stall,
    pub full: Stall,
}

/// Shares of time in percent, and the total in microseconds.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel")]
pub struct Stall {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}
