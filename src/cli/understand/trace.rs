//! The command line of `trace`.
//!
//! What stands behind `--` is a program of the host; else the one operand names a bundle or a container.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::Surroundings;
use crate::cli::go_flags::Split;
use crate::cli::table::{Command, Group, SAME, Takes, flag};
use crate::cli::typed::Typed;
use crate::error::{Error, Result};

/// Its row.
pub const COMMAND: Command = Command {
    name: "trace",
    group: Group::Understand,
    operands: "ID|BUNDLE|-- PROGRAM [ARG...]",
    // One less than endless, which would end the flags at the first operand.
    count: (1, usize::MAX - 1),
    about: "Show which system calls a program uses, and make a seccomp profile of them",
    examples: ["@ trace -- ls -l", "@ trace --emit-profile seccomp.json ./web"],
    flags: &[&[
        flag("net", None, Takes::Nothing, "Only calls that concern the network"),
        flag("json", None, Takes::Nothing, "As JSON; what the program prints goes to stderr"),
        SAME,
        flag("emit-profile", None, Takes::Text("FILE"), "Write a seccomp profile that allows what was used and denies the rest"),
        flag("merge", None, Takes::Text("OLD"), "Allow in the new profile what the profile OLD allows, too"),
        flag("quiet", Some('q'), Takes::Nothing, "Do not say how far it is while it watches a container that runs"),
        flag("for", None, Takes::Text("DURATION"), "How long to watch a container that runs [default: until it ends, or Ctrl-C]"),
    ]],
};

/// Its arguments.
#[derive(Debug, Clone, Default)]
pub struct TraceArgs {
    /// The container, the bundle, or the program with its arguments.
    pub operands: Vec<OsString>,
    /// Whether they are a program.
    pub program: bool,
    /// `--net`.
    pub net: bool,
    /// `--json`.
    pub json: bool,
    /// `--emit-profile`.
    pub emit: Option<PathBuf>,
    /// `--merge`.
    pub merge: Option<PathBuf>,
    /// `--quiet`.
    pub quiet: bool,
    /// `--for`.
    pub limit: Option<Duration>,
}

/// Reads them.
pub(super) fn read(flags: &Typed, split: &Split, around: &Surroundings) -> Result<TraceArgs> {
    let args = TraceArgs {
        operands: split.operands.clone(),
        program: split.all_behind_dashes,
        net: flags.on("net"),
        json: flags.json(),
        emit: flags.path("emit-profile", around)?,
        merge: flags.path("merge", around)?,
        quiet: flags.on("quiet"),
        limit: flags.duration("for")?,
    };
    if !args.program && args.operands.len() > 1 {
        return Err(Error::new("trace takes one container or bundle").hint("a program stands behind --: rrun trace -- ls -l"));
    }
    Ok(args)
}
