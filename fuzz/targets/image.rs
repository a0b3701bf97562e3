//! Files of a hostile image that rrun reads: /etc/passwd, and the head of a program that did not start.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use rrun::concepts::identity::{Executable, examine, home_of};

/// One file for all runs: making one takes longer than reading it.
fn file() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| {
        // In memory, and without a name as soon as it is open.
        let path = format!("/dev/shm/rrun-fuzz-image-{}", std::process::id());
        let file = File::options().read(true).write(true).create_new(true).open(&path).expect("make a file");
        std::fs::remove_file(path).expect("remove its name");
        file
    })
}

fuzz_target!(|data: &[u8]| {
    for uid in [0, 1000, u32::MAX] {
        if let Some(home) = home_of(data, uid) {
            assert!(!home.is_empty() && !home.contains(&b'\n') && !home.contains(&b':'));
        }
    }
    file().set_len(0).expect("empty it");
    file().write_all_at(data, 0).expect("fill it");
    match examine(file()) {
        Some(Executable::Empty) => assert!(data.is_empty()),
        Some(Executable::Script(interpreter)) => assert!(data.starts_with(b"#!") && interpreter.len() <= 3 * 256),
        Some(Executable::Elf(_, loader)) => {
            assert!(data.starts_with(b"\x7fELF") && loader.is_none_or(|l| l.len() <= 3 * libc::PATH_MAX as usize));
        }
        _ => {}
    }
});
