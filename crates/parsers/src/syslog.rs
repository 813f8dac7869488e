//! Syslog envelopes: RFC 5424, and the many forms around RFC 3164 that files and devices use.

use model::{Timestamp, Value, ecs};

use crate::clock::{take_bsd, take_iso};
use crate::draft::Draft;
use crate::record::Warning;
use crate::scan::Marks as _;

/// What surrounds a message.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Envelope<'a> {
    pub(crate) priority: Option<u8>,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) hostname: &'a str,
    /// The tag or application name; may be a path.
    pub(crate) program: &'a str,
    pub(crate) pid: &'a str,
    pub(crate) message_id: &'a str,
    pub(crate) structured: &'a str,
    pub(crate) message: &'a str,
    /// What follows the time, host and all.
    pub(crate) tail: &'a str,
    /// The time is an ISO one, which many lines begin with that are no syslog.
    pub(crate) iso: bool,
    bad_time: bool,
}

/// Longest tag that is believed to be one.
const MAX_TAG: usize = 64;
const LEVELS: [&str; 8] = [
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "informational",
    "debug",
];

/// Takes the envelope off a line; `None` when it has neither a priority nor a time in front.
pub(crate) fn open(line: &str, observed: Timestamp) -> Option<Envelope<'_>> {
    let (priority, rest) = match take_priority(line) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, line),
    };
    if priority.is_some()
        && let Some(rest) = rest.strip_prefix("1 ")
        && let Some(envelope) = open_modern(rest, priority)
    {
        return Some(envelope);
    }
    // Some of Cisco's devices put a colon around their time, and say its zone.
    let bare = rest.strip_prefix(':').filter(|_| priority.is_some()).unwrap_or(rest);
    let timed = take_bsd(bare, observed)
        .map(|(time, rest)| (time, rest, false))
        .or_else(|| take_iso(rest).map(|(time, rest)| (time, rest, true)));
    let Some((timestamp, rest, iso)) = timed else {
        priority?;
        return Some(with_tag(
            Envelope {
                priority,
                ..Envelope::default()
            },
            rest,
            false,
        ));
    };
    let rest = rest.strip_prefix(':').unwrap_or(rest).strip_prefix(' ')?;
    let rest = rest
        .starts_with(|c: char| c.is_ascii_uppercase())
        .then(|| rest.cut(": "))
        .flatten()
        .filter(|(zone, rest)| {
            let is_zone = zone.len() <= 5 && zone.bytes().all(|byte| byte.is_ascii_uppercase());
            is_zone && rest.starts_with('%')
        })
        .map_or(rest, |(_, rest)| rest);
    Some(with_tag(
        Envelope {
            priority,
            timestamp: Some(timestamp),
            iso,
            ..Envelope::default()
        },
        rest,
        true,
    ))
}

/// `<13>` in front.
fn take_priority(line: &str) -> Option<(u8, &str)> {
    let (digits, rest) = line.strip_prefix('<')?.cut_at(b'>')?;
    if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let priority: u8 = digits.parse().ok()?;
    (priority < 192).then_some((priority, rest))
}

/// RFC 5424 after `<PRI>1 `.
fn open_modern(rest: &str, priority: Option<u8>) -> Option<Envelope<'_>> {
    let mut parts = rest.splitn(6, ' ');
    let time = parts.next()?;
    let [hostname, program, pid, message_id] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    let rest = parts.next().unwrap_or("-");
    let timestamp = take_iso(time).and_then(|(time, end)| end.is_empty().then_some(time));
    let (structured, message) = take_structured(rest);
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    // rsyslog's own template for this protocol keeps the space that stood behind the tag.
    let message = message.strip_prefix(' ').unwrap_or(message);
    let known = |part| if part == "-" { "" } else { part };
    Some(Envelope {
        priority,
        timestamp,
        hostname: known(hostname),
        program: known(program),
        pid: known(pid),
        message_id: known(message_id),
        structured,
        message,
        tail: message,
        iso: false,
        bad_time: timestamp.is_none() && time != "-",
    })
}

/// Splits `[id a="b"][..] message`; a structure that does not end is message.
fn take_structured(rest: &str) -> (&str, &str) {
    if let Some(message) = rest.strip_prefix('-') {
        return ("", message.strip_prefix(' ').unwrap_or(message));
    }
    let bytes = rest.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let mut quoted = false;
        let mut index = at + 1;
        loop {
            match bytes.get(index) {
                None => return ("", rest),
                Some(b'\\') if quoted => index += 1,
                Some(b'"') => quoted = !quoted,
                Some(b']') if !quoted => break,
                Some(_) => {}
            }
            index += 1;
        }
        at = index + 1;
    }
    let (structured, message) = rest.split_at(at);
    (structured, message.strip_prefix(' ').unwrap_or(message))
}

/// `host tag[pid]: message`, each but the message optional.
fn with_tag<'a>(mut envelope: Envelope<'a>, rest: &'a str, host_expected: bool) -> Envelope<'a> {
    envelope.tail = rest;
    let rest = rest.trim_start_matches(' ');
    let mut after_host = rest;
    if host_expected && let Some((host, after)) = rest.cut_at(b' ') {
        let is_tag = host.ends_with(':') || host.has_byte(b'[');
        if !is_tag && host.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
            envelope.hostname = host;
            after_host = after;
        }
    }
    // nginx names the host to the local socket too, whose reader puts it in front once more.
    let unnamed = || {
        let rest = after_host.strip_prefix(envelope.hostname)?.strip_prefix(' ')?;
        take_tag(rest).filter(|_| !envelope.hostname.is_empty())
    };
    match take_tag(after_host).or_else(unnamed) {
        Some((program, pid, message)) => {
            // Some routers write their name twice.
            let twice = program
                .strip_prefix(envelope.hostname)
                .and_then(|rest| rest.strip_prefix(' '));
            envelope.program = twice.unwrap_or(program);
            envelope.pid = pid;
            envelope.message = message;
        }
        None => envelope.message = after_host,
    }
    envelope
}

fn take_tag(rest: &str) -> Option<(&str, &str, &str)> {
    let end = rest
        .bytes()
        .take(MAX_TAG)
        .position(|byte| matches!(byte, b':' | b'['))?;
    let program = rest.get(..end)?;
    let spaced = program.bytes().any(|byte| byte == b' ');
    // Cisco's devices name a message where others name a program.
    if program.is_empty() || program.starts_with([' ', '%']) {
        return None;
    }
    let after = rest.get(end..)?;
    if let Some(message) = after.strip_prefix(':') {
        let tag_ends = message.is_empty() || message.starts_with([' ', '\t']);
        return (!spaced && tag_ends).then(|| (program, "", message.trim_start_matches(' ')));
    }
    let (pid, after) = after.strip_prefix('[')?.cut_at(b']')?;
    if pid.is_empty() || pid.len() > 20 || pid.bytes().any(|byte| byte == b' ') {
        return None;
    }
    if let Some(message) = after.strip_prefix(':') {
        return Some((program, pid, message.trim_start_matches(' ')));
    }
    // launchd names the service it speaks for between the two.
    if let Some((service, message)) = after.strip_prefix(" (").and_then(|after| after.cut("): "))
        && service.len() < 2 * MAX_TAG
    {
        return Some((program, pid, message));
    }
    None
}

/// Whether the line only begins with a time and is better left to formats without an envelope.
pub(crate) fn is_bare(envelope: &Envelope<'_>) -> bool {
    envelope.priority.is_none() && envelope.program.is_empty() && envelope.iso
}

/// Sets what the envelope tells, except how its program's message reads.
pub(crate) fn describe(draft: &mut Draft, envelope: &Envelope<'_>) {
    draft.set_text(ecs::HOST_NAME, envelope.hostname);
    describe_sender(draft, envelope);
}

/// The same without the host, which is told elsewhere.
pub(crate) fn describe_sender(draft: &mut Draft, envelope: &Envelope<'_>) {
    draft.timestamp = envelope.timestamp;
    if envelope.bad_time {
        draft.warn(Warning::InvalidTime);
    }
    draft.set_text(ecs::LOG_SYSLOG_APPNAME, envelope.program);
    match envelope.pid.parse::<i64>() {
        Ok(pid) => draft.set(ecs::PROCESS_PID, pid),
        Err(_) => draft.set_text(ecs::LOG_SYSLOG_PROCID, envelope.pid),
    }
    if let Some(priority) = envelope.priority {
        draft.set(ecs::LOG_SYSLOG_PRIORITY, i64::from(priority));
        draft.set(ecs::LOG_SYSLOG_FACILITY, i64::from(priority / 8));
        severity(draft, i64::from(priority % 8));
    }
    draft.set_text(ecs::LOG_SYSLOG_MSGID, envelope.message_id);
    set_structured(draft, envelope.structured);
}

/// Sets a syslog severity, 0 (emergency) to 7 (debug), and its name.
pub(crate) fn severity(draft: &mut Draft, severity: i64) {
    let name = usize::try_from(severity).ok().and_then(|index| LEVELS.get(index));
    if let Some(name) = name {
        draft.set(ecs::LOG_SYSLOG_SEVERITY, severity);
        draft.set_fixed(ecs::LOG_LEVEL, name);
    }
}

/// `[id name="value"]` becomes `log.syslog.structured_data.id.name`.
fn set_structured(draft: &mut Draft, structured: &str) {
    let mut rest = structured;
    while let Some(element) = rest.strip_prefix('[') {
        let id_end = element.find([' ', ']']).unwrap_or(element.len());
        let (id, mut params) = element.split_at(id_end);
        loop {
            params = params.trim_start_matches(' ');
            if let Some(after) = params.strip_prefix(']') {
                rest = after;
                break;
            }
            let Some((name, after)) = params.cut("=\"") else {
                return;
            };
            let Some((value, after)) = take_quoted(after) else {
                return;
            };
            let name = format!("log.syslog.structured_data.{id}.{name}");
            draft.set_own(&name, Value::from(value));
            params = after;
        }
    }
}

/// The text up to the closing quote, without its escapes, and what follows.
pub(crate) fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        value.push_str(rest.get(..at)?);
        if rest.as_bytes().get(at) == Some(&b'"') {
            return Some((value, rest.get(at + 1..)?));
        }
        let escaped = rest.get(at + 1..)?.chars().next()?;
        if !matches!(escaped, '"' | '\\' | ']') {
            value.push('\\');
        }
        value.push(escaped);
        rest = rest.get(at + 1 + escaped.len_utf8()..)?;
    }
}
