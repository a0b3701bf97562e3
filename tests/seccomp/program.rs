//! Tiny ELF programs of raw system calls, by any of x86's doors: no C library stands between the test and the filter.

/// How a call enters the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The instruction `syscall`: x86-64, or x32 with the bit in the number.
    Syscall,
    /// `int 0x80`: the table of i386, also out of a 64-bit program.
    Int80,
}

/// Where the program is loaded, and where its results are.
const LOAD: u64 = 0x40_0000;
const RESULTS: u64 = 0x50_0000;

/// A program that makes these calls with up to three arguments, writes their results as 64-bit words to stdout, and ends
/// with status 0.
pub fn program(calls: &[(Door, u32, [u64; 3])]) -> Vec<u8> {
    let mut code = Vec::new();
    for (at, (door, number, args)) in calls.iter().enumerate() {
        enter(&mut code, *door, *number, *args);
        // mov [absolute], rax
        code.extend([0x48, 0xa3]);
        code.extend((RESULTS + 8 * at as u64).to_le_bytes());
    }
    enter(&mut code, Door::Syscall, 1, [1, RESULTS, 8 * calls.len() as u64]);
    enter(&mut code, Door::Syscall, 231, [0; 3]);
    elf(&code, true)
}

/// The same as a 32-bit program of i386, whose results are 32-bit words.
pub fn program_i386(calls: &[(u32, [u32; 3])]) -> Vec<u8> {
    let mut code = Vec::new();
    let mut enter = |number: u32, args: [u32; 3], result: Option<u64>| {
        // mov eax, ebx, ecx, edx; int 0x80; mov [absolute], eax
        for (register, value) in [0xb8, 0xbb, 0xb9, 0xba].into_iter().zip([number, args[0], args[1], args[2]]) {
            code.push(register);
            code.extend(value.to_le_bytes());
        }
        code.extend([0xcd, 0x80]);
        if let Some(at) = result {
            code.push(0xa3);
            code.extend((at as u32).to_le_bytes());
        }
    };
    for (at, (number, args)) in calls.iter().enumerate() {
        enter(*number, *args, Some(RESULTS + 4 * at as u64));
    }
    enter(4, [1, RESULTS as u32, 4 * calls.len() as u32], None);
    enter(252, [0; 3], None);
    elf(&code, false)
}

fn enter(code: &mut Vec<u8>, door: Door, number: u32, args: [u64; 3]) {
    // mov with a 64-bit constant: rax, then rdi rsi rdx, or rbx rcx rdx.
    let registers = if door == Door::Syscall { [0xb8, 0xbf, 0xbe, 0xba] } else { [0xb8, 0xbb, 0xb9, 0xba] };
    for (register, value) in registers.into_iter().zip([u64::from(number), args[0], args[1], args[2]]) {
        code.extend([0x48, register]);
        code.extend(value.to_le_bytes());
    }
    code.extend(if door == Door::Syscall { [0x0f, 0x05] } else { [0xcd, 0x80] });
}

/// An executable of one segment, which is readable, writable and executable and reaches beyond the results.
fn elf(code: &[u8], wide: bool) -> Vec<u8> {
    let (header, entry) = if wide { (64, 56) } else { (52, 32) };
    let word = |value: u64| value.to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
    let (start, size) = (header + entry, RESULTS - LOAD + 4096);
    let mut file = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // ET_EXEC, EM_X86_64 or EM_386, version
    file.extend([2, 0, if wide { 62 } else { 3 }, 0, 1, 0, 0, 0]);
    for value in [LOAD + start, header, 0] {
        file.extend(word(value));
    }
    file.extend([0, 0, 0, 0, header as u8, 0, entry as u8, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // PT_LOAD; its flags stand second in a wide entry, next to last in a narrow one.
    file.extend([1, 0, 0, 0]);
    let flags = [7, 0, 0, 0];
    if wide {
        file.extend(flags);
    }
    for value in [0, LOAD, LOAD, start + code.len() as u64, size] {
        file.extend(word(value));
    }
    if !wide {
        file.extend(flags);
    }
    file.extend(word(4096));
    assert_eq!(file.len() as u64, start);
    file.extend(code);
    file
}
