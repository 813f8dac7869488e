//! Events that are already taken apart.

use chrono::{DateTime, Utc};
use model::{Event, Value};

use crate::ast::Number;
use crate::engine::arena::{Arena, Span};
use crate::engine::source::{Item, Source};
use crate::engine::text;

impl Source for Event {
    fn fold(&self, item: Item, arena: &mut Arena, spans: &mut Vec<Span>) {
        match self.fields.at(item as usize) {
            Some((_, value)) => text::fold_texts(value, arena, spans),
            None => spans.push(arena.push(self.timestamp.to_string().as_bytes())),
        }
    }

    fn any_text(&self, item: Item, buffer: &mut String, visit: &mut dyn FnMut(&str) -> bool) -> bool {
        match self.fields.at(item as usize) {
            Some((_, value)) => text::any_text(value, buffer, &mut |text| visit(text)),
            None => visit(&self.timestamp.to_string()),
        }
    }

    fn is_null(&self, item: Item) -> bool {
        self.fields
            .at(item as usize)
            .is_some_and(|(_, value)| text::is_null(value))
    }

    fn exists(&self, item: Item) -> bool {
        self.fields
            .at(item as usize)
            .is_none_or(|(_, value)| text::exists(value))
    }

    fn any_number(&self, item: Item, accept: &dyn Fn(Number) -> bool) -> bool {
        self.fields
            .at(item as usize)
            .is_some_and(|(_, value)| text::any_number(value, &accept))
    }

    fn any_time(&self, item: Item, accept: &dyn Fn(DateTime<Utc>) -> bool) -> bool {
        match self.fields.at(item as usize) {
            Some((_, value)) => text::any_time(value, &accept),
            None => accept(self.timestamp.to_utc()),
        }
    }

    fn identity(&self, item: Item, out: &mut Vec<u8>) -> bool {
        match self.fields.at(item as usize) {
            Some((_, value)) => identify(value, out),
            None => false,
        }
    }
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
