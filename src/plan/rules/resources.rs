//! Control groups, network devices and cache allocation: what they need of the rest of the config and of the host.

use std::path::Component;

use oci_spec::runtime::{Linux, Spec};

use super::{Context, namespaces};
use crate::error::{Error, Result};
use crate::host::{Feature, Host};

/// All of them.
pub fn check(spec: &Spec, host: &Host, context: &Context) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    cgroups_path(linux, context)?;
    net_devices(spec, linux, host)?;
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
    // With `..` a container could be put into, and with delete take away, the groups of others.
    if path.components().any(|c| c == Component::ParentDir) {
        return fail(format!("cgroupsPath {text:?} contains \"..\""));
    }
    if text.contains('\0') {
        return fail(format!("cgroupsPath {text:?} contains a null byte"));
    }
    Ok(())
}

fn net_devices(spec: &Spec, linux: &Linux, host: &Host) -> Result<()> {
    let Some(devices) = linux.net_devices().as_ref().filter(|d| !d.is_empty()) else { return Ok(()) };
    let fail = |text: String, field: &str| Err(Error::new(text).config(field));
    if !namespaces::has(spec, "network") {
        return fail("unable to move network devices without a NET namespace".into(), "linux.netDevices");
    }
    if host.euid != 0 {
        return fail("network devices are not supported for rootless containers".into(), "linux.netDevices");
    }
    let mut taken = std::collections::HashMap::new();
    for (outside, device) in devices {
        let field = format!("linux.netDevices.{outside}");
        let inside = device.name().as_deref().filter(|n| !n.is_empty()).unwrap_or(outside);
        if let Some(bad) = [outside.as_str(), inside].into_iter().find(|n| !is_device_name(n)) {
            return fail(format!("invalid network device name {bad:?}"), &field);
        }
        if let Some(other) = taken.insert(inside, outside) {
            return fail(format!("network devices {other:?} and {outside:?} would both be named {inside:?}"), &field);
        }
    }
    Ok(())
}

/// What the kernel takes as the name of a network device (dev_valid_name in net/core/dev.c).
fn is_device_name(name: &str) -> bool {
    let allowed = |b: u8| b != 0 && b != b'/' && b != b':' && !b.is_ascii_whitespace() && b != 0x0B;
    !name.is_empty() && name.len() < libc::IFNAMSIZ && name != "." && name != ".." && name.bytes().all(allowed)
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
    Ok(())
}
