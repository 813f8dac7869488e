//! Times as logs write them.

use model::Timestamp;

const MICROS: i64 = 1_000_000;
const DAY_SECS: i64 = 86_400;
/// How far a sender's clock may be ahead before its time is taken for last year's.
const AHEAD: i64 = 2 * DAY_SECS * MICROS;

/// Days since 1970-01-01 of a date of the Gregorian calendar; `None` when there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Years that begin in March put the leap day at their end.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Reads `count` digits at `at`.
fn digits(bytes: &[u8], at: usize, count: usize) -> Option<i64> {
    bytes.get(at..at + count)?.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// `HH:MM:SS` and an optional fraction after `.` or `,`: microseconds of the day, and where it ends.
fn time_of_day(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (hour, minute, second) = (
        digits(bytes, at, 2)?,
        digits(bytes, at + 3, 2)?,
        digits(bytes, at + 6, 2)?,
    );
    if bytes.get(at + 2) != Some(&b':') || bytes.get(at + 5) != Some(&b':') {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut micros = (hour * 3600 + minute * 60 + second) * MICROS;
    let mut end = at + 8;
    if matches!(bytes.get(end), Some(b'.' | b',')) && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        end += 1;
        let mut unit = MICROS / 10;
        while let Some(digit) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
            micros += i64::from(digit - b'0') * unit;
            unit /= 10;
            end += 1;
        }
    }
    Some((micros, end))
}

/// `2026-01-31T12:00:00[.123456][Z|+01:00|+0100]` at the start, with `T` or `separator` in the middle. Without a zone it is
/// taken as UTC. Also returns where it ends.
fn iso_at_start(text: &str, separator: u8) -> Option<(Timestamp, usize)> {
    let bytes = text.as_bytes();
    let (year, month, day) = (digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?);
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    if !matches!(bytes.get(10), Some(middle) if *middle == b'T' || *middle == b't' || *middle == separator) {
        return None;
    }
    let (micros, mut end) = time_of_day(bytes, 11)?;
    let mut offset = 0;
    match bytes.get(end) {
        Some(b'Z' | b'z') => end += 1,
        Some(sign @ (b'+' | b'-')) => {
            let hours = digits(bytes, end + 1, 2)?;
            let colon = usize::from(bytes.get(end + 3) == Some(&b':'));
            let minutes = digits(bytes, end + 3 + colon, 2);
            if hours > 23 || minutes.is_some_and(|minutes| minutes > 59) {
                return None;
            }
            offset = hours * 3600 + minutes.unwrap_or(0) * 60;
            if *sign == b'-' {
                offset = -offset;
            }
            end += if minutes.is_some() { 5 + colon } else { 3 };
        }
        _ => {}
    }
    let seconds = days(year, month, day)? * DAY_SECS - offset;
    Some((Timestamp(seconds * MICROS + micros), end))
}

/// An RFC 3339 time at the start of `text`, and what follows it.
pub(crate) fn take_iso(text: &str) -> Option<(Timestamp, &str)> {
    let (time, end) = iso_at_start(text, b'T')?;
    Some((time, text.get(end..)?))
}

/// A time as [`take_iso`], with a space or `-` for the `T` too, and what follows it.
pub(crate) fn take_iso_spaced(text: &str) -> Option<(Timestamp, &str)> {
    let (time, end) = iso_at_start(text, b' ').or_else(|| iso_at_start(text, b'-'))?;
    Some((time, text.get(end..)?))
}

/// A whole text that is a time: RFC 3339, with a space for the `T` if need be, a number as [`from_number`] takes it, or
/// one of the forms [`take_written`] knows.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Some((time, end)) = iso_at_start(text, b' ') {
        let rest = text.get(end..)?;
        // A zone may stand apart: `2026-01-31 12:00:00 +0100`.
        let (offset, zone_end) = zone(rest.as_bytes(), 0)?;
        let ends = zone_end == rest.len() || rest == " UTC";
        return ends.then(|| Timestamp(time.0 - offset));
    }
    if let Some((time, rest)) = take_written(text) {
        return matches!(rest, "" | "Z" | " UTC" | " GMT").then_some(time);
    }
    from_number(text.parse().ok()?)
}

/// The number of a month by its English name's first three letters.
fn month(bytes: &[u8]) -> Option<i64> {
    const NAMES: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let name = bytes.get(..3)?;
    let at = NAMES
        .chunks_exact(3)
        .position(|known| known.eq_ignore_ascii_case(name))?;
    i64::try_from(at + 1).ok()
}

fn at_day(year: i64, month: i64, day: i64, micros: i64) -> Option<Timestamp> {
    Some(Timestamp(days(year, month, day)? * DAY_SECS * MICROS + micros))
}

/// ` +0200` in microseconds east of Greenwich; nothing there is UTC. Also where it ends.
fn zone(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b' '), Some(sign @ (b'+' | b'-'))) => {
            let colon = usize::from(bytes.get(at + 4) == Some(&b':'));
            let (hours, minutes) = (digits(bytes, at + 2, 2)?, digits(bytes, at + 4 + colon, 2)?);
            let offset = (hours * 3600 + minutes * 60) * MICROS;
            Some((if *sign == b'-' { -offset } else { offset }, at + 6 + colon))
        }
        _ => Some((0, at)),
    }
}

/// The time of the common log format, `26/Dec/2016:16:16:29 +0200`, at the start, and what follows it.
pub(crate) fn take_clf(text: &str) -> Option<(Timestamp, &str)> {
    let bytes = text.as_bytes();
    if bytes.get(2) != Some(&b'/') || bytes.get(6) != Some(&b'/') || bytes.get(11) != Some(&b':') {
        return None;
    }
    let (day, month, year) = (digits(bytes, 0, 2)?, month(bytes.get(3..)?)?, digits(bytes, 7, 4)?);
    let (micros, end) = time_of_day(bytes, 12)?;
    let (offset, end) = zone(bytes, end)?;
    Some((at_day(year, month, day, micros - offset)?, text.get(end..)?))
}

/// A time written with the day first, the year first with slashes, or with the name of the weekday, and what follows it:
/// `26/Dec/2016:16:16:29 +0200`, `19-Oct-2022 05:34:02.425`, `2016/10/25 14:49:34`, `Mon Dec 26 16:15:55.103786 2016`,
/// `12/31/2016 23:59:59`, `Sat, 21 Nov 2026 10:00:00 +0100`.
pub(crate) fn take_written(text: &str) -> Option<(Timestamp, &str)> {
    let bytes = text.as_bytes();
    match (bytes.get(2)?, bytes.get(3)?) {
        (b'/', third) if !third.is_ascii_digit() => take_clf(text),
        (b'-', _) => {
            let (day, month, year) = (digits(bytes, 0, 2)?, month(bytes.get(3..)?)?, digits(bytes, 7, 4)?);
            let (micros, end) = time_of_day(bytes, 12)?;
            let (offset, end) = zone(bytes, end)?;
            Some((at_day(year, month, day, micros - offset)?, text.get(end..)?))
        }
        (b'/', _) => {
            let (month, day) = (digits(bytes, 0, 2)?, digits(bytes, 3, 2)?);
            let long = bytes.get(8).is_some_and(u8::is_ascii_digit);
            let year = if long {
                digits(bytes, 6, 4)?
            } else {
                2000 + digits(bytes, 6, 2)?
            };
            let (micros, end) = time_of_day(bytes, if long { 11 } else { 9 })?;
            at_day(year, month, day, micros).and_then(|time| Some((time, text.get(end..)?)))
        }
        (_, b' ') => {
            let month = month(bytes.get(4..)?)?;
            let at = if bytes.get(8) == Some(&b' ') { 9 } else { 8 };
            let len = if bytes.get(at + 1)?.is_ascii_digit() { 2 } else { 1 };
            let day = digits(bytes, at, len)?;
            let (micros, end) = time_of_day(bytes, at + len + 1)?;
            let year = digits(bytes, end + 1, 4)?;
            Some((at_day(year, month, day, micros)?, text.get(end + 5..)?))
        }
        (_, b',') => {
            let len = if bytes.get(6)?.is_ascii_digit() { 2 } else { 1 };
            let (day, month, year) = (
                digits(bytes, 5, len)?,
                month(bytes.get(6 + len..)?)?,
                digits(bytes, 10 + len, 4)?,
            );
            let (micros, end) = time_of_day(bytes, 15 + len)?;
            let (offset, end) = zone(bytes, end)?;
            Some((at_day(year, month, day, micros - offset)?, text.get(end..)?))
        }
        _ if bytes.get(4) == Some(&b'/') => {
            let (year, month, day) = (digits(bytes, 0, 4)?, digits(bytes, 5, 2)?, digits(bytes, 8, 2)?);
            let (micros, end) = time_of_day(bytes, 11)?;
            let (offset, end) = zone(bytes, end)?;
            Some((at_day(year, month, day, micros - offset)?, text.get(end..)?))
        }
        _ => None,
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size: 2001 to 5138 fit each.
pub(crate) fn from_number(number: f64) -> Option<Timestamp> {
    let micros = match number {
        n if !n.is_finite() || n < 0.0 => return None,
        n if n < 1e11 => n * 1e6,
        n if n < 1e14 => n * 1e3,
        n if n < 1e17 => n,
        n if n < 1e20 => n / 1e3,
        _ => return None,
    };
    Some(Timestamp(micros.round() as i64))
}

/// The time a BSD syslog header begins with, `Jan  2 03:04:05`, and what follows it. The year, when it is not there, is
/// the one that puts the time closest before `observed`. There is no zone: it is taken as UTC.
pub(crate) fn take_bsd(text: &str, observed: Timestamp) -> Option<(Timestamp, &str)> {
    let bytes = text.as_bytes();
    let month = match bytes.get(..4)? {
        b"Jan " => 1,
        b"Feb " => 2,
        b"Mar " => 3,
        b"Apr " => 4,
        b"May " => 5,
        b"Jun " => 6,
        b"Jul " => 7,
        b"Aug " => 8,
        b"Sep " => 9,
        b"Oct " => 10,
        b"Nov " => 11,
        b"Dec " => 12,
        _ => return None,
    };
    let mut at = 4 + usize::from(bytes.get(4) == Some(&b' '));
    let day_len = if bytes.get(at + 1)?.is_ascii_digit() { 2 } else { 1 };
    let day = digits(bytes, at, day_len)?;
    at += day_len;
    if bytes.get(at) != Some(&b' ') {
        return None;
    }
    at += 1;
    let mut year = None;
    if bytes.get(at + 4) == Some(&b' ') {
        year = digits(bytes, at, 4);
        at += 5;
    }
    let (micros, mut end) = time_of_day(bytes, at)?;
    if year.is_none() && bytes.get(end) == Some(&b' ') && bytes.get(end + 5) == Some(&b' ') {
        // Some devices put the year last.
        if let Some(last) = digits(bytes, end + 1, 4).filter(|year| (1970..2200).contains(year)) {
            year = Some(last);
            end += 5;
        }
    }
    let in_year = |year| days(year, month, day).map(|days| days * DAY_SECS * MICROS + micros);
    let time = match year {
        Some(year) => in_year(year)?,
        None => {
            let this = year_of(observed);
            // 8 years back there is a leap day even around a century's end.
            (this - 8..=this + 1)
                .rev()
                .filter_map(in_year)
                .find(|time| *time <= observed.0.saturating_add(AHEAD))?
        }
    };
    Some((Timestamp(time), text.get(end..)?))
}

fn year_of(time: Timestamp) -> i64 {
    let shifted = time.day() + 719_468;
    let era = shifted.div_euclid(146_097);
    let day = shifted.rem_euclid(146_097);
    // Years that begin in March, as in `days`.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    era * 400 + year + i64::from(day_of_year >= 306)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn years_are_those_of_the_calendar() {
        use chrono::Datelike as _;
        for day in (-200_000..200_000).step_by(7).chain(-1500..1500) {
            let time = Timestamp(day * DAY_SECS * MICROS);
            assert_eq!(year_of(time), i64::from(time.to_utc().year()), "{time}");
        }
    }

    #[test]
    fn the_missing_year_is_the_one_that_puts_the_time_just_before_now() {
        for (line, observed, expected) in [
            ("Jan  2 03:04:05 x", "2026-03-01T00:00:00Z", "2026-01-02T03:04:05Z"),
            ("Dec 31 23:59:59 x", "2026-01-01T00:00:02Z", "2025-12-31T23:59:59Z"),
            ("Jan  1 00:00:01 x", "2025-12-31T23:59:58Z", "2026-01-01T00:00:01Z"),
            ("Feb 29 12:00:00 x", "2026-02-20T00:00:00Z", "2024-02-29T12:00:00Z"),
            ("Nov 21 12:00:00 x", "2026-11-20T13:00:00Z", "2026-11-21T12:00:00Z"),
            ("Nov 25 12:00:00 x", "2026-11-20T13:00:00Z", "2025-11-25T12:00:00Z"),
            (
                "Mar 3 01:02:03.250 x",
                "2026-11-20T13:00:00Z",
                "2026-03-03T01:02:03.250Z",
            ),
            ("Mar 03 2019 01:02:03 x", "2026-11-20T13:00:00Z", "2019-03-03T01:02:03Z"),
            ("Mar  3 01:02:03 2019 x", "2026-11-20T13:00:00Z", "2019-03-03T01:02:03Z"),
        ] {
            assert_eq!(take_bsd(line, at(observed)), Some((at(expected), " x")), "{line}");
        }
        for line in [
            "Foo  1 00:00:00",
            "Jan 32 00:00:00",
            "Jan  1 25:00:00",
            "Jan  1",
            "Jan",
            "",
            "Feb 30 00:00:00",
        ] {
            assert_eq!(take_bsd(line, at("2026-01-01T00:00:00Z")), None, "{line}");
        }
    }

    #[test]
    fn iso_times_are_read_with_any_zone() {
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.123456+01:00", "2026-01-31T11:00:00.123456Z"),
            ("2026-01-31T12:00:00.123456789-0230", "2026-01-31T14:30:00.123456Z"),
            ("2024-02-29T00:00:00", "2024-02-29T00:00:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2026-01-31 12:00:00,5", "2026-01-31T12:00:00.5Z"),
            ("1769860800", "2026-01-31T12:00:00Z"),
            ("1769860800000", "2026-01-31T12:00:00Z"),
            ("1769860800.25", "2026-01-31T12:00:00.25Z"),
            ("31/Jan/2026:14:00:00 +0200", "2026-01-31T12:00:00Z"),
            ("31-Jan-2026 12:00:00.425", "2026-01-31T12:00:00.425Z"),
            ("2026/01/31 12:00:00", "2026-01-31T12:00:00Z"),
            ("2026-01-31 13:00:00 +0100", "2026-01-31T12:00:00Z"),
            ("Sat Jan 31 12:00:00.5 2026", "2026-01-31T12:00:00.5Z"),
            ("01/31/2026 12:00:00", "2026-01-31T12:00:00Z"),
            ("01/31/26 12:00:00", "2026-01-31T12:00:00Z"),
            ("Sat, 31 Jan 2026 13:00:00 +0100", "2026-01-31T12:00:00Z"),
        ] {
            assert_eq!(parse_time(text), Some(at(expected)), "{text}");
        }
        for text in [
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "now",
            "",
            "2026-01-31",
            "-5",
            "NaN",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
