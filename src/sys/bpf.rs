//! bpf(2), as far as device rules of cgroup v2 need it: load a program, attach it to a group, look at what is attached.
//!
//! The kernel takes a union, `bpf_attr`, and its size. rrun passes exactly the size of the fields in use, but lays them in a
//! zeroed buffer that is much larger: some kernels write results of `BPF_PROG_QUERY` back behind the size they were given, which
//! would overwrite our stack.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const PROG_QUERY: libc::c_long = 16;

/// `BPF_PROG_TYPE_CGROUP_DEVICE` and its attach type `BPF_CGROUP_DEVICE`.
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;

/// Attaches beside programs of others: a device may be used only if each of them agrees.
const F_ALLOW_MULTI: u32 = 1 << 1;
/// Puts the program in the place of another in one step.
const F_REPLACE: u32 = 1 << 2;

/// At most this many programs hang on one group (the kernel's own limit, `BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;

/// The argument block: zeroed, larger than any kernel's `bpf_attr` (about 150 bytes in 2025).
#[repr(C, align(8))]
struct Attr([u8; 1024]);

impl Attr {
    fn new() -> Self {
        Self([0; 1024])
    }

    fn u32(mut self, offset: usize, value: u32) -> Self {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn u64(mut self, offset: usize, value: u64) -> Self {
        self.0[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn read_u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.0[offset..offset + 4].try_into().expect("four bytes"))
    }

    fn call(&mut self, command: libc::c_long, size: u32) -> io::Result<libc::c_long> {
        // SAFETY: the block is larger than what any kernel reads or writes; pointers in it were made from live borrows by
        // the callers below, which keep them alive across the call.
        check(unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), size) })
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: bpf(2) just returned this new descriptor (close-on-exec by birth); nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// Loads a program that decides over devices. `instructions` are in the kernel's 8-byte form; `name` has at most 15
/// characters. EINVAL: the verifier refuses it; EPERM: no right to load (CAP_BPF in the initial user namespace).
pub fn load_device_program(instructions: &[u64], name: &str) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = Attr::new()
        .u32(0, TYPE_CGROUP_DEVICE)
        .u32(4, instructions.len() as u32)
        .u64(8, instructions.as_ptr() as u64)
        .u64(16, license.as_ptr() as u64);
    // prog_name: 16 bytes at 48, NUL-terminated.
    let name = &name.as_bytes()[..name.len().min(15)];
    attr.0[48..48 + name.len()].copy_from_slice(name);
    attr.call(PROG_LOAD, 64).map(owned)
}

/// Attaches `program` to the group `dir` (v2), beside others, or in the place of `old`.
pub fn attach_device_program(dir: BorrowedFd, program: BorrowedFd, old: Option<BorrowedFd>) -> io::Result<()> {
    let flags = F_ALLOW_MULTI | if old.is_some() { F_REPLACE } else { 0 };
    let attr =
        Attr::new().u32(0, dir.as_raw_fd() as u32).u32(4, program.as_raw_fd() as u32).u32(8, ATTACH_CGROUP_DEVICE).u32(12, flags);
    let (mut attr, size) = match old {
        Some(old) => (attr.u32(16, old.as_raw_fd() as u32), 20),
        None => (attr, 16),
    };
    attr.call(PROG_ATTACH, size).map(drop)
}

/// Takes `program` off the group `dir`.
pub fn detach_device_program(dir: BorrowedFd, program: BorrowedFd) -> io::Result<()> {
    let mut attr = Attr::new().u32(0, dir.as_raw_fd() as u32).u32(4, program.as_raw_fd() as u32).u32(8, ATTACH_CGROUP_DEVICE);
    attr.call(PROG_DETACH, 12).map(drop)
}

/// The device programs attached to the group `dir` itself.
pub fn attached_device_programs(dir: BorrowedFd) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let mut attr = Attr::new()
        .u32(0, dir.as_raw_fd() as u32)
        .u32(4, ATTACH_CGROUP_DEVICE)
        .u64(16, ids.as_mut_ptr() as u64)
        .u32(24, MAX_PROGRAMS as u32);
    attr.call(PROG_QUERY, 28)?;
    let count = (attr.read_u32(24) as usize).min(MAX_PROGRAMS);
    let open = |id: &u32| Attr::new().u32(0, *id).call(PROG_GET_FD_BY_ID, 4).map(owned);
    ids[..count].iter().map(open).collect()
}

/// The name that a program was loaded with.
pub fn program_name(program: BorrowedFd) -> io::Result<String> {
    // bpf_prog_info: the name is 16 bytes at offset 64. Oversized for the same reason as the argument block.
    let mut info = Attr::new();
    let mut attr = Attr::new().u32(0, program.as_raw_fd() as u32).u32(4, 80).u64(8, info.0.as_mut_ptr() as u64);
    attr.call(OBJ_GET_INFO_BY_FD, 16)?;
    let name = info.0[64..80].split(|b| *b == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}
