//! The plan of `exec`: one process with the attributes that `create` would give it, in namespaces that are there.
//!
//! The container's own filter holds for it too: a process that entered without would be the way out for all others
//! (seccomp(2) is inherited by children, not by neighbours).

use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};

use super::{ProcessPlan, plan_process, rules};
use crate::concepts::namespaces::flag_and_name;
use crate::concepts::{scheduling, users};
use crate::error::{Result, Warnings};
use crate::host::Own;
use crate::process::stdio::{self, StdioPlan};
use crate::state::State;

/// Everything that will be done.
pub struct ExecPlan {
    /// The process.
    pub process: ProcessPlan,
    /// Its stdio.
    pub stdio: StdioPlan,
    /// `CLONE_NEW*` of the namespaces to enter, all at once by init's pidfd.
    pub namespaces: u64,
    /// The CPUs it runs on, before and after it is in the container's groups.
    pub affinity: scheduling::Affinity,
}

/// What is asked for.
pub struct ExecRequest<'a> {
    /// The container's config; its filter holds for every process.
    pub spec: &'a Spec,
    /// The process to run.
    pub process: &'a Process,
    /// The container.
    pub state: &'a State,
    /// rrun's own name in canonical texts.
    pub name: &'a str,
    /// Whether rrun stays and relays.
    pub foreground: bool,
    /// `--console-socket`.
    pub console_socket: Option<std::path::PathBuf>,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
}

/// Decides everything. Makes nothing.
pub fn make(request: ExecRequest, warnings: &mut Warnings) -> Result<ExecPlan> {
    let (spec, process, state) = (request.spec, request.process, request.state);
    rules::check_process(process)?;
    let mapped = state.namespaces.iter().any(|(name, _)| name == "user");
    let mut stdio = stdio::plan(process, request.name, request.foreground, request.console_socket, request.preserve_fds, 0)?;
    stdio.host_uid = users::host_uid(spec, stdio.uid);
    let keyring = (!state.no_new_keyring).then(|| format!("_ses.{}", state.id));
    let affinity = scheduling::affinity(process)?;
    let process = plan_process(spec, process, keyring.as_deref(), Own::ask()?, mapped, &stdio, warnings)?;
    Ok(ExecPlan { process, stdio, namespaces: flags(state), affinity })
}

/// The kinds that the container does not simply share with the host.
fn flags(state: &State) -> u64 {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts};
    let kinds = [Cgroup, Ipc, Mount, Network, Pid, Time, User, Uts].map(flag_and_name);
    kinds.iter().filter(|(_, name)| state.namespaces.iter().any(|(n, _)| n == name)).fold(0, |flags, (flag, _)| flags | flag)
}
