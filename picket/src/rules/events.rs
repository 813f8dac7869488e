//! Events from what a user has at hand: a stored event or alert, a JSON document, a log line.

use std::io::{Read as _, Seek as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp, ecs};
use parsers::{Body, RawRecord, event_log};
use records::header::Tracker;
use serde_json::{Map, Value};

use crate::packed::{MAGIC_BYTES, Packing};

/// Most input that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// The text of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        open(path)
            .with_context(|| format!("open {}", path.display()))?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
    };
    let size = read.with_context(|| format!("read {}", path.display()))?;
    if size as u64 > MAX_BYTES {
        bail!("{}: expected at most {MAX_BYTES} bytes", path.display());
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file, unpacked when it is compressed.
fn open(path: &Path) -> std::io::Result<Box<dyn std::io::Read + Send>> {
    let mut file = std::fs::File::open(path)?;
    let mut start = Vec::new();
    (&mut file).take(MAGIC_BYTES as u64).read_to_end(&mut start)?;
    let packing = Packing::of(&start);
    // What was read of a pipe cannot be read again.
    if file.rewind().is_err() {
        return Ok(Box::new(std::io::Cursor::new(start).chain(file)));
    }
    match packing {
        Some(packing) => packing.unpack(file),
        None => Ok(Box::new(file)),
    }
}

/// The events in a text: JSON objects, alone, in an array or one after the other; else each line is one. Objects that
/// Picket made are taken as they are, everything else goes through the parsers as if an agent had sent it.
///
/// # Errors
/// When the text begins as JSON and is none.
pub(crate) fn parse(text: &str, log_type: Option<&str>) -> anyhow::Result<Vec<Event>> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '[']) {
        return Ok(objects(text)?
            .into_iter()
            .map(|object| match stored(&object) {
                Some(event) => event,
                None => parsed(Body::Json(Value::Object(object).to_string().as_bytes()), log_type),
            })
            .collect());
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut header = Tracker::default();
    Ok(lines
        .map(|line| {
            let header = (!header.take(line.as_bytes()))
                .then(|| header.header().cloned())
                .flatten();
            parsed_under(Body::Line(line.as_bytes()), log_type, header.as_deref())
        })
        .collect())
}

/// The JSON objects of a text: one after the other, with or without arrays around them.
///
/// # Errors
/// When something is no object.
pub(crate) fn objects(text: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut objects = Vec::new();
    for (number, value) in serde_json::Deserializer::from_str(text)
        .into_iter::<Value>()
        .enumerate()
    {
        let value = value.with_context(|| format!("event {}: expected JSON", number + 1))?;
        let items = match value {
            Value::Array(items) => items,
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                vec![other]
            }
        };
        for item in items {
            match item {
                Value::Object(object) => objects.push(object),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    bail!("event {}: expected an object", objects.len() + 1)
                }
            }
        }
    }
    Ok(objects)
}

/// An event with exactly the members of an object; a Windows event without its wrapping.
pub(crate) fn as_it_is(object: &Map<String, Value>) -> Event {
    let mut fields = Fields::new();
    match event_log::flatten(object) {
        Some(flat) => fields.insert_json("", &flat),
        None => fields.insert_json("", object),
    };
    event(fields, Timestamp(0))
}

/// An event as REST and exports show it, or the one inside an alert.
fn stored(object: &Map<String, Value>) -> Option<Event> {
    let inner = object.get("event").and_then(Value::as_object);
    if let Some(inner) = inner.filter(|_| object.contains_key("rule_id"))
        && let Some(event) = stored(inner)
    {
        return Some(event);
    }
    inner?.get("id")?.as_str()?.parse::<EventId>().ok()?;
    let timestamp: Timestamp = object.get(ecs::TIMESTAMP)?.as_str()?.parse().ok()?;
    let mut fields = Fields::new();
    fields.insert_json("", object);
    fields.remove(ecs::TIMESTAMP);
    fields.remove(ecs::EVENT_ID);
    Some(event(fields, timestamp))
}

fn parsed(body: Body<'_>, log_type: Option<&str>) -> Event {
    parsed_under(body, log_type, None)
}

fn parsed_under(body: Body<'_>, log_type: Option<&str>, header: Option<&str>) -> Event {
    let parsed = parsers::parse(&RawRecord {
        body,
        origin_kind: "file",
        origin_name: "",
        log_type,
        observed: Timestamp::now(),
        truncated_bytes: 0,
        header,
    });
    event(parsed.fields, parsed.timestamp)
}

fn event(fields: Fields, timestamp: Timestamp) -> Event {
    let id = EventId {
        source: SourceId::named("rules", "local"),
        epoch: Epoch(1),
        seq: 0,
    };
    Event { id, timestamp, fields }
}

/// Reads a raw line, for tests beside rules.
pub(crate) fn from_line(line: &str, log_type: Option<&str>) -> Event {
    let mut event = parsed(Body::Line(line.as_bytes()), log_type);
    // Tests say nothing of the time, so it must not depend on when they run.
    event.timestamp = Timestamp(0);
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(event: &Event) -> Vec<(&str, String)> {
        let mut fields: Vec<_> = event
            .fields
            .iter()
            .map(|(name, value)| (name, value.to_json().to_string()))
            .collect();
        fields.sort();
        fields
    }

    #[test]
    fn lines_json_stored_events_and_alerts_all_become_events() {
        let lines = parse(
            "Nov 21 10:15:01 web sshd[8]: Failed password for root from 203.0.113.7 port 4711 ssh2\n\nx\n",
            None,
        )
        .unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].fields.str("user.name"), Some("root"));

        let many = parse("{\"user\": \"a\"}\n{\"user\": \"b\"} [{\"user\": \"c\"}]", None).unwrap();
        assert_eq!(many.len(), 3);
        assert_eq!(many[2].fields.str("user.name"), Some("c"));

        let stored = lines[0].to_json();
        let again = parse(&stored.to_string(), None).unwrap();
        assert_eq!(again[0].timestamp, lines[0].timestamp);
        assert_eq!(sorted(&again[0]), sorted(&lines[0]));
        let alert = serde_json::json!({"rule_id": "r", "event": stored});
        assert_eq!(sorted(&parse(&alert.to_string(), None).unwrap()[0]), sorted(&lines[0]));

        let named = parse(
            "#Fields: date time c-ip cs-username\n2026-11-21 10:00:00 203.0.113.9 eve\n",
            None,
        )
        .unwrap();
        assert_eq!(named[1].fields.str("user.name"), Some("eve"));

        assert!(parse("{\"a\": ", None).is_err());
        assert!(objects("[1]").unwrap_err().to_string().contains("expected an object"));
    }
}
