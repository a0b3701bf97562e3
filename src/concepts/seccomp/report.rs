//! Reporting calls in place of letting them pass: how a recorder learns which ones a program uses (seccomp_unotify(2)).
//!
//! What the profile denies stays denied: only where the finished filter says "allow" or "log" it says "notify" instead, newer
//! calls and foreign architectures included. The recorder answers each with "continue". One message is not reported, or the
//! recorder could never get the descriptor by which it hears of messages: the one that hands it over.

use std::path::PathBuf;

use libc::{BPF_ABS, BPF_JA, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

use super::diagram::{MOST_INSTRUCTIONS, WORD_ARCH, WORD_NUMBER};
use super::{SeccompPlan, architecture};
use crate::error::{Error, Result};
use crate::sys::fd::SEND_FLAGS;
use crate::sys::seccomp::{FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};

/// Offset of the lower half of the third argument in `seccomp_data`, on this machine: sendmsg's flags.
const WORD_FLAGS: u8 = if cfg!(target_endian = "little") { 32 } else { 36 };

/// Who records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// The socket at which it waits for the listener.
    pub address: PathBuf,
    /// Whether the kernel can make calls wait for the answer whatever signals come (Linux 5.19): each is then reported once.
    pub killable: bool,
}

/// The plan that denies what `profile` denies and reports the rest.
pub fn report(profile: Option<SeccompPlan>, recorder: &Recorder) -> Result<SeccompPlan> {
    let mut plan = profile.unwrap_or_else(|| SeccompPlan { flags: FLAG_SPEC_ALLOW, ..passing() });
    if plan.listener.is_some() {
        let error = Error::new("its calls cannot be recorded: a process can have one listener, and SCMP_ACT_NOTIFY takes it");
        return Err(error.config("linux.seccomp").hint("remove the rules with SCMP_ACT_NOTIFY"));
    }
    plan.filter = reporting(&plan.filter)?;
    plan.flags |= FLAG_NEW_LISTENER | if recorder.killable { FLAG_WAIT_KILLABLE_RECV } else { 0 };
    plan.listener = Some((recorder.address.clone(), String::new()));
    Ok(plan)
}

/// The plan of no profile.
fn passing() -> SeccompPlan {
    let filter = vec![statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW)];
    SeccompPlan { filter, default: libc::SECCOMP_RET_ALLOW, ..SeccompPlan::default() }
}

/// The filter with a common end, to which each instruction that let a call pass jumps instead.
fn reporting(filter: &[sock_filter]) -> Result<Vec<sock_filter>> {
    let is_pass = |i: &sock_filter| {
        u32::from(i.code) == BPF_RET | BPF_K
            && matches!(i.k & libc::SECCOMP_RET_ACTION_FULL, libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG)
    };
    let length = filter.len();
    let redirect = |(at, i): (usize, &sock_filter)| match is_pass(i) {
        true => statement(BPF_JMP | BPF_JA, (length - at - 1) as u32),
        false => *i,
    };
    let mut all: Vec<sock_filter> = filter.iter().enumerate().map(redirect).collect();
    let load = |offset: u8| statement(BPF_LD | BPF_W | BPF_ABS, offset.into());
    // To the last instruction when not equal.
    let only = |value: u32, behind: u8| sock_filter { jf: behind, ..statement(BPF_JMP | BPF_JEQ | BPF_K, value) };
    all.extend([
        load(WORD_ARCH),
        only(architecture::native().token, 5),
        load(WORD_NUMBER),
        only(libc::SYS_sendmsg as u32, 3),
        load(WORD_FLAGS),
        only(SEND_FLAGS as u32, 1),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_USER_NOTIF),
    ]);
    if all.len() > MOST_INSTRUCTIONS {
        return Err(Error::new("the seccomp profile leaves no room for recording").config("linux.seccomp"));
    }
    Ok(all)
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}
