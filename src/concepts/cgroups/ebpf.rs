//! Device rules on cgroup v2: there are no files for them, only a program that the kernel runs at each open(2) and mknod(2).
//!
//! The program is built here instruction by instruction: it reads what is asked (kind, access, major, minor), walks the exceptions, and
//! returns the default at its end. It means exactly what the v1 files mean for the same rules: with default deny, one exception must grant
//! *all* that is asked; with default allow, an exception forbids if it meets *any* of it. bpf(2); linux/bpf.h `bpf_cgroup_dev_ctx`.

use std::os::fd::{AsFd, BorrowedFd};

use super::devices::{ALL, Kind, Rules};
use crate::error::{At, Error, Result};
use crate::sys::bpf;

/// The name that tells our program from systemd's on the same group.
const NAME: &str = "rrun_devices";

/// Registers: r0 is the verdict, r1 the context, then what was asked.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Opcodes: class | source | operation (kernel documentation: bpf/standardization/instruction-set.rst).
const LOAD_U32: u8 = 0x61;
const MOV_IMM: u8 = 0xb4;
const MOV_REG: u8 = 0xbc;
const AND_IMM: u8 = 0x54;
const RSH_IMM: u8 = 0x74;
const JNE_IMM: u8 = 0x56;
const JNE_REG: u8 = 0x5e;
const JEQ_IMM: u8 = 0x16;
const EXIT: u8 = 0x95;

/// One instruction in the kernel's form: code, two registers, jump offset, immediate value.
fn instruction(code: u8, dst: u8, src: u8, offset: i16, imm: i32) -> u64 {
    let [low, high] = offset.to_ne_bytes();
    let [a, b, c, d] = imm.to_ne_bytes();
    // struct bpf_insn declares the two registers as bit fields, whose order follows the machine's byte order.
    let registers = if cfg!(target_endian = "little") { src << 4 | dst } else { dst << 4 | src };
    u64::from_ne_bytes([code, registers, low, high, a, b, c, d])
}

/// The program for `rules`.
pub(super) fn program(rules: &Rules) -> Vec<u64> {
    let mut code = vec![
        // access_type: the kind in the lower half, the access in the upper.
        instruction(LOAD_U32, KIND, CONTEXT, 0, 0),
        instruction(MOV_REG, ACCESS, KIND, 0, 0),
        instruction(AND_IMM, KIND, 0, 0, 0xffff),
        instruction(RSH_IMM, ACCESS, 0, 0, 16),
        instruction(LOAD_U32, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_U32, MINOR, CONTEXT, 8, 0),
    ];
    for (devices, access) in &rules.exceptions {
        // Each check jumps over the rest of its block; the offsets are known once the block is complete.
        let mut block = vec![(JNE_IMM, KIND, 0, if devices.kind == Kind::Block { 1 } else { 2 })];
        if rules.default_allow {
            block.extend([(MOV_REG, VERDICT, ACCESS, 0), (AND_IMM, VERDICT, 0, i32::from(*access)), (JEQ_IMM, VERDICT, 0, 0)]);
        } else if *access != ALL {
            block.extend([
                (MOV_REG, VERDICT, ACCESS, 0),
                (AND_IMM, VERDICT, 0, i32::from(*access)),
                (JNE_REG, VERDICT, ACCESS, 0),
            ]);
        }
        block.extend(devices.major.map(|major| (JNE_IMM, MAJOR, 0, major as i32)));
        block.extend(devices.minor.map(|minor| (JNE_IMM, MINOR, 0, minor as i32)));
        block.extend([(MOV_IMM, VERDICT, 0, i32::from(!rules.default_allow)), (EXIT, 0, 0, 0)]);
        let length = block.len();
        code.extend(block.into_iter().enumerate().map(|(i, (op, dst, src, imm))| {
            let jumps = matches!(op, JNE_IMM | JNE_REG | JEQ_IMM);
            instruction(op, dst, src, if jumps { (length - 1 - i) as i16 } else { 0 }, imm)
        }));
    }
    code.extend([instruction(MOV_IMM, VERDICT, 0, 0, i32::from(rules.default_allow)), instruction(EXIT, 0, 0, 0, 0)]);
    code
}

/// Loads the program and attaches it to the group `dir`, in the place of an earlier one of ours, without a moment between. Programs
/// of others (systemd) stay: each must agree. `Ok(false)`: the kernel does not let us load one, and `tolerate` says that this is to be
/// expected (inside a user namespace, where no device node can be made or, on a mount of that namespace, opened either).
pub(super) fn attach(dir: BorrowedFd, code: &[u64], tolerate: bool) -> Result<bool> {
    let loaded = match bpf::load_device_program(code, NAME) {
        Err(e) if tolerate && e.raw_os_error() == Some(libc::EPERM) => return Ok(false),
        loaded => loaded.at(|| "bpf load device rules").map_err(field)?,
    };
    let attached = bpf::attached_device_programs(dir).at(|| "bpf query device rules").map_err(field)?;
    let mut ours: Vec<_> = attached.into_iter().filter(|p| bpf::program_name(p.as_fd()).is_ok_and(|n| n == NAME)).collect();
    let first = ours.pop();
    bpf::attach_device_program(dir, loaded.as_fd(), first.as_ref().map(|p| p.as_fd()))
        .at(|| "bpf attach device rules")
        .map_err(field)?;
    for old in ours {
        bpf::detach_device_program(dir, old.as_fd()).at(|| "bpf detach earlier device rules")?;
    }
    Ok(true)
}

fn field(e: Error) -> Error {
    e.config("linux.resources.devices")
}

#[cfg(test)]
mod tests {
    use super::super::devices::{Devices, MKNOD, READ, WRITE};
    use super::*;

    /// Runs the subset of instructions that [`program`] emits, as the kernel would; anything else is a panic.
    fn run(code: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [access << 16 | kind, major, minor];
        let mut r = [0u64; 10];
        let mut at = 0usize;
        for _ in 0..10_000 {
            let bytes = code[at].to_ne_bytes();
            let (op, dst, src) = (bytes[0], (bytes[1] & 15) as usize, (bytes[1] >> 4) as usize);
            let offset = i16::from_ne_bytes([bytes[2], bytes[3]]);
            let imm = i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let mut next = at + 1;
            let target = (next as i64 + i64::from(offset)) as usize;
            match op {
                LOAD_U32 => {
                    assert_eq!(src, CONTEXT as usize);
                    r[dst] = u64::from(context[offset as usize / 4]);
                }
                MOV_IMM => r[dst] = u64::from(imm as u32),
                MOV_REG => r[dst] = r[src] & 0xffff_ffff,
                AND_IMM => r[dst] = r[dst] & u64::from(imm as u32) & 0xffff_ffff,
                RSH_IMM => r[dst] = (r[dst] & 0xffff_ffff) >> imm,
                JNE_IMM if r[dst] as u32 != imm as u32 => next = target,
                JNE_REG if r[dst] as u32 != r[src] as u32 => next = target,
                JEQ_IMM if r[dst] as u32 == imm as u32 => next = target,
                JNE_IMM | JNE_REG | JEQ_IMM => {}
                EXIT => return r[0],
                other => panic!("unknown opcode {other:#x}"),
            }
            at = next;
        }
        panic!("the program does not end");
    }

    /// What v1 would answer (kernel, security/device_cgroup.c: match_exception and match_exception_partial).
    fn allowed(rules: &Rules, kind: Kind, access: u8, major: u32, minor: u32) -> bool {
        let hit = |d: &Devices| d.kind == kind && d.major.is_none_or(|m| m == major) && d.minor.is_none_or(|m| m == minor);
        match rules.default_allow {
            false => rules.exceptions.iter().any(|(d, a)| hit(d) && access & !a == 0),
            true => !rules.exceptions.iter().any(|(d, a)| hit(d) && access & a != 0),
        }
    }

    /// A small generator of its own (xorshift): the same numbers in every run.
    struct Random(u64);
    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % n
        }
        fn number(&mut self) -> Option<u32> {
            (self.below(4) != 0).then(|| self.below(3) as u32 * 0x000f_ffff / 2)
        }
        fn rules(&mut self) -> Rules {
            let mut rules = Rules { default_allow: self.below(2) == 0, ..Rules::default() };
            for _ in 0..self.below(6) {
                let kind = if self.below(2) == 0 { Kind::Block } else { Kind::Char };
                rules.exceptions.insert(Devices { kind, major: self.number(), minor: self.number() }, 1 + self.below(7) as u8);
            }
            rules
        }
    }

    #[test]
    fn the_program_means_what_the_rules_mean() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut verdicts = [0; 2];
        for _ in 0..2_000 {
            let rules = random.rules();
            let code = program(&rules);
            for (kind, number) in [(Kind::Block, 1), (Kind::Char, 2)] {
                for access in [0, MKNOD, READ, WRITE, READ | WRITE, ALL] {
                    let (major, minor) = (random.number().unwrap_or(7), random.number().unwrap_or(9));
                    let expected = allowed(&rules, kind, access, major, minor);
                    let got = run(&code, number, u32::from(access), major, minor);
                    assert_eq!(got, u64::from(expected), "{rules:?}: {kind:?} {access} {major}:{minor}");
                    verdicts[usize::from(expected)] += 1;
                }
            }
        }
        assert!(verdicts.iter().all(|n| *n > 1_000), "the random rules do not test both verdicts: {verdicts:?}");
    }

    #[test]
    fn no_rule_means_no_device() {
        assert_eq!(run(&program(&Rules::default()), 2, u32::from(READ), 1, 3), 0);
    }
}
