//! How a process gets into groups that exist: the joining of `exec`.
//!
//! Writing a pid to cgroup.procs takes a lock over all processes of the machine, for milliseconds. A process that moves itself, or is born
//! inside, takes none: hence the open `tasks` files of v1 and `CLONE_INTO_CGROUP` of v2.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Join, Record, paths, tree};
use crate::error::{At, Error, Result};
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
    /// Reads `cpu,memory:sub/group` or `sub/group`.
    pub fn parse(text: &str) -> Self {
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
            join.v2 = Some(if below.is_none() { undivided(dir, init)? } else { tree::below(dir, path)? });
        } else {
            let group = tree::below(dir, path)?;
            join.v1_tasks.push(
                openat2(group.as_fd(), c"tasks", libc::O_WRONLY, 0, libc::RESOLVE_BENEATH)
                    .at(|| format!("open {}/tasks", dir.display()))?,
            );
        }
    }
    Ok(join)
}

/// `..` is refused rather than resolved: it is a mistake or worse.
fn known(record: &Record, sub: &SubGroup) -> Result<()> {
    if sub.path.components().any(|c| c == std::path::Component::ParentDir) {
        return Err(Error::new(format!("invalid sub-cgroup path {:?}: it cannot contain ..", sub.path)));
    }
    match sub.controllers.iter().find(|c| !record.paths.contains_key(*c)) {
        Some(unknown) => Err(Error::new(format!("unknown controller {unknown} in --cgroup"))),
        None => Ok(()),
    }
}

/// A v2 group that shares controllers out to groups below takes no process itself (EBUSY). Then init has moved below, and the
/// new process goes where init is, if that is below indeed.
fn undivided(dir: &Path, init: i32) -> Result<OwnedFd> {
    let shared = std::fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
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
