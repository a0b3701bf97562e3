//! `explain BUNDLE|ID [FINDING]`: its row of the table, and what its words mean.
//!
//! The first word is a container or a bundle; which of them is found out when it is looked for. With `--pid` there is no such word, and the
//! only one is a finding. `--compare A B` reads as a sentence: A is the flag's, B is the operand.

use std::path::{Path, PathBuf};

use super::super::Surroundings;
use super::super::go_flags::Split;
use super::super::table::{Command, Flag, Group, SAME, Takes, flag};
use super::super::typed::{self, Typed};
use crate::error::{Error, Result};

const FLAGS: &[Flag] = &[
    flag("json", None, Takes::Nothing, "As JSON"),
    SAME,
    flag("verbose", Some('v'), Takes::Nothing, "All findings, why each matters, and what passed"),
    flag("threshold", None, Takes::Text("N"), "Exit with status 1 if the score is above N"),
    flag("fix", None, Takes::Nothing, "Write a repaired config; print the patch and what could break"),
    flag("output", Some('o'), Takes::Text("FILE"), "With --fix: where to [default: config.fixed.json in the bundle]"),
    flag("policy", None, Takes::Text("FILE"), "Weights and exceptions, as JSON"),
    flag("by", None, Takes::OneOf(&["risk", "ns", "ref"]), "Group by risk, by mechanism, or by reference"),
    flag("compare", None, Takes::Text("OTHER"), "Show what differs from OTHER"),
    flag("html", None, Takes::Text("FILE"), "Write the report as one HTML file"),
    flag("pid", None, Takes::Text("PID"), "Judge the container that process PID is in, whoever made it"),
];

/// Its row.
pub const COMMAND: Command = Command {
    name: "explain",
    group: Group::Understand,
    operands: "[BUNDLE|ID] [FINDING]",
    count: (0, 2),
    about: "Grade how far a container is open, and say how to close it",
    examples: ["@ explain web", "@ explain --threshold 4 ./web"],
    flags: &[FLAGS],
};

/// The arguments of `explain`.
#[derive(Debug, Clone, Default)]
pub struct ExplainArgs {
    /// The container or bundle; `None` is the bundle in the current directory.
    pub word: Option<String>,
    /// What the word is as a directory, absolute.
    pub dir: PathBuf,
    /// The only finding to speak of.
    pub finding: Option<String>,
    /// `--json`.
    pub json: bool,
    /// `--verbose`.
    pub verbose: bool,
    /// `--threshold`, in tenths.
    pub threshold: Option<u32>,
    /// `--fix`.
    pub fix: bool,
    /// `--output`.
    pub output: Option<PathBuf>,
    /// `--policy`.
    pub policy: Option<PathBuf>,
    /// `--by`.
    pub by: Option<String>,
    /// `--compare`, as it was given.
    pub compare: Option<PathBuf>,
    /// What it is as a directory, absolute.
    pub compare_dir: PathBuf,
    /// `--html`.
    pub html: Option<PathBuf>,
    /// `--pid`.
    pub pid: Option<i32>,
}

/// Reads them.
pub fn read(flags: &Typed, split: &Split, around: &Surroundings) -> Result<ExplainArgs> {
    let text = |n: usize| split.operands.get(n).map(|w| w.to_string_lossy().into_owned());
    let pid = flags.integer::<i32>("pid")?;
    // With --pid the words that follow begin with the finding.
    let (word, finding) = match (pid, text(0), text(1)) {
        (Some(_), first, None) => (None, first),
        (_, first, second) => (first, second),
    };
    let dir = typed::absolute(Path::new(word.as_deref().unwrap_or(".")), around)?;
    let compare = flags.string("compare")?;
    let compare_dir = typed::absolute(Path::new(compare.as_deref().unwrap_or(".")), around)?;
    Ok(ExplainArgs {
        word,
        dir,
        finding,
        json: flags.json(),
        verbose: flags.on("verbose"),
        threshold: flags.string("threshold")?.map(|text| threshold(&text)).transpose()?,
        fix: flags.on("fix"),
        output: flags.path("output", around)?,
        policy: flags.path("policy", around)?,
        by: flags.text("by").map(str::to_owned),
        compare: compare.map(PathBuf::from),
        compare_dir,
        html: flags.path("html", around)?,
        pid,
    })
}

/// `2.4` → 24. More digits than the score has would never be equal to it.
fn threshold(text: &str) -> Result<u32> {
    let tenths = match text.split_once('.') {
        Some((whole, tenth)) if tenth.len() == 1 => {
            whole.parse().ok().zip(tenth.parse().ok()).map(|(w, t): (u32, u32)| w.saturating_mul(10) + t)
        }
        Some(_) => None,
        None => text.parse::<u32>().ok().map(|w| w.saturating_mul(10)),
    };
    tenths.filter(|t| *t <= 100).ok_or_else(|| {
        Error::new(format!("invalid value \"{}\" for --threshold", crate::log::value(text)))
            .hint("write a number from 0 to 10, as 2.4")
    })
}
