//! The view of control groups on a host with v1 hierarchies: a tmpfs with one mount per hierarchy (cgroups(7)).
//!
//! With a cgroup namespace a real mount has the container's own group as its root. Without one it would show the whole host,
//! so the container's own groups are bound instead; a writable one gives root on the host away (`release_agent`,
//! CVE-2022-0492), so without privilege they are always read-only (CVE-2023-25809). With a namespace of the container's own
//! both look the same, and binding is quicker: to mount a hierarchy the kernel looks at every group of the host.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::bind::Bind;
use super::filesystem::{Data, New};
use crate::error::{At, Result};
use crate::host::Hierarchy;
use crate::sys::entry::{make_symlink, mkdir};
use crate::sys::fd::Spent;
use crate::sys::mount::{Attributes, attach, attach_named, set_attributes};
use crate::sys::resolve::Name;

/// What such mounts always have.
pub(super) const ALWAYS: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;

/// The hierarchies to show.
#[derive(Debug, Clone, Default)]
pub(super) struct Hierarchies {
    /// The tmpfs that holds them.
    holder: New,
    shown: Vec<(Name, Shown)>,
    /// `cpu -> cpu,cpuacct` for hierarchies with several controllers.
    links: Vec<(Name, CString)>,
    read_only: bool,
}

#[derive(Debug, Clone)]
enum Shown {
    Mount(New),
    Bind(Bind),
}

impl Hierarchies {
    /// `groups`: the container's own by their controllers; `only`: hierarchies in which it has none are left out, as there is
    /// no cgroup namespace.
    pub fn new(v1: &[Hierarchy], groups: &[(String, PathBuf)], only: bool, read_only: bool) -> std::io::Result<Self> {
        let holder = New {
            fstype: c"tmpfs".into(),
            source: c"tmpfs".into(),
            data: vec![Data::Text(c"mode".into(), c"755".into())],
            attributes: ALWAYS,
            ..New::default()
        };
        let mut hierarchies = Self { holder, shown: vec![], links: vec![], read_only };
        for hierarchy in v1 {
            hierarchies.add(hierarchy, groups, only)?;
        }
        Ok(hierarchies)
    }

    /// The same, with an option for the tmpfs.
    pub fn labelled(mut self, context: Option<Data>) -> Self {
        self.holder.data.extend(context);
        self
    }

    fn add(&mut self, hierarchy: &Hierarchy, groups: &[(String, PathBuf)], only: bool) -> std::io::Result<()> {
        let Some(name) = hierarchy.mountpoint.file_name() else { return Ok(()) };
        let attributes = if self.read_only { ALWAYS | libc::MOUNT_ATTR_RDONLY } else { ALWAYS };
        let group = groups.iter().find(|(controller, _)| hierarchy.controllers.contains(controller));
        // The host's own mount may be read-only, and a copy of it then is.
        let shown = match group.filter(|_| only || self.read_only) {
            None if only => return Ok(()),
            None => Shown::Mount(New { attributes, ..real(&hierarchy.controllers)? }),
            Some((_, path)) => {
                let source = CString::new(path.as_os_str().as_encoded_bytes())?;
                Shown::Bind(Bind { source, own: Attributes::setting(attributes), optional: only, ..Bind::default() })
            }
        };
        self.shown.push((Name::new(name)?, shown));
        if hierarchy.controllers.len() > 1 {
            for controller in hierarchy.controllers.iter().filter(|c| name != c.as_str()) {
                self.links.push((Name::new(controller)?, CString::new(name.as_encoded_bytes())?));
            }
        }
        Ok(())
    }

    /// Outside: copies of the groups to bind.
    pub fn copies(&self, inherited: u64) -> Result<Vec<OwnedFd>> {
        let binds = self.shown.iter().filter_map(|(_, shown)| match shown {
            Shown::Bind(bind) => Some(bind.copy(inherited)),
            Shown::Mount(_) => None,
        });
        binds.collect()
    }

    /// Inside: the tmpfs is filled while it is attached nowhere, then everything is attached on its handles.
    pub fn attach(&self, copies: Vec<OwnedFd>, target: OwnedFd, spent: &mut Spent) -> Result<()> {
        let holder = self.holder.mount(target.as_fd(), spent)?;
        for (name, _) in &self.shown {
            mkdir(holder.as_fd(), name).at(|| "mkdirat")?;
        }
        for (name, to) in &self.links {
            make_symlink(holder.as_fd(), name, to).at(|| "symlinkat")?;
        }
        if self.read_only {
            set_attributes(holder.as_fd(), false, &Attributes::setting(libc::MOUNT_ATTR_RDONLY)).at(|| "mount_setattr")?;
        }
        attach(holder.as_fd(), target.as_fd()).at(|| "move_mount")?;
        let mut copies = copies.into_iter();
        for (name, shown) in &self.shown {
            let made = match shown {
                Shown::Mount(new) => Some(new.mount(target.as_fd(), spent)?),
                Shown::Bind(_) => copies.next(),
            };
            if let Some(made) = made {
                attach_named(made.as_fd(), holder.as_fd(), name).at(|| "move_mount")?;
                spent.push(made);
            }
        }
        spent.push(target);
        spent.push(holder);
        Ok(())
    }

    /// What it is, for `rrun plan`.
    pub fn describe(&self) -> String {
        let names: Vec<_> = self.shown.iter().map(|(name, _)| name.as_c_str().to_string_lossy()).collect();
        format!("cgroup hierarchies {}", names.join(" "))
    }
}

/// A mount of the hierarchy with exactly these controllers; the kernel finds it by them.
fn real(controllers: &[String]) -> std::io::Result<New> {
    let mut data = vec![];
    for controller in controllers {
        match controller.strip_prefix("name=") {
            // A hierarchy without controllers is found by its name.
            Some(name) => data.extend([Data::Flag(c"none".into()), Data::Text(c"name".into(), CString::new(name)?)]),
            None => data.push(Data::Flag(CString::new(controller.as_str())?)),
        }
    }
    let fstype: &CStr = c"cgroup";
    Ok(New { fstype: fstype.into(), source: fstype.into(), data, ..New::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(mountpoint: &str, controllers: &[&str]) -> Hierarchy {
        Hierarchy {
            mountpoint: mountpoint.into(),
            root: "/".into(),
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            own: "/".into(),
        }
    }

    #[test]
    fn co_mounted_controllers_get_links() {
        let v1 = [hierarchy("/c/cpu,cpuacct", &["cpu", "cpuacct"]), hierarchy("/c/systemd", &["name=systemd"])];
        let made = Hierarchies::new(&v1, &[], false, true).expect("plain names");
        assert_eq!(made.shown.len(), 2);
        assert_eq!(made.links.len(), 2);
        assert!(matches!(&made.shown[1].1, Shown::Mount(new) if new.data.len() == 2));
        assert!(matches!(&made.shown[0].1, Shown::Mount(new) if new.attributes & libc::MOUNT_ATTR_RDONLY != 0));
    }

    #[test]
    fn without_a_namespace_only_the_own_groups_are_bound() {
        let v1 = [hierarchy("/c/memory", &["memory"]), hierarchy("/c/pids,misc", &["pids", "misc"])];
        let own = [("pids".to_owned(), PathBuf::from("/c/pids/x"))];
        let made = Hierarchies::new(&v1, &own, true, false).expect("plain names");
        assert_eq!(made.shown.len(), 1);
        assert!(matches!(&made.shown[0].1, Shown::Bind(bind) if &*bind.source == c"/c/pids/x"));
    }

    #[test]
    fn with_a_namespace_known_groups_are_bound_where_nothing_can_be_written() {
        let v1 = [hierarchy("/c/memory", &["memory"]), hierarchy("/c/pids", &["pids"])];
        let own = [("pids".to_owned(), PathBuf::from("/c/pids/x"))];
        let kinds = |read_only| {
            let made = Hierarchies::new(&v1, &own, false, read_only).expect("plain names");
            made.shown.iter().map(|(_, s)| matches!(s, Shown::Bind(_))).collect::<Vec<_>>()
        };
        assert_eq!(kinds(true), [false, true]);
        assert_eq!(kinds(false), [false, false]);
    }
}
