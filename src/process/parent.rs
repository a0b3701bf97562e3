//! The outside of the split: makes what only the outside can make, clones init, answers it, and undoes everything when any
//! step fails.
//!
//! What a failed start leaves behind (a process, a cgroup, a directory) is what the next start trips over, or what an
//! attacker collects; so every thing made is known to [`Undo`] before the next is begun, and to the state directory before
//! it is made.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::announce::Announce;
use super::end::{end_child, end_unknown, remove_layers};
use super::foreground::Foreground;
use super::handshake::{Channel, Msg};
use super::init::{self, Birth};
use super::laps::Laps;
use super::notify::{self, Notify};
use super::stdio::{self, Stdio};
use super::{gate, joiner};
use crate::concepts::{
    cgroups, devices, hooks, layers, limits, mounts, namespaces, network, rdt, rootfs, seccomp, sysctl, users,
};
use crate::error::{At, Error, Result};
use crate::host::obstacles::refused_clone;
use crate::plan::{Plan, Step};
use crate::state::{State, StateDir, Status, start_time};
use crate::sys::process::{Cloned, clone3, prctl, setns};

/// A created container, its init waiting.
#[derive(Debug)]
pub struct Created {
    /// init's pid on the host.
    pub pid: i32,
    /// A handle of init.
    pub pidfd: OwnedFd,
    /// The state as saved.
    pub state: State,
    /// The master of its terminal, if it has one that nobody else got.
    pub master: Option<OwnedFd>,
    /// Our ends of its stdio.
    pub stdio: Stdio,
    /// What the caller should be warned about.
    pub note: Option<String>,
    notify: Option<Notify>,
    channel: Channel,
    undo: Undo,
}

/// Takes back, in reverse, what was made so far, unless told that it shall stay.
#[derive(Debug)]
struct Undo {
    dir: Option<StateDir>,
    cgroups: cgroups::Record,
    rdt: Option<rdt::Record>,
    layers: Option<(layers::Record, Option<users::Maps>)>,
    init: Option<OwnedFd>,
    pid_file: Option<PathBuf>,
}

impl Undo {
    fn keep(&mut self) -> Option<StateDir> {
        self.init = None;
        self.layers = None;
        self.pid_file = None;
        self.dir.take()
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else { return };
        // Each is tried whatever became of the others; the error that led here is the one to report.
        if self.init.take().is_some_and(|init| !end_child(init.as_fd())) {
            // What is known of it stays, for `delete --force`.
            return;
        }
        cgroups::kill_all(&self.cgroups).ok();
        cgroups::remove(&self.cgroups).ok();
        self.rdt.iter().for_each(|class| drop(rdt::remove(class)));
        if let Some((layers, maps)) = &self.layers {
            remove_layers(layers, maps.as_ref()).ok();
        }
        if let Some(path) = &self.pid_file {
            std::fs::remove_file(path).ok();
        }
        dir.remove().ok();
    }
}

/// What the parent made before the clone, for init to use.
struct Made {
    join: cgroups::Join,
    tree: Option<OwnedFd>,
    sources: mounts::Sources,
    nodes: devices::Sources,
    fifo: Option<OwnedFd>,
    opened: namespaces::Opened,
}

/// Carries the plan out up to `created`. `dir` is the claimed state directory.
pub fn create(plan: &mut Plan, mut state: State, dir: StateDir, tell: &Announce, laps: &Laps) -> Result<Created> {
    let layers = state.layers.clone().map(|layers| (layers, state.id_maps.clone()));
    let mut undo = Undo { dir: Some(dir), cgroups: cgroups::Record::default(), rdt: None, layers, init: None, pid_file: None };
    let save = |undo: &Undo, state: &State| undo.dir.as_ref().map_or(Ok(()), |d| d.save(state));
    // What will be made is written down first: after a kill at any instant `delete --force` finds it.
    laps.step(Step::State, || save(&undo, &state))?;
    let notify = listen(plan)?;
    let mut stdio = Stdio::default();
    if let Some(class) = &plan.rdt {
        laps.step(Step::Cgroups, || rdt::apply_from_parent(class, undo.rdt.insert(rdt::Record::default())))?;
        state.rdt = undo.rdt.clone();
    }
    let join = laps
        .step(Step::Cgroups, || {
            let join = cgroups::apply_from_parent(&plan.cgroups)?;
            state.cgroups.learn(&join);
            undo.cgroups = state.cgroups.clone();
            Ok(join)
        })
        .map_err(|e| e.context("unable to start container process: unable to apply cgroup configuration"))?;
    if state.cgroups.shared {
        // Written down at once: a `delete --force` from here on must not take the others in the groups for ours.
        save(&undo, &state)?;
    }
    let ((channel, inner), mut made) = make(plan, join, &mut stdio, laps)?;
    let note = made.join.note.take();
    let parent_only = [channel.number(), undo.dir.as_ref().map_or(-1, |d| d.number())];
    let (pidfd, pid) = split(plan, inner, made, &stdio, laps, &channel, parent_only)?;
    undo.init = Some(pidfd.try_clone().at(|| "duplicate a pidfd").inspect_err(|_| end_unknown(pidfd.as_fd()))?);
    (state.pid, state.start_time) = (pid, start_time(pid).unwrap_or(0));
    state.rdt.iter().try_for_each(|class| rdt::join(class, pid))?;
    stdio::close_inside(&mut stdio);
    // Written while init works, if it can be known by now; seen only when init is ready: nobody may enter a container half made.
    let staged = undo.dir.as_ref().filter(|_| !plan.needs_parent()).map(|dir| dir.stage(&state)).transpose()?.is_some();
    let master = converse(plan, &channel, &mut state, pid, &pidfd, laps)?;
    let master = match master {
        Some(master) if plan.stdio.console_socket.is_some() => {
            stdio::hand_over(&plan.stdio, &stdio, master.as_fd())?;
            None
        }
        master => master,
    };
    laps.step(Step::Created, || {
        let commit = || undo.dir.iter().try_for_each(|dir| dir.commit(&state));
        if staged { commit() } else { save(&undo, &state) }?;
        undo.pid_file = tell.pid_file.clone();
        tell.pid(pid)?;
        tell.pidfd("standard", pidfd.as_fd())
    })?;
    tell.story(|| plan.story(|_| true));
    // The document is for the hooks that init runs.
    let document = if plan.hooks.has(hooks::Kind::StartContainer) { state.oci_json(Status::Created) } else { vec![] };
    channel.send(&Msg::Go(document), None)?;
    Ok(Created { pid, pidfd, state, master, stdio, note, notify, channel, undo })
}

/// The socket by which the container says that it is ready. Of one that waits at the gate only `start` will listen.
fn listen(plan: &Plan) -> Result<Option<Notify>> {
    let Some(address) = &plan.notify else { return Ok(None) };
    notify::make_directory(&plan.state_dir)?;
    if plan.gated { Ok(None) } else { Notify::listen(&plan.state_dir, address) }
}

/// The rest before the clone. Errors of trees read like errors of mounts, wherever they are found.
fn make(plan: &Plan, join: cgroups::Join, stdio: &mut Stdio, laps: &Laps) -> Result<((Channel, Channel), Made)> {
    let inside = |e: Error| e.context("unable to start container process: error during container init");
    let owner = plan.users.as_ref().map_or((0, 0), |u| u.root());
    let overlay = laps
        .step(Step::Layers, || plan.layers.as_ref().map_or(Ok(None), |l| layers::apply_from_parent(l, owner)))
        .map_err(inside)?;
    let tree = laps.step(Step::RootTree, || rootfs::apply_from_parent(&plan.rootfs, overlay)).map_err(inside)?;
    let sources = laps.step(Step::Sources, || mounts::apply_from_parent(&plan.mounts)).map_err(inside)?;
    let nodes = devices::apply_from_parent(&plan.devices).map_err(inside)?;
    let opened = namespaces::apply_from_parent(&plan.namespaces).map_err(inside)?;
    if let Some(joined) = namespaces::joined(&plan.namespaces, &opened, "network") {
        let own = File::open("/proc/self/ns/net").at(|| "open /proc/self/ns/net")?;
        sysctl::check_from_parent(&plan.sysctl, joined, own.as_fd())?;
    }
    let fifo = laps.step(Step::Stdio, || {
        *stdio = stdio::prepare(&plan.stdio)?;
        plan.gated.then(|| gate::make(&plan.state_dir)).transpose()
    })?;
    Ok((Channel::pair()?, Made { join, tree, sources, nodes, fifo, opened }))
}

/// The clone: returns init's pidfd and pid.
fn split(
    plan: &mut Plan,
    inner: Channel,
    mut made: Made,
    stdio: &Stdio,
    laps: &Laps,
    outer: &Channel,
    parent_only: [RawFd; 2],
) -> Result<(OwnedFd, i32)> {
    // Init must be out of reach of a neighbour in a joined PID namespace from its first moment (CVE-2016-9962). Without
    // privilege the parent could not write the maps of a process it may not look into; there init does it itself.
    if nix::unistd::geteuid().is_root() || !plan.writes_of_init() {
        prctl(libc::PR_SET_DUMPABLE, 0, 0, 0).at(|| "prctl PR_SET_DUMPABLE")?;
    }
    let (flags, mut needs_joiner) = (plan.namespaces.clone_flags, plan.namespaces.needs_joiner());
    // The joiner does it itself: a user namespace that it joins before may be what gives the right to.
    let mut own_pid_namespace = None;
    if let (Some(join), Some(file), false) = (&plan.namespaces.pid, &made.opened.pid, needs_joiner) {
        let own = File::open("/proc/self/ns/pid").at(|| "open /proc/self/ns/pid")?;
        if joiner::may_return(&own)? {
            namespaces::join(join, file)?;
            (made.opened.pid, own_pid_namespace) = (None, Some(own));
        } else {
            needs_joiner = true;
        }
    }
    let group = made.join.v2.take();
    let cgroup = group.as_ref().map(|fd| fd.as_fd());
    let birth = Birth {
        plan,
        channel: inner,
        joined: needs_joiner,
        opened: made.opened,
        join: made.join,
        tree: made.tree,
        sources: made.sources,
        nodes: made.nodes,
        fifo: made.fifo,
        parent_only,
        stdio,
        laps,
    };
    let cloned = laps.step(Step::Clone, || {
        let first = if needs_joiner { 0 } else { flags };
        let cloned = clone3(first, if needs_joiner { None } else { cgroup });
        cloned.map_err(|e| refused_clone("clone3 with new namespaces", e, flags))
    })?;
    let (pid, pidfd) = match cloned {
        Cloned::Child if needs_joiner => joiner::run(birth, flags, group),
        Cloned::Child => {
            drop(group);
            init::run(birth)
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    birth.close(group);
    if let Some(own) = own_pid_namespace {
        // Hooks must run in rrun's own PID namespace again.
        let returned = setns(own.as_fd(), libc::CLONE_NEWPID as u64).at(|| "return to the own PID namespace");
        returned.inspect_err(|_| end_unknown(pidfd.as_fd()))?;
    }
    if needs_joiner { joiner::take_over(outer, pidfd) } else { Ok((pidfd, pid)) }
}

/// Answers init until it is ready; returns the master of its terminal.
fn converse(
    plan: &Plan,
    channel: &Channel,
    state: &mut State,
    pid: i32,
    pidfd: &OwnedFd,
    laps: &Laps,
) -> Result<Option<OwnedFd>> {
    let wrap = |e: Error| e.context("unable to start container process: error during container init");
    let mut master = None;
    loop {
        match channel.receive_while(|| not_frozen(&state.cgroups)).map_err(wrap)? {
            Some((Msg::NeedIdMaps, _)) => {
                if let Some(users) = &plan.users {
                    users::apply_from_parent(users, pid).map_err(wrap)?;
                }
                namespaces::apply_time_from_parent(&plan.namespaces, pid).map_err(wrap)?;
                laps.step(Step::Cgroups, || cgroups::adopt(&plan.cgroups, pid, &mut state.cgroups)).map_err(wrap)?;
                channel.answer(vec![])?;
            }
            Some((Msg::Terminal, fd)) => master = fd,
            Some((Msg::Namespaces, _)) => {
                let creating = state.oci_json(Status::Creating);
                laps.step(Step::RuntimeHooks, || runtime_hooks(plan, pid, &creating))
                    .map_err(|e| e.context("unable to start container process"))?;
                channel.answer(creating)?;
            }
            Some((Msg::SeccompFd, Some(listener))) => {
                pass_listener(plan, state, pid, &listener).map_err(wrap)?;
                drop(listener);
                channel.answer(vec![])?;
            }
            Some((Msg::Ready, _)) => {
                limits::apply_from_parent(&plan.process.limits, pid).map_err(wrap)?;
                return Ok(master);
            }
            Some((Msg::Failed(e), _)) => return Err(wrap(of_little_memory(plan, e))),
            Some(_) => return Err(Error::new("the handshake was disturbed")),
            None => return Err(wrap(died(plan, pidfd))),
        }
    }
}

/// Asked while init is silent: in a group that is frozen, itself or from above, it will be for ever.
fn not_frozen(groups: &cgroups::Record) -> Result<()> {
    match cgroups::freezer(groups) {
        Ok(cgroups::Freezer::Frozen) => {
            Err(Error::new("container init is frozen: its cgroup, or one above it, is").hint("thaw it, then start again"))
        }
        _ => Ok(()),
    }
}

fn runtime_hooks(plan: &Plan, pid: i32, creating: &[u8]) -> Result<()> {
    if plan.network.moves_devices() {
        let path = format!("/proc/{pid}/ns/net");
        let netns = File::open(&path).at(|| format!("open {path}"))?;
        network::apply_from_parent(&plan.network, netns.as_fd())?;
    }
    hooks::run(&plan.hooks, hooks::Kind::Prestart, creating)?;
    hooks::run(&plan.hooks, hooks::Kind::CreateRuntime, creating)
}

fn pass_listener(plan: &Plan, state: &State, pid: i32, listener: &OwnedFd) -> Result<()> {
    match plan.process.seccomp.as_ref().and_then(|s| s.listener()) {
        Some((path, metadata)) => {
            seccomp::send_listener(path, metadata, &state.oci_json(Status::Creating), pid, listener.as_fd())
        }
        None => Err(Error::new("a seccomp listener without listenerPath")),
    }
}

/// A system call of init was refused memory.
fn of_little_memory(plan: &Plan, error: Error) -> Error {
    match plan.cgroups.memory_limit() {
        Some(limit) if error.errno() == Some(libc::ENOMEM) => {
            error.code("E-MEMLOW").config("linux.resources.memory.limit").hint(cgroups::too_little(limit))
        }
        _ => error,
    }
}

/// Init ended without a word: the kernel killed it.
fn died(plan: &Plan, pidfd: &OwnedFd) -> Error {
    let how = match waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED) {
        Ok(WaitStatus::Signaled(_, signal, _)) => format!("container init was killed by {signal}"),
        Ok(WaitStatus::Exited(_, status)) => format!("container init ended with status {status}"),
        _ => "container init is gone".to_owned(),
    };
    let error = plan.process.blame_death(Error::new(how));
    match plan.cgroups.memory_limit() {
        Some(limit) if cgroups::oom_kills(&plan.cgroups.record()) > 0 => {
            error.code("E-MEMLOW").config("linux.resources.memory.limit").hint(cgroups::too_little(limit))
        }
        _ => error,
    }
}

impl Created {
    /// Leaves the container to a later `start`.
    pub fn leave(mut self) {
        drop(self.undo.keep());
    }

    /// `run`: waits until init has become the program, then runs the poststart hooks. On failure everything is undone.
    pub fn launch(mut self, plan: &Plan) -> Result<Running> {
        match self.channel.receive_while(|| not_frozen(&self.state.cgroups))? {
            None => {}
            Some((Msg::Failed(e), _)) => return Err(e.context("unable to start container process")),
            Some(_) => return Err(Error::new("the handshake was disturbed")),
        }
        hooks::run(&plan.hooks, hooks::Kind::Poststart, &self.state.oci_json(Status::Running))?;
        let dir = self.undo.keep();
        Ok(Running { pid: self.pid, pidfd: self.pidfd, master: self.master, stdio: self.stdio, notify: self.notify, dir })
    }
}

/// A container whose program runs.
#[derive(Debug)]
pub struct Running {
    /// init's pid on the host.
    pub pid: i32,
    /// A handle of init.
    pub pidfd: OwnedFd,
    master: Option<OwnedFd>,
    stdio: Stdio,
    notify: Option<Notify>,
    dir: Option<StateDir>,
}

impl Running {
    /// `run --detach`: returns when the container has said that it is ready, if a service manager waits for that. The
    /// state is free for other commands meanwhile.
    pub fn leave(self) -> Result<()> {
        drop(self.dir);
        self.notify.map_or(Ok(()), |notify| notify.wait(self.pid, self.pidfd.as_fd()))
    }

    /// Relays and forwards until the program ends; its status, and the state directory to delete, also if there is no status.
    pub fn wait(self, plan: &Plan, foreground: Foreground) -> (Result<i32>, Option<StateDir>) {
        let (mut dir, foreground) = (self.dir, foreground.notify(self.notify));
        // The container may live for years; `start` and `delete` must not wait for that.
        dir.iter_mut().for_each(StateDir::release);
        (foreground.wait(&plan.stdio, self.stdio, self.master, self.pid, self.pidfd.as_fd()), dir)
    }
}
