//! One attribute: a type, a value, and whether it is for detection.

use model::indicator::IndicatorType;
use serde::Deserialize;
use serde_json::Value;

use crate::entry::{Class, Entry, Item, shown};
use crate::list;

/// Most tags that are looked at.
const MAX_TAGS: usize = 200;

#[derive(Debug, Deserialize)]
pub(super) struct Attribute {
    #[serde(rename = "type", default)]
    kind: Value,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    uuid: Value,
    #[serde(default)]
    to_ids: Value,
    #[serde(default)]
    deleted: Value,
    #[serde(default)]
    pub(super) comment: Value,
    #[serde(rename = "Tag", default)]
    pub(super) tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    #[serde(default)]
    name: Value,
}

pub(super) fn tag_names(tags: &[Tag]) -> impl Iterator<Item = &str> {
    tags.iter().take(MAX_TAGS).filter_map(|tag| tag.name.as_str())
}

/// MISP writes truth as `true`, `1` and `"1"`.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => text == "1" || text.eq_ignore_ascii_case("true"),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// How the parts of a composite value are indicators.
enum Parts {
    /// The whole value.
    Whole(IndicatorType),
    /// The part before `|`; after it is a port.
    First(IndicatorType),
    /// The part after `|`; before it is the name of a file.
    Second(IndicatorType),
    /// Both parts.
    Both(IndicatorType, IndicatorType),
}

fn parts(kind: &str) -> Option<Parts> {
    use IndicatorType::{Domain, Email, Ip, Md5, Sha1, Sha256, Url};
    Some(match kind {
        "ip-src" | "ip-dst" => Parts::Whole(Ip),
        "ip-src|port" | "ip-dst|port" => Parts::First(Ip),
        "domain" | "hostname" => Parts::Whole(Domain),
        "hostname|port" => Parts::First(Domain),
        "domain|ip" => Parts::Both(Domain, Ip),
        "url" | "link" => Parts::Whole(Url),
        "md5" => Parts::Whole(Md5),
        "sha1" => Parts::Whole(Sha1),
        "sha256" => Parts::Whole(Sha256),
        "filename|md5" | "malware-sample" => Parts::Second(Md5),
        "filename|sha1" => Parts::Second(Sha1),
        "filename|sha256" => Parts::Second(Sha256),
        "email" | "email-src" | "email-dst" | "email-reply-to" => Parts::Whole(Email),
        _ => return None,
    })
}

/// Adds the attribute's indicators, each finished by `describe`.
pub(super) fn read(attribute: &Attribute, items: &mut Vec<Item>, describe: &mut dyn FnMut(&mut Entry)) {
    if is_true(&attribute.deleted) {
        items.push(Item::Skipped("deleted attribute"));
        return;
    }
    if !is_true(&attribute.to_ids) {
        items.push(Item::Skipped("attribute that is not for detection"));
        return;
    }
    let place = match attribute.uuid.as_str() {
        Some(uuid) => format!("attribute {}", crate::entry::shortened(uuid, 40)),
        None => "attribute".to_owned(),
    };
    let kind = attribute.kind.as_str().unwrap_or_default();
    let Some(parts) = parts(kind) else {
        let reason = format!("expected a type that is matched, got {}", shown(kind));
        items.push(Item::refused(place, "type", Class::Unsupported, reason));
        return;
    };
    let Some(value) = attribute.value.as_str() else {
        items.push(Item::refused(place, "value", Class::Malformed, "expected a text"));
        return;
    };
    let halves = value
        .split_once('|')
        .map(|(first, second)| (first.trim(), second.trim()));
    let values = match (parts, halves) {
        (Parts::Whole(kind), _) => vec![(kind, value)],
        (Parts::First(kind), Some((first, _))) => vec![(kind, first)],
        // Some publishers write a colon.
        (Parts::First(kind), None) => vec![(kind, list::without_port(value))],
        (Parts::Second(kind), Some((_, second))) => vec![(kind, second)],
        (Parts::Both(one, other), Some((first, second))) => vec![(one, first), (other, second)],
        (Parts::Second(_) | Parts::Both(..), None) => {
            let reason = format!("expected two parts with | between them, got {}", shown(value));
            items.push(Item::refused(place, "value", Class::Malformed, reason));
            return;
        }
    };
    for (kind, value) in values {
        match Entry::new(kind, value) {
            Ok(mut entry) => {
                describe(&mut entry);
                items.push(Item::Entry(entry));
            }
            Err((class, reason)) => items.push(Item::refused(place.clone(), "value", class, reason)),
        }
    }
}
