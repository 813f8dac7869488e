//! Events that are already taken apart.

use chrono::{DateTime, Utc};
use model::{Fields, Timestamp, Value};

use crate::ast::Number;
use crate::engine::arena::{Arena, Span};
use crate::engine::index::{PatternId, RawFilter};
use crate::engine::joined::Joined;
use crate::engine::scratch::ItemInfo;
use crate::engine::source::{Item, Source};
use crate::engine::text;

/// An event with its fields as values.
pub(crate) trait Values {
    /// The value of a field; `None` behind the last.
    fn value(&self, item: Item) -> Option<&Value>;

    /// When it happened.
    fn time(&self) -> Timestamp;
}

/// An event in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodedEvent<'a> {
    pub(crate) fields: &'a Fields,
    pub(crate) time: Timestamp,
}

impl Values for DecodedEvent<'_> {
    #[inline]
    fn value(&self, item: Item) -> Option<&Value> {
        self.fields.at(item as usize).map(|(_, value)| value)
    }

    fn time(&self) -> Timestamp {
        self.time
    }
}

impl<T: Values> Source for T {
    fn fold(&self, item: Item, arena: &mut Arena, spans: &mut Vec<Span>) {
        match self.value(item) {
            Some(value) => text::fold_texts(value, arena, spans),
            None => spans.push(arena.push(self.time().to_string().as_bytes())),
        }
    }

    fn any_text(&self, item: Item, buffer: &mut String, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        match self.value(item) {
            Some(value) => text::any_text(value, buffer, &mut |text| visit(text)),
            None => visit(&self.time().to_string()),
        }
    }

    fn is_null(&self, item: Item) -> bool {
        self.value(item).is_some_and(text::is_null)
    }

    fn exists(&self, item: Item) -> bool {
        self.value(item).is_none_or(text::exists)
    }

    fn any_number(&self, item: Item, accept: &dyn Fn(Number) -> bool) -> bool {
        self.value(item).is_some_and(|value| text::any_number(value, &accept))
    }

    fn any_time(&self, item: Item, accept: &dyn Fn(DateTime<Utc>) -> bool) -> bool {
        match self.value(item) {
            Some(value) => text::any_time(value, &accept),
            None => accept(self.time().to_utc()),
        }
    }

    fn scan(&self, item: Item, filter: &RawFilter, mut hit: impl FnMut(PatternId)) -> bool {
        let value = self.value(item);
        let mut hit = |pattern| {
            hit(pattern);
            true
        };
        value.is_some_and(|value| scan_value(value, filter, &mut String::new(), &mut hit))
    }

    fn scan_all(
        &self,
        items: &[ItemInfo],
        filter: &RawFilter,
        joined: &mut Joined,
        mut hit: impl FnMut(Item, PatternId) -> bool,
    ) -> bool {
        if let [info] = items {
            let value = self.value(0).filter(|_| info.searched);
            let mut hit = |pattern| hit(0, pattern);
            return value.is_none_or(|value| scan_value(value, filter, &mut String::new(), &mut hit));
        }
        // One search of all texts is faster than one of each.
        joined.clear();
        for (item, _) in (0..).zip(items).filter(|(_, info)| info.searched) {
            if let Some(value) = self.value(item)
                && !join_value(value, item, filter.reads_numbers, joined)
            {
                return false;
            }
        }
        if !filter.is_for(joined.bytes()) {
            return false;
        }
        filter.probe(joined.bytes(), |pattern, at| {
            joined.item_at(at).is_some_and(|item| hit(item, pattern))
        });
        true
    }

    fn longest(&self, item: Item) -> usize {
        match self.value(item) {
            Some(Value::Str(text)) => text.len(),
            _ => usize::MAX,
        }
    }

    fn identity(&self, item: Item, out: &mut Vec<u8>) -> bool {
        self.value(item).is_some_and(|value| identify(value, out))
    }
}

fn scan_value(value: &Value, filter: &RawFilter, buffer: &mut String, hit: &mut impl FnMut(PatternId) -> bool) -> bool {
    match value {
        Value::Str(text) => {
            if !filter.is_for(text.as_bytes()) {
                return false;
            }
            filter.probe(text.as_bytes(), |pattern, _| hit(pattern));
        }
        Value::Null => {}
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            if filter.reads_numbers {
                text::any_text(value, buffer, &mut |text| {
                    filter.probe(text.as_bytes(), |pattern, _| hit(pattern));
                    false
                });
            }
        }
        Value::List(values) => {
            return values.iter().all(|value| match value {
                // Lists in lists are as good as never.
                Value::List(_) => false,
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => {
                    scan_value(value, filter, buffer, hit)
                }
            });
        }
    }
    true
}

/// Adds the texts of a value. False for lists in lists, which are as good as never.
fn join_value(value: &Value, item: Item, with_numbers: bool, joined: &mut Joined) -> bool {
    match value {
        Value::Str(text) => joined.push(item, text),
        Value::Null => {}
        Value::Bool(value) if with_numbers => joined.push_shown(item, value),
        Value::Int(value) if with_numbers => joined.push_shown(item, value),
        Value::Float(value) if with_numbers => joined.push_shown(item, value),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        Value::List(values) => {
            return values
                .iter()
                .all(|value| !matches!(value, Value::List(_)) && join_value(value, item, with_numbers, joined));
        }
    }
    true
}

/// Longest list that is identified.
const MAX_LIST: usize = 16;
/// Longest text that is identified, in bytes.
const MAX_TEXT: usize = 256;

/// Appends bytes that are the same only for equal values. False for what is long or nested.
fn identify(value: &Value, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(value) => out.push(b'f' + u8::from(*value)),
        Value::Int(number) => {
            out.push(b'i');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Float(number) => {
            out.push(b'd');
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Str(text) if text.len() <= MAX_TEXT => {
            out.push(b's');
            out.extend_from_slice(text.as_bytes());
        }
        Value::Str(_) => return false,
        Value::List(values) => {
            out.push(b'l');
            return values.len() <= MAX_LIST
                && values.iter().all(|value| {
                    let start = out.len();
                    out.extend_from_slice(&[0; 8]);
                    if matches!(value, Value::List(_)) || !identify(value, out) {
                        return false;
                    }
                    let length = (out.len() - start) as u64;
                    if let Some(place) = out.get_mut(start..start + 8) {
                        place.copy_from_slice(&length.to_le_bytes());
                    }
                    true
                });
        }
    }
    true
}
