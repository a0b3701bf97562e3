//! The command line of `stats`.
//!
//! Without an id it speaks of all that runs. `events --stats` stays what callers of runc expect.

use std::time::Duration;

use crate::cli::go_flags::Split;
use crate::cli::table::{Command, Group, Takes, flag};
use crate::cli::typed::{Typed, id};
use crate::error::{Error, Result};

/// Its row.
pub const COMMAND: Command = Command {
    name: "stats",
    group: Group::Understand,
    operands: "[ID]",
    count: (0, 1),
    about: "Show what containers use, against what they may use",
    examples: ["@ stats", "@ stats --memory-breakdown web"],
    flags: &[&[
        flag("follow", Some('f'), Takes::Nothing, "Go on until they have ended, or Ctrl-C"),
        flag(
            "interval",
            None,
            Takes::Text("DURATION"),
            "Time between two readings, as 500ms or 5s [default: 500ms; with --follow 1s]",
        ),
        flag("json", None, Takes::Nothing, "As JSON; with --follow one line for each reading"),
        flag(
            "format",
            None,
            Takes::OneOf(&["table", "json", "docker"]),
            "Form of the output; docker: the object of Docker's interface",
        ),
        flag("memory-breakdown", None, Takes::Nothing, "Show where the memory is"),
        flag("sched", None, Takes::Nothing, "Show how often threads gave up their CPU"),
    ]],
};

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// One line for each container.
    Table,
    /// Everything, as JSON.
    Json,
    /// Docker's object.
    Docker,
    /// `--memory-breakdown`.
    Memory,
    /// `--sched`.
    Sched,
}

/// Its arguments.
#[derive(Debug, Clone)]
pub struct StatsArgs {
    /// The container; `None` for all.
    pub id: Option<String>,
    /// `--follow`.
    pub follow: bool,
    /// Time between two readings.
    pub interval: Duration,
    /// What is shown.
    pub view: View,
}

/// Reads them.
pub(super) fn read(flags: &Typed, split: &Split) -> Result<StatsArgs> {
    let views = [
        (flags.on("json") || flags.text("format") == Some("json"), View::Json),
        (flags.text("format") == Some("docker"), View::Docker),
        (flags.on("memory-breakdown"), View::Memory),
        (flags.on("sched"), View::Sched),
    ];
    let mut chosen = views.iter().filter(|(on, _)| *on).map(|(_, view)| *view);
    let view = chosen.next().unwrap_or(View::Table);
    if chosen.next().is_some() {
        return Err(Error::new("only one form can be printed").hint("JSON has it all: use --json alone"));
    }
    let follow = flags.on("follow");
    let interval = flags.duration("interval")?.unwrap_or(Duration::from_millis(if follow { 1000 } else { 500 }));
    if interval.is_zero() {
        return Err(Error::new("--interval must be greater than 0"));
    }
    let id = split.operands.first().map(|operand| id(operand)).transpose()?;
    Ok(StatsArgs { id, follow, interval, view })
}
