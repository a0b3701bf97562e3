//! Capabilities (capabilities(7)).
use oci_spec::runtime::Process;

use crate::error::{Result, Warnings};
use crate::host::Host;

/// The five capability sets of the process, as bit masks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilitiesPlan;

/// Decides the sets.
pub fn plan(_process: &Process, _host: &Host, _warnings: &mut Warnings) -> Result<CapabilitiesPlan> {
    Ok(CapabilitiesPlan)
}

/// Before the user changes: drops the bounding set, asks to keep capabilities across the change.
pub fn apply_bounding(_plan: &CapabilitiesPlan) -> Result<()> {
    Ok(())
}

/// After the user changed: sets the other four sets.
pub fn apply(_plan: &CapabilitiesPlan) -> Result<()> {
    Ok(())
}

impl CapabilitiesPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
