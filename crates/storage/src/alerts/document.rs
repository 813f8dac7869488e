//! An alert as a BSON document and back.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use model::Timestamp;
use model::alert::Alert;
use serde_json::{Map, Value as Json};

use crate::Error;

/// Largest stored alert in bytes. MongoDB's own limit is 16 MiB, but change streams and clients wrap what they read in
/// messages of their own, and an alert must get through all of them. A record of the agents' largest size fits whole.
const MAX_BYTES: usize = 3 << 20;
/// Strings of the event longer than this many bytes are cut, one step after the other, until the alert fits.
const CUTS: [usize; 3] = [64 << 10, 1 << 10, 32];
/// Where the event says how many bytes of its text are missing.
const CUT_MARKER: &str = "cut_bytes";

/// Encodes an alert. An event too large for a document is cut and says so in `event.picket.cut_bytes`.
pub(super) fn encode(alert: &Alert) -> Result<RawDocumentBuf, Error> {
    let raw = to_raw(alert)?;
    if raw.as_bytes().len() <= MAX_BYTES {
        return Ok(raw);
    }
    let mut cut = alert.clone();
    for longest in CUTS {
        let removed = cut_strings(&mut cut.event, longest);
        mark(&mut cut.event, removed);
        let raw = to_raw(&cut)?;
        if raw.as_bytes().len() <= MAX_BYTES {
            return Ok(raw);
        }
    }
    let mut rest = Map::new();
    if let Some(time) = cut.event.get("@timestamp") {
        rest.insert("@timestamp".to_owned(), time.clone());
    }
    cut.event = Json::Object(rest);
    mark(&mut cut.event, raw.as_bytes().len());
    to_raw(&cut)
}

fn to_raw(alert: &Alert) -> Result<RawDocumentBuf, Error> {
    let mut fields = bson::serialize_to_document(alert)?;
    let mut document = doc! { "_id": alert.id.as_str() };
    fields.remove("id");
    fields.insert("@timestamp", date(alert.timestamp));
    fields.insert("_processed_at", date(alert.processed_at));
    fields.insert("severity", i32::from(alert.severity));
    if let Ok(event) = fields.get_document_mut("event") {
        if let Some(Bson::String(text)) = event.get("@timestamp")
            && let Ok(time) = text.parse::<Timestamp>()
        {
            event.insert("@timestamp", date(time));
        }
        *event = tidy(std::mem::take(event));
    }
    document.extend(fields);
    Ok(RawDocumentBuf::try_from(&document)?)
}

fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}

/// Replaces NULs in names, which BSON ends at one, and stores small numbers as 32-bit ones, which shells print plainly.
fn tidy(document: Document) -> Document {
    let tidy_name = |name: String| {
        if name.contains('\0') {
            name.replace('\0', "\u{fffd}")
        } else {
            name
        }
    };
    document
        .into_iter()
        .map(|(name, value)| (tidy_name(name), tidy_value(value)))
        .collect()
}

fn tidy_value(value: Bson) -> Bson {
    if let Bson::Document(inner) = value {
        Bson::Document(tidy(inner))
    } else if let Bson::Array(items) = value {
        Bson::Array(items.into_iter().map(tidy_value).collect())
    } else if let Bson::Int64(number) = value {
        i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32)
    } else {
        value
    }
}

/// Cuts every string longer than `longest` bytes, and says how many bytes that took away.
fn cut_strings(value: &mut Json, longest: usize) -> usize {
    match value {
        Json::String(text) => {
            let before = text.len();
            if before > longest {
                text.truncate(text.floor_char_boundary(longest));
            }
            before - text.len()
        }
        Json::Array(items) => items.iter_mut().map(|item| cut_strings(item, longest)).sum(),
        Json::Object(fields) => fields.values_mut().map(|item| cut_strings(item, longest)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
}

fn mark(event: &mut Json, removed: usize) {
    let Json::Object(event) = event else { return };
    let picket = event.entry("picket").or_insert_with(|| Json::Object(Map::new()));
    if !picket.is_object() {
        *picket = Json::Object(Map::new());
    }
    if let Json::Object(picket) = picket {
        let earlier = picket.get(CUT_MARKER).and_then(Json::as_u64).unwrap_or(0);
        picket.insert(CUT_MARKER.to_owned(), Json::from(earlier + removed as u64));
    }
}

/// Reads an alert back; times come out in millisecond resolution.
pub(super) fn decode(document: Document) -> Result<Alert, Error> {
    let Json::Object(mut fields) = to_json(Bson::Document(document)) else {
        return Err(Error::invalid("alerts", "a document"));
    };
    if let Some(id) = fields.remove("_id") {
        fields.insert("id".to_owned(), id);
    }
    serde_json::from_value(Json::Object(fields)).map_err(|error| Error::invalid("alerts", error.to_string()))
}

fn to_json(value: Bson) -> Json {
    if let Bson::Document(fields) = value {
        fields.into_iter().map(|(name, value)| (name, to_json(value))).collect()
    } else if let Bson::Array(items) = value {
        items.into_iter().map(to_json).collect()
    } else if let Bson::DateTime(time) = value {
        Json::String(Timestamp::from_millis(time.timestamp_millis()).to_string())
    } else {
        value.into_relaxed_extjson()
    }
}

#[cfg(test)]
mod tests {
    use model::alert::{AlertAgent, AlertRule, Attack};
    use model::{AlertId, Epoch, EventId, Level, SourceId, Tenant};
    use serde_json::json;

    use super::*;

    fn alert(event: Json) -> Alert {
        let tenant = Tenant::default();
        let event_id = EventId {
            source: SourceId::named("test", "a"),
            epoch: Epoch(1),
            seq: 7,
        };
        Alert {
            id: AlertId::single(&tenant, "rule", &event_id),
            tenant,
            timestamp: Timestamp(1_700_000_000_123_000),
            rule_id: "rule".to_owned(),
            rule: AlertRule {
                id: "rule".to_owned(),
                title: "$title".to_owned(),
                description: String::new(),
                revision: "r".to_owned(),
                tags: vec!["attack.t1110".to_owned()],
            },
            level: Level::High,
            severity: 4,
            attack: Attack::default(),
            agent: AlertAgent::default(),
            ips: vec!["10.0.0.1".to_owned()],
            indicator: None,
            correlation: None,
            suppression: None,
            retroactive: false,
            event_id,
            event,
            risk_score: "high".to_owned(),
            processed_at: Timestamp(1_700_000_001_000_000),
        }
    }

    fn round_trip(alert: &Alert) -> Alert {
        let raw = encode(alert).unwrap();
        assert!(raw.as_bytes().len() <= MAX_BYTES);
        decode(Document::try_from(raw.as_ref()).unwrap()).unwrap()
    }

    #[test]
    fn an_alert_comes_back_as_it_was() {
        let alert = alert(json!({
            "@timestamp": "2023-11-14T22:13:20.123000Z",
            "message": "a\u{0}b",
            "n": 5_000_000_000_i64, "small": 3, "f": 1.5, "b": true, "nothing": null,
            "$where": {"a.b": ["x", {"$set": 1}]},
        }));
        assert_eq!(round_trip(&alert), alert);
        let raw = encode(&alert).unwrap();
        assert_eq!(raw.get_str("_id").unwrap(), alert.id.as_str());
        assert!(raw.get_datetime("@timestamp").is_ok());
        assert!(raw.get_datetime("_processed_at").is_ok());
        assert!(raw.get_document("event").unwrap().get_datetime("@timestamp").is_ok());
    }

    #[test]
    fn names_with_nul_are_stored_under_a_replacement() {
        let back = round_trip(&alert(json!({"a\u{0}b": {"c\u{0}": 1}})));
        assert_eq!(back.event, json!({"a\u{fffd}b": {"c\u{fffd}": 1}}));
    }

    #[test]
    fn an_event_too_large_is_cut_and_says_so() {
        let text = "ä".repeat(2 << 20);
        let back = round_trip(&alert(json!({"message": text, "short": "kept"})));
        assert_eq!(back.event["short"], "kept");
        let kept = back.event["message"].as_str().unwrap().len();
        assert_eq!(back.event["picket"]["cut_bytes"], text.len() - kept);

        let many: Vec<String> = (0..200_000).map(|n| format!("{n:032}")).collect();
        let back = round_trip(&alert(
            json!({"@timestamp": "2023-11-14T22:13:20.123000Z", "list": many}),
        ));
        assert!(back.event.get("list").is_none());
        assert!(back.event["picket"]["cut_bytes"].as_u64().unwrap() > 6_000_000);
    }
}
