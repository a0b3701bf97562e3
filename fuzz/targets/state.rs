//! The two files of a container, damaged in any way: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::state::{Status, read_like_runc, read_own};

fuzz_target!(|data: &[u8]| {
    if let Ok(state) = read_own(data) {
        for status in [Status::Created, Status::Stopped] {
            let document: serde_json::Value = serde_json::from_slice(&state.oci_json(status)).expect("JSON");
            assert_eq!(document["id"], state.id.as_str());
        }
    }
    if let Some(state) = read_like_runc("box", data) {
        assert_eq!(state.id, "box");
    }
});
