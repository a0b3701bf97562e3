//! `explain`: how far a container is open, why, and what to write to close it.
//!
//! A bundle is graded before it runs, a container as it runs. The checks, their weights and their words are one versioned table
//! ([`table`]); what they look at is one picture, [`facts::Facts`], made from config.json ([`asked`]) or from what the kernel says
//! ([`effective`]); the judgement is pure. Text, JSON and HTML show the same [`Report`].

mod asked;
mod compare;
mod drift;
mod effective;
mod facts;
mod fix;
mod grade;
mod html;
mod judge;
mod notes;
mod one;
mod policy;
mod report;
mod subject;
pub mod table;
mod text;

use std::path::Path;

use crate::cli::{ExplainArgs, Global};
use crate::error::{At, Error, Result, Warnings};
use crate::style::Style;
use crate::workshop::help::Shelf;
use crate::workshop::observed::container::Container;
use policy::Policy;
use report::Report;
use subject::Subject;

/// What the command prints, and its exit status.
pub struct Said {
    /// 0, or 1 when the score is above `--threshold`.
    pub status: i32,
    /// For stdout.
    pub text: String,
}

/// Runs the command.
pub fn run(global: &Global, args: &ExplainArgs, style: &Style, warnings: &mut Warnings) -> Result<Said> {
    check(args)?;
    let today = crate::log::now();
    let policy = args.policy.as_deref().map(|path| Policy::read(path, &today[..10])).transpose()?.unwrap_or_default();
    let finding = args.finding.as_deref().map(policy::find).transpose().map_err(|e| e.code("E-USAGE"))?;
    let report = Report::new(load(global, args, warnings)?, policy);
    let mut text = match (&args.compare, finding) {
        (Some(other), _) => {
            let word = other.to_string_lossy();
            let other = Report::new(subject::of_word(&word, &args.compare_dir, &global.root, warnings)?, Policy::default());
            compare::text(&other, &report, args.json, style)
        }
        (None, Some(check)) => one::text(&report, check, args.json, style, global.name),
        (None, None) if args.json => report::pretty(&report.json()),
        (None, None) => text::report(&report, args, style, global.name),
    };
    if args.fix {
        text = repair(global, args, &report)?;
    }
    // JSON is UTF-8, whatever the locale.
    let text = if args.json { text } else { style.symbols(text) };
    if let Some(file) = &args.html {
        std::fs::write(file, html::page(&report)).at(|| format!("write {}", shown(file)))?;
    }
    Ok(Said { status: i32::from(args.threshold.is_some_and(|most| report.grade.score > most)), text })
}

/// Flags that contradict each other, or need one that is missing.
fn check(args: &ExplainArgs) -> Result<()> {
    let contradiction = |a: &str, b: &str| Err(Error::new(format!("{a} and {b} exclude each other")).code("E-USAGE"));
    match args {
        ExplainArgs { pid: Some(_), word: Some(_), finding: Some(_), .. } => contradiction("--pid", "a bundle or container"),
        ExplainArgs { output: Some(_), fix: false, .. } => {
            Err(Error::new("-o needs --fix").code("E-USAGE").hint("for a report as a file use --html FILE, or > FILE"))
        }
        ExplainArgs { fix: true, pid: Some(_), .. } => contradiction("--fix", "--pid"),
        ExplainArgs { fix: true, compare: Some(_), .. } => contradiction("--fix", "--compare"),
        ExplainArgs { fix: true, finding: Some(_), .. } => contradiction("--fix", "a single finding"),
        ExplainArgs { compare: Some(_), finding: Some(_), .. } => contradiction("--compare", "a single finding"),
        _ => Ok(()),
    }
}

fn load(global: &Global, args: &ExplainArgs, warnings: &mut Warnings) -> Result<Subject> {
    match args.pid {
        Some(pid) => subject::of_pid(pid, &global.root),
        None => subject::of_word(args.word.as_deref().unwrap_or_default(), &args.dir, &global.root, warnings),
    }
}

/// `--fix`: writes the patched config, and says what was changed and what could break.
fn repair(global: &Global, args: &ExplainArgs, report: &Report) -> Result<String> {
    let (config, bundle) =
        report.subject.config.as_ref().zip(report.subject.bundle.as_deref()).ok_or_else(|| {
            Error::new("there is no config.json to repair").hint("its container keeps none; explain its bundle")
        })?;
    let machine = subject::Machine::ask(&global.root, None);
    let facts = |config: &serde_json::Value| machine.asked(config, bundle);
    // What the config asks for is what can be repaired in it, whatever drifted.
    let before = grade::grade(&facts(config), &report.policy);
    let ids: Vec<&str> = before.findings.iter().filter(|f| f.fails()).map(|f| f.check.id).collect();
    let (fixed, operations) = fix::patch(config, ids.iter().copied(), &facts);
    let after = grade::grade(&facts(&fixed), &report.policy);
    let file = args.output.clone().unwrap_or_else(|| bundle.join("config.fixed.json"));
    write(&file, &crate::bundle::template::text(&fixed), args.output.is_some())?;
    Ok(text::repair(&before, &after, &operations, &file, args.json, &global.looks.stdout()))
}

/// A file that was not named is never overwritten.
fn write(file: &Path, text: &str, named: bool) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(named).truncate(named).create_new(!named);
    let opened = options.open(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Error::os(format!("write {}", shown(file)), e)
            .hint("remove it, or name a file with -o FILE, which may be overwritten"),
        _ => Error::os(format!("write {}", shown(file)), e),
    });
    opened?.write_all(text.as_bytes()).at(|| format!("write {}", shown(file)))
}

/// A score in tenths, and its level; `None` when nothing is known.
pub type Exposure = Option<(u32, &'static str)>;

/// How open a container is, for other verbs.
pub fn exposure(container: &Container, root: &Path) -> Exposure {
    let subject = subject::of_container(container, root).ok()?;
    let grade = grade::grade(&subject.facts, &Policy::default());
    Some((grade.score, grade.level()))
}

/// How open the bundle was when its config.json had this SHA-256, as [`exposure`]. `None` if it has another by now, or none.
pub fn exposure_of(bundle: &Path, config: &str, root: &Path) -> Exposure {
    let subject = subject::of_bundle(bundle, root, &mut Warnings::default()).ok()?;
    let grade = grade::grade(&subject.facts, &Policy::default());
    (subject.hash.as_deref() == Some(config)).then(|| (grade.score, grade.level()))
}

/// The ids of all findings with one line on each.
pub fn findings() -> impl Iterator<Item = (&'static str, &'static str)> {
    table::CHECKS.iter().map(|c| (c.id, c.what)).chain(notes::NOTES)
}

/// The pages of `help FINDING`: what it means, what shows it, what it prevents, how it is repaired.
pub const SHELF: Shelf = Shelf { kind: "finding", names: || findings().map(|(id, _)| id).collect(), page };

fn page(id: &str, style: &Style) -> Option<String> {
    if let Some((id, what)) = notes::NOTES.iter().find(|(note, _)| note.eq_ignore_ascii_case(id)) {
        return Some(format!("{id}  (no weight)\n\n{}", style.wrap(what, 0)));
    }
    table::check(id).map(|check| one::page(check, style))
}

/// A score or cost in tenths: `2.8`.
pub fn tenths(n: u32) -> String {
    format!("{}.{}", n / 10, n % 10)
}

/// Hundredths as tenths, rounded: `0.8`.
fn rounded(hundredths: u32) -> String {
    tenths((hundredths + 5) / 10)
}

/// A path of others as it may be shown.
fn shown(path: &Path) -> String {
    crate::log::value(&path.to_string_lossy())
}
