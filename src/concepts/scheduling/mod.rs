//! When and where the process runs: scheduler (sched(7)), I/O priority (ioprio_set(2)), NUMA memory policy (mempolicy(7)),
//! personality (personality(2)), CPU affinity (cpuset(7)).
//!
//! All of it is inherited by everything the process starts. The boundary is thin: a real-time policy can starve the whole
//! machine, which is why the kernel asks for CAP_SYS_NICE in the *first* user namespace; `ADDR_NO_RANDOMIZE` in a
//! personality would switch address randomisation off, so personality flags are refused.
//!
//! Comes before the user changes, while init still has the privilege.

mod masks;

use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy,
    MemoryPolicyFlagType, MemoryPolicyModeType, Process, Scheduler,
};

use crate::error::{At, Error, Result};
use crate::sys::sched;

pub use masks::{Affinity, affinity, apply_affinity, parse as parse_list};

/// Scheduling attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulingPlan {
    scheduler: Option<(LinuxSchedulerPolicy, sched::Attributes)>,
    /// Class and level, and both as the kernel takes them.
    io_priority: Option<(IOPriorityClass, i64, i32)>,
    personality: Option<LinuxPersonalityDomain>,
    memory: Option<Memory>,
}

/// A NUMA memory policy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Memory {
    name: String,
    mode: u32,
    nodes: Vec<u64>,
}

/// Decides them for a process, which may be another than the config's: that of `exec`. Combinations the kernel would misread
/// are errors.
pub fn plan(process: &Process, linux: Option<&Linux>) -> Result<SchedulingPlan> {
    Ok(SchedulingPlan {
        scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
        io_priority: process.io_priority().as_ref().map(io_priority).transpose()?,
        personality: match linux.and_then(|l| l.personality().as_ref()) {
            Some(p) if p.flags().as_ref().is_some_and(|f| !f.is_empty()) => {
                return Err(Error::new("personality flags are not supported: the specification defines none")
                    .config("linux.personality.flags"));
            }
            Some(p) => Some(p.domain()),
            None => None,
        },
        memory: linux.and_then(|l| l.memory_policy().as_ref()).map(memory).transpose()?,
    })
}

/// Sets them for the calling process.
pub fn apply(plan: &SchedulingPlan) -> Result<()> {
    if let Some((policy, attributes)) = &plan.scheduler {
        sched::set_attributes(attributes).at(|| format!("error setting scheduler {policy}")).map_err(|e| {
            let hint = match (policy, e.errno()) {
                (LinuxSchedulerPolicy::SchedDeadline, Some(libc::EPERM)) => {
                    "SCHED_DEADLINE needs CAP_SYS_NICE on the host and all of its CPUs; remove the cpuset or the policy"
                }
                (_, Some(libc::EPERM)) => {
                    "it needs CAP_SYS_NICE on the host, and on cgroup v1 a cpu.rt_runtime_us; remove process.scheduler"
                }
                _ => "correct process.scheduler: the kernel does not take these values together",
            };
            e.config("process.scheduler").hint(hint)
        })?;
    }
    if let Some((_, _, value)) = plan.io_priority {
        sched::set_io_priority(value).at(|| "failed to set io priority").map_err(|e| e.config("process.ioPriority"))?;
    }
    if let Some(domain) = plan.personality {
        use nix::sys::personality::{Persona, set};
        let persona = match domain {
            LinuxPersonalityDomain::PerLinux => Persona::empty(),
            LinuxPersonalityDomain::PerLinux32 => Persona::from_bits_retain(PER_LINUX32),
        };
        set(persona).at(|| format!("set personality {domain}")).map_err(|e| e.config("linux.personality"))?;
    }
    if let Some(memory) = &plan.memory {
        let named = || format!("failed to set memory policy {}", memory.name);
        sched::set_memory_policy(memory.mode, &memory.nodes).at(named).map_err(|e| e.config("linux.memoryPolicy"))?;
    }
    Ok(())
}

/// `PER_LINUX32` (linux/personality.h): uname(2) says a 32-bit machine.
const PER_LINUX32: i32 = 8;

fn scheduler(wanted: &Scheduler) -> Result<(LinuxSchedulerPolicy, sched::Attributes)> {
    use LinuxSchedulerPolicy as Policy;
    let policy = *wanted.policy();
    let refuse = |text: String, field: &str| Err(Error::new(text).config(format!("process.scheduler.{field}")));
    let nice = wanted.nice().unwrap_or(0);
    let priority = wanted.priority().unwrap_or(0);
    let [runtime, deadline, period] = [wanted.runtime(), wanted.deadline(), wanted.period()].map(|v| v.unwrap_or(0));
    if !(-20..=19).contains(&nice) {
        return refuse(format!("invalid scheduler.nice: {nice}"), "nice");
    }
    if nice != 0 && !matches!(policy, Policy::SchedOther | Policy::SchedBatch) {
        return refuse(
            format!("scheduler.nice can only be specified for SCHED_OTHER or SCHED_BATCH policy, not {policy}"),
            "nice",
        );
    }
    if priority != 0 && !matches!(policy, Policy::SchedFifo | Policy::SchedRr) {
        return refuse("scheduler.priority can only be specified for SchedFIFO or SchedRR policy".into(), "priority");
    }
    if !(0..=99).contains(&priority) {
        return refuse(format!("invalid scheduler.priority: {priority}"), "priority");
    }
    if [runtime, deadline, period] != [0; 3] && policy != Policy::SchedDeadline {
        return refuse("scheduler runtime/deadline/period can only be specified for SchedDeadline policy".into(), "runtime");
    }
    let flags = wanted.flags().iter().flatten().fold(0, |bits, flag| bits | scheduler_flag(*flag));
    let policy_number = match policy {
        Policy::SchedOther => libc::SCHED_OTHER,
        Policy::SchedFifo => libc::SCHED_FIFO,
        Policy::SchedRr => libc::SCHED_RR,
        Policy::SchedBatch => libc::SCHED_BATCH,
        // Reserved in the kernel's headers, never built: the kernel refuses it.
        Policy::SchedIso => 4,
        Policy::SchedIdle => libc::SCHED_IDLE,
        Policy::SchedDeadline => libc::SCHED_DEADLINE,
    };
    let (policy_number, priority) = (policy_number as u32, priority as u32);
    Ok((
        policy,
        sched::Attributes { policy: policy_number, flags, nice, priority, runtime, deadline, period, ..Default::default() },
    ))
}

/// `SCHED_FLAG_*` (linux/sched.h).
fn scheduler_flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

fn io_priority(wanted: &LinuxIOPriority) -> Result<(IOPriorityClass, i64, i32)> {
    let (class, level) = (wanted.class(), wanted.priority());
    if !(0..=7).contains(&level) {
        return Err(Error::new(format!("invalid ioPriority.Priority: {level}")).config("process.ioPriority.priority"));
    }
    let number = match class {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    // The range was checked: the cast keeps the value.
    Ok((class, level, number << 13 | level as i32))
}

fn memory(wanted: &LinuxMemoryPolicy) -> Result<Memory> {
    use MemoryPolicyModeType as Mode;
    let mode = wanted.mode();
    let refuse = |text: String, field: &str| Err(Error::new(text).config(format!("linux.memoryPolicy.{field}")));
    let nodes = match wanted.nodes().as_deref().map(str::trim) {
        None | Some("") => vec![],
        Some(list) => masks::parse(list).map_err(|e| e.config("linux.memoryPolicy.nodes"))?,
    };
    let (number, may_be_empty, may_have_nodes) = match mode {
        Mode::MpolDefault => (libc::MPOL_DEFAULT, true, false),
        Mode::MpolPreferred => (libc::MPOL_PREFERRED, true, true),
        Mode::MpolBind => (libc::MPOL_BIND, false, true),
        Mode::MpolInterleave => (libc::MPOL_INTERLEAVE, false, true),
        Mode::MpolLocal => (libc::MPOL_LOCAL, true, false),
        Mode::MpolPreferredMany => (5, false, true),
        Mode::MpolWeightedInterleave => (6, false, true),
    };
    if nodes.is_empty() && !may_be_empty {
        return refuse(format!("memory policy {mode} requires at least one node"), "nodes");
    }
    if !nodes.is_empty() && !may_have_nodes {
        return refuse(format!("memory policy {mode} takes no nodes"), "nodes");
    }
    let flags = wanted.flags().as_deref().unwrap_or_default();
    let fixed = flags.contains(&MemoryPolicyFlagType::MpolFStaticNodes);
    let relative = flags.contains(&MemoryPolicyFlagType::MpolFRelativeNodes);
    if fixed && relative {
        return refuse("memory policy flags MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other".into(), "flags");
    }
    if nodes.is_empty() && (fixed || relative) {
        return refuse(format!("memory policy {mode} without nodes takes no flags about nodes"), "flags");
    }
    let bit = |flag: &MemoryPolicyFlagType| match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
        MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
    };
    Ok(Memory { name: mode.to_string(), mode: flags.iter().fold(number as u32, |bits, flag| bits | bit(flag)), nodes })
}

impl SchedulingPlan {
    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let scheduler = self.scheduler.iter().map(|(policy, a)| match (a.priority, a.runtime) {
            (0, 0) => format!("scheduler {policy}, nice {}", a.nice),
            (0, runtime) => format!("scheduler {policy}, {runtime} ns of every {} ns", a.period.max(a.deadline)),
            (priority, _) => format!("scheduler {policy}, priority {priority}"),
        });
        let io = self.io_priority.iter().map(|(class, level, _)| format!("I/O priority {class}, level {level}"));
        let personality = self.personality.iter().map(|domain| format!("personality {domain}"));
        let memory = self.memory.iter().map(|m| format!("memory policy {}, nodes {}", m.name, masks::show(&m.nodes)));
        scheduler.chain(io).chain(personality).chain(memory).collect()
    }
}

#[cfg(test)]
mod tests;
