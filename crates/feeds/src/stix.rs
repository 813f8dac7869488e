//! STIX 2.1 (and 2.0) objects: indicators, and the markings they refer to.
//!
//! A bundle may hold anything; only `indicator` objects are indicators. Observables (`ipv4-addr`, `file`, …) only say what
//! was seen, so they are skipped.

use std::collections::HashMap;

use model::Timestamp;
use model::indicator::Tlp;
use serde::Deserialize;
use serde_json::Value;

use crate::elements::{Element, Elements};
use crate::entry::{Class, Entry, Item, shortened};
use crate::{marking, pattern, times};

/// Most marking definitions that are kept for later objects.
const MAX_MARKINGS: usize = 1000;
/// Most references, labels and markings of an object that are looked at.
const MAX_LISTED: usize = 64;

/// Reads a bundle piece by piece.
#[derive(Debug)]
pub struct Bundle {
    elements: Elements,
    markings: HashMap<String, Tlp>,
    number: u64,
}

impl Default for Bundle {
    fn default() -> Self {
        Self {
            elements: Elements::new("objects"),
            markings: HashMap::new(),
            number: 0,
        }
    }
}

/// The fields of an object that matter here. Lists and times are read by hand, so that one wrong field does not cost
/// the object.
#[derive(Debug, Deserialize)]
struct Object {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    pattern: Value,
    #[serde(default)]
    pattern_type: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    confidence: Value,
    #[serde(default)]
    valid_from: Value,
    #[serde(default)]
    valid_until: Value,
    #[serde(default)]
    revoked: Value,
    #[serde(default)]
    labels: Value,
    #[serde(default)]
    indicator_types: Value,
    #[serde(default)]
    object_marking_refs: Value,
    #[serde(default)]
    external_references: Value,
    #[serde(default)]
    definition_type: Value,
    #[serde(default)]
    definition: Value,
}

impl Bundle {
    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8], items: &mut Vec<Item>) {
        let Self {
            elements,
            markings,
            number,
        } = self;
        elements.push(bytes, &mut |element| {
            *number += 1;
            let place = format!("object {number}");
            match element {
                Element::Whole(bytes) => read(&place, bytes, markings, items),
                Element::TooLarge => {
                    let reason = "expected at most 4 MiB and 100 levels";
                    items.push(Item::refused(place, "object", Class::TooLarge, reason));
                }
            }
        });
    }

    /// Ends the bundle.
    pub fn finish(&mut self, items: &mut Vec<Item>) {
        if !self.elements.is_complete() {
            let reason = "expected a whole JSON object";
            items.push(Item::refused("end", "bundle", Class::Malformed, reason));
        } else if !self.elements.found_list() && !self.is_empty_bundle() {
            let reason = "expected a list objects";
            items.push(Item::refused("end", "bundle", Class::Malformed, reason));
        }
    }

    /// The outermost object without its objects, when it is complete and not too large.
    pub(crate) fn rest(&self) -> Option<&[u8]> {
        if self.elements.is_complete() {
            self.elements.rest()
        } else {
            None
        }
    }

    /// A bundle of nothing may leave its list out.
    fn is_empty_bundle(&self) -> bool {
        self.elements
            .rest()
            .and_then(|rest| serde_json::from_slice::<Value>(rest).ok())
            .is_some_and(|bundle| bundle.get("type").and_then(Value::as_str) == Some("bundle"))
    }
}

fn read(place: &str, bytes: &[u8], markings: &mut HashMap<String, Tlp>, items: &mut Vec<Item>) {
    let object: Object = match serde_json::from_slice(bytes) {
        Ok(object) => object,
        Err(error) => {
            let reason = format!("expected a STIX object: {error}");
            items.push(Item::refused(place, "object", Class::Malformed, reason));
            return;
        }
    };
    match object.kind.as_str() {
        "indicator" => indicator(place, &object, markings, items),
        "marking-definition" => {
            if let Some(tlp) = defined(&object)
                && markings.len() < MAX_MARKINGS
            {
                markings.insert(object.id, tlp);
            }
            items.push(Item::Skipped("marking-definition"));
        }
        "" => items.push(Item::refused(
            place,
            "type",
            Class::Malformed,
            "expected the type of the object",
        )),
        _ => items.push(Item::Skipped("object that is no indicator")),
    }
}

/// The TLP label that a marking definition stands for.
fn defined(object: &Object) -> Option<Tlp> {
    if object.definition_type.as_str() == Some("tlp") {
        let label = object.definition.get("tlp").and_then(Value::as_str)?;
        return label.parse().ok();
    }
    object.name.as_str().and_then(marking::from_tag)
}

fn indicator(place: &str, object: &Object, markings: &HashMap<String, Tlp>, items: &mut Vec<Item>) {
    let place = if object.id.is_empty() {
        place.to_owned()
    } else {
        shortened(&object.id, 100)
    };
    let mut refuse = |field, class, reason: String| items.push(Item::refused(place.clone(), field, class, reason));
    match object.pattern_type.as_str() {
        None | Some("stix") => {}
        Some(other) => {
            let reason = format!("expected stix, got {}", crate::entry::shown(other));
            return refuse("pattern_type", Class::Unsupported, reason);
        }
    }
    let Some(text) = object.pattern.as_str() else {
        return refuse("pattern", Class::Malformed, "expected a STIX pattern".to_owned());
    };
    let values = match pattern::values(text) {
        Ok(values) => values,
        Err(error @ pattern::InvalidPattern::Syntax { .. }) => {
            return refuse("pattern", Class::Malformed, error.to_string());
        }
        Err(error @ pattern::InvalidPattern::TooLarge(_)) => {
            return refuse("pattern", Class::TooLarge, error.to_string());
        }
    };
    for reason in values.unsupported {
        refuse("pattern", Class::Unsupported, reason);
    }
    let is_revoked = object.revoked.as_bool().unwrap_or_default();
    let tlp = texts(&object.object_marking_refs)
        .map(|id| marking::from_definition(id).or_else(|| markings.get(id).copied()))
        .fold(None, marking::stricter);
    for value in values.values {
        let mut entry = match Entry::new(value.kind, &value.value) {
            Ok(entry) => entry,
            Err((class, reason)) => {
                items.push(Item::refused(place.clone(), "pattern", class, reason));
                continue;
            }
        };
        fill(&mut entry, object, tlp);
        items.push(if is_revoked {
            Item::Withdrawn(entry)
        } else {
            Item::Entry(entry)
        });
    }
}

fn fill(entry: &mut Entry, object: &Object, tlp: Option<Tlp>) {
    entry.tlp = tlp;
    entry.origin = shortened(&object.id, 100);
    entry.confidence = object
        .confidence
        .as_u64()
        .map(|confidence| u8::try_from(confidence.min(100)).unwrap_or(100));
    entry.valid_from = time(&object.valid_from);
    entry.valid_until = time(&object.valid_until);
    for list in [&object.indicator_types, &object.labels] {
        for tag in texts(list) {
            match marking::from_tag(tag) {
                Some(tlp) => entry.tlp = marking::stricter(entry.tlp, Some(tlp)),
                None => entry.add_tag(tag),
            }
        }
    }
    let name = object.name.as_str().unwrap_or_default();
    let description = object.description.as_str().unwrap_or_default();
    let note = match (name, description) {
        (name, "") => name.to_owned(),
        ("", description) => description.to_owned(),
        (name, description) => format!("{name}: {description}"),
    };
    entry.set_note(&note);
    let url = object
        .external_references
        .as_array()
        .into_iter()
        .flatten()
        .take(MAX_LISTED)
        .find_map(|reference| reference.get("url")?.as_str());
    entry.set_reference(url.unwrap_or(&object.id));
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(times::parse)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .take(MAX_LISTED)
        .filter_map(Value::as_str)
}
