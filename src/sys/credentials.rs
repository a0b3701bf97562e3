//! What a thread may do and where it stands: capability sets (capget(2)), the bounding set (prctl(2)), the real working
//! directory (getcwd(2)).
//!
//! The C library has no wrapper for capset(2), and its getcwd hides the kernel's answer for a directory out of reach, which
//! is the very answer that matters here.

use std::io;

use super::check;
use super::process::prctl;

/// `_LINUX_CAPABILITY_VERSION_3`: two words of 32 bits per set.
const VERSION_3: u32 = 0x2008_0522;

/// The three sets that capset(2) sets, bit n standing for capability n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sets {
    /// What the kernel checks.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What may survive an execve of a file that has it in its inheritable set.
    pub inheritable: u64,
}

/// `struct __user_cap_header_struct`; pid 0 is the calling thread.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: one half of the three sets.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of the calling thread (capget(2)).
pub fn capget() -> io::Result<Sets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: for version 3 the kernel writes exactly two halves; header and halves live across the call.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let [low, high] = halves;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets the sets of the calling thread (capset(2)).
pub fn capset(sets: &Sets) -> io::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Half {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: for version 3 the kernel reads exactly two halves.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) }).map(drop)
}

/// The kernel's highest capability since Linux 5.9 (CAP_CHECKPOINT_RESTORE).
const NEWEST: u8 = 40;

/// The number of the kernel's highest capability: the first one that `PR_CAPBSET_READ` does not know is one above it. No
/// file is read for it, and two questions are enough on a kernel of today.
pub fn last_capability() -> u8 {
    let knows = |number: u8| prctl(libc::PR_CAPBSET_READ, u64::from(number), 0, 0).is_ok();
    let mut last = NEWEST;
    while last > 0 && !knows(last) {
        last -= 1;
    }
    while last < 63 && knows(last + 1) {
        last += 1;
    }
    last
}

/// The path of the working directory as the kernel says it, written into `buffer`. A directory that cannot be reached from
/// the root is `(unreachable)/…` or ENOENT.
pub fn getcwd(buffer: &mut [u8]) -> io::Result<&[u8]> {
    // SAFETY: the kernel writes at most the length given.
    let length = check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    // The length counts the final NUL.
    Ok(&buffer[..(length as usize).saturating_sub(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_reads_back_what_procfs_shows() {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
        let line = |key: &str| {
            let text = status.lines().find_map(|l| l.strip_prefix(key)).expect("a line").trim();
            u64::from_str_radix(text, 16).expect("hex")
        };
        let sets = capget().expect("capget");
        assert_eq!((sets.effective, sets.permitted, sets.inheritable), (line("CapEff:"), line("CapPrm:"), line("CapInh:")));
        let own = crate::sys::own::OwnStatus::ask().expect("own status");
        assert_eq!((own.bounding, own.permitted), (line("CapBnd:"), line("CapPrm:")));
        let last = last_capability();
        let known = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("cap_last_cap");
        assert_eq!(last.to_string(), known.trim());
    }

    #[test]
    fn the_working_directory_is_absolute() {
        let mut buffer = [0; 4096];
        assert_eq!(getcwd(&mut buffer).expect("getcwd")[0], b'/');
    }
}
