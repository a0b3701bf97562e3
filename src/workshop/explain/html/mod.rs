//! `--html FILE`: the report as one file that can be mailed, printed and opened anywhere.
//!
//! It loads nothing and runs nothing: no script, no font, no picture from elsewhere, and a Content-Security-Policy that forbids what an
//! injected name might try. Names of containers, processes and paths are chosen by attackers, so all text goes through [`text`], the
//! only way into the page; what a terminal would obey was escaped before.

mod pictures;
mod style;

use std::fmt::Write;

use super::facts::Sharing;
use super::grade::Finding;
use super::report::{Report, risk_name};
use super::table::{STRONGER, VERSION, YARDSTICKS};
use super::{rounded, tenths};
use crate::workshop::observed::namespaces::Kind;

/// What the page allows a browser.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// A page under construction. Only constants and numbers are put in as markup.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Markup of our own.
    fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text of anybody.
    fn text(&mut self, words: &str) -> &mut Self {
        self.0.push_str(&text(words));
        self
    }

    /// An element that holds text.
    fn element(&mut self, tag: &str, attributes: &str, words: &str) -> &mut Self {
        write!(self.0, "<{tag}{attributes}>{}</{tag}>", text(words)).expect("writing to memory");
        self
    }
}

/// Text as it may stand in an element or an attribute; control and direction characters are shown as escapes.
fn text(words: &str) -> String {
    let escaped = crate::log::escape(words);
    escaped.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// The class of a level: its colour.
fn class(score: u32) -> &'static str {
    match score {
        0..=24 => "good",
        25..=49 => "fair",
        50..=74 => "weak",
        _ => "bad",
    }
}

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut page = Page::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta http-equiv=\"Content-Security-Policy\" content=\"");
    page.text(POLICY).raw("\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\"/>\n<meta name=\"referrer\" content=\"no-referrer\"/>\n");
    page.element(
        "title",
        "",
        &format!("{}: exposure {} {}", report.subject.name, tenths(report.grade.score), report.grade.level()),
    );
    page.raw("\n<style>\n").raw(style::SHEET).raw("</style>\n</head>\n<body>\n<main>\n");
    head(report, &mut page);
    doors(report, &mut page);
    page.raw("<section class=\"pictures\">\n");
    pictures::namespaces(report, &mut page);
    pictures::processes(report, &mut page);
    pictures::paths(report, &mut page);
    page.raw("</section>\n");
    findings(report, &mut page);
    rest(report, &mut page);
    page.raw("</main>\n</body>\n</html>\n");
    page.0
}

fn head(report: &Report, page: &mut Page) {
    let subject = &report.subject;
    page.raw("<header>\n<div class=\"who\">\n").element("h1", "", &subject.name).raw("\n<p class=\"place\">");
    page.element("code", "", &subject.place).raw(" · ").text(subject.status);
    if let Some(hash) = &subject.hash {
        page.raw(" · <abbr title=\"").text(hash).raw("\">").text(&format!("config sha256:{}…", &hash[..12])).raw("</abbr>");
    }
    page.raw("</p>\n<p class=\"sum\">");
    let (failing, passed) = (report.failing().len(), report.passed().count());
    page.text(&format!("{failing} findings, {passed} checks passed"));
    if report.grade.score != report.grade.average {
        page.text(&format!(". The average is {}; an open door counts for all.", tenths(report.grade.average)));
    }
    page.raw("</p>\n</div>\n");
    gauge(report, page);
    page.raw("</header>\n");
}

/// A half circle from 0 to 10 with a needle, and where well-known configurations stand.
fn gauge(report: &Report, page: &mut Page) {
    let score = report.grade.score;
    let on_arc = |tenths: u32, radius: f64| {
        let angle = std::f64::consts::PI * (1.0 - f64::from(tenths) / 100.0);
        (120.0 + radius * angle.cos(), 112.0 - radius * angle.sin())
    };
    page.raw("<svg class=\"gauge\" viewBox=\"0 0 240 150\" role=\"img\" aria-labelledby=\"gt gd\">\n");
    page.element("title", " id=\"gt\"", &format!("Exposure {} of 10, {}", tenths(score), report.grade.level()));
    page.element("desc", " id=\"gd\"", "A scale from 0, hardened, to 10, dangerous, with a needle at the score.");
    for (from, to, class) in [(0, 25, "good"), (25, 50, "fair"), (50, 75, "weak"), (75, 100, "bad")] {
        let ((x1, y1), (x2, y2)) = (on_arc(from + 1, 92.0), on_arc(to - 1, 92.0));
        page.raw(&format!("<path class=\"arc {class}\" d=\"M{x1:.1} {y1:.1}A92 92 0 0 1 {x2:.1} {y2:.1}\"/>\n"));
    }
    for (name, at) in YARDSTICKS {
        let ((x1, y1), (x2, y2)) = (on_arc(at, 80.0), on_arc(at, 104.0));
        page.raw(&format!("<line class=\"tick\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\">"));
        page.element("title", "", &format!("{name}: {}", tenths(at))).raw("</line>\n");
    }
    let ((x1, y1), (x2, y2)) = (on_arc(score, 62.0), on_arc(score, 88.0));
    page.raw(&format!("<line class=\"needle\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n"));
    page.element("text", &format!(" class=\"score {}\" x=\"120\" y=\"106\"", class(score)), &tenths(score));
    page.element("text", " class=\"level\" x=\"120\" y=\"128\"", report.grade.level());
    page.element("text", " class=\"ends\" x=\"28\" y=\"128\"", "0");
    page.element("text", " class=\"ends\" x=\"212\" y=\"128\"", "10");
    let known: Vec<String> = YARDSTICKS.iter().map(|(name, at)| format!("{name} {}", tenths(*at))).collect();
    page.element("text", " class=\"ends\" x=\"120\" y=\"146\"", &known.join(" · ")).raw("</svg>\n");
}

fn doors(report: &Report, page: &mut Page) {
    if report.grade.doors.is_empty() {
        return;
    }
    page.raw("<section class=\"doors\">\n<h2>Open doors</h2>\n<ul>\n");
    for door in &report.grade.doors {
        page.raw("<li><strong>").text(&tenths(door.floor)).raw("</strong> ");
        page.raw(&format!("<a href=\"#{}\">{}</a> ", door.id, door.id)).text(door.text).raw("</li>\n");
    }
    page.raw("</ul>\n</section>\n");
}

fn findings(report: &Report, page: &mut Page) {
    let failing = report.failing();
    page.raw("<section>\n<h2>Findings</h2>\n");
    if failing.is_empty() {
        page.raw("<p>Every check passed.</p>\n");
    }
    failing.iter().for_each(|f| finding(report, f, page));
    page.raw("</section>\n");
}

fn finding(report: &Report, f: &Finding, page: &mut Page) {
    let kind = if f.floor.is_some() { "finding door" } else { "finding" };
    page.raw(&format!(
        "<article class=\"{kind}\" id=\"{}\">\n<div class=\"line\"><h3>{}</h3><p class=\"what\">",
        f.check.id, f.check.id
    ));
    page.text(&f.reason()).raw("</p><p class=\"cost\">");
    page.element("span", " class=\"number\"", &format!("{}{}", if f.cost > 0 { "+" } else { "" }, rounded(f.cost)));
    if let Some(floor) = f.floor {
        page.raw(" ").element("span", " class=\"floor\"", &format!("at least {}", tenths(floor)));
    }
    page.raw("</p></div>\n<p class=\"why\">").text(f.check.why).raw("</p>\n<dl>\n<dt>Fix</dt><dd class=\"wide\">");
    let (patch, fix) = (report.fix(f.check.id), report.subject.command(f.check.fix));
    match patch.is_empty() {
        true => page.element("pre", "", &fix),
        false => {
            page.element("p", "", &fix);
            patch_of(&patch, page)
        }
    };
    page.raw("</dd>\n").element("dt", "", "Breaks").element("dd", " class=\"wide\"", f.check.breaks).raw("\n");
    page.element("dt", "", "See it").raw("<dd>").element("code", "", &report.subject.command(f.check.show)).raw("</dd>\n");
    let risks: Vec<&str> = f.check.risk.chars().map(risk_name).collect();
    page.element("dt", "", "Risk").element("dd", "", &risks.join(", ")).raw("\n");
    let references = f.check.references();
    if !references.is_empty() {
        page.element("dt", "", "Refs").element("dd", " class=\"wide\"", &references.join("; ")).raw("\n");
    }
    page.raw("</dl>\n</article>\n");
}

/// The operations of a patch that are shown; a config with thousands of mounts must not make a page of megabytes.
const OPERATIONS: usize = 40;

fn patch_of<'a>(patch: &[serde_json::Value], page: &'a mut Page) -> &'a mut Page {
    page.raw("<details><summary>JSON patch</summary><pre>[");
    // Lines are ours, what is in them is not.
    for (i, operation) in patch.iter().take(OPERATIONS).enumerate() {
        page.raw(if i > 0 { ",\n " } else { "" }).text(&operation.to_string());
    }
    page.raw("]</pre>");
    if patch.len() > OPERATIONS {
        page.element("p", "", &format!("and {} more: rrun explain --fix writes them all", patch.len() - OPERATIONS));
    }
    page.raw("</details>")
}

/// A heading with a list below it; nothing where the list is empty.
fn list(page: &mut Page, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    page.raw("<section>\n").element("h2", "", title).raw("\n<ul>\n");
    for line in lines {
        page.element("li", "", line).raw("\n");
    }
    page.raw("</ul>\n</section>\n");
}

fn rest(report: &Report, page: &mut Page) {
    let drift = |d: &super::drift::Drift| format!("{}: {}", if d.weaker { "weaker" } else { "stronger" }, d.text);
    list(page, "Drift from config.json", &report.drift.iter().map(drift).collect::<Vec<_>>());
    let note = |n: &super::notes::Note| format!("{}: {}", n.id, n.text);
    list(page, "Also, without weight", &report.subject.notes.iter().map(note).collect::<Vec<_>>());
    let accepted = report.grade.findings.iter().filter_map(|f| Some(format!("{}: {}", f.check.id, f.accepted.as_ref()?)));
    list(page, "By policy", &accepted.chain(report.policy.expired.iter().cloned()).collect::<Vec<_>>());
    page.raw("<section>\n<h2>Passed</h2>\n<ul class=\"passed\">\n");
    for f in report.passed() {
        let state = f.verdict.as_ref().map_or("", |v| v.state.as_str());
        page.raw("<li>").element("code", "", f.check.id).raw(" ").text(state).raw("</li>\n");
    }
    page.raw("</ul>\n");
    let absent: Vec<&str> = report.grade.findings.iter().filter(|f| f.verdict.is_none()).map(|f| f.check.id).collect();
    if !absent.is_empty() {
        page.raw("<p>").text(&format!("Not applicable, or not to be seen: {}", absent.join(", "))).raw("</p>\n");
    }
    page.raw("</section>\n<section class=\"shared\">\n<h2>Always shared with the host</h2>\n<p>");
    page.text(&Report::shared().join(" · ")).raw("</p>\n<p>").text(&format!("No setting changes this. Stronger: {STRONGER}."));
    page.raw("</p>\n</section>\n<footer>")
        .text(&format!("rrun explain {} · table version {VERSION} · ", env!("CARGO_PKG_VERSION")));
    page.text(&crate::log::now()[..16].replace('T', " ")).text(" UTC").raw("</footer>\n");
}

/// With whom a namespace is shared, for the pictures: a class, and a word.
fn sharing(report: &Report, kind: Kind) -> (&'static str, String) {
    match report.subject.facts.namespace(kind) {
        Sharing::Own => ("own", "own".to_owned()),
        Sharing::Host => ("host", "SHARED".to_owned()),
        Sharing::With(whom) => ("with", whom.clone()),
        Sharing::Unknown => ("unknown", "not known".to_owned()),
    }
}

#[cfg(test)]
mod tests;
