//! Test events that stand beside a rule: which must match and which must not.
//!
//! The rule `a/b.yml` has `a/b.test.yml`, a map of two lists:
//!
//! ```yaml
//! positive:
//!   - line: "Jan 10 10:00:00 web1 sshd[812]: Failed password for root from 203.0.113.7 port 4711 ssh2"
//!     log_type: sshd          # optional; what a source may say about its lines
//!   - name: from another shipper  # optional
//!     fields: {process.name: sshd, event.action: ssh_login, event.outcome: failure}
//! negative:
//!   - fields: {process.name: sshd, event.action: ssh_login, event.outcome: success}
//! ```
//!
//! A `line` goes through the parsers, which the caller supplies; `fields` is the event itself. What stands beside a
//! correlation is described at [`SequenceTest`].

mod sequence;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::{Map, Value as Json};

use crate::engine::ruleset::RuleSet;
use crate::engine::scratch::Scratch;
use crate::error::{Fault, RuleError};
use crate::rule::Rule;
use crate::yaml::{self, Kind, Node};

pub use sequence::{Pool, Sequence, SequenceTest};

/// Turns a raw line and, when known, its log type into an event.
pub type ParseLine<'a> = &'a dyn Fn(&str, Option<&str>) -> Event;

/// The test events of one rule.
#[derive(Clone, Debug)]
pub struct RuleTest {
    path: String,
    /// In the order of the file, positive ones first.
    pub cases: Vec<Case>,
}

/// One test event.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is about; may be empty.
    pub name: String,
    /// Line in the file, counted from 1.
    pub file_line: usize,
    /// Whether the rule must match.
    pub positive: bool,
    /// The event.
    pub input: Input,
}

/// A test event as it is given.
#[derive(Clone, Debug)]
pub enum Input {
    /// A log line as its source writes it.
    Line {
        /// The text.
        line: String,
        /// What the source says it is.
        log_type: Option<String>,
    },
    /// The fields of the event.
    Fields(Map<String, Json>),
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Cases that were evaluated.
    pub run: usize,
    /// Lines that were not, because no parser was given.
    pub skipped: usize,
    /// Cases that went wrong.
    pub failures: Vec<RuleError>,
}

impl RuleTest {
    /// Reads the text of a test file.
    ///
    /// # Errors
    /// When it is not as described [above](self), or has no positive or no negative case.
    pub fn parse(path: &str, yaml: &str) -> Result<Self, RuleError> {
        let cases = yaml::parse(yaml)
            .and_then(|root| cases(&root))
            .map_err(|fault| fault.at(path, 0))?;
        Ok(Self {
            path: path.to_owned(),
            cases,
        })
    }

    /// Evaluates the rule on every case. Without a parser, lines are skipped.
    #[must_use]
    pub fn run(&self, rule: &Rule, parse: Option<ParseLine<'_>>) -> Report {
        let (set, refused) = RuleSet::compile(vec![rule.clone()]);
        let mut report = Report {
            failures: refused,
            ..Report::default()
        };
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        for case in &self.cases {
            let Some(event) = case.event(parse) else {
                report.skipped += 1;
                continue;
            };
            report.run += 1;
            hits.clear();
            set.evaluate(&event, &mut scratch, &mut hits);
            if hits.is_empty() == case.positive {
                report.failures.push(self.failure(rule, case, &event));
            }
        }
        report
    }

    fn failure(&self, rule: &Rule, case: &Case, event: &Event) -> RuleError {
        let (field, verb) = if case.positive {
            ("positive", "a match")
        } else {
            ("negative", "no match")
        };
        RuleError {
            path: self.path.clone(),
            line: Some(case.file_line),
            column: None,
            field: field.to_owned(),
            reason: format!(
                "expected {verb} of `{}` {} on {}",
                rule.title,
                case.name,
                event.to_json()
            ),
        }
    }
}

impl Case {
    fn event(&self, parse: Option<ParseLine<'_>>) -> Option<Event> {
        match &self.input {
            Input::Line { line, log_type } => parse.map(|parse| parse(line, log_type.as_deref())),
            Input::Fields(object) => {
                let mut fields = Fields::new();
                fields.insert_json("", object);
                let id = EventId {
                    source: SourceId::named("rules", "test"),
                    epoch: Epoch(1),
                    seq: 0,
                };
                Some(Event {
                    id,
                    timestamp: Timestamp(0),
                    fields,
                })
            }
        }
    }
}

fn cases(root: &Node) -> Result<Vec<Case>, Fault> {
    let Some(entries) = root.as_map() else {
        return Err(Fault::new(
            root.line,
            "document",
            "expected a map of positive and negative",
        ));
    };
    if let Some((name, node)) = entries
        .iter()
        .find(|(name, _)| !["positive", "negative"].contains(&name.as_str()))
    {
        return Err(Fault::new(
            node.line,
            name.clone(),
            "expected only positive and negative",
        ));
    }
    let mut cases = Vec::new();
    for (list, positive) in [("positive", true), ("negative", false)] {
        let items = entries
            .iter()
            .find(|(name, _)| name == list)
            .and_then(|(_, node)| node.as_list());
        match items {
            None | Some([]) => return Err(Fault::new(root.line, list, "expected a list of at least one case")),
            Some(items) => {
                for item in items {
                    cases.push(case(list, item, positive)?);
                }
            }
        }
    }
    Ok(cases)
}

fn case(list: &str, node: &Node, positive: bool) -> Result<Case, Fault> {
    let entries = node
        .as_map()
        .ok_or_else(|| Fault::new(node.line, list, format!("expected a map, got {}", node.kind_name())))?;
    let (mut name, mut line, mut log_type, mut fields) = (String::new(), None, None, None);
    for (key, value) in entries {
        match (key.as_str(), &value.kind) {
            ("name", Kind::Str(text)) => text.clone_into(&mut name),
            ("line", Kind::Str(text)) => line = Some(text.clone()),
            ("log_type", Kind::Str(text)) => log_type = Some(text.clone()),
            ("fields", Kind::Map(_)) => fields = Some(value.to_json()),
            _ => {
                let reason = "expected name, line and log_type as text, and fields as a map";
                return Err(Fault::new(value.line, format!("{list}.{key}"), reason));
            }
        }
    }
    let input = match (line, fields) {
        (Some(line), None) => Input::Line { line, log_type },
        (None, Some(Json::Object(fields))) if !fields.is_empty() && log_type.is_none() => Input::Fields(fields),
        _ => {
            let reason = "expected either line, with or without log_type, or fields";
            return Err(Fault::new(node.line, list, reason));
        }
    };
    Ok(Case {
        name,
        file_line: node.line,
        positive,
        input,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_tests_are_refused_by_name() {
        for (yaml, expected) in [
            ("positive: [{line: a}]", "t.test.yml:1: negative: expected a list"),
            ("positive: []\nnegative: [{line: a}]", "positive: expected a list"),
            (
                "positive: [{line: a, fields: {b: 1}}]\nnegative: [{line: a}]",
                "expected either",
            ),
            (
                "positive: [{lines: a}]\nnegative: [{line: a}]",
                "positive.lines: expected name",
            ),
            (
                "positive: [{line: a}]\nnegative: [{line: a}]\nneutral: []",
                "t.test.yml:3: neutral: expected only",
            ),
            ("[]", "document: expected a map"),
        ] {
            let error = RuleTest::parse("t.test.yml", yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }
}
