//! `linux.seccomp` of config.json, read into rules: what the words of the specification mean, and what they may not say.
//!
//! runtime-spec config-linux.md, "Seccomp". The meaning of a rule is runc's: a rule whose action is the default action is
//! no rule; several conditions on the same argument are alternatives, otherwise all conditions must hold.

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator as Operator,
};

use super::architecture::{self, Architecture};
use crate::error::{Error, Result};
use crate::sys::seccomp::{FLAG_LOG, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};

/// One condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u8,
    /// The comparison.
    pub operator: Operator,
    /// What it is compared with.
    pub value: u64,
    /// The bits that count: all, unless the operator is `MASKED_EQ`.
    pub mask: u64,
}

/// One entry of `syscalls`.
#[derive(Debug)]
pub struct Rule<'a> {
    /// The calls it is about.
    pub names: &'a [String],
    /// `SECCOMP_RET_*` with its data.
    pub action: u32,
    /// Each alternative is a list of conditions that must all hold, by argument; an empty list always holds.
    pub alternatives: Vec<Vec<Condition>>,
    /// Whether the action takes nothing away: calls that no kernel knows may then be named.
    pub permits: bool,
}

/// A whole profile.
#[derive(Debug)]
pub struct Profile<'a> {
    /// `SECCOMP_RET_*` for what no rule is about.
    pub default: u32,
    /// Whether calls that did not exist when the profile was written get ENOSYS instead of the default action.
    pub hides_newer_calls: bool,
    /// What the filter is for, the native one first.
    pub architectures: Vec<&'static Architecture>,
    /// The rules, in order.
    pub rules: Vec<Rule<'a>>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

/// Reads and checks the profile. (Where NOTIFY may not stand is a rule between fields: `plan::rules`.)
pub fn read(seccomp: &LinuxSeccomp) -> Result<Profile<'_>> {
    let default = seccomp.default_action();
    let raw = action(default, seccomp.default_errno_ret(), || "linux.seccomp.defaultErrnoRet".into())?;
    // A tracer that emulates calls answers for newer ones itself; ENOSYS would come before it.
    let open = matches!(default, Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace);
    let mut rules = Vec::new();
    for (at, entry) in seccomp.syscalls().iter().flatten().enumerate() {
        let field = || format!("linux.seccomp.syscalls[{at}]");
        if entry.names().is_empty() || entry.names().iter().any(String::is_empty) {
            return Err(Error::new("a seccomp rule names no system call").config(format!("{}.names", field())));
        }
        rules.push(Rule {
            names: entry.names(),
            action: action(entry.action(), entry.errno_ret(), || format!("{}.errnoRet", field()))?,
            alternatives: alternatives(entry.args().as_deref().unwrap_or_default(), &field)?,
            permits: matches!(entry.action(), Action::ScmpActAllow | Action::ScmpActLog),
        });
    }
    Ok(Profile { default: raw, hides_newer_calls: !open, architectures: architectures(seccomp), rules, flags: flags(seccomp) })
}

/// The `SECCOMP_RET_*` value of an action. Only ERRNO and TRACE carry a number.
fn action(action: Action, number: Option<u32>, field: impl Fn() -> String) -> Result<u32> {
    let (kind, most) = match action {
        Action::ScmpActKill | Action::ScmpActKillThread => (libc::SECCOMP_RET_KILL_THREAD, None),
        Action::ScmpActKillProcess => (libc::SECCOMP_RET_KILL_PROCESS, None),
        Action::ScmpActTrap => (libc::SECCOMP_RET_TRAP, None),
        // MAX_ERRNO: the kernel would silently lower a greater one.
        Action::ScmpActErrno => (libc::SECCOMP_RET_ERRNO, Some(4095)),
        Action::ScmpActTrace => (libc::SECCOMP_RET_TRACE, Some(libc::SECCOMP_RET_DATA)),
        Action::ScmpActNotify => (libc::SECCOMP_RET_USER_NOTIF, None),
        Action::ScmpActLog => (libc::SECCOMP_RET_LOG, None),
        Action::ScmpActAllow => (libc::SECCOMP_RET_ALLOW, None),
    };
    match (number, most) {
        (None, None) => Ok(kind),
        (None, Some(_)) => Ok(kind | libc::EPERM as u32),
        (Some(n), Some(most)) if n <= most => Ok(kind | n),
        (Some(n), Some(most)) => Err(Error::new(format!("errnoRet {n} is greater than {most}")).config(field())),
        (Some(_), None) => Err(Error::new(format!("errnoRet has no meaning for the seccomp action {action}"))
            .config(field())
            .hint("remove errnoRet, or use SCMP_ACT_ERRNO")),
    }
}

fn alternatives(args: &[LinuxSeccompArg], field: &dyn Fn() -> String) -> Result<Vec<Vec<Condition>>> {
    let mut conditions = Vec::with_capacity(args.len());
    for (at, arg) in args.iter().enumerate() {
        let index = u8::try_from(arg.index()).ok().filter(|i| *i < 6).ok_or_else(|| {
            Error::new(format!("invalid argument index {}: system calls have arguments 0 to 5", arg.index()))
                .config(format!("{}.args[{at}].index", field()))
        })?;
        // MASKED_EQ alone has two operands: the mask comes first.
        let (value, mask) = match arg.op() {
            Operator::ScmpCmpMaskedEq => (arg.value_two().unwrap_or(0) & arg.value(), arg.value()),
            _ => (arg.value(), u64::MAX),
        };
        conditions.push(Condition { index, operator: arg.op(), value, mask });
    }
    conditions.sort_by_key(|c| c.index);
    if conditions.windows(2).any(|w| w[0].index == w[1].index) {
        return Ok(conditions.into_iter().map(|c| vec![c]).collect());
    }
    Ok(vec![conditions])
}

/// The listed architectures and the native one, which comes first: most calls are decided by the first block.
fn architectures(seccomp: &LinuxSeccomp) -> Vec<&'static Architecture> {
    let mut all = vec![architecture::native()];
    for arch in seccomp.architectures().iter().flatten().map(|a| architecture::of(*a)) {
        if !all.contains(&arch) {
            all.push(arch);
        }
    }
    all
}

/// The filter's flags. Absent means SPEC_ALLOW, as with runc since 1.2 and crun: without it, the kernels before 5.16 slow
/// down every program under a filter. An empty list means none.
fn flags(seccomp: &LinuxSeccomp) -> u32 {
    let Some(listed) = seccomp.flags() else { return FLAG_SPEC_ALLOW };
    listed.iter().fold(0, |all, flag| {
        all | match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => FLAG_WAIT_KILLABLE_RECV,
            // The process that installs the filter has one thread, so that all its threads obey it in any case. Passing the
            // flag on would only exclude a listener.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        }
    })
}
