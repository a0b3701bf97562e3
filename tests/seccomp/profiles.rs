//! Whole profiles of the kind that engines send.

use serde_json::{Value, json};

/// What the engine profile of the benchmarks allows without conditions.
const ALLOWED: &str = "\
    accept accept4 access adjtimex alarm bind brk capget capset chdir chmod chown clock_adjtime clock_getres clock_gettime \
    clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl \
    epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 \
    fallocate fanotify_mark fchdir fchmod fchmodat fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork \
    fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_waitv futimesat getcpu getcwd getdents getdents64 \
    getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid \
    getresuid getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid \
    getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents \
    io_pgetevents ioprio_get ioprio_set io_setup io_submit kill landlock_add_rule landlock_create_ruleset \
    landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat \
    madvise membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect \
    mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync \
    munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open \
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 \
    process_mrelease pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg \
    remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending \
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_getaffinity \
    sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval \
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield select semctl semget semop semtimedop \
    sendfile sendmmsg sendmsg sendto setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid \
    setresuid setreuid setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setxattr shmat \
    shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync \
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime \
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes \
    vfork vmsplice wait4 waitid write writev arch_prctl modify_ldt";

/// A profile as engines make by default: some 300 names, a few conditions, clone3 hidden.
pub fn engine() -> Value {
    let names: Vec<&str> = ALLOWED.split_whitespace().collect();
    let one = |name: &str, value: u64, op: &str| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "op": format!("SCMP_CMP_{op}")}]});
    let mut rules = vec![json!({"names": names, "action": "SCMP_ACT_ALLOW"}), one("socket", 40, "NE")];
    rules.extend([0, 8, 0x20000, 0x20008, 0xffff_ffff].map(|persona| one("personality", persona, "EQ")));
    rules.push(one("clone", 0x7e02_0000, "MASKED_EQ"));
    rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules,
    })
}

/// The engine profile turned round: everything is allowed but what can harm the host or leave the container, with several
/// actions and rules for one call.
pub fn deny_list() -> Value {
    let on =
        |name: &str, action: &str, args: Value| json!({"names": [name], "action": format!("SCMP_ACT_{action}"), "args": args});
    let is = |index: u8, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["mount", "umount2", "pivot_root", "move_mount", "open_tree", "fsopen", "fsmount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            {"names": ["keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            on("socket", "ERRNO", json!([is(0, 16), is(2, 9)])),
            on("socket", "LOG", json!([is(0, 17)])),
            on("socket", "KILL", json!([is(0, 40)])),
            on("ioctl", "ERRNO", json!([is(1, 0x5412)])),
            on("ioctl", "ERRNO", json!([is(1, 0x541c)])),
            on("ptrace", "TRAP", json!([{"index": 0, "value": 16, "op": "SCMP_CMP_GE"}])),
            on("ptrace", "LOG", json!([{"index": 0, "value": 4, "op": "SCMP_CMP_LT"}])),
        ],
    })
}

/// Podman's default profile as its package installs it, reduced to what Podman sends for a container on x86-64 without added
/// capabilities; `None` if it is not installed.
pub fn podman() -> Option<Value> {
    let text = std::fs::read(PODMAN).ok()?;
    let file: Value = serde_json::from_slice(&text).expect("JSON");
    let mut rules = Vec::new();
    for rule in file["syscalls"].as_array().expect("rules") {
        let included = |kind: &str| rule["includes"][kind].as_array().filter(|list| !list.is_empty());
        let here = included("arches").is_none_or(|list| list.contains(&json!("amd64")));
        if included("caps").is_none() && here {
            let keys = ["names", "action", "args", "errnoRet"].into_iter().filter(|k| !rule[*k].is_null());
            rules.push(Value::Object(keys.map(|k| (k.to_owned(), rule[k].clone())).collect()));
        }
    }
    let mut profile = engine();
    profile["defaultErrnoRet"] = file["defaultErrnoRet"].clone();
    profile["syscalls"] = rules.into();
    Some(profile)
}

const PODMAN: &str = "/usr/share/containers/seccomp.json";
