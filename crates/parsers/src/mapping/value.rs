//! From a JSON value to a field's: converters a table names, and what a field's own type demands.

use std::borrow::Cow;

use model::event::FieldName;
use model::{List, Value, ecs};

use super::path::{Found, Path};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;
use crate::tree::{self, Json, Map};

/// Most elements of a list that becomes a field.
const MAX_ITEMS: usize = 64;

#[derive(Clone, Debug)]
enum Convert {
    Lower,
    Upper,
    Text,
    Int,
    First,
    Last,
    Base,
    Before(String),
    After(String),
    BeforeLast(String),
    AfterLast(String),
    Strip(String),
    Times(i64),
    Replace(String, String),
    Json(Path),
    Ips,
    List,
    Contains(String),
    Trim(String),
    HostOf,
    PortOf,
    Concat(String),
}

/// A path and what is done to the value there: `path|lower|before:@`.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    path: Path,
    converters: Vec<Convert>,
}

impl Source {
    /// Reads a source; the error is what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.parts(b'|');
        let path = Path::parse(parts.next().unwrap_or("").trim())?;
        let converters = parts.map(|part| converter(part).ok_or_else(|| format!("{text:?}: {part:?} is no converter")));
        Ok(Self {
            path,
            converters: converters.collect::<Result<_, _>>()?,
        })
    }

    /// The value, if there is one.
    pub(crate) fn read(&self, object: &Map<'_>) -> Option<Value> {
        let found = self.path.get(object)?;
        let mut value = flatten(&found)?;
        for converter in &self.converters {
            value = converter.apply(value)?;
        }
        Some(value)
    }
}

fn converter(text: &str) -> Option<Convert> {
    let (name, argument) = text.cut_at(b':').unwrap_or((text, ""));
    let owned = || argument.to_owned();
    Some(match (name, argument.is_empty()) {
        ("lower", true) => Convert::Lower,
        ("upper", true) => Convert::Upper,
        ("text", true) => Convert::Text,
        ("int", true) => Convert::Int,
        ("first", true) => Convert::First,
        ("last", true) => Convert::Last,
        ("base", true) => Convert::Base,
        ("ips", true) => Convert::Ips,
        ("list", true) => Convert::List,
        ("host", true) => Convert::HostOf,
        ("port", true) => Convert::PortOf,
        ("before", false) => Convert::Before(owned()),
        ("after", false) => Convert::After(owned()),
        ("before_last", false) => Convert::BeforeLast(owned()),
        ("after_last", false) => Convert::AfterLast(owned()),
        ("strip", false) => Convert::Strip(owned()),
        ("trim", false) => Convert::Trim(owned()),
        ("contains", false) => Convert::Contains(owned()),
        ("join", false) => Convert::Concat(owned()),
        ("times", false) => Convert::Times(argument.parse().ok()?),
        ("replace", false) => {
            let (from, to) = argument.cut_at(b'>')?;
            Convert::Replace(from.to_owned(), to.to_owned())
        }
        ("json", false) => Convert::Json(Path::parse(argument).ok()?),
        _ => return None,
    })
}

impl Convert {
    fn apply(&self, value: Value) -> Option<Value> {
        match (self, value) {
            (Self::First, Value::List(items)) => items.into_iter().next(),
            (Self::Last, Value::List(items)) => items.into_iter().next_back(),
            (Self::First | Self::Last, value) => Some(value),
            (Self::Concat(between), Value::List(items)) => {
                let texts: Vec<_> = items.iter().map(Value::to_text).collect();
                Some(Value::from(texts.join(between)))
            }
            (Self::List, Value::List(items)) => Some(Value::List(items)),
            (Self::List, value) => Some(Value::List(List::one(value))),
            (Self::Ips, Value::List(items)) => {
                let ips: Vec<Value> = items
                    .into_iter()
                    .filter(|item| item.as_str().is_some_and(is_ip))
                    .collect();
                (!ips.is_empty()).then_some(Value::from(ips))
            }
            (_, Value::List(items)) => {
                let converted: Vec<Value> = items.into_iter().filter_map(|item| self.apply(item)).collect();
                (!converted.is_empty()).then_some(Value::from(converted))
            }
            (_, value) => self.one(&value),
        }
    }

    fn one(&self, value: &Value) -> Option<Value> {
        let text = value.to_text();
        let text = text.as_ref();
        let part = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(Value::from);
        match self {
            Self::Lower => Some(Value::from(text.to_ascii_lowercase())),
            Self::Upper => Some(Value::from(text.to_ascii_uppercase())),
            Self::Text => Some(Value::from(text)),
            Self::Int => integer(value),
            Self::Base => part(text.rsplit(['/', '\\']).next()),
            Self::Before(mark) => part(text.split_once(mark.as_str()).map(|(head, _)| head)),
            Self::After(mark) => part(text.split_once(mark.as_str()).map(|(_, tail)| tail)),
            Self::BeforeLast(mark) => part(text.rsplit_once(mark.as_str()).map(|(head, _)| head)),
            Self::AfterLast(mark) => part(text.rsplit_once(mark.as_str()).map(|(_, tail)| tail)),
            Self::Strip(mark) => part(Some(text.strip_prefix(mark.as_str()).unwrap_or(text))),
            Self::Trim(mark) => part(Some(text.strip_suffix(mark.as_str()).unwrap_or(text))),
            Self::Contains(mark) => text.contains(mark.as_str()).then(|| Value::from(text)),
            Self::Replace(from, to) => Some(Value::from(text.replace(from.as_str(), to))),
            Self::Times(factor) => match value {
                #[allow(clippy::cast_possible_truncation, reason = "durations and sizes far below 2^53")]
                Value::Float(number) => Some(Value::Int((number * *factor as f64) as i64)),
                Value::Int(number) => number.checked_mul(*factor).map(Value::Int),
                Value::Str(_) | Value::Bool(_) | Value::Null | Value::List(_) => {
                    let number = value.to_text().parse::<f64>().ok()?;
                    #[allow(clippy::cast_possible_truncation, reason = "durations and sizes far below 2^53")]
                    Some(Value::Int((number * *factor as f64) as i64))
                }
            },
            Self::Json(path) => {
                let object = tree::object(text)?;
                path.get(&object).and_then(|found| flatten(&found))
            }
            Self::HostOf => part(Some(crate::derive::split_port(text).0)),
            Self::PortOf => part(Some(crate::derive::split_port(text).1)),
            Self::First | Self::Last | Self::List | Self::Ips | Self::Concat(_) => Some(value.clone()),
        }
    }
}

fn integer(value: &Value) -> Option<Value> {
    match value {
        Value::Int(_) => Some(value.clone()),
        #[allow(clippy::cast_possible_truncation, reason = "checked to be whole")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(Value::Int(*number as i64)),
        Value::Str(text) => {
            let text = text.trim();
            let hex = text
                .strip_prefix("0x")
                .and_then(|hex| i64::from_str_radix(hex, 16).ok());
            hex.or_else(|| text.parse().ok()).map(Value::Int)
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) => None,
    }
}

fn flatten(found: &Found<'_, '_>) -> Option<Value> {
    match found {
        Found::One(value) => flat(value),
        Found::Each(all) => list(all.iter().map(flatten)),
    }
}

/// The values there are as one list, up to [`MAX_ITEMS`] of each.
fn list(values: impl Iterator<Item = Option<Value>>) -> Option<Value> {
    let mut list = Vec::new();
    for value in values.take(MAX_ITEMS) {
        match value {
            Some(Value::List(inner)) => list.extend(inner.into_iter().take(MAX_ITEMS)),
            Some(value) => list.push(value),
            None => {}
        }
    }
    (!list.is_empty()).then(|| Value::from(list))
}

/// A scalar or a list of scalars; objects become their JSON text.
fn flat(value: &Json<'_>) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number
            .as_i64()
            .map(Value::Int)
            .or_else(|| number.as_f64().map(Value::Float))?,
        Json::String(text) if text.is_empty() => return None,
        Json::String(text) => Value::from(text.as_ref()),
        Json::Array(items) => list(items.iter().map(flat))?,
        Json::Object(object) if object.is_empty() => return None,
        Json::Object(_) => Value::from(value.to_string()),
    })
}

/// What a field can hold: addresses are addresses, ports and sizes numbers, ids texts.
pub(crate) fn fit(name: &str, value: Value) -> Option<Value> {
    let last = name.parts(b'.').next_back().unwrap_or(name);
    match last {
        "ip" if name != "related.ip" => match value {
            Value::Str(text) => {
                let plain = text
                    .strip_prefix("::ffff:")
                    .filter(|v4| v4.has_byte(b'.'))
                    .unwrap_or(&text);
                let host = crate::derive::split_port(plain).0;
                [plain, host].into_iter().find(|text| is_ip(text)).map(Value::from)
            }
            other @ Value::List(_) => Convert::Ips.apply(other),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => None,
        },
        "port" | "bytes" | "packets" | "pid" | "status_code" | "ttl" | "duration" | "exit_code" => {
            integer(&value).or(match value {
                list @ Value::List(_) => Some(list),
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => None,
            })
        }
        "id" | "code" if !matches!(value, Value::List(_)) && name != "event.duration" => {
            Some(Value::from(value.to_text().into_owned()))
        }
        "address" | "domain" => {
            let text = value.to_text();
            crate::aliases::is_known(&text).then(|| value.clone())
        }
        _ => Some(value),
    }
    .filter(|value| !matches!(value, Value::Str(text) if text.is_empty()))
}

/// Sets a field; those that every event gathers are added to.
pub(crate) fn place(draft: &mut Draft, name: &FieldName, value: Value) {
    let gathers = matches!(
        name.as_ref(),
        ecs::RELATED_IP | ecs::RELATED_USER | "related.hosts" | "related.hash" | ecs::TAGS
    );
    if !gathers {
        draft.put(name, value);
        return;
    }
    let Some(name) = name.as_static() else { return };
    match value {
        Value::List(items) => {
            for item in items {
                draft.add_to_list(name, &item.to_text());
            }
        }
        one @ (Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_)) => {
            let text: Cow<'_, str> = one.to_text();
            draft.add_to_list(name, &text);
        }
    }
}
