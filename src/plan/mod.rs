//! `(Spec, Host) → Plan`: everything is decided here, before any process exists.
//!
//! A plan is data. `run` carries it out, `rrun plan` prints it, `--debug` prints it with the time each step took; all three
//! go by the one list of steps below, in this order.

pub mod rules;

use std::path::PathBuf;

use oci_spec::runtime::{Process, Spec};

use crate::bundle::Bundle;
use crate::cli::CreateArgs;
use crate::concepts::{
    capabilities, cgroups, devices, hooks, identity, layers, limits, lsm, masks, mounts, namespaces, network, rootfs, scheduling, seccomp,
    sysctl, users,
};
use crate::error::{Error, Result, Warnings};
use crate::host::Host;
use crate::process::stdio;

/// Which process takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// rrun itself, outside.
    Parent,
    /// The container's first process.
    Init,
}

/// Every step of making a container, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The id is claimed: from here `delete --force` can clean up.
    State,
    /// Groups are made and limited.
    Cgroups,
    /// The layers are stacked.
    Layers,
    /// The root's tree is copied, not yet attached.
    RootTree,
    /// The trees to bind are copied, with their final attributes.
    Sources,
    /// Terminal sockets, pipes, the fifo of the gate.
    Stdio,
    /// The one clone3.
    Clone,
    /// The process moves into its groups, before it reads anything of the image.
    EnterCgroups,
    /// It becomes root of its user namespace.
    Users,
    /// It joins namespaces of others.
    Join,
    /// Its own cgroup namespace.
    CgroupNamespace,
    /// A session of its own.
    Session,
    /// The session keyring.
    Keyring,
    /// The private procfs for everything rrun writes to /proc.
    Procfs,
    /// A time namespace with offsets.
    Time,
    /// oom_score_adj and rlimits, in place before the image is read.
    Limits,
    /// The root's tree is attached.
    AttachRoot,
    /// The bundle's mounts.
    Mounts,
    /// Device nodes and links.
    Devices,
    /// The terminal and /dev/console.
    Terminal,
    /// Outside: network devices move, prestart and createRuntime hooks run.
    RuntimeHooks,
    /// createContainer hooks.
    ContainerHooks,
    /// The root becomes /, the host's tree is gone.
    EnterRoot,
    /// Paths are hidden and write-protected.
    Masks,
    /// Host and domain name.
    Names,
    /// Kernel parameters.
    Sysctl,
    /// The loopback device.
    Network,
    /// The root's own propagation and read-only flag.
    FinishRoot,
    /// Scheduler, I/O priority, memory policy, personality.
    Scheduling,
    /// Descriptors but stdio and the preserved ones will close.
    Descriptors,
    /// The filter, when installing it needs a capability that the next steps drop.
    SeccompEarly,
    /// The bounding set.
    Bounding,
    /// Working directory, groups, ids.
    User,
    /// The other capability sets; no new privileges.
    Capabilities,
    /// Labels for the execve.
    Labels,
    /// The program is looked up as the user who will run it.
    Program,
    /// Outside: state and pid file tell that the container is created.
    Created,
    /// Init waits for `start`.
    Gate,
    /// startContainer hooks.
    StartHooks,
    /// The filter, as late as possible.
    SeccompLate,
    /// execve.
    Execve,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 41] = {
        use Step::*;
        [
            State, Cgroups, Layers, RootTree, Sources, Stdio, Clone, EnterCgroups, Users, Join, CgroupNamespace, Session, Keyring, Procfs,
            Time, Limits, AttachRoot, Mounts, Devices, Terminal, RuntimeHooks, ContainerHooks, EnterRoot, Masks, Names, Sysctl, Network,
            FinishRoot, Scheduling, Descriptors, SeccompEarly, Bounding, User, Capabilities, Labels, Program, Created, Gate, StartHooks,
            SeccompLate, Execve,
        ]
    };

    /// Which process takes it.
    pub fn side(self) -> Side {
        match self {
            Self::State | Self::Cgroups | Self::Layers | Self::RootTree | Self::Sources | Self::Stdio | Self::Clone => Side::Parent,
            Self::RuntimeHooks | Self::Created => Side::Parent,
            _ => Side::Init,
        }
    }
}

/// What is asked for: a bundle, and how the caller wants it run.
#[derive(Debug)]
pub struct Request<'a> {
    /// The bundle.
    pub bundle: &'a Bundle,
    /// The machine.
    pub host: &'a Host,
    /// The container id.
    pub id: &'a str,
    /// rrun's own name in canonical texts.
    pub name: &'a str,
    /// The container's state directory.
    pub state_dir: PathBuf,
    /// Who makes groups.
    pub driver: cgroups::Driver,
    /// The command line.
    pub args: &'a CreateArgs,
    /// Whether rrun starts the container itself (`run`) and needs no gate.
    pub starts: bool,
    /// Whether rrun stays and relays.
    pub foreground: bool,
}

/// Everything that will be done.
pub struct Plan {
    /// The container id.
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Whether `start` opens a gate later.
    pub gated: bool,
    /// Namespaces.
    pub namespaces: namespaces::NamespacesPlan,
    /// Id maps, with a new user namespace.
    pub users: Option<users::UsersPlan>,
    /// Control groups.
    pub cgroups: cgroups::CgroupsPlan,
    /// Layers, with a layered root.
    pub layers: Option<layers::LayersPlan>,
    /// The root.
    pub rootfs: rootfs::RootfsPlan,
    /// Mounts.
    pub mounts: mounts::MountsPlan,
    /// Device nodes.
    pub devices: devices::DevicesPlan,
    /// Masked and read-only paths.
    pub masks: masks::MasksPlan,
    /// Kernel parameters.
    pub sysctl: sysctl::SysctlPlan,
    /// Network devices.
    pub network: network::NetworkPlan,
    /// Hooks.
    pub hooks: hooks::HooksPlan,
    /// Terminal, pipes, descriptors.
    pub stdio: stdio::StdioPlan,
    /// The process.
    pub process: ProcessPlan,
}

/// What `exec` shares with `create`: the attributes of one process.
pub struct ProcessPlan {
    /// Ids, arguments, environment, working directory.
    pub identity: identity::IdentityPlan,
    /// Capability sets.
    pub capabilities: capabilities::CapabilitiesPlan,
    /// no_new_privs.
    pub no_new_privileges: bool,
    /// rlimits and oom_score_adj.
    pub limits: limits::LimitsPlan,
    /// Scheduling attributes.
    pub scheduling: scheduling::SchedulingPlan,
    /// Labels and keyring.
    pub lsm: lsm::LsmPlan,
    /// The filter.
    pub seccomp: Option<seccomp::SeccompPlan>,
}

/// Decides everything, or says what is wrong with the bundle. Makes nothing.
pub fn make(request: &Request, warnings: &mut Warnings) -> Result<Plan> {
    let (spec, host) = (&request.bundle.spec, request.host);
    rules::check(spec, host)?;
    let process = spec.process().as_ref().ok_or_else(|| Error::new("process property must not be empty").config("process"))?;
    let namespaces = namespaces::plan(spec)?;
    let new_user = namespaces.clone_flags & libc::CLONE_NEWUSER as u64 != 0;
    let users = users::plan(spec, host, new_user);
    let cgroups = cgroups::plan(spec, host, request.id, request.driver, warnings)?;
    let cgroup_dirs: Vec<(String, PathBuf)> = match namespaces.has("cgroup") {
        true => vec![],
        false => cgroups.record().paths.into_iter().collect(),
    };
    let layers = layers::plan(spec, host, &request.bundle.path, &request.state_dir, &request.args.layers)?;
    let hooks = hooks::plan(spec, warnings)?;
    let visible = [hooks::Kind::Prestart, hooks::Kind::CreateRuntime, hooks::Kind::CreateContainer].into_iter().any(|k| hooks.has(k));
    let stdio = stdio::plan(process, request.name, request.foreground, request.args.console_socket.clone(), request.args.preserve_fds)?;
    Ok(Plan {
        id: request.id.to_owned(),
        bundle: request.bundle.path.clone(),
        state_dir: request.state_dir.clone(),
        gated: !request.starts,
        users,
        rootfs: rootfs::plan(spec, &request.bundle.path, layers.is_some(), request.args.no_pivot, visible)?,
        mounts: mounts::plan(spec, host, &request.bundle.path, &cgroup_dirs, warnings)?,
        devices: devices::plan(spec, host)?,
        masks: masks::plan(spec)?,
        sysctl: sysctl::plan(spec)?,
        network: network::plan(spec, host)?,
        process: plan_process(request, spec, process, &stdio, warnings)?,
        stdio,
        hooks,
        layers,
        cgroups,
        namespaces,
    })
}

fn plan_process(request: &Request, spec: &Spec, process: &Process, stdio: &stdio::StdioPlan, warnings: &mut Warnings) -> Result<ProcessPlan> {
    let keyring = (!request.args.no_new_keyring).then(|| format!("_ses.{}", request.id));
    let profile = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
    Ok(ProcessPlan {
        identity: identity::plan(process, request.host, stdio::environment(stdio))?,
        capabilities: capabilities::plan(process, request.host, warnings)?,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        limits: limits::plan(process)?,
        scheduling: scheduling::plan(spec)?,
        lsm: lsm::plan(spec, keyring.as_deref())?,
        seccomp: profile.map(|p| seccomp::plan(p, warnings)).transpose()?,
    })
}

impl Plan {
    /// Whether the filter is installed before capabilities are dropped: without no_new_privs that needs CAP_SYS_ADMIN.
    pub fn seccomp_early(&self) -> bool {
        self.process.seccomp.is_some() && !self.process.no_new_privileges
    }

    /// Whether the filter reports calls to somebody who must be handed its descriptor.
    pub fn has_listener(&self) -> bool {
        self.process.seccomp.as_ref().is_some_and(|s| s.listener().is_some())
    }

    /// Whether init must stop while its namespaces are there and its root is not yet entered.
    pub fn stops_for_hooks(&self) -> bool {
        use hooks::Kind;
        self.network.moves_devices() || [Kind::Prestart, Kind::CreateRuntime, Kind::CreateContainer].into_iter().any(|k| self.hooks.has(k))
    }

    /// What a step will do, a line per act; empty when it has nothing to do.
    pub fn describe(&self, step: Step) -> Vec<String> {
        use hooks::Kind;
        let when = |yes: bool, text: &str| if yes { vec![text.to_owned()] } else { vec![] };
        let [attach, enter, finish] = self.rootfs.describe();
        match step {
            Step::State => vec![format!("claim the id {} in {}", self.id, self.state_dir.display())],
            Step::Cgroups => self.cgroups.describe(),
            Step::Layers => self.layers.as_ref().map(|l| l.describe()).unwrap_or_default(),
            Step::RootTree => vec![format!("copy the tree of {}, attached nowhere", self.rootfs.path.display())],
            Step::Sources => self.mounts.describe_sources(),
            Step::Stdio => when(self.gated, "make the gate exec.fifo"),
            Step::Clone => vec![self.describe_clone()],
            Step::EnterCgroups => when(self.cgroups.joins_v1(), "write 0 to the tasks file of each v1 group"),
            Step::Users => self.users.as_ref().map(|u| u.describe()).unwrap_or_default(),
            Step::Join => self.describe_joins(),
            Step::CgroupNamespace => when(self.namespaces.cgroup, "unshare cgroup namespace"),
            Step::Session => vec!["setsid".to_owned()],
            Step::Keyring => self.process.lsm.describe_keyring(),
            Step::Procfs => vec!["open a private procfs".to_owned()],
            Step::Time => self.namespaces.time_offsets.iter().flat_map(|t| t.lines()).map(|l| format!("offset clock {l}")).collect(),
            Step::Limits => self.process.limits.describe(),
            Step::AttachRoot => attach,
            Step::Mounts => self.mounts.describe(),
            Step::Devices => self.devices.describe(),
            Step::Terminal => when(self.stdio.terminal, "open a terminal in the container's devpts, bind it on /dev/console"),
            Step::RuntimeHooks => {
                [self.network.describe(), self.hooks.describe(Kind::Prestart), self.hooks.describe(Kind::CreateRuntime)].concat()
            }
            Step::ContainerHooks => self.hooks.describe(Kind::CreateContainer),
            Step::EnterRoot => enter,
            Step::Masks => self.masks.describe(),
            Step::Names => self.namespaces.describe_names(),
            Step::Sysctl => self.sysctl.describe(),
            Step::Network => when(self.brings_loopback_up(), "bring lo up"),
            Step::FinishRoot => finish,
            Step::Scheduling => self.process.scheduling.describe(),
            Step::Descriptors => vec!["close every descriptor but stdio and the preserved ones on execve".to_owned()],
            Step::SeccompEarly if self.seccomp_early() => self.describe_seccomp(),
            Step::SeccompLate if !self.seccomp_early() => self.describe_seccomp(),
            Step::SeccompEarly | Step::SeccompLate => vec![],
            Step::Bounding | Step::Capabilities => self.describe_capabilities(step),
            Step::User => self.process.identity.describe(),
            Step::Labels => self.process.lsm.describe(),
            Step::Program => vec![format!("look up {}", self.program())],
            Step::Created => vec!["write state.json and the pid file".to_owned()],
            Step::Gate => when(self.gated, "wait at exec.fifo for start"),
            Step::StartHooks => self.hooks.describe(Kind::StartContainer),
            Step::Execve => vec![format!("execve {}", self.program())],
        }
    }

    /// Whether a new network namespace gets its loopback device up.
    pub fn brings_loopback_up(&self) -> bool {
        self.namespaces.clone_flags & libc::CLONE_NEWNET as u64 != 0
    }

    fn program(&self) -> String {
        let args = self.process.identity.args.strings();
        args.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn describe_clone(&self) -> String {
        let cloned: Vec<&str> = self.namespaces.new.iter().copied().filter(|n| self.is_cloned(n)).collect();
        let joiner = if self.namespaces.needs_joiner() { " by a joiner" } else { "" };
        match cloned.is_empty() {
            true => format!("clone3{joiner}, all namespaces shared"),
            false => format!("clone3{joiner} with new namespaces: {}", cloned.join(", ")),
        }
    }

    fn is_cloned(&self, name: &str) -> bool {
        name != "cgroup" && !(name == "time" && self.namespaces.time_offsets.is_some())
    }

    fn describe_joins(&self) -> Vec<String> {
        let n = &self.namespaces;
        n.pid.iter().chain(&n.joins).chain(&n.user).map(|j| format!("join {} namespace {}", j.name, j.path.display())).collect()
    }

    fn describe_seccomp(&self) -> Vec<String> {
        self.process.seccomp.as_ref().map(|s| s.describe()).unwrap_or_default()
    }

    fn describe_capabilities(&self, step: Step) -> Vec<String> {
        let (bounding, mut rest): (Vec<String>, Vec<String>) = self.process.capabilities.describe().into_iter().partition(|l| l.contains("bounding"));
        if step == Step::Bounding {
            return bounding;
        }
        rest.extend(self.process.no_new_privileges.then(|| "no new privileges".to_owned()));
        rest
    }
}
