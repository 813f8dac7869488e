//! The texts of an event's values: what patterns are compared with.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};
use model::Value;

use crate::ast::{Number, Relation, TimePart};
use crate::engine::arena::{Arena, Span};

/// Deepest nesting of lists that is looked into.
const MAX_DEPTH: usize = 32;

/// Calls `visit` with the text of each value in `value` until it returns true; says whether it did. Null has no text.
/// `buffer` is for values that are not text yet.
pub(crate) fn any_text(value: &Value, buffer: &mut String, visit: &mut impl FnMut(&str) -> bool) -> bool {
    any_text_within(value, MAX_DEPTH, buffer, visit)
}

fn any_text_within(value: &Value, depth: usize, buffer: &mut String, visit: &mut impl FnMut(&str) -> bool) -> bool {
    match value {
        Value::Null => false,
        Value::Str(text) => visit(text),
        Value::Bool(true) => visit("true"),
        Value::Bool(false) => visit("false"),
        Value::Int(number) => {
            buffer.clear();
            // Writing to a String does not fail.
            let _ = write!(buffer, "{number}");
            visit(buffer)
        }
        Value::Float(number) => {
            buffer.clear();
            let _ = write!(buffer, "{number}");
            visit(buffer)
        }
        Value::List(values) => {
            depth > 0
                && values
                    .iter()
                    .any(|value| any_text_within(value, depth - 1, buffer, visit))
        }
    }
}

/// Appends the folded texts of `value`.
pub(crate) fn fold_texts(value: &Value, arena: &mut Arena, spans: &mut Vec<Span>) {
    fold_texts_within(value, MAX_DEPTH, arena, spans);
}

fn fold_texts_within(value: &Value, depth: usize, arena: &mut Arena, spans: &mut Vec<Span>) {
    match value {
        Value::Null => {}
        Value::Str(text) => spans.push(arena.push(text.as_bytes())),
        Value::Bool(true) => spans.push(arena.push(b"true")),
        Value::Bool(false) => spans.push(arena.push(b"false")),
        Value::Int(number) => spans.push(fold_number(format_args!("{number}"), arena)),
        Value::Float(number) => spans.push(fold_number(format_args!("{number}"), arena)),
        Value::List(values) => {
            if depth > 0 {
                for value in values {
                    fold_texts_within(value, depth - 1, arena, spans);
                }
            }
        }
    }
}

/// Appends a number's text.
pub(crate) fn fold_number(number: std::fmt::Arguments<'_>, arena: &mut Arena) -> Span {
    let start = arena.used();
    // Writing to memory does not fail.
    let _ = std::fmt::Write::write_fmt(arena, number);
    arena.finish(start)
}

/// Whether the value is null, an empty list, or a list with such an element.
pub(crate) fn is_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(values) => values.is_empty() || values.iter().any(|value| matches!(value, Value::Null)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => false,
    }
}

/// Whether there is a value other than null.
pub(crate) fn exists(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::List(values) => values.iter().any(|value| !matches!(value, Value::Null)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => true,
    }
}

/// Whether any value in `value` is a number that `accept` takes. Decimal text counts as a number.
pub(crate) fn any_number(value: &Value, accept: &impl Fn(Number) -> bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Int(number) => accept(Number::Int(*number)),
        Value::Float(number) => accept(Number::Float(*number)),
        Value::Str(text) => Number::parse(text).is_some_and(accept),
        Value::List(values) => values.iter().any(|value| match value {
            Value::List(_) => false,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => any_number(value, accept),
        }),
    }
}

/// Whether any value in `value` is a time that `accept` takes: RFC 3339, `YYYY-MM-DD hh:mm:ss` taken as UTC, or a
/// count since 1970 in seconds, milliseconds, microseconds or nanoseconds, told apart by size.
pub(crate) fn any_time(value: &Value, accept: &impl Fn(DateTime<Utc>) -> bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Float(_) => false,
        Value::Int(number) => time_since_epoch(*number).is_some_and(accept),
        Value::Str(text) => parse_time(text).is_some_and(accept),
        Value::List(values) => values.iter().any(|value| match value {
            Value::List(_) => false,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => any_time(value, accept),
        }),
    }
}

fn time_since_epoch(number: i64) -> Option<DateTime<Utc>> {
    match number.unsigned_abs() {
        0..=99_999_999_999 => DateTime::from_timestamp(number, 0),
        100_000_000_000..=99_999_999_999_999 => DateTime::from_timestamp_millis(number),
        100_000_000_000_000..=99_999_999_999_999_999 => DateTime::from_timestamp_micros(number),
        _ => Some(DateTime::from_timestamp_nanos(number)),
    }
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if text.len() > 40 {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| time.and_utc())
        .or_else(|| text.parse().ok().and_then(time_since_epoch))
}

/// The part of a time as a number.
pub(crate) fn time_part(time: DateTime<Utc>, part: TimePart) -> Number {
    Number::Int(match part {
        TimePart::Minute => i64::from(time.minute()),
        TimePart::Hour => i64::from(time.hour()),
        TimePart::Day => i64::from(time.day()),
        TimePart::Week => i64::from(time.iso_week().week()),
        TimePart::Month => i64::from(time.month()),
        TimePart::Year => i64::from(time.year()),
    })
}

/// Whether two texts relate.
pub(crate) fn relates(relation: Relation, left: impl AsRef<[u8]>, right: impl AsRef<[u8]>) -> bool {
    let (left, right) = (left.as_ref(), right.as_ref());
    match relation {
        Relation::Equals => left == right,
        Relation::StartsWith => left.starts_with(right),
        Relation::EndsWith => left.ends_with(right),
        Relation::Contains => memchr::memmem::find(left, right).is_some(),
    }
}
