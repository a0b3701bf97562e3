//! placeholder
use super::Outcome;
use crate::cli::{Global, SpecArgs};
use crate::error::{Error, Result};
use crate::log::Journal;
/// placeholder
pub fn run(_global: &Global, _args: &SpecArgs, _journal: &mut Journal) -> Result<Outcome> {
    Err(Error::new("not yet"))
}
