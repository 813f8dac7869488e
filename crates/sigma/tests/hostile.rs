//! Text and events nobody would write in good faith: refused or evaluated, never a panic, never without an end.

#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp, Value};
use proptest::prelude::*;
use sigma::ruletest::RuleTest;
use sigma::{RuleSet, Scratch, parse_rules};

const RULE: &str = "title: T\nid: t1\nlogsource:\n  product: linux\ndetection:\n  sel_a:\n    CommandLine|contains|all: \
                    ['a*b', \"c\\\\?\"]\n    b|re|i: '^x+[a-z]{2}$'\n  sel_b:\n    - c|cidr: 10.0.0.0/8\n    - d: null\n  \
                    k: [word, 5]\n  condition: 1 of sel_* and not k or (sel_b and k)\nlevel: high\n";

fn event(fields: Fields) -> Event {
    let id = EventId {
        source: SourceId::named("test", "test"),
        epoch: Epoch(1),
        seq: 0,
    };
    Event {
        id,
        timestamp: Timestamp(i64::MIN),
        fields,
    }
}

fn evaluate(rules: &str, events: &[Event]) -> Vec<usize> {
    let rules = parse_rules("t.yml", rules).into_iter().map(Result::unwrap).collect();
    let (set, refused) = RuleSet::compile(rules);
    assert!(refused.is_empty());
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    for event in events {
        set.evaluate(event, &mut scratch, &mut hits);
    }
    hits
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_rule_or_refused(text in "(?s).{0,200}") {
        prop_assert!(!parse_rules("t.yml", &text).is_empty());
        let _ = RuleTest::parse("t.test.yml", &text);
    }

    #[test]
    fn a_damaged_rule_is_a_rule_or_refused(
        at in 0..RULE.len(), cut in 0..20_usize, insert in r"[\PC\n:|\[\]{}'*&!%>-]{0,8}",
    ) {
        let (start, end) = (RULE.floor_char_boundary(at), RULE.floor_char_boundary((at + cut).min(RULE.len())));
        let damaged = format!("{}{insert}{}", &RULE[..start], &RULE[end..]);
        let rules: Vec<_> = parse_rules("t.yml", &damaged).into_iter().filter_map(Result::ok).collect();
        let (set, _) = RuleSet::compile(rules);
        let mut fields = Fields::new();
        fields.insert("CommandLine", "axb c?");
        set.evaluate(&event(fields), &mut Scratch::new(), &mut Vec::new());
    }

    #[test]
    fn any_condition_is_a_condition_or_refused(condition in "( |a|b|_c|not|and|or|of|them|all|1|9|\\*|\\(|\\)|\\|){0,40}") {
        let text = RULE.replace("1 of sel_* and not k or (sel_b and k)", &format!("'{condition}'"));
        let _ = parse_rules("t.yml", &text);
    }
}

#[test]
fn the_undamaged_rule_is_a_rule() {
    assert!(parse_rules("t.yml", RULE).iter().all(Result::is_ok));
}

#[test]
fn events_of_every_shape_are_evaluated() {
    let mut nested = Value::from("word");
    for _ in 0..10_000 {
        nested = Value::from(vec![nested]);
    }
    let mut wide = Fields::new();
    for number in 0..model::event::MAX_FIELDS {
        wide.insert(format!("field {number}"), "x");
    }
    let mut odd = Fields::new();
    odd.insert("", "empty name");
    odd.insert(
        "CommandLine",
        Value::from(vec![Value::Float(f64::MAX), Value::Int(i64::MIN), Value::Null]),
    );
    odd.insert("c", "\u{0}\u{fffd}");
    let mut long = Fields::new();
    long.insert("CommandLine", "ab".repeat(4 << 20));
    let mut deep = Fields::new();
    deep.insert("CommandLine", nested);
    let events = [Fields::new(), wide, odd, long, deep].map(event);
    evaluate(RULE, &events);
    // A list of that depth cannot be dropped without recursion either; its end is not what this test is about.
    std::mem::forget(events);
}

#[test]
fn patterns_do_not_backtrack() {
    let stars = "*a".repeat(2000);
    let rule =
        format!("title: T\nid: t1\nlogsource: {{product: linux}}\ndetection: {{s: {{m: '{stars}b'}}, condition: s}}\n");
    let mut fields = Fields::new();
    fields.insert("m", "a".repeat(1 << 20));
    assert!(evaluate(&rule, &[event(fields)]).is_empty());
}

#[test]
fn one_scratch_serves_several_rule_sets() {
    let rule = |id: &str, value: &str| {
        format!("title: T\nid: {id}\nlogsource: {{product: linux}}\ndetection: {{s: {{m: {value}}}, condition: s}}\n")
    };
    let set = |text: String| RuleSet::compile(parse_rules("t.yml", &text).into_iter().map(Result::unwrap).collect()).0;
    let small = set(rule("a", "x"));
    let large = set((0..50)
        .map(|n| format!("---\n{}", rule(&format!("r{n}"), &format!("v{n}"))))
        .collect());
    let mut fields = Fields::new();
    fields.insert("m", "v49");
    let (first, mut fields) = (event(fields.clone()), fields);
    fields.insert("m", "x");
    let second = event(fields);
    let mut scratch = Scratch::new();
    let mut run = |set: &RuleSet, event: &Event| {
        let mut hits = Vec::new();
        set.evaluate(event, &mut scratch, &mut hits);
        hits
    };
    for _ in 0..3 {
        assert_eq!(run(&small, &second), [0]);
        assert_eq!(run(&large, &first), [49]);
        assert!(run(&small, &first).is_empty());
        assert!(run(&large, &second).is_empty());
    }
    assert!(run(&RuleSet::default(), &first).is_empty());
}

#[test]
fn of_rules_with_one_id_the_first_is_taken() {
    let text = format!("{RULE}---\n{RULE}");
    let (set, refused) = RuleSet::compile(parse_rules("t.yml", &text).into_iter().map(Result::unwrap).collect());
    assert_eq!(set.len(), 1);
    assert_eq!(
        refused[0].to_string(),
        "t.yml: id: expected an id of its own, got t1 again"
    );
}
