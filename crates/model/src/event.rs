//! The event: a flat list of fields with ECS names (and the source's own beside them) under a derived id.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use crate::ecs;
use crate::flatten;
use crate::id::EventId;
use crate::list::List;
pub use crate::text::FieldName;
use crate::text::Text;
use crate::time::Timestamp;

/// Deepest nesting of objects and arrays that is taken from JSON; what lies deeper is kept as JSON text.
pub const MAX_DEPTH: usize = 16;
/// Deepest nesting of the document made from dotted names; what is left of a longer name stays one name. Readers of
/// the document recurse, and MongoDB stores no more than 100 levels.
pub const MAX_NESTING: usize = 32;
/// Most fields one event holds; further ones are refused by [`Fields::insert`].
pub const MAX_FIELDS: usize = 1024;
/// Longest name made from nested JSON members, in bytes. Every member below a long name repeats it, so without a bound
/// one line of a megabyte becomes hundreds.
pub const MAX_NAME: usize = 512;

/// A field's value. Objects do not occur: they are flattened into dotted names.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Present without a value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number; never NaN or infinite.
    Float(f64),
    /// Text. Bytes that were not UTF-8 appear as U+FFFD.
    Str(Text),
    /// Several values; a match on any element is a match.
    List(List),
}

const _: () = assert!(size_of::<Value>() == 24, "a value is as large as a text");

impl Value {
    /// Whether something elsewhere has to be given back when it goes.
    #[inline(always)]
    fn owns(&self) -> bool {
        matches!(self, Self::Str(text) if text.owns()) | matches!(self, Self::List(list) if list.owns())
    }

    /// The text, when it is text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::List(_) => None,
        }
    }

    /// The whole number, when it is one.
    #[must_use]
    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Null | Self::Bool(_) | Self::Str(_) | Self::Float(_) | Self::List(_) => None,
        }
    }

    /// The text a person would write for it; list elements are joined by a comma.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
            Self::Str(text) => Cow::Borrowed(text),
            Self::List(values) => Cow::Owned(values.iter().map(Self::to_text).collect::<Vec<_>>().join(",")),
        }
    }

    /// What a JSON value becomes that lies at a depth counted from 1. Objects, and what lies deeper than [`MAX_DEPTH`],
    /// become their JSON text.
    #[must_use]
    pub fn from_json(value: &Json, depth: usize) -> Self {
        flatten::scalar(value, depth)
    }

    /// The same value as JSON.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Float(value) => Json::from(*value),
            Self::Str(value) => Json::String(value.as_str().to_owned()),
            Self::List(values) => Json::Array(values.iter().map(Self::to_json).collect()),
        }
    }
}

impl From<&str> for Value {
    #[inline]
    fn from(text: &str) -> Self {
        Self::Str(Text::from(text))
    }
}

impl From<Text> for Value {
    #[inline]
    fn from(text: Text) -> Self {
        Self::Str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(Text::from(text))
    }
}

impl From<Cow<'_, str>> for Value {
    #[inline]
    fn from(text: Cow<'_, str>) -> Self {
        Self::Str(Text::from(text))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::List(List::from(values))
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self::List(values.into_iter().collect())
    }
}

/// Fields in the order they were set; each name occurs once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(FieldName, Value)>);

impl Fields {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(24))
    }

    /// None, with room for `capacity`.
    #[must_use]
    #[inline]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Sets a field, replacing an earlier value. Returns false, and changes nothing, when the event already holds
    /// [`MAX_FIELDS`] others.
    pub fn insert(&mut self, name: impl Into<FieldName>, value: impl Into<Value>) -> bool {
        let name = name.into();
        if let Some((_, slot)) = self.0.iter_mut().find(|(existing, _)| *existing == name) {
            *slot = value.into();
            return true;
        }
        if self.0.len() >= MAX_FIELDS {
            return false;
        }
        self.0.push((name, value.into()));
        true
    }

    /// Sets a field only if it is not there yet.
    pub fn insert_default(&mut self, name: &'static str, value: impl Into<Value>) {
        if self.get(name).is_none() {
            self.insert(name, value);
        }
    }

    /// Appends a field the caller knows to be new. For decoders, whose input has each name once.
    #[inline]
    pub fn push_unchecked(&mut self, name: FieldName, value: Value) {
        self.0.push((name, value));
    }

    /// The same with a field that is made in its place: room is there before the field is, which is then not moved from
    /// one place of the stack to the next. Processors wait for what is written in small parts and moved at once.
    #[inline(always)]
    pub fn push_with(&mut self, field: impl FnOnce() -> (FieldName, Value)) {
        self.0.extend(std::iter::once_with(field));
    }

    /// The same with a text. It is made before the name, which otherwise has to be kept meanwhile, and moved.
    #[inline]
    pub fn push_text(&mut self, name: &'static str, text: &str) {
        self.push_with(|| {
            let value = Value::from(text);
            (FieldName::of_static(name), value)
        });
    }

    /// The value of a field.
    #[must_use]
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(existing, _)| *existing == *name)
            .map(|(_, value)| value)
    }

    /// Where each of some fields is, as positions of [`Fields::iter`], in one pass.
    #[must_use]
    pub fn positions<const N: usize>(&self, names: &[&str; N]) -> [Option<usize>; N] {
        let bit = |name: &str| 1_u64 << (name.len() & 63);
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit(name));
        let mut positions = [None; N];
        for (position, (existing, _)) in self.0.iter().enumerate() {
            if lengths & bit(existing) == 0 {
                continue;
            }
            for (name, found) in names.iter().zip(&mut positions) {
                if *existing == *name {
                    *found = Some(position);
                }
            }
        }
        positions
    }

    /// The text of a field, when it is text.
    #[must_use]
    #[inline]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(existing, _)| *existing == *name)?;
        Some(self.0.remove(index).1)
    }

    /// Keeps the first fields only.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The field at a position of [`Fields::iter`].
    #[must_use]
    #[inline]
    pub fn at(&self, index: usize) -> Option<(&str, &Value)> {
        self.0.get(index).map(|(name, value)| (name.as_ref(), value))
    }

    /// The name of the field at a position of [`Fields::iter`].
    #[must_use]
    #[inline]
    pub fn name_at(&self, index: usize) -> Option<&FieldName> {
        self.0.get(index).map(|(name, _)| name)
    }

    /// The value at a position of [`Fields::iter`], if the name there is the same place of the program.
    #[must_use]
    #[inline(always)]
    pub fn value_if_at(&self, index: usize, name: &str) -> Option<&Value> {
        let (existing, value) = self.0.get(index)?;
        existing.is_at(name).then_some(value)
    }

    /// The value at a position of [`Fields::iter`], to be changed.
    #[inline]
    pub fn value_mut(&mut self, index: usize) -> Option<&mut Value> {
        self.0.get_mut(index).map(|(_, value)| value)
    }

    /// In the order they were set.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// How many.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the members of a JSON object, flattened: `{"a": {"b": 1}}` becomes `a.b`. An array of objects becomes one
    /// list per inner name. Names are put under `prefix` (none when empty). Returns how many members were refused
    /// because of [`MAX_FIELDS`] or [`MAX_NAME`]; a member whose name is too long counts as one, whatever is in it.
    pub fn insert_json(&mut self, prefix: &str, object: &Map<String, Json>) -> usize {
        flatten::add(self, prefix, object)
    }

    /// Adds one value that lies under `path`, at a depth counted from 1, as [`Fields::insert_json`] does its members.
    pub fn insert_member(&mut self, path: &str, value: &Json, depth: usize) -> usize {
        flatten::add_one(self, path, value, depth)
    }
}

impl IntoIterator for Fields {
    type Item = (FieldName, Value);
    type IntoIter = std::vec::IntoIter<(FieldName, Value)>;

    fn into_iter(mut self) -> Self::IntoIter {
        std::mem::take(&mut self.0).into_iter()
    }
}

impl Drop for Fields {
    /// Few fields have anything to give back. Whether one has is a single question here; what the compiler makes of a
    /// list of them asks several that no processor guesses, of each name and value.
    fn drop(&mut self) {
        for (name, value) in std::mem::take(&mut self.0) {
            if name.owns() | value.owns() {
                drop((name, value));
            } else {
                std::mem::forget((name, value));
            }
        }
    }
}

impl FromIterator<(FieldName, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (FieldName, Value)>>(iter: I) -> Self {
        let mut fields = Self::new();
        for (name, value) in iter {
            fields.insert(name, value);
        }
        fields
    }
}

/// One event as every part of Picket past the parsers sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Derived from the source's numbering.
    pub id: EventId,
    /// When it happened, as far as the source says; else when it was first seen.
    pub timestamp: Timestamp,
    /// Everything else. Holds neither `@timestamp` nor `event.id`.
    pub fields: Fields,
}

impl Event {
    /// The nested ECS document, with `@timestamp` and `event.id`: what REST answers and alerts embed.
    ///
    /// Where one name is a prefix of another (`a` and `a.b`), the shorter one's value moves to `a.value`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut root = Map::new();
        root.insert(ecs::TIMESTAMP.to_owned(), Json::String(self.timestamp.to_string()));
        for (name, value) in self.fields.iter() {
            place(&mut root, name, value.to_json(), 1);
        }
        place(&mut root, ecs::EVENT_ID, Json::String(self.id.to_string()), 1);
        Json::Object(root)
    }
}

fn place(object: &mut Map<String, Json>, name: &str, value: Json, depth: usize) {
    let (head, rest) = match name.split_once('.') {
        Some((head, rest)) if !head.is_empty() && !rest.is_empty() && depth < MAX_NESTING => (head, Some(rest)),
        _ => (name, None),
    };
    let Some(rest) = rest else {
        match object.get_mut(head) {
            Some(Json::Object(inner)) => {
                inner.insert("value".to_owned(), value);
            }
            _ => {
                object.insert(head.to_owned(), value);
            }
        }
        return;
    };
    let slot = object
        .entry(head.to_owned())
        .or_insert_with(|| Json::Object(Map::new()));
    if !slot.is_object() {
        let scalar = std::mem::take(slot);
        let mut inner = Map::new();
        inner.insert("value".to_owned(), scalar);
        *slot = Json::Object(inner);
    }
    if let Json::Object(inner) = slot {
        place(inner, rest, value, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::{Epoch, SourceId};

    fn fields(value: &Json) -> Fields {
        let mut fields = Fields::new();
        fields.insert_json("", value.as_object().unwrap());
        fields
    }

    #[test]
    fn json_is_flattened_and_arrays_of_objects_become_lists() {
        let flat = fields(&json!({"a": {"b": 1, "c": [1, "x"]}, "d": [{"e": 1}, {"e": 2, "f": null}, 3], "g": {}}));
        assert_eq!(flat.get("a.b"), Some(&Value::Int(1)));
        assert_eq!(flat.get("a.c"), Some(&Value::from(vec![Value::Int(1), "x".into()])));
        assert_eq!(flat.get("d.e"), Some(&Value::from(vec![Value::Int(1), Value::Int(2)])));
        assert_eq!(flat.get("d.f"), Some(&Value::Null));
        assert_eq!(flat.get("d"), Some(&Value::Int(3)));
    }

    #[test]
    fn positions_are_those_of_iteration() {
        let mut fields = Fields::new();
        for name in ["b", "host.name", "a", "host.type"] {
            fields.insert(name, name);
        }
        let positions = fields.positions(&["a", "missing", "host.type", "b"]);
        assert_eq!(positions, [Some(2), None, Some(3), Some(0)]);
    }

    #[test]
    fn deep_json_ends_as_text_and_too_many_fields_are_counted() {
        let mut deep = json!("bottom");
        for _ in 0..200 {
            deep = json!({ "n": deep });
        }
        let flat = fields(&deep);
        assert_eq!(flat.len(), 1);
        assert!(flat.iter().next().unwrap().1.as_str().unwrap().contains("bottom"));

        let wide: Map<String, Json> = (0..MAX_FIELDS + 5).map(|n| (format!("f{n}"), Json::from(n))).collect();
        assert_eq!(Fields::new().insert_json("", &wide), 5);
    }

    #[test]
    fn a_long_name_is_refused_and_not_repeated_for_every_member_below_it() {
        let members: Map<String, Json> = (0..1000).map(|n| (format!("f{n}"), Json::from(n))).collect();
        let long = "x".repeat(500_000);
        let nested = json!({ "a": { &long: members }, "b": [{ &long: 1 }, { "c": 2 }], &long: 3, "d": 4 });
        let mut flat = Fields::new();
        assert_eq!(flat.insert_json("", nested.as_object().unwrap()), 3);
        assert!(flat.iter().all(|(name, _)| name.len() <= MAX_NAME));
        assert_eq!(flat.get("d"), Some(&Value::Int(4)));
        assert_eq!(flat.get("b.c"), Some(&Value::Int(2)));
    }

    #[test]
    fn a_name_of_countless_parts_does_not_nest_without_end() {
        let id = EventId {
            source: SourceId::named("t", "t"),
            epoch: Epoch(1),
            seq: 0,
        };
        let mut event = Event {
            id,
            timestamp: Timestamp(0),
            fields: Fields::new(),
        };
        event.fields.insert("a.".repeat(100_000) + "z", 1);
        let json = event.to_json();
        let mut depth = 1;
        let mut inner = &json;
        while let Some(next) = inner
            .as_object()
            .and_then(|object| object.values().find(|next| next.is_object()))
        {
            inner = next;
            depth += 1;
            if depth > MAX_NESTING {
                break;
            }
        }
        assert!(depth <= MAX_NESTING);
    }

    #[test]
    fn the_document_is_nested_and_loses_nothing_on_prefix_clashes() {
        let id = EventId {
            source: SourceId::named("t", "t"),
            epoch: Epoch(1),
            seq: 0,
        };
        for order in [["user", "user.name"], ["user.name", "user"]] {
            let mut event = Event {
                id,
                timestamp: Timestamp(0),
                fields: Fields::new(),
            };
            for name in order {
                event.fields.insert(name, name);
            }
            let json = event.to_json();
            assert_eq!(json["user"], json!({"value": "user", "name": "user.name"}), "{order:?}");
            assert_eq!(json["@timestamp"], "1970-01-01T00:00:00.000000Z");
            assert_eq!(json["event"]["id"], id.to_string());
        }
    }
}
