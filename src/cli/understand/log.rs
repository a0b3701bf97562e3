//! The command line of `log`.
//!
//! Where the log is, the global part says, as for the verbs that write it.

use crate::cli::go_flags::Split;
use crate::cli::table::{Command, Group, SAME, Takes, flag};
use crate::cli::typed::{Typed, id};
use crate::error::Result;

/// Its row.
pub const COMMAND: Command = Command {
    name: "log",
    group: Group::Understand,
    operands: "[ID]",
    count: (0, 1),
    about: "Show the audit log: who did what to which container, and why it ended",
    examples: ["@ log web", "@ --audit /var/log/rrun log --follow --json"],
    flags: &[&[
        flag("follow", Some('f'), Takes::Nothing, "Go on with what is written from now on"),
        flag("json", None, Takes::Nothing, "The lines as they were written"),
        SAME,
    ]],
};

/// Its arguments.
#[derive(Debug, Clone)]
pub struct LogArgs {
    /// The container; `None` for all.
    pub id: Option<String>,
    /// `--follow`.
    pub follow: bool,
    /// `--json`.
    pub json: bool,
}

/// Reads them.
pub(super) fn read(flags: &Typed, split: &Split) -> Result<LogArgs> {
    let id = split.operands.first().map(|operand| id(operand)).transpose()?;
    Ok(LogArgs { id, follow: flags.on("follow"), json: flags.json() })
}
