//! What `diff` prints: lines for people; the three lists that engines know; all that is known, as JSON.
//!
//! Every name was chosen by the container: for people it is escaped, as a terminal obeys control characters; in JSON it stands
//! as it is, but for bytes that are no UTF-8.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Change, Kind, Look};
use crate::style::{Paint, Style};

/// `A path detail`, one line each, and the sum.
pub fn text(changes: &[Change], style: &Style) -> String {
    let mut out = String::new();
    let width = changes.iter().map(|change| shown(change).chars().count()).max().unwrap_or(0).min(40);
    for change in changes {
        let (letter, paint) = match (change.kind, &change.warning) {
            (_, Some(_)) => ("!", Paint::Warn),
            (Kind::Added, None) => ("A", Paint::Good),
            (Kind::Changed, None) => ("C", Paint::Strong),
            (Kind::Deleted, None) => ("D", Paint::Bad),
        };
        let line = format!("{}  {:<width$}  {}", style.paint(paint, letter), shown(change), detail(change, style));
        writeln!(out, "{}", style.fit(line.trim_end())).expect("writing to memory");
    }
    let (count, bytes) = (changes.len(), written(changes));
    out + &format!("{count} {}, {} written\n", if count == 1 { "change" } else { "changes" }, size(bytes))
}

/// `{"added":[],"changed":[],"deleted":[]}`.
pub fn lists(changes: &[Change]) -> String {
    let of = |kind| changes.iter().filter(|c| c.kind == kind).map(|c| c.path.to_string_lossy()).collect::<Vec<_>>();
    let lists = json!({"added": of(Kind::Added), "changed": of(Kind::Changed), "deleted": of(Kind::Deleted)});
    format!("{lists}\n")
}

/// Everything.
pub fn json(id: &str, changes: &[Change]) -> String {
    let look = |look: &Look| {
        json!({"type": look.type_name(), "mode": format!("{:04o}", look.mode & 0o7777), "uid": look.uid, "gid": look.gid,
               "size": look.size})
    };
    let change = |c: &Change| {
        json!({"kind": word(c.kind), "path": c.path.to_string_lossy(), "now": c.now.as_ref().map(look),
               "before": c.before.as_ref().map(look), "opaque": c.opaque, "warning": c.warning})
    };
    let all: Vec<Value> = changes.iter().map(change).collect();
    serde_json::to_string_pretty(&json!({"id": id, "changes": all, "written": written(changes)})).expect("JSON has a text") + "\n"
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Added => "added",
        Kind::Changed => "changed",
        Kind::Deleted => "deleted",
    }
}

/// The path as it may be shown, a directory with a slash.
fn shown(change: &Change) -> String {
    let slash = if change.now.is_some_and(|now| now.is_directory()) { "/" } else { "" };
    crate::log::value(&change.path.to_string_lossy()) + slash
}

fn detail(change: &Change, style: &Style) -> String {
    let mut parts: Vec<String> = change.warning.iter().cloned().collect();
    let arrow = style.arrow();
    match (&change.before, &change.now) {
        (Some(before), Some(now)) => {
            if change.opaque {
                parts.push("made anew: hides what was in it".into());
            }
            if before.type_name() != now.type_name() {
                parts.push(format!("{} {arrow} {}", before.type_name(), now.type_name()));
                return parts.join(", ");
            }
            let (old, new) = (before.mode & 0o7777, now.mode & 0o7777);
            if old != new {
                parts.push(format!("mode {old:03o} {arrow} {new:03o}"));
            }
            if (before.uid, before.gid) != (now.uid, now.gid) {
                parts.push(format!("owner {}:{} {arrow} {}:{}", before.uid, before.gid, now.uid, now.gid));
            }
            if !now.is_directory() && before.size != now.size {
                parts.push(format!("{} {arrow} {}", size(before.size), size(now.size)));
            } else if !now.is_directory() && before.modified != now.modified {
                parts.push("content".into());
            }
        }
        (None, Some(now)) if !now.is_directory() && change.warning.is_none() => parts.push(match now.type_name() {
            "file" => size(now.size),
            other => other.to_owned(),
        }),
        _ => {}
    }
    parts.join(", ")
}

/// What the changes take on disk.
fn written(changes: &[Change]) -> u64 {
    changes.iter().filter_map(|c| c.now).filter(|now| !now.is_directory()).map(|now| now.used).sum()
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes.div_ceil(1024)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}
