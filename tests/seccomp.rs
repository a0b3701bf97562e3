//! System call filters, seen from inside: what a blocked call returns by each door of the kernel, and to whom it is reported.

mod actions;
mod foretold;
mod measure;
mod oracle;
mod profiles;
mod program;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::*;
use actions::*;
use foretold::*;
use measure::*;
use oracle::*;
use program::{Door, program, program_i386};

crate::tests![
    random_profiles_decide_as_libseccomp_does if lacks_libseccomp,
    other_architectures_decide_as_libseccomp_does if lacks_libseccomp,
    profiles_of_engines_decide_as_libseccomp_does if lacks_libseccomp,
    podmans_profile_decides_as_libseccomp_does if lacks_podmans_profile,
    the_filter_of_an_engines_profile_is_small,
    a_call_costs_no_more_than_in_libseccomps_tree if lacks_libseccomp,
    blocked_calls_return_the_profiles_errno,
    a_filter_works_without_no_new_privileges,
    a_profile_need_not_know_the_calls_of_rrun,
    whole_arguments_are_compared,
    killing_actions_end_the_process_with_sigsys,
    calls_newer_than_the_profile_return_enosys,
    an_architecture_that_is_not_listed_is_killed if lacks_i386,
    calls_of_i386_have_their_own_table if lacks_i386,
    a_program_of_i386_obeys_its_own_table if lacks_i386,
    calls_with_the_x32_bit_have_their_own_table,
    an_executed_process_obeys_the_profile,
    programs_run_under_an_engines_profile,
    notified_calls_are_answered_by_the_agent if lacks_python,
    an_absent_agent_is_an_error,
    contradictions_are_refused,
    a_traced_call_without_a_tracer_does_not_exist,
    a_traced_call_is_answered_by_the_tracer if || needs_root().or_else(lacks_tracer),
    a_logged_call_is_made,
    every_operator_compares_64_bits_in_the_kernel,
    every_architecture_can_be_listed,
    flags_reach_the_kernel_or_are_refused,
    an_unknown_call_that_is_restricted_is_a_warning,
    an_executed_process_has_its_own_listener if lacks_python,
    a_profile_that_kills_execve_is_refused,
    a_profile_may_kill_what_the_start_does_not_need,
    a_refused_execve_is_explained,
    a_call_refused_on_the_way_is_named,
    a_death_on_the_way_is_explained,
    sendmsg_cannot_wait_for_the_listener,
];

const EPERM: i64 = -1;
const EACCES: i64 = -13;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;

/// Numbers of x86-64 and, where they differ, i386, of calls without effects.
const GETUID: u32 = 102;
const GETPPID: u32 = 110;
const GETPGRP: u32 = 111;
const GETPGID: u32 = 121;
const GETPPID_I386: u32 = 64;
const GETPGRP_I386: u32 = 65;
const X32_BIT: u32 = 0x4000_0000;

fn lacks_i386() -> Option<&'static str> {
    let path = work_dir().join("i386");
    put(&path, &program_i386(&[]));
    if Command::new(path).status().is_ok_and(|s| s.success()) { None } else { Some("the kernel runs no programs of i386") }
}

fn lacks_python() -> Option<&'static str> {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|s| s.success()) { None } else { Some("python3 is not installed") }
}

fn put(path: &Path, program: &[u8]) {
    std::fs::write(path, program).expect("write the program");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("chmod");
}

/// A bundle that runs `program` under `profile`.
fn bundle(program: &[u8], profile: Value) -> Bundle {
    let mut bundle = Bundle::new(&["/bin/calls"]);
    put(&bundle.rootfs().join("bin/calls"), program);
    bundle.config["linux"]["seccomp"] = profile;
    bundle
}

/// The 64-bit results that the program wrote.
#[track_caller]
fn results(bundle: &Bundle) -> Vec<i64> {
    let out = bundle.write().command(["run", &bundle.id]).output().expect("start rrun");
    assert!(out.status.success(), "{:?}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    out.stdout.chunks(8).map(|w| i64::from_le_bytes(w.try_into().expect("eight bytes"))).collect()
}

fn rule(name: &str, action: &str) -> Value {
    json!({"names": [name], "action": format!("SCMP_ACT_{action}")})
}

fn allow_but(rules: Vec<Value>) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})
}

fn lacks_podmans_profile() -> Option<&'static str> {
    match profiles::podman() {
        None => Some("golang-github-containers-common is not installed"),
        Some(_) => lacks_libseccomp(),
    }
}

fn profiles_of_engines_decide_as_libseccomp_does() {
    agree_on(&[profiles::engine(), profiles::deny_list()]);
}

fn podmans_profile_decides_as_libseccomp_does() {
    agree_on(&[profiles::podman().expect("was there")]);
}

const THREE: [(Door, u32, [u64; 3]); 3] =
    [(Door::Syscall, GETUID, [0; 3]), (Door::Syscall, GETPPID, [0; 3]), (Door::Syscall, GETPGRP, [0; 3])];

fn three() -> Value {
    let mut invalid = rule("getpgrp", "ERRNO");
    invalid["errnoRet"] = json!(22);
    allow_but(vec![rule("getppid", "ERRNO"), invalid])
}

fn blocked_calls_return_the_profiles_errno() {
    assert_eq!(results(&bundle(&program(&THREE), three())), [0, EPERM, EINVAL]);
}

fn a_filter_works_without_no_new_privileges() {
    let mut bundle = bundle(&program(&THREE), three());
    bundle.config["process"]["noNewPrivileges"] = json!(false);
    bundle.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(results(&bundle), [1000, EPERM, EINVAL]);
}

/// Without no_new_privs the filter comes early; a profile older than these calls must do all the same.
fn a_profile_need_not_know_the_calls_of_rrun() {
    let mut b = Bundle::new(&["sh", "-c", "pwd > /seen; echo $(ls /proc/self/fd) >> /seen"]);
    let newer = ["openat2", "close_range", "pidfd_open", "faccessat2", "clone3", "fchmodat2", "statx", "execveat"];
    b.config["linux"]["seccomp"] = allow_but(vec![json!({"names": newer, "action": "SCMP_ACT_ERRNO"})]);
    b.config["process"]["noNewPrivileges"] = json!(false);
    b.config["process"]["cwd"] = json!("/made/here");
    b.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let hook = |script: &str| json!({"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 10});
    let script = "cat > /state; echo $(ls /proc/self/fd) > /hooked";
    b.config["hooks"] = json!({"startContainer": [hook(script)]});
    for file in ["seen", "state", "hooked"] {
        put(&b.rootfs().join(file), b"");
        std::fs::set_permissions(b.rootfs().join(file), PermissionsExt::from_mode(0o666)).expect("chmod");
    }
    b.create();
    b.rrun(["start", &b.id]).ok();
    b.wait_for("stopped");
    let read = |file: &str| std::fs::read_to_string(b.rootfs().join(file)).expect(file);
    assert_eq!(read("seen"), "/made/here\n0 1 2 3\n");
    assert_eq!(read("hooked"), "0 1 2 3\n");
    assert!(read("state").contains(&b.id));
    b.rrun(["delete", &b.id]).ok();
    b.config["hooks"]["startContainer"] = json!([hook("exit 3")]);
    b.run().fails_with("error running startContainer hook #0: exit status 3");
}

fn whole_arguments_are_compared() {
    let condition = json!([{"index": 0, "op": "SCMP_CMP_EQ", "value": 0x1_0000_0000_u64}]);
    let mut blocked = rule("getpgid", "ERRNO");
    blocked["args"] = condition;
    let calls = [0, 1, 0x1_0000_0000, 0x2_0000_0000].map(|pid| (Door::Syscall, GETPGID, [pid, 0, 0]));
    // The kernel itself looks at the lower half only: 0 is the caller, whose group is 1.
    assert_eq!(results(&bundle(&program(&calls), allow_but(vec![blocked]))), [1, 1, EPERM, 1]);
}

fn killing_actions_end_the_process_with_sigsys() {
    for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"] {
        let done = bundle(&program(&THREE), allow_but(vec![rule("getppid", action)])).run();
        assert_eq!((done.code, done.out.as_str()), (128 + libc::SIGSYS, ""), "{action}: {}", done.err);
    }
}

/// What rrun and the program need, and calls up to number 334 (rseq).
fn deny_but() -> Value {
    let names = ["execve", "write", "exit_group", "getuid", "rseq", "brk", "close", "read", "exit"];
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]})
}

fn calls_newer_than_the_profile_return_enosys() {
    // io_pgetevents, which is older than rseq, and pidfd_send_signal and clone3, which are newer.
    let calls = [GETUID, GETPPID, 333, 424, 435].map(|number| (Door::Syscall, number, [0; 3]));
    assert_eq!(results(&bundle(&program(&calls), deny_but())), [0, EACCES, EACCES, ENOSYS, ENOSYS]);
    let mut hidden = rule("clone3", "ERRNO");
    hidden["errnoRet"] = json!(38);
    let clone3 = [(Door::Syscall, 435, [0; 3])];
    assert_eq!(results(&bundle(&program(&clone3), allow_but(vec![hidden]))), [ENOSYS]);
}

fn an_architecture_that_is_not_listed_is_killed() {
    let calls = [(Door::Int80, GETPPID_I386, [0; 3])];
    assert_eq!(bundle(&program(&calls), allow_but(vec![])).run().code, 128 + libc::SIGSYS);
    let calls = [(Door::Syscall, X32_BIT | GETPPID, [0; 3])];
    assert_eq!(bundle(&program(&calls), allow_but(vec![])).run().code, 128 + libc::SIGSYS);
}

fn i386_profile() -> Value {
    let mut profile = three();
    profile["architectures"] = json!(["SCMP_ARCH_X86"]);
    profile
}

fn calls_of_i386_have_their_own_table() {
    let calls = [
        (Door::Int80, GETPPID_I386, [0; 3]),
        (Door::Int80, GETPGRP_I386, [0; 3]),
        (Door::Int80, GETPPID, [0; 3]),
        (Door::Syscall, GETPPID, [0; 3]),
    ];
    let found: Vec<i32> = results(&bundle(&program(&calls), i386_profile())).into_iter().map(|r| r as i32).collect();
    assert_eq!(found[..2], [EPERM as i32, EINVAL as i32]);
    // iopl(0): whatever the kernel says, it is not the filter's answer to getppid.
    assert_ne!(found[2], EPERM as i32, "iopl");
    assert_eq!(found[3], EPERM as i32);
}

fn a_program_of_i386_obeys_its_own_table() {
    let bundle = bundle(&program_i386(&[(GETPPID_I386, [0; 3]), (GETPGRP_I386, [0; 3]), (20, [0; 3])]), i386_profile());
    let out = bundle.write().command(["run", &bundle.id]).output().expect("start rrun");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let found: Vec<i32> = out.stdout.chunks(4).map(|w| i32::from_le_bytes(w.try_into().expect("four bytes"))).collect();
    assert_eq!(found, [EPERM as i32, EINVAL as i32, 1]);
}

fn calls_with_the_x32_bit_have_their_own_table() {
    let mut profile = three();
    profile["architectures"] = json!(["SCMP_ARCH_X32"]);
    // 16 is ioctl of x86-64; x32 has it at 514.
    profile["syscalls"].as_array_mut().expect("rules").push(rule("ioctl", "ERRNO"));
    let calls = [GETPPID, GETPGRP, 514, 16].map(|number| (Door::Syscall, X32_BIT | number, [99, 0, 0]));
    let found = results(&bundle(&program(&calls), profile));
    assert_eq!(found[..3], [EPERM, EINVAL, EPERM]);
    assert_ne!(found[3], EPERM);
}

fn an_executed_process_obeys_the_profile() {
    let mut bundle = bundle(&program(&THREE), three());
    bundle.config["process"]["args"] = json!(["/bin/sleep", "1000"]);
    bundle.run_detached();
    let out = bundle.command(["exec", &bundle.id, "/bin/calls"]).output().expect("start rrun");
    let found: Vec<i64> = out.stdout.chunks(8).map(|w| i64::from_le_bytes(w.try_into().expect("eight bytes"))).collect();
    assert_eq!(found, [0, EPERM, EINVAL], "{}", String::from_utf8_lossy(&out.stderr));
}

fn programs_run_under_an_engines_profile() {
    for profile in [Some(profiles::engine()), Some(profiles::deny_list()), profiles::podman()].into_iter().flatten() {
        for no_new_privileges in [true, false] {
            let mut bundle = Bundle::new(&["/bin/sh", "-c", "ls / | sort | head -n1; grep Seccomp: /proc/self/status"]);
            bundle.config["linux"]["seccomp"] = profile.clone();
            bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
            let out = bundle.run().ok();
            assert_eq!(out, "bin\nSeccomp:\t2\n");
        }
    }
}

fn notified_calls_are_answered_by_the_agent() {
    for no_new_privileges in [true, false] {
        let mut bundle = bundle(&program(&THREE), Value::Null);
        let socket = bundle.scratch("agent");
        bundle.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        bundle.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            "listenerPath": socket, "listenerMetadata": "for the agent", "syscalls": [rule("getppid", "NOTIFY")],
        });
        let mut agent = agent(&socket);
        let mut said = BufReader::new(agent.stdout.take().expect("stdout")).lines().map(|l| l.expect("UTF-8"));
        assert_eq!(said.next().as_deref(), Some("ready"));
        assert_eq!(results(&bundle), [0, 4242, 1]);
        let document: Value = serde_json::from_str(&said.next().expect("the document")).expect("JSON");
        agent.kill().expect("end the agent");
        agent.wait().expect("reap the agent");
        assert_eq!(document["fds"], json!(["seccompFd"]));
        assert_eq!(document["metadata"], "for the agent");
        assert_eq!(document["state"]["id"], json!(bundle.id));
        assert_eq!(document["state"]["status"], "creating");
        assert_eq!(document["state"]["pid"], document["pid"]);
        assert!(document["pid"].as_u64().is_some_and(|pid| pid > 1), "{document}");
        assert_eq!(document["ociVersion"], document["state"]["ociVersion"]);
    }
}

/// An agent that answers each call with the value 4242.
fn agent(socket: &Path) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/agent.py");
    Command::new("python3").arg(script).arg(socket).arg("4242").stdout(Stdio::piped()).spawn().expect("start the agent")
}

fn an_absent_agent_is_an_error() {
    let mut bundle = bundle(&program(&THREE), Value::Null);
    bundle.config["linux"]["seccomp"] =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent/agent", "syscalls": [rule("getppid", "NOTIFY")]});
    bundle.run().fails_with("connect the seccomp listener /nonexistent/agent: no such file or directory");
    bundle.assert_no_trace();
}

fn contradictions_are_refused() {
    let mut rules = vec![rule("getppid", "ERRNO"), rule("getppid", "KILL")];
    for rule in &mut rules {
        rule["args"] = json!([{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}]);
    }
    let bundle = bundle(&program(&THREE), allow_but(rules));
    bundle.run().fails_with("two seccomp rules for getppid contradict each other");
    bundle.assert_no_trace();
}
