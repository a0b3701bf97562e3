//! The system call filters of the profiles: lists of what is allowed, as everything that is not on a list is refused
//! (seccomp(2)).
//!
//! The kernel is shared by all containers, and each call is a door to it. A shell and common tools need about half of them. What
//! is missing here on purpose: mount and its family, io_uring, userfaultfd, bpf, perf_event_open, keyctl, modules, kexec, clocks,
//! and new user namespaces, behind which whole subsystems open to everybody (CVE-2022-0185).

use serde_json::{Value, json};

/// Files, memory, processes, time, sockets: what a shell, common tools and a server are made of.
const COMMON: &str = "\
    accept accept4 access alarm arch_prctl bind brk chdir chmod chown clock_getres clock_gettime clock_nanosleep close close_range \
    connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd \
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat \
    fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_waitv futimesat \
    get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid \
    getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid \
    gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get kill \
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr \
    lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create mincore mkdir mkdirat mlock mlock2 mlockall mmap mprotect \
    mremap msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 \
    poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv \
    recvfrom recvmmsg recvmsg removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending \
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max \
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
    sched_setaffinity sched_yield seccomp select sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address \
    setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid \
    setsockopt setuid setxattr shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink symlinkat sync \
    sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime \
    timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork \
    vmsplice wait4 waitid write writev";

/// What engines allow beside: old System V calls, asynchronous I/O, tracing of the container's own processes, device nodes, and
/// what their capability set is good for.
const OF_ENGINES: &str = "\
    adjtimex cachestat capget capset chroot clock_adjtime fanotify_mark getxattrat io_cancel io_destroy io_getevents io_pgetevents \
    io_setup io_submit ioprio_set listxattrat map_shadow_stack memfd_secret mknod mknodat modify_ldt mq_getsetattr mq_notify mq_open \
    mq_timedreceive mq_timedsend mq_unlink mseal msgctl msgget msgrcv msgsnd name_to_handle_at pidfd_getfd pkey_alloc pkey_free \
    pkey_mprotect process_madvise process_mrelease process_vm_readv process_vm_writev ptrace remap_file_pages removexattrat \
    sched_setattr sched_setparam sched_setscheduler semctl semget semop semtimedop setxattrat shmat shmctl shmdt shmget";

/// The clone flags that make namespaces; CLONE_NEWTIME has a bit of another kind there.
const NEW_NAMESPACES: u64 = 0x7E02_0000;

/// The filter of a container without privileges. Only the machine's own kind of call: the 32-bit ones are a second set of doors.
pub fn hardened() -> Value {
    let mut filter = filter(&[COMMON]);
    filter["architectures"].as_array_mut().expect("a list").truncate(1);
    filter
}

/// The filter that engines give by default: more calls, the same doors closed.
pub fn of_engines() -> Value {
    let mut filter = filter(&[COMMON, OF_ENGINES]);
    // 32-bit Linux is harmless, too.
    let personalities = [0x8, 0x20000, 0x20008].map(personality);
    filter["syscalls"].as_array_mut().expect("a list").extend(personalities);
    filter
}

fn filter(lists: &[&str]) -> Value {
    let names: Vec<&str> = lists.iter().flat_map(|list| list.split_whitespace()).collect();
    let architectures = match std::env::consts::ARCH {
        "x86_64" => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        "aarch64" => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        "riscv64" => json!(["SCMP_ARCH_RISCV64"]),
        _ => json!([]),
    };
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": architectures,
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            // Sockets of any family, but not to the hypervisor (AF_VSOCK), which no namespace separates, nor to the kernel's
            // cryptography (AF_ALG).
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": libc::AF_ALG, "op": "SCMP_CMP_LT"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": libc::AF_ALG + 1, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": libc::AF_VSOCK, "op": "SCMP_CMP_GT"}]},
            personality(0),
            // "Which one have I?"
            personality(0xFFFF_FFFF),
            {
                "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            },
            // Its flags lie in memory, where no filter sees them. "No such call" makes C libraries use clone.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS},
        ],
    })
}

fn personality(value: u64) -> Value {
    json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(filter: &Value) -> Vec<&str> {
        filter["syscalls"][0]["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect()
    }

    #[test]
    fn the_doors_of_the_kernel_are_closed() {
        for filter in [hardened(), of_engines()] {
            for closed in "mount umount2 move_mount fsopen open_tree setns unshare pivot_root io_uring_setup io_uring_enter \
                io_uring_register userfaultfd bpf perf_event_open keyctl add_key request_key init_module finit_module kexec_load \
                kexec_file_load reboot swapon settimeofday clock_settime open_by_handle_at acct quotactl"
                .split_whitespace()
            {
                assert!(!names(&filter).contains(&closed), "{closed}");
            }
        }
    }

    #[test]
    fn hardened_is_the_smaller_one() {
        let (hardened, engines) = (hardened(), of_engines());
        assert!(names(&hardened).iter().all(|n| names(&engines).contains(n)));
        for of_engines_only in ["ptrace", "mknod", "chroot", "process_vm_writev"] {
            assert!(!names(&hardened).contains(&of_engines_only) && names(&engines).contains(&of_engines_only));
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let engines = of_engines();
        let mut sorted = names(&engines);
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]), "{sorted:?}");
    }
}
