//! Which format takes a record.

use std::borrow::Cow;

use model::ecs;

use crate::draft::Draft;
use crate::record::{Body, Parsed, RawRecord, Warning};
use crate::{json, keyvalue, program, syslog};

/// Turns a record into an event. Never fails and never panics.
#[must_use]
pub fn parse(record: &RawRecord<'_>) -> Parsed {
    let mut draft = Draft::new();
    draft.set(ecs::PICKET_LOG_TYPE, "raw");
    origin(&mut draft, record);
    let (Body::Line(bytes) | Body::Json(bytes)) = record.body;
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, Cow::Owned(_)) {
        draft.warn(Warning::InvalidUtf8);
    }
    let text = text.trim_end_matches(['\n', '\r']);
    let is_json = match record.body {
        Body::Json(_) => true,
        Body::Line(_) => matches!(record.log_type, Some("json" | "journald")),
    };
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let looks_json = content.trim_start().starts_with('{');
    if !(looks_json && json::take(&mut draft, content, record)) {
        if is_json {
            draft.warn(Warning::InvalidJson);
        }
        line(&mut draft, content, record);
    }
    draft.set_default(ecs::EVENT_KIND, "event");
    draft.set_default(ecs::MESSAGE, text);
    draft.set_default(ecs::EVENT_ORIGINAL, text);
    let (fields, timestamp, warnings) = draft.finish();
    Parsed {
        timestamp: timestamp.unwrap_or(record.observed),
        fields,
        warnings,
    }
}

fn origin(draft: &mut Draft, record: &RawRecord<'_>) {
    draft.set_text(ecs::PICKET_SOURCE, record.origin_kind);
    match record.origin_kind {
        "file" => draft.set_text(ecs::LOG_FILE_PATH, record.origin_name),
        "syslog" => draft.set_text(ecs::LOG_SOURCE_ADDRESS, record.origin_name),
        _ => {}
    }
    if record.truncated_bytes > 0 {
        let bytes = i64::try_from(record.truncated_bytes).unwrap_or(i64::MAX);
        draft.set(ecs::PICKET_TRUNCATED_BYTES, bytes);
        draft.warn(Warning::Truncated(record.truncated_bytes));
    }
}

fn line(draft: &mut Draft, text: &str, record: &RawRecord<'_>) {
    if let Some(envelope) = syslog::open(text, record.observed) {
        if !syslog::is_bare(&envelope) {
            enveloped(draft, &envelope);
            return;
        }
        draft.timestamp = envelope.timestamp;
    }
    if let Some(log_type) = record.log_type
        && program::take_as(draft, log_type, text)
    {
        return;
    }
    if keyvalue::take(draft, text) {
        draft.set(ecs::PICKET_LOG_TYPE, "keyvalue");
    }
}

fn enveloped(draft: &mut Draft, envelope: &syslog::Envelope<'_>) {
    syslog::describe(draft, envelope);
    draft.set(ecs::MESSAGE, envelope.message);
    if envelope.program.is_empty() {
        draft.set(ecs::PICKET_LOG_TYPE, "syslog");
        draft.set(ecs::EVENT_DATASET, "system.syslog");
        return;
    }
    program::take(draft, envelope.program, envelope.message, "syslog");
    if draft.str(ecs::PICKET_LOG_TYPE) == Some("syslog") {
        let structured = envelope.message.starts_with('{') && json::take_embedded(draft, envelope.message);
        if !structured {
            keyvalue::take_embedded(draft, envelope.message);
        }
    }
}
