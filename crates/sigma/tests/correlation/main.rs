//! Correlations find what they say, whatever happens to the events on their way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test helper fails by panicking")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "numbers here are small"
)]

mod examples;
mod generate;
mod reference;
mod store;

use std::collections::BTreeSet;

use model::{Event, Tenant, Timestamp};
use proptest::prelude::*;
use sigma::correlation::{Correlations, Neighbours, StateKey, Windows};

use generate::{compile, documents, events, kinds};
use store::{Read, Store};

fn observe(windows: &mut Windows<'_>, events: &[Event]) {
    for event in events {
        for kind in kinds(event) {
            windows.observe(kind, event);
        }
    }
}

/// What is announced, of silent correlations too.
fn announced(windows: &Windows<'_>) -> BTreeSet<String> {
    windows
        .states()
        .iter()
        .filter_map(|(key, state)| {
            let finding = state.announced.as_ref()?.finding.as_ref()?;
            Some(format!("{key:?} {:?} {finding:?}", state.group))
        })
        .collect()
}

fn in_memory<'c>(correlations: &'c Correlations, events: &[Event]) -> Windows<'c> {
    let mut windows = Windows::new(correlations, Tenant::default());
    observe(&mut windows, events);
    windows.finish();
    windows
}

/// Whether a limit was hit somewhere that makes verdicts inexact, such as negative numbers among more positive ones than
/// are needed.
fn overflowed(correlations: &Correlations, windows: &Windows<'_>) -> bool {
    windows.states().keys().any(|key| {
        let state = |window| windows.states().get(&StateKey { window, ..*key });
        let windows = Neighbours {
            previous: state(key.window - 1),
            this: state(key.window),
            next: state(key.window + 1),
        };
        correlations.get(key.correlation).unwrap().overflowed(windows)
    })
}

/// What one has and the other has not.
fn difference(left: &BTreeSet<String>, right: &BTreeSet<String>) -> Vec<String> {
    left.symmetric_difference(right).cloned().collect()
}

/// `PROPTEST_CASES` overrides the number of cases.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let overridden = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if overridden { default.cases } else { cases },
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn windows_find_what_looking_at_all_events_at_once_finds(documents in documents(), events in events(60)) {
        let correlations = compile(&documents);
        let mut expected = reference::alerts(&correlations, &events);
        let windows = in_memory(&correlations, &events);
        if overflowed(&correlations, &windows) {
            // Not exact, and said so.
            return Ok(());
        }
        let mut found = BTreeSet::new();
        for (key, state) in windows.states() {
            let Some(finding) = state.announced.as_ref().and_then(|announced| announced.finding.as_ref()) else {
                continue;
            };
            let id = correlations.get(key.correlation).unwrap().definition().id.clone();
            let group: Vec<String> = state.group.iter().map(|value| value.to_lowercase()).collect();
            let seen = (id, group, key.window, finding.trigger.0, finding.value.to_bits());
            if finding.at_least {
                // The number is a lower bound; that the condition holds, since when and for whom is exact.
                let same = |other: &reference::Seen| (&other.0, &other.1, other.2, other.3) == (&seen.0, &seen.1, seen.2, seen.3);
                let value = expected.iter().find(|other| same(other)).map(|other| f64::from_bits(other.4));
                prop_assert!(value.is_some_and(|value| value >= finding.value), "{:?} {}", seen, documents);
                expected.retain(|other| !same(other));
            } else {
                found.insert(seen);
            }
        }
        prop_assert_eq!(found, expected, "{}", documents);
    }

    #[test]
    fn order_repetition_and_when_time_passes_do_not_matter(
        documents in documents(), events in events(60), order in any::<u64>(), cuts in proptest::collection::vec((0..60_usize, -40..80_i64), 0..6),
    ) {
        let correlations = compile(&documents);
        let expected = announced(&in_memory(&correlations, &events));
        let mut shuffled: Vec<&Event> = events.iter().chain(&events).collect();
        shuffled.sort_by_key(|event| (event.id.seq ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left((order % 64) as u32));
        let mut windows = Windows::new(&correlations, Tenant::default());
        for (at, event) in shuffled.into_iter().enumerate() {
            observe(&mut windows, std::slice::from_ref(event));
            if let Some((_, now)) = cuts.iter().find(|(cut, _)| *cut == at) {
                windows.advance(Timestamp(*now * 1_000_000));
            }
        }
        windows.finish();
        prop_assert_eq!(difference(&announced(&windows), &expected), [""; 0], "{}", documents);
    }

    #[test]
    fn detectors_that_share_states_and_crash_agree(
        documents in documents(), events in events(50), order in any::<u64>(),
        steps in proptest::collection::vec((0..50_usize, 0..50_usize, 0..8_u8, -40..80_i64), 1..12),
    ) {
        let correlations = compile(&documents);
        let expected = announced(&in_memory(&correlations, &events));
        let mut shuffled = events.clone();
        shuffled.sort_by_key(|event| (event.id.seq ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut store = Store::new(&correlations);
        let mut slow: Vec<Read> = Vec::new();
        for (from, length, how, now) in steps {
            let batch: Vec<Event> = shuffled.iter().skip(from).take(length).cloned().collect();
            let contributions = store.contributions(&batch);
            let touched = store.merge(contributions);
            store.now = store.now.max(Timestamp(now * 1_000_000));
            for (number, key) in touched.into_iter().enumerate() {
                match how {
                    // Stops before it has judged everything.
                    0 if number > 1 => break,
                    // Reads, and is slow to write.
                    1 | 2 => slow.push(store.read(&key)),
                    _ => {
                        let read = store.read(&key);
                        store.write(read);
                    }
                }
            }
            if how == 3 {
                // Some of the slow ones stop for good.
                slow.truncate(slow.len() / 2);
                std::mem::take(&mut slow).into_iter().for_each(|read| store.write(read));
            }
            if how == 4 {
                store.wake();
            }
        }
        // Whatever was not marked done is done again, by several, and the slow ones write last.
        for batch in shuffled.chunks(7) {
            let contributions = store.contributions(batch);
            for key in store.merge(contributions) {
                let read = store.read(&key);
                store.write(read);
            }
        }
        slow.into_iter().for_each(|read| store.write(read));
        store.now = Timestamp(i64::MAX);
        store.wake();
        prop_assert_eq!(difference(&store.alerts(), &expected), [""; 0], "{}", documents);
    }
}

proptest! {
    #![proptest_config(config(60))]

    /// Many events in few windows, so that states are thinned.
    #[test]
    fn what_is_left_out_of_a_state_changes_nothing(documents in documents(), events in events(400), cut in 0..400_usize) {
        let correlations = compile(&documents.replace("3s", "30s").replace("7s", "25s"));
        let whole = in_memory(&correlations, &events);
        let (first, second) = events.split_at(cut.min(events.len()));
        let mut left = Windows::new(&correlations, Tenant::default());
        observe(&mut left, second);
        let mut right = Windows::new(&correlations, Tenant::default());
        observe(&mut right, first);
        left.merge(right.states());
        left.finish();
        prop_assert_eq!(difference(&announced(&left), &announced(&whole)), [""; 0], "{}", documents);
        if overflowed(&correlations, &whole) {
            // Not exact, and said so.
            return Ok(());
        }
        let found: BTreeSet<_> = whole.states().iter().filter_map(|(key, state)| {
            let finding = state.announced.as_ref()?.finding.as_ref()?;
            let definition = correlations.get(key.correlation)?.definition();
            let group: Vec<String> = state.group.iter().map(|value| value.to_lowercase()).collect();
            Some((definition.id.clone(), group, key.window, finding.trigger.0))
        }).collect();
        let expected: BTreeSet<_> = reference::alerts(&correlations, &events)
            .into_iter()
            .map(|(id, group, window, trigger, _)| (id, group, window, trigger))
            .collect();
        prop_assert_eq!(found, expected, "{}", documents);
    }
}
