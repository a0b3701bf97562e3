//! Control groups and cache allocation: what they need of the command line and of the host.
//!
//! Both turn names of the config into directories below trees that the whole host shares (/sys/fs/cgroup, /sys/fs/resctrl).
//! That `..` does not lead out of them is the business of the groups' own plan.

use oci_spec::runtime::{Linux, Spec};

use super::Context;
use crate::error::{Error, Result};
use crate::host::Feature;

/// All of them.
pub fn check(spec: &Spec, context: &Context) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    cgroups_path(linux, context)?;
    intel_rdt(linux, context)
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

fn intel_rdt(linux: &Linux, context: &Context) -> Result<()> {
    let Some(rdt) = linux.intel_rdt() else { return Ok(()) };
    let fail = |text: String, key: &str| Err(Error::new(text).config(format!("linux.intelRdt{key}")));
    let set = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
    // The name becomes a directory of the resctrl file system.
    if let Some(id) = rdt.clos_id().as_ref().filter(|id| *id == "." || *id == ".." || id.contains(['/', '\0'])) {
        return fail(format!("invalid intelRdt.ClosID {id:?}"), ".closID");
    }
    if !(context.supports)(Feature::Rdt) {
        return fail("intelRdt is specified in config, but Intel RDT is not enabled".into(), "");
    }
    if set(rdt.l3_cache_schema()) && !(context.supports)(Feature::RdtCat) {
        return fail("intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not enabled".into(), ".l3CacheSchema");
    }
    if set(rdt.mem_bw_schema()) && !(context.supports)(Feature::RdtMba) {
        return fail("intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not enabled".into(), ".memBwSchema");
    }
    // Accepted and left undone would be worse than refused.
    fail("intelRdt is specified in config, but rrun cannot apply it".into(), "")
}
