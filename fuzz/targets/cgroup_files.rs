//! The files of control groups, whose lines are divided into files by NUL: statistics are made of any content.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rrun::concepts::cgroups::{self, Record};

const V1: [&str; 14] = [
    "memory.stat",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.kmem.usage_in_bytes",
    "cpuset.cpus",
    "cpuset.mems",
    "cpu.stat",
    "cpuacct.usage_percpu",
    "cpuacct.usage",
    "pids.current",
    "pids.max",
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_serviced_recursive",
    "cpu.pressure",
];
const V2: [&str; 14] = [
    "memory.stat",
    "memory.max",
    "memory.current",
    "memory.events",
    "cpuset.cpus",
    "cpuset.cpus.effective",
    "cpu.stat",
    "cpu.pressure",
    "io.stat",
    "io.pressure",
    "pids.current",
    "pids.max",
    "memory.swap.max",
    "memory.pressure",
];

/// A directory in memory for this process.
fn dir() -> &'static PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = PathBuf::from(format!("/dev/shm/rrun-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        dir
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let unified = choice & 1 != 0;
    let mut parts = rest.split(|b| *b == 0);
    for name in if unified { V2 } else { V1 } {
        std::fs::write(dir().join(name), parts.next().unwrap_or_default()).expect("write");
    }
    let names: &[&str] = if unified { &[""] } else { &["memory", "cpu", "cpuacct", "cpuset", "pids", "blkio", "hugetlb"] };
    let paths = names.iter().map(|n| ((*n).to_owned(), dir().clone())).collect();
    let stats = cgroups::stats(&Record { paths, ..Record::default() });
    serde_json::to_string(&stats).expect("JSON");
});
