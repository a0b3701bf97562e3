//! The picture: the host at the root, one branch for each container, the namespaces below it.
//!
//! The first lines are those that people look for: processes, users, network. Then the rest in one line.

use super::{Scene, Share, network, processes};
use crate::style::{Paint, Style, TIE};
use crate::workshop::explain;
use crate::workshop::observed::namespaces::Kind;

/// The columns that a branch of the tree takes.
const BRANCH: usize = 3;

/// All of it.
pub fn text(scene: &Scene, style: &Style) -> String {
    let number = |kind| id(scene.host.get(kind));
    let mut out = format!("{}  pid {}  user {}\n", style.paint(Paint::Strong, "host"), number(Kind::Pid), number(Kind::User));
    let draw = style.lines();
    for at in 0..scene.seen.len() {
        let last = at + 1 == scene.seen.len();
        let (head, below) = if last { (draw.last, draw.gap) } else { (draw.child, draw.bar) };
        for (n, line) in container(scene, at, style).iter().enumerate() {
            let line = format!("{}{line}", if n == 0 { head } else { below });
            out.push_str(&style.hang(line.trim_end(), &format!("{below}      ")));
            out.push('\n');
        }
    }
    if scene.seen.is_empty() {
        out.push_str(&format!("{}no containers\n", draw.last));
    }
    out
}

fn container(scene: &Scene, at: usize, style: &Style) -> Vec<String> {
    let seen = &scene.seen[at];
    let bundle = crate::workshop::observed::shown(&seen.container.state.bundle);
    let exposure =
        seen.exposure.map_or_else(String::new, |(score, level)| format!("  exposure {} {level}", explain::tenths(score)));
    let mut lines = vec![format!("{}  {}  {bundle}{exposure}", style.paint(Paint::Strong, seen.name()), seen.container.status)];
    let Some(init) = &seen.container.init else { return lines };
    let share = |kind| told(scene, at, kind, style);
    let head = format!(" pid  {}  ", share(Kind::Pid));
    let margin = " ".repeat(crate::style::columns(&head));
    let tree = processes::draw(&processes::of(&seen.container), style);
    // A broken tree is none: its lines are cut, where all others go on in the next.
    let narrow = Style { width: style.width.map(|width| width.saturating_sub(BRANCH)), ..*style };
    let row = |(n, line): (usize, &String)| narrow.fit(&format!("{}{line}", if n == 0 { &head } else { &margin })).into_owned();
    lines.extend(tree.iter().enumerate().map(row).map(|line| line.replace(' ', TIE)));
    if tree.is_empty() {
        lines.push(head);
    }
    let users = match init.uid_map() {
        Some(map) if map.is_identity() => "uid 0 = 0".to_owned(),
        Some(map) => map.to_string().replace('→', style.arrow()),
        None => String::new(),
    };
    lines.push(format!(" user {}  {users}", share(Kind::User)));
    lines.push(format!(" net  {}  {}", share(Kind::Net), network::names(seen)));
    let rest = [Kind::Mnt, Kind::Uts, Kind::Ipc, Kind::Cgroup, Kind::Time]
        .map(|kind| format!("{}{TIE}{}", kind.name(), share(kind).replace(' ', TIE)));
    lines.push(format!(" {}", rest.join(&if style.utf8 { format!("{TIE}· ") } else { "  ".to_owned() })));
    lines
}

/// `[4026532250]`, `SHARED with host`, `same as web [4026532250]`.
fn told(scene: &Scene, at: usize, kind: Kind, style: &Style) -> String {
    let number = id(scene.seen[at].namespaces.get(kind));
    match scene.share(at, kind) {
        Share::Host if matches!(kind, Kind::Pid | Kind::User | Kind::Net) => {
            style.paint(Paint::Bad, "SHARED with host").into_owned()
        }
        Share::Host => style.paint(Paint::Bad, "SHARED").into_owned(),
        Share::Other(other) => format!("same as {}  {number}", style.paint(Paint::Warn, crate::log::value(&other))),
        Share::Nobody => number,
        Share::Unknown => "-".into(),
    }
}

/// A namespace's number as `ls -l /proc/PID/ns` shows it.
pub(super) fn id(number: Option<u64>) -> String {
    number.map_or_else(|| "-".into(), |number| format!("[{number}]"))
}
