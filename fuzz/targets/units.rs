//! Sizes and lengths of time as Go programs write them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rrun::cli::units::{duration, size};

fuzz_target!(|text: &str| {
    if let Some(bytes) = size(text) {
        assert!(bytes >= 0 || text == "-1", "{text:?} is {bytes}");
    }
    if let Ok(whole) = text.parse::<i64>()
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        assert_eq!(size(text), Some(whole));
        for (power, unit) in ["k", "M", "gb", "TiB", " p"].iter().enumerate() {
            assert_eq!(size(&format!("{text}{unit}")), whole.checked_mul(1024_i64.pow(power as u32 + 1)), "{text}{unit}");
        }
        let seconds = u64::try_from(whole).ok().filter(|n| *n <= i64::MAX as u64 / 1_000_000_000);
        // Above 2⁵³ a fraction is what a float can hold.
        if whole < 1 << 53 {
            assert_eq!(duration(&format!("{text}s")).map(|d| d.as_secs()), seconds, "{text}s");
        }
    }
    if let Some(time) = duration(text) {
        assert!(time.as_nanos() <= i64::MAX as u128);
        assert!(text == "0" || text.ends_with(['s', 'm', 'h']), "{text:?} has no unit");
    }
});
