//! When a step of a table counts: `path` (is there), `!path` (is not), `path=a|b*` (is one of), `path!=a|b`.

use serde_json::{Map, Value as Json};

use super::path::Path;

#[derive(Clone, Debug)]
enum Test {
    Present,
    Absent,
    Is(Vec<String>),
    IsNot(Vec<String>),
}

/// One condition.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    path: Path,
    test: Test,
}

impl Condition {
    /// Reads a condition; the error is what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let patterns = |text: &str| text.split('|').map(str::to_ascii_lowercase).collect::<Vec<_>>();
        // An equals sign in brackets belongs to the path.
        let outside = text.rfind(']').map_or(0, |at| at + 1);
        let split = text
            .get(outside..)
            .and_then(|rest| rest.find('='))
            .map(|at| outside + at);
        let (path, test) = match (text.strip_prefix('!'), split) {
            (Some(path), _) => (path, Test::Absent),
            (None, None) => (text, Test::Present),
            (None, Some(at)) => {
                let (path, value) = (text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""));
                match path.strip_suffix('!') {
                    Some(path) => (path, Test::IsNot(patterns(value))),
                    None => (path, Test::Is(patterns(value))),
                }
            }
        };
        Ok(Self {
            path: Path::parse(path)?,
            test,
        })
    }

    /// Whether it holds for an object. Letters match whatever their case.
    pub(crate) fn holds(&self, object: &Map<String, Json>) -> bool {
        let value = self.path.get(object);
        match (&self.test, value) {
            (Test::Present, value) => value.is_some(),
            (Test::Absent, value) => value.is_none(),
            (Test::Is(patterns), Some(value)) => matches(patterns, &value),
            (Test::Is(_), None) => false,
            (Test::IsNot(patterns), value) => value.is_none_or(|value| !matches(patterns, &value)),
        }
    }
}

fn matches(patterns: &[String], value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().take(64).any(|item| matches(patterns, item)),
        Json::Object(_) | Json::Null => false,
        Json::String(text) => fits(patterns, text),
        Json::Bool(_) | Json::Number(_) => fits(patterns, &value.to_string()),
    }
}

fn fits(patterns: &[String], text: &str) -> bool {
    if text.len() > 4096 {
        return false;
    }
    let text = text.to_ascii_lowercase();
    patterns.iter().any(|pattern| glob(pattern, &text))
}

/// A pattern with `*` at its start, its end or both.
fn glob(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(_), Some(_)) => text.contains(pattern.trim_matches('*')),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => text == pattern,
    }
}
