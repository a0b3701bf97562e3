//! Drift: what config.json asks for, and what the kernel says.
//!
//! Somebody changed a limit, another runtime passed over a key, the program gave up or gained privileges. Weaker than asked for is a
//! hole that no review of configs finds; stronger is worth knowing when the container is made anew.

use super::facts::Facts;
use super::judge::Verdict;
use super::table::{CHECKS, Check};
use crate::workshop::observed::groups::Limit;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The check it belongs to.
    pub id: &'static str,
    /// What the config asks for.
    pub asked: String,
    /// What is the case.
    pub effective: String,
    /// Whether the container is weaker than asked for.
    pub weaker: bool,
    /// All of it in one sentence.
    pub text: String,
}

/// All differences, heaviest first.
pub fn of(asked: &Facts, effective: &Facts) -> Vec<Drift> {
    let expected = expected(asked, effective);
    CHECKS.iter().filter_map(|check| difference(check, asked, &expected, effective)).collect()
}

/// What must be the case if all that is asked for is done: what the groups above do not allow, nobody below has.
fn expected(asked: &Facts, effective: &Facts) -> Facts {
    let mut expected = asked.clone();
    expected.memory = asked.memory.and(effective.above.memory);
    expected.swap = asked.swap.and(effective.above.swap);
    expected.pids = asked.pids.and(effective.above.pids);
    if effective.above.cpuset && expected.processor.is_empty() {
        "cpuset".clone_into(&mut expected.processor);
    }
    expected
}

fn difference(check: &'static Check, asked: &Facts, expected: &Facts, effective: &Facts) -> Option<Drift> {
    let (want, is) = ((check.judge)(expected)?, (check.judge)(effective)?);
    let differs = |a: &Verdict, b: &Verdict| match check.id {
        "PIDS" | "UID-ROOT" => a.state != b.state,
        // Where swap is not counted nothing can be said of it.
        "MEM" => a.state != b.state && !(effective.swap == Limit::Unknown && expected.memory == effective.memory),
        "CPU" => a.badness != b.badness && expected.processor != "cpuset",
        _ => a.badness != b.badness,
    };
    if !differs(&want, &is) {
        return None;
    }
    let (what, place) = (subject(check.id), place(check.area));
    let weaker = is.badness > want.badness || (is.badness == want.badness && larger(check.id, expected, effective));
    let asked = (check.judge)(asked)?.state;
    let text = format!("config says {what} {asked}, {place} has {}", is.state);
    Some(Drift { id: check.id, asked, effective: is.state, weaker, text })
}

/// Whether a limit is wider than asked for.
fn larger(id: &str, asked: &Facts, effective: &Facts) -> bool {
    let wider = |a: Limit, b: Limit| match (a, b) {
        (Limit::Most(a), Limit::Most(b)) => b > a,
        (asked, Limit::None) => asked.is_set(),
        _ => false,
    };
    match id {
        // Less memory with the same sum leaves more swap, which is no wider limit.
        "MEM" => wider(asked.memory, effective.memory) || wider(both(asked), both(effective)),
        "PIDS" => wider(asked.pids, effective.pids),
        _ => false,
    }
}

/// Memory and swap together.
fn both(facts: &Facts) -> Limit {
    match (facts.memory, facts.swap) {
        (Limit::Most(memory), Limit::Most(swap)) => Limit::Most(memory.saturating_add(swap)),
        (Limit::Unknown, _) | (_, Limit::Unknown) => Limit::Unknown,
        _ => Limit::None,
    }
}

/// What a check is about, in a sentence.
fn subject(id: &str) -> &'static str {
    match id {
        "NS-MNT" => "mount namespace:",
        "NS-NET" => "network namespace:",
        "NS-USER" => "user namespace:",
        "NS-PID" => "pid namespace:",
        "NS-IPC" => "IPC namespace:",
        "NS-UTS" => "UTS namespace:",
        "NS-CGROUP" => "cgroup namespace:",
        "CAP-ADMIN" | "CAP-READ" | "CAP-NET" | "CAP-FILE" => "dangerous capabilities:",
        "CAP-INH" => "inheritable capabilities:",
        "SECCOMP" => "seccomp:",
        "MNT-HOST" => "writable host directories:",
        "MNT-SOCK" => "sockets of engines:",
        "MNT-PROP" => "mounts:",
        "MNT-FLAGS" => "bind mounts:",
        "DEV" => "devices:",
        "UID-ROOT" => "the program is",
        "NNP" => "noNewPrivileges",
        "LSM" => "label:",
        "ROPATHS" => "kernel switches:",
        "MASKED" => "revealing files:",
        "ROOT-RO" => "root",
        "MEM" => "memory",
        "PIDS" => "pids",
        _ => "processor time:",
    }
}

fn place(area: &str) -> &'static str {
    match area {
        "cgroup" => "the cgroup",
        "mount" => "the mount table",
        _ => "the process",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_gone_is_said_in_words() {
        let asked = Facts { memory: Limit::Most(64 << 20), pids: Limit::Most(10), no_new_privileges: true, ..Facts::default() };
        let mut effective = Facts { memory: Limit::None, pids: Limit::Most(10), ..asked.clone() };
        let found = of(&asked, &effective);
        assert_eq!(found.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(), ["config says memory 64 MiB, the cgroup has max"]);
        assert!(found[0].weaker);
        effective = Facts { pids: Limit::Most(20), no_new_privileges: false, ..asked.clone() };
        let found = of(&asked, &effective);
        assert_eq!(found.iter().map(|d| (d.id, d.weaker)).collect::<Vec<_>>(), [("NNP", true), ("PIDS", true)]);
        assert_eq!(found[1].text, "config says pids 10, the cgroup has 20");
        assert!(of(&asked, &asked).is_empty());
        let mib = |n: u64| Limit::Most(n << 20);
        let half = |memory, swap| Facts { memory: mib(memory), swap: mib(swap), ..asked.clone() };
        assert!(!of(&half(256, 0), &half(64, 192))[0].weaker, "the sum is what was asked for");
        assert!(of(&half(256, 0), &half(64, 193))[0].weaker);
        let stricter = Facts { pids: Limit::Most(5), ..asked.clone() };
        assert!(!of(&asked, &stricter)[0].weaker);
    }

    #[test]
    fn a_limit_of_the_groups_above_is_no_drift() {
        use crate::workshop::explain::facts::Above;
        let above = Above { memory: Limit::Most(1 << 30), pids: Limit::Most(3828), cpuset: true, ..Above::default() };
        let bound = Facts { memory: above.memory, pids: above.pids, processor: "cpuset".into(), above, ..Facts::default() };
        assert_eq!(of(&Facts::default(), &bound), []);
        let texts =
            |asked: &Facts, effective: &Facts| of(asked, effective).into_iter().map(|d| (d.text, d.weaker)).collect::<Vec<_>>();
        // Its own group has another one.
        let own = Facts { pids: Limit::Most(50), ..bound.clone() };
        assert_eq!(texts(&Facts::default(), &own), [("config says pids max, the cgroup has 50".to_owned(), false)]);
        // What was asked for went, and what is above remains.
        let asked = Facts { memory: Limit::Most(64 << 20), pids: Limit::Most(5000), ..Facts::default() };
        assert_eq!(texts(&asked, &bound), [("config says memory 64 MiB, the cgroup has 1 GiB".to_owned(), true)]);
    }
}
