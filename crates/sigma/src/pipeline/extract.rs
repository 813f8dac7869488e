//! Named groups of a regular expression as fields of their own.

use regex::Regex;

use super::parameters::Parameters;
use super::regexes;
use crate::ast::{Field, Number};
use crate::detection::{Body, Item, Question, Value};
use crate::error::Fault;

/// Turns what the groups of an expression find in a value into an item each.
#[derive(Clone, Debug)]
pub(crate) struct Extract {
    regex: Regex,
    prefix: Option<String>,
    preserve_unmatched: bool,
}

impl Extract {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let source = parameters.required_text("regex")?;
        let regex = regexes::at_start(&source).map_err(|reason| parameters.fault("regex", reason))?;
        if regex.capture_names().flatten().next().is_none() {
            return Err(parameters.fault("regex", "expected at least one named group (?P<name>...)"));
        }
        Ok(Self {
            regex,
            prefix: parameters.text("field_prefix")?,
            preserve_unmatched: parameters.bool("preserve_unmatched")?,
        })
    }

    /// What an item becomes; `None` when nothing was found in it.
    pub(super) fn apply(&self, item: &Item) -> Option<Body> {
        let mut found = Vec::new();
        for value in &item.values {
            let text = value.question.to_sigma()?;
            let one = |field: Option<Field>, question: Question| {
                Body::Item(Item {
                    field,
                    values: vec![Value {
                        question,
                        ..value.clone()
                    }],
                    all: false,
                    ..item.clone()
                })
            };
            match self.regex.captures(&text) {
                None if self.preserve_unmatched => found.push(one(item.field.clone(), value.question.clone())),
                None => {}
                Some(captures) => {
                    let groups = self.regex.capture_names().flatten().filter_map(|name| {
                        let text = captures.name(name)?.as_str();
                        (!text.is_empty()).then_some((name, text))
                    });
                    let items: Vec<Body> = groups
                        .map(|(name, text)| {
                            let field = match &self.prefix {
                                Some(prefix) => Field::named(&format!("{prefix}.{name}")),
                                None => Field::named(name),
                            };
                            one(Some(field), convert(text))
                        })
                        .collect();
                    // Not all of the groups found is any of them not found.
                    match (items.is_empty(), item.negated) {
                        (true, _) => {}
                        (false, false) => found.push(Body::All(items)),
                        (false, true) => found.push(Body::Any(items)),
                    }
                }
            }
        }
        match found.len() {
            0 => None,
            1 => Some(found.remove(0)),
            _ if item.all != item.negated => Some(Body::All(found)),
            _ => Some(Body::Any(found)),
        }
    }
}

/// A captured text as the value it looks like.
fn convert(text: &str) -> Question {
    if matches!(text.to_ascii_lowercase().as_str(), "null" | "none") {
        return Question::Null;
    }
    // Leading zeros would be lost in a number.
    if (text == "0" || !text.starts_with('0'))
        && let Some(number) = Number::parse(text)
    {
        return Question::Number(number);
    }
    Question::from_sigma(text)
}
