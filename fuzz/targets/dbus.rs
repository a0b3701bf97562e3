//! What comes from the socket on which systemd should listen.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::concepts::cgroups::count_messages;

fuzz_target!(|data: &[u8]| {
    if let Ok(count) = count_messages(data) {
        assert!(count <= data.len() / 16);
    }
});
