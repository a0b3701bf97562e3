//! What a lab shows, for people and for programs: both sides in columns, the one change between them, the verdict.
//!
//! Values come from containers, so they are shown as `log::value` writes them: no control character reaches the terminal.

use serde_json::{Value, json};

use super::table::{Expect, Lab, Switch};
use super::trial::Shown;
use crate::log::value;

/// The sides that were run, OFF first.
pub type Sides = [Option<Shown>; 2];

/// Exit status when a host cannot show a lab, as test programs have it.
pub const CANNOT: i32 = 77;

/// Whether what was seen is what the lab says.
pub fn holds(lab: &Lab, sides: &Sides) -> bool {
    let [off, on] = sides;
    let on_wanted = lab.expect == Expect::Both;
    off.iter().all(|s| s.effect) && on.iter().all(|s| s.effect == on_wanted)
}

/// The index.
pub fn index<'a>(labs: impl Iterator<Item = &'a Lab>) -> String {
    let mut text = String::new();
    for lab in labs {
        let star = if lab.danger.is_some() { "*" } else { " " };
        text.push_str(&format!("{:<16}{star} {}\n", lab.name, lab.about));
    }
    text + "\n* needs --i-am-a-lab-vm, or the file /etc/rrun-lab. To run one: rrun lab run NAME\n"
}

/// The index as data.
pub fn index_json<'a>(labs: impl Iterator<Item = &'a Lab>) -> Value {
    let entry =
        |lab: &Lab| json!({"name": lab.name, "about": lab.about, "text": lab.text, "refs": lab.refs, "danger": lab.danger});
    labs.map(entry).collect()
}

/// The whole of a run.
pub fn text(lab: &Lab, sides: &Sides, change: Option<&Value>) -> String {
    let mut text = format!("lab {}: {}\n\n{}\n\n", lab.name, lab.about, lab.text);
    if let Some(change) = change {
        text.push_str(&format!("The only change\n{}\n", the_change(lab, change)));
    }
    text.push_str(&columns(lab, sides));
    for (name, side) in ["OFF", "ON"].iter().zip(sides) {
        for line in side.iter().flat_map(|s| &s.other) {
            text.push_str(&format!("  {name:<4}{}\n", value(line)));
        }
    }
    text.push_str(&format!("\n{}\nRead more: {}\n", verdict(lab, sides), lab.refs.join(" · ")));
    text
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
pub fn cannot(lab: &Lab, reason: &str) -> String {
    format!("lab {} cannot be shown here: {reason}\n", lab.name)
}

fn verdict(lab: &Lab, sides: &Sides) -> String {
    let shared = lab.expect == Expect::Both;
    let text = match (sides, holds(lab, sides)) {
        ([Some(_), Some(_)], true) if shared => "As expected: the same in both. No switch keeps containers apart here.",
        ([Some(_), Some(_)], true) => "As expected: OFF shows the effect, ON does not.",
        ([Some(_), None], true) => "As expected: OFF shows the effect.",
        ([None, Some(_)], true) if shared => "As expected: ON shows the effect, too.",
        ([None, Some(_)], true) => "As expected: ON does not show the effect.",
        _ => "NOT as expected: see the lines above.",
    };
    text.to_owned()
}

/// One line per fact; the one that shows the effect is marked.
fn columns(lab: &Lab, sides: &Sides) -> String {
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
    let row = |name: &str, cells: [Option<String>; 2]| {
        let [off, on] = cells.map(|c| c.unwrap_or_default());
        let line = match (&sides[0], &sides[1]) {
            (Some(_), Some(_)) => format!("  {name:<24}{off:<width$}  {on}"),
            _ => format!("  {name:<24}{off}{on}"),
        };
        line.trim_end().to_owned() + "\n"
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
        let text = text(lab, &[shown("uid", "0", true), shown("uid", "su: no\u{1b}[2J", false)], None);
        assert!(text.contains("\n                          OFF                       ON\n  > uid"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("As expected: OFF shows the effect, ON does not."));
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
