//! Test sequences that stand beside a correlation: which must alert, for whom, and which must not.
//!
//! The correlation `a/b.yml` has `a/b.test.yml`, a map of two lists of sequences:
//!
//! ```yaml
//! positive:
//!   - name: six failures from one address       # optional
//!     events:
//!       - at: +0s                               # since the start of the sequence; s, m, h and d
//!         line: "Jan 10 10:00:00 web1 sshd[812]: Failed password for u{n} from 203.0.113.7 port 4711 ssh2"
//!         log_type: sshd                        # optional
//!         repeat: 6                             # optional; `{n}` is 1, 2, ... in lines and fields
//!         every: 5s                             # optional, from one repetition to the next
//!       - at: +1m
//!         fields: {process.name: sshd, event.action: ssh_login, event.outcome: success}
//!     alerts: [[203.0.113.7]]                   # optional: for each alerted group its group-by values, in order
//! negative:
//!   - name: too slow
//!     events: [{at: +0s, fields: {a: b}, repeat: 6, every: 10m}]
//! ```
//!
//! The events go through the rules and correlations the correlation is over, and through their windows: as they are,
//! backwards, shuffled, and with every event twice. Each way must lead to the same alerts. A positive sequence without
//! `alerts` must alert at least once, for whomever. Sequences start where a window starts; those of correlations that
//! look at events through sliding windows also run from the middle of one.

use std::collections::BTreeSet;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Tenant, Timestamp};
use serde_json::Value as Json;

use crate::correlation::{Correlation, CorrelationAlert, Correlations, Timespan, Windows};
use crate::engine::ruleset::RuleSet;
use crate::engine::scratch::Scratch;
use crate::error::{Fault, RuleError};
use crate::filter::Filter;
use crate::logsource::Catalog;
use crate::pattern::fold;
use crate::rule::Rule;
use crate::ruletest::{Input, ParseLine, Report};
use crate::yaml::{self, Kind, Node};

/// Most events of one sequence.
const MAX_EVENTS: usize = 20_000;
/// Around when sequences happen: 2026-01-01.
const START: i64 = 1_767_225_600_000_000;

/// The test sequences of one correlation.
#[derive(Clone, Debug)]
pub struct SequenceTest {
    path: String,
    /// In the order of the file, positive ones first.
    pub cases: Vec<Sequence>,
}

/// One test sequence.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// What it is about; may be empty.
    pub name: String,
    /// Line in the file, counted from 1.
    pub file_line: usize,
    /// Whether it must alert.
    pub positive: bool,
    /// Which groups must be alerted: exactly these, in any case. `None` for any.
    pub groups: Option<Vec<Vec<String>>>,
    events: Vec<TimedInput>,
}

#[derive(Clone, Debug)]
struct TimedInput {
    /// Microseconds since the start of the sequence.
    at: i64,
    input: Input,
}

/// The documents a correlation is tested with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pool<'a> {
    /// Rules, among which those the correlation is over; others are not used.
    pub rules: &'a [Rule],
    /// Correlations, likewise.
    pub correlations: &'a [Correlation],
    /// Filters of these rules.
    pub filters: &'a [Filter],
}

impl SequenceTest {
    /// Reads the text of a test file.
    ///
    /// # Errors
    /// When it is not as described [above](self), or has no positive or no negative sequence.
    pub fn parse(path: &str, yaml: &str) -> Result<Self, RuleError> {
        let cases = yaml::parse(yaml)
            .and_then(|root| sequences(&root))
            .map_err(|fault| fault.at(path, 0))?;
        Ok(Self {
            path: path.to_owned(),
            cases,
        })
    }

    /// Runs every sequence. Without a parser, sequences with lines are skipped.
    #[must_use]
    pub fn run(&self, correlation: &Correlation, pool: Pool<'_>, parse: Option<ParseLine<'_>>) -> Report {
        let mut report = Report::default();
        let (rules, correlations) = needed(correlation, pool);
        // Filters also name rules that are not needed here, which is no mistake.
        let (set, refused) = RuleSet::compile_with(rules, Catalog::builtin(), pool.filters);
        report
            .failures
            .extend(refused.into_iter().filter(|error| error.field != "filter.rules"));
        let (compiled, refused) = Correlations::compile(correlations, set.rules());
        report.failures.extend(refused);
        let is_tested = |compiled: &crate::correlation::Compiled| compiled.definition().id == correlation.id;
        let Some(tested) = compiled.all().iter().position(is_tested) else {
            return report;
        };
        let bench = Bench {
            set: &set,
            correlations: &compiled,
            tested,
        };
        for case in &self.cases {
            match case.events(parse) {
                None => report.skipped += 1,
                Some(events) => {
                    report.run += 1;
                    if let Err(reason) = bench.check(case, &events) {
                        report.failures.push(self.failure(correlation, case, &reason));
                    }
                }
            }
        }
        report
    }

    fn failure(&self, correlation: &Correlation, case: &Sequence, reason: &str) -> RuleError {
        RuleError {
            path: self.path.clone(),
            line: Some(case.file_line),
            column: None,
            field: if case.positive { "positive" } else { "negative" }.to_owned(),
            reason: format!("`{}` on `{}`: {reason}", correlation.title, case.name),
        }
    }
}

/// The rules and correlations one correlation depends on, itself included. Itself, and what it is over, make alerts of
/// their own whatever other correlations there are.
fn needed(correlation: &Correlation, pool: Pool<'_>) -> (Vec<Rule>, Vec<Correlation>) {
    let (mut rules, mut correlations): (Vec<Rule>, Vec<Correlation>) = (Vec::new(), vec![correlation.clone()]);
    let mut pending = correlation.rules.clone();
    while let Some(reference) = pending.pop() {
        for rule in pool.rules.iter().filter(|rule| rule.is_meant_by(&reference)) {
            if !rules.iter().any(|known| known.id == rule.id) {
                rules.push(rule.clone());
            }
        }
        for inner in pool.correlations.iter().filter(|inner| inner.is_meant_by(&reference)) {
            if !correlations.iter().any(|known| known.id == inner.id) {
                pending.extend(inner.rules.iter().cloned());
                correlations.push(inner.clone());
            }
        }
    }
    (rules, correlations)
}

struct Bench<'a> {
    set: &'a RuleSet,
    correlations: &'a Correlations,
    tested: usize,
}

impl Bench<'_> {
    fn check(&self, case: &Sequence, events: &[Event]) -> Result<(), String> {
        let Some(compiled) = self.correlations.get(self.tested) else {
            return Ok(());
        };
        let timespan = compiled.definition().timespan.micros();
        let aligned = START.div_euclid(timespan).saturating_mul(timespan);
        let middle = compiled
            .due(0)
            .is_none()
            .then_some(aligned.saturating_add(timespan / 2));
        for start in [Some(aligned), middle].into_iter().flatten() {
            let events: Vec<Event> = events
                .iter()
                .map(|event| Event {
                    timestamp: Timestamp(event.timestamp.0.saturating_add(start)),
                    ..event.clone()
                })
                .collect();
            let alerts = self.alerts(&events);
            expected(case, &alerts)?;
            for (way, other) in orders(&events) {
                if self.alerts(&other) != alerts {
                    return Err(format!("expected the same alerts with the events {way}"));
                }
            }
        }
        Ok(())
    }

    fn alerts(&self, events: &[Event]) -> Vec<CorrelationAlert> {
        let mut windows = Windows::new(self.correlations, Tenant::default());
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        for event in events {
            hits.clear();
            self.set.evaluate(event, &mut scratch, &mut hits);
            for hit in &hits {
                windows.observe(*hit, event);
            }
        }
        windows.finish();
        let mut alerts = windows.alerts();
        alerts.retain(|alert| alert.correlation == self.tested);
        alerts
    }
}

fn expected(case: &Sequence, alerts: &[CorrelationAlert]) -> Result<(), String> {
    let folded = |group: &Vec<String>| -> Vec<String> { group.iter().map(|value| fold(value)).collect() };
    let got: BTreeSet<Vec<String>> = alerts.iter().map(|alert| folded(&alert.group)).collect();
    match (&case.groups, case.positive) {
        (None, true) if got.is_empty() => Err("expected an alert, got none".to_owned()),
        (None, false) if !got.is_empty() => Err(format!("expected no alert, got some for {got:?}")),
        (Some(groups), _) => {
            let wanted: BTreeSet<Vec<String>> = groups.iter().map(folded).collect();
            if wanted == got {
                return Ok(());
            }
            Err(format!("expected alerts for {wanted:?}, got {got:?}"))
        }
        (None, _) => Ok(()),
    }
}

/// Other ways the same events can arrive.
fn orders(events: &[Event]) -> Vec<(&'static str, Vec<Event>)> {
    let mut backwards = events.to_vec();
    backwards.reverse();
    let mut shuffled = events.to_vec();
    shuffled.sort_by_key(|event| *blake3::hash(event.id.to_string().as_bytes()).as_bytes());
    let twice = shuffled.iter().chain(events).cloned().collect();
    vec![("backwards", backwards), ("shuffled", shuffled), ("twice", twice)]
}

impl Sequence {
    fn events(&self, parse: Option<ParseLine<'_>>) -> Option<Vec<Event>> {
        (0..)
            .zip(&self.events)
            .map(|(seq, timed)| {
                let id = EventId {
                    source: SourceId::named("rules", "test"),
                    epoch: Epoch(1),
                    seq,
                };
                let fields = match &timed.input {
                    Input::Line { line, log_type } => parse?(line, log_type.as_deref()).fields,
                    Input::Fields(object) => {
                        let mut fields = Fields::new();
                        fields.insert_json("", object);
                        fields
                    }
                };
                Some(Event {
                    id,
                    timestamp: Timestamp(timed.at),
                    fields,
                })
            })
            .collect()
    }
}

fn sequences(root: &Node) -> Result<Vec<Sequence>, Fault> {
    let Some(entries) = root.as_map() else {
        return Err(Fault::of(root, "document", "expected a map of positive and negative"));
    };
    if let Some((name, node)) = entries
        .iter()
        .find(|(name, _)| !["positive", "negative"].contains(&name.as_str()))
    {
        return Err(Fault::of_key(node, name.clone(), "expected only positive and negative"));
    }
    let mut cases = Vec::new();
    for (list, positive) in [("positive", true), ("negative", false)] {
        let items = entries
            .iter()
            .find(|(name, _)| name == list)
            .and_then(|(_, node)| node.as_list());
        match items {
            None | Some([]) => return Err(Fault::of(root, list, "expected a list of at least one sequence")),
            Some(items) => {
                for item in items {
                    cases.push(sequence(list, item, positive)?);
                }
            }
        }
    }
    Ok(cases)
}

fn sequence(list: &str, node: &Node, positive: bool) -> Result<Sequence, Fault> {
    let entries = node
        .as_map()
        .ok_or_else(|| Fault::of(node, list, format!("expected a map, got {}", node.kind_name())))?;
    let mut case = Sequence {
        name: String::new(),
        file_line: node.line,
        positive,
        groups: None,
        events: Vec::new(),
    };
    for (key, value) in entries {
        match (key.as_str(), &value.kind) {
            ("name", Kind::Str(text)) => text.clone_into(&mut case.name),
            ("events", Kind::List(items)) => {
                for item in items {
                    timed(list, item, &mut case.events)?;
                }
            }
            ("alerts", Kind::List(items)) if positive => case.groups = Some(groups(list, items)?),
            _ => {
                let reason = "expected name as text, events as a list, and for positive ones alerts as a list";
                return Err(Fault::of(value, format!("{list}.{key}"), reason));
            }
        }
    }
    if case.events.is_empty() {
        return Err(Fault::of(node, format!("{list}.events"), "expected at least one event"));
    }
    if case.groups.as_ref().is_some_and(Vec::is_empty) {
        let reason = "expected at least one group: a sequence without alerts is a negative one";
        return Err(Fault::of(node, format!("{list}.alerts"), reason));
    }
    Ok(case)
}

fn groups(list: &str, items: &[Node]) -> Result<Vec<Vec<String>>, Fault> {
    let group = |item: &Node| {
        let values = item.as_list().unwrap_or(std::slice::from_ref(item));
        let texts: Option<Vec<String>> = values.iter().map(Node::scalar_text).collect();
        let reason = "expected for each alert the values of its group-by fields";
        texts.ok_or_else(|| Fault::of(item, format!("{list}.alerts"), reason))
    };
    items.iter().map(group).collect()
}

fn timed(list: &str, node: &Node, out: &mut Vec<TimedInput>) -> Result<(), Fault> {
    let path = format!("{list}.events");
    let entries = node
        .as_map()
        .ok_or_else(|| Fault::of(node, &path, format!("expected a map, got {}", node.kind_name())))?;
    let (mut at, mut every, mut repeat) = (0, 0, 1);
    let (mut line, mut log_type, mut fields) = (None, None, None);
    for (key, value) in entries {
        match (key.as_str(), &value.kind) {
            ("at", Kind::Str(text)) => at = offset(text).ok_or_else(|| bad_offset(value, &path, key))?,
            ("every", Kind::Str(text)) => every = offset(text).ok_or_else(|| bad_offset(value, &path, key))?,
            ("repeat", Kind::Int(count)) if (1..=20_000).contains(count) => repeat = *count,
            ("line", Kind::Str(text)) => line = Some(text.clone()),
            ("log_type", Kind::Str(text)) => log_type = Some(text.clone()),
            ("fields", Kind::Map(_)) => fields = Some(value.to_json()),
            _ => {
                let reason = "expected at and every such as +30s, repeat from 1 to 20000, line and log_type as text, \
                              and fields as a map";
                return Err(Fault::of(value, format!("{path}.{key}"), reason));
            }
        }
    }
    if out.len().saturating_add(usize::try_from(repeat).unwrap_or(usize::MAX)) > MAX_EVENTS {
        return Err(Fault::of(node, path, format!("expected at most {MAX_EVENTS} events")));
    }
    for n in 1..=repeat {
        let number = n.to_string();
        let input = match (&line, &fields) {
            (Some(line), None) => Input::Line {
                line: line.replace("{n}", &number),
                log_type: log_type.clone(),
            },
            (None, Some(fields)) if log_type.is_none() => {
                let Json::Object(fields) = filled(fields, &number) else {
                    return Err(Fault::of(node, path, "expected fields as a map"));
                };
                if fields.is_empty() {
                    return Err(Fault::of(node, path, "expected at least one field"));
                }
                Input::Fields(fields)
            }
            _ => {
                let reason = "expected either line, with or without log_type, or fields";
                return Err(Fault::of(node, path, reason));
            }
        };
        out.push(TimedInput {
            at: at + every * (n - 1),
            input,
        });
    }
    Ok(())
}

fn bad_offset(node: &Node, path: &str, key: &str) -> Fault {
    Fault::of(
        node,
        format!("{path}.{key}"),
        "expected a time such as +30s, 5m, 2h or 1d",
    )
}

/// Microseconds of `+30s` and the like.
fn offset(text: &str) -> Option<i64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text
        .strip_suffix(['s', 'm', 'h', 'd'])
        .is_some_and(|digits| digits == "0")
    {
        return Some(0);
    }
    // The longest is ten years, which 20,000 times over is still within range.
    Timespan::parse(text).map(Timespan::micros)
}

fn filled(value: &Json, number: &str) -> Json {
    match value {
        Json::String(text) => Json::String(text.replace("{n}", number)),
        Json::Array(items) => Json::Array(items.iter().map(|item| filled(item, number)).collect()),
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), filled(value, number)))
                .collect(),
        ),
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, parse_documents};

    const DOCUMENTS: &str = "
title: Failure
id: f1
name: failure
logsource: {product: linux}
detection: {s: {outcome: failure}, condition: s}
---
title: Many failures
id: c1
name: many
correlation: {type: event_count, rules: failure, group-by: address, timespan: 1m, condition: {gte: 5}}
---
title: Many users
id: c2
correlation: {type: value_count, rules: failure, group-by: address, timespan: 1m, condition: {field: user, gte: 3}}
---
title: Twice many
id: c3
correlation: {type: event_count, rules: many, group-by: address, timespan: 1h, condition: {gte: 2}}
";

    fn run(correlation: &str, test: &str) -> Vec<String> {
        let (mut rules, mut correlations) = (Vec::new(), Vec::new());
        for document in parse_documents("c.yml", DOCUMENTS) {
            match document.unwrap() {
                Document::Rule(rule) => rules.push(rule),
                Document::Correlation(correlation) => correlations.push(correlation),
                Document::Filter(_) => {}
            }
        }
        let tested = correlations.iter().find(|known| known.id == correlation).unwrap();
        let test = SequenceTest::parse("c.test.yml", test).unwrap();
        let pool = Pool {
            rules: &rules,
            correlations: &correlations,
            filters: &[],
        };
        let report = test.run(tested, pool, None);
        assert_eq!((report.run, report.skipped), (test.cases.len(), 0));
        report.failures.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sequences_do_what_they_say() {
        let failures = run(
            "c1",
            "positive:
  - events: [{at: +0s, fields: {outcome: failure, address: 203.0.113.7}, repeat: 5, every: 15s}]
    alerts: [[203.0.113.7]]
negative:
  - events: [{at: +0s, fields: {outcome: failure, address: 203.0.113.7}, repeat: 5, every: 16s}]
  - events: [{at: +0s, fields: {outcome: failure, address: '203.0.113.{n}'}, repeat: 20, every: 1s}]
",
        );
        assert_eq!(failures, [""; 0]);
        let failures = run(
            "c2",
            "positive:
  - events: [{at: +0s, fields: {outcome: failure, address: A, user: 'u{n}'}, repeat: 3, every: 15s}]
    alerts: [a]
negative:
  - events: [{at: +0s, fields: {outcome: failure, address: A, user: root}, repeat: 30, every: 1s}]
",
        );
        assert_eq!(failures, [""; 0]);
        let failures = run(
            "c3",
            "positive:
  - events: [{at: +0s, fields: {outcome: failure, address: A}, repeat: 40, every: 10s}]
negative:
  - events: [{at: +0s, fields: {outcome: failure, address: A}, repeat: 40, every: 20s}]
",
        );
        assert_eq!(failures, [""; 0]);
    }

    #[test]
    fn what_goes_wrong_is_named() {
        let failures = run(
            "c1",
            "positive:
  - {name: slow, events: [{at: +0s, fields: {outcome: failure, address: A}, repeat: 5, every: 16s}]}
negative:
  - {name: fast, events: [{at: +0s, fields: {outcome: failure, address: A}, repeat: 5, every: 1s}]}
",
        );
        assert_eq!(
            failures,
            [
                "c.test.yml:2: positive: `Many failures` on `slow`: expected an alert, got none",
                "c.test.yml:4: negative: `Many failures` on `fast`: expected no alert, got some for {[\"a\"]}",
            ]
        );
        for (yaml, expected) in [
            (
                "positive: [{events: []}]",
                "positive.events: expected at least one event",
            ),
            (
                "positive: [{events: [{at: soon, fields: {a: b}}]}]",
                "expected a time such as +30s",
            ),
            ("positive: [{events: [{at: +1s}]}]", "expected either line"),
            (
                "positive: [{events: [{fields: {a: b}, repeat: 0}]}]",
                "expected at and every",
            ),
            (
                "positive: [{events: [{fields: {a: b}}], alerts: []}]",
                "expected at least one group",
            ),
            (
                "positive: [{events: [{fields: {a: b}, repeat: 19999}, {fields: {a: b}, repeat: 2}]}]",
                "at most 20000",
            ),
        ] {
            let error = SequenceTest::parse("c.test.yml", yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} lacks {expected}");
        }
    }
}
