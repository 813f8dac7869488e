//! Windows events in the shapes their shippers give them, and what the events of the usual channels say in ECS.

mod others;
mod security;
mod security_codes;
mod security_events;
mod shape;
mod sysmon;
mod templates;
mod xml;

use std::borrow::Cow;

use model::{Text, Timestamp, Value, ecs};

use crate::clock::parse_time;
use crate::derive::{SOURCE, endpoint};
use crate::draft::Draft;
use crate::event_log;
use crate::record::Warning;
use crate::scan::Marks as _;
use crate::tree::{Json, Map};

pub(crate) use xml::parse as parse_xml;

/// What `picket.log_type` calls them.
pub(crate) const LOG_TYPE: &str = "windows";

/// An event without its shipper's shape.
#[derive(Debug, Default)]
pub(crate) struct Event<'a> {
    channel: Cow<'a, str>,
    provider: Cow<'a, str>,
    id: i64,
    computer: Cow<'a, str>,
    time: Cow<'a, str>,
    record: Cow<'a, str>,
    level: Cow<'a, str>,
    /// `success` or `failure` of an audit.
    outcome: &'static str,
    pid: Cow<'a, str>,
    thread: Cow<'a, str>,
    /// The security identifier of who wrote it.
    writer: Cow<'a, str>,
    /// Domain and name of who wrote it, where the shipper has looked them up.
    writer_account: [Cow<'a, str>; 2],
    /// The event's own members, by the names Microsoft gives them.
    data: Map<'a>,
    /// The text in a human's language, where the shipper has it.
    message: Cow<'a, str>,
    /// Whether the members must be put under their names; a shape that has them so keeps its own.
    adds_data: bool,
}

impl Event<'_> {
    /// A member of the event's data as text; empty when it is not there or says that there is nothing.
    fn get(&self, name: &str) -> &str {
        // winlogbeat writes spaces in names as underscores.
        let found = self.data.get(name).or_else(|| {
            let spaced = name.has_byte(b' ').then(|| name.replace(' ', "_"));
            self.data.get(&spaced?)
        });
        match found {
            Some(Json::String(text)) if text != "-" => text.trim(),
            _ => "",
        }
    }

    fn provider_is(&self, name: &str) -> bool {
        self.provider.eq_ignore_ascii_case(name)
    }
}

/// Reads an object that is a Windows event; false when it is none.
pub(crate) fn take(draft: &mut Draft, object: &Map<'_>) -> bool {
    let flat = event_log::flat(object).or_else(|| event_log::flat_bare(object));
    let Some(event) = shape::read(flat.as_ref().unwrap_or(object)) else {
        return false;
    };
    describe(draft, &event);
    true
}

fn describe(draft: &mut Draft, event: &Event<'_>) {
    draft.set(ecs::PICKET_LOG_TYPE, LOG_TYPE);
    draft.set_fixed(ecs::HOST_OS_TYPE, "windows");
    draft.set("event.code", event.id.to_string());
    draft.set("winlog.event_id", event.id.to_string());
    draft.set_text("event.provider", &event.provider);
    draft.set_text("winlog.provider_name", &event.provider);
    draft.set_text("winlog.channel", &event.channel);
    draft.set_text("winlog.computer_name", &event.computer);
    draft.set_text("winlog.record_id", &event.record);
    draft.set_text("winlog.user.identifier", &event.writer);
    draft.set_text(ecs::HOST_NAME, &event.computer);
    draft.set_text(ecs::LOG_LEVEL, &event.level);
    draft.set_text(ecs::EVENT_OUTCOME, event.outcome);
    draft.set_text(ecs::MESSAGE, &event.message);
    draft.set_int("winlog.process.pid", &event.pid);
    draft.set_int("winlog.process.thread.id", &event.thread);
    draft.timestamp = time(draft, &event.time);
    // What rules know these by.
    draft.set("EventID", event.id);
    draft.set_text("Channel", &event.channel);
    draft.set_text("Provider_Name", &event.provider);
    draft.set_text("Computer", &event.computer);
    if event.adds_data {
        for (name, value) in event.data.iter() {
            let value = match value {
                Json::String(text) => Value::from(text.as_ref()),
                Json::Array(_) => Value::from_json(&value.to_value(), 1),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => Value::from(value.to_string()),
            };
            // Names with a dot are those of ECS and ours; an event's data has none that say what the event is.
            if name.has_byte(b'.') {
                draft.set_own(&format!("winlog.event_data.{name}"), value);
            } else {
                draft.set_own(name, value);
            }
        }
    }
    let channel = event.channel.as_ref();
    if event.provider_is("Microsoft-Windows-Sysmon") || channel == "Microsoft-Windows-Sysmon/Operational" {
        draft.set_fixed(ecs::EVENT_DATASET, "windows.sysmon_operational");
        sysmon::describe(draft, event);
    } else if event.provider_is("Microsoft-Windows-Security-Auditing") || channel == "Security" {
        draft.set_fixed(ecs::EVENT_DATASET, "system.security");
        security::describe(draft, event);
    } else {
        others::describe(draft, event);
    }
}

fn time(draft: &mut Draft, text: &str) -> Option<Timestamp> {
    if text.is_empty() {
        return None;
    }
    // Microsoft's own JSON has `/Date(1588…)/`.
    let text = text
        .strip_prefix("/Date(")
        .and_then(|rest| rest.strip_suffix(")/"))
        .unwrap_or(text);
    let time = parse_time(text);
    if time.is_none() {
        draft.warn(Warning::InvalidTime);
    }
    time
}

/// Sets the category, type and action of an event.
fn classify(draft: &mut Draft, action: &'static str, categories: &[&'static str], kinds: &[&'static str]) {
    draft.set(ecs::EVENT_ACTION, action);
    if !categories.is_empty() {
        draft.set_list(ecs::EVENT_CATEGORY, categories);
        draft.set_list(ecs::EVENT_TYPE, kinds);
    }
}

/// A number that may be written as `0x4d2`.
fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn set_number(draft: &mut Draft, name: &'static str, text: &str) {
    if let Some(number) = number(text) {
        draft.set(name, number);
    }
}

/// Where somebody came from over the network.
fn peer(draft: &mut Draft, address: &str, port: &str, name: &str) {
    let local = matches!(address, "::" | "LOCAL" | "local");
    if !local {
        endpoint(draft, &SOURCE, address, if port == "0" { "" } else { port });
    }
    let name = name.trim_start_matches('\\');
    if !name.is_empty() {
        draft.set(ecs::SOURCE_DOMAIN, name);
    }
}

/// `MD5=…,SHA256=…,IMPHASH=…` under a prefix.
fn hashes(draft: &mut Draft, text: &str, is_file: bool) {
    for part in text.parts(b',').take(16) {
        let Some((kind, value)) = part.trim().cut_at(b'=') else {
            continue;
        };
        if !value.bytes().all(|byte| byte.is_ascii_hexdigit()) || value.bytes().all(|byte| byte == b'0') {
            continue;
        }
        let name = match (kind.to_ascii_uppercase().as_str(), is_file) {
            ("MD5", false) => "process.hash.md5",
            ("SHA1", false) => "process.hash.sha1",
            ("SHA256", false) => "process.hash.sha256",
            ("IMPHASH", false) => "process.pe.imphash",
            ("MD5", true) => "file.hash.md5",
            ("SHA1", true) => "file.hash.sha1",
            ("SHA256", true) => "file.hash.sha256",
            ("IMPHASH", true) => "file.pe.imphash",
            _ => continue,
        };
        draft.set(name, Text::lowercase(value));
    }
}

/// `DOMAIN\name`
fn account(text: &str) -> (&str, &str) {
    text.cut_at(b'\\').unwrap_or(("", text))
}
