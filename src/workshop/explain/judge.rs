//! The judgement of each check: how bad is it, and in which words.
//!
//! A verdict has the badness in hundredths, what is the case in a few words (two pictures of one container differ if these do), and what is
//! wrong with it. `None`: the check does not apply, as nothing is known; it leaves the average then.

use super::facts::{Bind, Facts, Filter, Sharing};
use super::{facts, shown};
use crate::workshop::observed::groups::{Devices, Limit};
use crate::workshop::observed::namespaces::Kind;

/// What a check finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// 0 is good, 100 as bad as can be.
    pub badness: u32,
    /// What is the case, in a few words: `64 MiB`.
    pub state: String,
    /// What is wrong with it, where the check's own words do not say it all.
    pub reason: String,
}

fn good(state: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { badness: 0, state: state.into(), reason: String::new() })
}

fn bad(badness: u32, state: impl Into<String>, reason: impl Into<String>) -> Option<Verdict> {
    Some(Verdict { badness, state: state.into(), reason: reason.into() })
}

/// Whether a namespace is the container's own.
pub fn namespace(facts: &Facts, kind: Kind) -> Option<Verdict> {
    match facts.namespace(kind) {
        Sharing::Unknown => None,
        Sharing::Own => good("own"),
        Sharing::With(whom) => Some(Verdict { badness: 0, state: "joined".into(), reason: format!("shared with {whom}") }),
        Sharing::Host => bad(100, "the host's", ""),
    }
}

/// A user namespace that maps host id 0 separates nobody.
pub fn user_namespace(facts: &Facts) -> Option<Verdict> {
    let verdict = namespace(facts, Kind::User)?;
    let root = facts.uids.as_ref().and_then(|map| map.inside(0));
    match (verdict.badness, root) {
        (0, Some(inside)) => bad(100, "maps the host's root", format!("host id 0 is id {inside} inside")),
        _ => Some(verdict),
    }
}

/// Whether none of these capabilities is there. `nested`: how bad they are in a user namespace.
pub fn capabilities(facts: &Facts, names: &[&'static str], nested: u32) -> Option<Verdict> {
    let held: Vec<&str> = names.iter().copied().filter(|name| facts.holds(name)).collect();
    if held.is_empty() {
        return good("none of them");
    }
    let held = held.join(", ");
    bad(if facts.has_user_namespace() { nested } else { 100 }, held.clone(), held)
}

/// Allow-lists are good; what is not named in a deny-list includes what the next kernel brings.
pub fn seccomp(facts: &Facts) -> Option<Verdict> {
    match facts.filter {
        Filter::AllowList => good("an allow-list"),
        Filter::Some => good("a filter"),
        Filter::DenyList => bad(80, "a deny-list", "only what the filter names is forbidden"),
        Filter::None => bad(100, "no filter", ""),
    }
}

/// Mounts that are named; the others are counted.
const NAMED: usize = 5;

fn paths(binds: &[&Bind]) -> String {
    let one = |b: &&Bind| format!("{} (inside: {})", shown(&b.source), shown(&b.target));
    let mut names: Vec<String> = binds.iter().take(NAMED).map(one).collect();
    if binds.len() > NAMED {
        names.push(format!("and {} more", binds.len() - NAMED));
    }
    names.join(", ")
}

/// Directories of the host that must not be written.
pub fn host_directories(facts: &Facts) -> Option<Verdict> {
    let open: Vec<&Bind> = writable_directories(facts).collect();
    if open.is_empty() { good("none") } else { bad(100, paths(&open), paths(&open)) }
}

/// Those that can be.
pub fn writable_directories(facts: &Facts) -> impl Iterator<Item = &Bind> {
    facts.binds.iter().filter(|b| b.is_sensitive() && !b.read_only)
}

/// Sockets of engines; that a mount is read-only does not keep anybody from connecting.
pub fn sockets(facts: &Facts) -> Option<Verdict> {
    let open: Vec<&Bind> = facts.binds.iter().filter(|b| b.is_socket() && facts.may_write(b.node)).collect();
    if open.is_empty() { good("none") } else { bad(100, paths(&open), paths(&open)) }
}

/// Devices are denied by default.
pub fn devices(facts: &Facts) -> Option<Verdict> {
    match facts.devices {
        Devices::Unknown => None,
        Devices::Listed => good("a list"),
        Devices::All => bad(100, "all", ""),
    }
}

/// The program's user is not 0.
pub fn root_user(facts: &Facts) -> Option<Verdict> {
    match (facts.uid, facts.has_user_namespace()) {
        (0, true) => bad(30, "uid 0", "uid 0 of a user namespace"),
        (0, false) => bad(100, "uid 0", ""),
        (uid, _) => good(format!("uid {uid}")),
    }
}

/// PR_SET_NO_NEW_PRIVS.
pub fn no_new_privileges(facts: &Facts) -> Option<Verdict> {
    if facts.no_new_privileges { good("on") } else { bad(100, "off", "") }
}

/// AppArmor or SELinux.
pub fn label(facts: &Facts) -> Option<Verdict> {
    match &facts.label {
        Some(label) => good(crate::log::value(label)),
        None => bad(100, "none", ""),
    }
}

/// Kernel switches.
pub fn read_only_paths(facts: &Facts) -> Option<Verdict> {
    let open = facts.writable.join(", ");
    if open.is_empty() { good("read-only") } else { bad(100, format!("{open} writable"), open) }
}

/// Revealing files: as bad as the share of them that can be read.
pub fn masked_paths(facts: &Facts) -> Option<Verdict> {
    let open = facts.visible.join(", ");
    let share = 100 * facts.visible.len() / facts::REVEALING.len();
    if open.is_empty() { good("hidden") } else { bad(share as u32, format!("{open} visible"), open) }
}

/// Mounts that travel to the host.
pub fn propagation(facts: &Facts) -> Option<Verdict> {
    let open: Vec<String> = facts.shared.iter().map(|p| shown(p)).collect();
    if open.is_empty() { good("none shared") } else { bad(100, format!("{} shared", open.join(", ")), open.join(", ")) }
}

/// Binds without setuid and devices.
pub fn bind_flags(facts: &Facts) -> Option<Verdict> {
    let lax: Vec<&Bind> = facts.binds.iter().filter(|b| !(b.nosuid && b.nodev)).collect();
    if lax.is_empty() { good("nosuid, nodev") } else { bad(100, paths(&lax), paths(&lax)) }
}

/// root.readonly.
pub fn read_only_root(facts: &Facts) -> Option<Verdict> {
    if facts.read_only_root { good("read-only") } else { bad(100, "writable", "") }
}

/// Inheritable capabilities.
pub fn inheritable(facts: &Facts) -> Option<Verdict> {
    let count = facts.inheritable.count_ones();
    if count == 0 { good("none") } else { bad(100, format!("{count}"), format!("{count} capabilities")) }
}

/// Memory is limited, and swap does not lift the limit.
pub fn memory(facts: &Facts) -> Option<Verdict> {
    match (facts.memory, facts.swap) {
        (Limit::Most(limit), Limit::None) => {
            bad(100, format!("{}, swap without limit", bytes(limit)), "swap has no limit: what does not fit in memory goes there")
        }
        (Limit::Most(limit), _) => good(bytes(limit)),
        (Limit::None | Limit::Unknown, _) => bad(100, "max", ""),
    }
}

/// Processes are limited.
pub fn processes(facts: &Facts) -> Option<Verdict> {
    match facts.pids {
        Limit::Most(limit) => good(limit.to_string()),
        Limit::None | Limit::Unknown => bad(100, "max", ""),
    }
}

/// Processor time is limited or weighed.
pub fn processor(facts: &Facts) -> Option<Verdict> {
    if facts.processor.is_empty() { bad(100, "nothing", "") } else { good(facts.processor.clone()) }
}

/// `64 MiB`.
pub fn bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 30 && n % (1 << 30) == 0 => format!("{} GiB", n >> 30),
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1 << 20 => format!("{:.1} MiB", n as f64 / f64::from(1 << 20)),
        n if n >= 1 << 10 => format!("{} KiB", n >> 10),
        n => format!("{n} B"),
    }
}
