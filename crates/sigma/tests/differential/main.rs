//! The engine and a plain second evaluator agree on generated rules and events.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]

mod generate;
mod json;
mod reference;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use model::{Event, Timestamp, Value};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sigma::{Catalog, Columns, Resolved, RuleSet, Scratch};

use generate::{event, rules};

/// Events by column, each distinct value of a column once.
struct Table<'a> {
    events: &'a [Event],
    columns: Vec<Column<'a>>,
    shapes: Vec<Vec<u32>>,
    shape_of: Vec<usize>,
}

struct Column<'a> {
    name: &'a str,
    values: Vec<Value>,
    indexes: Vec<u32>,
}

impl<'a> Table<'a> {
    fn of(events: &'a [Event]) -> Self {
        let mut table = Self {
            events,
            columns: Vec::new(),
            shapes: Vec::new(),
            shape_of: Vec::new(),
        };
        for event in events {
            let shape: Vec<u32> = event
                .fields
                .iter()
                .map(|(name, value)| table.add(name, value))
                .collect();
            let known = table.shapes.iter().position(|known| *known == shape);
            table.shape_of.push(known.unwrap_or(table.shapes.len()));
            if known.is_none() {
                table.shapes.push(shape);
            }
        }
        table
    }

    fn add(&mut self, name: &'a str, value: &Value) -> u32 {
        let known = self.columns.iter().position(|column| column.name == name);
        let number = known.unwrap_or(self.columns.len());
        if known.is_none() {
            self.columns.push(Column {
                name,
                values: Vec::new(),
                indexes: Vec::new(),
            });
        }
        let column = &mut self.columns[number];
        // Whole numbers are not made distinct, as in blocks.
        let same = |known: &Value| known == value && !matches!(value, Value::Int(_));
        let index = column.values.iter().position(same);
        column.indexes.push(index.unwrap_or(column.values.len()) as u32);
        if index.is_none() {
            column.values.push(value.clone());
        }
        number as u32
    }
}

impl Columns for Table<'_> {
    fn rows(&self) -> usize {
        self.events.len()
    }

    fn time(&self, row: usize) -> Timestamp {
        self.events[row].timestamp
    }

    fn shape(&self, row: usize) -> usize {
        self.shape_of[row]
    }

    fn shapes(&self) -> usize {
        self.shapes.len()
    }

    fn fields(&self, shape: usize) -> &[u32] {
        &self.shapes[shape]
    }

    fn columns(&self) -> usize {
        self.columns.len()
    }

    fn name(&self, column: usize) -> &str {
        self.columns[column].name
    }

    fn values(&self, column: usize) -> &[Value] {
        &self.columns[column].values
    }

    fn indexes(&self, column: usize) -> Option<&[u32]> {
        let column = &self.columns[column];
        (column.values.len() < column.indexes.len()).then_some(&column.indexes)
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
            // The second time, all is known of their values.
            let twice = [events.as_slice(), events.as_slice()].concat();
            let mut by_columns = vec![Vec::new(); twice.len()];
            set.evaluate_columns(&Table::of(&twice), &mut scratch, |row, hits| {
                by_columns[row] = hits.to_vec()
            });
            let (once, again) = by_columns.split_at(events.len());
            for ((event, by_columns), again) in events.iter().zip(once).zip(again) {
                let mut hits = Vec::new();
                set.evaluate(event, &mut scratch, &mut hits);
                prop_assert_eq!(&hits, by_columns, "as columns: {:?}", event.fields);
                prop_assert_eq!(&hits, again, "as columns again: {:?}", event.fields);
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
fn rules_and_fields_are_seen_in_columns_exactly_when_single_events_have_them() {
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(
        &(rules(1..24), proptest::collection::vec(event(), 1..24)),
        |(rules, events)| {
            let (set, _) = RuleSet::compile(rules);
            let mut counting = Scratch::new();
            counting.start_profile(1);
            for event in &events {
                set.evaluate(event, &mut counting, &mut Vec::new());
            }
            let mut expected: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
            for (rule, counted) in set.take_profile(&mut counting).rules.iter().enumerate() {
                if counted.seen > 0 {
                    let had = counted.fields.iter().filter(|(_, count)| *count > 0);
                    expected.insert(rule, had.map(|(name, _)| name.to_string()).collect());
                }
            }

            let mut scratch = Scratch::new();
            let mut told = |block: &[Event]| {
                set.evaluate_columns(&Table::of(block), &mut scratch, |_, _| {});
                set.take_seen(&mut scratch)
            };
            let mut seen: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
            for one in events.chunks(5).flat_map(&mut told) {
                let fields = one.fields.iter().map(ToString::to_string);
                seen.entry(one.rule).or_default().extend(fields);
            }
            prop_assert_eq!(&seen, &expected);
            prop_assert!(events.chunks(5).flat_map(&mut told).next().is_none(), "told twice");
            scratch.forget_seen();
            set.evaluate_columns(&Table::of(&events), &mut scratch, |_, _| {});
            let rules = set
                .take_seen(&mut scratch)
                .iter()
                .map(|seen| seen.rule)
                .collect::<BTreeSet<_>>();
            prop_assert_eq!(rules, expected.into_keys().collect());
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
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
