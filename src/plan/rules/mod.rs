//! Rules between the fields of config.json: what each field alone may say, but not together with another, or not on this
//! host. All are checked before anything is made, so that a refused bundle leaves no trace.
//!
//! A rule stands here for one of two reasons. The kernel would say EINVAL, late and without a name. Or the kernel would say
//! nothing: a hostname without a UTS namespace renames the host, a mount without a mount namespace stays on it. The texts are
//! runc's, word by word, where runc has the rule: engines and people know them. What concerns one concept alone (mount
//! options, sysctl names, network devices, rlimits, hooks, scheduling) is decided in that concept's `plan`.

mod maps;
mod mounts;
mod namespaces;
mod resources;

use std::path::Path;

use oci_spec::runtime::{LinuxSeccompAction, LinuxSyscall, Process, Spec};

use crate::error::{Error, Result, Warnings};
use crate::host::{Feature, Host};

/// What the rules need to know besides the config.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Whether systemd makes the groups.
    pub systemd: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// Whether the root comes from layers.
    pub layered: bool,
    /// Asks the host, [`crate::host::supports`]; only about features that the config uses.
    pub supports: fn(Feature) -> bool,
    /// The texts of uid_map and gid_map of a user namespace file, [`crate::host::id_maps`]; `None` if they cannot be read.
    pub id_maps: fn(&Path) -> Option<[String; 2]>,
}

/// Checks them all; the first violation is the error.
pub fn check(spec: &Spec, host: &Host, context: &Context, warnings: &mut Warnings) -> Result<()> {
    if !context.layered {
        root(spec)?;
    }
    if let Some(process) = spec.process() {
        check_process(process)?;
    }
    namespaces::check(spec, context)?;
    names(spec)?;
    restricted_paths(spec)?;
    resources::check(spec, context)?;
    maps::check(spec, host, context)?;
    mounts::check(spec, host, warnings)?;
    propagation(spec, context)?;
    seccomp(spec)
}

/// The rules about a process, for `exec` as well.
pub fn check_process(process: &Process) -> Result<()> {
    let cwd = process.cwd();
    if cwd.as_os_str().is_empty() {
        return Err(Error::new("Cwd property must not be empty").config("process.cwd").hint("write \"cwd\": \"/\""));
    }
    if !cwd.is_absolute() {
        return Err(Error::new("Cwd must be an absolute path").config("process.cwd"));
    }
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(Error::new("args must not be empty").config("process.args"));
    }
    Ok(())
}

fn root(spec: &Spec) -> Result<()> {
    match spec.root() {
        None => Err(Error::new("root must be specified").config("root")),
        // runc would take the bundle itself for the root, config.json included.
        Some(root) if root.path().as_os_str().is_empty() => {
            Err(Error::new("invalid rootfs: root.path is empty").config("root.path"))
        }
        Some(_) => Ok(()),
    }
}

/// Without a UTS namespace of the container the host itself would be renamed.
fn names(spec: &Spec) -> Result<()> {
    let table = [("hostname", spec.hostname()), ("domainname", spec.domainname())];
    for (field, name) in table {
        if name.as_ref().is_some_and(|n| !n.is_empty()) && !namespaces::has(spec, "uts") {
            let hint = "add {\"type\": \"uts\"} to linux.namespaces";
            return Err(Error::new(format!("unable to set {field} without a private UTS namespace")).config(field).hint(hint));
        }
    }
    Ok(())
}

/// Without a mount namespace the host's own /proc would be hidden from the host.
fn restricted_paths(spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (field, paths) in [("linux.maskedPaths", linux.masked_paths()), ("linux.readonlyPaths", linux.readonly_paths())] {
        if paths.as_ref().is_some_and(|p| !p.is_empty()) && !namespaces::has(spec, "mount") {
            let hint = "add {\"type\": \"mount\"} to linux.namespaces";
            return Err(Error::new("unable to restrict sys entries without a private MNT namespace").config(field).hint(hint));
        }
    }
    Ok(())
}

/// Without pivot_root the host's tree stays underneath; a private root could then be unmounted to uncover it.
fn propagation(spec: &Spec, context: &Context) -> Result<()> {
    let Some(value) = spec.linux().as_ref().and_then(|l| l.rootfs_propagation().as_deref()) else { return Ok(()) };
    let field = "linux.rootfsPropagation";
    match value {
        "private" | "rprivate" if context.no_pivot => {
            Err(Error::new("rootfsPropagation of [r]private is not safe without pivot_root")
                .config(field)
                .hint("leave out --no-pivot"))
        }
        "" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" | "unbindable" | "runbindable" => Ok(()),
        other => Err(Error::new(format!("rootfsPropagation={other} is not supported")).config(field)),
    }
}

/// A process whose every call, or whose write(2), waits for a listener cannot even send the listener's descriptor.
fn seccomp(spec: &Spec) -> Result<()> {
    let Some(profile) = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref()) else { return Ok(()) };
    let notify = LinuxSeccompAction::ScmpActNotify;
    if profile.default_action() == notify {
        return Err(Error::new("SCMP_ACT_NOTIFY cannot be used as default action")
            .config("linux.seccomp.defaultAction")
            .code("E-SECCOMP"));
    }
    let rules: &[LinuxSyscall] = profile.syscalls().as_deref().unwrap_or_default();
    if let Some(i) = rules.iter().position(|rule| rule.action() == notify && rule.names().iter().any(|n| n == "write")) {
        let field = format!("linux.seccomp.syscalls[{i}].action");
        return Err(Error::new("SCMP_ACT_NOTIFY cannot be used for the write syscall").config(field).code("E-SECCOMP"));
    }
    let set = |text: Option<&std::ffi::OsStr>| text.is_some_and(|t| !t.is_empty());
    let metadata = profile.listener_metadata().as_ref().map(|m| m.as_ref());
    if set(metadata) && !set(profile.listener_path().as_ref().map(|p| p.as_os_str())) {
        let text = "seccomp listenerMetadata is set, but listenerPath is not";
        return Err(Error::new(text).config("linux.seccomp.listenerMetadata").code("E-SECCOMP"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
