//! Mandatory access control labels (apparmor(7), selinux(8)) and the session keyring they label (keyrings(7)).
use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::sys::procfs::ProcFs;

/// Labels and keyring.
#[derive(Debug, Clone, Default)]
pub struct LsmPlan;

/// Decides them; a label whose module the kernel lacks is an error. `keyring` names the new session keyring, if any.
pub fn plan(_spec: &Spec, _keyring: Option<&str>) -> Result<LsmPlan> {
    Ok(LsmPlan)
}

/// Joins a fresh session keyring.
pub fn apply_keyring(_plan: &LsmPlan, _proc: &ProcFs) -> Result<()> {
    Ok(())
}

/// Writes the labels for the coming execve.
pub fn apply(_plan: &LsmPlan, _proc: &ProcFs) -> Result<()> {
    Ok(())
}

impl LsmPlan {
    /// The keyring's line of `rrun plan`.
    pub fn describe_keyring(&self) -> Vec<String> {
        vec![]
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
