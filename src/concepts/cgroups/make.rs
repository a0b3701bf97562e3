//! Making the groups: directories, limits, and the open files through which the new process gets in.
//!
//! All of it happens before that process exists or while it waits, so that it never runs without its limits. Each step is few
//! calls: making groups and joining them was most of the time that older runtimes took to start a container.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::paths::Group;
use super::values::Write;
use super::{CgroupsPlan, Freezer, Join, Record, ebpf, freezer, join, owner, tree, write};
use crate::error::{At, Error, Result};
use crate::sys::fd::Spent;

/// Directories made so far, to be removed again if a later step fails.
#[derive(Default)]
struct Made(Vec<PathBuf>);

/// Makes the groups and writes the limits; what was made is removed again on failure.
pub(super) fn groups(plan: &CgroupsPlan) -> Result<Join> {
    let mut made = Made::default();
    let done = steps(plan, &mut made);
    if done.is_err() {
        // The first error is the one to tell; a directory that stays is found by `delete --force`.
        made.0.iter().rev().for_each(|dir| drop(std::fs::remove_dir(dir)));
    }
    done
}

/// A unit that runs already cannot be made again, and what comes after a failure would end it.
pub(super) fn check_unused(plan: &CgroupsPlan) -> Result<()> {
    for group in &plan.groups {
        let others = tree::pids(&group.dir)?.len();
        if others > 0 {
            let dir = group.dir.display();
            return Err(Error::new(format!("container's cgroup is not empty: {others} process(es) found in {dir}"))
                .config("linux.cgroupsPath")
                .hint("another container has the unit; name one of its own"));
        }
    }
    Ok(())
}

/// In a scope that systemd has made around `pid`: makes what it left out (hierarchies of v1 that it does not use), writes the limits and
/// moves the process there. The controllers of v2 are systemd's to share out, but for those that it does not know (hugetlb, rdma, misc).
pub(super) fn in_scope(plan: &CgroupsPlan, pid: i32) -> Result<Join> {
    let mut join = Join::default();
    for group in &plan.groups {
        if group.is_v2() {
            if !group.dir.is_dir() {
                return Err(
                    Error::new(format!("systemd made the scope, but not at {}", group.dir.display())).config("linux.cgroupsPath")
                );
            }
            continue;
        }
        let old = directory(group, &mut Made::default())?;
        if group.controllers.iter().any(|c| c == "cpuset") {
            fill_cpuset(group, &plan.writes, old)?;
        }
    }
    for (i, group) in plan.groups.iter().enumerate().filter(|(_, g)| g.is_v2()) {
        if lacks_controller(plan, i)? {
            enable(group, &plan.writes, i)?;
        }
    }
    write::all(&plan.groups, &plan.writes)?;
    for group in &plan.groups {
        if group.is_v2() {
            open(plan, group, &mut join)?;
            continue;
        }
        let procs = group.dir.join("cgroup.procs");
        write::put(&procs, &pid.to_string()).at(|| format!("write {pid} to {}", procs.display()))?;
    }
    Ok(join)
}

fn steps(plan: &CgroupsPlan, made: &mut Made) -> Result<Join> {
    let mut join = Join::default();
    for (i, group) in plan.groups.iter().enumerate() {
        let before = made.0.len();
        match prepare(plan, group, made, &mut join) {
            // Without privilege and without a limit: a group that cannot be had is no loss.
            Err(e) if plan.may_lack(i) && matches!(e.errno(), Some(libc::EACCES | libc::EPERM | libc::EROFS)) => {
                made.0.drain(before..).rev().try_for_each(std::fs::remove_dir).at(|| format!("rmdir {}", group.dir.display()))?;
                join.left_out.push(group.dir.clone());
            }
            done => done.map_err(|e| delegation(plan, i, e))?,
        }
    }
    // On v2 alone for the statistics too; beside v1 for the limits of controllers that no hierarchy of v1 has.
    let wanted = |i: usize| plan.groups.len() == 1 || plan.writes.iter().any(|w| w.group == i);
    for (i, group) in plan.groups.iter().enumerate() {
        if group.is_v2() && wanted(i) && !join.left_out.contains(&group.dir) {
            enable(group, &plan.writes, i)?;
        }
    }
    write::all(&plan.groups, &plan.writes)?;
    let v2 = plan.groups.iter().find(|g| g.is_v2() && !join.left_out.contains(&g.dir));
    v2.map_or(Ok(()), |group| open(plan, group, &mut join))?;
    Ok(join)
}

/// The directory, and what lets a process in.
fn prepare(plan: &CgroupsPlan, group: &Group, made: &mut Made, join: &mut Join) -> Result<()> {
    let old = directory(group, made)?;
    if old {
        check_old(plan, group, join)?;
    }
    if group.controllers.iter().any(|c| c == "cpuset") {
        fill_cpuset(group, &plan.writes, old)?;
    }
    if group.is_v2() {
        // Only asked where the answer can be no: it takes a look at the mount table.
        return if plan.rootless { join::check_way(&group.dir) } else { Ok(()) };
    }
    let tasks = group.dir.join("tasks");
    join.v1_tasks.push(write::open(&tasks).at(|| format!("open {}", tasks.display()))?.into());
    Ok(())
}

/// Makes the directory of `group` and those above it. `true`: it was there before.
fn directory(group: &Group, made: &mut Made) -> Result<bool> {
    let mut builder = DirBuilder::new();
    builder.mode(0o755);
    match builder.create(&group.dir) {
        Ok(()) => made.0.push(group.dir.clone()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).at(|| format!("mkdir {}", group.dir.display())),
        Err(_) => {
            for dir in group.chain() {
                match builder.create(&dir) {
                    Ok(()) => made.0.push(dir),
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(e).at(|| format!("mkdir {}", dir.display())),
                }
            }
        }
    }
    Ok(false)
}

/// A group that could not be made, named by the first limit that it should have held.
fn delegation(plan: &CgroupsPlan, group: usize, e: Error) -> Error {
    match plan.writes.iter().find(|w| w.group == group) {
        Some(write) if plan.rootless => e
            .context(format!("cannot set {}", write.field))
            .config(&write.field)
            .code("E-DELEGATE")
            .hint("the hierarchy is not delegated to you; use the systemd driver, or drop the limit"),
        _ if plan.rootless && e.errno() == Some(libc::EACCES) => e
            .config("linux.cgroupsPath")
            .code("E-DELEGATE")
            .hint("name a group that is delegated to you, or leave cgroupsPath out: without limits none is needed"),
        _ => e.config("linux.cgroupsPath"),
    }
}

/// A group that exists already: whoever froze it would freeze the new container at birth; whoever is in it shares its limits.
fn check_old(plan: &CgroupsPlan, group: &Group, join: &mut Join) -> Result<()> {
    let record = Record { paths: plan.paths_of(group), ..Record::default() };
    if freezer::state(&record)? == Freezer::Frozen {
        return Err(Error::new(format!("cgroup {} is frozen already", group.dir.display()))
            .config("linux.cgroupsPath")
            .hint("another container owns it; name a group of its own"));
    }
    let others = tree::pids(&group.dir)?.len();
    if others > 0 && join.note.is_none() {
        join.note = Some(format!("container's cgroup is not empty: {others} process(es) found in {}", group.dir.display()));
    }
    Ok(())
}

/// v1: a group without CPUs or memory nodes takes no process, and a new one has none. What the config does not give is
/// copied down from above, on the whole way. `old`: the group was there before, and may have some.
fn fill_cpuset(group: &Group, writes: &[Write], old: bool) -> Result<()> {
    let mut spent = Spent::default();
    for dir in group.chain() {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let (last, path) = (dir == group.dir, dir.join(file));
            let given = last && writes.iter().any(|w| w.file == file);
            if given || ((old || !last) && !write::read_and_keep(&path, &mut spent)?.is_empty()) {
                continue;
            }
            let above = write::read_and_keep(&dir.parent().expect("below the mount point").join(file), &mut spent)?;
            write::put_and_keep(&path, &above, &mut spent).at(|| format!("write {above:?} to {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whether the v2 group `index` lacks a controller that a limit needs.
fn lacks_controller(plan: &CgroupsPlan, index: usize) -> Result<bool> {
    let has = write::read(&plan.groups[index].dir.join("cgroup.controllers"))?;
    let needed = plan.writes.iter().filter(|w| w.group == index).filter_map(Write::controller);
    Ok(needed.into_iter().any(|c| !has.split(' ').any(|h| h == c)))
}

/// v2: a controller works in a group if the group above shares it out (`cgroup.subtree_control`). All that exist are shared,
/// for their statistics; those that a limit of this group (number `index`) needs must be. It stays so when the container is gone:
/// taking a controller back takes its limits from all groups that were made beside ours meanwhile, without a word to their owners.
fn enable(group: &Group, writes: &[Write], index: usize) -> Result<()> {
    let chain = group.chain();
    let above = std::iter::once(&group.mountpoint).chain(chain.iter().take(chain.len() - 1));
    for dir in above {
        let available = write::read(&dir.join("cgroup.controllers"))?;
        let file = dir.join("cgroup.subtree_control");
        let shared = write::read(&file)?;
        let missing: Vec<String> = available
            .split(' ')
            .filter(|c| !c.is_empty() && !shared.split(' ').any(|s| s == *c))
            .map(|c| format!("+{c}"))
            .collect();
        let Err(all) = (if missing.is_empty() { Ok(()) } else { write::put(&file, &missing.join(" ")) }) else { continue };
        let busy = all.raw_os_error() == Some(libc::EBUSY);
        // All together are refused if one is. So one by one; only one that a limit needs is missed. Not if processes are in
        // the way: the controllers that are possible even then would make this group a threaded one, and ours unusable.
        for controller in &missing {
            let one = if busy { Err(io::Error::from_raw_os_error(libc::EBUSY)) } else { write::put(&file, controller) };
            if let Err(e) = one
                && let Some(write) = writes.iter().find(|w| w.group == index && w.controller() == controller.get(1..))
            {
                return Err(refused(&file, controller, write, e));
            }
        }
    }
    // The parent of a threaded group, or a group beside one, takes no process of its own (cgroups(7), "Thread mode").
    let kind = if chain.len() > 1 { write::read(&group.dir.join("cgroup.type"))? } else { String::new() };
    if kind == "threaded" || kind == "domain invalid" {
        return Err(Error::new(format!("cannot use cgroup {}: its type is {kind}", group.dir.display()))
            .config("linux.cgroupsPath")
            .hint("processes run in a group above it; name a cgroupsPath below an empty group"));
    }
    Ok(())
}

fn refused(file: &Path, controller: &str, write: &Write, err: io::Error) -> Error {
    let hint = match err.raw_os_error() {
        Some(libc::EBUSY) => "processes run in the group above, and a group with processes cannot share controllers out",
        _ => "the controller is not delegated to you",
    };
    let op = format!("cannot set {}: write {controller:?} to {}", write.field, file.display());
    Error::os(op, err).config(&write.field).code("E-DELEGATE").hint(hint)
}

/// v2: opens the way in, and puts the device program on a group that has the controllers.
fn open(plan: &CgroupsPlan, group: &Group, join: &mut Join) -> Result<()> {
    let options = OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).clone();
    let dir = options.open(&group.dir).at(|| format!("open {}", group.dir.display()))?;
    if let Some(code) = &plan.program {
        join.devices_skipped = !ebpf::attach(dir.as_fd(), code, plan.rootless)?;
    }
    join.v2 = Some(dir.into());
    plan.owner.map_or(Ok(()), |uid| owner::give(&group.dir, uid))
}
