//! Who is in a container (proc_pid_stat(5), pid_namespaces(7)).
//!
//! The groups know; nobody leaves them. A container that was made without privilege may have none: then those are taken for
//! its processes that are in its PID namespace, and all that they or init started. For a display that is good enough. To end a
//! container it need not be: when the first process of a PID namespace dies, the kernel ends all others in it.

use std::collections::{HashMap, HashSet};

use crate::concepts::cgroups;
use crate::error::{At, Result};
use crate::state::State;

/// The host pids of its processes, sorted.
pub fn pids(state: &State) -> Result<Vec<i32>> {
    let mut pids = match state.cgroups.paths.is_empty() {
        true if state.is_alive()? => descendants(state)?,
        _ => cgroups::pids(&state.cgroups)?,
    };
    pids.sort_unstable();
    Ok(pids)
}

fn descendants(state: &State) -> Result<Vec<i32>> {
    let own = state.has_own_pid_namespace().then(|| namespace(state.pid)).flatten();
    let mut found = HashSet::from([state.pid]);
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").at(|| "read /proc")? {
        let Some(pid) = entry.at(|| "read /proc")?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // What has ended meanwhile is not in the container any more.
        let Some(parent) = parent(pid) else { continue };
        children.entry(parent).or_default().push(pid);
        if own.is_some() && namespace(pid) == own {
            found.insert(pid);
        }
    }
    let mut waiting: Vec<i32> = found.iter().copied().collect();
    while let Some(pid) = waiting.pop() {
        waiting.extend(children.remove(&pid).unwrap_or_default().into_iter().filter(|child| found.insert(*child)));
    }
    Ok(found.into_iter().collect())
}

/// What tells its PID namespace from others.
fn namespace(pid: i32) -> Option<(u64, u64)> {
    nix::sys::stat::stat(format!("/proc/{pid}/ns/pid").as_str()).ok().map(|s| (s.st_dev, s.st_ino))
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets is chosen by the process: it may hold brackets and blanks, and need not be UTF-8.
    String::from_utf8_lossy(&stat).rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
