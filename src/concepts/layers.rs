//! Layered root filesystems (overlayfs).
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::host::Host;

/// What the command line asks for beside the annotations.
#[derive(Debug, Clone, Default)]
pub struct LayerOptions {
    /// `--layer DIR`, bottom first.
    pub layers: Vec<PathBuf>,
    /// `--overlay`: the bundle's own rootfs is the lower layer.
    pub overlay: bool,
    /// `--overlay-size`.
    pub size: Option<String>,
    /// `--keep-layer DIR`: the writable layer stays there.
    pub keep: Option<PathBuf>,
}

/// An overlay to mount as the root.
#[derive(Debug, Clone, Default)]
pub struct LayersPlan;

/// What `delete` must take away, kept in the state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record;

/// Decides the overlay: none when neither annotations nor options ask for one.
pub fn plan(
    _spec: &Spec,
    _host: &Host,
    _bundle: &Path,
    _state_dir: &Path,
    _options: &LayerOptions,
) -> Result<Option<LayersPlan>> {
    Ok(None)
}

/// Makes upper and work directories and the overlay, attached nowhere. `owner` is the host uid and gid of the
/// container's root, to whom a private upper layer belongs.
pub fn apply_from_parent(_plan: &LayersPlan, _owner: (u32, u32)) -> Result<OwnedFd> {
    Err(crate::error::Error::new("no layers"))
}

/// Takes away what `apply_from_parent` left on disk, except a kept layer. Missing parts are no error.
pub fn remove(_record: &Record) -> Result<()> {
    Ok(())
}

impl LayersPlan {
    /// What `remove` will need.
    pub fn record(&self) -> Record {
        Record
    }
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        vec![]
    }
}
