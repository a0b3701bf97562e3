//! A seccomp profile from what was seen: the form of `linux.seccomp` and of the engines' `--security-opt seccomp=FILE`.
//!
//! Default deny, and a list of what was used. With it goes what each start needs whatever the program does: the runtime's own
//! last calls, the end, the return from a signal. `clone3` is refused with ENOSYS, never EPERM: only ENOSYS makes C libraries
//! fall back on clone, whose flags a filter can read.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::Call;
use crate::concepts::seccomp::call_of;
use crate::error::{At, Error, Result};

/// What every start and every end needs: the C library's first and last calls, and those that runtimes make under a filter that
/// comes before the capabilities are dropped.
const ALWAYS: &[&str] = &[
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "close",
    "close_range",
    "epoll_pwait",
    "execve",
    "exit",
    "exit_group",
    "faccessat2",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getdents64",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "openat",
    "prctl",
    "prlimit64",
    "read",
    "recvmsg",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "sendmsg",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
    "sigaltstack",
    "tgkill",
    "write",
];

/// `SCMP_ARCH_*` of an architecture's name.
fn token(arch: &str) -> String {
    format!("SCMP_ARCH_{}", arch.to_uppercase())
}

/// The profile that allows `calls`, and what `old` allowed.
pub fn emit(calls: &[Call], old: Option<Value>) -> String {
    let mut profile = old.unwrap_or_else(
        || json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": libc::EPERM, "architectures": [], "syscalls": []}),
    );
    let seen: Vec<(&str, &str)> =
        calls.iter().filter_map(|call| call_of(call.arch, call.number)).filter_map(|(arch, name)| Some((arch, name?))).collect();
    let native = crate::concepts::seccomp::native_name();
    let mut names: BTreeSet<String> =
        ALWAYS.iter().copied().chain(seen.iter().map(|(_, name)| *name)).map(str::to_owned).collect();
    if names.remove("clone3") {
        names.insert("clone".into());
    }
    let mut architectures = strings(&profile["architectures"]);
    architectures.extend(seen.iter().map(|(arch, _)| *arch).chain([native]).map(token));
    let mut kept: Vec<Value> = vec![];
    for rule in profile["syscalls"].as_array().into_iter().flatten().filter(|rule| !is_clone3(rule)) {
        let own = strings(&rule["names"]);
        if is_plain_allow(rule) {
            names.extend(own);
        } else {
            kept.push(rule.clone());
        }
    }
    // What the program used is allowed, whatever an older rule said of it.
    for rule in &mut kept {
        let rest: Vec<String> = strings(&rule["names"]).into_iter().filter(|name| !names.contains(name)).collect();
        rule["names"] = json!(rest);
    }
    kept.retain(|rule| rule["names"] != json!([]));
    names.remove("clone3");
    let mut rules = vec![json!({"names": names, "action": "SCMP_ACT_ALLOW"})];
    rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS}));
    rules.extend(kept);
    profile["architectures"] = json!(architectures);
    profile["syscalls"] = json!(rules);
    serde_json::to_string_pretty(&profile).expect("JSON has a text") + "\n"
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn is_clone3(rule: &Value) -> bool {
    rule["names"] == json!(["clone3"])
}

/// Whether the rule allows its calls in any case, so that it can be one with ours.
fn is_plain_allow(rule: &Value) -> bool {
    let empty = |key: &str| rule[key].as_array().is_none_or(Vec::is_empty) && !rule[key].is_object();
    rule["action"] == "SCMP_ACT_ALLOW" && ["args", "includes", "excludes"].into_iter().all(empty)
}

/// Reads the profile to be merged with; one that allows by default has nothing to add to.
pub fn read(path: &Path) -> Result<Value> {
    let shown = path.display();
    let text = std::fs::read(path).at(|| format!("read {shown}"))?;
    let profile: Value = serde_json::from_slice(&text).map_err(|e| Error::new(format!("{shown} is no profile: {e}")))?;
    let default = profile["defaultAction"].as_str().unwrap_or_default();
    if !["SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"].contains(&default) {
        let error = Error::new(format!("{shown} cannot be merged: its defaultAction is {default:?}"));
        return Err(error.hint("merge with a list of what is allowed, whose defaultAction is SCMP_ACT_ERRNO"));
    }
    Ok(profile)
}

// The numbers in them are those of x86-64.
#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    fn call(number: u32) -> Call {
        Call { arch: 0xc000_003e, number, count: 1, by: "x".into(), tid: 1, args: [0; 6] }
    }

    fn emitted(calls: &[Call], old: Option<Value>) -> Value {
        serde_json::from_str(&emit(calls, old)).expect("JSON")
    }

    #[test]
    fn clone3_is_hidden_and_clone_stands_in() {
        let profile = emitted(&[call(435), call(83)], None);
        let allowed = strings(&profile["syscalls"][0]["names"]);
        assert!(["mkdir", "clone", "execve"].iter().all(|name| allowed.contains(*name)) && !allowed.contains("clone3"));
        assert_eq!(profile["syscalls"][1], json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
        assert_eq!(profile["architectures"], json!(["SCMP_ARCH_X86_64"]));
        assert!(ALWAYS.is_sorted());
    }

    #[test]
    fn a_merge_is_a_union_that_keeps_conditions() {
        let when = json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]});
        let old = json!({"defaultAction": "SCMP_ACT_KILL", "syscalls": [
            {"names": ["rmdir"], "action": "SCMP_ACT_ALLOW"}, when, {"names": ["mkdir"], "action": "SCMP_ACT_LOG"}]});
        let profile = emitted(&[call(83)], Some(old));
        let allowed = strings(&profile["syscalls"][0]["names"]);
        assert!(allowed.contains("mkdir") && allowed.contains("rmdir"));
        assert_eq!((&profile["defaultAction"], &profile["syscalls"][2]), (&json!("SCMP_ACT_KILL"), &when));
        assert_eq!(profile["syscalls"].as_array().map(Vec::len), Some(3));
    }
}
