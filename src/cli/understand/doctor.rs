//! `doctor`: whether this host, for this user, has what containers need.
//!
//! It takes no operand: what is asked are the questions that any start may come to. Its status is the answer for scripts:
//! 0 when everything needed is there, 1 when something is missing.

use super::Understand;
use crate::cli::table::{Command, Group, SAME, Takes, flag};
use crate::cli::typed::Typed;

/// Its row.
pub const COMMAND: Command = Command {
    name: "doctor",
    group: Group::Understand,
    operands: "",
    count: (0, 0),
    about: "Check what this host offers to containers, with causes and fixes",
    examples: ["@ doctor", "@ doctor --json | jq '.checks[] | select(.result == \"missing\")'"],
    flags: &[&[flag("json", None, Takes::Nothing, "As JSON"), SAME]],
};

/// Its arguments.
pub fn read(flags: &Typed) -> Understand {
    Understand::Doctor { json: flags.json() }
}
