//! System call filters (seccomp(2)): which of the kernel's some 350 entry points the container may use.
//!
//! All containers share one kernel, so that every call it can make is a piece of its boundary. A filter is a small program
//! in classic BPF that the kernel runs before each call; it sees the number, the architecture and the arguments as
//! numbers, and it can never be taken off. Without one, a bug in a call that no container needs is an escape:
//! CVE-2022-0185 (fsconfig), CVE-2016-0728 (keyctl). Forgetting an architecture opens the same door from the side.
//!
//! Read on in this order: `profile` (what config.json says), `architecture` (numbers), `compile` and `conditions` (the
//! decision), `diagram` (the instructions), `simulate` (running them here), `listener` (verdict "notify"), `report` (all calls).

mod architecture;
mod compile;
mod conditions;
mod diagram;
pub mod listener;
mod profile;
mod report;
pub mod simulate;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use libc::sock_filter;
use oci_spec::runtime::LinuxSeccomp;

use crate::error::{Error, Result, Warnings};
use crate::suggest::did_you_mean;
use crate::sys::seccomp::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_WAIT_KILLABLE_RECV, install, supports_flag};

pub use architecture::{call_count, call_of, native_name};
pub use listener::send_listener;
pub use report::{Recorder, report};
pub use simulate::{Verdict, denied, foretell, notifies, simulate};

/// A compiled filter.
#[derive(Debug, Clone, Default)]
pub struct SeccompPlan {
    /// The instructions, ready for the kernel.
    pub filter: Vec<sock_filter>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Where the notification descriptor goes and what goes with it; only if a call has the verdict "notify".
    listener: Option<(PathBuf, String)>,
    /// Names that no kernel knows.
    unknown: Vec<String>,
    /// How many names have a rule.
    rules: usize,
    /// The architectures with a table.
    architectures: Vec<&'static str>,
    /// The `SECCOMP_RET_*` value for what no rule is about.
    default: u32,
}

/// Compiles the profile to classic BPF. Names that no kernel knows are said in debug; in `warnings` if their rule restricts.
pub fn plan(profile: &LinuxSeccomp, warnings: &mut Warnings) -> Result<SeccompPlan> {
    let read = profile::read(profile)?;
    let compiled = compile::compile(&read)?;
    let filter = compiled.diagram.flatten(compiled.root)?;
    let mut unknown = Vec::new();
    for (at, name) in compiled.unknown {
        let rule = &read.rules[at];
        if rule.permits || rule.action == read.default {
            unknown.push(name);
        } else {
            let hint = did_you_mean(&name, architecture::call_names());
            warnings.add(format!("linux.seccomp.syscalls[{at}]: unknown system call {name:?}: its rule has NO effect{hint}"));
        }
    }
    let notifies = filter.iter().any(|i| u32::from(i.code) == libc::BPF_RET && i.k == libc::SECCOMP_RET_USER_NOTIF);
    let listener = if notifies { Some(agent(profile)?) } else { None };
    // Waiting for notifications is only known together with a listener; without one the flag asks for nothing.
    let flags = if notifies { read.flags | FLAG_NEW_LISTENER } else { read.flags & !FLAG_WAIT_KILLABLE_RECV };
    let architectures = read.architectures.iter().map(|a| a.name).collect();
    Ok(SeccompPlan { filter, flags, listener, unknown, rules: compiled.rules, architectures, default: read.default })
}

/// The agent's address, which the specification demands as soon as a rule notifies.
fn agent(profile: &LinuxSeccomp) -> Result<(PathBuf, String)> {
    let path = profile.listener_path().clone().filter(|p| !p.as_os_str().is_empty());
    let path =
        path.ok_or_else(|| Error::new("SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath").config("linux.seccomp.listenerPath"))?;
    Ok((path, profile.listener_metadata().clone().unwrap_or_default()))
}

/// Installs the filter for the calling process; with a listener, returns its descriptor. Needs no_new_privs or
/// CAP_SYS_ADMIN. Every call that follows obeys the filter.
pub fn apply(plan: &SeccompPlan) -> Result<Option<OwnedFd>> {
    if plan.filter.is_empty() {
        return Ok(None);
    }
    install(&plan.filter, plan.flags).map_err(|error| refusal(plan.flags, error))
}

/// Why the kernel refused. It says EINVAL for a flag that it does not know, but not which; SPEC_ALLOW cannot be it, as it is
/// older (Linux 4.17) than calls that have been made before.
fn refusal(flags: u32, error: io::Error) -> Error {
    const NAMES: [(u32, &str); 3] = [
        (FLAG_LOG, "SECCOMP_FILTER_FLAG_LOG"),
        (FLAG_NEW_LISTENER, "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
        (FLAG_WAIT_KILLABLE_RECV, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
    ];
    let unknown = NAMES.iter().find(|(flag, _)| flags & flag != 0 && !supports_flag(*flag));
    match unknown.filter(|_| error.raw_os_error() == Some(libc::EINVAL)) {
        Some((_, name)) => {
            Error::new(format!("unable to init seccomp: this kernel does not support {name}")).config("linux.seccomp.flags")
        }
        None => Error::os("unable to init seccomp: error loading seccomp filter into kernel", error).config("linux.seccomp"),
    }
}

impl SeccompPlan {
    /// Where the notification descriptor is to be sent, and the metadata to send with it.
    pub fn listener(&self) -> Option<(&Path, &str)> {
        self.listener.as_ref().map(|(path, metadata)| (path.as_path(), metadata.as_str()))
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        if self.filter.is_empty() {
            return vec![];
        }
        let (default, architectures) = (Verdict(self.default), self.architectures.join(", "));
        vec![format!("seccomp: {} rules for {architectures}; default {default}; {} instructions", self.rules, self.filter.len())]
    }

    /// The filter in a few words, for `--narrate`; `None` without one.
    pub fn story(&self) -> Option<String> {
        (!self.filter.is_empty()).then(|| format!("seccomp filter with {} rules", self.rules))
    }

    /// C libraries make threads by clone3, and by clone where there is no clone3: which only ENOSYS says.
    fn no_way_back(&self) -> Option<&'static str> {
        let refused = |call| denied(self, call).any(|(_, verdict)| verdict.errno() == Some(libc::EPERM));
        let hides =
            "the seccomp profile refuses clone3 with EPERM, so that C libraries do not fall back on clone: give it errnoRet 38";
        (refused(&[("clone3", libc::SYS_clone3)]) && !refused(&[("clone", libc::SYS_clone)])).then_some(hides)
    }

    /// The lines of `--debug`.
    pub fn debug_lines(&self) -> Vec<String> {
        let unknown = self.unknown.iter().map(|name| format!("unknown seccomp syscall {name:?} ignored"));
        let flags = format!("seccomp filter flags: {}", self.flags);
        unknown.chain([flags]).chain(self.no_way_back().map(str::to_owned)).collect()
    }
}

// The numbers in them are those of x86-64.
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
