//! JSON objects: any, flattened; among them ECS documents and the two shapes that clients of other tools send:
//! `{source, host, message, fields: {program, ..}}` and `{source_host, os_type, event_type, .., raw_message}`. Windows
//! events in the wrapping of `.evtx` readers are unwrapped first.

use model::event::{MAX_DEPTH, MAX_NAME};
use model::{Fields, Timestamp, Value, ecs};

use crate::aliases;
use crate::clock::{from_number, parse_time};
use crate::draft::Draft;
use crate::event_log;
use crate::formats;
use crate::journald;
use crate::mapping;
use crate::program;
use crate::record::{HEADER_MEMBER, RawRecord, Warning};
use crate::syslog;
use crate::tree::{self, Json, Map};
use crate::windows;

const TIMES: &[&str] = &[
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "_time",
    "eventTime",
    "EventTime",
    "datetime",
    "event.created",
    "TimeCreated",
    "timereported",
];
const MESSAGES: &[&str] = &[
    "raw_message",
    "message",
    "msg",
    "log",
    "MESSAGE",
    "raw",
    "short_message",
    "Message",
];

/// Reads an object; false when the text is none.
pub(crate) fn take(draft: &mut Draft, text: &str, record: &RawRecord<'_>) -> bool {
    let Some(object) = tree::object(text) else {
        return false;
    };
    if !take_shipped(draft, &object, record) {
        take_record(draft, object, text, record);
    }
    true
}

/// Reads `{source, host, message, fields: {..}}` whose message is an object: the record is the message, as if it had come
/// alone, and what stands around it only says where from. False when it is none.
fn take_shipped(draft: &mut Draft, object: &Map<'_>, record: &RawRecord<'_>) -> bool {
    let (Some(message), Some(fields)) = (
        object
            .get("message")
            .and_then(Json::as_str)
            .filter(|message| message.starts_with('{')),
        object.get("fields").and_then(Json::as_object),
    ) else {
        return false;
    };
    let Some(inner) = tree::object(message) else {
        return false;
    };
    let log_type = fields.get("log_type").and_then(Json::as_str).or(record.log_type);
    take_record(draft, inner, message, &RawRecord { log_type, ..*record });
    draft.set_default(ecs::MESSAGE, message);
    aliases::set_host(draft, object);
    add_shell(draft, object);
    aliases::apply_to_peers(draft);
    true
}

/// Adds what stands around a shipped message.
pub(crate) fn add_shell(draft: &mut Draft, object: &Map<'_>) {
    if let Some(fields) = object.get("fields").and_then(Json::as_object) {
        add_own_but(draft, fields, |name, _| name == HEADER_MEMBER);
    }
    add_own_but(draft, object, |name, _| {
        matches!(name, "message" | "fields" | ecs::TIMESTAMP)
    });
}

fn take_record(draft: &mut Draft, object: Map<'_>, text: &str, record: &RawRecord<'_>) {
    if journald::is(&object) {
        let message = journald::take(draft, &object, record.observed);
        // journald's own record is only known in the form journalctl gives it; the program's is the message.
        draft.set(ecs::EVENT_ORIGINAL, if message.is_empty() { text } else { &message });
    } else if mapped(draft, &object, record) {
        draft.set_default(ecs::EVENT_ORIGINAL, text);
    } else {
        take_object(draft, object, text, record);
    }
}

/// Shippers that put the object they ship under one member.
const SHELLS: [&str; 5] = ["json", "data", "_source", "event", "detail"];

/// The objects that a shipper's shell may hold. An object with a message of its own is a program's, and what it puts under
/// such a name may be what somebody sent it: the body of a request can be any service's event.
fn shells<'b, 'a>(object: &'b Map<'a>) -> impl Iterator<Item = &'b Map<'a>> {
    let is_shell = !MESSAGES
        .iter()
        .any(|name| object.get(name).is_some_and(Json::is_string));
    let names = if is_shell { SHELLS.as_slice() } else { &[] };
    names.iter().filter_map(|name| object.get(name)?.as_object())
}

/// Whether an object is what a program's own logger writes. Its message says what the program says, and that may be
/// nothing but a text somebody sent it: whatever line or event it reads like, it is none. Shippers of lines say what they
/// ship, and name no logger.
fn is_of_logger(object: &Map<'_>, record: &RawRecord<'_>) -> bool {
    const LOGGERS: [&str; 9] = [
        "level",
        "lvl",
        "loglevel",
        "logger",
        "logger_name",
        "loggerName",
        "thread",
        "thread_name",
        "caller",
    ];
    const SHIPPERS: [&str; 7] = [
        "raw_message",
        "source_host",
        "fields",
        "log_type",
        "_source",
        "source_type",
        "syslogtag",
    ];
    /// Names of what wrote it, which may be a program whose messages are known.
    const SERVICES: [&str; 3] = ["service", "app", "application"];
    let is_service = |name: &&str| {
        let name = object.get(name).and_then(Json::as_str);
        name.is_some_and(|name| !program::is_known(name) && formats::named(name).next().is_none())
    };
    record.log_type.is_none()
        && !aliases::PROGRAMS.iter().any(|name| object.contains_key(name))
        && !SHIPPERS.iter().any(|name| object.contains_key(name))
        && (SERVICES.iter().any(is_service)
            || LOGGERS
                .iter()
                .any(|name| object.get(name).is_some_and(|value| !value.is_object())))
}

/// Whether a log type is that of Windows events.
fn is_windows(log_type: &str) -> bool {
    matches!(
        log_type,
        windows::LOG_TYPE
            | "winlogbeat"
            | "eventlog"
            | "evtx"
            | "eventchannel"
            | "sysmon"
            | "system.security"
            | "system.system"
    ) || log_type.starts_with("windows.")
}

/// Reads `<Event>…</Event>`; false when the text is none.
pub(crate) fn take_xml(draft: &mut Draft, text: &str) -> bool {
    let Some(object) = windows::parse_xml(text) else {
        return false;
    };
    windows::take(draft, &object)
}

/// Reads an object of a format that has a table, bare, in a shipper's shell, or as the text of a shipped message.
fn mapped(draft: &mut Draft, object: &Map<'_>, record: &RawRecord<'_>) -> bool {
    let wanted = record.log_type.filter(|log_type| *log_type != "json");
    if wanted.is_none_or(is_windows) {
        let inner = shells(object).next();
        let flat = event_log::flat(object);
        if windows::take(draft, flat.as_ref().unwrap_or(object))
            || inner.is_some_and(|inner| windows::take(draft, inner))
        {
            // An alert of another system about the event says so itself.
            if let Some(alert) = mapping::find(object) {
                alert.apply(draft, object);
            }
            add_own_but(draft, flat.as_ref().unwrap_or(object), |name, value| {
                name == ecs::TIMESTAMP
                    || value.is_object() && matches!(name, "System" | "EventData" | "UserData" | "win")
            });
            if let Some(message) = MESSAGES.iter().find_map(|name| draft.str(name)).map(str::to_owned) {
                draft.set_default(ecs::MESSAGE, message);
            }
            return true;
        }
    }
    let embedded = object
        .get("message")
        .and_then(Json::as_str)
        .filter(|message| message.starts_with('{') && !is_of_logger(object, record))
        .and_then(tree::object);
    let named = wanted.and_then(mapping::named);
    let found = match named {
        Some(named) if named.knows(object) => Some((named, object)),
        _ => std::iter::once(object)
            .chain(shells(object))
            .chain(&embedded)
            .find_map(|inner| mapping::find(inner).map(|mapping| (mapping, inner))),
    };
    let (mapping, inner) = match (named, found) {
        (Some(named), Some((_, inner))) => (named, inner),
        (Some(named), None) => (named, object),
        // Another log type was asked for.
        (None, Some(_)) if wanted.is_some_and(|log_type| formats::named(log_type).next().is_some()) => return false,
        (None, Some(found)) => found,
        (None, None) => return false,
    };
    mapping.apply(draft, inner);
    add_own(draft, inner);
    if !std::ptr::eq(inner, object) {
        aliases::set_host(draft, object);
        add_own_but(draft, object, |name, _| {
            SHELLS.contains(&name) || name == "message" || name == ecs::TIMESTAMP
        });
    }
    let message = MESSAGES.iter().find_map(|name| draft.str(name)).map(str::to_owned);
    if let Some(message) = message {
        draft.set_default(ecs::MESSAGE, message);
    }
    // Their `host` is what a peer asked for or calls itself.
    if matches!(mapping.name, "web_json" | "zeek") {
        aliases::apply_to_peers(draft);
    } else {
        aliases::apply(draft);
    }
    true
}

/// Adds the members of an object that stands where a message should; false when the text is none.
pub(crate) fn take_embedded(draft: &mut Draft, text: &str) -> bool {
    let Some(object) = tree::object(text) else {
        return false;
    };
    add_own(draft, &object);
    aliases::apply(draft);
    true
}

/// Adds a source's own members, flattened as [`Fields::insert_json`] does. What is set stands.
fn add_own(draft: &mut Draft, object: &Map<'_>) {
    add_own_but(draft, object, |_, _| false);
}

/// The same without the members that are left out.
fn add_own_but(draft: &mut Draft, object: &Map<'_>, left_out: impl Fn(&str, &Json<'_>) -> bool) {
    let mut path = String::new();
    for (name, value) in object.iter() {
        if !left_out(name, value) {
            add_member(draft, &mut path, name, value, 1);
        }
    }
}

fn add_member(draft: &mut Draft, path: &mut String, name: &str, value: &Json<'_>, depth: usize) {
    let before = path.len();
    if before + name.len() >= MAX_NAME {
        draft.refuse(1);
        return;
    }
    if before > 0 {
        path.push('.');
    }
    path.push_str(name);
    match value {
        Json::Object(inner) if depth < MAX_DEPTH || inner.is_empty() => {
            for (name, value) in inner.iter() {
                add_member(draft, path, name, value, depth + 1);
            }
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            let mut own = Fields::new();
            draft.refuse(own.insert_member(path, &value.to_value(), depth));
            for (name, value) in own {
                draft.set_own(&name, value);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            draft.set_own(path, scalar(value, depth))
        }
    }
    path.truncate(before);
}

/// What [`Value::from_json`] makes of the same.
fn scalar(value: &Json<'_>, depth: usize) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::from(text.as_ref()),
        Json::Number(_) | Json::Array(_) | Json::Object(_) => Value::from_json(&value.to_value(), depth),
    }
}

fn take_object(draft: &mut Draft, object: Map<'_>, text: &str, record: &RawRecord<'_>) {
    draft.set_fixed(ecs::PICKET_LOG_TYPE, "json");
    if let Some(flat) = event_log::flat(&object) {
        take_flat(draft, flat, text, record);
        return;
    }
    take_flat(draft, object, text, record);
}

fn take_flat(draft: &mut Draft, mut object: Map<'_>, text: &str, record: &RawRecord<'_>) {
    take_time(draft, &mut object);
    let has_inner =
        object.get("fields").is_some_and(Json::is_object) && object.get("message").is_some_and(Json::is_string);
    let mut inner = if has_inner { object.shift_remove("fields") } else { None };
    let header = match &mut inner {
        Some(Json::Object(inner)) => inner.shift_remove(HEADER_MEMBER),
        _ => None,
    };
    let said = inner
        .as_ref()
        .and_then(|inner| inner.get("log_type")?.as_str())
        .map(str::to_owned);
    let record = &RawRecord {
        header: header.as_ref().and_then(Json::as_str).or(record.header),
        log_type: said.as_deref().or(record.log_type),
        ..*record
    };
    add_own(draft, &object);
    if let Some(Json::Object(inner)) = &inner {
        add_own(draft, inner);
    }
    let is_wrapper = has_inner || object.contains_key("raw_message");
    let message = MESSAGES.iter().find_map(|name| draft.str(name)).map(str::to_owned);
    unified(draft, &object);
    if is_of_logger(&object, record) {
        if let Some(message) = &message {
            draft.set_default(ecs::MESSAGE, message.as_str());
        }
    } else {
        // What a container writes is an application's, which may say what somebody sent it.
        let is_container = ["kubernetes", "docker", "container_name", "container_id", "stream"]
            .iter()
            .any(|name| object.contains_key(name));
        read_message(draft, message.as_deref(), record, !is_container);
    }
    aliases::apply(draft);
    finish_unified(draft);
    match &message {
        Some(message) if is_wrapper => draft.set_default(ecs::EVENT_ORIGINAL, message.as_str()),
        _ => draft.set_default(ecs::EVENT_ORIGINAL, text),
    }
    draft.set_default(ecs::MESSAGE, message.as_deref().unwrap_or(text));
}

/// Takes the time from the first member that has one. Its own name stays, but for `@timestamp`.
fn take_time(draft: &mut Draft, own: &mut Map<'_>) {
    for name in TIMES {
        let Some(value) = own.get(name) else { continue };
        match time(value) {
            Some(time) => {
                draft.timestamp = Some(time);
                own.shift_remove(ecs::TIMESTAMP);
                return;
            }
            None if !value.is_null() => draft.warn(Warning::InvalidTime),
            None => {}
        }
    }
}

fn time(value: &Json<'_>) -> Option<Timestamp> {
    match value {
        Json::String(text) => parse_time(text),
        Json::Number(number) => from_number(number.as_f64()?),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Reads the message as what its program, or it itself, says it is; `by_words`, also as what its words alone say. A document
/// that is classified already is left alone.
fn read_message(draft: &mut Draft, message: Option<&str>, record: &RawRecord<'_>, by_words: bool) {
    let Some(message) = message else { return };
    if draft.get(ecs::EVENT_ACTION).is_some() || draft.get(ecs::EVENT_CATEGORY).is_some() {
        return;
    }
    let mut message = message;
    let tag = draft.str("syslogtag").and_then(|tag| tag.split(['[', ':']).next());
    let mut program = aliases::PROGRAMS
        .iter()
        .find_map(|name| draft.str(name))
        .or(tag)
        .unwrap_or("")
        .to_owned();
    // A program that is named already has written what only reads like another's line.
    let is_told = |envelope: &syslog::Envelope<'_>| {
        let name = |program: &str| program.rsplit('/').next().unwrap_or("").to_owned();
        program.is_empty() || name(&program) == name(envelope.program)
    };
    if let Some(envelope) = syslog::open(message, record.observed)
        && !envelope.program.is_empty()
        && is_told(&envelope)
    {
        let time = draft.timestamp;
        let host = ["host.name", "source_host", "host"]
            .iter()
            .any(|name| draft.get(name).is_some());
        if host {
            syslog::describe_sender(draft, &envelope);
        } else {
            syslog::describe(draft, &envelope);
        }
        draft.timestamp = time.or(envelope.timestamp);
        program = envelope.program.to_owned();
        message = envelope.message;
    }
    draft.set(ecs::MESSAGE, message);
    if !program.is_empty() {
        // rsyslog keeps the space behind the tag.
        program::take(draft, &program, message.trim_start(), "json");
        return;
    }
    if read_format(draft, message, record) {
        return;
    }
    if let Some(log_type) = draft.str("log_type").or(record.log_type).map(str::to_owned) {
        let known = program::take_as(draft, &log_type, message);
        if !known && by_words {
            program::take_by_content(draft, message);
        }
    } else if by_words {
        program::take_by_content(draft, message);
    }
}

/// Reads a message as a line of a text format.
fn read_format(draft: &mut Draft, message: &str, record: &RawRecord<'_>) -> bool {
    let input = formats::Input {
        text: message.trim_end(),
        program: "",
        is_certain: false,
        observed: record.observed,
        header: record.header,
    };
    let certain = formats::Input {
        is_certain: true,
        ..input
    };
    let time = draft.timestamp;
    let mut wanted = record.log_type.map(formats::named).into_iter().flatten();
    let found = formats::governed(draft, &certain, record.log_type)
        .or_else(|| wanted.find(|format| (format.take)(draft, &certain)))
        .or_else(|| formats::detect(draft, &input));
    let Some(format) = found else {
        return false;
    };
    draft.timestamp = draft.timestamp.or(time);
    draft.set(ecs::PICKET_LOG_TYPE, format.name);
    draft.set_default(ecs::EVENT_DATASET, format.dataset(record.log_type, ""));
    true
}

/// What the sender says of the event in Heimdall's words.
fn unified(draft: &mut Draft, object: &Map<'_>) {
    if !object.contains_key("event_type") || !object.contains_key("source_host") {
        return;
    }
    let os = object.get("os_type").and_then(Json::as_str).unwrap_or("");
    match os.to_ascii_lowercase().as_str() {
        system @ ("linux" | "windows" | "macos") => draft.set(ecs::HOST_OS_TYPE, system),
        "pihole" => draft.set_fixed(ecs::HOST_OS_TYPE, "linux"),
        _ => {}
    }
}

/// The sender's own type and severity stand over those its message suggests.
fn finish_unified(draft: &mut Draft) {
    if draft.str("source_host").is_none() {
        return;
    }
    let Some(event_type) = draft
        .str("event_type")
        .filter(|text| aliases::is_known(text))
        .map(str::to_owned)
    else {
        return;
    };
    if draft.get(ecs::EVENT_ACTION).is_none() {
        match event_type.as_str() {
            "LOGIN_FAIL" => {
                draft.classify("authentication", &["start"], "login");
                draft.outcome(false);
            }
            "SUDO_ESCALATION" => draft.classify("process", &["start"], "sudo_command"),
            "ACCOUNT_CREATE" => draft.classify("iam", &["user", "creation"], "user_added"),
            "DNS_BLOCK" => draft.classify("network", &["denied"], "dns_block"),
            "LOG_TAMPERING" => draft.classify("configuration", &["deletion"], "log_cleared"),
            _ => {}
        }
    }
    draft.set(ecs::PICKET_EVENT_TYPE, event_type);
    let severity = match draft.get("severity") {
        Some(Value::Int(severity)) => Some(*severity),
        Some(Value::Str(text)) => text.parse().ok(),
        _ => None,
    };
    if let Some(severity) = severity.filter(|severity| (1..=5).contains(severity)) {
        draft.set(ecs::EVENT_SEVERITY, severity);
    }
}
