//! The steps of making a container, in order.
//!
//! One list, which the code follows, `rrun plan` prints, `--debug` times, and faults are injected by. Their order is the
//! boundary: each protection stands before the first thing it must hold against.

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
    /// A time namespace is made and given its offsets.
    Time,
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
    /// The time namespace with offsets is entered.
    EnterTime,
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
    /// oom_score_adj and rlimits, in place before a file of the image is read.
    Limits,
    /// Scheduler, I/O priority, memory policy, personality.
    Scheduling,
    /// Descriptors but stdio and the preserved ones will close.
    Descriptors,
    /// Labels for the execve.
    Labels,
    /// The working directory.
    Directory,
    /// The filter, when installing it needs a capability that the next steps drop.
    SeccompEarly,
    /// The bounding set.
    Bounding,
    /// Groups, ids.
    User,
    /// The other capability sets; no new privileges.
    Capabilities,
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
    pub const ALL: [Self; 43] = {
        use Step::*;
        [
            State,
            Cgroups,
            Layers,
            RootTree,
            Sources,
            Stdio,
            Clone,
            EnterCgroups,
            Time,
            Users,
            Join,
            CgroupNamespace,
            Session,
            Keyring,
            Procfs,
            EnterTime,
            AttachRoot,
            Mounts,
            Devices,
            Terminal,
            RuntimeHooks,
            ContainerHooks,
            EnterRoot,
            Masks,
            Names,
            Sysctl,
            Network,
            FinishRoot,
            Limits,
            Scheduling,
            Descriptors,
            Labels,
            Directory,
            SeccompEarly,
            Bounding,
            User,
            Capabilities,
            Program,
            Created,
            Gate,
            StartHooks,
            SeccompLate,
            Execve,
        ]
    };

    /// The part of the making that it belongs to; the parts follow each other in this order.
    pub fn phase(self) -> &'static str {
        match self {
            Self::State | Self::Cgroups | Self::Layers | Self::RootTree | Self::Sources | Self::Stdio => {
                "before there is a process: limits, layers, what only the outside can open"
            }
            s if s <= Self::EnterTime => "a process with namespaces of its own",
            s if s <= Self::FinishRoot => "what it can see: its root, mounts, devices; what is hidden",
            s if s <= Self::Capabilities => "what it may do: limits, user, capabilities",
            _ => "the program",
        }
    }

    /// Which process takes it.
    pub fn side(self) -> Side {
        match self {
            Self::State | Self::Cgroups | Self::Layers | Self::RootTree | Self::Sources | Self::Stdio | Self::Clone => {
                Side::Parent
            }
            Self::RuntimeHooks | Self::Created => Side::Parent,
            _ => Side::Init,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_one_piece() {
        let mut phases: Vec<&str> = Step::ALL.iter().map(|step| step.phase()).collect();
        phases.dedup();
        assert_eq!(phases.len(), 5, "{phases:?}");
    }
}
