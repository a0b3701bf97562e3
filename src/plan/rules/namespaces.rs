//! Which namespaces the config has, and what only makes sense together with one of them (namespaces(7)).
//!
//! One of each kind at most: a second one would be ignored by the kernel's flags, and its author would believe in it.

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType as Kind, Spec};

use super::Context;
use crate::concepts::namespaces::flag_and_name;
use crate::error::{Error, Result};
use crate::host::Feature;

/// The namespaces of the config.
fn all(spec: &Spec) -> &[LinuxNamespace] {
    spec.linux().as_ref().and_then(|l| l.namespaces().as_deref()).unwrap_or_default()
}

/// Whether the container has a namespace of the kind that config.json calls `name`: a new one or a joined one.
pub fn has(spec: &Spec, name: &str) -> bool {
    all(spec).iter().any(|n| flag_and_name(n.typ()).1 == name)
}

/// The index of the namespace of this kind and its path, if it is joined by one.
pub fn find(spec: &Spec, kind: Kind) -> Option<(usize, Option<&std::path::Path>)> {
    let (i, namespace) = all(spec).iter().enumerate().find(|(_, n)| n.typ() == kind)?;
    Some((i, namespace.path().as_deref().filter(|p| !p.as_os_str().is_empty())))
}

/// Each kind once, absolute paths, kernel support, time offsets.
pub fn check(spec: &Spec, context: &Context) -> Result<()> {
    let mut seen = 0;
    for (i, namespace) in all(spec).iter().enumerate() {
        let (flag, name) = flag_and_name(namespace.typ());
        if seen & flag != 0 {
            return Err(
                Error::new(format!("malformed spec file: duplicated ns {name:?}")).config(format!("linux.namespaces[{i}]"))
            );
        }
        seen |= flag;
        if let Some(path) = namespace.path().as_deref().filter(|p| !p.as_os_str().is_empty() && !p.is_absolute()) {
            let text = format!("{name} namespace path {path:?} is not absolute");
            return Err(Error::new(text).config(format!("linux.namespaces[{i}].path")).code("E-NSPATH"));
        }
        supported(namespace.typ(), i, context)?;
    }
    time_offsets(spec)
}

/// User, cgroup and time namespaces can be left out of a kernel; the others are as old as containers.
fn supported(kind: Kind, index: usize, context: &Context) -> Result<()> {
    let (feature, name) = match kind {
        Kind::User => (Feature::UserNamespaces, "user"),
        Kind::Cgroup => (Feature::CgroupNamespaces, "cgroup"),
        Kind::Time => (Feature::TimeNamespaces, "time"),
        _ => return Ok(()),
    };
    if (context.supports)(feature) {
        return Ok(());
    }
    Err(Error::new(format!("{name} namespaces aren't enabled in the kernel")).config(format!("linux.namespaces[{index}]")))
}

fn time_offsets(spec: &Spec) -> Result<()> {
    let offsets = spec.linux().as_ref().and_then(|l| l.time_offsets().as_ref()).filter(|o| !o.is_empty());
    let Some(offsets) = offsets else { return Ok(()) };
    let fail = |text: String| Err(Error::new(text).config("linux.timeOffsets"));
    match find(spec, Kind::Time) {
        None => return fail("time namespace offsets specified, but time namespace isn't enabled in the config".into()),
        Some((_, Some(_))) => {
            return fail(
                "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one".into(),
            );
        }
        Some((_, None)) => {}
    }
    for (clock, offset) in offsets {
        if clock != "monotonic" && clock != "boottime" {
            return fail(format!("time offset for {clock:?}: only monotonic and boottime can be shifted"));
        }
        if offset.nanosecs().is_some_and(|n| n >= 1_000_000_000) {
            return fail(format!("time offset for {clock:?}: nanosecs is not below 1000000000"));
        }
    }
    Ok(())
}
