//! `--version`: three lines that engines parse.
//!
//! They call it as any user, with stdout and stderr joined, and conclude from the first word which runtime this is; so it
//! needs nothing and says nothing else.

use super::Outcome;
use crate::cli::Global;

/// The version of the runtime specification that rrun follows.
pub const SPEC: &str = "1.3.0";

/// Prints name, version, commit (`RRUN_COMMIT` when rrun was built) and the specification's version.
pub fn run(global: &Global) -> Outcome {
    let commit = option_env!("RRUN_COMMIT").unwrap_or("unknown");
    Outcome::print(format!("{} version {}\ncommit: {commit}\nspec: {SPEC}\n", global.name, env!("CARGO_PKG_VERSION")))
}
