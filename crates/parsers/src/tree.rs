//! JSON as it is read: a tree whose texts and names are those of the line, wherever nothing in them is escaped. Members stay
//! in their order and are found by looking through them; only objects with many are found by an index.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Number, Value};

/// Objects with more members than this have an index.
const MANY: usize = 48;
/// Room that a list or an object of a record is begun with.
const FEW: usize = 8;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Json<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Map<'a>),
}

/// An object. Of members of one name the last counts, at the place of the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map<'a> {
    members: Vec<Member<'a>>,
    /// Bits of the members' names: a clear bit proves that there is none of that name.
    names: u64,
    /// Positions by name.
    index: Option<Box<Index<'a>>>,
}

#[derive(Clone, Debug)]
struct Index<'a>(HashMap<Cow<'a, str>, usize>);

#[derive(Clone, Debug)]
struct Member<'a> {
    tag: Tag,
    name: Cow<'a, str>,
    value: Json<'a>,
}

/// What tells most names apart at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u32);

impl Tag {
    #[inline]
    pub(crate) fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let (first, last) = match (bytes.first(), bytes.last()) {
            (Some(first), Some(last)) => (u32::from(*first), u32::from(*last)),
            _ => (0, 0),
        };
        let middle = u32::from(bytes.get(bytes.len() / 2).copied().unwrap_or(0));
        let mixed = first ^ last << 8 ^ middle << 16 ^ u32::try_from(bytes.len()).unwrap_or(0) << 24;
        Self(mixed.wrapping_mul(0x9e37_79b1))
    }

    /// One of the bits that names are marked by.
    #[inline]
    fn bit(self) -> u64 {
        1 << (self.0 >> 26)
    }
}

/// A name that is looked for again and again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    tag: Tag,
    text: String,
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            tag: Tag::of(text),
            text: text.to_owned(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// The object that a text is; `None` when it is none.
pub(crate) fn object(text: &str) -> Option<Map<'_>> {
    serde_json::from_str(text).ok()
}

impl<'a> Json<'a> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Self::Array(items) => Some(items),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Map<'a>> {
        match self {
            Self::Object(object) => Some(object),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) | Self::Array(_) => None,
        }
    }

    /// The member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.as_object()?.get(name)
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            Self::Null | Self::Bool(_) | Self::String(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            Self::Null | Self::Bool(_) | Self::String(_) | Self::Array(_) | Self::Object(_) => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The same with texts that are this one's.
    pub(crate) fn borrowed(&self) -> Json<'_> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) => Json::Number(number.clone()),
            Self::String(text) => Json::String(Cow::Borrowed(text)),
            Self::Array(items) => Json::Array(items.iter().map(Json::borrowed).collect()),
            Self::Object(object) => Json::Object(object.borrowed()),
        }
    }

    /// The same with texts of its own.
    pub(crate) fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Number(number) => Json::Number(number),
            Self::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(object) => Json::Object(object.into_owned()),
        }
    }

    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::of).collect()),
            Value::Object(object) => Self::Object(Map::of(object)),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(object) => Value::Object(object.to_value()),
        }
    }
}

impl<'a> Map<'a> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            members: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    pub(crate) fn of(object: &'a serde_json::Map<String, Value>) -> Self {
        let member = |(name, value): (&'a String, &'a Value)| (Cow::Borrowed(name.as_str()), Json::of(value));
        object.iter().map(member).collect()
    }

    pub(crate) fn to_value(&self) -> serde_json::Map<String, Value> {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value.to_value()))
            .collect()
    }

    pub(crate) fn borrowed(&self) -> Map<'_> {
        self.iter()
            .map(|(name, value)| (Cow::Borrowed(name), value.borrowed()))
            .collect()
    }

    pub(crate) fn into_owned(self) -> Map<'static> {
        self.into_iter()
            .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
            .collect()
    }

    #[inline]
    fn position(&self, tag: Tag, name: &str) -> Option<usize> {
        if self.names & tag.bit() == 0 {
            return None;
        }
        match &self.index {
            Some(index) => index.0.get(name).copied(),
            None => self
                .members
                .iter()
                .position(|member| member.tag == tag && member.name == name),
        }
    }

    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let index = self.position(Tag::of(name), name)?;
        self.members.get(index).map(|member| &member.value)
    }

    /// The same by a name that is at hand.
    #[inline]
    pub(crate) fn member(&self, name: &Name) -> Option<&Json<'a>> {
        let index = self.position(name.tag, &name.text)?;
        self.members.get(index).map(|member| &member.value)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Json<'a>> {
        let index = self.position(Tag::of(name), name)?;
        self.members.get_mut(index).map(|member| &mut member.value)
    }

    pub(crate) fn contains_key(&self, name: &str) -> bool {
        self.position(Tag::of(name), name).is_some()
    }

    /// Sets a member.
    pub(crate) fn insert(&mut self, name: impl Into<Cow<'a, str>>, value: Json<'a>) {
        let name = name.into();
        let tag = Tag::of(&name);
        match self.position(tag, &name).and_then(|at| self.members.get_mut(at)) {
            Some(before) => before.value = value,
            None => self.push(tag, name, value),
        }
    }

    /// Sets a member that is not there.
    pub(crate) fn insert_default(&mut self, name: impl Into<Cow<'a, str>>, value: impl FnOnce() -> Json<'a>) {
        let name = name.into();
        let tag = Tag::of(&name);
        if self.position(tag, &name).is_none() {
            self.push(tag, name, value());
        }
    }

    fn push(&mut self, tag: Tag, name: Cow<'a, str>, value: Json<'a>) {
        self.names |= tag.bit();
        if let Some(index) = &mut self.index {
            index.0.insert(name.clone(), self.members.len());
        }
        self.members.push(Member { tag, name, value });
        if self.index.is_none() && self.members.len() > MANY {
            self.reindex();
        }
    }

    fn reindex(&mut self) {
        self.names = self.members.iter().fold(0, |bits, member| bits | member.tag.bit());
        self.index = (self.members.len() > MANY).then(|| {
            let positions = self.members.iter().enumerate();
            Box::new(Index(positions.map(|(at, member)| (member.name.clone(), at)).collect()))
        });
    }

    /// Takes a member out; the others keep their order.
    pub(crate) fn shift_remove(&mut self, name: &str) -> Option<Json<'a>> {
        let index = self.position(Tag::of(name), name)?;
        let member = self.members.remove(index);
        self.reindex();
        Some(member.value)
    }

    /// Keeps the members of which this is true.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.members.retain(|member| is_kept(&member.name));
        self.reindex();
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.members.iter().map(|member| (member.name.as_ref(), &member.value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Json<'a>> {
        self.members.iter().map(|member| &member.value)
    }
}

impl PartialEq for Map<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl<'a> IntoIterator for Map<'a> {
    type Item = (Cow<'a, str>, Json<'a>);
    type IntoIter = Members<'a>;

    fn into_iter(self) -> Self::IntoIter {
        Members(self.members.into_iter())
    }
}

/// The members of an object, in their order.
pub(crate) struct Members<'a>(std::vec::IntoIter<Member<'a>>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Json<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|member| (member.name, member.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Map<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(members: I) -> Self {
        let members = members.into_iter();
        let mut map = Self::with_capacity(members.size_hint().0);
        for (name, value) in members {
            map.insert(name, value);
        }
        map
    }
}

impl<'a> Extend<(Cow<'a, str>, Json<'a>)> for Map<'a> {
    fn extend<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(&mut self, members: I) {
        for (name, value) in members {
            self.insert(name, value);
        }
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::String(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::String(text)
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

/// What is no number in JSON is null.
impl From<f64> for Json<'_> {
    fn from(number: f64) -> Self {
        Number::from_f64(number).map_or(Self::Null, Self::Number)
    }
}

/// As JSON text.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(object) => serializer.collect_map(object.iter()),
        }
    }
}

struct Text<'a>(Cow<'a, str>);

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Self)
    }
}

struct MapVisitor;

impl<'de> Visitor<'de> for MapVisitor {
    type Value = Map<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(Text(name)) = access.next_key()? {
            if map.members.is_empty() {
                map.members.reserve(FEW);
            }
            let value = access.next_value()?;
            map.insert(name, value);
        }
        Ok(map)
    }
}

impl<'de> Deserialize<'de> for Map<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Json::from(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
        MapVisitor.visit_map(access).map(Json::Object)
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_without_escapes_are_those_of_the_line() {
        let map = object(r#"{"a":"plain","b":"tab\t","n":[1,-2,3.5,null,true]}"#).unwrap();
        assert!(matches!(map.get("a"), Some(Json::String(Cow::Borrowed("plain")))));
        assert!(matches!(map.get("b"), Some(Json::String(Cow::Owned(text))) if text == "tab\t"));
        assert_eq!(map.get("n").unwrap().to_string(), "[1,-2,3.5,null,true]");
        for text in ["", "[]", "{\"a\":1", "{\"a\":1}x", "{'a':1}", "{\"a\":01}"] {
            assert!(object(text).is_none(), "{text}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
        assert!(object(&deep).is_none(), "no more than the stack holds");
    }

    #[test]
    fn the_last_of_several_members_of_a_name_counts() {
        let map = object(r#"{"a":1,"b":2,"a":3}"#).unwrap();
        let members: Vec<_> = map.iter().map(|(name, value)| (name, value.as_i64())).collect();
        assert_eq!(members, [("a", Some(3)), ("b", Some(2))]);
    }

    #[test]
    fn objects_with_many_members_find_them_too() {
        let text: Vec<String> = (0..500).map(|n| format!("\"m{}\":{n}", n % 400)).collect();
        let text = format!("{{{}}}", text.join(","));
        let mut map = object(&text).unwrap();
        assert_eq!(map.len(), 400);
        assert_eq!(map.get("m7").and_then(Json::as_i64), Some(407));
        assert_eq!(map.get("m399").and_then(Json::as_i64), Some(399));
        assert_eq!(map.shift_remove("m0").and_then(|value| value.as_i64()), Some(400));
        map.insert("m0", Json::from(1));
        map.insert("m7", Json::from(2));
        assert_eq!((map.len(), map.get("m7").and_then(Json::as_i64)), (400, Some(2)));
        map.retain(|name| name == "m9");
        assert_eq!(
            (map.len(), map.contains_key("m9"), map.contains_key("m8")),
            (1, true, false)
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec(("[a-c\\n]{0,2}", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(value in any_json()) {
            let text = value.to_string();
            let read: Result<Json<'_>, _> = serde_json::from_str(&text);
            let known: Value = serde_json::from_str(&text).unwrap();
            let read = read.unwrap();
            prop_assert_eq!(read.to_string(), known.to_string());
            prop_assert_eq!(read.to_value(), known);
            prop_assert_eq!(Json::of(&value).to_value(), value);
        }

        #[test]
        fn it_refuses_what_serde_json_refuses(text in "[{}\\[\\]\":,a1\\\\ .eE+-]{0,24}") {
            let known = serde_json::from_str::<serde_json::Map<String, Value>>(&text).ok();
            let read = object(&text).map(|map| map.to_value());
            prop_assert_eq!(read, known);
        }
    }
}
