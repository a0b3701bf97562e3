//! What the kernel would make of a file: the first bytes of scripts and ELF files (execve(2), elf(5)).
//!
//! The file is the image's. Only its head and one table are read, at offsets that are checked, and nothing in it is
//! believed beyond what goes into a hint.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executable {
    /// Nothing in it.
    Empty,
    /// `#!`, the interpreter as the kernel reads it (with a carriage return, if there is one).
    Script(String),
    /// ELF for the machine `e_machine`, with the loader that PT_INTERP names, if any.
    Elf(u16, Option<String>),
    /// Neither.
    Other,
}

/// How much of a script the kernel reads (BINPRM_BUF_SIZE).
const HEAD: usize = 256;
/// PT_INTERP (elf(5)).
const INTERP: u32 = 3;
/// More program headers than this are not looked at.
const MOST_HEADERS: u64 = 64;

/// Reads the head of a file; `None` when it cannot be read.
pub fn examine(file: &File) -> Option<Executable> {
    let mut head = [0u8; HEAD];
    let length = file.read_at(&mut head, 0).ok()?;
    let head = &head[..length];
    Some(match head {
        [] => Executable::Empty,
        [b'#', b'!', rest @ ..] => Executable::Script(interpreter(rest)),
        [0x7f, b'E', b'L', b'F', ..] => elf(file, head).unwrap_or(Executable::Other),
        _ => Executable::Other,
    })
}

/// From behind `#!`: blanks, then all up to the next blank or line end.
fn interpreter(line: &[u8]) -> String {
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|b| matches!(b, b' ' | b'\t' | 0)).filter(|w| !w.is_empty());
    String::from_utf8_lossy(words.next().unwrap_or_default()).into_owned()
}

/// Numbers of one ELF class and byte order.
struct Numbers {
    big_endian: bool,
    wide: bool,
}

impl Numbers {
    /// `width` bytes of `bytes` at `at` as a number.
    fn at(&self, bytes: &[u8], at: usize, width: usize) -> Option<u64> {
        let field = bytes.get(at..at + width)?;
        let fold = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        Some(if self.big_endian { field.iter().fold(0, fold) } else { field.iter().rev().fold(0, fold) })
    }
}

fn elf(file: &File, head: &[u8]) -> Option<Executable> {
    let numbers = Numbers { big_endian: *head.get(5)? == 2, wide: *head.get(4)? == 2 };
    let machine = numbers.at(head, 18, 2)? as u16;
    Some(Executable::Elf(machine, loader(file, head, &numbers)))
}

/// The loader named by the program headers.
fn loader(file: &File, head: &[u8], numbers: &Numbers) -> Option<String> {
    let (table, size, count) = if numbers.wide { ((32, 8), 54, 56) } else { ((28, 4), 42, 44) };
    let table = numbers.at(head, table.0, table.1)?;
    let (size, count) = (numbers.at(head, size, 2)?, numbers.at(head, count, 2)?);
    for index in 0..count.min(MOST_HEADERS) {
        let mut header = [0u8; 56];
        let length = file.read_at(&mut header, table.checked_add(index * size)?).ok()?;
        let header = &header[..length];
        if numbers.at(header, 0, 4)? as u32 != INTERP {
            continue;
        }
        let (offset, length) = if numbers.wide { ((8, 8), (32, 8)) } else { ((4, 4), (16, 4)) };
        let (offset, length) = (numbers.at(header, offset.0, offset.1)?, numbers.at(header, length.0, length.1)?);
        let mut path = vec![0u8; length.min(libc::PATH_MAX as u64) as usize];
        let read = file.read_at(&mut path, offset).ok()?;
        path.truncate(read);
        let path = path.split(|b| *b == 0).next().unwrap_or_default();
        return Some(String::from_utf8_lossy(path).into_owned());
    }
    None
}

/// The usual name of an `e_machine`.
pub(super) fn machine_name(machine: u16) -> String {
    match machine {
        3 => "x86 (32 bit)",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm (32 bit)",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        other => return format!("machine number {other}"),
    }
    .to_owned()
}

/// The `e_machine` values that this build's kernel may run.
pub(super) fn is_native(machine: u16) -> bool {
    match std::env::consts::ARCH {
        "x86_64" => machine == 62 || machine == 3,
        "aarch64" => machine == 183 || machine == 40,
        "riscv64" => machine == 243,
        "powerpc64" => machine == 21 || machine == 20,
        "s390x" => machine == 22,
        "loongarch64" => machine == 258,
        // No claim about machines that this table does not know.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> Option<Executable> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("write");
        examine(&file)
    }

    #[test]
    fn scripts_name_their_interpreter() {
        let script = |text: &str| Some(Executable::Script(text.to_owned()));
        assert_eq!(file(b"#!/bin/sh\necho"), script("/bin/sh"));
        assert_eq!(file(b"#! /usr/bin/env python3\n"), script("/usr/bin/env"));
        assert_eq!(file(b"#!/bin/sh\r\n"), script("/bin/sh\r"));
        assert_eq!(file(b"#!"), script(""));
        assert_eq!(file(b""), Some(Executable::Empty));
        assert_eq!(file(b"hello"), Some(Executable::Other));
    }

    #[test]
    fn elf_files_name_machine_and_loader() {
        let own = File::open("/bin/cat").expect("a dynamic program");
        let Some(Executable::Elf(machine, Some(loader))) = examine(&own) else { panic!("no dynamic ELF file") };
        assert!(is_native(machine));
        assert!(loader.contains("/ld"), "{loader}");
    }

    #[test]
    fn hostile_elf_files_do_no_harm() {
        let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1];
        assert_eq!(file(&head), Some(Executable::Other), "cut short");
        head.resize(64, 0xff);
        assert_eq!(file(&head), Some(Executable::Elf(0xffff, None)));
        let mut foreign = vec![0u8; 64];
        foreign[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        foreign[18] = 183;
        assert_eq!(file(&foreign), Some(Executable::Elf(183, None)));
    }
}
