//! Mounts and the rest of the config: a namespace to be in, id maps, ids in options.
//!
//! A mount made without a mount namespace of the container's own lands on the host and stays there. What an option means is
//! the business of the mounts' own plan.

use oci_spec::runtime::{Mount, Spec};

use super::{maps, namespaces};
use crate::error::{Error, Result, Warnings};
use crate::host::Host;

/// All mounts; a relative destination is a warning.
pub fn check(spec: &Spec, host: &Host, warnings: &mut Warnings) -> Result<()> {
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    if !mounts.is_empty() && !namespaces::has(spec, "mount") {
        // runc mounts them on the host, where they stay.
        let hint = "add {\"type\": \"mount\"} to linux.namespaces";
        return Err(Error::new("unable to mount without a private MNT namespace").config("mounts").hint(hint));
    }
    for (i, mount) in mounts.iter().enumerate() {
        let here = |e: Error| e.context(format!("invalid mount {:?}", mount.destination())).config(format!("mounts[{i}]"));
        texts(mount).map_err(here)?;
        id_mapped(mount, host, i).map_err(here)?;
        if host.euid != 0 {
            ids_in_options(mount, spec).map_err(here)?;
        }
        if !mount.destination().is_absolute() {
            let dst = mount.destination().display();
            warnings.add(format!("mounts[{i}]: relative destination path {dst} is deprecated, using it as relative to /"));
        }
    }
    Ok(())
}

/// A zero byte ends a path early for the kernel: another path than the one that was checked.
fn texts(mount: &Mount) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    if mount.destination().as_os_str().is_empty() {
        return Err(Error::new("destination is empty"));
    }
    let zero = |bytes: &[u8]| bytes.contains(&0);
    let fields = [
        ("destination", zero(mount.destination().as_os_str().as_bytes())),
        ("source", mount.source().as_ref().is_some_and(|s| zero(s.as_os_str().as_bytes()))),
        ("type", mount.typ().as_ref().is_some_and(|t| zero(t.as_bytes()))),
        ("options", mount.options().iter().flatten().any(|o| zero(o.as_bytes()))),
    ];
    match fields.into_iter().find(|(_, has)| *has) {
        Some((field, _)) => Err(Error::new(format!("{field} contains a null byte"))),
        None => Ok(()),
    }
}

fn id_mapped(mount: &Mount, host: &Host, index: usize) -> Result<()> {
    let [uid, gid] = [mount.uid_mappings(), mount.gid_mappings()].map(|m| m.as_deref().unwrap_or_default());
    if uid.is_empty() && gid.is_empty() {
        return Ok(());
    }
    let fail = |text: &str| Err(Error::new(text).code("E-IDMAP"));
    let bind = mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(|o| o == "bind" || o == "rbind");
    if !bind {
        return fail("id-mapped mounts are only supported for bind-mounts");
    }
    if host.euid != 0 {
        return fail("id-mapped mounts are not supported for rootless containers");
    }
    if uid.is_empty() || gid.is_empty() {
        return fail("id-mapped mounts must have both uid and gid mappings specified");
    }
    maps::well_formed(uid, &format!("mounts[{index}].uidMappings"))?;
    maps::well_formed(gid, &format!("mounts[{index}].gidMappings"))
}

/// `uid=1000` of tmpfs or devpts is an id of the container: without a map the kernel says EINVAL.
fn ids_in_options(mount: &Mount, spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for option in mount.options().iter().flatten() {
        let (map, id) = match option.split_once('=') {
            Some(("uid", id)) => (linux.uid_mappings(), id),
            Some(("gid", id)) => (linux.gid_mappings(), id),
            _ => continue,
        };
        // Without maps in the config the namespace is joined by its path, and has maps of its own.
        let (Some(map), Ok(number)) = (map.as_deref().filter(|m| !m.is_empty()), id.parse()) else { continue };
        if !maps::is_mapped(map, number) {
            let text = format!("cannot specify {option} mount option for rootless container: {number} is not mapped");
            return Err(Error::new(text).code("E-IDMAP"));
        }
    }
    Ok(())
}
