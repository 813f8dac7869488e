//! `<Event>` as Windows and its exports write it, read into the same form the JSON of `.evtx` readers has.
//!
//! Only what such an event consists of: elements, attributes, text and the five entities. No external entity, no DTD.

use std::borrow::Cow;

use crate::scan::Marks as _;
use crate::tree::{Json, Map};

/// Deepest nesting of elements.
const MAX_DEPTH: usize = 16;
/// Most elements and attributes of one event.
const MAX_NODES: usize = 2048;

/// The event in a text, `None` when it is no whole `<Event>`.
pub(crate) fn parse(text: &str) -> Option<Map<'_>> {
    let text = text.trim();
    let text = match text.strip_prefix("<?xml") {
        Some(rest) => rest.split_once("?>")?.1.trim_start(),
        None => text,
    };
    if !text.starts_with("<Event>") && !text.starts_with("<Event ") {
        return None;
    }
    let mut reader = Reader { rest: text, nodes: 0 };
    let (name, value) = reader.element(0)?;
    let mut object = Map::new();
    object.insert(name, value);
    Some(object)
}

struct Reader<'a> {
    rest: &'a str,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// Reads an element from its `<`.
    fn element(&mut self, depth: usize) -> Option<(&'a str, Json<'a>)> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return None;
        }
        let rest = self.rest.strip_prefix('<')?;
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))?;
        let (name, rest) = rest.split_at(end);
        // A prefix says nothing here.
        let name = name.rsplit(':').next().unwrap_or(name);
        self.rest = rest;
        let (attributes, closed) = self.attributes()?;
        let mut node = Map::new();
        if !attributes.is_empty() {
            node.insert("#attributes", Json::Object(attributes));
        }
        if closed {
            return Some((
                name,
                if node.is_empty() {
                    Json::Null
                } else {
                    Json::Object(node)
                },
            ));
        }
        let mut text = Cow::Borrowed("");
        loop {
            let at = self.rest.place_of(b'<')?;
            let (before, rest) = self.rest.split_at(at);
            append(&mut text, unescape(before));
            self.rest = rest;
            if let Some(data) = rest.strip_prefix("<![CDATA[") {
                let (data, rest) = data.split_once("]]>")?;
                append(&mut text, Cow::Borrowed(data));
                self.rest = rest;
            } else if let Some(comment) = rest.strip_prefix("<!--") {
                self.rest = comment.split_once("-->")?.1;
            } else if let Some(close) = rest.strip_prefix("</") {
                self.rest = close.cut_at(b'>')?.1;
                break;
            } else {
                let (name, value) = self.element(depth + 1)?;
                insert(&mut node, name, value);
            }
        }
        let has_elements = node.iter().any(|(key, _)| key != "#attributes");
        if node.is_empty() {
            return Some((name, Json::String(text)));
        }
        if !has_elements {
            node.insert("#text", Json::String(text));
        }
        Some((name, Json::Object(node)))
    }

    /// Reads attributes up to `>`, and whether it was `/>`.
    fn attributes(&mut self) -> Option<(Map<'a>, bool)> {
        let mut attributes = Map::new();
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                return Some((attributes, true));
            }
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Some((attributes, false));
            }
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return None;
            }
            let (name, rest) = self.rest.cut_at(b'=')?;
            let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, rest) = rest.get(1..)?.split_once(quote)?;
            attributes.insert(name.trim(), Json::String(unescape(value)));
            self.rest = rest;
        }
    }
}

/// Elements of one name become a list.
fn insert<'a>(node: &mut Map<'a>, name: &'a str, value: Json<'a>) {
    match node.get_mut(name) {
        None => {
            node.insert(name, value);
        }
        Some(Json::Array(items)) => items.push(value),
        Some(single) => {
            let first = std::mem::take(single);
            *single = Json::Array(vec![first, value]);
        }
    }
}

/// Adds to a text, which is taken as it is while there is none yet.
fn append<'a>(text: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if text.is_empty() {
        *text = more;
    } else if !more.is_empty() {
        text.to_mut().push_str(&more);
    }
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.has_byte(b'&') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.place_of(b'&') {
        let (before, after) = rest.split_at(at);
        plain.push_str(before);
        let entity = after
            .get(1..)
            .and_then(|after| after.cut_at(b';'))
            .filter(|(name, _)| name.len() <= 10);
        let Some((name, tail)) = entity else {
            plain.push('&');
            rest = after.get(1..).unwrap_or("");
            continue;
        };
        let c = match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => name
                .strip_prefix("#x")
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .or_else(|| name.strip_prefix('#')?.parse().ok())
                .and_then(char::from_u32),
        };
        match c {
            Some(c) => plain.push(c),
            None => {
                plain.push('&');
                plain.push_str(name);
                plain.push(';');
            }
        }
        rest = tail;
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_attributes_and_texts_are_read() {
        let text = "<Event xmlns='http://x'><System><Provider Name='P'/><EventID Qualifiers=\"0\">7</EventID></System>\
                    <EventData><Data Name='a'>x &amp; &lt;y&gt; &#65;</Data><Data Name='b'/></EventData></Event>";
        assert_eq!(
            serde_json::Value::Object(parse(text).unwrap().to_value()),
            json!({"Event": {
                "#attributes": {"xmlns": "http://x"},
                "System": {
                    "Provider": {"#attributes": {"Name": "P"}},
                    "EventID": {"#attributes": {"Qualifiers": "0"}, "#text": "7"},
                },
                "EventData": {"Data": [
                    {"#attributes": {"Name": "a"}, "#text": "x & <y> A"},
                    {"#attributes": {"Name": "b"}},
                ]},
            }})
        );
        for broken in [
            "<Event>",
            "<Event><a></Event>",
            "<Event a=>",
            "<Events></Events>",
            "",
            "<Event",
        ] {
            let nested = "<Event>".repeat(1000);
            assert!(parse(broken).is_none_or(|event| !event.is_empty()));
            assert!(parse(&nested).is_none());
        }
    }
}
