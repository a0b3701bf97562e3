//! Who is there: the processes of this machine, those below one, and those of one pid namespace (proc_pid_stat(5), pid_namespaces(7)).
//!
//! The list is a moment's: who ends while it is read is left out, who starts may be missing. The tree goes by parents as rrun's own pid
//! namespace sees them, so that of a container has both ends: the host's pid and, through [`Status::ns_pids`], the container's.
//!
//! [`Status::ns_pids`]: super::status::Status::ns_pids

use std::collections::{BTreeMap, BTreeSet};

use super::Process;
use super::namespaces::Kind;

/// The first fields of /proc/PID/stat, and the start time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Its pid.
    pub pid: i32,
    /// Its name, chosen by itself; escaped.
    pub name: String,
    /// One letter; Z is a zombie.
    pub state: char,
    /// Its parent.
    pub ppid: i32,
    /// When it started, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
}

impl Stat {
    /// Reads the line. The name may hold blanks and brackets, so fields are counted from the last `)` on.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.rsplit_once(')')?;
        let (pid, name) = head.split_once(" (")?;
        let mut fields = tail.split_ascii_whitespace();
        let (state, ppid) = (fields.next()?, fields.next()?);
        let start = fields.nth(17)?.parse().ok()?;
        let name = crate::log::value(name);
        Some(Self { pid: pid.parse().ok()?, name, state: state.chars().next()?, ppid: ppid.parse().ok()?, start })
    }
}

/// All processes, in the order of their pids.
pub fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().filter_map(Process::open).collect()
}

/// The pids of all in the pid namespace `id`, and of all that those started in namespaces further in.
pub fn of_pid_namespace(id: u64) -> Vec<i32> {
    let all: Vec<(Stat, Option<u64>)> = all().iter().filter_map(|p| Some((p.stat()?, p.namespaces().get(Kind::Pid)))).collect();
    let first = all.iter().filter(|(_, namespace)| *namespace == Some(id)).map(|(stat, _)| stat.pid).collect();
    with_children(first, &all.iter().map(|(stat, _)| (stat.pid, stat.ppid)).collect::<Vec<_>>())
}

/// The pids of `pid` and all below it.
pub fn below(pid: i32) -> Vec<i32> {
    let all: Vec<(i32, i32)> = all().iter().filter_map(|p| p.stat().map(|stat| (stat.pid, stat.ppid))).collect();
    with_children([pid].into(), &all)
}

/// `first` with all their descendants, by (pid, parent), sorted.
fn with_children(mut found: BTreeSet<i32>, all: &[(i32, i32)]) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    all.iter().for_each(|(pid, parent)| children.entry(*parent).or_default().push(*pid));
    let mut waiting: Vec<i32> = found.iter().copied().collect();
    while let Some(pid) = waiting.pop() {
        let new: Vec<i32> = children.remove(&pid).unwrap_or_default().into_iter().filter(|child| found.insert(*child)).collect();
        waiting.extend(new);
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let tail = format!(" S 7 {} 99 0 0", "0 ".repeat(17).trim_end());
        let stat = Stat::parse(&format!("42 (a) R 1 (b\x1b){tail}")).expect("a stat");
        assert_eq!((stat.pid, stat.name.as_str(), stat.state, stat.ppid, stat.start), (42, "a) R 1 (b\\x1b", 'S', 7, 99));
        assert_eq!(Stat::parse("42 (x) S"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn descendants_are_followed_and_loops_end() {
        let all = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)];
        assert_eq!(with_children([2].into(), &all), [2, 3, 4]);
        assert_eq!(with_children([6].into(), &all), [6, 7]);
    }

    #[test]
    fn a_child_is_below_this_process() {
        let own = std::process::id().cast_signed();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("start sleep");
        let pid = child.id().cast_signed();
        assert!(below(own).contains(&pid) && below(pid) == [pid]);
        let namespace = Process::open(pid).expect("there").namespaces().get(Kind::Pid).expect("readable");
        assert!(of_pid_namespace(namespace).contains(&pid));
        child.kill().expect("kill");
        child.wait().expect("reap");
    }
}
