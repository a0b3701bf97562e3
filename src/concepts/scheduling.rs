//! When and where the process runs: scheduler, I/O priority, CPU affinity, NUMA memory policy, personality.
use oci_spec::runtime::Spec;

use crate::error::Result;

/// Scheduling attributes.
#[derive(Debug, Clone, Default)]
pub struct SchedulingPlan;

/// Decides them; combinations the kernel would misread are errors.
pub fn plan(_spec: &Spec) -> Result<SchedulingPlan> {
    Ok(SchedulingPlan)
}

/// Sets them for the calling process.
pub fn apply(_plan: &SchedulingPlan) -> Result<()> {
    Ok(())
}

impl SchedulingPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
