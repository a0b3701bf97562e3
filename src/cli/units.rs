//! Numbers with units as Go programs read them, since callers learnt to write them for runc: sizes (`64M`, `1.5 GiB`) and
//! lengths of time (`1m30s`).
//!
//! A unit that is misread makes a limit a thousand times too wide, so whatever is not plainly a number and a known unit is
//! refused.

use std::time::Duration;

/// Bytes: a number, perhaps with a fraction, then `k`, `m`, `g`, `t` or `p` for powers of 1024, perhaps with `b` or `ib`, in any
/// letter case. `-1` is itself; nothing else is negative.
pub fn size(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.as_str() {
        "" | "b" => 0,
        _ => {
            let (letter, rest) = unit.split_at_checked(1)?;
            let power = "kmgtp".find(letter)? + 1;
            if !matches!(rest, "" | "b" | "ib") {
                return None;
            }
            power * 10
        }
    };
    // Exact where it is whole; a fraction is cut off below one byte.
    match number.parse::<i64>() {
        Ok(whole) => whole.checked_mul(1 << shift),
        Err(_) => {
            let bytes = number.parse::<f64>().ok()? * (1u64 << shift) as f64;
            (bytes < i64::MAX as f64).then_some(bytes as i64)
        }
    }
}

/// Numbers, perhaps with fractions, each with its unit: `h`, `m`, `s`, `ms`, `us`, `ns`. `0` needs none.
pub fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (_, seconds) = UNITS.iter().find(|(unit, _)| *unit == &after[..end])?;
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = &after[end..];
    }
    // Go counts nanoseconds in 63 bits: 292 years.
    (!text.is_empty() && total.as_nanos() <= i64::MAX as u128).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("32KiB", 32 << 10),
            ("1.5g", 3 << 29),
            (".5m", 1 << 19),
            ("32 M", 32 << 20),
            ("2T", 2 << 40),
            ("2pb", 2 << 50),
            ("0.3", 0),
            ("1 ", 1),
            ("9223372036854771712", 9_223_372_036_854_771_712),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "-2", "m", "1x", "1mm", "1mi", "1bb", "1kk", "1  m", "1e3", "0x10", "1.2.3", ".", "9000p", "1é", "1m1"] {
            assert_eq!(size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn durations() {
        let ms = Duration::from_millis;
        for (text, length) in [
            ("5s", ms(5000)),
            ("1m30s", ms(90_000)),
            ("500ms", ms(500)),
            ("1.5h", ms(5_400_000)),
            ("10µs", ms(0) + Duration::from_micros(10)),
        ] {
            assert_eq!(duration(text), Some(length), "{text}");
        }
        assert_eq!(duration("0"), Some(Duration::ZERO));
        for bad in ["", "5", "s", "-5s", "5 s", "5x", "5s3", "1.2.3s", "999999999999999999999h", "2600000h", "."] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }
}
