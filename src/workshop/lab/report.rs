//! What a lab shows, for people and for programs: both sides in columns, the one change between them, the verdict.
//!
//! Values come from containers, so they are shown as `log::value` writes them: no control character reaches the terminal.

use serde_json::{Value, json};

use super::table::{Expect, Lab, Switch};
use super::trial::Shown;
use crate::log::value;
use crate::style::{Paint, Style, columns};

/// The sides that were run, OFF first.
pub type Sides = [Option<Shown>; 2];

/// A line of a lesson that is longer than this was broken because the page was full.
const FULL: usize = 85;

/// Exit status when a host cannot show a lab, as test programs have it.
pub const CANNOT: i32 = 77;

/// Whether what was seen is what the lab says.
pub fn holds(lab: &Lab, sides: &Sides) -> bool {
    let [off, on] = sides;
    let on_wanted = lab.expect == Expect::Both;
    off.iter().all(|s| s.effect) && on.iter().all(|s| s.effect == on_wanted)
}

/// The index.
pub fn index<'a>(labs: impl Iterator<Item = &'a Lab>, style: &Style) -> String {
    let mut text = String::new();
    for lab in labs {
        let star = if lab.danger.is_some() { "*" } else { " " };
        let blank = " ".repeat(16usize.saturating_sub(lab.name.len()));
        let line = format!("{}{blank}{star} {}", style.paint(Paint::Strong, lab.name), lab.about);
        text.push_str(&(style.hang(&line, &" ".repeat(18)) + "\n"));
    }
    text + "\n" + &style.wrap("* needs --i-am-a-lab-vm, or the file /etc/rrun-lab. To run one: rrun lab run NAME", 0)
}

/// The lines of a lesson as the terminal has room for them; as they were written in a pipe. What was broken only because the
/// page was full is put together again; OFF and ON keep their margin.
pub fn flowing(text: &str, style: &Style) -> String {
    if style.width.is_none() {
        return text.to_owned();
    }
    let mut lines: Vec<(String, usize)> = vec![];
    for line in text.lines() {
        let full = lines.last().is_some_and(|(_, last)| *last >= FULL);
        let begins = ["OFF  ", "ON   "].iter().any(|side| line.starts_with(side));
        match lines.last_mut() {
            Some((whole, last)) if full && !begins => {
                whole.push(' ');
                whole.push_str(line.trim_start());
                *last = columns(line);
            }
            _ => lines.push((line.to_owned(), columns(line))),
        }
    }
    let margin = |line: &str| if line.starts_with("OFF  ") || line.starts_with("ON   ") { "     " } else { "" };
    lines.iter().map(|(line, _)| style.hang(line, margin(line))).collect::<Vec<_>>().join("\n")
}

/// The index as data.
pub fn index_json<'a>(labs: impl Iterator<Item = &'a Lab>) -> Value {
    let entry =
        |lab: &Lab| json!({"name": lab.name, "about": lab.about, "text": lab.text, "refs": lab.refs, "danger": lab.danger});
    labs.map(entry).collect()
}

/// The whole of a run.
pub fn text(lab: &Lab, sides: &Sides, change: Option<&Value>, style: &Style) -> String {
    let title = format!("lab {}: {}", style.paint(Paint::Strong, lab.name), lab.about);
    let mut text = format!("{}\n\n{}\n\n", style.hang(&title, ""), flowing(lab.text, style));
    if let Some(change) = change {
        text.push_str(&format!("The only change\n{}\n", the_change(lab, change)));
    }
    text.push_str(&facts(lab, sides, style));
    for (name, side) in ["OFF", "ON"].iter().zip(sides) {
        for line in side.iter().flat_map(|s| &s.other) {
            text.push_str(&(style.hang(&format!("  {name:<4}{}", value(line)), "      ") + "\n"));
        }
    }
    let paint = if holds(lab, sides) { Paint::Good } else { Paint::Bad };
    text.push_str(&format!("\n{}\n", style.hang(&style.paint(paint, verdict(lab, sides)), "")));
    text.push_str(&style.wrap(&format!("Read more: {}", lab.refs.join(" · ")), 0));
    style.symbols(text)
}

/// The same as data.
pub fn json(lab: &Lab, sides: &Sides, change: &Value) -> Value {
    let side = |s: &Option<Shown>| {
        let facts = |s: &Shown| s.facts.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>();
        s.as_ref().map(|s| json!({"effect": s.effect, "facts": facts(s), "other": s.other}))
    };
    let flags = match lab.switch {
        Switch::Flags { off, on } => json!({"off": [off.global, off.run], "on": [on.global, on.run]}),
        _ => Value::Null,
    };
    json!({
        "lab": lab.name, "about": lab.about, "holds": holds(lab, sides), "verdict": verdict(lab, sides),
        "off": side(&sides[0]), "on": side(&sides[1]), "patch": change, "flags": flags, "effect": lab.effect.fact,
    })
}

/// Why a host cannot show it.
pub fn cannot(lab: &Lab, reason: &str, style: &Style) -> String {
    style.wrap(&format!("lab {} cannot be shown here: {reason}", lab.name), 0)
}

fn verdict(lab: &Lab, sides: &Sides) -> &'static str {
    let shared = lab.expect == Expect::Both;
    match (sides, holds(lab, sides)) {
        ([Some(_), Some(_)], true) if shared => "As expected: the same in both. No switch keeps containers apart here.",
        ([Some(_), Some(_)], true) => "As expected: OFF shows the effect, ON does not.",
        ([Some(_), None], true) => "As expected: OFF shows the effect.",
        ([None, Some(_)], true) if shared => "As expected: ON shows the effect, too.",
        ([None, Some(_)], true) => "As expected: ON does not show the effect.",
        _ => "NOT as expected: see the lines above.",
    }
}

/// One line per fact; the one that shows the effect is marked.
fn facts(lab: &Lab, sides: &Sides, style: &Style) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in sides.iter().flatten().flat_map(|s| &s.facts) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let cell = |side: &Option<Shown>, name: &str| {
        side.as_ref().map(|s| s.fact(name).map_or("-".to_owned(), |v| value(v).chars().take(60).collect::<String>()))
    };
    let width = names.iter().filter_map(|n| cell(&sides[0], n)).map(|v| v.chars().count()).chain([24]).max().unwrap_or(24);
    // Long values take the room that short names leave.
    let last = names.iter().filter_map(|n| cell(&sides[1], n)).map(|v| v.chars().count()).max().unwrap_or(0);
    let is_narrow = style.width.is_some_and(|most| 28 + width + last > most);
    let margin = if is_narrow { names.iter().map(|n| n.len() + 4).max().unwrap_or(24) } else { 24 };
    let row = |name: &str, cells: [Option<String>; 2]| {
        let [off, on] = cells.map(|c| c.unwrap_or_default());
        let line = match (&sides[0], &sides[1]) {
            (Some(_), Some(_)) => format!("  {name:<margin$}{off:<width$}  {on}"),
            _ => format!("  {name:<margin$}{off}{on}"),
        };
        style.hang(line.trim_end(), &" ".repeat(margin + width + 4)) + "\n"
    };
    let title = |side: &Option<Shown>, name: &str| side.as_ref().map(|_| name.to_owned());
    let mut text = row("", [title(&sides[0], "OFF"), title(&sides[1], "ON")]);
    for name in names {
        let mark = if name == lab.effect.fact { "> " } else { "  " };
        text.push_str(&row(&format!("{mark}{}", value(name)), [cell(&sides[0], name), cell(&sides[1], name)]));
    }
    text
}

/// The switch in words: a patch an operation per line, or flags.
fn the_change(lab: &Lab, patch: &Value) -> String {
    match lab.switch {
        Switch::None => "  none: ON is a container of `rrun spec --profile hardened`\n".to_owned(),
        Switch::Flags { off, on } => {
            let line = |f: super::table::Flags| format!("rrun {} run {}", f.global, f.run);
            let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("  OFF  {} …\n  ON   {} …\n", words(line(off)), words(line(on)))
        }
        Switch::Patch(_) => {
            let operation = |o: &Value| {
                let value = o.get("value").map(|v| format!(", \"value\": {}", short(v))).unwrap_or_default();
                format!("  {{\"op\": {}, \"path\": {}{value}}}\n", o["op"], o["path"])
            };
            patch.as_array().into_iter().flatten().map(operation).collect()
        }
    }
}

/// A value in one line; a whole filter only by what it is.
fn short(value: &Value) -> String {
    match value["syscalls"].as_array() {
        Some(rules) => {
            let names: usize = rules.iter().filter_map(|r| r["names"].as_array()).map(Vec::len).sum();
            format!("{{\"defaultAction\": {}, … {names} names of calls}}", value["defaultAction"])
        }
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::lab;
    use super::*;

    fn shown(fact: &str, value: &str, effect: bool) -> Option<Shown> {
        Some(Shown { facts: vec![(fact.into(), value.into())], effect, other: vec![] })
    }

    #[test]
    fn a_switch_must_make_the_difference() {
        let nnp = lab("nnp").expect("a lab");
        assert!(holds(nnp, &[shown("uid", "0", true), shown("uid", "no", false)]));
        assert!(!holds(nnp, &[shown("uid", "0", true), shown("uid", "0", true)]));
        assert!(!holds(nnp, &[shown("uid", "no", false), shown("uid", "no", false)]));
        let cache = lab("pagecache").expect("a lab");
        assert!(holds(cache, &[shown("cache", "shared", true), shown("cache", "shared", true)]));
        assert!(!holds(cache, &[shown("cache", "shared", true), shown("cache", "unclear", false)]));
    }

    #[test]
    fn both_sides_stand_in_columns() {
        let lab = lab("nnp").expect("a lab");
        let text = text(lab, &[shown("uid", "0", true), shown("uid", "su: no\u{1b}[2J", false)], None, &Style::default());
        assert!(text.contains("\n                          OFF                       ON\n  > uid"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("As expected: OFF shows the effect, ON does not."));
    }

    #[test]
    fn a_lesson_fits_the_terminal_and_keeps_its_sides() {
        let narrow = Style { width: Some(80), utf8: true, ..Style::default() };
        for lab in super::super::table::labs() {
            let told = flowing(lab.text, &narrow);
            assert!(told.lines().all(|line| columns(line) <= 80), "{}: {told}", lab.name);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&told), words(lab.text), "{}", lab.name);
            let sides = |text: &str| text.lines().filter(|l| l.starts_with("OFF  ") || l.starts_with("ON   ")).count();
            assert_eq!(sides(&told), sides(lab.text), "{}", lab.name);
        }
        assert_eq!(flowing("a\nb", &Style::default()), "a\nb");
    }

    #[test]
    fn a_filter_is_shown_by_its_size() {
        let patch = json!([{"op": "add", "path": "/linux/seccomp", "value": {"defaultAction": "X", "syscalls": [{"names": ["a", "b"]}]}}]);
        let text = the_change(lab("seccomp-unshare").expect("a lab"), &patch);
        assert_eq!(
            text,
            "  {\"op\": \"add\", \"path\": \"/linux/seccomp\", \"value\": {\"defaultAction\": \"X\", … 2 names of calls}}\n"
        );
    }
}
