//! Messages between the two processes of a start: what was read is written the same (CVE-2021-43784: lengths that overflow).
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::process::handshake::Msg;

fuzz_target!(|data: &[u8]| {
    let Some(message) = Msg::decode(data) else { return };
    let again = Msg::decode(&message.encode()).expect("what was written can be read");
    assert_eq!(format!("{message:?}"), format!("{again:?}"));
});
