//! What a class of service is given and has used: `intel_rdt` of `events --stats`, in runc's words.
//!
//! The counters of a group that counts for the container alone are its own; without one they are those of its whole class.

use std::fs::read_to_string;
use std::path::Path;

use serde::Serialize;

use super::Record;
use crate::host::Resctrl;

/// All of it. What the processor does not have is left out.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names are those of runc's document")]
pub struct Stats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<Cache>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<Bandwidth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema: Option<String>,
    /// All lines of the class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mbm_stats: Vec<Traffic>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmt_stats: Vec<Occupancy>,
}

/// What the cache can be divided into.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel: info/L3")]
pub struct Cache {
    pub cbm_mask: String,
    pub min_cbm_bits: u64,
    pub num_closids: u64,
}

/// What the bandwidth can be divided into; percent.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel: info/MB")]
pub struct Bandwidth {
    pub bandwidth_gran: u64,
    pub delay_linear: u64,
    pub min_bandwidth: u64,
    pub num_closids: u64,
}

/// Bytes moved, of one cache.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel: mon_data")]
pub struct Traffic {
    pub mbm_total_bytes: u64,
    pub mbm_local_bytes: u64,
}

/// Bytes held, of one cache.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "named by the kernel: mon_data")]
pub struct Occupancy {
    pub llc_occupancy: u64,
}

/// Reads it; everything empty for a container without a class, or where the file system is gone.
pub fn stats(record: Option<&Record>) -> Stats {
    match (record, Resctrl::ask()) {
        (Some(record), Some(host)) => read(&host.root, record),
        _ => Stats::default(),
    }
}

pub(super) fn read(root: &Path, record: &Record) -> Stats {
    let number = |path: &Path, name: &str| text(path, name).and_then(|t| t.parse().ok()).unwrap_or(0);
    let (of_root, own) = (lines(root), lines(&record.group));
    let line = |all: &[String], name: &str| all.iter().find(|l| l.starts_with(name)).cloned();
    let (l3, mb) = (root.join("info/L3"), root.join("info/MB"));
    let monitored = record.monitor.as_ref().unwrap_or(&record.group).join("mon_data");
    let mut found = Stats {
        l3_cache_info: text(&l3, "cbm_mask").map(|cbm_mask| Cache {
            cbm_mask,
            min_cbm_bits: number(&l3, "min_cbm_bits"),
            num_closids: number(&l3, "num_closids"),
        }),
        l3_cache_schema_root: line(&of_root, "L3:"),
        l3_cache_schema: line(&own, "L3:"),
        mem_bw_info: mb.is_dir().then(|| Bandwidth {
            bandwidth_gran: number(&mb, "bandwidth_gran"),
            delay_linear: number(&mb, "delay_linear"),
            min_bandwidth: number(&mb, "min_bandwidth"),
            num_closids: number(&mb, "num_closids"),
        }),
        mem_bw_schema_root: line(&of_root, "MB:"),
        mem_bw_schema: line(&own, "MB:"),
        schemata: own,
        ..Stats::default()
    };
    let mut caches: Vec<_> = std::fs::read_dir(monitored).into_iter().flatten().flatten().map(|e| e.path()).collect();
    caches.sort();
    for cache in caches.iter().filter(|c| c.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"mon_L3_"))) {
        if cache.join("mbm_total_bytes").exists() || cache.join("mbm_local_bytes").exists() {
            found.mbm_stats.push(Traffic {
                mbm_total_bytes: number(cache, "mbm_total_bytes"),
                mbm_local_bytes: number(cache, "mbm_local_bytes"),
            });
        }
        if cache.join("llc_occupancy").exists() {
            found.cmt_stats.push(Occupancy { llc_occupancy: number(cache, "llc_occupancy") });
        }
    }
    found
}

fn text(directory: &Path, name: &str) -> Option<String> {
    read_to_string(directory.join(name)).ok().map(|t| t.trim().to_owned())
}

/// The lines of a class, without the blanks that the kernel aligns them with.
fn lines(group: &Path) -> Vec<String> {
    let all = read_to_string(group.join("schemata")).unwrap_or_default();
    all.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
}
