//! The plan in words: what each step will do, for `rrun plan` and `--debug`.
//!
//! The same value that is carried out is described, so what is shown is what will happen; a step with nothing to do has no
//! line.

use super::{Plan, Step};
use crate::concepts::hooks::Kind;

impl Plan {
    /// What a step will do, a line per act; empty when it has nothing to do.
    pub fn describe(&self, step: Step) -> Vec<String> {
        let when = |yes: bool, text: &str| if yes { vec![text.to_owned()] } else { vec![] };
        let [attach, enter, finish] = self.rootfs.describe();
        match step {
            Step::State => vec![format!("claim the id {} in {}", self.id, self.state_dir.display())],
            Step::Cgroups => [self.cgroups.describe(), self.rdt.as_ref().map(|r| r.describe()).unwrap_or_default()].concat(),
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
            Step::Procfs => when(self.needs_procfs(), "open a private procfs"),
            Step::EnterTime => when(self.namespaces.time_offsets.is_some(), "enter the time namespace"),
            Step::Time => {
                self.namespaces.time_offsets.iter().flat_map(|t| t.lines()).map(|l| format!("offset clock {l}")).collect()
            }
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
            Step::SeccompEarly if self.process.seccomp_early() => self.describe_seccomp(),
            Step::SeccompLate if !self.process.seccomp_early() => self.describe_seccomp(),
            Step::SeccompEarly | Step::SeccompLate => vec![],
            Step::Bounding | Step::Capabilities => self.describe_capabilities(step),
            Step::Directory => self.describe_identity(0),
            Step::User => self.describe_identity(1),
            Step::Labels => self.process.lsm.describe(),
            Step::Program => vec![format!("look up {}", self.program())],
            Step::Created => vec!["write state.json and the pid file".to_owned()],
            Step::Gate => when(self.gated, "wait at exec.fifo for start"),
            Step::StartHooks => self.hooks.describe(Kind::StartContainer),
            Step::Execve => self.describe_identity(2),
        }
    }

    /// Whether a new network namespace gets its loopback device up.
    pub fn brings_loopback_up(&self) -> bool {
        self.namespaces.clone_flags & libc::CLONE_NEWNET as u64 != 0
    }

    fn describe_identity(&self, line: usize) -> Vec<String> {
        vec![self.process.identity.describe()[line].clone()]
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
        let (bounding, mut rest): (Vec<String>, Vec<String>) =
            self.process.capabilities.describe().into_iter().partition(|l| l.contains("bounding"));
        if step == Step::Bounding {
            return bounding;
        }
        rest.extend(self.process.no_new_privileges.then(|| "no new privileges".to_owned()));
        rest
    }
}
