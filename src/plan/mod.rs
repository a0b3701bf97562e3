//! `(Spec, Host) → Plan`: everything is decided here, before any process exists.
//!
//! A plan is data. `run` carries it out, `rrun plan` prints it, `--debug` prints it with the time each step took; all three
//! go by the one list of steps below, in this order.

mod describe;
pub mod exec;
mod filter;
pub mod neighbour;
pub mod overrides;
pub mod record;
pub mod rules;
mod steps;
mod story;

pub use steps::{Side, Step};

use std::path::PathBuf;

use oci_spec::runtime::{Process, Spec};

use crate::bundle::Bundle;
use crate::cli::CreateArgs;
use crate::concepts::{
    capabilities, cgroups, devices, hooks, identity, layers, limits, lsm, masks, mounts, namespaces, network, rdt, rootfs,
    scheduling, seccomp, sysctl, users,
};
use crate::error::{Error, Result, Warnings};
use crate::host::{Host, Own, SecurityModules};
use crate::process::{notify, stdio};

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
    /// Whether groups that nobody asked for may be missing if they cannot be made (`--rootless`).
    pub tolerant: bool,
    /// The command line.
    pub args: &'a CreateArgs,
    /// Whether rrun starts the container itself (`run`) and needs no gate.
    pub starts: bool,
    /// Whether rrun stays and relays.
    pub foreground: bool,
    /// How many descriptors a service manager passes to the container ([`stdio::listen_fds`]).
    pub listen_fds: u32,
    /// The service manager to tell when the container is ready.
    pub notify: Option<notify::Address>,
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
    /// The class of service, if one is asked for.
    pub rdt: Option<rdt::RdtPlan>,
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
    /// Whom to tell of readiness.
    pub notify: Option<notify::Address>,
    /// The process.
    pub process: ProcessPlan,
}

/// What `exec` shares with `create`: the attributes of one process.
pub struct ProcessPlan {
    /// Signals that rrun ignores and the program must not: bit n-1 stands for signal n.
    pub ignored_signals: u64,
    /// Whether it is, or may be, in a user namespace in which nobody may drop a group.
    pub groups_may_stay: bool,
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
    let notified = request.notify.as_ref().map(|_| notify::with_socket(&request.bundle.spec, &request.state_dir)).transpose()?;
    let (spec, host) = (notified.as_ref().unwrap_or(&request.bundle.spec), request.host);
    let layers = layers::plan(spec, host, &request.bundle.path, &request.state_dir, &request.args.layers)?;
    let context = rules::Context {
        systemd: request.driver == cgroups::Driver::Systemd,
        no_pivot: request.args.no_pivot,
        layered: layers.is_some(),
        supports: crate::host::supports,
        id_maps: crate::host::id_maps,
    };
    rules::check(spec, host, &context, warnings)?;
    let process = spec.process().as_ref().ok_or_else(|| Error::new("process property must not be empty").config("process"))?;
    let namespaces = namespaces::plan(spec)?;
    let new_user = namespaces.clone_flags & libc::CLONE_NEWUSER as u64 != 0;
    let own = Own::ask()?;
    let users = users::plan(spec, host, &own.capabilities, new_user);
    let cgroups = cgroups::plan(spec, host, request.id, request.driver, request.tolerant, warnings)?;
    // With a cgroup namespace of its own the container sees the same in a copy of its groups as in a mount of their hierarchy;
    // not where systemd makes them later, or where they may be missing.
    let known = namespaces.cgroup && !host.rootless && !cgroups.needs_pid();
    let cgroup_dirs: Vec<(String, PathBuf)> = match !namespaces.has("cgroup") || known {
        true => cgroups.record().paths.into_iter().collect(),
        false => vec![],
    };
    let hooks = hooks::plan(spec)?;
    hooks::warn_from_parent(&hooks, warnings);
    let visible =
        [hooks::Kind::Prestart, hooks::Kind::CreateRuntime, hooks::Kind::CreateContainer].into_iter().any(|k| hooks.has(k));
    let keyring = (!request.args.no_new_keyring).then(|| format!("_ses.{}", request.id));
    let (console, preserved) = (request.args.console_socket.clone(), request.args.preserve_fds);
    let mut stdio = stdio::plan(process, request.name, request.foreground, console, preserved, request.listen_fds)?;
    stdio.host_uid = users::host_uid(spec, stdio.uid);
    let mut process = plan_process(spec, process, keyring.as_deref(), own, namespaces.has("user"), &stdio, warnings)?;
    if let Some(recorder) = &request.args.recorder {
        process = process.report_to(recorder)?;
    }
    Ok(Plan {
        id: request.id.to_owned(),
        bundle: request.bundle.path.clone(),
        state_dir: request.state_dir.clone(),
        gated: !request.starts,
        users,
        rootfs: rootfs::plan(spec, &request.bundle.path, layers.as_ref().map(|l| l.place()), request.args.no_pivot, visible)?,
        mounts: mounts::plan(spec, host, &request.bundle.path, &cgroup_dirs)?,
        devices: devices::plan(spec, host)?,
        masks: masks::plan(spec)?,
        sysctl: sysctl::plan(spec)?,
        network: network::plan(spec, host)?,
        rdt: rdt::plan(spec, request.id, crate::host::Resctrl::ask)?,
        process,
        stdio,
        notify: request.notify.clone(),
        hooks,
        layers,
        cgroups,
        namespaces,
    })
}

fn plan_process(
    spec: &Spec,
    process: &Process,
    keyring: Option<&str>,
    own: Own,
    user_namespace: bool,
    stdio: &stdio::StdioPlan,
    warnings: &mut Warnings,
) -> Result<ProcessPlan> {
    let profile = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
    let available = if user_namespace { own.capabilities.in_user_namespace() } else { own.capabilities };
    let plan = ProcessPlan {
        ignored_signals: own.ignored_signals,
        groups_may_stay: user_namespace || !own.initial_user_namespace,
        identity: identity::plan(process, stdio::environment(stdio))?,
        capabilities: capabilities::plan(process, &available, warnings)?,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        limits: limits::plan(process, user_namespace, &own.capabilities)?,
        scheduling: scheduling::plan(process, spec.linux().as_ref())?,
        lsm: lsm::plan(spec.linux().as_ref(), Some(process), keyring, SecurityModules::ask)?,
        seccomp: profile.map(|p| seccomp::plan(p, warnings)).transpose()?,
    };
    plan.check_filter().map(|()| plan)
}

impl ProcessPlan {
    /// Whether something about the process is written to /proc, or may have to be asked there.
    pub fn needs_procfs(&self) -> bool {
        self.groups_may_stay || self.lsm.has_labels() || self.limits.sets_score()
    }
}

impl Plan {
    /// Whether init needs a procfs of its own. Most need none, and one that is made must be closed again, which waits.
    pub fn needs_procfs(&self) -> bool {
        self.gated || self.namespaces.time_offsets.is_some() || !self.sysctl.is_empty() || self.process.needs_procfs()
    }

    /// Whether init can do nothing before the parent has done its part.
    pub fn needs_parent(&self) -> bool {
        self.writes_of_init() || self.cgroups.needs_pid()
    }

    /// Whether the parent must write to files of init in /proc, which are its user's only while init is dumpable.
    pub fn writes_of_init(&self) -> bool {
        self.users.is_some() || self.namespaces.time_offsets.is_some()
    }

    /// Whether init must stop while its namespaces are there and its root is not yet entered.
    pub fn stops_for_hooks(&self) -> bool {
        use hooks::Kind;
        self.network.moves_devices()
            || [Kind::Prestart, Kind::CreateRuntime, Kind::CreateContainer].into_iter().any(|k| self.hooks.has(k))
    }
}
