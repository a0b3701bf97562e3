//! Lists of processors, memory nodes: `0-3,7`.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use rrun::concepts::scheduling::parse_list;

fuzz_target!(|text: &str| {
    let Ok(mask) = parse_list(text) else { return };
    let bits: BTreeSet<usize> = (0..mask.len() * 64).filter(|n| mask[n / 64] & 1 << (n % 64) != 0).collect();
    let mut named = BTreeSet::new();
    for part in text.split(',') {
        let mut ends = part.splitn(2, '-').map(|n| n.parse::<usize>().expect("digits only"));
        let first = ends.next().expect("one number at least");
        named.extend(first..=ends.next().unwrap_or(first));
    }
    assert_eq!(bits, named, "{text:?}");
});
