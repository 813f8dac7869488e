//! `Hashes|contains: SHA256=...` as a question to a field of its own.

use crate::ast::Field;
use crate::detection::{Body, Item, Question, Value};
use crate::error::Fault;

use super::parameters::Parameters;

/// Splits lists of hashes into a field for each algorithm.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    algorithms: Vec<String>,
    prefix: String,
    drop_algorithm: bool,
    fields: Vec<String>,
    lower: bool,
}

impl Hashes {
    pub(super) fn read(parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let algorithms = parameters.texts("valid_hash_algos")?;
        Ok(Self {
            algorithms: algorithms
                .ok_or_else(|| parameters.fault("valid_hash_algos", "expected a list such as [MD5, SHA1, SHA256]"))?,
            prefix: parameters.text("field_prefix")?.unwrap_or_default(),
            drop_algorithm: parameters.bool("drop_algo_prefix")?,
            fields: parameters
                .texts("field_to_parse")?
                .unwrap_or_else(|| vec!["Hashes".to_owned(), "Hash".to_owned()]),
            lower: parameters.bool("lower_algo")?,
        })
    }

    /// What an item becomes; `None` when it is not about hashes. The error says what was expected.
    pub(super) fn apply(&self, item: &Item) -> Result<Option<Body>, String> {
        if !item
            .field_name()
            .is_some_and(|name| self.fields.iter().any(|field| field == name))
        {
            return Ok(None);
        }
        let mut by_field: Vec<(String, Vec<Value>)> = Vec::new();
        for value in &item.values {
            let Some(text) = value.question.to_sigma() else {
                return Ok(None);
            };
            let Some((algorithm, hash)) = self.split(&text) else {
                continue;
            };
            let name = self.field(&algorithm);
            let value = Value {
                question: Question::from_sigma(&hash),
                ..value.clone()
            };
            match by_field.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => by_field.push((name, vec![value])),
            }
        }
        if by_field.is_empty() {
            return Err(format!("expected a hash of one of {}", self.algorithms.join(", ")));
        }
        let mut items: Vec<Body> = by_field
            .into_iter()
            .map(|(name, values)| {
                Body::Item(Item {
                    field: (name != "keyword").then(|| Field::named(&name)),
                    values,
                    ..item.clone()
                })
            })
            .collect();
        // Values that must all hold, or none, do so in fields of their own as well.
        Ok(Some(if items.len() == 1 {
            items.remove(0)
        } else if item.all || item.negated {
            Body::All(items)
        } else {
            Body::Any(items)
        }))
    }

    /// Algorithm and hash of a value such as `*SHA1=AB*` or `MD5|CD`.
    fn split(&self, text: &str) -> Option<(String, String)> {
        let parts: Vec<&str> = if text.contains('|') {
            text.split('|').collect()
        } else {
            text.split('=').collect()
        };
        let (algorithm, hash) = match parts.as_slice() {
            [algorithm, hash] => (algorithm.trim_start_matches('*').to_uppercase(), *hash),
            [hash, ..] => {
                let algorithm = match hash.trim_matches(['*', '?']).len() {
                    32 => "MD5",
                    40 => "SHA1",
                    64 => "SHA256",
                    128 => "SHA512",
                    _ => return None,
                };
                (algorithm.to_owned(), *hash)
            }
            [] => return None,
        };
        let known = self.algorithms.contains(&algorithm);
        known.then(|| (algorithm, hash.trim_matches(['*', '?']).to_owned()))
    }

    fn field(&self, algorithm: &str) -> String {
        let name = match (self.drop_algorithm, self.lower) {
            (true, _) => String::new(),
            (false, true) => algorithm.to_lowercase(),
            (false, false) => algorithm.to_owned(),
        };
        format!("{}{name}", self.prefix)
    }
}
