//! The verbs that show what is isolated, what is shared, and why.
//!
//! Each is one call into its own folder of `src/workshop`: none is part of the specification's lifecycle, and no verb of the
//! lifecycle calls one of them.

use crate::cli::{Global, Understand};
use crate::error::{Result, Warnings};
use crate::log::Journal;
use crate::verbs::{Outcome, trace};
use crate::workshop::{completion, diff, doctor, explain, help, lab, log, stats, tree};

/// Runs one of them.
pub fn run(global: &Global, verb: &Understand, journal: &mut Journal) -> Result<Outcome> {
    let style = global.looks.stdout();
    Ok(match verb {
        Understand::Explain(args) => {
            // The report shows them itself; only --strict makes them more.
            let mut warnings = Warnings::default();
            let said = explain::run(global, args, &style, &mut warnings)?;
            let strict = warnings.lines().iter().filter(|_| global.strict);
            strict.for_each(|line| journal.warnings().add(line.clone()));
            Outcome { status: said.status, text: said.text }
        }
        Understand::Tree(args) => Outcome::print(tree::run(&global.root, args, &style)?),
        Understand::Diff(args) => Outcome::print(diff::run(&global.root, args, &global.looks)?),
        Understand::Trace(args) => trace::run(global, args, journal)?,
        Understand::Stats(args) => Outcome::print(stats::run(&global.root, args, &style, super::print)?),
        Understand::Log(args) => Outcome::print(log::run(global, args, &style, super::print)?),
        Understand::Lab(args) => {
            let (status, text) = lab::run(args, &global.looks)?;
            Outcome { status, text }
        }
        Understand::Doctor { json } => {
            let (text, ready) = doctor::run(global, *json)?;
            Outcome { status: i32::from(!ready), text }
        }
        Understand::Help { topic } => Outcome::print(help::run(global, topic)?),
        Understand::Completion { shell } => Outcome::print(completion::script(shell, global.name)),
        Understand::Complete { words } => Outcome::print(completion::words(global, words)),
    })
}
