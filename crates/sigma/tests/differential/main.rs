//! The engine and a plain second evaluator agree on generated rules and events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

mod generate;
mod json;
mod reference;

use std::cell::Cell;

use model::{Event, Timestamp, Value};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sigma::{Catalog, Columns, Resolved, RuleSet, Scratch};

use generate::{event, rules};

/// Events by column.
struct Table<'a> {
    events: &'a [Event],
    names: Vec<&'a str>,
}

impl<'a> Table<'a> {
    fn of(events: &'a [Event]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in events.iter().flat_map(|event| event.fields.iter()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Self { events, names }
    }
}

impl Columns for Table<'_> {
    fn rows(&self) -> usize {
        self.events.len()
    }

    fn time(&self, row: usize) -> Timestamp {
        self.events[row].timestamp
    }

    fn columns(&self) -> usize {
        self.names.len()
    }

    fn name(&self, column: usize) -> &str {
        self.names[column]
    }

    fn value(&self, column: usize, row: usize) -> Option<&Value> {
        self.events[row].fields.get(self.names[column])
    }
}

/// Each case compares all its rules with all its events.
const CASES: u32 = 560;

/// What the run must have compared, with the reference each.
const PAIRS: usize = 200_000;

#[test]
fn the_engine_agrees_with_the_reference_on_hundreds_of_thousands_of_pairs() {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (pairs, matches) = (Cell::new(0), Cell::new(0));
    let result = TestRunner::new(config).run(
        &(rules(1..24), proptest::collection::vec(event(), 1..96)),
        |(rules, events)| {
            let (set, refused) = RuleSet::compile(rules);
            prop_assert!(refused.is_empty());
            let references: Vec<Resolved> = set
                .rules()
                .iter()
                .map(|rule| Catalog::builtin().resolve(rule).unwrap())
                .collect();
            let texts = || set.rules().iter().map(|rule| rule.yaml.as_str()).collect::<String>();
            let mut scratch = Scratch::new();
            let mut by_columns = vec![Vec::new(); events.len()];
            set.evaluate_columns(&Table::of(&events), &mut scratch, |row, hits| {
                by_columns[row] = hits.to_vec()
            });
            for (event, by_columns) in events.iter().zip(by_columns) {
                let mut hits = Vec::new();
                set.evaluate(event, &mut scratch, &mut hits);
                prop_assert_eq!(&hits, &by_columns, "as columns: {:?}", event.fields);
                let expected: Vec<usize> = references
                    .iter()
                    .enumerate()
                    .filter(|(_, rule)| reference::matches(rule, event))
                    .map(|(number, _)| number)
                    .collect();
                prop_assert_eq!(&hits, &expected, "{:?}\n{}", event.fields, texts());
                pairs.set(pairs.get() + references.len());
                matches.set(matches.get() + hits.len());
            }
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
    let (pairs, matches) = (pairs.get(), matches.get());
    assert!(pairs >= PAIRS, "only {pairs} pairs");
    assert!(
        matches > pairs / 20,
        "{matches} matches of {pairs} pairs: the generators miss each other"
    );
}

#[test]
fn what_is_explained_is_what_the_engine_says() {
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(
        &(rules(1..8), proptest::collection::vec(event(), 1..8)),
        |(rules, events)| {
            let (set, _) = RuleSet::compile(rules);
            let mut scratch = Scratch::new();
            for event in &events {
                let mut hits = Vec::new();
                set.evaluate(event, &mut scratch, &mut hits);
                for (number, rule) in set.rules().iter().enumerate() {
                    let explained = sigma::explain(rule, Catalog::builtin(), event).unwrap();
                    prop_assert_eq!(
                        explained.matched,
                        hits.contains(&number),
                        "{:?}\n{}",
                        event.fields,
                        rule.yaml
                    );
                    prop_assert_eq!(explained.missing.is_empty(), explained.matched);
                }
            }
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
}
