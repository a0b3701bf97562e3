//! When the filter is installed, and what it must then let rrun itself do.
//!
//! Installing one needs CAP_SYS_ADMIN or no_new_privs (seccomp(2)). With no_new_privs it comes last, and only execve(2) is left
//! for it to judge. Without, it comes before the capabilities are dropped, and rrun's own last calls obey the profile, as
//! runc's do. A filter that kills takes the answer with it: the process is gone, without a word. So what it would kill is
//! foretold, from its instructions, before anything is made; what it merely refuses is named after the failure.

use super::ProcessPlan;
use crate::concepts::{identity, seccomp};
use crate::error::{Error, Result};

/// What is always called under a filter that comes before the capabilities are dropped, in this order: of a later filter the
/// last ones are left.
const EARLY: [(&str, i64); 9] = [
    ("capget", libc::SYS_capget),
    ("prctl", libc::SYS_prctl),
    ("setgroups", libc::SYS_setgroups),
    ("setresgid", libc::SYS_setresgid),
    ("setresuid", libc::SYS_setresuid),
    ("capset", libc::SYS_capset),
    ("sendmsg", libc::SYS_sendmsg),
    ("recvmsg", libc::SYS_recvmsg),
    ("execve", libc::SYS_execve),
];

/// What may be called as well: the search for the program, the gate.
const PERHAPS: [(&str, i64); 7] = [
    ("openat", libc::SYS_openat),
    ("fcntl", libc::SYS_fcntl),
    ("close", libc::SYS_close),
    ("newfstatat", libc::SYS_newfstatat),
    ("faccessat2", libc::SYS_faccessat2),
    ("write", libc::SYS_write),
    ("brk", libc::SYS_brk),
];

impl ProcessPlan {
    /// Whether the filter is installed before capabilities are dropped: without no_new_privs that needs CAP_SYS_ADMIN.
    pub fn seccomp_early(&self) -> bool {
        self.seccomp.is_some() && !self.no_new_privileges
    }

    /// Whether a search for the cause of a failure is safe once the filter is in force: it might kill for the search, and a bare
    /// error is worth more than none. Simulated, so that the usual profiles, which let such calls pass, keep their hints.
    pub fn may_look(&self) -> bool {
        self.seccomp.as_ref().is_none_or(|s| seccomp::denied(s, &identity::LOOK_CALLS).next().is_none())
    }

    /// Whether the filter reports calls to somebody who must be handed its descriptor.
    pub fn has_listener(&self) -> bool {
        self.seccomp.as_ref().is_some_and(|s| s.listener().is_some())
    }

    /// Reports to `recorder` each call that the profile lets pass.
    pub(super) fn report_to(mut self, recorder: &seccomp::Recorder) -> Result<Self> {
        self.seccomp = Some(seccomp::report(self.seccomp.take(), recorder)?);
        self.check_filter().map(|()| self)
    }

    /// What rrun certainly calls under the filter.
    fn remaining(&self) -> &'static [(&'static str, i64)] {
        match (self.seccomp_early(), self.has_listener()) {
            (true, _) => &EARLY,
            (false, true) => &EARLY[6..],
            (false, false) => &EARLY[8..],
        }
    }

    /// Refuses a filter under which no start can succeed: one that kills for what is left to do, or that would wait for its
    /// listener before the listener can be handed over.
    pub(super) fn check_filter(&self) -> Result<()> {
        let Some(filter) = &self.seccomp else { return Ok(()) };
        if self.has_listener() && seccomp::notifies(filter, libc::SYS_sendmsg) {
            let text = "SCMP_ACT_NOTIFY cannot be used for the sendmsg syscall";
            return Err(Error::new(text)
                .config("linux.seccomp.syscalls")
                .code("E-SECCOMP")
                .hint("by sendmsg the listener's own descriptor is handed over"));
        }
        seccomp::foretell(filter, self.remaining()).map_or(Ok(()), Err)
    }

    /// Adds to a failure under the filter which call the profile refused with that errno. Looks at the filter only.
    pub fn blame(&self, error: Error) -> Error {
        let (Some(filter), Some(errno)) = (&self.seccomp, error.errno()) else { return error };
        let calls: &[&[(&str, i64)]] = if self.seccomp_early() { &[&EARLY, &PERHAPS] } else { &[self.remaining()] };
        let refused = |calls| seccomp::denied(filter, calls).filter(|(_, verdict)| verdict.errno() == Some(errno));
        let names: Vec<&str> = calls.iter().flat_map(|c| refused(c)).map(|(name, _)| name).collect();
        if names.is_empty() {
            return error;
        }
        let cause = if names == ["execve"] { "the profile refuses" } else { "likely cause: the profile refuses" };
        let hint = format!("{cause} {}; allow it with SCMP_ACT_ALLOW in linux.seccomp.syscalls", names.join(", "));
        error.code("E-SECCOMP").hint(hint)
    }

    /// Adds to the sudden death of a process under the filter for which call the profile may have killed it.
    pub fn blame_death(&self, error: Error) -> Error {
        let Some(filter) = self.seccomp.as_ref().filter(|_| self.seccomp_early() || self.has_listener()) else { return error };
        let names: Vec<&str> =
            seccomp::denied(filter, &PERHAPS).filter(|(_, verdict)| verdict.kills()).map(|(name, _)| name).collect();
        if names.is_empty() {
            return error;
        }
        let hint = format!("likely cause: the profile kills for {}; allow it in linux.seccomp.syscalls", names.join(", "));
        error.code("E-SECCOMP").config("linux.seccomp").hint(hint)
    }
}
