//! Resource limits of a process, and its place in the queue of the out-of-memory killer (setrlimit(2),
//! proc_pid_oom_score_adj(5)).
//!
//! A limit has a soft value, which the kernel enforces, and a hard one, up to which the process may raise the soft one
//! itself; only CAP_SYS_RESOURCE in the *first* user namespace raises the hard one. The boundary: open files, processes,
//! locked memory, core files; without it one container uses up what the kernel counts per user, for all of them.
//!
//! A new user namespace lacks that privilege for ever, so there the parent sets the limits ([`apply_from_parent`]), if it has
//! the privilege. If not, limits can only be lowered, from wherever; and the score is set first of all ([`apply_early`]),
//! because later the process's files in /proc are not its own any more.

use std::ffi::CString;

use oci_spec::runtime::{PosixRlimitType, Process};

use crate::error::{At, Error, Result};
use crate::host::Capabilities;
use crate::sys::process::prctl;
use crate::sys::procfs::ProcFs;
use crate::sys::sched::set_limit;

/// Its bit in the capability sets (linux/capability.h).
const CAP_SYS_RESOURCE: u8 = 24;

/// rlimits and oom_score_adj.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsPlan {
    limits: Vec<Limit>,
    oom_score_adj: Option<i32>,
    /// Whether only the parent has the privilege.
    outside: bool,
    /// Whether nobody has it, and there is a user namespace.
    early: bool,
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    kind: PosixRlimitType,
    soft: u64,
    hard: u64,
}

/// Decides the limits; duplicates, a soft value above the hard one, and a score outside -1000 to 1000 are errors.
/// `user_namespace`: the process runs in another user namespace than rrun's, which has the capabilities `own`.
pub fn plan(process: &Process, user_namespace: bool, own: &Capabilities) -> Result<LimitsPlan> {
    let mut limits: Vec<Limit> = Vec::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        let (kind, soft, hard) = (limit.typ(), limit.soft(), limit.hard());
        let field = || format!("process.rlimits[{index}]");
        if limits.iter().any(|l| l.kind == kind) {
            return Err(Error::new(format!("rlimit {kind} is specified more than once")).config(field()).code("E-RLIMIT"));
        }
        if soft > hard {
            let text = format!("rlimit {kind}: the soft limit {soft} is above the hard limit {hard}");
            return Err(Error::new(text).config(field()).code("E-RLIMIT"));
        }
        limits.push(Limit { kind, soft, hard });
    }
    let oom_score_adj = process.oom_score_adj();
    if let Some(score) = oom_score_adj.filter(|s| !(-1000..=1000).contains(s)) {
        return Err(Error::new(format!("oomScoreAdj {score} is not between -1000 and 1000")).config("process.oomScoreAdj"));
    }
    let privileged = own.permitted & (1 << CAP_SYS_RESOURCE) != 0;
    Ok(LimitsPlan { limits, oom_score_adj, outside: user_namespace && privileged, early: user_namespace && !privileged })
}

/// Inside, at birth, before a namespace is joined: the score where no privilege is at hand. Joining makes the process one of
/// which others may know nothing (`PR_SET_DUMPABLE`), and its files in /proc root's; so does a parent that was careful before.
pub fn apply_early(plan: &LimitsPlan) -> Result<()> {
    let Some(score) = plan.oom_score_adj.filter(|_| plan.early) else { return Ok(()) };
    let set = || std::fs::write("/proc/self/oom_score_adj", score.to_string());
    let set_as_owner = || {
        prctl(libc::PR_SET_DUMPABLE, 1, 0, 0)?;
        let done = set();
        prctl(libc::PR_SET_DUMPABLE, 0, 0, 0)?;
        done
    };
    // Its owner it becomes only where it must, and not where a container could see it yet.
    let done = match set() {
        Err(e) if e.raw_os_error() == Some(libc::EACCES) => set_as_owner(),
        done => done,
    };
    done.at(|| format!("failed to set oom_score_adj to {score}")).map_err(about_score)
}

/// Sets oom_score_adj and rlimits of the calling process, before the user changes. Nothing where [`apply_from_parent`] does it.
pub fn apply(plan: &LimitsPlan, proc: &ProcFs) -> Result<()> {
    if plan.outside {
        return Ok(());
    }
    if !plan.early {
        set_score(plan, proc, c"thread-self/oom_score_adj".into())?;
    }
    set_limits(plan, 0)
}

/// Outside, with the privileges of rrun's own user namespace: the same for the process `pid`, our child, not yet reaped,
/// when it is ready but for its program. Nothing where [`apply`] did it.
pub fn apply_from_parent(plan: &LimitsPlan, pid: i32) -> Result<()> {
    if !plan.outside {
        return Ok(());
    }
    if plan.oom_score_adj.is_some() {
        let proc = ProcFs::open().at(|| "open a private procfs")?;
        set_score(plan, &proc, CString::new(format!("{pid}/oom_score_adj")).expect("a number has no NUL"))?;
    }
    set_limits(plan, pid)
}

fn set_score(plan: &LimitsPlan, proc: &ProcFs, file: CString) -> Result<()> {
    let Some(score) = plan.oom_score_adj else { return Ok(()) };
    let done = proc.write(&file, score.to_string().as_bytes());
    done.at(|| format!("failed to set oom_score_adj to {score}")).map_err(about_score)
}

fn about_score(e: Error) -> Error {
    let hint = "lowering the score needs CAP_SYS_RESOURCE on the host; raise oomScoreAdj to rrun's own score or remove it";
    e.config("process.oomScoreAdj").hint(hint)
}

fn set_limits(plan: &LimitsPlan, pid: i32) -> Result<()> {
    for (index, limit) in plan.limits.iter().enumerate() {
        set_limit(pid, number(limit.kind), limit.soft, limit.hard).map_err(|e| {
            let above = e.raw_os_error() == Some(libc::EPERM);
            let error = Error::os(format!("error setting rlimit {} to {}:{}", limit.kind, limit.soft, limit.hard), e);
            let error = error.config(format!("process.rlimits[{index}]"));
            let hint =
                "raising a hard limit needs CAP_SYS_RESOURCE on the host (and fs.nr_open bounds RLIMIT_NOFILE); lower \"hard\"";
            if above { error.hint(hint) } else { error }
        })?;
    }
    Ok(())
}

impl LimitsPlan {
    /// Whether [`apply`] writes to /proc.
    pub fn sets_score(&self) -> bool {
        self.oom_score_adj.is_some() && !self.outside && !self.early
    }

    /// Whether [`apply_from_parent`] has something to do.
    pub fn is_set_outside(&self) -> bool {
        self.outside && (self.oom_score_adj.is_some() || !self.limits.is_empty())
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let value = |v: u64| if v == u64::MAX { "unlimited".to_owned() } else { v.to_string() };
        let score = self.oom_score_adj.iter().map(|score| format!("oom_score_adj {score}"));
        score.chain(self.limits.iter().map(|l| format!("{} soft {} hard {}", l.kind, value(l.soft), value(l.hard)))).collect()
    }
}

/// The kernel's number of a limit (asm-generic/resource.h; libc has it per architecture).
fn number(kind: PosixRlimitType) -> u32 {
    match kind {
        PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rlimits: serde_json::Value, score: Option<i32>) -> Result<LimitsPlan> {
        let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "rlimits": rlimits, "oomScoreAdj": score});
        decide_as(&process, false, u64::MAX)
    }

    fn decide_as(process: &serde_json::Value, user_namespace: bool, permitted: u64) -> Result<LimitsPlan> {
        let own = Capabilities { bounding: u64::MAX, permitted, last: 40 };
        plan(&serde_json::from_value(process.clone()).expect("a process"), user_namespace, &own)
    }

    #[test]
    fn who_has_the_privilege_sets_them() {
        let process = serde_json::json!({"user": {"uid": 0, "gid": 0}, "cwd": "/", "oomScoreAdj": 1});
        let places = |user_namespace, permitted| {
            let plan = decide_as(&process, user_namespace, permitted).expect("valid");
            (plan.outside, plan.early)
        };
        assert_eq!(places(false, 0), (false, false));
        assert_eq!(places(true, 1 << CAP_SYS_RESOURCE), (true, false));
        assert_eq!(places(true, 0), (false, true));
    }

    #[test]
    fn duplicates_are_refused() {
        let limit = serde_json::json!({"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1});
        let error = decide(serde_json::json!([limit, limit]), None).expect_err("a duplicate");
        assert_eq!(error.to_string(), "rlimit RLIMIT_NOFILE is specified more than once");
        assert_eq!(error.config_text(), Some("process.rlimits[1]"));
    }

    #[test]
    fn soft_above_hard_is_refused() {
        let error =
            decide(serde_json::json!([{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]), None).expect_err("soft above hard");
        assert_eq!(error.to_string(), "rlimit RLIMIT_CORE: the soft limit 2 is above the hard limit 1");
    }

    #[test]
    fn the_score_has_a_range() {
        assert!(decide(serde_json::Value::Null, Some(1001)).is_err());
        assert_eq!(decide(serde_json::Value::Null, Some(-1000)).expect("in range").oom_score_adj, Some(-1000));
    }

    #[test]
    fn every_limit_has_the_kernels_name() {
        let text = std::fs::read_to_string("/proc/self/limits").expect("limits");
        // The kernel lists its limits in the order of their numbers.
        let line = |kind| text.lines().nth(number(kind) as usize + 1).expect("a line").to_owned();
        assert!(line(PosixRlimitType::RlimitNofile).starts_with("Max open files"));
        assert!(line(PosixRlimitType::RlimitRttime).starts_with("Max realtime timeout"));
        assert!(line(PosixRlimitType::RlimitSigpending).starts_with("Max pending signals"));
    }
}
