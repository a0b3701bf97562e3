#!/usr/bin/env python3
"""Writes src/concepts/seccomp/syscalls.in: the system call numbers of every architecture that a profile can name.

    scripts/syscall-tables.py > src/concepts/seccomp/syscalls.in

The facts come from the kernel's own user-space headers (Debian's linux-libc-dev-*-cross packages, downloaded with apt and
unpacked, not installed), read with the C preprocessor. Calls newer than those headers have the same number everywhere
(since Linux 5.1), so they are listed here. Needs apt-get, dpkg and gcc; run it again when the kernel gets new calls.
"""
import os, re, subprocess, sys, tempfile

# Columns, in the order of `Column` in architecture.rs: package, header to read, defines, base that is subtracted.
GENERIC64 = ["-D__LP64__", "-D__BITS_PER_LONG=64"]
COLUMNS = [
    ("x86_64", "x32", "asm/unistd_64.h", [], 0),
    ("x86", "i386", "asm/unistd_32.h", [], 0),
    ("x32", "x32", "asm/unistd_x32.h", ["-D__X32_SYSCALL_BIT=0x40000000"], 0x40000000),
    ("aarch64", "arm64", "asm/unistd.h", GENERIC64, 0),
    ("arm", "armhf", "asm/unistd.h", ["-D__ARM_EABI__"], 0),
    ("riscv64", "riscv64", "asm/unistd.h", GENERIC64 + ["-D__SIZEOF_POINTER__=8"], 0),
    # Debian 12 has no headers for it: the generic table with the choices of arch/loongarch (Linux 6.11).
    ("loongarch64", "arm64", "asm-generic/unistd.h", GENERIC64 + ["-D__ARCH_WANT_NEW_STAT", "-D__ARCH_WANT_SYS_CLONE3"], 0),
    ("ppc64", "ppc64", "asm/unistd_64.h", [], 0),
    ("ppc", "powerpc", "asm/unistd_32.h", [], 0),
    ("s390x", "s390x", "asm/unistd_64.h", [], 0),
    ("s390", "s390x", "asm/unistd_32.h", [], 0),
    ("mips64", "mips64", "asm/unistd_n64.h", ["-D__NR_Linux=5000"], 5000),
    ("mips64n32", "mipsn32", "asm/unistd_n32.h", ["-D__NR_Linux=6000"], 6000),
    ("mips", "mips", "asm/unistd_o32.h", ["-D__NR_Linux=4000"], 4000),
    ("parisc64", "hppa", "asm/unistd_64.h", [], 0),
    ("parisc", "hppa", "asm/unistd_32.h", [], 0),
    ("m68k", "m68k", "asm/unistd_32.h", [], 0),
    ("sh", "sh4", "asm/unistd_32.h", [], 0),
]
# Linux 6.2 to 7.0, the same number on every architecture (include/uapi/asm-generic/unistd.h, scripts/syscall.tbl).
NEWER = """cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr
lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr
file_setattr listns rseq_slice_yield""".split()
NEWER_FROM = 451
# Newer calls of one architecture.
ONLY = {("x86_64", "uretprobe"): 335, ("x86_64", "uprobe"): 336, ("x32", "uretprobe"): 335, ("x32", "uprobe"): 336,
        ("riscv64", "riscv_hwprobe"): 258, ("s390x", "memfd_secret"): 447, ("s390", "memfd_secret"): 447,
        ("parisc64", "cacheflush"): 356, ("parisc", "cacheflush"): 356, ("sh", "sync_file_range2"): 388}
# ARM's private calls start at 0x0f0000; here at 0x8000, so that every number fits 16 bits.
ARM_PRIVATE, ARM_PACKED = 0x0F0000, 0x8000
ABSENT = 0xFFFF
NOT_CALLS = {"syscalls", "Linux", "Linux_syscalls", "arch_specific_syscall", "O32_Linux", "O32_Linux_syscalls",
             "64_Linux", "64_Linux_syscalls", "N32_Linux", "N32_Linux_syscalls", "OABI_SYSCALL_BASE", "SYSCALL_MASK",
             "SYSCALL_BASE", "BASE"}


def headers(where, package):
    """The include directories of a package, unpacked below `where`."""
    target = os.path.join(where, package)
    if not os.path.isdir(target):
        subprocess.run(["apt-get", "download", "-qq", f"linux-libc-dev-{package}-cross"], cwd=where, check=True, stderr=subprocess.DEVNULL)
        deb = next(f for f in os.listdir(where) if f.startswith(f"linux-libc-dev-{package}-cross_"))
        subprocess.run(["dpkg", "-x", os.path.join(where, deb), target], check=True)
    triplet = os.listdir(os.path.join(target, "usr"))
    triplet = next(t for t in triplet if os.path.isdir(os.path.join(target, "usr", t, "include")))
    return os.path.join(target, "usr", triplet, "include")


def macros(include, header, defines):
    """Name to value of every __NR_ and __ARM_NR_ macro, as the preprocessor sees them."""
    flags = ["-undef", "-nostdinc", "-I", include] + defines
    run = lambda args, text: subprocess.run(["gcc", "-E", "-P", *args, *flags, "-x", "c", "-"], input=text, text=True, capture_output=True, check=True).stdout
    names = re.findall(r"^#define (__(?:ARM_)?NR_(\w+)) ", run(["-dM"], f"#include <{header}>\n"), re.M)
    text = f"#include <{header}>\n" + "".join(f"@@{name} {macro}\n" for macro, name in names)
    found = {}
    for name, value in re.findall(r"^@@(\w+) (.*)$", run([], text), re.M):
        # `@@read __NR_read`: the name itself is no macro, the second word has been replaced by its value.
        if name not in NOT_CALLS and not re.match("__|reserved|unused", name) and re.fullmatch(r"[()0-9a-fx+ ]+", value):
            found[name] = eval(value)
    return found


def column(where, name, package, header, defines, base):
    calls = {call: number - base for call, number in macros(headers(where, package), header, defines).items()}
    calls.update({call: NEWER_FROM + n for n, call in enumerate(NEWER)})
    calls.update({call: number for (arch, call), number in ONLY.items() if arch == name})
    packed = {call: n - ARM_PRIVATE + ARM_PACKED if n >= ARM_PRIVATE else n for call, n in calls.items()}
    assert packed and all(0 <= n < ABSENT for n in packed.values()), (name, packed)
    assert name == "arm" or max(packed.values()) < 1024, (name, max(packed.values()))
    return packed


def main():
    with tempfile.TemporaryDirectory() as where:
        columns = [column(where, *c) for c in COLUMNS]
    names = sorted(set().union(*columns))
    print("// Generated by scripts/syscall-tables.py from the kernel's headers; do not edit. X: not on this architecture.")
    print("//", " ".join(c[0] for c in COLUMNS))
    print("[")
    for name in names:
        print(f'("{name}",[{",".join(str(c[name]) if name in c else "X" for c in columns)}]),')
    print("]")


sys.exit(main())
