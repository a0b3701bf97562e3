//! Kernel parameters that have a value per namespace (sysctl(8), namespaces(7)).
use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::sys::procfs::ProcFs;

/// Parameters to write.
#[derive(Debug, Clone, Default)]
pub struct SysctlPlan;

/// Decides them; one that is not namespaced, or whose namespace is the host's, is an error.
pub fn plan(_spec: &Spec) -> Result<SysctlPlan> {
    Ok(SysctlPlan)
}

/// Writes them through the trusted procfs.
pub fn apply(_plan: &SysctlPlan, _proc: &ProcFs) -> Result<()> {
    Ok(())
}

impl SysctlPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
