//! All namespaces of this machine, whoever made them: by what its processes are in.
//!
//! A namespace that only a mount or a descriptor keeps alive is not seen here, as no process is in it (`/run/netns`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::draw::id;
use crate::style::{Column, Style, table};
use crate::workshop::observed::container::Container;
use crate::workshop::observed::namespaces::{HostNamespaces, Kind};
use crate::workshop::observed::processes;

/// One namespace.
struct Found {
    count: usize,
    /// The process with the lowest pid that is in it, and its name.
    first: (i32, String),
}

/// Who made it, as far as can be known: the host, a container of ours, or somebody else.
fn owner(host: &HostNamespaces, ours: &[Container], kind: Kind, number: u64) -> String {
    if host.first.get(kind) == Some(number) || host.own.get(kind) == Some(number) {
        return "host".into();
    }
    let ours = ours.iter().find(|c| c.init.as_ref().is_some_and(|init| init.namespaces().get(kind) == Some(number)));
    ours.map_or_else(String::new, |c| crate::log::value(&c.state.id))
}

/// The table, or its JSON.
pub fn show(ours: &[Container], json: bool, style: &Style) -> String {
    let mut all: BTreeMap<(Kind, u64), Found> = BTreeMap::new();
    for process in processes::all() {
        let namespaces = process.namespaces();
        for (kind, number) in Kind::ALL.into_iter().filter_map(|kind| Some((kind, namespaces.get(kind)?))) {
            let name = || process.stat().map(|stat| stat.name).unwrap_or_default();
            all.entry((kind, number)).or_insert_with(|| Found { count: 0, first: (process.pid, name()) }).count += 1;
        }
    }
    let host = HostNamespaces::ask();
    if json {
        let one = |((kind, number), found): (&(Kind, u64), &Found)| {
            let of = owner(&host, ours, *kind, *number);
            json!({"kind": kind.name(), "id": number, "processes": found.count, "first": {"pid": found.first.0, "name": found.first.1},
                   "of": Some(of).filter(|of| !of.is_empty())})
        };
        let list: Vec<Value> = all.iter().map(one).collect();
        return serde_json::to_string_pretty(&list).expect("JSON has a text") + "\n";
    }
    let heads =
        [Column::new("KIND"), Column::new("NAMESPACE"), Column::number("PROCESSES"), Column::long("FIRST"), Column::new("OF")];
    let row = |((kind, number), found): (&(Kind, u64), &Found)| {
        let first = format!("{} {}", found.first.0, found.first.1);
        vec![kind.name().to_owned(), id(Some(*number)), found.count.to_string(), first, owner(&host, ours, *kind, *number)]
    };
    table(style, &heads, &all.iter().map(row).collect::<Vec<_>>())
}
