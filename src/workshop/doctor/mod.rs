//! `rrun doctor`: what containers need of this host, asked before anything fails.
//!
//! One line for each question: ✓ it is there, ✗ it is needed and missing, - it is missing and only some containers need it.
//! The questions are those that the errors ask after a failure (`host::obstacles`, `users::tools`), so what is said here is
//! what would be said there. Nothing is changed; a user namespace is made and left again at once.

mod groups;
mod kernel;
mod user;

use serde_json::json;

use crate::cli::Global;
use crate::error::Result;
use crate::host::Host;
use crate::host::obstacles::Obstacle;
use crate::style::{Paint, Style};

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `openat2`.
    pub id: &'static str,
    /// What was found.
    pub found: String,
    /// Good, or how bad.
    pub result: Answer,
    /// What stands in the way, and what helps.
    pub obstacle: Option<Obstacle>,
}

/// How an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Good,
    /// It is needed and missing.
    Missing,
    /// It is missing, and only some containers need it; or it is none of this user's business.
    Absent,
}

impl Check {
    fn good(id: &'static str, found: impl Into<String>) -> Self {
        Self { id, found: found.into(), result: Answer::Good, obstacle: None }
    }

    fn absent(id: &'static str, found: impl Into<String>) -> Self {
        Self { id, found: found.into(), result: Answer::Absent, obstacle: None }
    }

    fn missing(id: &'static str, found: impl Into<String>) -> Self {
        Self { id, found: found.into(), result: Answer::Missing, obstacle: None }
    }

    fn because(mut self, cause: impl Into<String>, fix: impl Into<String>) -> Self {
        self.obstacle = Some(Obstacle::new(cause, fix));
        self
    }
}

/// All questions, in the order of the page.
fn ask(global: &Global, host: &Host) -> Vec<Check> {
    let mut all = kernel::checks();
    all.extend(user::checks(global, host));
    all.extend(groups::checks(host));
    all
}

/// The page or the document, and whether the host is ready.
pub fn run(global: &Global, as_json: bool) -> Result<(String, bool)> {
    let host = Host::ask()?;
    let checks = ask(global, &host);
    let ready = !checks.iter().any(|c| c.result == Answer::Missing);
    let text = if as_json { document(&checks, ready) } else { page(&global.looks.stdout(), &checks, ready) };
    Ok((text, ready))
}

fn page(style: &Style, checks: &[Check], ready: bool) -> String {
    let widest = checks.iter().map(|c| c.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        let mark = match check.result {
            Answer::Good => style.yes(),
            Answer::Missing => style.no(),
            Answer::Absent => style.none(),
        };
        let blank = " ".repeat(3 - crate::style::columns(&mark).min(2));
        let line = format!("{mark}{blank}{:<widest$}  {}", check.id, crate::log::escape(&check.found));
        out.push_str(&style.hang(&line, &" ".repeat(widest + 5)));
        out.push('\n');
        for (name, text) in check.obstacle.iter().flat_map(|o| [("cause", &o.cause), ("fix", &o.fix)]) {
            let text = style.wrap(&crate::log::escape(text), widest + 12);
            let text = text.get(widest + 12..).unwrap_or_default();
            out.push_str(&format!("{}{}  {text}", " ".repeat(widest + 5), style.paint(Paint::Faint, format!("{name:<5}"))));
        }
    }
    let last = if ready { "ready: containers can run here" } else { "not ready: something needed is missing" };
    out + last + "\n"
}

fn document(checks: &[Check], ready: bool) -> String {
    let row = |check: &Check| {
        let result = match check.result {
            Answer::Good => "ok",
            Answer::Missing => "missing",
            Answer::Absent => "absent",
        };
        let (cause, fix) = check.obstacle.as_ref().map(|o| (&o.cause, &o.fix)).unzip();
        json!({"id": check.id, "result": result, "found": check.found, "cause": cause, "fix": fix})
    };
    let checks: Vec<_> = checks.iter().map(row).collect();
    format!("{:#}\n", json!({"version": 1, "ready": ready, "checks": checks}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_check_and_what_helps_below() {
        let checks = [Check::good("openat2", "there"), Check::missing("keys", "200 of 200").because("used up", "raise it")];
        let text = "ok openat2  there\nx  keys     200 of 200\n            cause  used up\n            fix    raise it\nnot ready: something needed is missing\n";
        assert_eq!(page(&Style::default(), &checks, false), text);
        let utf8 = Style { utf8: true, ..Style::default() };
        assert!(page(&utf8, &checks[..1], true).starts_with("✓  openat2  there\nready"));
    }

    #[test]
    fn the_document_has_stable_keys() {
        let document: serde_json::Value =
            serde_json::from_str(&document(&[Check::absent("criu", "not used")], true)).expect("JSON");
        let check = json!({"id": "criu", "result": "absent", "found": "not used", "cause": null, "fix": null});
        assert_eq!(document, json!({"version": 1, "ready": true, "checks": [check]}));
    }
}
