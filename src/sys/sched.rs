//! How much and when a process runs: prlimit(2), sched_setattr(2), sched_setaffinity(2), ioprio_set(2), set_mempolicy(2).
//!
//! Masks of CPUs and nodes are slices of any length: the C library's `cpu_set_t` ends at CPU 1023, the kernel does not.
//! Limits are set by prlimit(2), because it takes a pid: inside a user namespace the process itself has not the right.

use std::io;

use super::check;

/// `struct sched_attr` (sched_setattr(2)), as far as every kernel since 5.3 knows it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The size of this structure in bytes; filled in by [`set_attributes`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19, for SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// 1 to 99, for SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for SCHED_DEADLINE.
    pub period: u64,
    /// Lowest utilisation to assume, 0 to 1024.
    pub util_min: u32,
    /// Highest utilisation to assume, 0 to 1024.
    pub util_max: u32,
}

/// sched_setattr(2) of the calling thread.
pub fn set_attributes(attributes: &Attributes) -> io::Result<()> {
    let attributes = Attributes { size: size_of::<Attributes>() as u32, ..*attributes };
    // SAFETY: laid out as struct sched_attr, its size is inside, and it lives across the call.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// sched_setaffinity(2): `mask` holds bit n of word n / 64 for CPU n. Of any length, so that no CPU is beyond it. `pid` 0
/// is the calling thread.
pub fn set_affinity(pid: i32, mask: &[u64]) -> io::Result<()> {
    // SAFETY: the kernel reads at most the length given.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) }).map(drop)
}

/// ioprio_set(2) of the calling thread; `priority` is `class << 13 | level`.
pub fn set_io_priority(priority: i32) -> io::Result<()> {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) }).map(drop)
}

/// set_mempolicy(2) of the calling thread: `mode` is `MPOL_*` with its flags, `nodes` a mask as for [`set_affinity`].
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> io::Result<()> {
    let (pointer, bits) = if nodes.is_empty() {
        (std::ptr::null(), 0)
    } else {
        // The kernel takes one bit less than it is told.
        (nodes.as_ptr(), nodes.len() * 64 + 1)
    };
    // SAFETY: the kernel reads whole words of at most `bits - 1` bits, which the slice has.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

/// prlimit(2): sets the limit `resource` (`RLIMIT_*`) of the process `pid` (0: the caller). All bits set means no limit.
pub fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the new limit lives across the call; the old one is not asked for.
    let ret =
        unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, std::ptr::null_mut::<libc::rlimit64>()) };
    check(ret).map(drop)
}
