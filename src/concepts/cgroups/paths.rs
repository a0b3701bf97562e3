//! Where the groups lie: one directory per mounted hierarchy, named by `linux.cgroupsPath` (config-linux.md, "Cgroups Path").
//!
//! An absolute path starts at the root of each hierarchy; a relative one, or the container id when there is none, below the group that
//! rrun itself is in. `..` is resolved in the text alone and stops at the start, so that a path cannot name a group above it.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::{Hierarchy, Host};

/// The group of one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Where the hierarchy is mounted.
    pub mountpoint: PathBuf,
    /// The group's directory, absolute.
    pub dir: PathBuf,
    /// v1: the controllers. v2: empty.
    pub controllers: Vec<String>,
}

impl Group {
    /// Whether it lies in the v2 hierarchy.
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// The directories from the mount point (exclusive) to the group (inclusive).
    pub fn chain(&self) -> Vec<PathBuf> {
        let mut chain: Vec<PathBuf> = self.dir.ancestors().take_while(|d| *d != self.mountpoint).map(Path::to_owned).collect();
        chain.reverse();
        chain
    }
}

/// The components that remain when `.` and `..` are resolved in the text; `..` at the start vanishes.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut parts: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.iter().collect()
}

/// The nearest group above both rrun's own and the one at `dir`.
pub(super) fn common(hierarchy: &Hierarchy, dir: &Path) -> PathBuf {
    let own = hierarchy.directory();
    dir.ancestors().find(|above| own.starts_with(above)).unwrap_or(&hierarchy.mountpoint).to_owned()
}

fn every(host: &Host) -> impl Iterator<Item = &Hierarchy> {
    host.cgroups.v1.iter().chain(&host.cgroups.v2)
}

/// The groups that rrun makes itself (driver cgroupfs).
pub(super) fn cgroupfs(host: &Host, path: Option<&Path>, id: &str) -> Result<Vec<Group>> {
    let path = path.filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(id));
    let wanted = clean(path);
    let start = |h: &Hierarchy| match path.is_absolute() {
        true => PathBuf::new(),
        // rrun's own group holds processes, at least rrun, and a v2 group with processes cannot share its controllers out
        // ("no internal processes", cgroups(7)): so the new group becomes its sibling, if it may.
        false if host.cgroups.is_unified() && !host.cgroups.only_below => {
            h.below().parent().map(Path::to_owned).unwrap_or_default()
        }
        false => h.below(),
    };
    groups(host, path, &wanted, start)
}

/// The groups of a scope that systemd makes: `<slice>/<unit>` in each hierarchy, in the user's own part with `user`.
pub(super) fn systemd(host: &Host, slice: &str, unit: &str, user: bool) -> Result<Vec<Group>> {
    let path = slice_path(slice)?.join(unit);
    let start = |h: &Hierarchy| if user { user_manager(&h.below(), host.cgroups.owner) } else { PathBuf::new() };
    groups(host, &path, &path, start)
}

fn groups(host: &Host, named: &Path, wanted: &Path, start: impl Fn(&Hierarchy) -> PathBuf) -> Result<Vec<Group>> {
    let refuse = |why: &str| Err(Error::new(format!("invalid cgroupsPath {named:?}: {why}")).config("linux.cgroupsPath"));
    if wanted.as_os_str().is_empty() {
        // Limits, pause and kill would hit the whole host.
        return refuse("it names the root of the hierarchy");
    }
    let mut found = Vec::new();
    for hierarchy in every(host) {
        let below = start(hierarchy).join(wanted);
        // The same with everything that runs beside rrun in a group around it, and rrun would freeze itself.
        if hierarchy.below().starts_with(&below) {
            return refuse("rrun itself runs in that group");
        }
        let dir = hierarchy.mountpoint.join(below);
        found.push(Group { mountpoint: hierarchy.mountpoint.clone(), dir, controllers: hierarchy.controllers.clone() });
    }
    Ok(found)
}

/// The group of the user's service manager, from rrun's own group if it runs below it (systemd.special(7)). In a user namespace
/// the manager's user has another number than `uid`.
fn user_manager(own: &Path, uid: u32) -> PathBuf {
    let manager = |name: &str| name.starts_with("user@") && name.ends_with(".service");
    let mut path = PathBuf::new();
    for part in own.components() {
        path.push(part);
        if part.as_os_str().to_str().is_some_and(manager) {
            return path;
        }
    }
    format!("user.slice/user-{uid}.slice/user@{uid}.service").into()
}

/// The directory of a slice: `a-b.slice` lies in `a.slice/a-b.slice`, `-.slice` is the root (systemd.slice(5)).
pub(super) fn slice_path(slice: &str) -> Result<PathBuf> {
    let invalid =
        || Error::new(format!("invalid slice name: {slice:?}")).config("linux.cgroupsPath").hint("slices look like a-b.slice");
    let stem = slice.strip_suffix(".slice").filter(|s| !s.is_empty() && !s.contains('/')).ok_or_else(invalid)?;
    if stem == "-" {
        return Ok(PathBuf::new());
    }
    let mut path = PathBuf::new();
    let mut prefix = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        prefix.push_str(part);
        path.push(format!("{prefix}.slice"));
        prefix.push('-');
    }
    Ok(path)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::host::Cgroups;

    /// A host with memory (rrun in /rrun/own), cpu and cpuacct together, pids, and the empty v2 hierarchy of a hybrid host.
    pub(in super::super) fn hybrid() -> Host {
        let info = "1 1 0:1 / /c/memory rw - cgroup cgroup rw,memory\n2 1 0:2 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                    3 1 0:3 / /c/pids rw - cgroup cgroup rw,pids\n6 1 0:6 / /c/devices rw - cgroup cgroup rw,devices\n\
                    4 1 0:4 / /c/cpuset rw - cgroup cgroup rw,cpuset\n5 1 0:5 / /c/unified rw - cgroup2 cgroup2 rw\n";
        let own = "5:devices:/\n4:cpuset:/\n3:pids:/\n2:cpu,cpuacct:/\n1:memory:/rrun/own\n0::/\n";
        Host { euid: 0, egid: 0, rootless: false, cgroups: Cgroups::parse(info, own) }
    }

    /// A pure v2 host with rrun in /user.slice/s.scope.
    pub(in super::super) fn unified() -> Host {
        let info = "1 1 0:1 / /c rw - cgroup2 cgroup2 rw\n";
        Host { euid: 0, egid: 0, rootless: false, cgroups: Cgroups::parse(info, "0::/user.slice/s.scope\n") }
    }

    fn dirs(host: &Host, path: Option<&str>) -> Vec<String> {
        let groups = cgroupfs(host, path.map(Path::new), "web").expect("groups");
        groups.iter().map(|g| g.dir.to_str().expect("UTF-8").to_owned()).collect()
    }

    #[test]
    fn absent_and_relative_paths_start_at_ones_own_group() {
        assert_eq!(dirs(&hybrid(), None)[..3], ["/c/memory/rrun/own/web", "/c/cpu,cpuacct/web", "/c/pids/web"]);
        assert_eq!(dirs(&hybrid(), Some("a/b"))[0], "/c/memory/rrun/own/a/b");
        assert_eq!(dirs(&hybrid(), Some(""))[0], "/c/memory/rrun/own/web");
    }

    #[test]
    fn absolute_paths_start_at_the_root() {
        assert_eq!(
            dirs(&hybrid(), Some("/a/b")),
            ["/c/memory/a/b", "/c/cpu,cpuacct/a/b", "/c/pids/a/b", "/c/devices/a/b", "/c/cpuset/a/b", "/c/unified/a/b"]
        );
    }

    #[test]
    fn dots_cannot_climb_out() {
        assert_eq!(dirs(&hybrid(), Some("../../up"))[0], "/c/memory/rrun/own/up");
        assert_eq!(dirs(&hybrid(), Some("/../../up"))[0], "/c/memory/up");
        assert_eq!(dirs(&hybrid(), Some("/a/../../b/./c"))[0], "/c/memory/b/c");
    }

    #[test]
    fn a_group_around_rrun_or_the_root_is_refused() {
        for bad in ["/", ".", "/a/..", "/rrun", "/rrun/own"] {
            let e = cgroupfs(&hybrid(), Some(Path::new(bad)), "web").expect_err(bad);
            assert_eq!(e.config_text(), Some("linux.cgroupsPath"), "{bad}");
        }
    }

    #[test]
    fn on_v2_the_group_becomes_a_sibling() {
        assert_eq!(dirs(&unified(), None), ["/c/user.slice/web"]);
        assert_eq!(dirs(&unified(), Some("/x")), ["/c/x"]);
    }

    #[test]
    fn where_only_the_own_group_was_delegated_it_lies_below() {
        let mut host = unified();
        host.cgroups.only_below = true;
        assert_eq!(dirs(&host, None), ["/c/user.slice/s.scope/web"]);
        assert_eq!(dirs(&host, Some("/x")), ["/c/x"]);
    }

    #[test]
    fn a_bound_hierarchy_starts_at_its_mounted_part() {
        let info = "1 1 0:1 /docker/x /c/memory rw - cgroup cgroup rw,memory\n";
        let host = Host { cgroups: Cgroups::parse(info, "1:memory:/docker/x/in\n"), ..hybrid() };
        assert_eq!(dirs(&host, None), ["/c/memory/in/web"]);
        assert_eq!(dirs(&host, Some("/y")), ["/c/memory/y"]);
        let outside = Host { cgroups: Cgroups::parse(info, "1:memory:/../other\n"), ..hybrid() };
        assert_eq!(dirs(&outside, None), ["/c/memory/web"]);
    }

    #[test]
    fn slices_nest_by_their_dashes() {
        assert_eq!(slice_path("a-b-c.slice").expect("valid"), Path::new("a.slice/a-b.slice/a-b-c.slice"));
        assert_eq!(slice_path("-.slice").expect("valid"), Path::new(""));
        for bad in ["a", ".slice", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice", ""] {
            assert!(slice_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_scope_of_the_user_lies_below_the_users_manager() {
        let groups = systemd(&unified(), "user.slice", "rrun-web.scope", true).expect("groups");
        assert_eq!(groups[0].dir, Path::new("/c/user.slice/user-0.slice/user@0.service/user.slice/rrun-web.scope"));
        let groups = systemd(&unified(), "a-b.slice", "rrun-web.scope", false).expect("groups");
        assert_eq!(groups[0].dir, Path::new("/c/a.slice/a-b.slice/rrun-web.scope"));
    }
}
