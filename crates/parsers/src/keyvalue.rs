//! Lines of `key=value` pairs (logfmt and its kin).

use std::borrow::Cow;

use model::ecs;

use crate::aliases;
use crate::clock::parse_time;
use crate::draft::Draft;
use crate::record::Warning;
use crate::scan::Marks as _;
use crate::syslog::take_quoted;
use crate::tree::{Json, Map, Tag};

/// Most words of a time, a level and what runs containers in front of pairs.
const MAX_HEADINGS: usize = 6;

/// Most pairs taken from one line.
const MAX_PAIRS: usize = 256;

/// Reads a line that consists of pairs; false when it has less than two or more words than pairs.
pub(crate) fn take(draft: &mut Draft, text: &str) -> bool {
    // Most lines that are no pairs show it in their first words.
    if !text.parts(b' ').take(4).any(|word| word.has_byte(b'=')) {
        return false;
    }
    let Some(pairs) = split(text, 2) else {
        return false;
    };
    if !pairs.come_first {
        own(draft, pairs);
        return true;
    }
    for (key, value) in &pairs.known {
        match *key {
            "time" | "ts" | "timestamp" if draft.timestamp.is_none() => draft.timestamp = parse_time(value),
            // The kernel's audit log has its time and serial number there.
            "msg" | "message" if !value.starts_with("audit(") => draft.set(ecs::MESSAGE, value.as_ref()),
            _ => {}
        }
    }
    own(draft, pairs);
    true
}

/// Adds the pairs of a message that consists of them. What the envelope told stands.
pub(crate) fn take_embedded(draft: &mut Draft, message: &str) {
    if let Some(pairs) = split(message, 3) {
        own(draft, pairs);
    }
}

/// Sets the pairs under their own names and, where the line begins with them, under those of ECS. Pairs after words
/// may be in what somebody sent, and say nothing of where it came from.
fn own(draft: &mut Draft, pairs: Pairs<'_>) {
    if pairs.is_ambiguous {
        draft.warn(Warning::Ambiguous);
    }
    for (key, value) in pairs.known {
        if pairs.come_first || !key.has_byte(b'.') {
            draft.set_own(key, value.as_ref());
        }
    }
    if pairs.come_first {
        aliases::apply(draft);
    }
}

/// The pairs of a line as an object, without names that have two values.
pub(crate) fn object(text: &str) -> Option<Map<'_>> {
    let known = split(text, 2)?.known.into_iter();
    Some(
        known
            .map(|(key, value)| (Cow::Borrowed(key), Json::from(value)))
            .collect(),
    )
}

/// The pairs of a line.
struct Pairs<'a> {
    /// Those whose name has one value. What an unquoted value holds can look like a pair, and then there is no telling
    /// which of two is the program's.
    known: Vec<(&'a str, Cow<'a, str>)>,
    /// Some name has several values.
    is_ambiguous: bool,
    /// Nothing but a time or a level stands before them.
    come_first: bool,
}

/// Whether a word in front of pairs is the program's: a part of a time, a level, or a container's stream.
fn is_heading(word: &str) -> bool {
    const KNOWN: [&str; 20] = [
        "trace", "debug", "info", "notice", "warn", "warning", "err", "error", "crit", "critical", "alert", "emerg",
        "fatal", "panic", "inf", "wrn", "stdout", "stderr", "f", "p",
    ];
    let inner = word.trim_matches(['[', ']', ':', '<', '>']);
    let is_time = |byte| matches!(byte, b'0'..=b'9' | b'-' | b':' | b'.' | b'+' | b'T' | b'Z' | b'/');
    KNOWN.iter().any(|known| inner.eq_ignore_ascii_case(known)) || !inner.is_empty() && inner.bytes().all(is_time)
}

fn split(text: &str, least: usize) -> Option<Pairs<'_>> {
    let (all, come_first) = split_all(text, least)?;
    let mut known: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(all.len());
    let mut tags: Vec<Tag> = Vec::with_capacity(all.len());
    let mut twice: Vec<&str> = Vec::new();
    for (key, value) in all {
        let tag = Tag::of(key);
        let mut same = tags.iter().zip(&known).filter(|(other, _)| **other == tag);
        match same.find(|(_, (name, _))| *name == key) {
            Some((_, (_, first))) if *first != value => twice.push(key),
            Some(_) => {}
            None => {
                tags.push(tag);
                known.push((key, value));
            }
        }
    }
    if !twice.is_empty() {
        known.retain(|(key, _)| !twice.contains(key));
    }
    Some(Pairs {
        known,
        is_ambiguous: !twice.is_empty(),
        come_first,
    })
}

type All<'a> = Vec<(&'a str, Cow<'a, str>)>;

fn split_all(text: &str, least: usize) -> Option<(All<'_>, bool)> {
    let mut pairs = Vec::with_capacity(24);
    let mut words = 0;
    let mut come_first = true;
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
                let (word, after) = rest.split_at(rest.find([' ', ',', '\t']).unwrap_or(rest.len()));
                come_first &= !pairs.is_empty() || words <= MAX_HEADINGS && is_heading(word);
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t', ';']);
    }
    (pairs.len() >= least && pairs.len() >= words).then_some((pairs, come_first))
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
    if let Some((value, rest)) = text.strip_prefix('\'').and_then(|quoted| quoted.cut_at(b'\'')) {
        return (value.into(), rest);
    }
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (value.trim_end_matches([',', ';']).into(), rest)
}
