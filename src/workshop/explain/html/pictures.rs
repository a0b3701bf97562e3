//! The three pictures of the report, drawn as SVG inside the page: namespaces on one kernel, processes with both pids, and paths
//! that lead to the host.
//!
//! Each has a title and a description for those who do not see it, says in words what it shows in colours, and draws only so many names as
//! have room; how many more there are is written.

use super::super::facts::Bind;
use super::super::report::Report;
use super::super::shown;
use super::super::subject::{Member, Subject};
use super::{Page, sharing};
use crate::workshop::observed::namespaces::Kind;

/// Rows of processes and paths that are drawn.
const ROWS: usize = 12;
/// Letters of a name or path that are drawn.
const LETTERS: usize = 44;

/// What a namespace divides, in a few words.
const ABOUT: [&str; 8] =
    ["process ids", "users, root", "network", "mounts", "host name", "shared memory", "cgroup paths", "boot clock"];

fn open(page: &mut Page, id: &str, caption: &str, note: &str, height: usize, description: &str) {
    page.raw("<figure>\n<figcaption>").text(caption).raw(" <span>").text(note).raw("</span></figcaption>\n");
    page.raw(&format!("<svg viewBox=\"0 0 800 {height}\" role=\"img\" aria-labelledby=\"{id}t {id}d\">\n"));
    page.element("title", &format!(" id=\"{id}t\""), caption).element("desc", &format!(" id=\"{id}d\""), description).raw("\n");
}

fn close(page: &mut Page) {
    page.raw("</svg>\n</figure>\n");
}

fn label(page: &mut Page, class: &str, x: usize, y: usize, words: &str) {
    page.element("text", &format!(" class=\"{class}\" x=\"{x}\" y=\"{y}\""), words).raw("\n");
}

/// At most [`LETTERS`] letters, the middle left out.
fn short(words: &str) -> String {
    let letters: Vec<char> = words.chars().collect();
    if letters.len() <= LETTERS {
        return words.to_owned();
    }
    let (head, tail) = (&letters[..LETTERS / 2 - 1], &letters[letters.len() - LETTERS / 2..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

/// (a) Eight boxes on one slab.
pub fn namespaces(report: &Report, page: &mut Page) {
    let states: Vec<(Kind, &str, String)> = Kind::ALL
        .into_iter()
        .map(|kind| (kind, sharing(report, kind)))
        .map(|(kind, (class, word))| (kind, class, word))
        .collect();
    let words: Vec<String> = states.iter().map(|(kind, _, word)| format!("{}: {word}", kind.name())).collect();
    let shared = states.iter().filter(|(_, class, _)| *class == "host").count();
    let note = format!("{shared} of 8 shared with the host");
    open(page, "ns", "Namespaces", &note, 286, &format!("Eight boxes on one kernel. {}.", words.join(", ")));
    page.raw("<defs><pattern id=\"hatched\" width=\"12\" height=\"12\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">");
    page.raw("<rect class=\"plain\" width=\"12\" height=\"12\"/><line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"12\"/></pattern></defs>\n");
    for (i, (kind, class, word)) in states.iter().enumerate() {
        let (x, y) = (8 + (i % 4) * 198, 8 + (i / 4) * 106);
        let fill = if *class == "host" { " fill=\"url(#hatched)\"" } else { "" };
        page.raw(&format!("<rect class=\"{class}\"{fill} x=\"{x}\" y=\"{y}\" width=\"190\" height=\"96\" rx=\"8\"/>\n"));
        if *class == "host" {
            page.raw(&format!(
                "<rect class=\"plain\" x=\"{}\" y=\"{}\" width=\"166\" height=\"76\" rx=\"5\"/>\n",
                x + 12,
                y + 10
            ));
        }
        label(page, "name mid", x + 95, y + 32, kind.name());
        label(page, if *class == "host" { "shared mid" } else { "mid" }, x + 95, y + 54, &cut(word, 24));
        let id = report.subject.ids[*kind as usize].map_or_else(String::new, |id| format!(" [{id}]"));
        label(page, "small mid", x + 95, y + 76, &format!("{}{id}", ABOUT[*kind as usize]));
    }
    page.raw("<rect class=\"slab\" x=\"8\" y=\"222\" width=\"784\" height=\"56\" rx=\"8\"/>\n");
    label(page, "name mid", 400, 247, &format!("one {}", Report::shared()[0]));
    label(page, "small mid", 400, 267, "page cache · CPU scheduler · memory · drivers · hardware: shared by all containers");
    close(page);
}

fn cut(words: &str, most: usize) -> String {
    if words.chars().count() <= most { words.to_owned() } else { words.chars().take(most - 1).chain(['…']).collect() }
}

/// The processes in the order of the tree, each with its depth.
fn tree(members: &[Member]) -> Vec<(usize, &Member)> {
    let is_root = |m: &&Member| !members.iter().any(|other| other.pid == m.parent && other.pid != m.pid);
    let mut waiting: Vec<(usize, &Member)> = members.iter().filter(is_root).map(|m| (0, m)).rev().collect();
    let mut ordered: Vec<(usize, &Member)> = vec![];
    while let Some((depth, member)) = waiting.pop() {
        if ordered.len() <= members.len() {
            ordered.push((depth, member));
            let children = members.iter().filter(|m| m.parent == member.pid && m.pid != member.pid).rev();
            waiting.extend(children.map(|m| (depth + 1, m)));
        }
    }
    ordered
}

/// (b) The process tree, with the pid on each side of the border.
pub fn processes(report: &Report, page: &mut Page) {
    let ordered = tree(&report.subject.members);
    let drawn = &ordered[..ordered.len().min(ROWS)];
    let more = ordered.len() - drawn.len();
    let shared = sharing(report, Kind::Pid).0 == "host";
    let note = match (ordered.len(), shared) {
        (0, _) => "it does not run".to_owned(),
        (n, true) => format!("{n}, with the host's pids"),
        (n, false) => format!("{n}, each with two pids"),
    };
    let height = 62 + 30 * drawn.len().max(1) + if more > 0 { 24 } else { 0 };
    let said: Vec<String> =
        drawn.iter().map(|(_, m)| format!("{} is {} on the host and {} inside", m.name, m.pid, m.inner)).collect();
    let said = if said.is_empty() { "No process.".to_owned() } else { said.join("; ") };
    open(page, "ps", "Processes", &note, height, &said);
    label(page, "small end", 150, 20, "pid on the host");
    label(page, "small", 190, 20, "pid inside, and program");
    page.raw(&format!("<line class=\"border\" x1=\"170\" y1=\"6\" x2=\"170\" y2=\"{}\"/>\n", height - 10));
    if drawn.is_empty() {
        label(page, "mid", 480, 58, "no process: it does not run");
    }
    for (row, (depth, member)) in drawn.iter().enumerate() {
        let y = 52 + 30 * row;
        let x = 196 + 26 * depth.min(&12);
        if row > 0 && *depth > 0 {
            let above = drawn[..row].iter().rposition(|(d, _)| *d + 1 == *depth).unwrap_or(row - 1);
            page.raw(&format!("<path class=\"edge\" d=\"M{} {}V{}H{}\"/>\n", x - 20, 52 + 30 * above + 8, y - 4, x - 6));
        }
        label(page, "mono end", 150, y, &member.pid.to_string());
        page.raw(&format!("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"4\"/>\n", x, y - 4));
        label(page, "mono", x + 12, y, &format!("{}  {}", member.inner, short(&member.name)));
    }
    if more > 0 {
        label(page, "small", 196, height - 18, &format!("and {more} more"));
    }
    close(page);
}

/// The root of the container on the host, where a config names it.
fn root_of(subject: &Subject) -> String {
    let path = subject.config.as_ref().and_then(|config| config.pointer("/root/path")?.as_str());
    let root = path.zip(subject.bundle.as_deref()).map(|(path, bundle)| shown(&bundle.join(path)));
    root.unwrap_or_else(|| subject.place.clone())
}

/// (c) Paths inside, and where they lead on the host.
pub fn paths(report: &Report, page: &mut Page) {
    let mut binds: Vec<&Bind> = report.subject.facts.binds.iter().collect();
    let is_bad = |b: &Bind| b.is_socket() || (b.is_sensitive() && !b.read_only);
    binds.sort_by_key(|b| !is_bad(b));
    let more = binds.len().saturating_sub(ROWS);
    binds.truncate(ROWS);
    let note = if binds.is_empty() { "none: nothing but its root filesystem" } else { "what is not the container's own" };
    let said: Vec<String> = binds.iter().map(|b| format!("{} is {} of the host", shown(&b.target), shown(&b.source))).collect();
    let said = if said.is_empty() { "No path of the container leads to the host.".to_owned() } else { said.join("; ") };
    let height = 52 + 34 * binds.len().max(1) + if more > 0 { 24 } else { 0 };
    open(page, "mn", "Paths that lead to the host", note, height, &said);
    label(page, "small", 12, 20, "inside");
    label(page, "small end", 788, 20, "on the host");
    page.raw(&format!("<line class=\"border\" x1=\"400\" y1=\"6\" x2=\"400\" y2=\"{}\"/>\n", height - 8));
    if binds.is_empty() {
        label(page, "mono", 12, 54, "/");
        label(page, "mono end", 788, 54, &short(&root_of(&report.subject)));
    }
    for (row, bind) in binds.iter().enumerate() {
        let y = 52 + 34 * row;
        let bad = is_bad(bind);
        label(page, "mono", 12, y, &short(&shown(&bind.target)));
        label(page, "mono end", 788, y, &short(&shown(&bind.source)));
        let class = if bad { "edge bad" } else { "edge" };
        page.raw(&format!("<path class=\"{class}\" d=\"M12 {0}H780m-7 -5l8 5l-8 5\"/>\n", y + 8));
        let mut words = vec![if bind.read_only { "read-only" } else { "writable" }];
        words.extend(bind.is_socket().then_some("ENGINE"));
        words.extend((bind.is_sensitive() && !bind.read_only).then_some("SENSITIVE"));
        label(page, if bad { "shared mid over" } else { "small mid over" }, 400, y, &words.join(", "));
    }
    if more > 0 {
        label(page, "small", 12, height - 12, &format!("and {more} more"));
    }
    close(page);
}
