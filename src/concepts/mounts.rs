//! The mounts of the bundle (mount(2), mount_namespaces(7)).
use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::Spec;

use crate::error::{Result, Warnings};
use crate::host::Host;
use crate::sys::resolve::Root;

/// The mounts, in order.
#[derive(Debug, Clone, Default)]
pub struct MountsPlan;

/// Trees made outside for binds; aligned with the plan.
#[derive(Debug, Default)]
pub struct Sources(pub Vec<Option<OwnedFd>>);

/// Handles of mounts that later steps work on.
#[derive(Debug, Default)]
pub struct Mounted {
    /// The mount at /dev.
    pub dev: Option<OwnedFd>,
    /// The mount at /dev/pts.
    pub pts: Option<OwnedFd>,
}

/// Decides every mount. `cgroup_dirs`: for cgroup mounts without a cgroup namespace, the container's own groups on the
/// host: (controllers joined by comma, directory); on v2 one entry with an empty name.
pub fn plan(
    _spec: &Spec,
    _host: &Host,
    _bundle: &Path,
    _cgroup_dirs: &[(String, std::path::PathBuf)],
    _warnings: &mut Warnings,
) -> Result<MountsPlan> {
    Ok(MountsPlan)
}

/// Outside: copies of all bind sources with their final attributes and id maps, attached nowhere.
pub fn apply_from_parent(_plan: &MountsPlan) -> Result<Sources> {
    Ok(Sources::default())
}

/// Inside: makes each mount and attaches it below the root, in order.
pub fn apply(_plan: &MountsPlan, _sources: Sources, _root: &Root) -> Result<Mounted> {
    Ok(Mounted::default())
}

impl MountsPlan {
    /// The lines of `rrun plan` for what is copied outside.
    pub fn describe_sources(&self) -> Vec<String> {
        vec![]
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
