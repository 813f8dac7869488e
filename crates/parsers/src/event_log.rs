//! Windows events as tools that read `.evtx` files write them: `{"Event": {"System": {…}, "EventData": {…}}}`. Rules and
//! shippers know their members without that wrapping.

use serde_json::{Map, Value as Json};

/// What holds a node's XML attributes, by the tool that wrote it.
const ATTRIBUTES: [&str; 3] = ["#attributes", "@attributes", "_attributes"];
/// What holds a node's own text beside attributes.
const TEXTS: [&str; 2] = ["#text", "_text"];

/// The members of an event without their wrapping: those of `System`, attributes as `Provider_Name`, then those of
/// `EventData` or `UserData`. `None` when it is no such event.
#[must_use]
pub fn flatten(object: &Map<String, Json>) -> Option<Map<String, Json>> {
    let event = object.get("Event")?.as_object()?;
    let system = event.get("System")?.as_object()?;
    let members = |name: &str| event.get(name).and_then(Json::as_object).map_or(0, Map::len);
    // Attributes of the system's nodes come on top; made large enough, names are not hashed again and again.
    let mut flat = Map::with_capacity(2 * system.len() + members("EventData") + object.len() + 8);
    for (name, value) in system {
        add_system(&mut flat, name, value);
    }
    if let Some(Json::Object(data)) = event.get("EventData") {
        add_data(&mut flat, data);
    }
    if let Some(Json::Object(user)) = event.get("UserData") {
        // One level more, named after the provider's template.
        for value in user.values() {
            if let Json::Object(data) = value {
                add_data(&mut flat, data);
            }
        }
    }
    for (name, value) in object.iter().filter(|(name, _)| *name != "Event") {
        add(&mut flat, name, value);
    }
    Some(flat)
}

fn add_system(flat: &mut Map<String, Json>, name: &str, value: &Json) {
    let Json::Object(node) = value else {
        add(flat, name, value);
        return;
    };
    if let Some(text) = own_text(node) {
        add(flat, name, text);
    }
    for (attribute, value) in attributes(node) {
        // The one attribute of this node is what it is about.
        if name == "TimeCreated" && attribute == "SystemTime" {
            add(flat, name, value);
        } else {
            add(flat, &format!("{name}_{attribute}"), value);
        }
    }
}

fn add_data(flat: &mut Map<String, Json>, data: &Map<String, Json>) {
    for (name, value) in data {
        if ATTRIBUTES.contains(&name.as_str()) {
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

fn is_named(item: &Json) -> bool {
    named(item).is_some()
}

/// `{"#attributes": {"Name": "Image"}, "#text": "…"}`.
fn named(item: &Json) -> Option<(&str, &Json)> {
    let node = item.as_object()?;
    let (_, name) = attributes(node).find(|(name, _)| *name == "Name")?;
    Some((name.as_str()?, own_text(node).unwrap_or(&Json::Null)))
}

fn attributes(node: &Map<String, Json>) -> impl Iterator<Item = (&str, &Json)> {
    ATTRIBUTES
        .iter()
        .filter_map(|name| node.get(*name)?.as_object())
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
}

fn own_text(node: &Map<String, Json>) -> Option<&Json> {
    TEXTS.iter().find_map(|name| node.get(*name))
}

/// What `System` says stands over what the event's data calls by the same name.
fn add(flat: &mut Map<String, Json>, name: &str, value: &Json) {
    if !value.is_null() {
        flat.entry(name).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(value: &Json) -> Json {
        Json::Object(flatten(value.as_object().unwrap()).unwrap())
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
