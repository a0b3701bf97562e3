//! The command line of `diff`.
//!
//! `--format json` prints the three lists that engines know; `--json` all that is known of each change.

use crate::cli::go_flags::Split;
use crate::cli::table::{Command, Group, Takes, flag};
use crate::cli::typed::{Typed, id};
use crate::error::Result;

/// Its row.
pub const COMMAND: Command = Command {
    name: "diff",
    group: Group::Understand,
    operands: "ID",
    count: (1, 1),
    about: "Show what a container changed in its writable layer",
    examples: ["@ diff web", "@ diff --format json web"],
    flags: &[&[
        flag("json", None, Takes::Nothing, "As JSON, with sizes, modes, owners and warnings"),
        flag(
            "format",
            Some('f'),
            Takes::OneOf(&["table", "json"]),
            "json: only the lists of what was added, changed and deleted",
        ),
        flag("quiet", Some('q'), Takes::Nothing, "Do not say how far it is"),
    ]],
};

/// Its arguments.
#[derive(Debug, Clone)]
pub struct DiffArgs {
    /// The container.
    pub id: String,
    /// `--json`.
    pub json: bool,
    /// `--format json`.
    pub lists: bool,
    /// `--quiet`.
    pub quiet: bool,
}

/// Reads them.
pub(super) fn read(flags: &Typed, split: &Split) -> Result<DiffArgs> {
    let (lists, quiet) = (flags.text("format") == Some("json"), flags.on("quiet"));
    Ok(DiffArgs { id: id(&split.operands[0])?, json: flags.on("json"), lists, quiet })
}
