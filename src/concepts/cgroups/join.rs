//! How a process gets into groups that exist: the joining of `exec`.
//!
//! Writing a pid to cgroup.procs takes a lock over all processes of the machine, for milliseconds. A process that moves itself, or is born
//! inside, takes none: hence the open `tasks` files of v1 and `CLONE_INTO_CGROUP` of v2.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};

use super::{Join, Record, paths, tree, write};
use crate::error::{At, Error, Result};
use crate::host::Host;
use crate::sys::fd::cwd;
use crate::sys::own::read_short;
use crate::sys::resolve::openat2;

/// `exec --cgroup [CONTROLLERS:]PATH`: where below the container's groups the process goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubGroup {
    /// v1: only in the hierarchies of these controllers; empty: in all.
    pub controllers: Vec<String>,
    /// Below the container's group; `/` is that group itself.
    pub path: PathBuf,
}

impl SubGroup {
    /// Reads all of one command line. Each must say where without contradicting another: a controller stands once, and a
    /// path for all controllers stands alone.
    pub fn parse_all(texts: &[String]) -> Result<Vec<Self>> {
        let groups: Vec<Self> = texts.iter().map(|text| Self::parse(text)).collect();
        let wrong = |text: &str, why: &str| Err(Error::new(format!("invalid --cgroup argument: {text:?} ({why})")));
        let mut seen = vec![];
        for (group, text) in groups.iter().zip(texts) {
            if group.controllers.is_empty() && groups.len() > 1 {
                return wrong(text, "missing controllers: with more than one, each names its own");
            }
            for controller in &group.controllers {
                match controller.as_str() {
                    "" => return wrong(text, "empty controller"),
                    again if seen.contains(&again) => return wrong(text, &format!("{again} stands twice")),
                    new => seen.push(new),
                }
            }
        }
        Ok(groups)
    }

    /// Reads `cpu,memory:sub/group` or `sub/group`.
    fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((controllers, path)) => {
                Self { controllers: controllers.split(',').map(str::to_owned).collect(), path: path.into() }
            }
            None => Self { controllers: vec![], path: text.into() },
        }
    }
}

/// Opens the way into the groups of `record`. `init`: the container's first process, which shows a v2 group that still takes
/// processes when the container has divided its own up.
pub(super) fn open(record: &Record, sub: &[SubGroup], init: i32) -> Result<Join> {
    for group in sub {
        known(record, group)?;
    }
    let mut join = Join::default();
    for (dir, names) in record.places() {
        let below = sub.iter().find(|s| s.controllers.is_empty() || names.iter().any(|n| s.controllers.contains(n)));
        let path = below.map_or(Path::new("/"), |s| &s.path);
        if names.iter().any(String::is_empty) {
            let group = if below.is_none() { undivided(dir, init)? } else { tree::below(dir, path)? };
            match if nix::unistd::geteuid().is_root() { Ok(()) } else { check_way(dir) } {
                // Its scope, that is: systemd knows nothing of the groups below.
                Err(e) if e.errno() == Some(libc::EACCES) && record.unit.is_some() && below.is_none() => join.by_systemd = true,
                way => {
                    way?;
                    join.v2 = Some(group);
                }
            }
        } else {
            // No group of v1 is a link, so only a path that was asked for needs care.
            let tasks = match below {
                None => write::open(&dir.join("tasks")).map(OwnedFd::from),
                Some(_) => openat2(tree::below(dir, path)?.as_fd(), c"tasks", libc::O_WRONLY, 0, libc::RESOLVE_BENEATH),
            };
            join.v1_tasks.push(tasks.at(|| format!("open {}/tasks", dir.display()))?);
        }
    }
    Ok(join)
}

/// v2: whether a process may go from rrun's own group to the one at `dir`. Two files must be writable: cgroup.procs of that group, and
/// that of the nearest group above both (cgroup-v2.rst, "Delegation Containment"). Who is logged in may make groups below the own
/// service manager, but not move there.
pub(super) fn check_way(dir: &Path) -> Result<()> {
    let host = Host::ask()?;
    let Some(v2) = &host.cgroups.v2 else { return Ok(()) };
    let common = paths::common(v2, dir);
    for group in [dir, &common] {
        let file = group.join("cgroup.procs");
        let may = faccessat(cwd(), &file, AccessFlags::W_OK, AtFlags::AT_EACCESS);
        may.at(|| format!("move a process to {}: access {}", dir.display(), file.display())).map_err(|e| {
            let hint = "only below one's own delegated group: use the systemd driver, or begin with systemd-run --user --scope";
            e.code("E-DELEGATE").hint(hint)
        })?;
    }
    Ok(())
}

/// `..` is refused rather than resolved: it is a mistake or worse.
fn known(record: &Record, sub: &SubGroup) -> Result<()> {
    if sub.path.components().any(|c| c == std::path::Component::ParentDir) {
        return Err(Error::new(format!("invalid sub-cgroup path {:?}: it cannot contain ..", sub.path)));
    }
    if record.paths.is_empty() {
        return Err(Error::new("--cgroup: the container has no cgroup").hint(record.why_none()));
    }
    match sub.controllers.iter().find(|c| !record.paths.contains_key(*c)) {
        Some(unknown) => Err(Error::new(format!("unknown controller {unknown} in --cgroup"))),
        None => Ok(()),
    }
}

/// A v2 group that shares controllers out to groups below takes no process itself (EBUSY). Then init has moved below, and the
/// new process goes where init is, if that is below indeed.
fn undivided(dir: &Path, init: i32) -> Result<OwnedFd> {
    let shared = read_short(dir.join("cgroup.subtree_control")).unwrap_or_default();
    if shared.trim().is_empty() {
        return tree::below(dir, Path::new("/"));
    }
    let file = format!("/proc/{init}/cgroup");
    let text = std::fs::read_to_string(&file).at(|| format!("read {file}"))?;
    let its = text.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or("/");
    // The hierarchy's root and the mount point need not be the same: the group's own path is found as a suffix of the mount's.
    let its = paths::clean(Path::new(its));
    let its_below = |mount: &Path| its.strip_prefix(dir.strip_prefix(mount).ok().filter(|p| !p.as_os_str().is_empty())?).ok();
    let mounts: Vec<&Path> = dir.ancestors().collect();
    let below = mounts.into_iter().rev().find_map(its_below);
    tree::below(dir, below.unwrap_or(Path::new("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sub_group_may_name_controllers() {
        assert_eq!(SubGroup::parse("a/b"), SubGroup { controllers: vec![], path: "a/b".into() });
        assert_eq!(
            SubGroup::parse("cpu,memory:a"),
            SubGroup { controllers: vec!["cpu".into(), "memory".into()], path: "a".into() }
        );
    }

    #[test]
    fn sub_groups_do_not_contradict_each_other() {
        let parse = |texts: &[&str]| SubGroup::parse_all(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&["cpu:a", "memory,pids:b"]).expect("apart").len(), 2);
        for bad in [&["cpu:a", "cpu:b"][..], &["cpu,cpu:a"], &["a", "b"], &["cpu:a", "b"], &[":a"], &["cpu,:a"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn climbing_and_unknown_controllers_are_refused() {
        let dir = tempfile::tempdir().expect("directory");
        std::fs::create_dir_all(dir.path().join("x")).expect("mkdir");
        std::fs::create_dir_all(dir.path().join("x-evil")).expect("mkdir");
        let record = Record { paths: [(String::new(), dir.path().join("x"))].into(), ..Record::default() };
        for bad in ["../x-evil", "a/../../x-evil", "/..", "cpu:a"] {
            assert!(open(&record, &[SubGroup::parse(bad)], 1).is_err(), "{bad}");
        }
        std::os::unix::fs::symlink("../x-evil", dir.path().join("x/link")).expect("symlink");
        assert!(open(&record, &[SubGroup::parse("link")], 1).is_err(), "a link leads out");
        std::fs::create_dir(dir.path().join("x/in")).expect("mkdir");
        assert!(open(&record, &[SubGroup::parse("in")], 1).is_ok());
        assert!(open(&record, &[SubGroup::parse("/in")], 1).is_ok());
    }
}
