//! The engine and a plain second evaluator agree on generated rules and events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

mod generate;
mod json;
mod reference;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sigma::{RuleSet, Scratch};

use generate::{event, rules};

#[test]
fn the_engine_agrees_with_the_reference() {
    let config = ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let matches = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(
        &(rules(), proptest::collection::vec(event(), 1..8)),
        |(rules, events)| {
            let (set, refused) = RuleSet::compile(rules);
            prop_assert!(refused.is_empty());
            let mut scratch = Scratch::new();
            for event in &events {
                let mut hits = Vec::new();
                set.evaluate(event, &mut scratch, &mut hits);
                let all = || set.rules().iter().enumerate();
                let expected: Vec<usize> = all()
                    .filter_map(|(number, rule)| reference::matches(rule, event).then_some(number))
                    .collect();
                let texts = || all().map(|(_, rule)| rule.yaml.as_str()).collect::<String>();
                prop_assert_eq!(&hits, &expected, "{:?}\n{}", event.fields, texts());
                for (number, rule) in all() {
                    let explained = sigma::explain(rule, sigma::Catalog::builtin(), event).unwrap();
                    prop_assert_eq!(
                        explained.matched,
                        hits.contains(&number),
                        "{:?}\n{}",
                        event.fields,
                        rule.yaml
                    );
                    prop_assert_eq!(explained.missing.is_empty(), explained.matched);
                }
                matches.set(matches.get() + hits.len());
            }
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(
        matches.get() > 1000,
        "only {} matches: the generators miss each other",
        matches.get()
    );
}
