//! Texts about ids: the maps of a namespace, and what /etc/subuid grants.
#![no_main]

mod host;

use libfuzzer_sys::fuzz_target;
use rrun::concepts::users::{Maps, grants};
use rrun::host::{Capabilities, outside};

fuzz_target!(|text: &str| {
    for (first, count) in grants(text, "user", 1000) {
        assert!(text.contains(&first.to_string()) || text.contains('+') || text.contains('0'), "{first} {count} from nowhere");
    }
    std::hint::black_box(outside(text, 1000));
    let maps = Maps::parse([text.to_owned(), text.to_owned()]);
    let none = Capabilities { bounding: 0, permitted: 0, last: 40 };
    let own = maps.with_own(&host::host(false));
    assert!(!own.uid.is_empty() && !own.gid.is_empty(), "the caller's own id is in it");
    drop(own.plan(&host::host(false), &none));
});
