//! Times as publishers write them.

use chrono::{NaiveDate, NaiveDateTime};
use model::Timestamp;

/// `2026-02-10 12:00:00`, `2026-02-10T12:00:00Z`, with or without `UTC` at the end, a day alone, or seconds since 1970.
/// Nothing when it is none of these, or before 1970.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let text = text.strip_suffix("UTC").map_or(text, str::trim_end);
    if text.len() > 40 {
        return None;
    }
    let time = if let Ok(time) = text.parse::<Timestamp>() {
        time
    } else if let Ok(seconds) = text.parse::<i64>() {
        from_seconds(seconds)?
    } else {
        let naive = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
        Timestamp::from(naive.and_utc())
    };
    (time.0 > 0).then_some(time)
}

/// Seconds since 1970; nothing when zero, negative or beyond the year 9999.
pub(crate) fn from_seconds(seconds: i64) -> Option<Timestamp> {
    const YEAR_10000: i64 = 253_402_300_800;
    (seconds > 0 && seconds < YEAR_10000).then(|| Timestamp(seconds.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn publishers_times_are_utc() {
        let noon = "2026-02-10T12:00:00Z".parse().ok();
        for text in [
            "2026-02-10 12:00:00",
            "2026-02-10 12:00:00 UTC",
            "2026-02-10T12:00:00Z",
            "2026-02-10T13:00:00+01:00",
            "1770724800",
        ] {
            assert_eq!(parse(text), noon, "{text}");
        }
        assert_eq!(parse("2026-02-10"), "2026-02-10T00:00:00Z".parse().ok());
        for text in ["", "yesterday", "0", "-5", "2026-13-01", "99999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
