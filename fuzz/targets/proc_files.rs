//! What other processes can write into files of /proc: their own name, names of network devices.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::concepts::traffic;
use rrun::state::parse_start_time;

fuzz_target!(|data: &[u8]| {
    let plain = parse_start_time(data);
    // A process may choose its name freely. Whatever it is, the start time stays the same.
    let named = [b"1 (x) ", data].concat();
    let hostile = [b"1 (x) S 1 2) R 3) ", data].concat();
    if !data.contains(&b')') {
        assert_eq!(plain, None);
        std::hint::black_box((parse_start_time(&named), parse_start_time(&hostile)));
    }
    drop(traffic::parse(&String::from_utf8_lossy(data)));
});
