//! What stands between two containers: each wall, private or SHARED.
//!
//! Namespaces and groups are walls; a directory that both can write and a layer that both stand on are doors, and the kernel
//! below both is always one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Seen, draw::id, mounts};
use crate::error::{Error, Result};
use crate::process::end::NOT_RUNNING;
use crate::style::{Column, Paint, Style, table};
use crate::workshop::observed::container::Container;
use crate::workshop::observed::namespaces::Kind;
use crate::workshop::observed::shown;

/// One wall: its name, whether both share it, and a word about it.
struct Wall {
    name: String,
    shared: bool,
    detail: String,
}

/// The table, or its JSON.
pub fn show(pair: &[Container; 2], json: bool, style: &Style) -> Result<String> {
    if let Some(ended) = pair.iter().find(|c| c.init.is_none()) {
        return Err(Error::new(format!("{NOT_RUNNING}: {}", crate::log::value(&ended.state.id))));
    }
    let walls = walls(pair);
    if json {
        let wall = |w: &Wall| json!({"what": w.name, "shared": w.shared, "detail": w.detail});
        let document = json!({"containers": pair.each_ref().map(|c| &c.state.id), "between": walls.iter().map(wall).collect::<Vec<Value>>()});
        return Ok(serde_json::to_string_pretty(&document).expect("JSON has a text") + "\n");
    }
    let row = |w: &Wall| {
        let word = if w.shared { style.paint(Paint::Bad, "SHARED") } else { style.paint(Paint::Good, "private") };
        vec![w.name.clone(), word.into_owned(), w.detail.clone()]
    };
    let title = pair.each_ref().map(|c| crate::log::value(&c.state.id)).join(" and ");
    let heads = [Column::new("BETWEEN"), Column::new(""), Column::long(&title)];
    Ok(table(style, &heads, &walls.iter().map(row).collect::<Vec<_>>()))
}

fn walls(pair: &[Container; 2]) -> Vec<Wall> {
    let [a, b] = pair.each_ref().map(|c| c.init.as_ref().map(|init| init.namespaces()).unwrap_or_default());
    let namespace = |kind: Kind| {
        let shared = a.share(&b, kind);
        let detail = if shared { id(a.get(kind)) } else { format!("{} {}", id(a.get(kind)), id(b.get(kind))) };
        Wall { name: format!("{} namespace", kind.name()), shared, detail }
    };
    let mut walls: Vec<Wall> = Kind::ALL.into_iter().map(namespace).collect();
    walls.push(groups(pair));
    walls.push(paths("mounts", "no directory of the host is in both", pair.each_ref().map(directories)));
    walls.push(paths("layers", "no common layer", pair.each_ref().map(layers)));
    walls.push(Wall {
        name: "kernel".into(),
        shared: true,
        detail: "always: calls, page cache, scheduler, clock, hardware".into(),
    });
    walls
}

fn groups(pair: &[Container; 2]) -> Wall {
    let [a, b] = pair.each_ref().map(|c| c.groups().0.into_values().collect::<BTreeSet<PathBuf>>());
    let shared = a.intersection(&b).next().is_some();
    let detail = if shared { "one limit for both" } else { "limits of their own" };
    Wall { name: "cgroup".into(), shared, detail: detail.into() }
}

fn paths(name: &str, none: &str, [a, b]: [BTreeSet<PathBuf>; 2]) -> Wall {
    let common: Vec<String> = a.intersection(&b).map(|path| shown(path)).collect();
    let detail = if common.is_empty() { none.to_owned() } else { common.join(" ") };
    Wall { name: name.into(), shared: !common.is_empty(), detail }
}

/// What of the host's directories the container sees, its root among them.
fn directories(container: &Container) -> BTreeSet<PathBuf> {
    let Some(init) = container.init.as_ref().and_then(|init| crate::workshop::observed::Process::open(init.pid)) else {
        return BTreeSet::new();
    };
    let namespaces = init.namespaces();
    let state = container.state.clone();
    let seen = Seen {
        container: Container { state, status: container.status, init: Some(init), config: vec![] },
        namespaces,
        exposure: None,
    };
    let kernel = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"];
    let lines = mounts::lines(&seen).into_iter().filter(|line| !kernel.contains(&line.mount.fstype.as_str()));
    // Device nodes that are bound one by one are everybody's.
    lines.filter(|line| !line.mount.point.starts_with("/dev")).filter_map(|line| line.host).collect()
}

fn layers(container: &Container) -> BTreeSet<PathBuf> {
    let lower = container.state.layers.as_ref().and_then(|layers| layers.writable()).map(|(_, lower)| lower.to_vec());
    lower.unwrap_or_default().into_iter().collect()
}
