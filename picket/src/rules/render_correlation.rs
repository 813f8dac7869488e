//! What people read in a terminal of a correlation: what an event gives to it, and how its alert came to be.

use std::fmt::Write as _;

use serde_json::Value;
use sigma::CorrelationExplanation;

use super::render;
use crate::table::{Cell, Style, Table, Tone, printable, shortened};

/// Longest message shown, in characters.
const MAX_MESSAGE: usize = 80;

/// What an event gives, all lines ended.
pub(crate) fn contribution(found: &CorrelationExplanation, style: Style) -> String {
    let mut text = String::new();
    let verdict = if found.contributes {
        style.green("CONTRIBUTES")
    } else {
        style.red("DOES NOT CONTRIBUTE")
    };
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "{verdict}  {}  {}",
        style.bold(&printable(&found.rule.title)),
        style.dim(&format!("{} · {}", found.rule.id, found.rule.level))
    );
    let _ = writeln!(text, "  {} within {} s", printable(&found.condition), found.timespan);
    for given in &found.contributions {
        let group: Vec<String> = given
            .group
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let _ = writeln!(
            text,
            "  group {}, window {} to {}{}",
            if group.is_empty() {
                "all".to_owned()
            } else {
                printable(&group.join(" "))
            },
            given.window_start,
            given.window_end,
            if given.values.is_empty() {
                String::new()
            } else {
                format!(", value {}", printable(&given.values.join(", ")))
            }
        );
    }
    for reason in &found.unused {
        let _ = writeln!(text, "  {} {}", style.yellow("→"), printable(reason));
    }
    for rule in &found.rules {
        for line in render::explanation(rule, style).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// How a correlation's alert came to be, all lines ended.
pub(crate) fn alert(found: &Value, style: Style) -> String {
    let mut text = String::new();
    let rule = |member: &str| printable(found["rule"][member].as_str().unwrap_or_default());
    let correlation = &found["correlation"];
    let verdict = if correlation["retracted"] == true {
        style.yellow("RETRACTED")
    } else {
        style.red("ALERT")
    };
    let _ = writeln!(
        text,
        "{verdict}  {}  {}",
        style.bold(&rule("title")),
        style.dim(&format!("{} · {}", rule("id"), rule("level")))
    );
    if correlation["retracted"] == true {
        let _ = writeln!(text, "  events that came later took it back");
    }
    if let Some(deployed) = found["deployed_revision"].as_str() {
        let (then, deployed) = (rule("revision"), printable(deployed));
        let _ = writeln!(
            text,
            "  it was revision {then} of the correlation; in use is {deployed}"
        );
    }
    let number = |value: &Value| value.as_f64().map(|number| number.to_string()).unwrap_or_default();
    let at_least = if correlation["at_least"] == true {
        "at least "
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "  condition: {} within {} s",
        printable(found["condition"].as_str().unwrap_or("no longer known")),
        number(&found["timespan"])
    );
    let _ = writeln!(
        text,
        "  found: {at_least}{}, in {at_least}{} events",
        number(&correlation["value"]),
        number(&correlation["count"])
    );
    let group: Vec<String> = correlation["group"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    let shown = if group.is_empty() {
        "all events".to_owned()
    } else {
        printable(&group.join(" "))
    };
    let time = |member: &str| correlation[member].as_str().unwrap_or_default();
    let _ = writeln!(text, "  group: {shown}");
    let _ = writeln!(
        text,
        "  window: {} to {}; events from {} to {}",
        time("window_start"),
        time("window_end"),
        time("first_event"),
        time("last_event")
    );
    let limits = match (correlation["overflowed"] == true, correlation["at_least"] == true) {
        (true, _) => "limits were hit: the numbers may be too low",
        (false, true) => "no limit was hit; more events than decide the condition are not kept",
        (false, false) => "no limit was hit",
    };
    let _ = writeln!(text, "  limits: {limits}");
    let events = found["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut table = Table::new(&["TIME", "HOST", "RULES", "VALUES", "EVENT"]);
    for event in events {
        let text = |member: &str| event[member].as_str().unwrap_or_default();
        let rules: Vec<&str> = event["rules"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|rule| rule["title"].as_str())
            .collect();
        let values: Vec<&str> = event["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let matched = match (event["stored"] == true, rules.is_empty()) {
            (false, _) => Cell::new("no longer stored", Tone::Quiet),
            (true, true) => Cell::new("none of those in use", Tone::Warning),
            (true, false) => shortened(&rules.join(", "), MAX_MESSAGE).into(),
        };
        let shown = [text("message"), text("id")]
            .into_iter()
            .find(|shown| !shown.is_empty());
        table.row([
            text("@timestamp").into(),
            text("host").into(),
            matched,
            shortened(&values.join(", "), MAX_MESSAGE).into(),
            Cell::new(shortened(shown.unwrap_or_default(), MAX_MESSAGE), Tone::Quiet),
        ]);
    }
    text.push_str(&table.render(style));
    let more = found["not_listed"].as_u64().unwrap_or(0);
    if more > 0 {
        let _ = writeln!(text, "… {more} more, between these");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alert_is_told_with_count_window_limits_and_events() {
        let found = json!({
            "alert_id": "a", "rule": {"id": "c", "title": "Guessing", "level": "high", "revision": "1"},
            "condition": "event_count gte 3", "timespan": 60, "threshold": {"gte": 3.0},
            "correlation": {
                "type": "event_count", "group": {"source.ip": "10.0.0.1"}, "count": 5, "value": 5.0, "at_least": true,
                "window_start": "2026-01-01T00:00:00Z", "window_end": "2026-01-01T00:01:00Z",
                "first_event": "2026-01-01T00:00:01Z", "last_event": "2026-01-01T00:00:09Z", "overflowed": false,
                "retracted": false,
            },
            "events": [
                {"id": "e1", "kind": "event", "stored": true, "@timestamp": "2026-01-01T00:00:01Z", "host": "web",
                 "message": "Failed\u{1b}", "rules": [{"id": "r", "title": "Failed login"}]},
                {"id": "e2", "kind": "event", "stored": false, "rules": []},
            ],
            "not_listed": 3,
        });
        let text = alert(&found, Style::default());
        for part in [
            "ALERT  Guessing",
            "condition: event_count gte 3 within 60 s",
            "found: at least 5, in at least 5 events",
            "group: source.ip=10.0.0.1",
            "window: 2026-01-01T00:00:00Z to 2026-01-01T00:01:00Z",
            "no limit was hit",
            "Failed login",
            "no longer stored",
            "… 3 more",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
