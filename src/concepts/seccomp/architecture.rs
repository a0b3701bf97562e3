//! What a filter must know of an architecture: how the kernel names it, how wide its arguments are, which number a call has.
//!
//! A number means nothing without its architecture: 59 is `execve` on x86-64 and `oldolduname` on i386, and one process may
//! use both tables (and x32, a bit in the number, as a third). A filter that reads the number alone is bypassed by
//! choosing the other entry point. So a filter has one table per architecture and kills what it has no table for.
//! Facts: linux/audit.h, seccomp(2), and the kernel's system call tables (syscalls.in).

use oci_spec::runtime::Arch;

/// Bit of an x32 call's number (arch/x86/include/uapi/asm/unistd.h).
pub const X32_BIT: u32 = 0x4000_0000;
/// `AUDIT_ARCH_X86_64`, which x32 calls have too.
pub const X86_TOKEN: u32 = 0xc000_003e;
/// First of ARM's private calls (`__ARM_NR_BASE`); syscalls.in stores them from [`ARM_PACKED`] on.
const ARM_PRIVATE: u32 = 0x000f_0000;
const ARM_PACKED: u16 = 0x8000;

/// The columns of syscalls.in, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[rustfmt::skip]
pub enum Column {
    X86_64, X86, X32, Aarch64, Arm, Riscv64, Loongarch64, Ppc64, Ppc, S390x, S390, Mips64, Mips64n32, Mips, Parisc64, Parisc, M68k, Sh,
}

const COLUMNS: usize = 18;
/// Not on this architecture.
const X: u16 = 0xffff;

/// Every system call of every architecture, sorted by name.
const CALLS: &[(&str, [u16; COLUMNS])] = &include!("syscalls.in");

/// A hash table of [`CALLS`], made by the compiler: a profile has hundreds of names, and each start looks them all up.
static PLACES: [u16; SLOTS] = places();
const SLOTS: usize = 2048;

/// Where the search for a name begins (FNV-1a).
const fn slot(name: &str) -> usize {
    let (bytes, mut hash, mut at) = (name.as_bytes(), 0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ hash >> 16) as usize % SLOTS
}

/// One more than the place of each call in [`CALLS`], at the first free slot from its own on; 0 is free.
const fn places() -> [u16; SLOTS] {
    let (mut table, mut at) = ([0; SLOTS], 0);
    while at < CALLS.len() {
        let mut slot = slot(CALLS[at].0);
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        at += 1;
        table[slot] = at as u16;
    }
    table
}

/// One architecture as a filter sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// The name people use, `x86_64`.
    pub name: &'static str,
    /// The value of `seccomp_data.arch` (`AUDIT_ARCH_*`). x32 has that of x86-64.
    pub token: u32,
    /// Its column of syscalls.in.
    pub column: Column,
    /// Added to the numbers of the column: MIPS starts each table at a number of its own, x32 has its bit.
    pub base: u32,
    /// Whether conditions compare 64 bits. Where registers have 32, the upper half is not looked at (as in libseccomp).
    pub wide: bool,
    /// Whether the upper half of an argument comes first in `seccomp_data`.
    pub big_endian: bool,
    /// Whether sockets and System V IPC can also be reached through `socketcall` and `ipc`, the first argument choosing.
    pub multiplexed: bool,
}

const fn arch(name: &'static str, token: u32, column: Column) -> Architecture {
    // The token tells both: __AUDIT_ARCH_64BIT and __AUDIT_ARCH_LE.
    let wide = token & 0x8000_0000 != 0 && !matches!(column, Column::X32 | Column::Mips64n32);
    let base = match column {
        Column::X32 => X32_BIT,
        Column::Mips => 4000,
        Column::Mips64 => 5000,
        Column::Mips64n32 => 6000,
        _ => 0,
    };
    use Column::*;
    let multiplexed = matches!(column, X86 | Ppc64 | Ppc | S390x | S390 | Mips | M68k | Sh);
    Architecture { name, token, column, base, wide, big_endian: token & 0x4000_0000 == 0, multiplexed }
}

/// All that a profile can name. The order is that of the blocks in a filter, behind the native one.
#[rustfmt::skip]
pub static ALL: [Architecture; 23] = [
    arch("x86_64", 0xc000_003e, Column::X86_64),
    arch("x32", 0xc000_003e, Column::X32),
    arch("x86", 0x4000_0003, Column::X86),
    arch("aarch64", 0xc000_00b7, Column::Aarch64),
    arch("arm", 0x4000_0028, Column::Arm),
    arch("riscv64", 0xc000_00f3, Column::Riscv64),
    arch("loongarch64", 0xc000_0102, Column::Loongarch64),
    arch("ppc64le", 0xc000_0015, Column::Ppc64),
    arch("ppc64", 0x8000_0015, Column::Ppc64),
    arch("ppc", 0x0000_0014, Column::Ppc),
    arch("s390x", 0x8000_0016, Column::S390x),
    arch("s390", 0x0000_0016, Column::S390),
    arch("mipsel64", 0xc000_0008, Column::Mips64),
    arch("mipsel64n32", 0xe000_0008, Column::Mips64n32),
    arch("mipsel", 0x4000_0008, Column::Mips),
    arch("mips64", 0x8000_0008, Column::Mips64),
    arch("mips64n32", 0xa000_0008, Column::Mips64n32),
    arch("mips", 0x0000_0008, Column::Mips),
    arch("parisc64", 0x8000_000f, Column::Parisc64),
    arch("parisc", 0x0000_000f, Column::Parisc),
    arch("m68k", 0x0000_0004, Column::M68k),
    arch("sh", 0x4000_002a, Column::Sh),
    arch("sheb", 0x0000_002a, Column::Sh),
];

/// The name of the architecture that rrun was built for, which is the one it runs on.
const NATIVE: &str = if cfg!(target_arch = "x86_64") {
    "x86_64"
} else if cfg!(target_arch = "x86") {
    "x86"
} else if cfg!(target_arch = "aarch64") {
    "aarch64"
} else if cfg!(target_arch = "arm") {
    "arm"
} else if cfg!(target_arch = "riscv64") {
    "riscv64"
} else if cfg!(target_arch = "loongarch64") {
    "loongarch64"
} else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
    "ppc64le"
} else if cfg!(target_arch = "powerpc64") {
    "ppc64"
} else if cfg!(target_arch = "s390x") {
    "s390x"
} else {
    panic!("no system call table is marked as native for this architecture")
};

/// The architecture called `name`.
pub fn named(name: &str) -> Option<&'static Architecture> {
    ALL.iter().find(|a| a.name == name)
}

/// The architecture that rrun runs on.
pub fn native() -> &'static Architecture {
    named(NATIVE).expect("the native architecture is in the list")
}

/// The architecture that a profile calls `SCMP_ARCH_*`.
pub fn of(arch: Arch) -> &'static Architecture {
    match arch {
        Arch::ScmpArchNative => native(),
        // libseccomp's token for x32 lacks the 64-bit flag, to tell it from x86-64.
        Arch::ScmpArchX32 => named("x32").expect("x32 is in the list"),
        other => ALL.iter().find(|a| a.token == other as u32).expect("every SCMP_ARCH_* is in the list"),
    }
}

/// The names of all system calls, for suggestions.
pub fn call_names() -> impl Iterator<Item = &'static str> + Clone {
    CALLS.iter().map(|(name, _)| *name)
}

/// What a call is called whose `seccomp_data` has this architecture and number: the architecture's name, and the call's unless
/// it is newer than the table. `None` for an architecture that nobody has.
pub fn call_of(token: u32, number: u32) -> Option<(&'static str, Option<&'static str>)> {
    // x32 shares its token with x86-64; the bit tells.
    let x32 = token == X86_TOKEN && number != u32::MAX && number & X32_BIT != 0;
    let on = ALL.iter().find(|a| a.token == token && (a.column == Column::X32) == x32)?;
    let name = CALLS.iter().find(|(_, numbers)| Call(numbers).number(on) == Some(number));
    Some((on.name, name.map(|(name, _)| *name)))
}

/// The name of the architecture that rrun runs on.
pub fn native_name() -> &'static str {
    NATIVE
}

/// How many calls the native architecture has.
pub fn call_count() -> usize {
    CALLS.iter().filter(|(_, numbers)| Call(numbers).number(native()).is_some()).count()
}

/// A system call by its name, on all architectures at once.
pub struct Call(&'static [u16; COLUMNS]);

impl Call {
    /// Finds a name; `None` if no architecture knows it.
    pub fn named(name: &str) -> Option<Self> {
        let mut slot = slot(name);
        while let Some(at) = PLACES[slot].checked_sub(1) {
            let (known, numbers) = &CALLS[usize::from(at)];
            if *known == name {
                return Some(Self(numbers));
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }

    /// Its number on an architecture, as `seccomp_data.nr` has it.
    pub fn number(&self, on: &Architecture) -> Option<u32> {
        match self.0[on.column as usize] {
            X => None,
            n if n >= ARM_PACKED => Some(u32::from(n - ARM_PACKED) + ARM_PRIVATE),
            n => Some(u32::from(n) + on.base),
        }
    }
}

impl Architecture {
    /// Where the numbers begin that lie outside the table that grows with every kernel: ARM's private calls.
    pub fn first_private(&self) -> Option<u32> {
        (self.column == Column::Arm).then_some(ARM_PRIVATE)
    }

    /// Whether `number` is one of those.
    pub fn is_private(&self, number: u32) -> bool {
        self.first_private().is_some_and(|first| number >= first)
    }
}

/// What the first argument of `socketcall` (linux/net.h) or `ipc` (linux/ipc.h) must be to reach the call `name`: the
/// multiplexer's name and that number.
#[rustfmt::skip]
pub fn multiplexer(name: &str) -> Option<(&'static str, u64)> {
    let code = match name {
        "socket" => 1, "bind" => 2, "connect" => 3, "listen" => 4, "accept" => 5, "getsockname" => 6, "getpeername" => 7,
        "socketpair" => 8, "send" => 9, "recv" => 10, "sendto" => 11, "recvfrom" => 12, "shutdown" => 13, "setsockopt" => 14,
        "getsockopt" => 15, "sendmsg" => 16, "recvmsg" => 17, "accept4" => 18, "recvmmsg" => 19, "sendmmsg" => 20,
        _ => 0,
    };
    if code != 0 {
        return Some(("socketcall", code));
    }
    let code = match name {
        "semop" => 1, "semget" => 2, "semctl" => 3, "semtimedop" => 4, "msgsnd" => 11, "msgrcv" => 12, "msgget" => 13, "msgctl" => 14,
        "shmat" => 21, "shmdt" => 22, "shmget" => 23, "shmctl" => 24,
        _ => return None,
    };
    Some(("ipc", code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_knows_this_kernels_numbers() {
        assert!(CALLS.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(call_names().all(|name| Call::named(name).is_some()));
        let number = |name, on| Call::named(name).and_then(|c| c.number(super::named(on).expect("known")));
        assert_eq!(number("execve", "x86_64"), Some(59));
        assert_eq!(number("execve", "x86"), Some(11));
        assert_eq!(number("execve", "x32"), Some(X32_BIT + 520));
        assert_eq!(number("clone3", "mips64"), Some(5435));
        assert_eq!(number("set_tls", "arm"), Some(0x0f_0005));
        assert_eq!(number("listns", "s390x"), Some(470));
        assert_eq!(number("accept", "x86"), None);
        assert!(Call::named("no_such_call").is_none());
        assert_eq!(call_of(X86_TOKEN, 59), Some(("x86_64", Some("execve"))));
        assert_eq!(call_of(X86_TOKEN, X32_BIT + 520), Some(("x32", Some("execve"))));
        assert_eq!(call_of(0x4000_0003, 11), Some(("x86", Some("execve"))));
        assert_eq!(call_of(X86_TOKEN, 5000), Some(("x86_64", None)));
        assert_eq!(call_of(1, 1), None);
    }

    #[test]
    fn every_architecture_of_the_specification_has_a_table() {
        for arch in [Arch::ScmpArchNative, Arch::ScmpArchX86, Arch::ScmpArchX32, Arch::ScmpArchSheb, Arch::ScmpArchMipsel64n32] {
            assert!(Call::named("read").and_then(|c| c.number(of(arch))).is_some(), "{arch:?}");
        }
        assert!(of(Arch::ScmpArchX32).base == X32_BIT && !of(Arch::ScmpArchX32).wide);
        assert!(of(Arch::ScmpArchS390x).big_endian && of(Arch::ScmpArchS390x).wide && of(Arch::ScmpArchS390x).multiplexed);
    }
}
