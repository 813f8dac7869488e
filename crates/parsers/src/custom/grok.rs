//! Grok patterns, `%{IP:source.ip} %{WORD:verb}`, as regular expressions of an engine without backtracking.

use std::collections::BTreeMap;

use super::patterns;
use crate::tree::{Json, Map};
use regex::{Regex, RegexBuilder};

/// Deepest nesting of patterns within patterns.
const MAX_DEPTH: usize = 16;
/// Longest expression after all patterns are put in, in bytes.
const MAX_EXPANDED: usize = 64 << 10;
/// Largest compiled expression, in bytes of memory.
const MAX_COMPILED: usize = 8 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    Int,
    Float,
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Grok {
    regex: Regex,
    /// The name and kind of each capture, in order.
    names: Vec<(String, Kind)>,
}

impl Grok {
    /// Compiles a pattern with an operator's own beside the known ones; the error names what is wrong.
    pub(super) fn compile(pattern: &str, own: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut names = Vec::new();
        let mut expanded = String::new();
        expand(pattern, own, 0, &mut names, &mut expanded)?;
        let regex = RegexBuilder::new(&expanded)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| format!("text.grok {pattern:?}: {error}"))?;
        Ok(Self { regex, names })
    }

    /// The captures of a line that matches. Of several of one name the first that took part counts.
    pub(super) fn read<'a>(&'a self, text: &'a str) -> Option<Map<'a>> {
        let captures = self.regex.captures(text)?;
        let mut object = Map::new();
        for (index, (name, kind)) in self.names.iter().enumerate() {
            let Some(found) = captures.name(&format!("g{index}")) else {
                continue;
            };
            let text = found.as_str();
            let value = match kind {
                Kind::Text => Json::from(text),
                Kind::Int => text.parse::<i64>().map_or_else(|_| Json::from(text), Json::from),
                Kind::Float => text.parse::<f64>().map_or_else(|_| Json::from(text), Json::from),
            };
            object.insert_default(name.as_str(), || value);
        }
        Some(object)
    }
}

fn expand(
    pattern: &str,
    own: &BTreeMap<String, String>,
    depth: usize,
    names: &mut Vec<(String, Kind)>,
    into: &mut String,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("text.grok: patterns within patterns deeper than {MAX_DEPTH}"));
    }
    let mut rest = pattern;
    while let Some(at) = rest.find("%{") {
        let (before, after) = rest.split_at(at);
        into.push_str(before);
        let (reference, tail) = after
            .get(2..)
            .and_then(|after| after.split_once('}'))
            .ok_or_else(|| format!("text.grok {pattern:?}: expected }} after %{{"))?;
        let mut parts = reference.split(':');
        let name = parts.next().unwrap_or("");
        let field = parts.next();
        let kind = match parts.next() {
            None => Kind::Text,
            Some("int" | "long") => Kind::Int,
            Some("float" | "double") => Kind::Float,
            Some("string") => Kind::Text,
            Some(other) => return Err(format!("text.grok: {other:?}: expected int, float or string")),
        };
        let inner = own
            .get(name)
            .map(String::as_str)
            .or_else(|| patterns::get(name))
            .ok_or_else(|| format!("text.grok: no pattern {name:?}"))?;
        match field.map(plain) {
            Some(field) if depth == 0 || !field.is_empty() => {
                into.push_str(&format!("(?P<g{}>", names.len()));
                names.push((field, kind));
            }
            _ => into.push_str("(?:"),
        }
        expand(inner, own, depth + 1, names, into)?;
        into.push(')');
        if into.len() > MAX_EXPANDED || names.len() > 256 {
            return Err(format!(
                "text.grok {pattern:?}: expected at most {MAX_EXPANDED} bytes and 256 fields"
            ));
        }
        rest = tail;
    }
    into.push_str(rest);
    Ok(())
}

/// `[source][ip]` as Logstash writes it is `source.ip`.
fn plain(field: &str) -> String {
    match field.strip_prefix('[').and_then(|field| field.strip_suffix(']')) {
        Some(inner) => inner.replace("][", "."),
        None => field.to_owned(),
    }
}
