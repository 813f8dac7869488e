//! `<uuid>.json`: an event with its attributes.

use serde::Deserialize;
use serde_json::Value;

use super::InvalidFile;
use super::attribute::{Attribute, Tag, read, tag_names};
use crate::entry::{Class, Entry, Item, shortened};
use crate::marking;

/// Longest event in bytes.
pub const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;
/// Most attributes of an event that are read.
pub const MAX_ATTRIBUTES: usize = 500_000;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Event")]
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    uuid: Value,
    #[serde(default)]
    info: Value,
    #[serde(rename = "Tag", default)]
    tags: Vec<Tag>,
    #[serde(rename = "Attribute", default)]
    attributes: Vec<Attribute>,
    #[serde(rename = "Object", default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    deleted: Value,
    #[serde(rename = "Attribute", default)]
    attributes: Vec<Attribute>,
}

/// The indicators of an event: attributes that are for detection (`to_ids`) and of a type that is matched.
///
/// # Errors
/// When it is no MISP event. A wrong attribute costs only itself.
pub fn event(body: &[u8], items: &mut Vec<Item>) -> Result<(), InvalidFile> {
    let file: File = serde_json::from_slice(body).map_err(|source| InvalidFile {
        what: "event",
        expected: "a MISP event",
        source: Some(source),
    })?;
    let event = file.event;
    let info = event.info.as_str().unwrap_or_default();
    let uuid = event.uuid.as_str().unwrap_or_default();
    let mut left = MAX_ATTRIBUTES;
    let mut each = |attribute: &Attribute, object: &str| {
        if left == 0 {
            return;
        }
        left -= 1;
        if left == 0 {
            items.push(Item::refused(
                uuid,
                "Attribute",
                Class::TooLarge,
                "expected at most 500,000 attributes",
            ));
            return;
        }
        read(attribute, items, &mut |entry| {
            describe(entry, info, uuid, object, attribute, &event.tags)
        });
    };
    for attribute in &event.attributes {
        each(attribute, "");
    }
    for object in &event.objects {
        if object.deleted.as_bool().unwrap_or_default() {
            continue;
        }
        for attribute in &object.attributes {
            each(attribute, object.name.as_str().unwrap_or_default());
        }
    }
    Ok(())
}

fn describe(entry: &mut Entry, info: &str, uuid: &str, object: &str, attribute: &Attribute, event_tags: &[Tag]) {
    // An attribute's own marking says more than its event's.
    let of = |tags: &[Tag]| tag_names(tags).map(marking::from_tag).fold(None, marking::stricter);
    entry.tlp = of(&attribute.tags).or_else(|| of(event_tags));
    for name in tag_names(&attribute.tags).chain(tag_names(event_tags)) {
        if let Some(confidence) = confidence(name) {
            entry.confidence.get_or_insert(confidence);
        } else if marking::from_tag(name).is_none() {
            entry.add_tag(name);
        }
    }
    let comment = attribute.comment.as_str().unwrap_or_default().trim();
    let mut note = info.trim().to_owned();
    for part in [object, comment] {
        if !part.is_empty() {
            note = if note.is_empty() {
                part.to_owned()
            } else {
                format!("{note}: {part}")
            };
        }
    }
    entry.set_note(&note);
    entry.origin = shortened(uuid, 100);
    if !uuid.is_empty() {
        entry.set_reference(&format!("misp event {uuid}"));
    }
}

/// MISP's own taxonomy of confidence.
fn confidence(tag: &str) -> Option<u8> {
    let level = tag.strip_prefix("misp:confidence-level=")?.trim_matches('"');
    match level {
        "completely-confident" => Some(100),
        "usually-confident" => Some(75),
        "fairly-confident" => Some(50),
        "rarely-confident" => Some(25),
        "unconfident" => Some(0),
        _ => None,
    }
}
