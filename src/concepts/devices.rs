//! Device nodes and standard links in /dev, and /dev/console (mknod(2), pts(4)).
use std::os::fd::{BorrowedFd, OwnedFd};

use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::host::Host;
use crate::sys::resolve::Root;

/// The nodes to make.
#[derive(Debug, Clone, Default)]
pub struct DevicesPlan;

/// Host nodes to bind, where mknod is not allowed; aligned with the plan.
#[derive(Debug, Default)]
pub struct Sources(pub Vec<OwnedFd>);

/// Decides the nodes. In a user namespace they are binds of the host's.
pub fn plan(_spec: &Spec, _host: &Host) -> Result<DevicesPlan> {
    Ok(DevicesPlan)
}

/// Outside: opens the host's nodes to bind (open_tree), if the plan binds.
pub fn apply_from_parent(_plan: &DevicesPlan) -> Result<Sources> {
    Ok(Sources::default())
}

/// Inside: makes nodes and links. `dev` is the handle of the mounted /dev, if the bundle mounts one.
pub fn apply(_plan: &DevicesPlan, _sources: Sources, _dev: Option<BorrowedFd>, _root: &Root) -> Result<()> {
    Ok(())
}

/// Inside: binds the terminal's other end on /dev/console.
pub fn bind_console(_dev: Option<BorrowedFd>, _root: &Root, _terminal: BorrowedFd) -> Result<()> {
    Ok(())
}

impl DevicesPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
