//! The values of a line's members.

use chrono::{DateTime, Utc};
use model::{Timestamp, Value};

use super::escapes::unescape_into;
use super::line::{Line, Raw};
use crate::ast::Number;
use crate::engine::arena::{Arena, Span};
use crate::engine::index::{PatternId, RawFilter};
use crate::engine::joined::Joined;
use crate::engine::scratch::ItemInfo;
use crate::engine::source::{Item, Source};
use crate::engine::text;

/// Longest value that is identified, in bytes.
const MAX_IDENTITY: u32 = 256;

/// An event that is a line of JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonEvent<'a> {
    pub(crate) line: &'a [u8],
    pub(crate) members: &'a Line,
    pub(crate) time: Timestamp,
}

impl JsonEvent<'_> {
    /// The values of a member: itself, or the elements of its list.
    fn values(&self, item: Item) -> Option<&[Raw]> {
        let value = self.members.values.get(item as usize..=item as usize)?;
        match value {
            [Raw::List { number, .. }] => Some(self.members.elements(*number)),
            _ => Some(value),
        }
    }

    fn bytes(&self, start: u32, end: u32) -> &[u8] {
        self.line.get(start as usize..end as usize).unwrap_or_default()
    }

    fn str(&self, start: u32, end: u32) -> &str {
        // The whole line was found to be UTF-8.
        std::str::from_utf8(self.bytes(start, end)).unwrap_or_default()
    }

    /// Calls `visit` with the text of a value; null has none.
    fn text(&self, raw: Raw, buffer: &mut String, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        match raw {
            Raw::Text { start, end } => {
                let text = self.str(start, end);
                if !self.members.marks.has_escape(start as usize, end as usize) {
                    return visit(text);
                }
                buffer.clear();
                unescape_into(text, buffer) && visit(buffer)
            }
            Raw::Int { start, end } => visit(self.str(start, end)),
            Raw::Float { start, end } => {
                let number = Value::Float(self.float(start, end));
                text::any_text(&number, buffer, &mut |text| visit(text))
            }
            Raw::Bool { value, .. } => visit(if value { "true" } else { "false" }),
            Raw::Null { .. } | Raw::List { .. } => false,
        }
    }

    /// The value as other sources have it, without a text.
    fn number(&self, raw: Raw) -> Value {
        match raw {
            Raw::Int { start, end } => self.str(start, end).parse().map_or(Value::Null, Value::Int),
            Raw::Float { start, end } => Value::Float(self.float(start, end)),
            Raw::Bool { value, .. } => Value::Bool(value),
            Raw::Text { .. } | Raw::Null { .. } | Raw::List { .. } => Value::Null,
        }
    }

    #[cold]
    fn float(&self, start: u32, end: u32) -> f64 {
        // It was found to be one when the line was read.
        serde_json::from_slice(self.bytes(start, end)).unwrap_or_default()
    }

    /// Whether `accept` takes any value in the form other sources have it.
    fn any_value(&self, item: Item, accept: &dyn Fn(&Value) -> bool) -> bool {
        let mut buffer = String::new();
        self.values(item).unwrap_or_default().iter().any(|raw| {
            if let Raw::Text { .. } = raw {
                self.text(*raw, &mut buffer, &mut |text| accept(&Value::from(text)))
            } else {
                accept(&self.number(*raw))
            }
        })
    }

    #[inline]
    fn fold_text(&self, start: u32, end: u32, arena: &mut Arena) -> Span {
        let marks = &self.members.marks;
        let (start, end) = (start as usize, end as usize);
        let text = self.line.get(start..end).unwrap_or_default();
        if let Some(span) = arena.push_escaped(text, |at| marks.escapes_from(start + at)) {
            return span;
        }
        self.fold_slowly(start, end, arena)
    }

    /// The same for escapes that are rare, and where there are no wide registers.
    #[inline(never)]
    fn fold_slowly(&self, start: usize, end: usize, arena: &mut Arena) -> Span {
        let marks = &self.members.marks;
        let Some(mut escape) = marks.next_escape(start, end) else {
            return arena.push(self.line.get(start..end).unwrap_or_default());
        };
        let first = arena.used();
        arena.reserve(end - start);
        let mut at = start;
        loop {
            arena.copy_run(self.line, at, escape - at);
            at = escape + 2;
            match self.line.get(escape + 1).copied() {
                Some(b'n') => arena.put(b'\n'),
                Some(b't') => arena.put(b'\t'),
                Some(b'r') => arena.put(b'\r'),
                Some(b'b') => arena.put(8),
                Some(b'f') => arena.put(12),
                Some(b'u') => {
                    at += 4;
                    if self.bytes_at(at, b"\\u") && self.is_high_surrogate(escape + 2) {
                        at += 6;
                    }
                    let mut text = String::new();
                    let written = self.line.get(escape..at).map(std::str::from_utf8);
                    if let Some(Ok(written)) = written
                        && unescape_into(written, &mut text)
                    {
                        arena.copy(text.as_bytes());
                    }
                }
                Some(other) => arena.put(other),
                None => {}
            }
            match marks.next_escape(at, end) {
                Some(next) => escape = next,
                None => break,
            }
        }
        arena.copy_run(self.line, at, end.saturating_sub(at));
        arena.finish(first)
    }

    fn bytes_at(&self, at: usize, expected: &[u8]) -> bool {
        self.line.get(at..at + expected.len()) == Some(expected)
    }

    fn is_high_surrogate(&self, at: usize) -> bool {
        let digits = self.line.get(at..at + 2);
        matches!(digits, Some([b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B']))
    }
}

impl Source for JsonEvent<'_> {
    #[inline]
    fn fold(&self, item: Item, arena: &mut Arena, spans: &mut Vec<Span>) {
        let Some(values) = self.values(item) else {
            spans.push(arena.push(self.time.to_string().as_bytes()));
            return;
        };
        for value in values {
            spans.push(match *value {
                Raw::Text { start, end } => self.fold_text(start, end, arena),
                Raw::Int { start, end } => arena.push(self.bytes(start, end)),
                Raw::Float { start, end } => text::fold_number(format_args!("{}", self.float(start, end)), arena),
                Raw::Bool { value, .. } => arena.push(if value { b"true" } else { b"false" }),
                Raw::Null { .. } | Raw::List { .. } => continue,
            });
        }
    }

    fn any_text(&self, item: Item, buffer: &mut String, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        let Some(values) = self.values(item) else {
            return visit(&self.time.to_string());
        };
        values.iter().any(|value| self.text(*value, buffer, visit))
    }

    fn is_null(&self, item: Item) -> bool {
        self.values(item)
            .is_some_and(|values| values.is_empty() || values.iter().any(|value| matches!(value, Raw::Null { .. })))
    }

    fn exists(&self, item: Item) -> bool {
        self.values(item)
            .is_none_or(|values| values.iter().any(|value| !matches!(value, Raw::Null { .. })))
    }

    fn any_number(&self, item: Item, accept: &dyn Fn(Number) -> bool) -> bool {
        let mut buffer = String::new();
        self.values(item).unwrap_or_default().iter().any(|raw| match raw {
            Raw::Text { .. } => self.text(*raw, &mut buffer, &mut |text| Number::parse(text).is_some_and(accept)),
            Raw::Int { .. } | Raw::Float { .. } | Raw::Bool { .. } | Raw::Null { .. } | Raw::List { .. } => {
                text::any_number(&self.number(*raw), &accept)
            }
        })
    }

    fn any_time(&self, item: Item, accept: &dyn Fn(DateTime<Utc>) -> bool) -> bool {
        if item as usize >= self.members.values.len() {
            return accept(self.time.to_utc());
        }
        self.any_value(item, &|value| text::any_time(value, &accept))
    }

    #[inline]
    fn scan(&self, item: Item, filter: &RawFilter, mut hit: impl FnMut(PatternId)) -> bool {
        let marks = &self.members.marks;
        if marks.has_numeric_escapes() {
            return false;
        }
        self.values(item).unwrap_or_default().iter().all(|value| match *value {
            Raw::Text { start, end } | Raw::Int { start, end } => {
                let bytes = self.bytes(start, end);
                let is_for = marks.is_ascii() || filter.is_for(bytes);
                if is_for {
                    filter.probe(bytes, |pattern, _| {
                        hit(pattern);
                        true
                    });
                }
                is_for
            }
            Raw::Null { .. } => true,
            Raw::Float { .. } | Raw::Bool { .. } | Raw::List { .. } => !filter.reads_numbers,
        })
    }

    fn scan_all(
        &self,
        _: &[ItemInfo],
        filter: &RawFilter,
        _: &mut Joined,
        mut hit: impl FnMut(Item, PatternId) -> bool,
    ) -> bool {
        let marks = &self.members.marks;
        if marks.has_numeric_escapes() || !marks.is_ascii() && !filter.is_for(self.line) {
            return false;
        }
        filter.probe(self.line, |pattern, at| {
            // What is found in a name is taken for part of the value before, where it is not found again.
            let values = &self.members.values;
            let behind = values.partition_point(|value| value.start() as usize <= at);
            let item = behind.checked_sub(1).and_then(|item| Item::try_from(item).ok());
            item.is_some_and(|item| hit(item, pattern))
        });
        true
    }

    #[inline]
    fn longest(&self, item: Item) -> usize {
        match self.members.values.get(item as usize) {
            // What is escaped is written longer than it is.
            Some(Raw::Text { start, end }) => (end - start) as usize,
            _ => usize::MAX,
        }
    }

    /// As it is written: what is written differently is taken apart twice, which is only slower.
    #[inline]
    fn identity(&self, item: Item, out: &mut Vec<u8>) -> bool {
        match self.members.values.get(item as usize) {
            Some(Raw::Text { start, end }) if end - start <= MAX_IDENTITY => {
                out.push(b's');
                out.extend_from_slice(self.bytes(*start, *end));
            }
            Some(Raw::Int { start, end }) => {
                out.push(b'i');
                out.extend_from_slice(self.bytes(*start, *end));
            }
            Some(Raw::Float { start, end }) if end - start <= MAX_IDENTITY => {
                out.push(b'd');
                out.extend_from_slice(self.bytes(*start, *end));
            }
            Some(Raw::Bool { value, .. }) => out.push(b'f' + u8::from(*value)),
            Some(Raw::Null { .. }) => out.push(b'n'),
            Some(Raw::List { number, .. }) => return identify_list(self, self.members.elements(*number), out),
            Some(Raw::Text { .. } | Raw::Float { .. }) | None => return false,
        }
        true
    }
}

fn identify_list(event: &JsonEvent<'_>, elements: &[Raw], out: &mut Vec<u8>) -> bool {
    out.push(b'l');
    elements.len() <= 16
        && elements.iter().all(|element| match *element {
            // No text as written has a quote in it that is not escaped.
            Raw::Text { start, end } if end - start <= MAX_IDENTITY => {
                out.push(b'"');
                out.extend_from_slice(event.bytes(start, end));
                out.push(b'"');
                true
            }
            Raw::Int { start, end } => {
                out.push(b',');
                out.extend_from_slice(event.bytes(start, end));
                true
            }
            Raw::Bool { value, .. } => {
                out.push(if value { b't' } else { b'f' });
                true
            }
            Raw::Null { .. } => {
                out.push(b'n');
                true
            }
            Raw::Text { .. } | Raw::Float { .. } | Raw::List { .. } => false,
        })
}
