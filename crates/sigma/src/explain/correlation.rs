//! What an event gives to a correlation, and why not more.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::{Event, Timestamp};
use serde::{Deserialize, Serialize};

use super::explain_with;
use super::explanation::{Explanation, RuleName};
use crate::correlation::{Condition, Correlation, Correlations, Lost, RuleExpr, Values};
use crate::error::RuleError;
use crate::filter::Filter;
use crate::logsource::Catalog;
use crate::rule::Rule;

/// What one event gives to one correlation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrelationExplanation {
    /// Which correlation.
    pub rule: RuleName,
    /// Sigma's word for its kind, such as `event_count`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What must hold of a set of events, in words.
    pub condition: String,
    /// How far apart the events may be, in seconds.
    pub timespan: i64,
    /// Whether the event counts for anything.
    pub contributes: bool,
    /// What it counts for.
    pub contributions: Vec<Contributed>,
    /// Why it does not count, or not with all it has, though a rule matched.
    pub unused: Vec<String>,
    /// How each of the rules the correlation is over was evaluated. Correlations it is over are left out: events count
    /// for them first.
    pub rules: Vec<Explanation>,
}

/// A set of events that one event is part of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contributed {
    /// What the events have in common.
    pub group: BTreeMap<String, String>,
    /// Start of the window.
    pub window_start: Timestamp,
    /// Its end.
    pub window_end: Timestamp,
    /// The values that are told apart or calculated with; empty where events or rules are counted.
    pub values: Vec<String>,
}

/// Explains what an event gives to the correlation with this id.
///
/// # Errors
/// When there is none, or it or a rule it is over cannot be used.
pub fn explain_correlation(
    id: &str,
    correlations: Vec<Correlation>,
    rules: &[Rule],
    catalog: &Catalog,
    filters: &[Filter],
    event: &Event,
) -> Result<CorrelationExplanation, RuleError> {
    let (compiled, errors) = Correlations::compile_with(correlations, rules, catalog);
    let found = compiled.all().iter().position(|one| one.definition().id == id);
    let (Some(position), Some(correlation)) = (found, found.and_then(|found| compiled.get(found))) else {
        let unknown = || RuleError {
            path: String::new(),
            line: None,
            column: None,
            field: "id".to_owned(),
            reason: format!("expected the id of a correlation, got {id}"),
        };
        return Err(errors.into_iter().next().unwrap_or_else(unknown));
    };
    let definition = correlation.definition();
    let is_over = |rule: &Rule| definition.rules.iter().any(|reference| rule.is_meant_by(reference));
    let (mut explained, mut given, mut lost) = (Vec::new(), Vec::new(), Lost::default());
    for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| is_over(rule)) {
        let explanation = explain_with(rule, catalog, filters, event)?;
        if explanation.matched {
            lost += compiled.contributions_to(position, number, event, &mut given);
        }
        explained.push(explanation);
    }
    let contributions: Vec<Contributed> = given
        .into_iter()
        .map(|contribution| {
            let (window_start, window_end) = correlation.bounds_of(contribution.key.window);
            Contributed {
                group: definition.group_by.iter().cloned().zip(contribution.group).collect(),
                window_start,
                window_end,
                values: match contribution.entry.values {
                    Values::None => Vec::new(),
                    Values::Texts(texts) => texts,
                    Values::Numbers(numbers) => numbers.iter().map(ToString::to_string).collect(),
                },
            }
        })
        .collect();
    Ok(CorrelationExplanation {
        rule: RuleName {
            id: definition.id.clone(),
            title: definition.title.clone(),
            level: correlation.level().to_string(),
            revision: definition.revision.clone(),
        },
        kind: definition.kind.as_str().to_owned(),
        condition: definition.condition_text(),
        timespan: definition.timespan.seconds(),
        contributes: !contributions.is_empty(),
        contributions,
        unused: unused(definition, explained.len(), &lost),
        rules: explained,
    })
}

fn unused(correlation: &Correlation, rules: usize, lost: &Lost) -> Vec<String> {
    let mut told = Vec::new();
    if rules == 0 {
        told.push("it is over other correlations, and events count for these".to_owned());
    }
    if lost.no_group > 0 {
        let fields = correlation.group_by.join(", ");
        told.push(format!(
            "the event lacks a value in one of the group-by fields {fields}"
        ));
    }
    if lost.no_value > 0 {
        let wanted = match &correlation.condition {
            Condition::Bounds { field, .. } => field.join(", "),
            Condition::Rules(_) => String::new(),
        };
        told.push(format!("the event has nothing to be counted in {wanted}"));
    }
    if lost.cut > 0 {
        told.push("only the first 16 values of a list, and of their combinations, count".to_owned());
    }
    told
}

impl Correlation {
    /// What must hold of a set of events, in words: `at least` and the like stay Sigma's `gte`.
    #[must_use]
    pub fn condition_text(&self) -> String {
        match &self.condition {
            Condition::Bounds {
                bounds,
                field,
                percentile,
            } => {
                let mut text = self.kind.as_str().to_owned();
                if !field.is_empty() {
                    let _ = write!(text, "({})", field.join(", "));
                }
                if let Some(percentile) = percentile {
                    let _ = write!(text, " at {percentile} %");
                }
                let bounds: Vec<String> = bounds
                    .iter()
                    .map(|bound| format!("{} {}", bound.op.as_str(), bound.value))
                    .collect();
                format!("{text} {}", bounds.join(" and "))
            }
            Condition::Rules(expr) => format!("{} {}", self.kind.as_str(), expr_text(expr, &self.rules, true)),
        }
    }
}

fn expr_text(expr: &RuleExpr, rules: &[String], is_outer: bool) -> String {
    let name = |rule: &usize| rules.get(*rule).map_or("?", String::as_str);
    let joined = |terms: &[RuleExpr], word: &str| {
        let terms: Vec<String> = terms.iter().map(|term| expr_text(term, rules, false)).collect();
        let text = terms.join(word);
        if is_outer { text } else { format!("({text})") }
    };
    match expr {
        RuleExpr::And(terms) => joined(terms, " and "),
        RuleExpr::Or(terms) => joined(terms, " or "),
        RuleExpr::Matched(rule) => name(rule).to_owned(),
        RuleExpr::Absent(rule) => format!("not {}", name(rule)),
    }
}

#[cfg(test)]
mod tests {
    use model::id::{Epoch, SourceId};
    use model::{EventId, Fields};

    use super::*;
    use crate::{Document, parse_documents};

    const TEXT: &str = "title: R\nid: r\nname: failure\nlogsource: {product: linux}\ndetection: {s: {a: x}, condition: s}\n---\n\
                        title: S\nid: s\nlogsource: {product: linux}\ndetection: {s: {a: y}, condition: s}\n---\ntitle: C\nid: c\n\
                        correlation:\n  type: value_count\n  rules: [failure, s]\n  group-by: [ip]\n  timespan: 1m\n  condition: \
                        {gte: 2, lt: 9, field: user}\n---\ntitle: D\nid: d\ncorrelation: {type: temporal, rules: [c, s], timespan: \
                        1m, condition: c and not s}\n";

    fn explained(id: &str, fields: &[(&str, &'static str)]) -> CorrelationExplanation {
        let (mut rules, mut correlations) = (Vec::new(), Vec::new());
        for document in parse_documents("r.yml", TEXT) {
            match document.unwrap() {
                Document::Rule(rule) => rules.push(rule),
                Document::Correlation(correlation) => correlations.push(correlation),
                Document::Filter(_) => {}
            }
        }
        let mut all = Fields::new();
        all.insert("host.os.type", "linux");
        for (name, value) in fields {
            all.insert((*name).to_owned(), *value);
        }
        let event = Event {
            id: EventId {
                source: SourceId::named("test", "explain"),
                epoch: Epoch(1),
                seq: 0,
            },
            timestamp: Timestamp(61_000_000),
            fields: all,
        };
        explain_correlation(id, correlations, &rules, Catalog::builtin(), &[], &event).unwrap()
    }

    #[test]
    fn an_event_is_told_with_its_group_window_and_value() {
        let found = explained("c", &[("a", "x"), ("ip", "10.0.0.1"), ("user", "Ann")]);
        assert!(found.contributes && found.unused.is_empty(), "{found:?}");
        assert_eq!(found.condition, "value_count(user) gte 2 and lt 9");
        let given = &found.contributions[0];
        assert_eq!(given.group["ip"], "10.0.0.1");
        assert_eq!(
            (given.window_start, given.window_end),
            (Timestamp(60_000_000), Timestamp(120_000_000))
        );
        assert_eq!(given.values, ["ann"]);
        let matched: Vec<(&str, bool)> = found.rules.iter().map(|rule| (&*rule.rule.id, rule.matched)).collect();
        assert_eq!(matched, [("r", true), ("s", false)]);
    }

    #[test]
    fn what_keeps_an_event_out_is_told() {
        let found = explained("c", &[("a", "x"), ("user", "Ann")]);
        assert!(!found.contributes);
        assert_eq!(
            found.unused,
            ["the event lacks a value in one of the group-by fields ip"]
        );
        let found = explained("c", &[("a", "x"), ("ip", "10.0.0.1")]);
        assert_eq!(found.unused, ["the event has nothing to be counted in user"]);
        let found = explained("d", &[("a", "z")]);
        assert_eq!(
            (found.rules.len(), &*found.condition),
            (1, "temporal c and not s"),
            "{found:?}"
        );
    }
}
