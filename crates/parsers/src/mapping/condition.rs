//! When a step of a table counts: `path` (is there), `!path` (is not), `path=a|b*` (is one of), `path!=a|b`.

use super::path::{Found, Path};
use crate::scan::Marks as _;
use crate::tree::{Json, Map};

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
        let patterns = |text: &str| text.parts(b'|').map(str::to_ascii_lowercase).collect::<Vec<_>>();
        // An equals sign in brackets belongs to the path.
        let outside = text.rfind(']').map_or(0, |at| at + 1);
        let split = text
            .get(outside..)
            .and_then(|rest| rest.place_of(b'='))
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
    pub(crate) fn holds(&self, object: &Map<'_>) -> bool {
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

fn matches(patterns: &[String], found: &Found<'_, '_>) -> bool {
    match found {
        Found::One(value) => matches_one(patterns, value),
        Found::Each(all) => all.iter().take(64).any(|found| matches(patterns, found)),
    }
}

fn matches_one(patterns: &[String], value: &Json<'_>) -> bool {
    match value {
        Json::Array(items) => items.iter().take(64).any(|item| matches_one(patterns, item)),
        Json::Object(_) | Json::Null => false,
        Json::String(text) => fits(patterns, text),
        Json::Bool(_) | Json::Number(_) => fits(patterns, &value.to_string()),
    }
}

fn fits(patterns: &[String], text: &str) -> bool {
    text.len() <= 4096 && patterns.iter().any(|pattern| glob(pattern, text))
}

/// A pattern in small letters with `*` at its start, its end or both.
fn glob(pattern: &str, text: &str) -> bool {
    let is = |part: Option<&[u8]>, wanted: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(wanted.as_bytes()));
    let text = text.as_bytes();
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(_), Some(_)) => {
            let inner = pattern.trim_matches('*');
            inner.is_empty() || text.windows(inner.len()).any(|part| is(Some(part), inner))
        }
        (Some(end), None) => is(text.len().checked_sub(end.len()).and_then(|at| text.get(at..)), end),
        (None, Some(start)) => is(text.get(..start.len()), start),
        (None, None) => is(Some(text), pattern),
    }
}
