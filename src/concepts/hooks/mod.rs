//! Hooks: programs of the engine that run at fixed moments of the lifecycle (runtime-spec, config.md, "POSIX-platform
//! Hooks").
//!
//! An engine sets up the network, a GPU or a seccomp listener in them. They are trusted as the config is, and run with
//! rrun's own rights. The boundary is what they get: their own environment and nothing of the caller's, no descriptor but
//! stdio, and no more time than the config gives them. A hook that hangs would hang the engine; so at its timeout its whole
//! process group is killed. Their output reaches a terminal only through an error text, escaped.

mod program;

use std::path::PathBuf;
use std::time::Duration;

use oci_spec::runtime::{Hook, Hooks, Spec};

use crate::error::{Error, Result, Warnings};
use program::run_one;

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

impl Kind {
    /// All of them.
    const ALL: [Self; 6] =
        [Self::Prestart, Self::CreateRuntime, Self::CreateContainer, Self::StartContainer, Self::Poststart, Self::Poststop];

    /// The name in config.json.
    pub fn name(self) -> &'static str {
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"][self as usize]
    }
}

/// The hooks of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HooksPlan {
    /// By [`Kind`].
    kinds: [Vec<Program>; 6],
}

/// One hook, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    path: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    timeout: Option<Duration>,
}

/// Checks them: absolute paths, environment of the form NAME=VALUE, timeouts above zero.
/// A startContainer hook without an environment gets that of the process, as in runc.
pub fn plan(spec: &Spec) -> Result<HooksPlan> {
    let mut plan = plan_hooks(spec.hooks().as_ref())?;
    let hooks = spec.hooks().iter().filter_map(|h| h.start_container().as_ref()).flatten();
    let process = spec.process().iter().filter_map(|p| p.env().as_ref()).flatten();
    // What is malformed is refused with the process.
    let env: Vec<_> =
        process.filter_map(|e| e.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (program, _) in plan.kinds[Kind::StartContainer as usize].iter_mut().zip(hooks).filter(|(_, hook)| hook.env().is_none()) {
        program.env.clone_from(&env);
    }
    Ok(plan)
}

/// The same from the hooks alone, as a later command has them from the state.
pub fn plan_hooks(hooks: Option<&Hooks>) -> Result<HooksPlan> {
    let Some(hooks) = hooks else { return Ok(HooksPlan::default()) };
    // The specification deprecates prestart and orders runtimes to go on calling it.
    #[allow(deprecated)]
    let prestart = hooks.prestart();
    let kinds = [
        prestart,
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.start_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    let mut plan = HooksPlan::default();
    for (kind, list) in Kind::ALL.into_iter().zip(kinds) {
        for (index, hook) in list.iter().flatten().enumerate() {
            let field = format!("hooks.{}[{index}]", kind.name());
            plan.kinds[kind as usize].push(check(hook).map_err(|e| e.config(field).code("E-HOOK"))?);
        }
    }
    Ok(plan)
}

fn check(hook: &Hook) -> Result<Program> {
    let path = hook.path().clone();
    if !path.is_absolute() {
        return Err(Error::new(format!("hook path {path:?} is not absolute")));
    }
    let pair = |entry: &String| match entry.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::new(format!("invalid environment variable: {entry:?}"))),
    };
    let timeout = match hook.timeout() {
        Some(seconds) if seconds <= 0 => return Err(Error::new(format!("hook timeout {seconds} is not greater than zero"))),
        seconds => seconds.map(|s| Duration::from_secs(s.unsigned_abs())),
    };
    let env = hook.env().iter().flatten().map(pair).collect::<Result<_>>()?;
    Ok(Program { path, args: hook.args().clone().unwrap_or_default(), env, timeout })
}

/// Warns of hooks whose file or directory others may write: they would run with rrun's rights what others put there.
/// Outside, once per command. Those of startContainer lie in the image, which is not trusted at all.
pub fn warn_from_parent(plan: &HooksPlan, warnings: &mut Warnings) {
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::StartContainer) {
        for hook in &plan.kinds[kind as usize] {
            for place in [Some(hook.path.as_path()), hook.path.parent()].into_iter().flatten() {
                let Ok(stat) = nix::sys::stat::stat(place) else { continue };
                // In a directory with the sticky bit only a file's owner replaces it.
                let sticky = stat.st_mode & libc::S_IFMT == libc::S_IFDIR && stat.st_mode & libc::S_ISVTX != 0;
                if stat.st_mode & 0o022 != 0 && !sticky {
                    let text = format!(
                        "{} hook {:?}: {place:?} can be written by others (mode {:04o})",
                        kind.name(),
                        hook.path,
                        stat.st_mode & 0o7777
                    );
                    warnings.add(text);
                }
            }
        }
    }
}

/// Runs all hooks of one kind in order, `state` (state.json of the specification) on the stdin of each. The first failure
/// ends it, naming the hook: `error running createRuntime hook #0: …`.
///
/// The working directory is the caller's. The hooks get stdio and no other descriptor.
pub fn run(plan: &HooksPlan, kind: Kind, state: &[u8]) -> Result<()> {
    plan.kinds[kind as usize]
        .iter()
        .enumerate()
        .try_for_each(|(index, hook)| run_one(hook, state).map_err(|e| named(e, kind, index)))
}

/// As [`run`], but a failure does not keep the next ones from running: for poststop, where the container is gone already
/// and the specification wants the failures logged only.
pub fn run_all(plan: &HooksPlan, kind: Kind, state: &[u8]) -> Vec<Error> {
    let hooks = plan.kinds[kind as usize].iter().enumerate();
    hooks.filter_map(|(index, hook)| run_one(hook, state).err().map(|e| named(e, kind, index))).collect()
}

fn named(error: Error, kind: Kind, index: usize) -> Error {
    let kind = kind.name();
    error.context(format!("error running {kind} hook #{index}")).config(format!("hooks.{kind}[{index}]")).code("E-HOOK")
}

impl HooksPlan {
    /// Whether there are hooks of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        !self.kinds[kind as usize].is_empty()
    }

    /// The lines of `rrun plan` for one kind.
    pub fn describe(&self, kind: Kind) -> Vec<String> {
        self.kinds[kind as usize]
            .iter()
            .enumerate()
            .map(|(i, hook)| format!("{} hook #{i}: {}", kind.name(), hook.path.display()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
