//! Moments as text: RFC 3339, UTC.
//!
//! Engines reject a whole log for one bad time. The C library's calendar would read the host's time zone files, so the
//! arithmetic of the Gregorian calendar is done here.

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock, UTC, as RFC 3339 with nanoseconds: `2026-01-31T12:00:00.000000001Z`.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

/// A moment as RFC 3339 with nanoseconds, UTC.
fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// The Gregorian date of a number of days since 1970-01-01. Years begin in March here, so that the leap day is the last day
/// of a year and months have lengths with a period of five (30.6 days on average).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097); // 400 years
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    (era * 400 + year + u64::from(january), if january { month - 9 } else { month + 3 }, date)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_moments_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_735_689_600, "2025-01-01T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            let moment = UNIX_EPOCH + Duration::new(seconds, 7);
            assert_eq!(rfc3339(moment), format!("{text}.000000007Z"));
        }
    }
}
