//! The root filesystem: attached, entered, the host's left behind (pivot_root(2)).
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use crate::error::Result;
use crate::sys::resolve::Root;

/// How the root is entered.
#[derive(Debug, Clone, Default)]
pub struct RootfsPlan {
    /// The root directory on the host, absolute.
    pub path: PathBuf,
    /// `MS_SLAVE`, `MS_PRIVATE`, `MS_SHARED` or `MS_UNBINDABLE`, perhaps with `MS_REC`, for `/` of the new mount namespace.
    pub propagation: u64,
}

/// Decides it. `layered`: an overlay takes the place of root.path. `visible_outside`: hooks of the engine will look for the
/// root at its host path in the container's mount namespace, so it is attached there; else on `/`.
pub fn plan(_spec: &Spec, _bundle: &Path, _layered: bool, _no_pivot: bool, _visible_outside: bool) -> Result<RootfsPlan> {
    Ok(RootfsPlan::default())
}

/// Outside: a copy of the tree at root.path, attached nowhere (open_tree), or `overlay` as it is.
pub fn apply_from_parent(_plan: &RootfsPlan, _overlay: Option<OwnedFd>) -> Result<OwnedFd> {
    Err(crate::error::Error::new("no rootfs"))
}

/// Inside: sets the propagation of `/`, attaches the tree, returns it as the root for all further resolution.
pub fn attach(_plan: &RootfsPlan, _tree: OwnedFd) -> Result<Root> {
    Err(crate::error::Error::new("no rootfs"))
}

/// Inside: the root becomes `/`, the host's tree is let go.
pub fn enter(_plan: &RootfsPlan, _root: &Root) -> Result<()> {
    Ok(())
}

/// Inside, last: sets what `rootfsPropagation` asks for on the container's `/`, and read-only if `root.readonly`.
pub fn finish(_plan: &RootfsPlan, _root: BorrowedFd) -> Result<()> {
    Ok(())
}

impl RootfsPlan {
    /// The lines of `rrun plan`: attaching, entering, finishing.
    pub fn describe(&self) -> [Vec<String>; 3] {
        [vec![], vec![], vec![]]
    }
}
