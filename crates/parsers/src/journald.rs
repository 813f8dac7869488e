//! Objects as `journalctl -o json` writes them.
//!
//! Fields with a leading underscore come from journald itself and can be believed; the others are what the program said
//! of itself. A program that calls itself sshd while journald saw another one is not read as sshd.

use crate::draft::Draft;
use crate::formats::{self, Input};
use crate::program::{self, Family};
use crate::record::Warning;
use crate::syslog;
use crate::tree::{Json, Map};
use model::{Timestamp, Value, ecs};

/// Whether a field tells nothing about the event, or is in it under another name.
fn is_left_out(name: &str) -> bool {
    matches!(
        name,
        "MESSAGE"
            | "__CURSOR"
            | "__REALTIME_TIMESTAMP"
            | "__MONOTONIC_TIMESTAMP"
            | "__SEQNUM"
            | "__SEQNUM_ID"
            | "_HOSTNAME"
            | "SYSLOG_RAW"
            | "SYSLOG_TIMESTAMP"
            | "_SOURCE_REALTIME_TIMESTAMP"
            | "_SOURCE_BOOTTIME_TIMESTAMP"
            | "_SOURCE_MONOTONIC_TIMESTAMP"
    )
}

/// Whether the object has journald's marks.
pub(crate) fn is(object: &Map<'_>) -> bool {
    object.contains_key("__REALTIME_TIMESTAMP")
        || (object.contains_key("MESSAGE")
            && ["_PID", "_COMM", "_TRANSPORT", "SYSLOG_IDENTIFIER"]
                .iter()
                .any(|name| object.contains_key(name)))
}

/// Reads the object and returns its message.
pub(crate) fn take(draft: &mut Draft, object: &Map<'_>, observed: Timestamp) -> String {
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or("");
    let number = |name: &str| match object.get(name) {
        Some(Json::String(text)) => text.parse::<i64>().ok(),
        Some(json) => json.as_i64(),
        None => None,
    };
    let message = message(draft, object.get("MESSAGE"));
    draft.set(ecs::MESSAGE, message.as_str());
    draft.timestamp = number("__REALTIME_TIMESTAMP").map(Timestamp);
    if draft.timestamp.is_none() && object.contains_key("__REALTIME_TIMESTAMP") {
        draft.warn(Warning::InvalidTime);
    }
    draft.set_text(ecs::HOST_NAME, text("_HOSTNAME"));
    if let Some(pid) = number("_PID").or_else(|| number("SYSLOG_PID")) {
        draft.set(ecs::PROCESS_PID, pid);
    }
    draft.set_text(ecs::LOG_SYSLOG_APPNAME, text("SYSLOG_IDENTIFIER"));
    if let Some(facility) = number("SYSLOG_FACILITY") {
        draft.set(ecs::LOG_SYSLOG_FACILITY, facility);
    }
    if let Some(priority) = number("PRIORITY") {
        syslog::severity(draft, priority);
    }
    let program = believed_program(draft, text("SYSLOG_IDENTIFIER"), text("_COMM"));
    // Only the kernel itself speaks over its own transports.
    let transport = text("_TRANSPORT");
    let of_kernel = matches!(transport, "kernel" | "audit");
    let input = Input {
        text: &message,
        program: transport,
        is_certain: false,
        observed: draft.timestamp.unwrap_or(observed),
        header: None,
    };
    match of_kernel.then(|| formats::detect(draft, &input)).flatten() {
        Some(format) => {
            draft.set(ecs::PICKET_LOG_TYPE, format.name);
            draft.set_default(ecs::EVENT_DATASET, format.dataset(None, ""));
            if format.name != "auditd" {
                draft.set_fixed(ecs::PROCESS_NAME, "kernel");
            }
            draft.set_default_fixed(ecs::HOST_OS_TYPE, "linux");
        }
        None => program::take(draft, program, &message, "journald"),
    }
    if Family::of(program) == Family::Other {
        draft.set_text(ecs::PROCESS_COMMAND_LINE, text("_CMDLINE"));
    }
    draft.set_text(ecs::PROCESS_EXECUTABLE, text("_EXE"));
    for (name, value) in object.iter() {
        if is_left_out(name) {
            continue;
        }
        draft.set_own(name, own_value(value));
    }
    message
}

fn believed_program<'a>(draft: &mut Draft, identifier: &'a str, seen: &'a str) -> &'a str {
    if identifier.is_empty() {
        return seen;
    }
    let claimed = Family::of(identifier);
    if !seen.is_empty() && claimed != Family::Other && claimed != Family::of(seen) {
        draft.warn(Warning::Impostor);
        return seen;
    }
    identifier
}

/// A text, or the bytes of one that is not printable.
fn message(draft: &mut Draft, value: Option<&Json<'_>>) -> String {
    match value {
        Some(Json::String(text)) => text.clone().into_owned(),
        Some(Json::Array(items)) => match bytes(items) {
            Some(bytes) => decode(draft, bytes),
            // The field was given more than once.
            None => items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("\n"),
        },
        Some(Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_)) | None => String::new(),
    }
}

fn bytes(items: &[Json<'_>]) -> Option<Vec<u8>> {
    items
        .iter()
        .map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()))
        .collect()
}

fn decode(draft: &mut Draft, bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        draft.warn(Warning::InvalidUtf8);
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })
}

fn own_value(value: &Json<'_>) -> Value {
    match value {
        Json::String(text) => Value::from(text.as_ref()),
        Json::Array(items) => match bytes(items) {
            Some(bytes) if !bytes.is_empty() => Value::from(String::from_utf8_lossy(&bytes).into_owned()),
            _ => items.iter().map(own_value).collect(),
        },
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::from(number.to_string()), Value::Int),
        Json::Null => Value::Null,
        Json::Object(_) => Value::from(value.to_string()),
    }
}
