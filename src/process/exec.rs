//! `exec`: one more process in a running container. The same handshake with fewer rows, one clone (two without privilege).
//!
//! The container is hostile: its processes may watch for the newcomer, and its files may lie. So the process is out of their
//! reach from its first moment (not dumpable), holds no handle of the host, and looks at the image only after it is inside.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::announce::Announce;
use super::foreground::Foreground;
use super::handshake::{Channel, Msg};
use super::init::{become_program, fail, open_procfs, take_attributes, take_terminal};
use super::joiner;
use super::laps::Laps;
use super::stdio::{self, Stdio};
use crate::concepts::{cgroups, limits, lsm, rdt, rootfs, scheduling, seccomp, users};
use crate::error::{At, Error, Result};
use crate::plan::Step;
use crate::plan::exec::ExecPlan;
use crate::state::{State, Status};
use crate::sys::fd::close_copy;
use crate::sys::process::{Cloned, clone3, pidfd_signal, prctl, setns};
use crate::sys::resolve::Root;

/// A process that runs in the container.
#[derive(Debug)]
pub struct Executed {
    /// Its pid on the host.
    pub pid: i32,
    /// A handle of it.
    pub pidfd: OwnedFd,
    master: Option<OwnedFd>,
    stdio: Stdio,
}

/// Kills the newcomer unless it became the program.
struct Undo(Option<OwnedFd>);

impl Undo {
    /// Its handle.
    fn pidfd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("held until the end").as_fd()
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.0 {
            pidfd_signal(pidfd.as_fd(), libc::SIGKILL).ok();
        }
    }
}

/// Outside: clones the process into the groups, answers it, returns when it has become the program. `init` is the
/// container's first process.
pub fn exec(
    plan: &mut ExecPlan,
    state: &State,
    init: &OwnedFd,
    mut join: cgroups::Join,
    tell: &Announce,
    laps: &Laps,
) -> Result<Executed> {
    let mut stdio = stdio::prepare(&plan.stdio)?;
    let (channel, inner) = Channel::pair()?;
    let root = root_to_enter(plan, state.pid, init)?;
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0).at(|| "prctl PR_SET_DUMPABLE")?;
    // setns of a PID namespace moves only children: the newcomer is born inside.
    let own = File::open("/proc/self/ns/pid").at(|| "open /proc/self/ns/pid")?;
    let [pid_flag, user_flag] = [libc::CLONE_NEWPID, libc::CLONE_NEWUSER].map(|flag| plan.namespaces & flag as u64);
    let stuck = state.rootless && pid_flag != 0 && !joiner::may_return(&own)?;
    let by_joiner = match if stuck { Ok(()) } else { join_pid(init, pid_flag) } {
        Err(e) if e.errno() == Some(libc::EPERM) && user_flag != 0 => true,
        joined => joined.map(|()| stuck)?,
    };
    if let Some(initial) = &plan.affinity.initial {
        // The newcomer is born with it, and keeps it until it is in the container's groups.
        scheduling::apply_affinity(initial, 0)?;
    }
    let asks = needs_answer(plan, state, tell);
    let group = join.v2.take();
    let cloned = laps.step(Step::Clone, || {
        let cgroup = group.as_ref().filter(|_| !by_joiner).map(|g| g.as_fd());
        clone3(0, cgroup).at(|| "clone3 into the container")
    })?;
    let (pid, pidfd) = match cloned {
        Cloned::Child => {
            [channel.number(), own.as_raw_fd()].into_iter().for_each(close_copy);
            let mut entered = pid_flag;
            if by_joiner {
                entered |= user_flag;
                joiner::between(&inner, 0, group, || {
                    limits::apply_early(&plan.process.limits)?;
                    join_user(init, entered)
                });
            } else {
                drop(group);
            }
            inside(plan, inner, Way { init, join, entered, root }, &stdio, asks, laps)
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((inner, join, group, root));
    let (pidfd, pid) = if by_joiner { joiner::take_over(&channel, pidfd)? } else { (pidfd, pid) };
    let mut undo = Undo(Some(pidfd));
    if pid_flag != 0 && !by_joiner {
        setns(own.as_fd(), pid_flag).at(|| "return to the own PID namespace")?;
    }
    state.rdt.iter().try_for_each(|class| rdt::join(class, pid))?;
    stdio::close_inside(&mut stdio);
    let master = hand_over(plan, &stdio, converse(plan, &channel, state, pid)?)?;
    // While the program can still be kept from running: a socket that is not there is an error.
    tell.pidfd("setns", undo.pidfd())?;
    tell.story(|| plan.process.story_of_exec(plan.namespaces.count_ones(), state.pid));
    if asks {
        channel.send(&Msg::Go(vec![]), None)?;
    }
    match channel.receive()? {
        None => {}
        Some((Msg::Failed(e), _)) => return Err(e.context("unable to start container process")),
        Some(_) => return Err(Error::new("the handshake was disturbed")),
    }
    // Only now: an engine knows a failed exec by the absence of its pid file.
    tell.pid(pid)?;
    let pidfd = undo.0.take().expect("held until here");
    Ok(Executed { pid, pidfd, master, stdio })
}

/// A container without a mount namespace of its own has a root only by chroot(2): its newcomers must go there too, or they
/// would see the host's whole tree. `None` where the mount namespace brings the root along.
fn root_to_enter(plan: &ExecPlan, pid: i32, init: &OwnedFd) -> Result<Option<OwnedFd>> {
    if plan.namespaces & libc::CLONE_NEWNS as u64 != 0 {
        return Ok(None);
    }
    let path = format!("/proc/{pid}/root");
    let root = crate::host::host_directory(path.as_ref())?;
    // Asked after opening: init lives, so the number was still its own.
    pidfd_signal(init.as_fd(), 0).at(|| format!("open {path}"))?;
    Ok(Some(root))
}

/// What a waiting init is in, the kernel opens to root alone: it is not dumpable (ptrace(2)).
fn join_user(init: &OwnedFd, flags: u64) -> Result<()> {
    let joined = setns(init.as_fd(), flags).at(|| "join the container's user namespace");
    joined.map_err(|e| e.hint("a user can enter a container only once it was started: rrun start"))
}

fn join_pid(init: &OwnedFd, flag: u64) -> Result<()> {
    if flag == 0 { Ok(()) } else { setns(init.as_fd(), flag).at(|| "join the container's pid namespace") }
}

fn converse(plan: &ExecPlan, channel: &Channel, state: &State, pid: i32) -> Result<Option<OwnedFd>> {
    let wrap = |e: Error| e.context("unable to start container process");
    let mut master = None;
    loop {
        match channel.receive()? {
            Some((Msg::NeedIdMaps, _)) => {
                cgroups::attach(&state.cgroups, pid).map_err(wrap)?;
                channel.answer(vec![])?;
            }
            Some((Msg::Terminal, fd)) => master = fd,
            Some((Msg::SeccompFd, Some(listener))) => {
                let (path, metadata) = plan
                    .process
                    .seccomp
                    .as_ref()
                    .and_then(|s| s.listener())
                    .ok_or_else(|| Error::new("a seccomp listener without listenerPath"))?;
                seccomp::send_listener(path, metadata, &state.oci_json(Status::Running), pid, listener.as_fd()).map_err(wrap)?;
                channel.answer(vec![])?;
            }
            Some((Msg::Ready, _)) => {
                limits::apply_from_parent(&plan.process.limits, pid).map_err(wrap)?;
                return Ok(master);
            }
            Some((Msg::Failed(e), _)) => return Err(wrap(e)),
            Some(_) => return Err(Error::new("the handshake was disturbed")),
            None => {
                let error = Error::new("the process was killed before it could run; is the container out of memory?");
                return Err(match cgroups::oom_kills(&state.cgroups) {
                    0 => plan.process.blame_death(error),
                    _ => error.code("E-MEMLOW").hint("raise the limit: rrun update --memory BYTES ID"),
                });
            }
        }
    }
}

/// The way into the container.
struct Way<'a> {
    init: &'a OwnedFd,
    join: cgroups::Join,
    /// The kinds of namespaces that the process was born in.
    entered: u64,
    /// See [`root_to_enter`].
    root: Option<OwnedFd>,
}

/// Sends the terminal's master to the console socket, if there is one; else it is kept.
fn hand_over(plan: &ExecPlan, stdio: &Stdio, master: Option<OwnedFd>) -> Result<Option<OwnedFd>> {
    match (&master, &plan.stdio.console_socket) {
        (Some(terminal), Some(_)) => stdio::hand_over(&plan.stdio, stdio, terminal.as_fd()).map(|()| None),
        _ => Ok(master),
    }
}

/// Whether the parent has something to do, or to refuse, when the newcomer is ready but for its program. If not, the newcomer
/// need not wait for it.
fn needs_answer(plan: &ExecPlan, state: &State, tell: &Announce) -> bool {
    state.rdt.is_some()
        || plan.process.limits.is_set_outside()
        || plan.stdio.console_socket.is_some()
        || tell.pidfd_socket.is_some()
        || tell.narrate
}

/// Inside: the short list. `asks`: see [`needs_answer`].
fn inside(plan: &mut ExecPlan, channel: Channel, way: Way, stdio: &Stdio, asks: bool, laps: &Laps) -> ! {
    let made = enter(plan, &channel, way, stdio, laps).and_then(|program| {
        channel.send(&Msg::Ready, None)?;
        if asks { channel.wait_go().map(|_| program) } else { Ok(program) }
    });
    let program = made.unwrap_or_else(|e| fail(&channel, e));
    let Err(error) = become_program(&plan.process, &channel, &program, laps);
    fail(&channel, error)
}

fn enter(plan: &mut ExecPlan, channel: &Channel, way: Way, stdio: &Stdio, laps: &Laps) -> Result<std::ffi::CString> {
    let Way { init, join, entered, root } = way;
    let step = |s, act: &mut dyn FnMut() -> Result<()>| laps.step(s, act);
    Foreground::reset_in_child(plan.process.ignored_signals)?;
    // First of all: everything this process does counts against the container's limits.
    step(Step::EnterCgroups, &mut || cgroups::apply(&join))?;
    if join.by_systemd {
        channel.send(&Msg::NeedIdMaps, None)?;
        channel.wait_go()?;
    }
    drop(join);
    if entered & libc::CLONE_NEWUSER as u64 == 0 {
        step(Step::Limits, &mut || limits::apply_early(&plan.process.limits))?;
    }
    if let Some(last) = &plan.affinity.last {
        // The group's cpuset gave it all CPUs of the group.
        step(Step::Scheduling, &mut || scheduling::apply_affinity(last, 0))?;
    }
    let others = plan.namespaces & !entered;
    if others != 0 {
        // One call for all kinds, by the handle of init: nothing can be exchanged between two of them.
        step(Step::Join, &mut || setns(init.as_fd(), others).at(|| "join the container's namespaces"))?;
    }
    close_copy(init.as_raw_fd());
    if let Some(root) = root {
        step(Step::EnterRoot, &mut || rootfs::enter_handle(root.as_fd()))?;
    }
    if plan.namespaces & libc::CLONE_NEWUSER as u64 != 0 {
        step(Step::Users, &mut users::apply)?;
    }
    prctl(libc::PR_SET_DUMPABLE, 0, 0, 0).at(|| "prctl PR_SET_DUMPABLE")?;
    step(Step::Session, &mut || nix::unistd::setsid().map(drop).at(|| "setsid"))?;
    let proc = open_procfs(plan.process.needs_procfs(), laps)?;
    step(Step::Keyring, &mut || lsm::apply_keyring(&plan.process.lsm, &proc))?;
    step(Step::Terminal, &mut || {
        let root = Root::new(crate::host::host_directory("/".as_ref())?);
        take_terminal(&plan.stdio, channel, stdio, None, &root).map(drop)
    })?;
    take_attributes(&mut plan.process, &plan.stdio, channel, &proc, laps)
}

impl Executed {
    /// Relays and forwards until the process ends; its status, 128+n if signal n ended it.
    pub fn wait(self, plan: &ExecPlan, foreground: Foreground) -> Result<i32> {
        foreground.wait(&plan.stdio, self.stdio, self.master, self.pid, self.pidfd.as_fd())
    }
}
