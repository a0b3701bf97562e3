//! Control groups: what they need of the command line.
//!
//! A name of the config becomes a directory below a tree that the whole host shares (/sys/fs/cgroup).
//! That `..` does not lead out of it is the business of the groups' own plan.

use oci_spec::runtime::{Linux, Spec};

use super::Context;
use crate::error::{Error, Result};

/// All of them.
pub fn check(spec: &Spec, context: &Context) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    cgroups_path(linux, context)
}

fn cgroups_path(linux: &Linux, context: &Context) -> Result<()> {
    let Some(path) = linux.cgroups_path().as_ref().filter(|p| !p.as_os_str().is_empty()) else { return Ok(()) };
    let fail = |text: String| Err(Error::new(text).config("linux.cgroupsPath"));
    let text = path.to_string_lossy();
    if context.systemd && text.split(':').count() != 3 {
        return fail(format!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {text:?} instead"
        ));
    }
    if text.contains('\0') {
        return fail(format!("cgroupsPath {text:?} contains a null byte"));
    }
    Ok(())
}
