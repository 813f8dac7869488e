//! The single-event part of the Sigma 2.1 specification, line by line: each test is named after what it covers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test helper fails by panicking and tells what it skips"
)]

mod conditions;
mod correlations;
mod detections;
mod files;
mod filters;
mod logsources;
mod modifiers;
mod pipelines;
#[path = "../differential/reference.rs"]
mod reference;
mod refusals;
mod simple;

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::Value as Json;
use sigma::{Catalog, Rule, RuleSet, Scratch, parse_rules};

fn event(json: &Json) -> Event {
    let mut fields = Fields::new();
    fields.insert_json("", json.as_object().unwrap());
    let id = EventId {
        source: SourceId::named("test", "test"),
        epoch: Epoch(1),
        seq: 0,
    };
    Event {
        id,
        timestamp: "2026-03-14T15:09:26Z".parse::<Timestamp>().unwrap(),
        fields,
    }
}

/// A rule with this detection, each line of which is indented by the caller or not at all.
fn rule_text(detection: &str) -> String {
    let body: String = detection
        .trim_matches('\n')
        .lines()
        .map(|line| format!("  {line}\n"))
        .collect();
    format!("title: Test\nid: test-1\nlogsource:\n  product: linux\ndetection:\n{body}")
}

fn rule(detection: &str) -> Rule {
    let mut parsed = parse_rules("test.yml", &rule_text(detection));
    assert_eq!(parsed.len(), 1);
    parsed.remove(0).unwrap_or_else(|error| panic!("{error}\n{detection}"))
}

fn rule_matches(rule: &Rule, json: &Json) -> bool {
    let (set, refused) = RuleSet::compile(vec![rule.clone()]);
    assert!(refused.is_empty(), "{refused:?}");
    let mut hits = Vec::new();
    set.evaluate(&event(json), &mut Scratch::new(), &mut hits);
    !hits.is_empty()
}

/// Checks which events a detection matches.
fn check(detection: &str, cases: &[(Json, bool)]) {
    let rule = rule(detection);
    for (json, expected) in cases {
        assert_eq!(rule_matches(&rule, json), *expected, "{detection}\non {json}");
    }
}

/// Checks a detection of one search of one item.
fn check_item(item: &str, cases: &[(Json, bool)]) {
    check(&format!("selection:\n  {item}\ncondition: selection"), cases);
}

/// Checks that a whole document is refused with an error that has `expected` in it.
fn check_refused(document: &str, expected: &str) {
    let results = parse_rules("folder/test.yml", document);
    let errors: Vec<String> = results
        .into_iter()
        .filter_map(|parsed| parsed.and_then(|rule| Catalog::builtin().resolve(&rule)).err())
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?} for\n{document}");
    assert!(
        errors[0].contains(expected),
        "`{}` lacks `{expected}` for\n{document}",
        errors[0]
    );
    assert!(errors[0].starts_with("folder/test.yml:"), "{}", errors[0]);
}

/// Checks that a detection is refused.
fn check_detection_refused(detection: &str, expected: &str) {
    check_refused(&rule_text(detection), expected);
}
