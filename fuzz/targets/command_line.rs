//! The whole command line, its words divided by NUL as the kernel divides them.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use rrun::cli::{self, Surroundings, Verb};
use rrun::style::Looks;

fuzz_target!(|data: &[u8]| {
    let words: Vec<OsString> = data.split(|b| *b == 0).map(|w| OsString::from_vec(w.to_vec())).collect();
    let around = Surroundings {
        name: "rrun",
        cwd: Some(PathBuf::from("/cwd")),
        runtime_dir: Some(PathBuf::from("/run/user/1")),
        rootless: data.len() % 2 == 0,
        strict: false,
        looks: Looks::default(),
        is_bundle: |dir| dir.ends_with("bundle"),
    };
    let Ok((global, rest)) = cli::global(&words, &around) else { return };
    assert!(global.root.is_absolute(), "{:?}", global.root);
    match cli::verb(&global, rest, &around) {
        Ok(Verb::Create(args)) => assert!(args.bundle.is_none_or(|b| b.is_absolute())),
        Ok(Verb::Exec(args)) => assert_ne!(args.args.is_empty(), args.process.is_none()),
        Ok(_) => {}
        Err(refused) => assert!(!refused.error.to_string().is_empty() && !refused.usage.is_empty()),
    }
});
