//! Explanations: what they say of matches, near misses and closed gates, and that they agree with the engine.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test helper fails by panicking"
)]

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::{Value as Json, json};
use sigma::explain::Step;
use sigma::{Catalog, Document, Explanation, Filter, Rule, explain, explain_with, parse_documents, parse_rules};

const RULE: &str = "title: Download\nid: r1\nlogsource: {product: linux}\ndetection:\n  selection:\n    process.name:\n      - \
                    curl\n      - wget\n    CommandLine|contains|all: ['-o', http]\n  filter_main:\n    - user.name: apt\n    - \
                    user.name: backup\n  condition: selection and not 1 of filter_*\n";

fn rule(yaml: &str) -> Rule {
    parse_rules("r.yml", yaml).remove(0).unwrap()
}

fn event(fields: &Json) -> Event {
    let mut all = Fields::new();
    all.insert_json("", fields.as_object().unwrap());
    Event {
        id: EventId {
            source: SourceId::named("t", "t"),
            epoch: Epoch(1),
            seq: 0,
        },
        timestamp: Timestamp(0),
        fields: all,
    }
}

fn explained(yaml: &str, fields: &Json) -> Explanation {
    explain(&rule(yaml), Catalog::builtin(), &event(fields)).unwrap()
}

#[test]
fn a_match_tells_the_field_that_was_looked_at_and_its_value() {
    let found = explained(
        RULE,
        &json!({"process.name": "WGET", "process.command_line": "wget -o x http://a"}),
    );
    assert!(found.matched && found.gate.passed && found.missing.is_empty());
    assert_eq!(found.conditions, ["selection and not 1 of filter_*"]);
    let item = &found.searches[0].alternatives[0].items[1];
    assert_eq!(
        (item.key.as_str(), item.line, item.all),
        ("CommandLine|contains|all", 9, true)
    );
    assert_eq!(item.seen[0].field.as_deref(), Some("CommandLine"));
    assert_eq!(item.seen[0].name.as_deref(), Some("process.command_line"));
    assert_eq!(item.seen[0].value, Some(json!("wget -o x http://a")));
    let names = &found.searches[0].alternatives[0].items[0];
    assert_eq!(
        names.values.iter().map(|value| value.matches).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn a_miss_tells_the_fewest_items_that_are_in_the_way() {
    let found = explained(
        RULE,
        &json!({"process.name": "curl", "process.command_line": "curl http://a"}),
    );
    assert!(!found.matched && !found.detected);
    assert_eq!(found.missing.len(), 1);
    let missing = &found.missing[0];
    assert_eq!(missing.search.as_deref(), Some("selection"));
    assert_eq!(
        (missing.key.as_str(), missing.line),
        ("CommandLine|contains|all", Some(9))
    );
    assert_eq!(
        missing.reason,
        "process.command_line is \"curl http://a\"; expected \"-o\""
    );

    let filtered = explained(
        RULE,
        &json!({"process.name": "curl", "CommandLine": "curl -o http://a", "user": {"name": "backup"}}),
    );
    assert_eq!(filtered.missing.len(), 1);
    assert!(!filtered.missing[0].must_hold);
    assert_eq!(
        filtered.missing[0].reason,
        "user.name is \"backup\", which the condition rules out"
    );
    assert!(matches!(&filtered.condition, Step::All { holds: false, terms } if terms.len() == 2));

    let absent = explained(RULE, &json!({"process.name": "curl"}));
    assert!(
        absent.missing[0]
            .reason
            .starts_with("CommandLine is not there; expected all of")
    );
}

#[test]
fn a_closed_gate_tells_what_the_event_would_have_to_be() {
    let yaml = "title: T\nid: r\nlogsource: {product: windows, category: process_creation}\ndetection:\n  s: {Image: a}\n  \
                condition: s\n";
    let found = explained(yaml, &json!({"Image": "a", "EventID": 1, "Channel": "Security"}));
    assert!(found.detected && !found.gate.passed && !found.matched);
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.missing[0].key, "logsource");
    assert!(
        found.missing[0].reason.contains("category process_creation"),
        "{found:?}"
    );
    assert!(!found.gate.unmet.is_empty());
}

#[test]
fn keywords_tell_where_they_were_found() {
    let yaml = "title: T\nid: r\nlogsource: {product: linux}\ndetection:\n  words: [evil, bad]\n  condition: words\n";
    let found = explained(yaml, &json!({"message": "an EVIL thing", "agent.name": "evil"}));
    assert!(found.matched);
    let item = &found.searches[0].alternatives[0].items[0];
    assert_eq!(item.seen.len(), 1);
    assert_eq!(item.seen[0].name.as_deref(), Some("message"));
    let missed = explained(yaml, &json!({"message": "a good thing"}));
    assert_eq!(missed.missing[0].reason, "no field has it; expected \"evil\"");
}

#[test]
fn the_json_form_is_read_back_as_it_was() {
    let found = explained(RULE, &json!({"process.name": "curl"}));
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), found);
    let value: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(value["condition"]["kind"], "all");
    assert_eq!(
        value["condition"]["terms"][0],
        json!({"kind": "search", "holds": false, "name": "selection"})
    );
}

#[test]
fn counted_conditions_ask_for_as_many_as_are_missing() {
    let yaml = "title: T\nid: r\nlogsource: {product: linux}\ndetection:\n  a: {x: 1}\n  b: {x: 2, y: 3}\n  c: {z: 4}\n  \
                condition: 2 of them\n";
    let found = explained(yaml, &json!({"q": 1}));
    assert_eq!(found.missing.len(), 2);
    let one = explained(yaml, &json!({"z": 4}));
    assert_eq!(one.missing.len(), 1);
    assert_eq!(one.missing[0].search.as_deref(), Some("a"));
}

#[test]
fn a_filter_that_takes_the_event_away_is_told() {
    let filter = |id: &str, logsource: &str| -> Filter {
        let yaml = format!(
            "title: Admins {id}\nid: {id}\nlogsource: {logsource}\nfilter:\n  rules: any\n  selection: \
             {{User|startswith: adm_}}\n  condition: selection\n"
        );
        match parse_documents("f.yml", &yaml).remove(0).unwrap() {
            Document::Filter(filter) => filter,
            Document::Rule(_) | Document::Correlation(_) => panic!("expected a filter"),
        }
    };
    let filters = [filter("f1", "{product: linux}"), filter("f2", "{product: windows}")];
    let explained = |user: &str| {
        let fields = json!({"process.name": "curl", "process.command_line": "curl -o x http://a", "user.name": user});
        explain_with(&rule(RULE), Catalog::builtin(), &filters, &event(&fields)).unwrap()
    };
    let found = explained("adm_1");
    assert!(found.gate.passed && found.detected && !found.matched);
    assert_eq!(found.filters.len(), 1, "one of another logsource is not for the rule");
    assert!(found.filters[0].excludes);
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.missing[0].key, "filter");
    assert_eq!(
        found.missing[0].reason,
        "the filter Admins f1 (f1) takes the event away"
    );
    let kept = explained("eve");
    assert!(kept.matched && !kept.filters[0].excludes && kept.missing.is_empty());
}
