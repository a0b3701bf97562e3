//! The processes of a container as a tree: who started whom, with both pids.
//!
//! By the container's cgroups, not by its own word. One whose parent is outside (the first process, and what `exec` started)
//! stands at the top.

use serde_json::{Value, json};

use crate::style::Style;
use crate::workshop::observed::Process;
use crate::workshop::observed::container::Container;

/// Shown at most: a fork bomb is no picture.
const MOST: usize = 200;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As the host numbers it.
    pub pid: i32,
    /// As it numbers itself.
    pub inner: i32,
    /// Its parent, as the host numbers it.
    pub parent: i32,
    /// Its name, escaped.
    pub name: String,
}

/// Those of a container, by pid.
pub fn of(container: &Container) -> Vec<Member> {
    let member = |pid: i32| {
        let status = Process::open(pid)?.status()?;
        Some(Member { pid, inner: status.inner_pid(), parent: status.ppid, name: status.name })
    };
    container.pids().into_iter().filter_map(member).collect()
}

/// As JSON.
pub fn json(container: &Container) -> Value {
    of(container).iter().map(|m| json!({"pid": m.pid, "inner": m.inner, "ppid": m.parent, "name": m.name})).collect()
}

/// The tree, line by line.
pub fn draw(members: &[Member], style: &Style) -> Vec<String> {
    let mut left = MOST;
    let is_top = |m: &&Member| !members.iter().any(|other| other.pid == m.parent);
    let mut lines: Vec<String> = members.iter().filter(is_top).flat_map(|top| branch(top, members, style, &mut left)).collect();
    if members.len() > MOST {
        lines.push(format!("and {} more", members.len() - MOST));
    }
    lines
}

fn branch(member: &Member, all: &[Member], style: &Style, left: &mut usize) -> Vec<String> {
    if *left == 0 {
        return vec![];
    }
    *left -= 1;
    let label = match member.inner == member.pid {
        true => format!("{} {}", member.pid, member.name),
        false => format!("{}={} {}", member.pid, member.inner, member.name),
    };
    let draw = style.lines();
    let children: Vec<Vec<String>> =
        all.iter().filter(|c| c.parent == member.pid && c.pid != member.pid).map(|c| branch(c, all, style, left)).collect();
    let children: Vec<&Vec<String>> = children.iter().filter(|lines| !lines.is_empty()).collect();
    if children.is_empty() {
        return vec![label];
    }
    let margin = " ".repeat(label.chars().count() + 2);
    let mut lines = vec![];
    for (n, child) in children.iter().enumerate() {
        let last = n + 1 == children.len();
        for (k, line) in child.iter().enumerate() {
            lines.push(match (n, k) {
                (0, 0) => format!("{label} {}{line}", if last { draw.dash } else { draw.fork }),
                (_, 0) => format!("{margin}{}{line}", if last { draw.last } else { draw.child }),
                _ => format!("{margin}{}{line}", if last { draw.gap } else { draw.bar }),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(pid: i32, inner: i32, parent: i32, name: &str) -> Member {
        Member { pid, inner, parent, name: name.into() }
    }

    #[test]
    fn both_pids_and_every_branch() {
        let style = Style { color: false, utf8: true, width: None };
        let all = [
            member(6522, 1, 100, "sh"),
            member(6527, 6, 6522, "sleep"),
            member(6528, 7, 6522, "sh"),
            member(6530, 8, 6528, "cat"),
            member(7000, 9, 200, "exec'd"),
        ];
        let expected = ["6522=1 sh ─┬─ 6527=6 sleep", "           └─ 6528=7 sh ─── 6530=8 cat", "7000=9 exec'd"];
        assert_eq!(draw(&all, &style), expected);
        assert_eq!(draw(&[member(5, 5, 1, "sh")], &style), ["5 sh"]);
        assert!(draw(&[], &style).is_empty());
    }
}
