//! The mounts of the bundle: what the container sees below its root (mount(2), mount_namespaces(7), config.md, Mounts).
//!
//! A mount namespace gives the container a tree of its own; what is mounted in it decides what of the host it can reach.
//! The destinations lie in the image, which is hostile: a symbolic link swapped in at the right moment used to lead a
//! mount to the host (CVE-2021-30465), a link in place of /proc a label to the wrong file (CVE-2023-27561). So a mount is an
//! object here: made, given its final attributes, and only then attached to a handle that was resolved inside the root.
//!
//! `options` reads the words of the configuration, `decide` makes the plan; `bind`, `filesystem` and `cgroup` make mounts,
//! `target` finds where they go, `explain` says what went wrong, `record` is for who looks into state.json.

mod bind;
mod cgroup;
mod copy_up;
mod decide;
mod explain;
mod filesystem;
mod options;
mod record;
mod target;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use crate::error::{At, Error, Result};
use crate::sys::fd::{Spent, close_all};
use crate::sys::mount::{Attributes, attach, attach_named, set_attributes};
use crate::sys::resolve::{Kind, Root};

pub use decide::plan;
pub use options::NAMES as OPTIONS;
pub use record::{Record, record};

/// The mounts, in order.
#[derive(Debug, Clone, Default)]
pub struct MountsPlan {
    mounts: Vec<Mount>,
    /// The propagation that copies of the host's mounts get first, all below them included; 0 leaves them peers.
    inherited: u64,
}

/// One mount of the configuration.
#[derive(Debug, Clone)]
struct Mount {
    /// Its place in config.json, `mounts[3]`.
    field: String,
    /// The source as config.json has it.
    source: String,
    /// Absolute, without `.` and `..`.
    destination: PathBuf,
    act: Act,
    /// The destination is not followed if it is a symbolic link.
    no_follow: bool,
    /// Attributes to set when nothing more will be made below it: a read-only tmpfs must first take its mount points.
    late: u64,
}

/// How it is made.
#[derive(Debug, Clone)]
enum Act {
    Bind(bind::Bind),
    New(filesystem::New),
    CgroupV1(cgroup::Hierarchies),
    /// Changes the attributes of the mount that is there; never its superblock, which may be the host's.
    Remount {
        own: Attributes,
        all: Attributes,
        propagations: Vec<(u64, bool)>,
    },
}

/// Copies of the host's mounts, made outside: for each mount of the plan those that it binds. Empty where only the inside
/// may make them: without privilege on the host a mount is copied in the namespace that one owns.
#[derive(Debug, Default)]
pub struct Sources(Vec<Vec<OwnedFd>>);

impl Sources {
    /// All of them, for who closes them together with others.
    pub fn take(&mut self) -> Vec<OwnedFd> {
        self.0.drain(..).flatten().collect()
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        close_all(self.take());
    }
}

/// Handles of mounts that later steps work on.
#[derive(Debug, Default)]
pub struct Mounted {
    /// The mount at /dev.
    pub dev: Option<Root>,
    /// The mount at /dev/pts.
    pub pts: Option<OwnedFd>,
    /// The mount at /dev is a tmpfs that was just made: nothing is in it but what rrun put there.
    fresh_dev: bool,
    /// Handles whose work is done.
    pub spent: Spent,
}

impl Mounted {
    /// Closes them all, and `root`, in few calls.
    pub fn close(mut self, root: Root) {
        self.spent.push(root);
        self.dev.into_iter().for_each(|dev| self.spent.push(dev));
        self.pts.into_iter().for_each(|pts| self.spent.push(pts));
    }

    /// Keeps the handles that later steps want.
    fn keep(&mut self, mount: &Mount, made: OwnedFd, spent: &mut Spent) {
        match mount.destination.to_str() {
            Some("/dev") => {
                self.fresh_dev = matches!(&mount.act, Act::New(new) if new.starts_empty());
                self.dev = Some(Root::new(made));
            }
            Some("/dev/pts") => self.pts = Some(made),
            _ => spent.push(made),
        }
    }
}

/// Outside: copies of all bind sources with their final attributes and id maps, attached nowhere.
pub fn apply_from_parent(plan: &MountsPlan) -> Result<Sources> {
    let copies = plan.mounts.iter().map(|mount| match mount.copies(plan.inherited) {
        // Without privilege on the host: the inside will copy.
        Err(e) if e.errno() == Some(libc::EPERM) && e.op_text().starts_with("open_tree") => Ok(vec![]),
        copies => copies.map_err(|e| explain::explain(mount, e)),
    });
    copies.collect::<Result<_>>().map(Sources)
}

/// Inside, without umask: makes each mount and attaches it below the root, in order.
pub fn apply(plan: &MountsPlan, mut sources: Sources, root: &Root) -> Result<Mounted> {
    let (mut mounted, mut spent) = (Mounted::default(), Spent::default());
    let mut late = vec![];
    let mut sources = sources.0.drain(..);
    for mount in &plan.mounts {
        let copies = sources.next().unwrap_or_default();
        let made = mount.make(copies, plan.inherited, root, &mounted, &mut spent).map_err(|e| explain::explain(mount, e))?;
        let Some(made) = made else { continue };
        if mount.late != 0 {
            late.push((mount, made.try_clone().at(|| "duplicate a mount")?));
        }
        mounted.keep(mount, made, &mut spent);
    }
    mounted.spent = spent;
    for (mount, made) in late {
        let done = set_attributes(made.as_fd(), false, &Attributes::setting(mount.late)).at(|| "mount_setattr");
        done.map_err(|e| explain::explain(mount, e))?;
        mounted.spent.push(made);
    }
    Ok(mounted)
}

impl Mount {
    /// The copies of the host's mounts that it needs.
    fn copies(&self, inherited: u64) -> Result<Vec<OwnedFd>> {
        match &self.act {
            Act::Bind(bind) => bind.copy(inherited).map(|copy| vec![copy]),
            Act::CgroupV1(hierarchies) => hierarchies.copies(inherited),
            Act::New(_) | Act::Remount { .. } => Ok(vec![]),
        }
    }

    /// Makes and attaches it; returns its handle, if there is one mount that later steps may want.
    fn make(
        &self,
        mut copies: Vec<OwnedFd>,
        inherited: u64,
        root: &Root,
        mounted: &Mounted,
        spent: &mut Spent,
    ) -> Result<Option<OwnedFd>> {
        if copies.is_empty() {
            copies = self.copies(inherited)?;
        }
        match &self.act {
            Act::Bind(bind) => bind.attach(copies.swap_remove(0), self, root, spent),
            Act::New(new) => {
                if !new.looks_at_covered()
                    && let Some((dev, name)) = self.made_in_fresh_dev(mounted)
                {
                    let made = new.mount(dev, spent)?;
                    attach_named(made.as_fd(), dev, &name).at(|| "move_mount")?;
                    return Ok(Some(made));
                }
                let target = self.target(root, || Ok(Kind::Directory))?;
                let made = new.mount(target.as_fd(), spent)?;
                attach(made.as_fd(), target.as_fd()).at(|| "move_mount")?;
                spent.push(target);
                Ok(Some(made))
            }
            Act::CgroupV1(hierarchies) => {
                let target = self.target(root, || Ok(Kind::Directory))?;
                hierarchies.attach(copies, target, spent).map(|()| None)
            }
            Act::Remount { own, all, propagations } => {
                let target = root.resolve(&self.destination).at(|| format!("openat2 {}", self.destination.display()))?;
                bind::change(target.as_fd(), own, all, propagations).map(|()| None)
            }
        }
    }
}

impl MountsPlan {
    /// The lines of `rrun plan` for what is copied outside.
    pub fn describe_sources(&self) -> Vec<String> {
        let copies = self.mounts.iter().filter_map(|m| match &m.act {
            Act::Bind(bind) => Some(bind.describe()),
            _ => None,
        });
        copies.collect()
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let lines = self.mounts.iter().map(|m| match &m.act {
            Act::Bind(bind) => format!("attach {} at {}", bind.path(), m.destination.display()),
            Act::New(new) => format!("mount {} at {}", new.describe(), m.destination.display()),
            Act::CgroupV1(hierarchies) => format!("mount {} at {}", hierarchies.describe(), m.destination.display()),
            Act::Remount { .. } => format!("change the mount at {}", m.destination.display()),
        });
        lines.collect()
    }
}

/// A refusal of the configuration.
fn invalid(field: &str, destination: &std::path::Path, why: &str) -> Error {
    Error::new(format!("invalid mount at {destination:?}: {why}")).config(field).code("E-MOUNT")
}
