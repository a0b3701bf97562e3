//! The command lines of the verbs that explain: one file per verb, each with its row of the table and its arguments.
//!
//! They stand apart from the runtime's own because a build without the feature `workshop` has none of them, and because
//! their command lines are ours to choose: `--json` wherever there is a table, status 2 for a wrong command line.

use super::Surroundings;
use super::go_flags::Split;
use super::table::Command;
use super::typed::Typed;
use crate::error::Result;

/// Their rows, in the order of the help.
pub const COMMANDS: &[&Command] = &[];

/// A parsed command that explains.
#[derive(Debug, Clone)]
pub enum Understand {}

/// Reads the command `name`; `None` if it is none of these.
pub fn read(_name: &str, _flags: &Typed, _split: &Split, _around: &Surroundings) -> Result<Option<Understand>> {
    Ok(None)
}
