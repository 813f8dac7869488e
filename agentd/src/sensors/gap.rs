//! What a sensor lost, as an event of its own: stored, searched and alerted on like any other.

use std::sync::Arc;

use bytes::Bytes;
use model::Timestamp;
use serde_json::json;

use super::{Body, Chunk, Origin, Position, Raw};
use crate::spool::FileMark;

/// What was lost where.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    /// A name such as `file_truncated`.
    pub(crate) reason: &'static str,
    /// Path or unit.
    pub(crate) name: String,
    /// Events, where they are known.
    pub(crate) events: Option<u64>,
    /// Bytes, where they are known. What was written after the last look is not.
    pub(crate) bytes: Option<u64>,
}

impl Lost {
    /// The event; `mark` or `cursor` is where the sensor stands behind the loss.
    pub(crate) fn chunk(&self, mark: Option<FileMark>, cursor: Option<String>) -> Chunk {
        let mut event = json!({
            "event.kind": "pipeline_error",
            "event.category": "host",
            "event.action": "events-lost",
            "event.reason": self.reason,
            "message": self.message(),
        });
        let fields = [("lost.events", self.events), ("lost.bytes", self.bytes)];
        for (field, count) in fields {
            if let Some(count) = count {
                event[field] = json!(count);
            }
        }
        let text = event.to_string();
        Chunk {
            origin: Arc::new(Origin {
                kind: "agentd",
                name: self.name.clone(),
                log_type: String::new(),
                header: None,
            }),
            observed_at_micros: Timestamp::now().0,
            records: vec![Raw {
                body: Body::Json(Bytes::from(text.into_bytes())),
                truncated_bytes: 0,
                after: cursor.map_or(Position::Offset(0), Position::Cursor),
            }],
            mark,
        }
    }

    fn message(&self) -> String {
        let count = match (self.events, self.bytes) {
            (Some(events), _) => format!("{events} events"),
            (None, Some(bytes)) => format!("{bytes} bytes"),
            (None, None) => "events".to_owned(),
        };
        format!("{count} of {} were lost: {}", self.name, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_says_what_where_and_how_much() {
        let lost = Lost {
            reason: "file_truncated",
            name: "/var/log/app.log".to_owned(),
            events: None,
            bytes: Some(42),
        };
        let chunk = lost.chunk(None, None);
        let Body::Json(text) = &chunk.records[0].body else {
            panic!("no JSON");
        };
        let event: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert_eq!(event["event.kind"], "pipeline_error");
        assert_eq!(event["lost.bytes"], 42);
        assert!(event.get("lost.events").is_none());
        assert_eq!(
            event["message"],
            "42 bytes of /var/log/app.log were lost: file_truncated"
        );
        assert!(
            chunk.delta(&chunk.records[0].after, true).is_none(),
            "no step of a sensor"
        );
    }
}
