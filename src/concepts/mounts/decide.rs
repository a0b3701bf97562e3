//! From config.json to the plan of mounts: which are binds, where they go, what waits.
//!
//! What a mount needs of the rest of the configuration (a namespace, mapped ids) was
//! checked before (src/plan/rules/mounts.rs).

use std::ffi::CString;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount as Config, Spec};

use super::bind::{Bind, IdMap, Map};
use super::cgroup::{ALWAYS, Hierarchies};
use super::filesystem::{Data, New};
use super::options::Options;
use super::target::{REPLACEABLE, inside_proc, not_proc};
use super::{Act, Mount, MountsPlan, invalid};
use crate::error::Result;
use crate::host::Host;

/// What the mounts of one bundle share.
struct Bundle<'a> {
    spec: &'a Spec,
    host: &'a Host,
    path: &'a Path,
    /// The container's own groups on the host, where they are known by now.
    groups: &'a [(String, PathBuf)],
    /// Nothing else may be shown: there is no cgroup namespace.
    only_groups: bool,
}

/// Decides every mount. `groups`: for cgroup mounts, the container's own groups on the host: (controller,
/// directory); on v2 one entry with an empty name. With a cgroup namespace they may be missing.
pub fn plan(spec: &Spec, host: &Host, bundle: &Path, groups: &[(String, PathBuf)]) -> Result<MountsPlan> {
    let only_groups = !has_namespace(spec, LinuxNamespaceType::Cgroup);
    let bundle = Bundle { spec, host, path: bundle, groups, only_groups };
    let mut plan = MountsPlan { mounts: vec![], inherited: inherited_propagation(spec) };
    let configs = spec.mounts().as_deref().unwrap_or_default();
    for (index, config) in configs.iter().enumerate() {
        plan.mounts.push(bundle.mount(&format!("mounts[{index}]"), config)?);
    }
    Ok(plan)
}

fn has_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|l| l.namespaces().as_ref());
    namespaces.is_some_and(|all| all.iter().any(|n| n.typ() == kind))
}

/// A copy of a mount of the host is a peer of it: what is mounted below the one appears below the other. Unless the bundle
/// asks for that, copies only receive.
fn inherited_propagation(spec: &Spec) -> u64 {
    match spec.linux().as_ref().and_then(|l| l.rootfs_propagation().as_deref()) {
        Some("shared" | "rshared") => 0,
        Some("private" | "rprivate" | "unbindable" | "runbindable") => libc::MS_PRIVATE,
        _ => libc::MS_SLAVE,
    }
}

/// The destination without `.`, `..` and doubled slashes.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

impl Bundle<'_> {
    fn mount(&self, field: &str, config: &Config) -> Result<Mount> {
        let destination = clean(config.destination());
        let refuse = |why: &str| invalid(field, &destination, why);
        if destination == Path::new("/") {
            return Err(refuse("it would hide the root file system").hint("use root.path for the root"));
        }
        let options = Options::parse(config.options().as_deref().unwrap_or_default());
        let fstype = config.typ().as_deref().unwrap_or("");
        self.check_proc(&destination, fstype, &options).map_err(|e| e.config(field).code("E-MOUNT"))?;
        let source = config.source().clone().unwrap_or_default();
        let act = self.act(field, config, fstype, &source, &destination, &options)?;
        let late = match &act {
            Act::New(new) if fstype == "tmpfs" && !new.copies_up && options.is_read_only() => libc::MOUNT_ATTR_RDONLY,
            _ => 0,
        };
        let no_follow = options.destination_no_follow || matches!(&act, Act::New(new) if new.is_kernel_view());
        // A /dev is made read-only by the step that fills it.
        let late = if destination == Path::new("/dev") { 0 } else { late };
        let source = source.to_string_lossy().into_owned();
        Ok(Mount { field: field.to_owned(), source, destination, act, no_follow, late })
    }

    fn act(
        &self,
        field: &str,
        config: &Config,
        fstype: &str,
        source: &Path,
        destination: &Path,
        options: &Options,
    ) -> Result<Act> {
        let refuse = |why: &str| invalid(field, destination, why);
        let nul = |_| refuse("it contains a null byte");
        let is_bind = options.bind.is_some() || fstype == "bind";
        if options.remount {
            if !options.data.is_empty() {
                return Err(refuse("a remount changes the mount alone, so it takes no options of the filesystem"));
            }
            return Ok(Act::Remount { own: options.own, all: options.all, propagations: options.propagations.clone() });
        }
        let id_map = self.id_map(config, options, is_bind).map_err(|why| refuse(&why))?;
        if is_bind {
            return self.bind(source, destination, options, id_map).map(Act::Bind).map_err(|why| refuse(&why));
        }
        let unified = self.host.cgroups.is_unified();
        let read_only = options.is_read_only() || (self.host.rootless && self.only_groups);
        match (fstype, self.only_groups) {
            ("cgroup", only) if !unified => Hierarchies::new(&self.host.cgroups.v1, self.groups, only, read_only)
                .and_then(|made| Ok(Act::CgroupV1(made.labelled(context(self.label()?)))))
                .map_err(|_| refuse("a bad cgroup path")),
            ("cgroup" | "cgroup2", true) => {
                let Some((_, path)) = self.groups.iter().find(|(controllers, _)| controllers.is_empty()) else {
                    return Err(refuse("without a cgroup namespace it would show all groups of the host")
                        .hint("add {\"type\":\"cgroup\"} to linux.namespaces"));
                };
                let ro = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
                let mut options = Options { data: vec![], ..options.clone() };
                options.own.set |= ALWAYS | ro;
                let bind = self.bind(path, destination, &options, None).map_err(|why| refuse(&why))?;
                Ok(Act::Bind(Bind { optional: true, ..bind }))
            }
            ("cgroup", false) => self.filesystem("cgroup2", source, destination, options).map(Act::New).map_err(nul),
            ("" | "none", _) => Err(refuse("it has no type and is no bind").hint("add the option `rbind`, or name a type")),
            (fstype, _) => self.filesystem(fstype, source, destination, options).map(Act::New).map_err(nul),
        }
    }

    fn bind(
        &self,
        source: &Path,
        destination: &Path,
        options: &Options,
        id_map: Option<IdMap>,
    ) -> std::result::Result<Bind, String> {
        if !options.data.is_empty() {
            let why = "bind mounts cannot have any filesystem-specific options applied";
            return Err(format!("{why}: {}{}", options.data.join(","), super::explain::meant(&options.data)));
        }
        if source.as_os_str().is_empty() {
            return Err("a bind mount needs a source".to_owned());
        }
        let source = self.path.join(source);
        let source = CString::new(source.as_os_str().as_encoded_bytes()).map_err(|_| "its source contains a null byte")?;
        // Of one mount, the attributes of "all below" are its own.
        let recursive = options.bind == Some(true);
        Ok(Bind {
            source,
            recursive,
            optional: false,
            no_follow: options.source_no_follow,
            copy_symlink: options.copy_symlink,
            must_be_procfs: destination == Path::new("/proc"),
            own: options.own,
            all: options.all,
            propagations: options.propagations.clone(),
            id_map,
        })
    }

    fn filesystem(
        &self,
        fstype: &str,
        source: &Path,
        destination: &Path,
        options: &Options,
    ) -> std::result::Result<New, std::ffi::NulError> {
        let mut data = vec![];
        for option in &options.data {
            data.extend(Data::parse(fstype, option)?);
        }
        let mut label = self.label()?;
        match fstype {
            "proc" | "sysfs" | "cgroup2" => label = None,
            // It has labels, but no option for them.
            "mqueue" => {}
            _ => data.extend(context(label.take().filter(|_| !data.iter().any(|d| d.key() == c"context")))),
        }
        let attributes = options.own.set | options.all.set;
        // These are filled or get mount points first; they become read-only later.
        let waits = destination == Path::new("/dev") || (fstype == "tmpfs" && !options.copy_up);
        let mut flags = options.superblock.clone();
        if options.is_read_only() && !waits && !options.copy_up && label.is_none() {
            flags.push(c"ro");
        }
        let has_mode = data.iter().any(|d| d.key() == c"mode");
        Ok(New {
            fstype: CString::new(fstype)?,
            source: CString::new(source.as_os_str().as_encoded_bytes())?,
            flags,
            data,
            attributes: if waits { attributes & !libc::MOUNT_ATTR_RDONLY } else { attributes },
            propagations: options.propagations.iter().map(|(kind, _)| *kind).collect(),
            takes_mode: fstype == "tmpfs" && !has_mode,
            copies_up: fstype == "tmpfs" && options.copy_up,
            label,
        })
    }

    /// linux.mountLabel.
    fn label(&self) -> std::result::Result<Option<CString>, std::ffi::NulError> {
        let label = self.spec.linux().as_ref().and_then(|l| l.mount_label().as_deref()).filter(|l| !l.is_empty());
        label.map(CString::new).transpose()
    }

    /// Only a procfs may stand on /proc, and only a few files below it may be replaced.
    fn check_proc(&self, destination: &Path, fstype: &str, options: &Options) -> Result<()> {
        let Ok(below) = destination.strip_prefix("/proc") else { return Ok(()) };
        let is_bind = options.bind.is_some() || fstype == "bind";
        match below.to_str() {
            Some("") if is_bind || options.remount || fstype == "proc" => Ok(()),
            Some("") => Err(not_proc(destination)),
            // A remount replaces nothing.
            Some(path) if is_bind && REPLACEABLE.contains(&path) || options.remount => Ok(()),
            _ => Err(inside_proc(destination)),
        }
    }

    fn id_map(&self, config: &Config, options: &Options, is_bind: bool) -> std::result::Result<Option<IdMap>, String> {
        let lists = (config.uid_mappings().as_deref().unwrap_or_default(), config.gid_mappings().as_deref().unwrap_or_default());
        let map = match (lists.0.is_empty(), lists.1.is_empty(), options.idmap) {
            (true, true, None) => return Ok(None),
            (false, false, _) => Map::Text(map_text(lists.0), map_text(lists.1)),
            (true, true, Some(_)) => self.container_map()?,
            _ => return Err("id-mapped mounts must have both uid and gid mappings specified".to_owned()),
        };
        if !is_bind {
            return Err("id-mapped mounts are only supported for bind-mounts".to_owned());
        }
        if self.host.rootless {
            return Err("id-mapped mounts are not supported for rootless containers".to_owned());
        }
        if !options.all.is_empty() {
            return Err("id-mapped mounts cannot have recursive attributes".to_owned());
        }
        Ok(Some(IdMap { recursive: options.idmap == Some(true), map }))
    }

    /// The option `idmap` alone means the container's own maps.
    fn container_map(&self) -> std::result::Result<Map, String> {
        let linux = self.spec.linux().as_ref().ok_or("id-mapped mounts need a linux section")?;
        let namespaces = linux.namespaces().as_deref().unwrap_or_default();
        let joined = namespaces.iter().find(|n| n.typ() == LinuxNamespaceType::User).and_then(|n| n.path().as_ref());
        if let Some(path) = joined {
            let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "a null byte in a namespace path")?;
            return Ok(Map::Namespace(path));
        }
        match (linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref()) {
            (Some(uids @ [_, ..]), Some(gids @ [_, ..])) => Ok(Map::Text(map_text(uids), map_text(gids))),
            _ => Err("the option idmap needs uidMappings and gidMappings, of the mount or of the container".to_owned()),
        }
    }
}

/// The option that labels all files of a filesystem.
fn context(label: Option<CString>) -> Option<Data> {
    label.map(|label| Data::Text(c"context".into(), label))
}

fn map_text(maps: &[LinuxIdMapping]) -> String {
    maps.iter().map(|m| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size())).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
