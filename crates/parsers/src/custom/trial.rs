//! The tests that a parser's file holds: lines, and what must come out of them.

use std::collections::BTreeMap;

use model::Timestamp;
use serde::Deserialize;

use super::{CustomError, CustomParser};
use crate::record::{Body, RawRecord};

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    line: String,
    /// Fields and their texts; an empty text means that the field must not be there.
    #[serde(default)]
    expect: BTreeMap<String, String>,
}

/// What became of a test.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The line.
    pub line: String,
    /// What is not as expected; none when the test holds.
    pub mistakes: Vec<String>,
}

impl CustomParser {
    /// Runs the file's `[[test]]`s as if their lines came in at `now`.
    ///
    /// # Errors
    ///
    /// When the file has none: a parser nobody tried is no parser.
    pub fn try_out(&self, now: Timestamp) -> Result<Vec<Trial>, CustomError> {
        if self.tests.is_empty() {
            return Err(CustomError::whole("expected at least one [[test]]"));
        }
        Ok(self.trials(now))
    }

    /// The same, and none when the file has none.
    #[must_use]
    pub fn trials(&self, now: Timestamp) -> Vec<Trial> {
        self.tests.iter().map(|test| self.trial(test, now)).collect()
    }

    fn trial(&self, test: &Test, now: Timestamp) -> Trial {
        let record = RawRecord {
            body: Body::Line(test.line.as_bytes()),
            origin_kind: "file",
            origin_name: "test.log",
            log_type: Some(self.name()),
            observed: now,
            truncated_bytes: 0,
            header: None,
        };
        let mut mistakes = Vec::new();
        match self.parse(&record) {
            None => mistakes.push("the line is not of this format".to_owned()),
            Some(parsed) => {
                for (name, expected) in &test.expect {
                    let found = match name.as_str() {
                        "@timestamp" => parsed.timestamp.to_string(),
                        name => parsed
                            .fields
                            .get(name)
                            .map(|value| value.to_text().into_owned())
                            .unwrap_or_default(),
                    };
                    if found != *expected {
                        mistakes.push(format!("{name}: expected {expected:?}, found {found:?}"));
                    }
                }
            }
        }
        Trial {
            line: test.line.clone(),
            mistakes,
        }
    }
}
