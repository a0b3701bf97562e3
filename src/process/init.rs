//! The container's first process, from the clone to the program.
//!
//! Two flat lists: what is done before `create` may report success, and what is left for `start`. Each line says why it
//! stands where it stands. This process makes system calls and little else: it prints nothing, decides nothing, and tells
//! the parent what went wrong. Everything it needs was allocated before the clone.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use super::foreground::Foreground;
use super::gate;
use super::handshake::{Channel, Msg};
use super::laps::Laps;
use super::stdio::{self, Stdio, StdioPlan};
use crate::concepts::{
    capabilities, cgroups, devices, hooks, identity, layers, limits, lsm, masks, mounts, namespaces, network, rootfs, scheduling,
    seccomp, sysctl, users,
};
use crate::error::{At, Error, Result};
use crate::plan::{Plan, ProcessPlan, Step};
use crate::sys::entry::NoUmask;
use crate::sys::fd::{close_all, close_copy};
use crate::sys::process::{execve, exit_now, prctl};
use crate::sys::procfs::{ProcFs, Way};
use crate::sys::resolve::Root;

/// What init is born with: the plan, and the handles that the parent made for it.
pub struct Birth<'a> {
    /// The plan.
    pub plan: &'a mut Plan,
    /// Init's end of the handshake.
    pub channel: Channel,
    /// Whether the joiner already joined everything.
    pub joined: bool,
    /// The namespaces to join.
    pub opened: namespaces::Opened,
    /// The groups to enter.
    pub join: cgroups::Join,
    /// The root's tree, if the parent could make it.
    pub tree: Option<OwnedFd>,
    /// The trees to bind.
    pub sources: mounts::Sources,
    /// The nodes to bind.
    pub nodes: devices::Sources,
    /// Stdio.
    pub stdio: &'a Stdio,
    /// Descriptors of the parent alone: its end of the handshake, whose closing must be seen, and the state directory,
    /// whose lock must not outlive the parent.
    pub parent_only: [RawFd; 2],
    /// The gate.
    pub fifo: Option<OwnedFd>,
    /// The stopwatch.
    pub laps: &'a Laps,
}

impl Birth<'_> {
    /// Outside: closes the parent's copies. Most have numbers that follow each other, and are closed together.
    pub fn close(mut self, group: Option<OwnedFd>) {
        let mut copies = std::mem::take(&mut self.join.v1_tasks);
        copies.extend(self.sources.take().into_iter().chain(self.tree.take()).chain(group));
        close_all(copies);
    }
}

/// Becomes the program, or tells the parent (after the gate: `start`) why not and ends.
pub fn run(birth: Birth) -> ! {
    birth.parent_only.into_iter().for_each(close_copy);
    let Birth { fifo, laps, .. } = birth;
    let (plan, channel) = (birth.plan, birth.channel);
    let fd = fifo.as_ref().map(AsFd::as_fd);
    let rest =
        Rest { joined: birth.joined, opened: birth.opened, join: birth.join, tree: birth.tree, nodes: birth.nodes, fifo: fd };
    let made = prepare(plan, &channel, rest, birth.sources, birth.stdio, laps);
    let (gate, program, state) =
        made.and_then(|(gate, program)| Ok((gate, program, ready(&channel)?))).unwrap_or_else(|e| fail(&channel, e));
    let Some(gate) = gate else {
        let Err(error) = launch(plan, &channel, &program, &state, laps);
        fail(&channel, error)
    };
    // From here `create` is gone; `start` listens at the gate.
    let passed = laps.step(Step::Gate, || gate::wait(&gate)).unwrap_or_else(|_| exit_now(1));
    // A directory of a procfs without masks: closed, not merely marked, before the image's program is looked up.
    drop(gate);
    let Err(error) = launch(plan, &channel, &program, &state, laps);
    passed.fail(&error);
    exit_now(1)
}

/// The handles that [`prepare`] uses up.
struct Rest<'a> {
    joined: bool,
    opened: namespaces::Opened,
    join: cgroups::Join,
    tree: Option<OwnedFd>,
    nodes: devices::Sources,
    fifo: Option<BorrowedFd<'a>>,
}

pub(super) fn fail(channel: &Channel, error: Error) -> ! {
    // If even this cannot be said, the parent sees the end of the stream.
    channel.send(&Msg::Failed(error), None).ok();
    exit_now(1)
}

fn ready(channel: &Channel) -> Result<Vec<u8>> {
    channel.send(&Msg::Ready, None)?;
    channel.wait_go()
}

/// Everything up to `created`.
#[allow(clippy::too_many_lines)] // A flat list: one line a step.
fn prepare(
    plan: &mut Plan,
    channel: &Channel,
    rest: Rest,
    sources: mounts::Sources,
    stdio: &Stdio,
    laps: &Laps,
) -> Result<(Option<Way>, CString)> {
    let step = |s, act: &mut dyn FnMut() -> Result<()>| laps.step(s, act);
    // Signals that rrun blocked or ignored are not the container's affair.
    Foreground::reset_in_child(plan.process.ignored_signals)?;
    // First of all: nothing untrusted is read, and no memory is spent, outside the limits.
    step(Step::EnterCgroups, &mut || cgroups::apply(&rest.join))?;
    if !rest.joined {
        step(Step::Limits, &mut || limits::apply_early(&plan.process.limits))?;
    }
    step(Step::Time, &mut || namespaces::make_time(&plan.namespaces))?;
    // Only the outside may write id maps and time offsets, or move a scope; until then this process is nobody.
    if plan.needs_parent() {
        channel.send(&Msg::NeedIdMaps, None)?;
        channel.wait_go()?;
    }
    if !rest.joined {
        step(Step::Join, &mut || namespaces::join_all(&plan.namespaces, &rest.opened).map(drop))?;
    }
    if plan.users.is_some() || plan.namespaces.user.is_some() {
        step(Step::Users, &mut users::apply)?;
    }
    drop(rest.opened);
    drop(rest.join);
    // A user namespace made this process dumpable anew; a neighbour in a joined PID namespace must not trace it
    // (CVE-2016-9962). execve makes the program dumpable again.
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0).at(|| "prctl PR_SET_DUMPABLE")?;
    // After the move into the groups: a cgroup namespace's root is the group of the process that makes it.
    step(Step::CgroupNamespace, &mut || namespaces::apply_cgroup(&plan.namespaces))?;
    // The caller's terminal must not stay the controlling one (TIOCSTI types into it).
    step(Step::Session, &mut || nix::unistd::setsid().map(drop).at(|| "setsid"))?;
    let proc = open_procfs(plan.needs_procfs(), laps)?;
    step(Step::Keyring, &mut || lsm::apply_keyring(&plan.process.lsm, &proc))?;
    step(Step::EnterTime, &mut || namespaces::apply_time(&plan.namespaces, &proc))?;
    let mut tree = match (rest.tree, &plan.layers) {
        (None, Some(layers)) => Some(laps.step(Step::Layers, || layers::apply(layers))?),
        (tree, _) => tree,
    };
    let root = laps.step(Step::AttachRoot, || rootfs::attach(&plan.rootfs, tree.take()))?;
    // Mount points and nodes have the modes that rrun gives them.
    let umask = NoUmask::new();
    let mut mounted = laps.step(Step::Mounts, || mounts::apply(&plan.mounts, sources, &root))?;
    let (dev, mut nodes) = (mounted.dev.as_ref(), Some(rest.nodes));
    step(Step::Devices, &mut || devices::apply(&plan.devices, nodes.take().unwrap_or_default(), dev, &root))?;
    // The terminal comes from the container's own devpts, while its mount is at hand.
    step(Step::Terminal, &mut || take_stdio(plan, channel, stdio, &mounted, &root))?;
    drop(umask);
    // Namespaces and mounts are there, the host's tree is still visible: what the specification promises these hooks.
    if plan.stops_for_hooks() {
        channel.send(&Msg::Namespaces, None)?;
        let state = channel.wait_go()?;
        step(Step::ContainerHooks, &mut || hooks::run(&plan.hooks, hooks::Kind::CreateContainer, &state))?;
    }
    step(Step::EnterRoot, &mut || rootfs::enter(&plan.rootfs, &root))?;
    step(Step::Masks, &mut || masks::apply(&plan.masks, &root, &mut mounted.spent))?;
    step(Step::Names, &mut || namespaces::apply_names(&plan.namespaces))?;
    // Through the private procfs: /proc/sys of the container may be write-protected or a fake.
    step(Step::Sysctl, &mut || sysctl::apply(&plan.sysctl, &proc))?;
    if plan.brings_loopback_up() {
        step(Step::Network, &mut || network::apply(&plan.network))?;
    }
    // Last of the file system: mount points had to be made before.
    step(Step::FinishRoot, &mut || rootfs::finish(&plan.rootfs, root.as_fd()))?;
    // Handles of the tree are closed, not merely marked; and a low RLIMIT_NOFILE counts what is open.
    mounted.close(root);
    let gate = rest.fifo.map(|fifo| gate::approach(fifo, &proc)).transpose()?;
    let program = take_attributes(&mut plan.process, &plan.stdio, channel, &proc, laps)?;
    Ok((gate, program))
}

/// The private procfs of a process that needs one.
pub(super) fn open_procfs(needed: bool, laps: &Laps) -> Result<ProcFs> {
    laps.step(Step::Procfs, || match needed {
        true => ProcFs::open().at(|| "open a private procfs").map_err(|e| e.code("E-PROC")),
        false => Ok(ProcFs::none()),
    })
}

/// The attributes of the process, and its program: what `create` and `exec` share.
pub(super) fn take_attributes(
    process: &mut ProcessPlan,
    stdio: &StdioPlan,
    channel: &Channel,
    proc: &ProcFs,
    laps: &Laps,
) -> Result<CString> {
    let step = |s, act: &mut dyn FnMut() -> Result<()>| laps.step(s, act);
    // Before a file of the image is read. Not earlier: the limits are the program's, and may leave too little for set-up.
    step(Step::Limits, &mut || limits::apply(&process.limits, proc))?;
    step(Step::Scheduling, &mut || scheduling::apply(&process.scheduling))?;
    let root = identity::container_root()?;
    identity::finish_environment(&mut process.identity, &root)?;
    step(Step::Descriptors, &mut || stdio::close_rest(stdio))?;
    // Before no_new_privs, which may forbid the transition.
    step(Step::Labels, &mut || lsm::apply(&process.lsm, proc))?;
    // As root, who may make it; a filter, if one comes now, need not know the calls for it.
    let entered = laps.step(Step::Directory, || identity::enter_cwd(&process.identity, &root)).is_ok();
    drop(root);
    if !process.seccomp_early() {
        return become_whom(process, entered, channel, proc, laps);
    }
    step(Step::SeccompEarly, &mut || filter(process, channel))?;
    become_whom(process, entered, channel, proc, laps).map_err(|e| process.blame(e))
}

/// The user with the capabilities, and the program: what a filter that comes early must let through.
fn become_whom(process: &ProcessPlan, entered: bool, channel: &Channel, proc: &ProcFs, laps: &Laps) -> Result<CString> {
    let step = |s, act: &mut dyn FnMut() -> Result<()>| laps.step(s, act);
    step(Step::Bounding, &mut || capabilities::apply_bounding(&process.capabilities))?;
    step(Step::User, &mut || become_user(&process.identity, proc, entered))?;
    step(Step::Capabilities, &mut || capabilities::apply(&process.capabilities))?;
    // As the final user, so that a file this user may not execute is an error of create, not of start.
    let program =
        laps.step(Step::Program, || identity::find_program(&process.identity, !process.seccomp_early() || process.may_look()))?;
    // A listener can only be handed over while the parent is there.
    if !process.seccomp_early() && process.has_listener() {
        step(Step::SeccompLate, &mut || filter(process, channel))?;
    }
    Ok(program)
}

/// From the open gate to the program.
fn launch(plan: &Plan, channel: &Channel, program: &CString, state: &[u8], laps: &Laps) -> Result<Infallible> {
    laps.step(Step::StartHooks, || hooks::run(&plan.hooks, hooks::Kind::StartContainer, state))?;
    become_program(&plan.process, channel, program, laps)
}

/// The last two steps.
pub(super) fn become_program(process: &ProcessPlan, channel: &Channel, program: &CString, laps: &Laps) -> Result<Infallible> {
    // As late as possible: whatever rrun still calls after it, the profile would have to allow.
    if !process.seccomp_early() && !process.has_listener() {
        laps.step(Step::SeccompLate, || filter(process, channel))?;
    }
    laps.step(Step::Execve, || {
        let error = execve(program, &process.identity.args, &process.identity.env);
        Err(process.blame(identity::explain_execve(&process.identity, program, error, process.may_look())))
    })
}

fn take_stdio(plan: &Plan, channel: &Channel, stdio: &Stdio, mounted: &mounts::Mounted, root: &Root) -> Result<()> {
    match take_terminal(&plan.stdio, channel, stdio, mounted.pts.as_ref(), root)? {
        // Without a mount namespace it would be bound on the host, and stay.
        Some(_) if !plan.rootfs.has_mounts() => Ok(()),
        Some(terminal) => devices::bind_console(mounted.dev.as_ref().map(AsFd::as_fd), root, terminal.as_fd()),
        None => Ok(()),
    }
}

/// A terminal from the container's own devpts, or the pipes' ends, as stdio. The terminal's inner end is returned.
pub(super) fn take_terminal(
    plan: &StdioPlan,
    channel: &Channel,
    stdio: &Stdio,
    pts: Option<&OwnedFd>,
    root: &Root,
) -> Result<Option<OwnedFd>> {
    if !plan.terminal {
        return stdio::take(plan, stdio, None).map(|()| None);
    }
    let found;
    let pts = match pts {
        Some(pts) => pts,
        None => {
            let opened = root.resolve(Path::new("/dev/pts")).at(|| "open /dev/pts");
            found = opened.map_err(|e| e.hint("a terminal needs a devpts mount on /dev/pts"))?;
            &found
        }
    };
    let (master, slave) = stdio::open_terminal(plan, pts.as_fd())?;
    channel.send(&Msg::Terminal, Some(master.as_fd()))?;
    stdio::take(plan, stdio, Some(slave.as_fd()))?;
    Ok(Some(slave))
}

/// Groups and ids. A working directory that root could not enter (a network file system) the user may: either suffices, and
/// both are verified.
fn become_user(identity: &identity::IdentityPlan, proc: &ProcFs, entered: bool) -> Result<()> {
    identity::apply_user(identity, proc)?;
    if !entered {
        identity::enter_cwd(identity, &identity::container_root()?)?;
    }
    // A change of ids resets the flag to fs.suid_dumpable.
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0).map(drop).at(|| "prctl PR_SET_DUMPABLE")
}

fn filter(process: &ProcessPlan, channel: &Channel) -> Result<()> {
    let Some(profile) = &process.seccomp else { return Ok(()) };
    if let Some(listener) = seccomp::apply(profile)? {
        channel.send(&Msg::SeccompFd, Some(listener.as_fd()))?;
        drop(listener);
        channel.wait_go()?;
    }
    Ok(())
}
