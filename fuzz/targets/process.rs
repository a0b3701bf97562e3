//! The process file of `exec --process`, up to the plans that are made of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::bundle;
use rrun::concepts::{identity, scheduling};
use rrun::error::Warnings;

fuzz_target!(|text: &[u8]| {
    let Ok(process) = bundle::parse_process(text, "process.json", &mut Warnings::default()) else { return };
    drop(identity::plan(&process, vec![]));
    drop(scheduling::plan(&process, None));
});
