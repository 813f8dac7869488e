//! The engine and a plain second evaluator agree on generated rules and events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

mod generate;
mod json;
mod reference;

use model::{Event, Timestamp, Value};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sigma::{Columns, RuleSet, Scratch};

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
            let mut by_columns = vec![Vec::new(); events.len()];
            set.evaluate_columns(&Table::of(&events), &mut scratch, |row, hits| {
                by_columns[row] = hits.to_vec()
            });
            for (event, by_columns) in events.iter().zip(by_columns) {
                let mut hits = Vec::new();
                set.evaluate(event, &mut scratch, &mut hits);
                prop_assert_eq!(&hits, &by_columns, "as columns: {:?}", event.fields);
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
