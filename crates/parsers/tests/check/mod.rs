//! Comparing a parsed record with what is expected of it.

#![allow(dead_code, reason = "each test file uses its part")]

use model::Timestamp;
use parsers::{Body, Parsed, RawRecord, parse};

/// When the records of the tests were seen.
pub(crate) const OBSERVED: &str = "2026-11-21T12:00:00Z";

pub(crate) fn observed() -> Timestamp {
    OBSERVED.parse().unwrap_or_default()
}

pub(crate) fn line(text: &[u8]) -> Parsed {
    parse(&record(Body::Line(text)))
}

pub(crate) fn json(text: &str) -> Parsed {
    parse(&RawRecord {
        origin_kind: "rest",
        origin_name: "client",
        ..record(Body::Json(text.as_bytes()))
    })
}

pub(crate) fn record(body: Body<'_>) -> RawRecord<'_> {
    RawRecord {
        body,
        origin_kind: "file",
        origin_name: "/var/log/auth.log",
        log_type: None,
        observed: observed(),
        truncated_bytes: 0,
        header: None,
    }
}

/// Checks `name=value` pairs; `name=` expects the field to be absent, `@timestamp` is the time.
pub(crate) fn expect(input: &str, parsed: &Parsed, expected: &[&str]) {
    for pair in expected {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let found = match name {
            "@timestamp" => Some(parsed.timestamp.to_string().into()),
            name => parsed.fields.get(name).map(model::Value::to_text),
        };
        assert_eq!(
            found.as_deref().unwrap_or(""),
            value,
            "{name} of {input:?}\n{:#?}",
            parsed.fields
        );
    }
}

/// Checks what sshd's message `text` gives after a usual header.
pub(crate) fn message(program: &str, text: &str, expected: &[&str]) {
    let whole = format!("2026-11-21T11:59:58.123456+00:00 web-01 {program}[4242]: {text}");
    let parsed = line(whole.as_bytes());
    expect(&whole, &parsed, expected);
    expect(
        &whole,
        &parsed,
        &[
            "@timestamp=2026-11-21T11:59:58.123456Z",
            "host.name=web-01",
            "process.pid=4242",
            "event.kind=event",
            "host.os.type=linux",
            &format!("message={text}"),
            &format!("event.original={whole}"),
        ],
    );
}

/// A line, and what it must say (`name=value`); `name=` is what it must not say at all.
pub(crate) type Line = (&'static str, &'static [&'static str]);

/// Checks all the lines before it fails, so that one run tells everything that is believed wrongly.
pub(crate) fn must_say(lines: &[Line]) {
    let mut wrong = String::new();
    for (text, expected) in lines {
        let parsed = line(text.as_bytes());
        for pair in *expected {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let found = parsed.fields.get(name).map(model::Value::to_text).unwrap_or_default();
            if found != value {
                wrong.push_str(&format!("{text}\n    {name} is {found:?}, not {value:?}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
