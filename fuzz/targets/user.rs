//! `exec --user UID[:GID]` beside a reader of the same grammar that is written differently: nobody becomes root unasked.
#![no_main]

use std::ffi::OsString;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use rrun::cli::{self, Surroundings, Verb};
use rrun::style::Looks;

/// Digit by digit.
fn id(text: &[u8]) -> Option<u32> {
    let mut value: u64 = 0;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => u64::from(byte - b'0'),
            _ => return None,
        };
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    // (uid_t)-1 means "leave as it is" to the kernel.
    (!text.is_empty() && value < u64::from(u32::MAX)).then_some(value as u32)
}

fn user(text: &[u8]) -> Option<(u32, Option<u32>)> {
    match text.iter().position(|b| *b == b':') {
        None => Some((id(text)?, None)),
        Some(at) => Some((id(&text[..at])?, Some(id(&text[at + 1..])?))),
    }
}

fuzz_target!(|text: &str| {
    let around = Surroundings {
        name: "rrun",
        cwd: Some(PathBuf::from("/")),
        runtime_dir: None,
        rootless: false,
        strict: false,
        looks: Looks::default(),
        is_bundle: |_| false,
    };
    let words = ["exec".to_owned(), format!("--user={text}"), "box".into(), "true".into()].map(OsString::from);
    let (global, rest) = cli::global(&words, &around).expect("no global flag is wrong");
    let read = match cli::verb(&global, rest, &around) {
        Ok(Verb::Exec(args)) => args.user,
        Ok(other) => panic!("{other:?}"),
        Err(_) => None,
    };
    assert_eq!(read, user(text.as_bytes()), "{text:?}");
});
