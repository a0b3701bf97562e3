//! Filling [`Stats`] from the files of the groups.
//!
//! They are read by the package cgroups-rs where it reads them safely. It takes for granted what may be missing or larger than it thinks
//! (v2's memory.max, large device numbers in io.stat); those are read here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuacct::CpuAcctController;
use cgroups_rs::fs::hugetlb::HugeTlbController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;

use super::super::{Record, write};
use super::{Blkio, Cpu, CpuUsage, Cpuset, Entry, Hugetlb, Io, Memory, Pids, Pressure, Stall, Stats, Throttling};

/// Reads what the groups of `record` have used.
pub(in super::super) fn read(record: &Record) -> Stats {
    let unified = record.paths.keys().all(String::is_empty);
    let dir = |controller: &str| record.paths.get(if unified { "" } else { controller }).cloned();
    Stats {
        cpu: cpu(dir("cpu"), dir("cpuacct"), unified),
        cpuset: dir("cpuset").map(|d| cpuset(&d)).unwrap_or_default(),
        memory: dir("memory").map(|d| if unified { memory_v2(&d) } else { memory_v1(&d) }).unwrap_or_default(),
        pids: dir("pids").map(|d| pids(d, unified)).unwrap_or_default(),
        blkio: dir("blkio").map(|d| if unified { blkio_v2(&d) } else { blkio_v1(&d) }).unwrap_or_default(),
        hugetlb: dir("hugetlb").map(|d| hugetlb(d, unified)).unwrap_or_default(),
    }
}

fn text(dir: &Path, file: &str) -> String {
    write::read(&dir.join(file)).unwrap_or_default()
}

/// A number; `max` is the largest, a missing file 0.
fn number(dir: &Path, file: &str) -> u64 {
    let text = text(dir, file);
    if text == "max" { u64::MAX } else { text.parse().unwrap_or(0) }
}

/// Lines of a name and a number.
fn keyed(text: &str) -> BTreeMap<String, u64> {
    text.lines().filter_map(|l| l.split_once(' ')).filter_map(|(k, v)| Some((k.to_owned(), v.trim().parse().ok()?))).collect()
}

fn cpu(cpu: Option<PathBuf>, acct: Option<PathBuf>, unified: bool) -> Cpu {
    let Some(dir) = cpu.or_else(|| acct.clone()) else { return Cpu::default() };
    let stat = keyed(&CpuController::new(dir.clone(), dir.clone(), unified).cpu().stat);
    let get = |key: &str| stat.get(key).copied().unwrap_or(0);
    let throttled = if unified { get("throttled_usec").saturating_mul(1000) } else { get("throttled_time") };
    let throttling = Throttling { periods: get("nr_periods"), throttled_periods: get("nr_throttled"), throttled_time: throttled };
    let usage = if unified {
        let time = |key: &str| get(key).saturating_mul(1000);
        CpuUsage { total: time("usage_usec"), kernel: time("system_usec"), user: time("user_usec"), ..CpuUsage::default() }
    } else {
        acct.map(cpuacct).unwrap_or_default()
    };
    Cpu { usage, throttling, psi: pressure(&text(&dir, "cpu.pressure")) }
}

fn cpuacct(dir: PathBuf) -> CpuUsage {
    let acct = CpuAcctController::new(dir.clone(), dir).cpuacct();
    let list = |text: String| text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    CpuUsage {
        total: acct.usage,
        percpu: list(acct.usage_percpu),
        percpu_kernel: list(acct.usage_percpu_sys),
        percpu_user: list(acct.usage_percpu_user),
        kernel: acct.usage_sys,
        user: acct.usage_user,
    }
}

fn cpuset(dir: &Path) -> Cpuset {
    let flag = |name: &str| number(dir, &format!("cpuset.{name}"));
    // A group of v2 without a list of its own uses what the groups above leave it. (v1 has such a file under another name.)
    let in_use = |file: &str| match text(dir, &format!("{file}.effective")) {
        list if list.is_empty() => numbers(&text(dir, file)),
        list => numbers(&list),
    };
    Cpuset {
        cpus: in_use("cpuset.cpus"),
        mems: in_use("cpuset.mems"),
        cpu_exclusive: flag("cpu_exclusive"),
        mem_hardwall: flag("mem_hardwall"),
        mem_exclusive: flag("mem_exclusive"),
        memory_migrate: flag("memory_migrate"),
        memory_spread_page: flag("memory_spread_page"),
        memory_spread_slab: flag("memory_spread_slab"),
        memory_pressure: flag("memory_pressure"),
        sched_load_balance: flag("sched_load_balance"),
        sched_relax_domain_level: text(dir, "cpuset.sched_relax_domain_level").parse().unwrap_or(0),
    }
}

/// The members of a list such as `0-2,5`.
fn numbers(list: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

fn memory_v1(dir: &Path) -> Memory {
    let controller = MemController::new(dir.to_owned(), dir.to_owned(), false);
    let entry = |limit: i64, usage, max, failcnt| Entry { limit: u64::try_from(limit).unwrap_or(u64::MAX), usage, max, failcnt };
    let (all, swap, kernel, tcp) =
        (controller.memory_stat(), controller.memswap(), controller.kmem_stat(), controller.kmem_tcp_stat());
    Memory {
        cache: all.stat.cache,
        usage: entry(all.limit_in_bytes, all.usage_in_bytes, all.max_usage_in_bytes, all.fail_cnt),
        swap: entry(swap.limit_in_bytes, swap.usage_in_bytes, swap.max_usage_in_bytes, swap.fail_cnt),
        kernel: entry(kernel.limit_in_bytes, kernel.usage_in_bytes, kernel.max_usage_in_bytes, kernel.fail_cnt),
        kernel_tcp: entry(tcp.limit_in_bytes, tcp.usage_in_bytes, tcp.max_usage_in_bytes, tcp.fail_cnt),
        raw: all.stat.raw.into_iter().collect(),
        psi: None,
    }
}

fn memory_v2(dir: &Path) -> Memory {
    let raw = keyed(&text(dir, "memory.stat"));
    let events = keyed(&text(dir, "memory.events"));
    let usage = Entry {
        limit: number(dir, "memory.max"),
        usage: number(dir, "memory.current"),
        max: number(dir, "memory.peak"),
        failcnt: events.get("max").copied().unwrap_or(0),
    };
    // v2 counts swap alone; the format counts both together.
    let swap = Entry {
        limit: number(dir, "memory.swap.max").saturating_add(usage.limit),
        usage: number(dir, "memory.swap.current").saturating_add(usage.usage),
        max: number(dir, "memory.swap.peak").saturating_add(usage.max),
        failcnt: keyed(&text(dir, "memory.swap.events")).get("fail").copied().unwrap_or(0),
    };
    let cache = raw.get("file").copied().unwrap_or(0);
    Memory { cache, usage, swap, raw, psi: pressure(&text(dir, "memory.pressure")), ..Memory::default() }
}

fn pids(dir: PathBuf, unified: bool) -> Pids {
    let controller = PidController::new(dir.clone(), dir, unified);
    let limit = match controller.get_pid_max() {
        Ok(MaxValue::Value(limit)) => u64::try_from(limit).unwrap_or(0),
        _ => 0,
    };
    Pids { current: controller.get_pid_current().unwrap_or(0), limit }
}

fn blkio_v1(dir: &Path) -> Blkio {
    // BFQ counts only what it schedules; the throttling layer counts all. Most of the rest was CFQ's, or is for debugging BFQ.
    let first = |names: &[String]| names.iter().map(|n| io_lines(&text(dir, n))).find(|l| !l.is_empty()).unwrap_or_default();
    let both = |name: &str| first(&[format!("blkio.bfq.{name}_recursive"), format!("blkio.throttle.{name}_recursive")]);
    let old = |name: &str| first(&[format!("blkio.bfq.{name}_recursive"), format!("blkio.{name}_recursive")]);
    Blkio {
        io_service_bytes_recursive: both("io_service_bytes"),
        io_serviced_recursive: both("io_serviced"),
        io_queue_recursive: old("io_queued"),
        io_service_time_recursive: old("io_service_time"),
        io_wait_time_recursive: old("io_wait_time"),
        io_merged_recursive: old("io_merged"),
        io_time_recursive: old("time"),
        sectors_recursive: old("sectors"),
        psi: None,
    }
}

/// Lines such as `8:0 Read 4096`, in some files without the operation; the line of the grand total names no device.
fn io_lines(text: &str) -> Vec<Io> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (device, op, value) = match words.as_slice() {
            [device, op, value] => (device, *op, value),
            [device, value] => (device, "", value),
            _ => return None,
        };
        let (major, minor) = device.split_once(':')?;
        Some(Io { major: major.parse().ok()?, minor: minor.parse().ok()?, op: op.to_owned(), value: value.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

fn blkio_v2(dir: &Path) -> Blkio {
    let mut found = Blkio { psi: pressure(&text(dir, "io.pressure")), ..Blkio::default() };
    for line in text(dir, "io.stat").lines() {
        let mut words = line.split_whitespace();
        let Some((Ok(major), Ok(minor))) =
            words.next().and_then(|w| w.split_once(':')).map(|(a, b)| (a.parse::<u64>(), b.parse::<u64>()))
        else {
            continue;
        };
        for (key, value) in words.filter_map(|w| w.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut found.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut found.io_service_bytes_recursive, "Write"),
                "rios" => (&mut found.io_serviced_recursive, "Read"),
                "wios" => (&mut found.io_serviced_recursive, "Write"),
                "dbytes" => (&mut found.io_service_bytes_recursive, "Discard"),
                "dios" => (&mut found.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            list.extend(value.parse().ok().map(|value| Io { major, minor, op: op.to_owned(), value }));
        }
    }
    found
}

fn hugetlb(dir: PathBuf, unified: bool) -> BTreeMap<String, Hugetlb> {
    let controller = HugeTlbController::new(dir.clone(), dir, unified);
    let size = |size: String| {
        let usage = controller.usage_in_bytes(&size).ok()?;
        let max = controller.max_usage_in_bytes(&size).unwrap_or(0);
        let failcnt = controller.failcnt(&size).unwrap_or(0);
        Some((size, Hugetlb { usage, max, failcnt }))
    };
    controller.get_sizes().into_iter().filter_map(size).collect()
}

/// Lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
fn pressure(text: &str) -> Option<Pressure> {
    let stall = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        let get = |key: &str| line.split_whitespace().find_map(|w| w.strip_prefix(key)?.strip_prefix('='));
        let share = |key: &str| get(key).and_then(|v| v.parse().ok()).unwrap_or(0.0);
        let total = get("total").and_then(|v| v.parse().ok()).unwrap_or(0);
        Some(Stall { avg10: share("avg10"), avg60: share("avg60"), avg300: share("avg300"), total })
    };
    Some(Pressure { some: stall("some ")?, full: stall("full ").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        assert_eq!(numbers("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(numbers(""), [0u16; 0]);
        let io = io_lines("259:70000 Read 4096\nTotal 4096\n");
        assert_eq!(io, [Io { major: 259, minor: 70000, op: "Read".into(), value: 4096 }]);
        assert_eq!(io_lines("8:0 12\n")[0], Io { major: 8, minor: 0, op: String::new(), value: 12 });
        let psi = pressure("some avg10=1.50 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=3\n")
            .expect("psi");
        assert_eq!((psi.some.avg10, psi.some.total, psi.full.total), (1.5, 7, 3));
        assert_eq!(pressure(""), None);
    }

    #[test]
    fn a_v2_group_in_the_words_of_v1() {
        let dir = tempfile::tempdir().expect("directory");
        for (name, text) in [
            ("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 4\nnr_throttled 1\nthrottled_usec 6\n"),
            ("memory.current", "100\n"),
            ("memory.max", "1000\n"),
            ("memory.swap.current", "10\n"),
            ("memory.swap.max", "max\n"),
            ("memory.stat", "anon 60\nfile 40\n"),
            ("pids.current", "2\n"),
            ("cpuset.cpus", "\n"),
            ("cpuset.cpus.effective", "0-1\n"),
            ("cpuset.mems.effective", "0\n"),
            ("pids.max", "max\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n253:70000 \n"),
        ] {
            std::fs::write(dir.path().join(name), text).expect("write");
        }
        let stats = read(&Record { paths: [(String::new(), dir.path().to_owned())].into(), ..Record::default() });
        assert_eq!((stats.cpu.usage.total, stats.cpu.usage.kernel, stats.cpu.throttling.throttled_time), (5000, 2000, 6000));
        assert_eq!((stats.memory.usage.limit, stats.memory.swap.limit, stats.memory.swap.usage), (1000, u64::MAX, 110));
        assert_eq!((stats.memory.cache, stats.memory.raw["anon"]), (40, 60));
        assert_eq!(stats.pids, Pids { current: 2, limit: 0 });
        let value: Vec<u64> =
            stats.blkio.io_service_bytes_recursive.iter().chain(&stats.blkio.io_serviced_recursive).map(|io| io.value).collect();
        assert_eq!(value, [1, 2, 5, 3, 4, 6]);
        assert_eq!((stats.cpuset.cpus.as_slice(), stats.cpuset.mems.as_slice()), ([0, 1].as_slice(), [0].as_slice()));
        let json = serde_json::to_value(&stats).expect("JSON");
        assert_eq!(json["cpu"]["throttling"]["throttledPeriods"], 1);
        assert_eq!(json["memory"]["kernelTCP"]["failcnt"], 0);
        assert_eq!(json["blkio"]["ioServiceBytesRecursive"][0]["op"], "Read");
    }
}
