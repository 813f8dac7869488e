//! YAML text as a tree of nodes that know their line, within fixed budgets.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy, Options, Spanned};

use crate::error::Fault;

/// Longest document in bytes.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Deepest nesting of maps and lists.
const MAX_DEPTH: usize = 24;
/// Most scalars, maps and lists in one document.
const MAX_NODES: usize = 100_000;

/// A YAML node and where it starts: line and column, counted from 1; 0 when unknown.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    /// In characters.
    pub(crate) column: usize,
    /// Where the key of a map's entry starts; zeros for other nodes.
    pub(crate) key: (usize, usize),
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Name of the node's kind, for error messages.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Str(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    pub(crate) fn as_map(&self) -> Option<&[(String, Self)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::List(_) => None,
        }
    }

    pub(crate) fn as_list(&self) -> Option<&[Self]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            Kind::Null | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(_) | Kind::Map(_) => None,
        }
    }

    /// The text of a scalar; numbers and booleans as a person writes them.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Str(text) => Some(text.clone()),
            Kind::Int(number) => Some(number.to_string()),
            Kind::Float(number) => Some(number.to_string()),
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Null | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// The same as JSON. Numbers JSON cannot hold become text.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::from(*value),
            Kind::Int(number) => Json::from(*number),
            Kind::Float(number) => {
                serde_json::Number::from_f64(*number).map_or_else(|| Json::from(number.to_string()), Json::Number)
            }
            Kind::Str(text) => Json::from(text.as_str()),
            Kind::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|(name, node)| (name.clone(), node.to_json()))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self {
            line: usize::try_from(spanned.referenced.line()).unwrap_or_default(),
            column: usize::try_from(spanned.referenced.column()).unwrap_or_default(),
            key: (0, 0),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Kind, E> {
        // Beyond i64, the digits matter more than the arithmetic.
        Ok(i64::try_from(value).map_or_else(|_| Kind::Str(value.to_string()), Kind::Int))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Kind, E> {
        Ok(i64::try_from(value).map_or_else(|_| Kind::Str(value.to_string()), Kind::Int))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Kind, E> {
        Ok(i64::try_from(value).map_or_else(|_| Kind::Str(value.to_string()), Kind::Int))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Str(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Node>()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, mut node)) = access.next_entry::<Spanned<String>, Node>()? {
            let place = |part: u64| usize::try_from(part).unwrap_or_default();
            node.key = (place(key.referenced.line()), place(key.referenced.column()));
            entries.push((key.value, node));
        }
        Ok(Kind::Map(entries))
    }
}

/// One document of a stream and how many lines of the file come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    pub(crate) text: &'a str,
    pub(crate) lines_before: usize,
}

/// Cuts a stream at its `---` and `...` lines; documents without content are left out. A marker at the start of a
/// line cannot be part of a scalar in YAML, so no parsing is needed, and one bad document leaves the others alone.
pub(crate) fn split_documents(stream: &str) -> Vec<Document<'_>> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    for (line_number, line) in stream.split_inclusive('\n').enumerate() {
        let marker = line.strip_prefix("---").or_else(|| line.strip_prefix("..."));
        if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            documents.push(Document {
                text: &stream[start..offset],
                lines_before: start_line,
            });
            start = offset + 3;
            start_line = line_number;
        }
        offset += line.len();
    }
    documents.push(Document {
        text: &stream[start..],
        lines_before: start_line,
    });
    documents.retain(|document| {
        document.text.lines().any(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with(['#', '%'])
        })
    });
    documents
}

/// Parses one document.
pub(crate) fn parse(document: &str) -> Result<Node, Fault> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(Fault::new(
            1,
            "document",
            format!("expected at most {MAX_DOCUMENT_BYTES} bytes, got {}", document.len()),
        ));
    }
    serde_saphyr::from_str_with_options::<Node>(document, options()).map_err(|error| {
        let location = error.location();
        let place = |part: Option<u64>| part.and_then(|part| usize::try_from(part).ok()).unwrap_or_default();
        let reason = error.without_snippet().to_string();
        Fault {
            column: place(location.map(|location| location.column())),
            ..Fault::new(
                place(location.map(|location| location.line())),
                "document",
                format!("expected valid YAML: {reason}"),
            )
        }
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 3,
            max_documents: 1,
            max_anchors: 100,
            max_aliases: 1_000,
            max_recorded_anchor_events: MAX_NODES,
            max_recorded_anchor_bytes: MAX_DOCUMENT_BYTES,
            max_total_scalar_bytes: 2 * MAX_DOCUMENT_BYTES,
            max_merge_keys: 100,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_cut_at_markers_only() {
        let stream = "# head\n---\na: '---'\nb: |\n  ---\n--- # second\nc: 1\n...\n---\n\n# empty\n";
        let documents = split_documents(stream);
        let texts: Vec<_> = documents.iter().map(|d| (d.text.trim(), d.lines_before)).collect();
        assert_eq!(texts, [("a: '---'\nb: |\n  ---", 1), ("# second\nc: 1", 5)]);
    }

    #[test]
    fn scalars_keep_their_kind_and_line() {
        let node = parse("a: 'no'\nb: no\nc: 18446744073709551615\nd:\n- 1.5\n- ~\n- '1'\n").unwrap();
        let entries = node.as_map().unwrap();
        assert!(matches!(&entries[0].1.kind, Kind::Str(text) if text == "no"));
        assert!(matches!(&entries[1].1.kind, Kind::Str(text) if text == "no"));
        assert!(matches!(&entries[2].1.kind, Kind::Str(text) if text == "18446744073709551615"));
        let items = entries[3].1.as_list().unwrap();
        assert!(matches!(items[0].kind, Kind::Float(_)));
        assert!(matches!(items[1].kind, Kind::Null));
        assert!(matches!(&items[2].kind, Kind::Str(_)));
        assert_eq!((entries[1].1.line, items[2].line), (2, 7));
        assert_eq!((entries[1].1.column, items[2].column), (4, 3));
        assert_eq!((entries[0].1.key, entries[3].1.key), ((1, 1), (4, 1)));
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = "[".repeat(10_000);
        let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
        for text in [deep.as_str(), bomb, "a: 1\na: 2\n", "a: [1\n", "\0"] {
            assert!(parse(text).is_err(), "{text:.40}");
        }
        assert!(
            parse(&" ".repeat(MAX_DOCUMENT_BYTES + 1))
                .unwrap_err()
                .reason
                .contains("1048576")
        );
    }
}
