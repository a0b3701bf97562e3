//! The verbs that show what is isolated, what is shared, and why.
//!
//! Each is one call into its own folder of `src/workshop`: none is part of the specification's lifecycle, and no verb of the
//! lifecycle calls one of them.

use crate::cli::{Global, Understand};
use crate::error::Result;
use crate::log::Journal;
use crate::verbs::Outcome;

/// Runs one of them.
pub fn run(_global: &Global, verb: &Understand, _journal: &mut Journal) -> Result<Outcome> {
    match *verb {}
}
