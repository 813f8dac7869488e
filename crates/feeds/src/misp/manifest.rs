//! `manifest.json`: which events there are, and when each was changed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::InvalidFile;

/// Longest manifest in bytes.
pub const MAX_MANIFEST_BYTES: usize = 64 * 1024 * 1024;
/// Most events.
const MAX_EVENTS: usize = 500_000;

/// An event of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Names its file, `<uuid>.json`.
    pub uuid: Uuid,
    /// When it was changed, in seconds since 1970. A changed event has a larger one.
    pub timestamp: i64,
}

/// The events of a manifest, those changed first first, and how many entries are none.
///
/// # Errors
/// When it is no manifest.
pub fn manifest(body: &[u8]) -> Result<(Vec<Listed>, usize), InvalidFile> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        timestamp: Value,
        #[serde(default)]
        publish_timestamp: Value,
    }
    let invalid = |source| InvalidFile {
        what: "manifest.json",
        expected: "an object of events by their UUID",
        source,
    };
    let wire: BTreeMap<String, Value> = serde_json::from_slice(body).map_err(|error| invalid(Some(error)))?;
    if wire.len() > MAX_EVENTS {
        return Err(InvalidFile {
            what: "manifest.json",
            expected: "at most 500,000 events",
            source: None,
        });
    }
    let entries = wire.len();
    let mut listed: Vec<Listed> = wire
        .into_iter()
        .filter_map(|(uuid, event)| {
            let event: Wire = serde_json::from_value(event).ok()?;
            Some(Listed {
                // The UUID becomes part of a path: nothing else may.
                uuid: Uuid::try_parse(&uuid).ok()?,
                timestamp: seconds(&event.timestamp).max(seconds(&event.publish_timestamp)),
            })
        })
        .collect();
    if listed.is_empty() && entries > 0 {
        return Err(invalid(None));
    }
    listed.sort_by_key(|event| (event.timestamp, event.uuid));
    let wrong = entries - listed.len();
    Ok((listed, wrong))
}

/// MISP writes numbers as numbers and as texts.
pub(super) fn seconds(value: &Value) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(text) => text.parse().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_their_changes() {
        let body = br#"{
            "5a5b2a0e-0000-4000-8000-000000000002": {"timestamp": "20", "info": "b"},
            "5a5b2a0e-0000-4000-8000-000000000001": {"timestamp": 10, "publish_timestamp": "30"},
            "../../etc/passwd": {"timestamp": 1}
        }"#;
        let (listed, wrong) = manifest(body).unwrap();
        let times: Vec<i64> = listed.iter().map(|event| event.timestamp).collect();
        assert_eq!(times, [20, 30]);
        assert_eq!(wrong, 1);
        assert_eq!(manifest(b"{}").unwrap(), (Vec::new(), 0));
        for wrong in [&b"[]"[..], b"<html>", br#"{"error": "not allowed"}"#] {
            assert!(manifest(wrong).is_err());
        }
    }
}
