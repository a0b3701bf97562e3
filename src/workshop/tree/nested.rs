//! Which namespaces nest, and which only belong to somebody (ioctl_nsfs(2), `NS_GET_PARENT`, `NS_GET_USERNS`).
//!
//! Only pid and user namespaces form a tree. The other six are flat, each owned by the user namespace in which it was made: whoever
//! is root there may change it.

use serde_json::{Value, json};

use super::{Scene, draw::id};
use crate::style::{Paint, Style, TIE};
use crate::workshop::observed::namespaces::{Kind, Namespace};

/// The parents of a container's namespace of a kind, itself first; ends where the caller's sight ends.
fn line_of(scene: &Scene, at: usize, kind: Kind) -> Vec<u64> {
    let mut found = vec![];
    let mut next = scene.seen[at].container.init.as_ref().and_then(|init| Namespace::open(init, kind));
    // The kernel nests at most 32 deep.
    while let Some(namespace) = next.take().filter(|_| found.len() < 33) {
        found.push(namespace.id);
        next = namespace.parent();
    }
    found
}

/// The user namespace that owns each of the flat ones.
fn owners(scene: &Scene, at: usize) -> Vec<(Kind, Option<u64>)> {
    let flat = [Kind::Net, Kind::Mnt, Kind::Uts, Kind::Ipc, Kind::Cgroup, Kind::Time];
    let init = scene.seen[at].container.init.as_ref();
    let owner = |kind| init.and_then(|init| Namespace::open(init, kind)?.owner()).map(|owner| owner.id);
    flat.into_iter().map(|kind| (kind, owner(kind))).collect()
}

/// Both trees, and who owns the rest.
pub fn show(scene: &Scene, json: bool, style: &Style) -> String {
    let running: Vec<usize> = (0..scene.seen.len()).filter(|at| scene.seen[*at].container.init.is_some()).collect();
    if json {
        let one = |at: usize| {
            let owners: serde_json::Map<String, Value> =
                owners(scene, at).into_iter().map(|(k, o)| (k.name().into(), json!(o))).collect();
            json!({"id": scene.seen[at].id(), "pid": line_of(scene, at, Kind::Pid), "user": line_of(scene, at, Kind::User), "owners": owners})
        };
        let all: Vec<Value> = running.iter().map(|at| one(*at)).collect();
        return serde_json::to_string_pretty(&all).expect("JSON has a text") + "\n";
    }
    let branch = |n: usize| if n + 1 < running.len() { style.lines().child } else { style.lines().last };
    let mut out = String::new();
    for kind in [Kind::Pid, Kind::User] {
        out.push_str(&format!("{} namespaces nest:\n", style.paint(Paint::Strong, kind.name())));
        out.push_str(&format!("host {}\n", id(scene.host.get(kind))));
        for (n, at) in running.iter().enumerate() {
            let line = line_of(scene, *at, kind);
            let host =
                line.iter().any(|number| Some(*number) == scene.host.get(kind) || Some(*number) == scene.host.own.get(kind));
            let own = line.iter().rev().skip(usize::from(host)).map(|number| id(Some(*number))).collect::<Vec<_>>();
            let way = if own.is_empty() { "SHARED with host".to_owned() } else { own.join(&format!(" {} ", style.arrow())) };
            out.push_str(&format!("{}{}  {way}\n", branch(n), scene.seen[*at].name()));
        }
    }
    out.push_str(&style.wrap("the other six are flat; each belongs to the user namespace that made it:", 0));
    for (n, at) in running.iter().enumerate() {
        let told: Vec<String> =
            owners(scene, *at).into_iter().map(|(kind, owner)| format!("{}{TIE}{}", kind.name(), id(owner))).collect();
        let line = format!("{}{}  {}", branch(n), scene.seen[*at].name(), told.join("  "));
        let margin = if n + 1 < running.len() { style.lines().bar } else { style.lines().gap };
        out.push_str(&(style.hang(&line, &format!("{margin}  ")) + "\n"));
    }
    out
}
