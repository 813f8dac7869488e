//! Which format takes a record.

use std::borrow::Cow;

use model::{Text, ecs};

use crate::clock::{take_iso_spaced, take_written};
use crate::container;
use crate::derive::derive;
use crate::draft::Draft;
use crate::formats::{self, Format, Input};
use crate::network::is_host_name;
use crate::record::{Body, Parsed, RawRecord, Warning};
use crate::scan::Marks as _;
use crate::{json, keyvalue, program, syslog};

/// Turns a record into an event. Never fails and never panics.
#[must_use]
pub fn parse(record: &RawRecord<'_>) -> Parsed {
    let (Body::Line(bytes) | Body::Json(bytes)) = record.body;
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    let mut draft = Draft::new();
    begin(&mut draft, record, matches!(text, Cow::Owned(_)));
    let text = text.trim_end_matches(['\n', '\r']);
    let is_json = match record.body {
        Body::Json(_) => true,
        Body::Line(_) => matches!(record.log_type, Some("json" | "journald")),
    };
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    match container::unwrap(content) {
        Some(inner) => {
            written(&mut draft, &inner.line, record, false);
            draft.timestamp = draft.timestamp.or(inner.time);
            draft.set_default(ecs::MESSAGE, inner.line.as_ref());
            draft.set(ecs::EVENT_ORIGINAL, text);
            draft.set_own("stream", inner.stream);
        }
        None => written(&mut draft, content, record, is_json),
    }
    finish(&mut draft, text, record)
}

/// Reads what a program wrote.
fn written(draft: &mut Draft, content: &str, record: &RawRecord<'_>, is_json: bool) {
    let looks_json = content.trim_start().starts_with('{');
    if !(looks_json && json::take(draft, content, record)) {
        if is_json {
            draft.warn(Warning::InvalidJson);
        }
        line(draft, content, record);
    }
}

/// What an event says before anything of it is read.
pub(crate) fn begin(draft: &mut Draft, record: &RawRecord<'_>, spoiled: bool) {
    draft.set_fixed(ecs::PICKET_LOG_TYPE, "raw");
    origin(draft, record);
    if spoiled {
        draft.warn(Warning::InvalidUtf8);
    }
}

/// The event with all that follows from what was read. Leaves an empty draft.
pub(crate) fn finish(draft: &mut Draft, text: &str, record: &RawRecord<'_>) -> Parsed {
    draft.set_default_fixed(ecs::EVENT_KIND, "event");
    if draft.get(ecs::EVENT_MODULE).is_none()
        && let Some(module) = draft
            .str(ecs::EVENT_DATASET)
            .and_then(|dataset| dataset.parts(b'.').next())
            .map(Text::from)
    {
        draft.set(ecs::EVENT_MODULE, module);
    }
    derive(draft);
    // Where the whole line is the message, both are one text.
    if draft.get(ecs::MESSAGE).is_none() && draft.get(ecs::EVENT_ORIGINAL).is_none() {
        let text = Text::shared(text);
        draft.set(ecs::MESSAGE, text.clone());
        draft.set(ecs::EVENT_ORIGINAL, text);
    } else {
        draft.set_default(ecs::MESSAGE, text);
        draft.set_default(ecs::EVENT_ORIGINAL, text);
    }
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
    if (text.starts_with("<Event") || text.starts_with("<?xml")) && json::take_xml(draft, text) {
        return;
    }
    let mut wanted = record.log_type.map(formats::named).into_iter().flatten().peekable();
    let is_wanted = wanted.peek().is_some();
    let input = |text| Input {
        text,
        program: "",
        is_certain: is_wanted,
        observed: record.observed,
        header: record.header,
    };
    if let Some(format) = formats::governed(draft, &input(text), record.log_type) {
        settle(draft, format, record);
        return;
    }
    let envelope = syslog::open(text, record.observed);
    // An ISO time in front may be the format's own; any other header is a syslog envelope.
    if envelope.as_ref().is_none_or(|envelope| envelope.iso) {
        let behind = envelope
            .as_ref()
            .filter(|envelope| syslog::is_bare(envelope))
            .map(behind);
        let texts = [text].into_iter().chain(behind.into_iter().flatten());
        let mut inputs = texts.filter(|text| !text.is_empty()).map(input);
        // Programs of a host have their log types too.
        let is_program = record.log_type.and_then(program::Family::of_log_type).is_some();
        let found = match (is_wanted, is_program) {
            (true, _) => wanted.find(|format| inputs.clone().any(|input| (format.take)(draft, &input))),
            (false, true) => None,
            (false, false) => inputs.find_map(|input| formats::detect(draft, &input)),
        };
        if let Some(format) = found {
            settle(draft, format, record);
            if draft.timestamp.is_none()
                && let Some(envelope) = &envelope
            {
                draft.timestamp = envelope.timestamp;
                draft.set_default_text(ecs::HOST_NAME, envelope.hostname);
            }
            return;
        }
    }
    if let Some(envelope) = envelope {
        if !syslog::is_bare(&envelope) {
            enveloped(draft, &envelope, record);
            return;
        }
        draft.timestamp = envelope.timestamp;
    }
    if is_wanted {
        draft.warn(Warning::OtherType);
    }
    if let Some(log_type) = record.log_type
        && program::take_as(draft, log_type, text)
    {
        return;
    }
    if keyvalue::take(draft, text) {
        draft.set_fixed(ecs::PICKET_LOG_TYPE, "keyvalue");
    }
    // Whatever it is, the time in front of it is its own.
    if draft.timestamp.is_none()
        && let Some((time, rest)) = take_written(text).or_else(|| take_iso_spaced(text))
        && rest.starts_with(|c: char| !c.is_alphanumeric())
        && !names_other_zone(rest)
    {
        draft.timestamp = Some(time);
    }
}

/// Whether a zone follows a time that has no fixed meaning, such as `CET` or `EST`.
fn names_other_zone(rest: &str) -> bool {
    let word = rest.trim_start().split(' ').next().unwrap_or("");
    (3..=5).contains(&word.len())
        && word.ends_with('T')
        && word.bytes().all(|byte| byte.is_ascii_uppercase())
        && !matches!(word, "GMT")
}

/// Where a device's own text may begin after a time and no program: at once, or after the device's name.
fn behind<'a>(envelope: &syslog::Envelope<'a>) -> [&'a str; 2] {
    const LEVELS: [&str; 9] = [
        "trace", "debug", "info", "notice", "warn", "warning", "error", "critical", "fatal",
    ];
    let host = envelope.hostname;
    let is_host = is_host_name(host) && !LEVELS.iter().any(|level| host.eq_ignore_ascii_case(level));
    [envelope.tail, if is_host { envelope.message } else { "" }]
}

/// Names the format that took a line.
fn settle(draft: &mut Draft, format: &Format, record: &RawRecord<'_>) {
    draft.set_fixed(ecs::PICKET_LOG_TYPE, format.name);
    let path = if record.origin_kind == "file" {
        record.origin_name
    } else {
        ""
    };
    draft.set_default_fixed(ecs::EVENT_DATASET, format.dataset(record.log_type, path));
}

fn enveloped(draft: &mut Draft, envelope: &syslog::Envelope<'_>, record: &RawRecord<'_>) {
    syslog::describe(draft, envelope);
    draft.set(ecs::MESSAGE, envelope.message);
    let name = envelope.program.parts(b'/').next_back().unwrap_or(envelope.program);
    let speaker = if envelope.program.starts_with("postfix/") {
        "postfix"
    } else if name.starts_with("dovecot-") {
        // A second instance is called by a name of its own.
        "dovecot"
    } else {
        name
    };
    let mut wanted = record.log_type.map(formats::named).into_iter().flatten().peekable();
    let is_wanted = wanted.peek().is_some();
    let input = |text| Input {
        text,
        program: speaker,
        is_certain: is_wanted,
        observed: record.observed,
        header: None,
    };
    let found = wanted
        .find(|format| (format.take)(draft, &input(envelope.message)) || (format.take)(draft, &input(envelope.tail)))
        .or_else(|| {
            if is_wanted || program::is_known(name) || program::pam_speaks(envelope.message) {
                return None;
            }
            // What stands before a program's message is a header. Where no program was found, it may be the device's own text.
            let tail = name.is_empty() && envelope.tail != envelope.message;
            formats::detect(draft, &input(envelope.message))
                .or_else(|| tail.then(|| formats::detect(draft, &input(envelope.tail)))?)
        });
    if let Some(format) = found {
        settle(draft, format, record);
        // The kernel's and the audit daemon's messages name processes themselves.
        let names_processes = matches!(format.name, "kernel" | "auditd");
        if draft.str(ecs::HOST_NAME) != Some(envelope.program) && !names_processes {
            draft.set_text(ecs::PROCESS_NAME, name);
        }
        host_of(draft);
        return;
    }
    let speaks = record
        .log_type
        .is_some_and(|log_type| formats::named(log_type).any(|format| format.programs.contains(&speaker)));
    if is_wanted && !speaks {
        draft.warn(Warning::OtherType);
    }
    host_of(draft);
    if envelope.program.is_empty() {
        draft.set_fixed(ecs::PICKET_LOG_TYPE, "syslog");
        draft.set_fixed(ecs::EVENT_DATASET, "system.syslog");
        return;
    }
    program::take(draft, envelope.program, envelope.message, "syslog");
    if draft.str(ecs::PICKET_LOG_TYPE) == Some("syslog") {
        // Sysmon for Linux speaks Windows' XML.
        if envelope.message.starts_with("<Event") && json::take_xml(draft, envelope.message) {
            return;
        }
        let structured = envelope.message.starts_with('{') && json::take_embedded(draft, envelope.message);
        if !structured {
            keyvalue::take_embedded(draft, envelope.message);
        }
    }
}

/// The host an envelope names goes by both of its names.
fn host_of(draft: &mut Draft) {
    if let Some(host) = draft.str(ecs::HOST_NAME).map(Text::from) {
        draft.set_default(ecs::HOST_HOSTNAME, host);
    }
}
