//! Times as people write them: `now-1h`, `now/d`, `2026-01-31`, `2026-01-31T12:00:00Z`.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use model::Timestamp;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 86_400 * SECOND;
/// Farthest from now, in units: enough for a hundred years of seconds.
const MAX_AMOUNT: i64 = 3_200_000_000;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`; begins on Monday.
    Week,
}

impl Unit {
    /// Every unit, shortest first.
    pub const ALL: [Self; 5] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week];

    /// Its letter.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
            Self::Week => 'w',
        }
    }

    fn of(letter: &str) -> Option<Self> {
        let mut letters = letter.chars();
        let letter = letters.next()?;
        (letters.next().is_none())
            .then(|| Self::ALL.into_iter().find(|unit| unit.letter() == letter))
            .flatten()
    }

    /// Its length.
    #[must_use]
    pub fn micros(self) -> i64 {
        match self {
            Self::Second => SECOND,
            Self::Minute => MINUTE,
            Self::Hour => 60 * MINUTE,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
        }
    }

    /// The beginning of the unit a time is in.
    fn floor(self, time: i64) -> i64 {
        // 1970-01-01 was a Thursday.
        let shift = if self == Self::Week { 3 * DAY } else { 0 };
        let into = time.saturating_add(shift).rem_euclid(self.micros());
        time.saturating_sub(into)
    }
}

/// A time, or as much of it as was written: a day is all of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Fixed.
    At {
        /// Where it begins.
        start: Timestamp,
        /// How long it is, in microseconds: a day, a minute, a second or less.
        micros: i64,
    },
    /// So far from now, perhaps cut down to the beginning of a unit.
    Now {
        /// How many units; negative for the past.
        amount: i64,
        /// Which.
        unit: Unit,
        /// To the beginning of what.
        floor: Option<Unit>,
    },
}

impl Moment {
    /// Where it begins, and where it has ended.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let (start, micros) = match self {
            Self::At { start, micros } => (start.0, micros),
            Self::Now { amount, unit, floor } => {
                let time = now.0.saturating_add(amount.saturating_mul(unit.micros()));
                match floor {
                    None => (time, 1),
                    Some(floor) => (floor.floor(time), floor.micros()),
                }
            }
        };
        (Timestamp(start), Timestamp(start.saturating_add(micros)))
    }

    /// Reads one; `None` when it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("now") {
            Some(rest) => parse_relative(rest),
            None => parse_absolute(text),
        }
    }
}

fn parse_relative(text: &str) -> Option<Moment> {
    let (offset, floor) = match text.split_once('/') {
        Some((offset, unit)) => (offset, Some(Unit::of(unit)?)),
        None => (text, None),
    };
    let (amount, unit) = if offset.is_empty() {
        (0, Unit::Second)
    } else {
        let sign = match offset.as_bytes().first()? {
            b'-' => -1,
            b'+' => 1,
            _ => return None,
        };
        let (amount, unit) = parse_span(offset.get(1..)?)?;
        (sign * amount, unit)
    };
    Some(Moment::Now { amount, unit, floor })
}

/// `90s`, `15m`, `24h`, `7d`, `2w`.
fn parse_span(text: &str) -> Option<(i64, Unit)> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(at)?;
    let amount: i64 = digits.parse().ok()?;
    (amount <= MAX_AMOUNT).then_some((amount, Unit::of(unit)?))
}

fn parse_absolute(text: &str) -> Option<Moment> {
    let at = |start: i64, micros: i64| {
        Some(Moment::At {
            start: Timestamp(start),
            micros,
        })
    };
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        // Only the form with all digits: it has to read as it was written.
        if date.format("%Y-%m-%d").to_string() != text {
            return None;
        }
        return at(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros(), DAY);
    }
    let (clock, zone) = split_zone(text);
    let shift = match zone {
        "" | "Z" | "z" => 0,
        offset => {
            let probe = format!("1970-01-01T00:00:00{offset}");
            DateTime::parse_from_rfc3339(&probe).ok()?.offset().local_minus_utc()
        }
    };
    let clock = clock.replacen(' ', "T", 1);
    let (parsed, micros) = if let Ok(time) = NaiveDateTime::parse_from_str(&clock, "%Y-%m-%dT%H:%M") {
        (time, MINUTE)
    } else {
        let time = NaiveDateTime::parse_from_str(&clock, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        (time, if clock.contains('.') { 1 } else { SECOND })
    };
    let start = parsed.and_utc().timestamp_micros() - i64::from(shift) * SECOND;
    // Leap seconds and years that are not four digits do not read back.
    (1..=9999).contains(&chrono::Datelike::year(&parsed)).then_some(())?;
    at(start, micros)
}

/// The time of day and its zone.
fn split_zone(text: &str) -> (&str, &str) {
    let Some(t) = text.find(['T', ' ']) else {
        return (text, "");
    };
    let zone = text
        .char_indices()
        .find(|(at, c)| *at > t && matches!(c, 'Z' | 'z' | '+' | '-'))
        .map_or(text.len(), |(at, _)| at);
    text.split_at_checked(zone).unwrap_or((text, ""))
}

/// Reads a time outside of a query: what a query's ranges take, or a span such as `24h`, which is so long ago.
///
/// # Errors
/// When it is none; says what was expected.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    let ago = || {
        let (amount, unit) = parse_span(text.strip_prefix('-').unwrap_or(text))?;
        Some(Moment::Now {
            amount: -amount,
            unit,
            floor: None,
        })
    };
    Moment::parse(text).or_else(ago).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        format!(
            "expected an RFC 3339 time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31, or a time before now such \
             as now-24h or 24h, got {shown:?}"
        )
    })
}

/// Reads the length of an interval, such as `30s` or `6h`, in microseconds; `None` when it is none or has no length.
#[must_use]
pub fn parse_interval(text: &str) -> Option<i64> {
    let (amount, unit) = parse_span(text)?;
    amount.checked_mul(unit.micros()).filter(|micros| *micros > 0)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { start, micros } => {
                let time = start.to_utc();
                match *micros {
                    DAY => write!(f, "{}", time.format("%Y-%m-%d")),
                    MINUTE => write!(f, "{}", time.format("%Y-%m-%dT%H:%MZ")),
                    SECOND => write!(f, "{}", time.to_rfc3339_opts(SecondsFormat::Secs, true)),
                    _ => write!(f, "{}", time.to_rfc3339_opts(SecondsFormat::Micros, true)),
                }
            }
            Self::Now { amount, unit, floor } => {
                f.write_str("now")?;
                if *amount != 0 {
                    write!(f, "{amount:+}{}", unit.letter())?;
                }
                match floor {
                    Some(floor) => write!(f, "/{}", floor.letter()),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-04T10:20:30.500000Z";

    fn resolved(text: &str) -> Option<(String, String)> {
        let (from, to) = Moment::parse(text)?.resolve(NOW.parse().unwrap());
        Some((from.to_string(), to.to_string()))
    }

    #[test]
    fn times_are_as_long_as_they_are_written() {
        for (text, from, to) in [
            (
                "2026-01-31",
                "2026-01-31T00:00:00.000000Z",
                "2026-02-01T00:00:00.000000Z",
            ),
            (
                "2026-01-31T12:05",
                "2026-01-31T12:05:00.000000Z",
                "2026-01-31T12:06:00.000000Z",
            ),
            (
                "2026-01-31T12:05:09Z",
                "2026-01-31T12:05:09.000000Z",
                "2026-01-31T12:05:10.000000Z",
            ),
            (
                "2026-01-31 12:05:09",
                "2026-01-31T12:05:09.000000Z",
                "2026-01-31T12:05:10.000000Z",
            ),
            (
                "2026-01-31T12:05:09.5+02:00",
                "2026-01-31T10:05:09.500000Z",
                "2026-01-31T10:05:09.500001Z",
            ),
            ("now", "2026-03-04T10:20:30.500000Z", "2026-03-04T10:20:30.500001Z"),
            ("now-90m", "2026-03-04T08:50:30.500000Z", "2026-03-04T08:50:30.500001Z"),
            ("now+1d/d", "2026-03-05T00:00:00.000000Z", "2026-03-06T00:00:00.000000Z"),
            ("now/w", "2026-03-02T00:00:00.000000Z", "2026-03-09T00:00:00.000000Z"),
            ("now-1h/h", "2026-03-04T09:00:00.000000Z", "2026-03-04T10:00:00.000000Z"),
        ] {
            assert_eq!(resolved(text), Some((from.to_owned(), to.to_owned())), "{text}");
        }
        for bad in [
            "",
            "nowx",
            "now-",
            "now-5",
            "now-5x",
            "now5m",
            "now-99999999999999d",
            "2026-1-31",
            "2026-02-30",
            "tomorrow",
            "2026-01-31T25:00",
            "2026-01-31T12:00+99:00",
            "-5m",
            "now/",
            "now/x",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn outside_of_queries_a_span_is_so_long_ago() {
        let now: Timestamp = NOW.parse().unwrap();
        for text in ["24h", "-24h", "now-24h"] {
            assert_eq!(
                parse_moment(text).unwrap().resolve(now).0,
                Timestamp(now.0 - DAY),
                "{text}"
            );
        }
        assert!(
            parse_moment("yesterday")
                .unwrap_err()
                .starts_with("expected an RFC 3339 time")
        );
    }
}
