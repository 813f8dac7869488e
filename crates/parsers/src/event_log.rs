//! Windows events as tools that read `.evtx` files write them: `{"Event": {"System": {…}, "EventData": {…}}}`. Rules and
//! shippers know their members without that wrapping.

use std::borrow::Cow;

use serde_json::Value;

use crate::tree::{Json, Map};

/// What holds a node's XML attributes, by the tool that wrote it.
const ATTRIBUTES: [&str; 4] = ["#attributes", "@attributes", "_attributes", "$"];
/// What holds a node's own text beside attributes.
const TEXTS: [&str; 4] = ["#text", "_text", "_", "$t"];
/// What a node's name ends with where its attributes stand beside it.
const BESIDE: &str = "_attributes";

/// The members of an event without their wrapping: those of `System`, attributes as `Provider_Name`, then those of
/// `EventData` or `UserData`. `None` when it is no such event.
#[must_use]
pub fn flatten(object: &serde_json::Map<String, Value>) -> Option<serde_json::Map<String, Value>> {
    flat(&Map::of(object)).map(|flat| flat.to_value())
}

/// What [`flatten`] gives, with the texts of the object.
pub(crate) fn flat<'a>(object: &'a Map<'_>) -> Option<Map<'a>> {
    let event = object.get("Event")?.as_object()?;
    let mut flat = flat_event(event, object.len())?;
    for (name, value) in object.iter().filter(|(name, _)| *name != "Event") {
        add(&mut flat, name, value);
    }
    Some(flat)
}

/// The same of an event without the outermost member.
pub(crate) fn flat_bare<'a>(object: &'a Map<'_>) -> Option<Map<'a>> {
    if object.contains_key("winlog") || object.contains_key("win") {
        return None;
    }
    flat_event(object, 0)
}

fn flat_event<'a>(event: &'a Map<'_>, more: usize) -> Option<Map<'a>> {
    let system = event.get("System")?.as_object()?;
    let members = |name: &str| event.get(name).and_then(Json::as_object).map_or(0, Map::len);
    // Attributes of the system's nodes come on top.
    let mut flat = Map::with_capacity(2 * system.len() + members("EventData") + more + 8);
    for (name, value) in system.iter() {
        add_system(&mut flat, name, value);
    }
    if let Some(Json::Object(data)) = event.get("EventData") {
        add_data(&mut flat, data);
    }
    if let Some(Json::Object(user)) = event.get("UserData") {
        // One level more, named after the provider's template.
        for (_, value) in user.iter().filter(|(name, _)| !is_attributes(name)) {
            if let Json::Object(data) = value {
                add_data(&mut flat, data);
            }
        }
    }
    Some(flat)
}

fn add_system<'a>(flat: &mut Map<'a>, name: &'a str, value: &'a Json<'_>) {
    let Json::Object(node) = value else {
        add(flat, name, value);
        return;
    };
    if let Some(text) = own_text(node) {
        add(flat, name, text);
    }
    let (name, beside) = match name.strip_suffix(BESIDE) {
        Some(name) => (name, true),
        None => (name, false),
    };
    // What a node of the system has beside its text are attributes, however the tool marks them.
    let plain = node.iter().filter(|(name, value)| {
        (beside || !name.starts_with(['#', '@', '_', '$'])) && !value.is_object() && value.as_array().is_none()
    });
    for (attribute, value) in attributes(node).chain(plain) {
        // The one attribute of this node is what it is about.
        if name == "TimeCreated" && attribute == "SystemTime" {
            add(flat, name, value);
        } else {
            add(flat, format!("{name}_{attribute}"), value);
        }
    }
}

fn add_data<'a>(flat: &mut Map<'a>, data: &'a Map<'_>) {
    for (name, value) in data.iter() {
        if is_attributes(name) || name.starts_with('@') && !value.is_object() {
            continue;
        }
        match value {
            Json::Array(items) if name == "Data" && items.iter().all(is_named) => {
                for (name, value) in items.iter().filter_map(named) {
                    add(flat, name, value);
                }
            }
            Json::Object(_) if name == "Data" && is_named(value) => {
                if let Some((name, value)) = named(value) {
                    add(flat, name, value);
                }
            }
            Json::Object(node) => add(flat, name, own_text(node).unwrap_or(value)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => add(flat, name, value),
        }
    }
}

fn is_named(item: &Json<'_>) -> bool {
    named(item).is_some()
}

/// `{"#attributes": {"Name": "Image"}, "#text": "…"}`, `{"@Name": "Image", "#text": "…"}` or `{"Name": "Image", "Value": "…"}`.
fn named<'b, 'a>(item: &'b Json<'a>) -> Option<(&'b str, &'b Json<'a>)> {
    let node = item.as_object()?;
    let (_, name) = attributes(node)
        .find(|(name, _)| *name == "Name")
        .or_else(|| Some(("Name", node.get("Name")?)))?;
    let text = own_text(node).or_else(|| node.get("Value")).unwrap_or(&Json::Null);
    Some((name.as_str()?, text))
}

fn is_attributes(name: &str) -> bool {
    ATTRIBUTES.contains(&name) || name.ends_with(BESIDE)
}

fn attributes<'b, 'a>(node: &'b Map<'a>) -> impl Iterator<Item = (&'b str, &'b Json<'a>)> {
    let marked = node
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix('@')?, value)))
        .filter(|(_, value)| !value.is_object());
    ATTRIBUTES
        .iter()
        .filter_map(|name| node.get(name)?.as_object())
        .flat_map(Map::iter)
        .chain(marked)
}

fn own_text<'b, 'a>(node: &'b Map<'a>) -> Option<&'b Json<'a>> {
    TEXTS.iter().find_map(|name| node.get(name))
}

/// What `System` says stands over what the event's data calls by the same name.
fn add<'a>(flat: &mut Map<'a>, name: impl Into<Cow<'a, str>>, value: &'a Json<'_>) {
    if !value.is_null() {
        flat.insert_default(name, || value.borrowed());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(value: &Value) -> Value {
        Value::Object(flatten(value.as_object().unwrap()).unwrap())
    }

    #[test]
    fn system_and_data_stand_side_by_side() {
        let event = json!({"Event": {
            "#attributes": {"xmlns": "x"},
            "System": {
                "Provider": {"#attributes": {"Name": "Sysmon", "Guid": "G"}},
                "EventID": {"#attributes": {"Qualifiers": 0}, "#text": 1},
                "TimeCreated": {"#attributes": {"SystemTime": "2026-01-31T12:00:00Z"}},
                "Correlation": null,
                "Channel": "Security",
            },
            "EventData": {"Image": "a.exe", "Channel": "forged", "Hashes": null, "Count": 5},
        }});
        assert_eq!(
            flat(&event),
            json!({
                "Provider_Name": "Sysmon", "Provider_Guid": "G", "EventID": 1, "EventID_Qualifiers": 0,
                "TimeCreated": "2026-01-31T12:00:00Z", "Channel": "Security", "Image": "a.exe", "Count": 5,
            })
        );
    }

    #[test]
    fn named_data_and_user_data_are_taken_apart() {
        let event = json!({"Event": {
            "System": {"EventID": 1},
            "EventData": {"Data": [{"@attributes": {"Name": "Image"}, "#text": "b.exe"}]},
            "UserData": {"LogFileCleared": {"#attributes": {"xmlns": "y"}, "SubjectUserName": "ana"}},
        }});
        assert_eq!(
            flat(&event),
            json!({"EventID": 1, "Image": "b.exe", "SubjectUserName": "ana"})
        );
        let unnamed = json!({"Event": {"System": {"EventID": 1}, "EventData": {"Data": ["a", "b"]}}});
        assert_eq!(flat(&unnamed), json!({"EventID": 1, "Data": ["a", "b"]}));
        assert!(flatten(json!({"Event": "x"}).as_object().unwrap()).is_none());
    }
}
