//! Hooks: programs of the engine that run at fixed moments of the lifecycle (runtime-spec, config.md, POSIX-platform hooks).
use oci_spec::runtime::Spec;

use crate::error::{Result, Warnings};

/// The six kinds, in the order of the lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Deprecated: as createRuntime, before it.
    Prestart,
    /// In the runtime's namespaces, namespaces made, root not yet pivoted.
    CreateRuntime,
    /// In the container's namespaces, root not yet pivoted.
    CreateContainer,
    /// In the container, after `start`, before the program.
    StartContainer,
    /// In the runtime's namespaces, after the program was started.
    Poststart,
    /// In the runtime's namespaces, after the container was deleted.
    Poststop,
}

/// The hooks of a bundle.
#[derive(Debug, Clone, Default)]
pub struct HooksPlan;

/// Checks them.
pub fn plan(_spec: &Spec, _warnings: &mut Warnings) -> Result<HooksPlan> {
    Ok(HooksPlan)
}

/// As [`plan`], from the hooks alone, as the state keeps them.
pub fn plan_hooks(_hooks: Option<&oci_spec::runtime::Hooks>, _warnings: &mut Warnings) -> Result<HooksPlan> {
    Ok(HooksPlan)
}

/// Runs all hooks of one kind in order, `state` (state.json of the specification) on the stdin of each. The first failure
/// ends it, naming the hook: `error running createRuntime hook #0: …`.
pub fn run(_plan: &HooksPlan, _kind: Kind, _state: &[u8]) -> Result<()> {
    Ok(())
}

impl HooksPlan {
    /// Whether there are hooks of this kind.
    pub fn has(&self, _kind: Kind) -> bool {
        false
    }
    /// The lines of `rrun plan` for one kind.
    pub fn describe(&self, _kind: Kind) -> Vec<String> {
        vec![]
    }
}
