//! Control groups: each limit is proved by what it does to a process that ignores it. On v1 and v2 alike, but for what only one has.

mod below;
pub mod cpu;
pub mod devices;
mod hugepages;
mod limits;
mod memory;
mod rdma;
pub mod scopes;
mod unified;
mod view;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::support::*;

/// The tests of all parts.
pub fn tests() -> Vec<Test> {
    let parts = [
        below::tests(),
        cpu::tests(),
        devices::tests(),
        hugepages::tests(),
        limits::tests(),
        memory::tests(),
        rdma::tests(),
        scopes::tests(),
        unified::tests(),
        view::tests(),
    ];
    parts.into_iter().flatten().collect()
}

pub fn lacks_v1() -> Option<&'static str> {
    (!Path::new("/sys/fs/cgroup/memory").exists()).then_some("needs cgroup v1")
}

fn lacks_v2() -> Option<&'static str> {
    (!is_v2()).then_some("needs pure cgroup v2")
}

pub fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Whether groups can be bound to CPUs.
pub fn has_cpuset() -> bool {
    !is_v2() || read("/sys/fs/cgroup/cgroup.controllers").split_whitespace().any(|c| c == "cpuset")
}

/// A bundle with `resources` beside the default device rule.
pub fn limited(args: &[&str], resources: Value) -> Bundle {
    let mut b = Bundle::new(args);
    for (key, value) in resources.as_object().expect("an object") {
        b.config["linux"]["resources"][key] = value.clone();
    }
    b
}

/// The container's group, on v1 in the hierarchy of `controller`.
pub fn group(b: &Bundle, controller: &str) -> PathBuf {
    let mine = |dir: &PathBuf| is_v2() || dir.starts_with(format!("/sys/fs/cgroup/{controller}"));
    groups_named(&b.id).into_iter().find(mine).unwrap_or_else(|| panic!("no group in {controller}"))
}

pub fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Asks again until it is so, at most ten seconds.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}
