//! Times as people read them. All are UTC, and say so where there is room.

use andon_ledger::Timestamp;
use jiff::tz::TimeZone;

fn zoned(at: Timestamp) -> jiff::Zoned {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// `14:03:59`
pub fn time_of_day(at: Timestamp) -> String {
    zoned(at).strftime("%H:%M:%S UTC").to_string()
}

/// `2026-11-21 14:03:59`
pub fn date_and_time(at: Timestamp) -> String {
    zoned(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2026-11-21T14:03:59Z`
pub fn rfc3339_seconds(at: Timestamp) -> String {
    zoned(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-21T14:03:59.123Z`
pub fn rfc3339(at: Timestamp) -> String {
    zoned(at).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
