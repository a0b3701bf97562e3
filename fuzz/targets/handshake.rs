//! Messages between the two processes of a start: what was read is written the same (CVE-2021-43784: lengths that overflow), but for
//! the texts of an error, which are cut when they are written, and to the same length when they are written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::process::handshake::Msg;

fuzz_target!(|data: &[u8]| {
    let Some(message) = Msg::decode(data) else { return };
    let written = message.encode();
    let again = Msg::decode(&written).expect("what was written can be read");
    assert_eq!(written, again.encode());
});
