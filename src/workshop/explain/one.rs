//! One finding, in full: what it is, how to see it, what it prevents, how to repair it, and who asks for it.
//!
//! The same words make the page of `help FINDING`, which speaks of no container.

use serde_json::json;

use super::report::{Report, pretty, risk_name};
use super::table::{Check, VERSION};
use super::text::operation;
use super::{rounded, tenths};
use crate::style::{Paint, Style};

/// The finding of one subject.
pub fn text(report: &Report, check: &'static Check, as_json: bool, style: &Style, program: &str) -> String {
    let finding = report.grade.findings.iter().find(|f| f.check.id == check.id).expect("every check is judged");
    if as_json {
        let mut value = report.finding(finding);
        value["state"] = json!(finding.verdict.as_ref().map(|v| &v.state));
        (value["what"], value["why"]) = (json!(check.what), json!(check.why));
        (value["show"], value["mayBreak"]) = (json!(check.show), json!(check.breaks));
        value["tableVersion"] = json!(VERSION);
        return pretty(&value);
    }
    let name = style.paint(Paint::Strong, check.id);
    let verdict = match (&finding.verdict, &finding.accepted) {
        (_, Some(reason)) => reason.clone(),
        (None, _) => "does not apply, or cannot be seen".to_owned(),
        (Some(v), _) if v.badness == 0 => format!("{} passed: {}", style.yes(), v.state),
        (Some(_), _) => {
            let floor = finding.floor.map_or_else(String::new, |f| format!("; an open door: at least {}", tenths(f)));
            format!("{} costs {} of 10 (weight {}){floor}", style.no(), rounded(finding.cost), finding.weight)
        }
    };
    let mut out = format!("{name}  {}  {verdict}\n\n", report.subject.name);
    if finding.fails() {
        out.push_str(&part(style, "What", &finding.reason()));
        out.push_str(&style.wrap(check.why, 10));
    } else {
        out.push_str(&part(style, "What", check.why));
    }
    out.push_str(&rest(check, &|text| report.subject.command(text), style));
    let patch = report.fix(check.id);
    if finding.fails() && !patch.is_empty() {
        let lines: Vec<String> = patch.iter().map(|o| operation(o, style.width.is_none())).collect();
        out.push_str(&format!("\nJSON patch of config.json\n[\n  {}\n]\n", lines.join(",\n  ")));
        out.push_str(&format!("\n`{program} explain {} --fix` writes it for all findings\n", report.subject.place));
    }
    out
}

/// The page without a subject.
pub fn page(check: &Check, style: &Style) -> String {
    let risks: Vec<&str> = check.risk.chars().map(risk_name).collect();
    let head = format!("{}  weight {} of 256  ({})\n\n", style.paint(Paint::Strong, check.id), check.weight, risks.join(", "));
    let what = part(style, "What", check.what) + &style.wrap(check.why, 10);
    head + &what + &rest(check, &str::to_owned, style)
}

/// `named` puts the name of the subject into a command.
fn rest(check: &Check, named: &dyn Fn(&str) -> String, style: &Style) -> String {
    let cves: Vec<String> = check.cves.split(' ').filter(|c| !c.is_empty()).map(|c| format!("CVE-{c}")).collect();
    let prevents = if cves.is_empty() { String::new() } else { part(style, "Prevents", &cves.join(", ")) };
    let refs: Vec<String> = check.references().into_iter().filter(|r| !r.starts_with("CVE-")).collect();
    let refs = [refs.join("; "), format!("table version {VERSION}")].into_iter().filter(|r| !r.is_empty()).collect::<Vec<_>>();
    part(style, "Show", &named(check.show))
        + &prevents
        + &part(style, "Fix", &named(check.fix))
        + &part(style, "Breaks", check.breaks)
        + &part(style, "Refs", &refs.join("; "))
}

/// A name in the margin, and a text beside it.
fn part(style: &Style, name: &str, text: &str) -> String {
    let wrapped = style.wrap(text, 10);
    let body = wrapped.get(10..).unwrap_or_default();
    format!("{}{}{body}", style.paint(Paint::Strong, name), " ".repeat(10 - name.len()))
}
