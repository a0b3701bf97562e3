//! What system calls tell. All `unsafe` of the witness stands here.

use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

/// A number, or `null` for a failed call.
fn number(ret: libc::c_long) -> Value {
    if ret < 0 { Value::Null } else { json!(ret) }
}

/// The system call `number` with numbers and texts as arguments: the result, or the errno's name.
pub fn call(number: i64, args: &[Argument]) -> Result<i64, Errno> {
    let word = |i: usize| args.get(i).map_or(0, Argument::word);
    // SAFETY: the test that asked for this call knows what it does to the witness, which does nothing else afterwards.
    Errno::result(unsafe { libc::syscall(number, word(0), word(1), word(2), word(3), word(4), word(5)) })
}

/// An argument of a raw system call.
pub enum Argument {
    /// Passed as it is.
    Number(i64),
    /// Passed as a pointer.
    Text(CString),
}

impl Argument {
    fn word(&self) -> i64 {
        match self {
            Self::Number(n) => *n,
            Self::Text(text) => text.as_ptr() as i64,
        }
    }
}

/// Touches every page of so many bytes and keeps them.
pub fn touch(bytes: usize) -> Result<(), Errno> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping that nobody else knows; each write lies inside it.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        (0..bytes).step_by(4096).for_each(|at| start.cast::<u8>().add(at).write_volatile(1));
    }
    Ok(())
}

/// Starts up to `count` children that live until the end of the witness; how many there were, and why no more.
pub fn fork_children(count: usize) -> (usize, Option<Errno>) {
    let mut children = Vec::new();
    let mut why = None;
    for _ in 0..count {
        // SAFETY: one thread; the child only waits.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            },
            -1 => {
                why = Some(Errno::last());
                break;
            }
            pid => children.push(pid),
        }
    }
    for &pid in &children {
        // SAFETY: our own children, not yet waited for.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    (children.len(), why)
}

/// Waits for a signal that usually ends a program, tells its name and returns its number. As PID 1 it would otherwise not
/// even be delivered.
pub fn wait_for_signal(tell: impl Fn(&str)) -> i32 {
    use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    let set: SigSet = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2].into_iter().collect();
    set.thread_block().expect("block signals");
    let signal = loop {
        if let Ok(signal) = set.wait() {
            break signal;
        }
    };
    tell(signal.as_str());
    signal as i32
}

/// A prctl(2) question whose answer is its return value.
pub fn prctl(option: i32) -> Value {
    // SAFETY: the questions asked take no pointer.
    number(unsafe { libc::prctl(option, 0, 0, 0, 0) }.into())
}

/// The signal that the parent's death sends, 0 for none.
pub fn parent_death_signal() -> Value {
    let mut signal: libc::c_int = 0;
    // SAFETY: the kernel stores one int.
    if unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) } < 0 { Value::Null } else { json!(signal) }
}

/// The thread's name.
pub fn comm() -> Value {
    let mut name = [0u8; 16];
    // SAFETY: the kernel stores at most 16 bytes, the last of them zero.
    if unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) } < 0 {
        return Value::Null;
    }
    CStr::from_bytes_until_nul(&name).map_or(Value::Null, |n| json!(n.to_string_lossy()))
}

/// The supplementary groups, sorted.
pub fn groups() -> Value {
    nix::unistd::getgroups().map_or(Value::Null, |groups| {
        let mut ids: Vec<u32> = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
        ids.sort_unstable();
        json!(ids)
    })
}

/// The file mode creation mask.
pub fn umask() -> Value {
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(mask);
    json!(mask.bits())
}

/// Host name and NIS domain name.
pub fn host_names() -> (Value, Value) {
    // SAFETY: utsname is plain bytes that the kernel fills with NUL-terminated texts.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    if unsafe { libc::uname(&raw mut names) } < 0 {
        return (Value::Null, Value::Null);
    }
    // SAFETY: NUL-terminated by the kernel.
    let text = |field: &[libc::c_char]| json!(unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy());
    (text(&names.nodename), text(&names.domainname))
}

/// Seconds since the clocks' zero.
pub fn clocks() -> Value {
    let seconds = |clock| nix::time::clock_gettime(clock).map_or(Value::Null, |t| json!(t.tv_sec()));
    use nix::time::ClockId as Id;
    json!({ "realtime": seconds(Id::CLOCK_REALTIME), "monotonic": seconds(Id::CLOCK_MONOTONIC), "boottime": seconds(Id::CLOCK_BOOTTIME) })
}

/// `{"RLIMIT_NOFILE": {"soft": …, "hard": …}, …}`; no limit is 18446744073709551615.
pub fn rlimits() -> Value {
    let names = [
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME",
    ];
    let ask = |(number, name): (usize, &&str)| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel fills one struct.
        let ret = unsafe { libc::getrlimit(number as _, &raw mut limit) };
        (ret == 0).then(|| (format!("RLIMIT_{name}"), json!({ "soft": limit.rlim_cur, "hard": limit.rlim_max })))
    };
    Value::Object(names.iter().enumerate().filter_map(ask).collect())
}

/// sched_getattr(2): the policy by name and all parameters.
pub fn scheduler() -> Value {
    // SAFETY: sched_attr is plain data.
    let mut a: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills at most the size given.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut a, size_of::<libc::sched_attr>(), 0) } < 0 {
        return Value::Null;
    }
    let names = ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "", "SCHED_IDLE", "SCHED_DEADLINE", "SCHED_EXT"];
    json!({
        "policy": names.get(a.sched_policy as usize), "priority": a.sched_priority, "nice": a.sched_nice, "flags": a.sched_flags,
        "runtime": a.sched_runtime, "deadline": a.sched_deadline, "period": a.sched_period,
    })
}

/// ioprio_get(2): class by name, and level.
pub fn ioprio() -> Value {
    // SAFETY: numbers: IOPRIO_WHO_PROCESS, this process.
    let value = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
    let names = ["IOPRIO_CLASS_NONE", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"];
    usize::try_from(value).map_or(Value::Null, |v| json!({ "class": names.get(v >> 13), "priority": v & 7 }))
}

/// The CPUs this process may use.
pub fn affinity() -> Value {
    let mut mask = [0u8; 8192];
    // SAFETY: the kernel fills at most the length given and returns how much.
    let n = unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, mask.len(), mask.as_mut_ptr()) };
    let Ok(bytes) = usize::try_from(n) else { return Value::Null };
    (0..bytes * 8).filter(|cpu| mask[cpu / 8] >> (cpu % 8) & 1 == 1).collect()
}

/// get_mempolicy(2): the mode with its flags, and the nodes.
pub fn memory_policy() -> Value {
    let mut mode: libc::c_int = 0;
    let mut nodes = [0u64; 16];
    // SAFETY: the kernel stores one int and at most 1024 bits.
    if unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, nodes.as_mut_ptr(), 1024, 0, 0) } < 0 {
        return Value::Null;
    }
    let set: Vec<usize> = (0..1024).filter(|n| nodes[n / 64] >> (n % 64) & 1 == 1).collect();
    json!({ "mode": mode, "nodes": set })
}

/// personality(2).
pub fn personality() -> Value {
    // SAFETY: all ones only asks.
    number(unsafe { libc::personality(0xffff_ffff) }.into())
}

/// `{"id": serial, "description": "keyring;uid;gid;mode;_ses.ID"}` (keyctl(2)).
pub fn session_keyring() -> Value {
    const GET_KEYRING_ID: i32 = 0;
    const DESCRIBE: i32 = 6;
    const GET_SECURITY: i32 = 17;
    const SESSION: i32 = -3;
    let mut text = [0u8; 512];
    // SAFETY: numbers only; 0 asks not to make a keyring.
    let id = unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION, 0) };
    // SAFETY: the kernel stores at most the length given.
    let n = unsafe { libc::syscall(libc::SYS_keyctl, DESCRIBE, SESSION, text.as_mut_ptr(), text.len()) };
    if id < 0 || n < 0 {
        return Value::Null;
    }
    let string = |text: &[u8]| CStr::from_bytes_until_nul(text).map(|t| t.to_string_lossy().into_owned()).ok();
    let description = string(&text);
    text.fill(0);
    // SAFETY: the kernel stores at most the length given.
    unsafe { libc::syscall(libc::SYS_keyctl, GET_SECURITY, SESSION, text.as_mut_ptr(), text.len()) };
    json!({ "id": id, "description": description, "label": string(&text) })
}

/// Whether a standard descriptor is a terminal.
pub fn is_terminal(fd: i32) -> bool {
    // SAFETY: only asks.
    unsafe { libc::isatty(fd) == 1 }
}

/// The window size of the terminal on stdin.
pub fn window_size() -> Value {
    // SAFETY: winsize is plain data that the kernel fills.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    if unsafe { libc::ioctl(0, libc::TIOCGWINSZ, &raw mut size) } < 0 {
        return Value::Null;
    }
    json!({ "rows": size.ws_row, "columns": size.ws_col })
}

/// Whether a blocked signal waits.
pub fn is_pending(signal: Signal) -> bool {
    // SAFETY: sigset_t is plain data that the kernel fills.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::sigpending(&raw mut set) == 0 && libc::sigismember(&raw const set, signal as i32) == 1 }
}

/// Whether the process could be traced; it is let go at once.
pub fn trace(pid: i64) -> bool {
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: seizing passes no pointer.
    if unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid as libc::pid_t, null, null) } != 0 {
        return false;
    }
    // SAFETY: as above; a tracee must be stopped before it can be let go.
    unsafe {
        libc::ptrace(libc::PTRACE_INTERRUPT, pid as libc::pid_t, null, null);
        libc::waitpid(pid as libc::pid_t, std::ptr::null_mut(), libc::__WALL);
        libc::ptrace(libc::PTRACE_DETACH, pid as libc::pid_t, null, null);
    }
    true
}

/// Whether a byte of the process's memory could be read.
pub fn peek(pid: i64, address: i64) -> bool {
    let mut byte = 0u8;
    let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let there = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: 1 };
    // SAFETY: the kernel stores one byte here and judges the other address itself.
    unsafe { libc::process_vm_readv(pid as libc::pid_t, &raw const here, 1, &raw const there, 1, 0) == 1 }
}

/// The timers that the process has: seconds and microseconds of the three interval timers, and the slack of sleeping.
pub fn timers() -> Value {
    let left = |which: i64| {
        // SAFETY: itimerval is plain data that the kernel fills.
        let mut timer: libc::itimerval = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_getitimer, which, &raw mut timer) };
        json!([timer.it_value.tv_sec, timer.it_value.tv_usec])
    };
    json!({ "interval": [left(0), left(1), left(2)], "slack": prctl(libc::PR_GET_TIMERSLACK) })
}
