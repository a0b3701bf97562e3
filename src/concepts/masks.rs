//! Paths of /proc and /sys that are hidden or made read-only.
use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::sys::resolve::Root;

/// maskedPaths and readonlyPaths.
#[derive(Debug, Clone, Default)]
pub struct MasksPlan;

/// Decides them; they need a mount namespace.
pub fn plan(_spec: &Spec) -> Result<MasksPlan> {
    Ok(MasksPlan)
}

/// Hides and write-protects. A missing path is skipped.
pub fn apply(_plan: &MasksPlan, _root: &Root) -> Result<()> {
    Ok(())
}

impl MasksPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
