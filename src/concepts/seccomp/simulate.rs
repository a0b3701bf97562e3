//! An interpreter of the filter: what would the kernel say to this call?
//!
//! It runs the finished instructions, not the plan behind them, so that a mistake anywhere before shows. Tests compare it
//! with libseccomp's filters; a start uses it to foretell that the profile kills for a call that rrun itself still has to make.
//! Facts: linux/filter.h; net/core/filter.c.

use std::fmt;

use libc::sock_filter;

use super::{SeccompPlan, architecture};
use crate::error::Error;

/// What a filter says to a call: a `SECCOMP_RET_*` value with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict(pub u32);

impl Verdict {
    /// Whether the call ends the process: by death, or by a signal that nothing of rrun's handles.
    pub fn kills(self) -> bool {
        matches!(
            self.0 & libc::SECCOMP_RET_ACTION_FULL,
            libc::SECCOMP_RET_KILL_PROCESS | libc::SECCOMP_RET_KILL_THREAD | libc::SECCOMP_RET_TRAP
        )
    }

    /// The errno that the call returns instead of being made.
    pub fn errno(self) -> Option<i32> {
        let is_errno = self.0 & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO;
        is_errno.then_some((self.0 & libc::SECCOMP_RET_DATA) as i32)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.0 & libc::SECCOMP_RET_DATA;
        match self.0 & libc::SECCOMP_RET_ACTION_FULL {
            libc::SECCOMP_RET_KILL_PROCESS => f.write_str("kill process"),
            libc::SECCOMP_RET_KILL_THREAD => f.write_str("kill thread"),
            libc::SECCOMP_RET_TRAP => f.write_str("trap"),
            libc::SECCOMP_RET_ERRNO => write!(f, "errno {data}"),
            libc::SECCOMP_RET_USER_NOTIF => f.write_str("notify"),
            libc::SECCOMP_RET_TRACE => write!(f, "trace {data}"),
            libc::SECCOMP_RET_LOG => f.write_str("log"),
            libc::SECCOMP_RET_ALLOW => f.write_str("allow"),
            other => write!(f, "action {other:#x}"),
        }
    }
}

/// A run of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub verdict: Verdict,
    /// How many instructions it took.
    pub steps: usize,
    /// Whether it looked at an argument.
    pub read_arguments: bool,
}

/// Runs the plan's filter over one call. `arch` is `seccomp_data.arch`, an `AUDIT_ARCH_*` value.
pub fn simulate(plan: &SeccompPlan, arch: u32, nr: u32, args: [u64; 6]) -> Verdict {
    run(&plan.filter, arch, nr, args).verdict
}

/// Runs a filter over one call. An instruction that no seccomp filter has, or a jump out of the program, gives `kill
/// process`: the kernel would not have loaded it.
pub fn run(filter: &[sock_filter], arch: u32, nr: u32, args: [u64; 6]) -> Run {
    let mut data = [0; 16];
    (data[0], data[1]) = (nr, arch);
    // Bit 30 of the token says which half of a 64-bit word comes first.
    let little = usize::from(arch & 0x4000_0000 != 0);
    for (at, arg) in args.iter().enumerate() {
        data[4 + 2 * at + little] = (arg >> 32) as u32;
        data[5 + 2 * at - little] = *arg as u32;
    }
    let (mut a, mut at, mut steps, mut read_arguments) = (0, 0, 0, false);
    while let Some(instruction) = filter.get(at) {
        steps += 1;
        at += 1;
        let k = instruction.k;
        let branch = |yes: bool| usize::from(if yes { instruction.jt } else { instruction.jf });
        match u32::from(instruction.code) {
            LOAD if k % 4 == 0 && k < 64 => {
                a = data[k as usize / 4];
                read_arguments |= k >= 16;
            }
            AND => a &= k,
            JUMP => at += k as usize,
            IF_EQUAL => at += branch(a == k),
            IF_GREATER => at += branch(a > k),
            IF_AT_LEAST => at += branch(a >= k),
            IF_SET => at += branch(a & k != 0),
            RETURN => return Run { verdict: Verdict(k), steps, read_arguments },
            _ => break,
        }
    }
    Run { verdict: Verdict(libc::SECCOMP_RET_KILL_PROCESS), steps, read_arguments }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const IF_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const IF_SET: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Those of `calls` (names and native numbers) that the profile denies. Calls whose fate depends on their arguments or on a
/// tracer are taken to pass: no false alarm.
pub fn denied<'a>(plan: &'a SeccompPlan, calls: &'a [(&'a str, i64)]) -> impl Iterator<Item = (&'a str, Verdict)> {
    let verdicts = calls.iter().filter(|_| !plan.filter.is_empty()).filter_map(|(name, number)| {
        let run = run(&plan.filter, architecture::native().token, *number as u32, [0; 6]);
        (!run.read_arguments).then_some((*name, run.verdict))
    });
    verdicts.filter(|(_, verdict)| verdict.errno().is_some() || verdict.kills())
}

/// Whether each call with this native number waits for the listener.
pub fn notifies(plan: &SeccompPlan, number: i64) -> bool {
    let run = run(&plan.filter, architecture::native().token, number as u32, [0; 6]);
    !run.read_arguments && run.verdict.0 == libc::SECCOMP_RET_USER_NOTIF
}

/// The error that every start will run into, if the profile kills for one of the calls `remaining` that rrun still makes
/// under it.
pub fn foretell(plan: &SeccompPlan, remaining: &[(&str, i64)]) -> Option<Error> {
    let (name, verdict) = denied(plan, remaining).find(|(_, verdict)| verdict.kills())?;
    let error = Error::new(format!("unable to init seccomp: the profile denies {name} ({verdict}), which starting needs"));
    Some(
        error.code("E-SECCOMP").config("linux.seccomp").hint(format!("add {name} with SCMP_ACT_ALLOW to linux.seccomp.syscalls")),
    )
}
