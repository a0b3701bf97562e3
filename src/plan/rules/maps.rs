//! Id maps: of the container's user namespace and of id-mapped mounts, and the ids that must be in them.
//!
//! The kernel takes a map as a whole or answers EINVAL. That is no help to somebody with 340 lines, so what it would refuse
//! is named here: an empty line, an overlap, a range beyond the last id (user_namespaces(7), "Defining user and group ID
//! mappings").

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind, Process, Spec};

use super::{Context, namespaces};
use crate::error::{Error, Result};
use crate::host::Host;

/// The most lines the kernel takes (since Linux 4.15).
const MAX_LINES: usize = 340;

/// The container's two maps; empty when the config has none.
struct Maps<'a> {
    uid: &'a [LinuxIdMapping],
    gid: &'a [LinuxIdMapping],
}

impl<'a> Maps<'a> {
    fn of(spec: &'a Spec) -> Self {
        let linux = spec.linux().as_ref();
        Self {
            uid: linux.and_then(|l| l.uid_mappings().as_deref()).unwrap_or_default(),
            gid: linux.and_then(|l| l.gid_mappings().as_deref()).unwrap_or_default(),
        }
    }
}

/// The maps of the container's user namespace.
pub fn check(spec: &Spec, host: &Host, context: &Context) -> Result<()> {
    let maps = Maps::of(spec);
    let field = if maps.uid.is_empty() { "linux.gidMappings" } else { "linux.uidMappings" };
    let fail = |text: &str| Err(Error::new(text).config(field).code("E-IDMAP"));
    let empty = maps.uid.is_empty() && maps.gid.is_empty();
    let Some((_, path)) = namespaces::find(spec, Kind::User) else {
        if host.euid != 0 {
            let hint = "make the config with rrun spec --rootless";
            return Err(Error::new("rootless container requires user namespaces")
                .config("linux.namespaces")
                .code("E-IDMAP")
                .hint(hint));
        }
        return if empty {
            Ok(())
        } else {
            fail("user namespace mappings specified, but user namespace isn't enabled in the config")
        };
    };
    well_formed(maps.uid, "linux.uidMappings")?;
    well_formed(maps.gid, "linux.gidMappings")?;
    if let Some(path) = path {
        // containerd and CRI-O give both. The namespace's own map is what counts; saying another one is a mistake.
        let other = |actual: &str, wanted: &[LinuxIdMapping]| rows(actual) != wanted.iter().map(row).collect::<Vec<_>>();
        return match (context.id_maps)(path).filter(|_| !empty) {
            Some([uid, gid]) if other(&uid, maps.uid) || other(&gid, maps.gid) => fail(
                "user namespaces enabled, but both namespace path and non-matching mapping specified -- you may only provide one",
            ),
            _ => Ok(()),
        };
    }
    if host.euid != 0 {
        let needed = |kind: &str| fail(&format!("rootless containers requires at least one {kind} mapping"));
        match (maps.uid, maps.gid) {
            ([], _) => return needed("UID"),
            (_, []) => return needed("GID"),
            _ => {}
        }
    }
    if empty {
        return fail("user namespaces enabled, but no namespace path to join nor mappings to apply specified");
    }
    spec.process().as_ref().map_or(Ok(()), |process| ids_are_mapped(process, &maps))
}

/// A map that the kernel will take, as far as that can be said without asking it.
pub fn well_formed(map: &[LinuxIdMapping], field: &str) -> Result<()> {
    let fail = |text: String, field: String| Err(Error::new(text).config(field).code("E-IDMAP"));
    if map.len() > MAX_LINES {
        return fail(format!("{field} has {} lines, the kernel takes at most {MAX_LINES}", map.len()), field.to_owned());
    }
    for (i, line) in map.iter().enumerate() {
        let field = format!("{field}[{i}]");
        if line.size() == 0 {
            return fail(format!("{field}: size is 0"), field);
        }
        for (name, first) in [("containerID", line.container_id()), ("hostID", line.host_id())] {
            // The last id of all, 4294967295, means "no id" and cannot be mapped.
            if u64::from(first) + u64::from(line.size()) > u64::from(u32::MAX) {
                return fail(format!("{field}: {name} {first} and size {} reach beyond the last id", line.size()), field);
            }
        }
    }
    overlap(map, field, "container", LinuxIdMapping::container_id)?;
    overlap(map, field, "host", LinuxIdMapping::host_id)
}

fn overlap(map: &[LinuxIdMapping], field: &str, side: &str, first: fn(&LinuxIdMapping) -> u32) -> Result<()> {
    let mut order: Vec<usize> = (0..map.len()).collect();
    order.sort_by_key(|i| first(&map[*i]));
    for pair in order.windows(2) {
        let (a, b) = (&map[pair[0]], &map[pair[1]]);
        if u64::from(first(a)) + u64::from(a.size()) > u64::from(first(b)) {
            let text = format!("{field}[{}] and {field}[{}] overlap in their {side} ids", pair[0], pair[1]);
            return Err(Error::new(text).config(format!("{field}[{}]", pair[1])).code("E-IDMAP"));
        }
    }
    Ok(())
}

/// setuid(2) to an id without a map is EINVAL, long after the container was made.
fn ids_are_mapped(process: &Process, maps: &Maps) -> Result<()> {
    let user = process.user();
    let fail = |kind: &str, key: &str, id: u32, map: &[LinuxIdMapping]| {
        let hint = format!("{key} {id} is outside linux.{kind}Mappings ({}); map it, or choose a mapped one", show(map));
        let error =
            Error::new(format!("cannot set {kind} to unmapped user in user namespace")).config(format!("process.user.{key}"));
        Err(error.code("E-IDMAP").hint(hint))
    };
    if !is_mapped(maps.uid, user.uid()) {
        return fail("uid", "uid", user.uid(), maps.uid);
    }
    if !is_mapped(maps.gid, user.gid()) {
        return fail("gid", "gid", user.gid(), maps.gid);
    }
    match user.additional_gids().iter().flatten().find(|gid| !is_mapped(maps.gid, **gid)) {
        Some(gid) => fail("gid", "additionalGids", *gid, maps.gid),
        None => Ok(()),
    }
}

/// Whether `id` of the container is an id of the host.
pub fn is_mapped(map: &[LinuxIdMapping], id: u32) -> bool {
    map.iter().any(|m| id.checked_sub(m.container_id()).is_some_and(|offset| offset < m.size()))
}

/// `0-0, 1000-1999`, at most four ranges.
fn show(map: &[LinuxIdMapping]) -> String {
    let ranges =
        map.iter().take(4).map(|m| format!("{}-{}", m.container_id(), u64::from(m.container_id()) + u64::from(m.size()) - 1));
    let more = if map.len() > 4 { ", …" } else { "" };
    if map.is_empty() { "none".into() } else { format!("{}{more}", ranges.collect::<Vec<_>>().join(", ")) }
}

fn row(m: &LinuxIdMapping) -> [u32; 3] {
    [m.container_id(), m.host_id(), m.size()]
}

/// The lines of a uid_map or gid_map file.
fn rows(text: &str) -> Vec<[u32; 3]> {
    let numbers = |line: &str| line.split_whitespace().map(|n| n.parse().ok()).collect::<Option<Vec<u32>>>();
    text.lines().filter_map(|line| numbers(line)?.try_into().ok()).collect()
}
