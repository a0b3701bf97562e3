//! Sets of CPUs and memory nodes, written `0-3,7` (cpuset(7), "List format"), and the affinity of `exec`.
//!
//! A mask is a vector of words as long as its highest bit needs: `cpu_set_t` ends at CPU 1023, and machines do not.

use oci_spec::runtime::Process;

use crate::error::{At, Error, Result};
use crate::sys::sched;

/// The highest number taken: the kernel is built for at most 8192 CPUs and 1024 nodes. A limit keeps `0-4000000000` from
/// being a mask of half a gigabyte.
const HIGHEST: usize = 65_535;

/// Where an `exec`ed process runs (process.execCPUAffinity): before and after it entered the container's cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Mask for the time before, if any.
    pub initial: Option<Vec<u64>>,
    /// Mask for the time after, if any; else the cpuset decides.
    pub last: Option<Vec<u64>>,
}

/// Decides it. For `exec` only: the specification says it does not concern init.
pub fn affinity(process: &Process) -> Result<Affinity> {
    let Some(wanted) = process.exec_cpu_affinity() else { return Ok(Affinity::default()) };
    let mask = |list: &Option<String>, field: &str| match list.as_deref().filter(|l| !l.is_empty()) {
        Some(list) => parse(list).map(Some).map_err(|e| e.config(format!("process.execCPUAffinity.{field}"))),
        None => Ok(None),
    };
    Ok(Affinity { initial: mask(wanted.initial(), "initial")?, last: mask(wanted.cpu_affinity_final(), "final")? })
}

/// Sets the affinity of the process `pid` (0: the caller).
pub fn apply_affinity(mask: &[u64], pid: i32) -> Result<()> {
    sched::set_affinity(pid, mask).at(|| format!("error setting CPU affinity to {}", show(mask))).map_err(|e| {
        e.code("E-CPUSET")
            .hint("name CPUs that this host has and the container's cpuset allows (/proc/self/status, Cpus_allowed_list)")
    })
}

/// Reads `0-3,7`.
pub fn parse(list: &str) -> Result<Vec<u64>> {
    let bad = || Error::new(format!("invalid list {list:?}: expected numbers and ranges such as 0-3,7"));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten();
    let mut words = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first).ok_or_else(bad)?, number(last).ok_or_else(bad)?);
        if first > last || last > HIGHEST {
            return Err(bad());
        }
        words.resize(words.len().max(last / 64 + 1), 0);
        (first..=last).for_each(|n| words[n / 64] |= 1 << (n % 64));
    }
    Ok(words)
}

/// Writes a mask as a list; empty is `none`.
pub(super) fn show(mask: &[u64]) -> String {
    let bits: Vec<usize> = (0..mask.len() * 64).filter(|n| mask[n / 64] & 1 << (n % 64) != 0).collect();
    let ranges = bits.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [only] => only.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    let text = ranges.collect::<Vec<_>>().join(",");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_masks_agree() {
        assert_eq!(parse("0-3,7").expect("a list"), [0x8f]);
        assert_eq!(show(&[0x8f]), "0-3,7");
        let wide = parse("1,2000-2001").expect("beyond cpu_set_t");
        assert_eq!(wide.len(), 32);
        assert_eq!(show(&wide), "1,2000-2001");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "x", "1-", "-1", "3-1", "1,,2", "+1", " 1", "0-4000000000", "99999999999999999999"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
