//! The report as text: the score first, then what is wrong, the costliest first, with what to write.
//!
//! A table fits the terminal, a pipe gets whole lines; SHARED and the symbols stand in words too, so that nothing depends on colour.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::grade::{Finding, Grade};
use super::report::{Report, pretty, risk_name};
use super::table::{STRONGER, VERSION, YARDSTICKS};
use super::{rounded, shown, tenths};
use crate::cli::ExplainArgs;
use crate::style::{Column, Paint, Style, columns, table};

/// Letters of an operation that are shown: a list of system calls has thousands.
const LINE: usize = 200;
/// Failing checks that are shown without `-v`.
const SHOWN: usize = 10;

/// The whole report.
pub fn report(report: &Report, args: &ExplainArgs, style: &Style, program: &str) -> String {
    let mut out = head(report, style);
    let failing = report.failing();
    doors(report, style, &mut out);
    match args.by.as_deref() {
        Some(by) => grouped(&failing, by, style, &mut out),
        None => findings(report, &failing, args.verbose, style, &mut out),
    }
    details(report, args, style, &mut out);
    let list = |title: &str, lines: Vec<String>, out: &mut String| {
        if !lines.is_empty() {
            out.push_str(&format!("\n{}\n", style.paint(Paint::Strong, title)));
            lines.iter().for_each(|line| out.push_str(&style.wrap(line, 2)));
        }
    };
    let drift = |d: &super::drift::Drift| format!("{}  {}", if d.weaker { "weaker" } else { "stronger" }, d.text);
    list("Drift from config.json", report.drift.iter().map(drift).collect(), &mut out);
    let note = |n: &super::notes::Note| match n.cis {
        "" => format!("{}  {}", n.id, n.text),
        cis => format!("{}  {} (CIS {cis})", n.id, n.text),
    };
    list("Also (without weight)", report.subject.notes.iter().map(note).collect(), &mut out);
    let accepted = report.grade.findings.iter().filter_map(|f| Some(format!("{}  {}", f.check.id, f.accepted.as_ref()?)));
    list("By policy", accepted.chain(report.policy.expired.iter().cloned()).collect(), &mut out);
    let shared = Report::shared().join(" · ");
    list("Always shared with the host (no setting changes this)", vec![shared, format!("stronger: {STRONGER}")], &mut out);
    if !failing.is_empty() {
        let more = format!(
            "{program} explain {} {} says more of one; table version {VERSION}",
            report.subject.word, failing[0].check.id
        );
        out.push_str(&format!("\n{}\n", style.paint(Paint::Faint, style.hang(&more, "  "))));
    }
    out
}

fn head(report: &Report, style: &Style) -> String {
    let subject = &report.subject;
    let hash = subject.hash.as_ref().map_or_else(String::new, |h| format!(" · config sha256:{}…", &h[..12]));
    let name = style.paint(Paint::Strong, subject.name.as_str());
    let mut out = format!("{name}  {}  {}{hash}\n", subject.place, subject.status);
    let others: Vec<String> = YARDSTICKS.iter().map(|(name, score)| format!("{name}: {}", tenths(*score))).collect();
    let score = format!("Exposure {} / 10  {}", tenths(report.grade.score), report.grade.level());
    let score = style.paint(paint(report.grade.score), score);
    out.push_str(&format!("{score}   ({})\n", others.join(" · ")));
    if report.grade.score != report.grade.average {
        out.push_str(&format!("average {}; an open door counts for all\n", tenths(report.grade.average)));
    }
    out
}

fn paint(score: u32) -> Paint {
    match score {
        0..=24 => Paint::Good,
        25..=49 => Paint::Warn,
        _ => Paint::Bad,
    }
}

fn doors(report: &Report, style: &Style, out: &mut String) {
    if report.grade.doors.is_empty() {
        return;
    }
    out.push_str(&format!("\n{}\n", style.paint(Paint::Strong, "Open doors")));
    for door in &report.grade.doors {
        let line = format!("  {} {}  {:<9} {}", style.no(), tenths(door.floor), door.id, door.text);
        out.push_str(&style.fit(&line));
        out.push('\n');
    }
}

fn findings(report: &Report, failing: &[&Finding], all: bool, style: &Style, out: &mut String) {
    let most = if all { failing.len() } else { SHOWN };
    out.push('\n');
    if failing.is_empty() {
        out.push_str(&format!("{} every check passed\n", style.yes()));
        return;
    }
    let row = |f: &&Finding| {
        vec![format!("  {} {}", style.no(), f.check.id), f.reason(), rounded(f.cost), report.subject.command(f.check.fix)]
    };
    let rows: Vec<Vec<String>> = failing.iter().take(most).map(row).collect();
    out.push_str(&with_fixes(&rows, style));
    let (more, passed) = (failing.len().saturating_sub(most), report.passed().count());
    let rest = if more > 0 { format!("{more} more, ") } else { String::new() };
    // With -v they follow.
    let flag = if all { ", see below" } else { " (-v)" };
    out.push_str(&format!("  {} {rest}{passed} passed{flag}\n", style.ellipsis()));
}

/// The findings with their fixes, which are there to be copied: where there is no room beside a finding, its fix stands below.
fn with_fixes(rows: &[Vec<String>], style: &Style) -> String {
    let heads = [Column::new("Findings"), Column::long(""), Column::number("costs"), Column::long("fix")];
    let whole = table(&Style { width: None, ..*style }, &heads, rows);
    if style.width.is_none_or(|width| whole.lines().all(|line| columns(line) <= width)) {
        return whole;
    }
    let short: Vec<Vec<String>> = rows.iter().map(|row| row[..3].to_vec()).collect();
    let lines = table(style, &heads[..3], &short);
    let margin = 4 + rows.iter().map(|row| columns(&row[0])).max().unwrap_or(0).max(8);
    let fixes = std::iter::once(None).chain(rows.iter().map(|row| Some(&row[3])));
    let below = |(line, fix): (&str, Option<&String>)| match fix {
        Some(fix) => {
            format!("{line}\n{}\n", style.hang(&format!("{}fix: {fix}", " ".repeat(margin - 2)), &" ".repeat(margin + 3)))
        }
        None => format!("{line}\n"),
    };
    lines.lines().zip(fixes).map(below).collect()
}

/// One operation of a patch: whole where a program reads it, and on a terminal as much as says what it is.
pub(super) fn operation(operation: &Value, whole: bool) -> String {
    let text = operation.to_string();
    match text.len() {
        LINE.. if !whole => format!("{} ... (whole with --json)", &text[..text.floor_char_boundary(LINE)]),
        _ => text,
    }
}

/// What `-v` adds: why each matters, and what passed.
fn details(report: &Report, args: &ExplainArgs, style: &Style, out: &mut String) {
    if !args.verbose {
        return;
    }
    for f in report.failing() {
        out.push_str(&format!("\n{}\n", style.paint(Paint::Strong, f.check.id)));
        out.push_str(&style.wrap(f.check.why, 2));
        out.push_str(&style.wrap(&format!("see it: {}", f.check.show), 2));
        f.check.references().iter().for_each(|r| out.push_str(&style.wrap(r, 2)));
    }
    out.push_str(&format!("\n{}\n", style.paint(Paint::Strong, "Passed")));
    for f in report.passed() {
        let state = f.verdict.as_ref().map_or("", |v| v.state.as_str());
        out.push_str(&format!("  {} {:<9} {state}\n", style.yes(), f.check.id));
    }
    for f in report.grade.findings.iter().filter(|f| f.verdict.is_none()) {
        out.push_str(&format!("  {} {:<9} does not apply, or cannot be seen\n", style.none(), f.check.id));
    }
}

/// `--by`: the failing checks under headings. One that belongs to several stands under each.
fn grouped(failing: &[&Finding], by: &str, style: &Style, out: &mut String) {
    let mut groups: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for f in failing {
        let keys: Vec<String> = match by {
            "risk" => f.check.risk.chars().map(|letter| risk_name(letter).to_owned()).collect(),
            "ns" => vec![f.check.area.to_owned()],
            _ => f.check.references(),
        };
        let keys = if keys.is_empty() { vec!["without reference".to_owned()] } else { keys };
        keys.into_iter().for_each(|key| groups.entry(key).or_default().push(f));
    }
    for (key, members) in groups {
        let cost: u32 = members.iter().map(|f| f.cost).sum();
        out.push_str(&format!("\n{}  {}\n", style.paint(Paint::Strong, key), rounded(cost)));
        for f in members {
            let line = format!("  {} {:<9} {}", style.no(), f.check.id, f.reason());
            out.push_str(&style.fit(&line));
            out.push('\n');
        }
    }
}

/// What `--fix` did.
pub fn repair(before: &Grade, after: &Grade, operations: &[Value], file: &Path, as_json: bool, style: &Style) -> String {
    let left: Vec<&Finding> = after.findings.iter().filter(|f| f.fails()).collect();
    let repaired = || before.findings.iter().filter(|f| f.fails() && !left.iter().any(|l| l.check.id == f.check.id));
    if as_json {
        let breaks = repaired().map(|f| json!({"id": f.check.id, "mayBreak": f.check.breaks}));
        return pretty(&json!({
            "file": shown(file),
            "before": f64::from(before.score) / 10.0,
            "after": f64::from(after.score) / 10.0,
            "patch": operations,
            "mayBreak": breaks.collect::<Vec<_>>(),
            "left": left.iter().map(|f| f.check.id).collect::<Vec<_>>(),
        }));
    }
    let mut out = format!(
        "{} {} to {} {}: written to {}\n\nPatch (RFC 6902)\n",
        tenths(before.score),
        before.level(),
        tenths(after.score),
        after.level(),
        shown(file)
    );
    operations.iter().for_each(|o| out.push_str(&format!("  {}\n", operation(o, false))));
    out.push_str("\nWhat could break\n");
    let width = repaired().map(|f| columns(f.check.id)).max().unwrap_or(0);
    let line = |id: &str, text: &str| style.hang(&format!("  {id:<width$}  {text}"), &" ".repeat(width + 4)) + "\n";
    repaired().for_each(|f| out.push_str(&line(f.check.id, f.check.breaks)));
    if !left.is_empty() {
        out.push_str("\nLeft to you\n");
        left.iter().for_each(|f| out.push_str(&line(f.check.id, f.check.fix)));
    }
    out
}
