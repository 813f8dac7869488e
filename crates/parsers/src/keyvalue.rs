//! Lines of `key=value` pairs (logfmt and its kin).

use std::borrow::Cow;

use model::{Value, ecs};

use crate::aliases;
use crate::clock::parse_time;
use crate::draft::Draft;
use crate::syslog::take_quoted;

/// Most pairs taken from one line.
const MAX_PAIRS: usize = 256;

/// Reads a line that consists of pairs; false when it has less than two or more words than pairs.
pub(crate) fn take(draft: &mut Draft, text: &str) -> bool {
    // Most lines that are no pairs show it in their first words.
    if !text.split(' ').take(4).any(|word| word.contains('=')) {
        return false;
    }
    let Some(pairs) = split(text, 2) else {
        return false;
    };
    for (key, value) in pairs {
        match key {
            "time" | "ts" | "timestamp" if draft.timestamp.is_none() => draft.timestamp = parse_time(&value),
            // The kernel's audit log has its time and serial number there.
            "msg" | "message" if !value.starts_with("audit(") => draft.set(ecs::MESSAGE, value.as_ref()),
            _ => {}
        }
        draft.set_own(key.to_owned(), Value::Str(value.into_owned()));
    }
    aliases::apply(draft);
    true
}

/// Adds the pairs of a message that consists of them. What the envelope told stands.
pub(crate) fn take_embedded(draft: &mut Draft, message: &str) {
    let Some(pairs) = split(message, 3) else { return };
    for (key, value) in pairs {
        draft.set_own(key.to_owned(), Value::Str(value.into_owned()));
    }
    aliases::apply(draft);
}

/// The pairs of a line as an object; the first of a name stands.
pub(crate) fn object(text: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let mut object = serde_json::Map::new();
    for (key, value) in split(text, 2)? {
        object
            .entry(key.to_owned())
            .or_insert_with(|| value.into_owned().into());
    }
    Some(object)
}

fn split(text: &str, least: usize) -> Option<Vec<(&str, Cow<'_, str>)>> {
    let mut pairs = Vec::new();
    let mut words = 0;
    let mut rest = text.trim_start();
    while !rest.is_empty() && pairs.len() < MAX_PAIRS {
        let key_len = rest.bytes().take_while(|byte| is_key(*byte)).count();
        let (key, after) = rest.split_at(key_len);
        match after.strip_prefix('=').filter(|_| key_len > 0 && key_len <= 128) {
            Some(after) => {
                let (value, after) = take_value(after);
                pairs.push((key, value));
                rest = after;
            }
            None => {
                words += 1;
                if words > 2 * pairs.len() + 4 {
                    return None;
                }
                rest = rest.find([' ', ',', '\t']).and_then(|at| rest.get(at..)).unwrap_or("");
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t', ';']);
    }
    (pairs.len() >= least && pairs.len() >= words).then_some(pairs)
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@')
}

fn take_value(text: &str) -> (Cow<'_, str>, &str) {
    if let Some(quoted) = text.strip_prefix('"')
        && let Some((value, rest)) = take_quoted(quoted)
    {
        return (value.into(), rest);
    }
    if let Some((value, rest)) = text.strip_prefix('\'').and_then(|quoted| quoted.split_once('\'')) {
        return (value.into(), rest);
    }
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (value.trim_end_matches([',', ';']).into(), rest)
}
