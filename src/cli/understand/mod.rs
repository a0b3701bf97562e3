//! The command lines of the verbs that explain: one file per verb, each with its row of the table and its arguments.
//!
//! They stand apart from the runtime's own because a build without the feature `workshop` has none of them, and because
//! their command lines are ours to choose: `--json` wherever there is a table, status 2 for a wrong command line.

mod completion;
mod diff;
mod doctor;
mod explain;
mod lab;
mod log;
mod stats;
mod trace;
mod tree;

pub use diff::DiffArgs;
pub use explain::ExplainArgs;
pub use lab::{LabArgs, LabDeed, LabRun, LabSides};
pub use log::LogArgs;
pub use stats::{StatsArgs, View as StatsView};
pub use trace::TraceArgs;
pub use tree::{TreeArgs, View as TreeView};

use super::Surroundings;
use super::go_flags::Split;
use super::table::Command;
use super::typed::Typed;
use crate::error::Result;

/// Their rows, in the order of the help.
pub const COMMANDS: &[&Command] = &[
    &explain::COMMAND,
    &tree::COMMAND,
    &diff::COMMAND,
    &trace::COMMAND,
    &stats::COMMAND,
    &log::COMMAND,
    &lab::COMMAND,
    &doctor::COMMAND,
    &completion::COMMAND,
];

/// A parsed command that explains.
#[derive(Debug, Clone)]
pub enum Understand {
    /// Show namespaces and processes.
    Tree(TreeArgs),
    /// Show what a container changed.
    Diff(DiffArgs),
    /// Show which system calls a program uses.
    Trace(TraceArgs),
    /// Show what containers use.
    Stats(StatsArgs),
    /// `explain`.
    Explain(Box<ExplainArgs>),
    /// Show the audit log.
    Log(LogArgs),
    /// Show by an experiment what one setting does.
    Lab(LabArgs),
    /// Whether this host has what containers need.
    Doctor {
        /// `--json`.
        json: bool,
    },
    /// The page of a topic that is no command.
    Help {
        /// A code, a lab, a finding, a config key.
        topic: String,
    },
    /// The script for a shell.
    Completion {
        /// `bash`, `zsh` or `fish`.
        shell: &'static str,
    },
    /// What can stand where the last of these words stands.
    Complete {
        /// The words behind `rrun`, the last one unfinished.
        words: Vec<String>,
    },
}

/// Reads the command `name`; `None` if it is none of these.
pub fn read(name: &str, flags: &Typed, split: &Split, around: &Surroundings) -> Result<Option<Understand>> {
    Ok(Some(match name {
        "tree" => Understand::Tree(tree::read(flags, split)?),
        "diff" => Understand::Diff(diff::read(flags, split)?),
        "trace" => Understand::Trace(trace::read(flags, split, around)?),
        "stats" => Understand::Stats(stats::read(flags, split)?),
        "explain" => Understand::Explain(Box::new(explain::read(flags, split, around)?)),
        "log" => Understand::Log(log::read(flags, split)?),
        "lab" => lab::read(flags, split, around)?,
        "doctor" => doctor::read(flags),
        "completion" => completion::read(split)?,
        _ => return Ok(None),
    }))
}
