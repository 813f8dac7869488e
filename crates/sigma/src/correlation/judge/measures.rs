//! Conditions on numbers: counts, sums and what else is measured of a window.

use std::collections::{BTreeMap, BTreeSet};

use super::items::{Found, Items, Tally, texts};
use super::rules::RuleTally;
use super::{Item, Measure};
use crate::correlation::definition::Bound;

#[derive(Default)]
struct EventTally(u64);

impl Tally<'_> for EventTally {
    fn enter(&mut self, _: &Item<'_>) {
        self.0 += 1;
    }

    fn leave(&mut self, _: &Item<'_>) {
        self.0 -= 1;
    }
}

#[derive(Default)]
struct ValueTally<'a>(BTreeMap<&'a str, u64>);

impl<'a> Tally<'a> for ValueTally<'a> {
    fn enter(&mut self, item: &Item<'a>) {
        for value in item.1.values.texts() {
            *self.0.entry(value).or_default() += 1;
        }
    }

    fn leave(&mut self, item: &Item<'a>) {
        for value in item.1.values.texts() {
            if let Some(count) = self.0.get_mut(value.as_str()) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(value.as_str());
                }
            }
        }
    }
}

/// A sum that nothing is ever taken off: a number far larger than the others would take their digits with it when it
/// leaves.
#[derive(Default)]
struct SumTally {
    /// What entered last, in order, and its sum.
    entered: Vec<f64>,
    entered_sum: f64,
    /// Of what entered before: sums of each and all that follow it, the oldest last.
    rest: Vec<f64>,
}

impl SumTally {
    fn sum(&self) -> f64 {
        self.rest.last().unwrap_or(&0.0) + self.entered_sum
    }

    fn push(&mut self, number: f64) {
        self.entered.push(number);
        self.entered_sum += number;
    }

    fn pop_oldest(&mut self) {
        if self.rest.is_empty() {
            let mut sum = 0.0;
            while let Some(number) = self.entered.pop() {
                sum += number;
                self.rest.push(sum);
            }
            self.entered_sum = 0.0;
        }
        self.rest.pop();
    }
}

impl Tally<'_> for SumTally {
    fn enter(&mut self, item: &Item<'_>) {
        self.push(item.1.values.sum());
    }

    fn leave(&mut self, _: &Item<'_>) {
        self.pop_oldest();
    }
}

fn within(bounds: &[Bound], number: f64) -> Option<f64> {
    bounds.iter().all(|bound| bound.holds(number)).then_some(number)
}

#[allow(clippy::cast_precision_loss, reason = "what is kept of a window is far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

pub(super) fn slide(items: &Items<'_>, timespan: i64, measure: Measure, bounds: &[Bound]) -> Option<Found> {
    match measure {
        Measure::Events => items.slide(timespan, &mut EventTally::default(), |tally, _| {
            within(bounds, float(tally.0))
        }),
        Measure::DistinctValues => items.slide(timespan, &mut ValueTally::default(), |tally, _| {
            within(bounds, float(tally.0.len() as u64))
        }),
        Measure::DistinctRules => items.slide(timespan, &mut RuleTally::default(), |tally, _| {
            within(bounds, float(tally.0.len() as u64))
        }),
        Measure::Sum => items.slide(timespan, &mut SumTally::default(), |tally, _| {
            within(bounds, tally.sum())
        }),
        // These depend on all events of a window, so that the first of them alone would say nothing.
        Measure::Mean | Measure::Percentile(_) | Measure::Median | Measure::Share => close(items, measure, bounds),
    }
}

pub(super) fn close(items: &Items<'_>, measure: Measure, bounds: &[Bound]) -> Option<Found> {
    let counted = items.in_this();
    if counted.is_empty() {
        return None;
    }
    let mut numbers: Vec<f64> = counted
        .iter()
        .flat_map(|(_, entry)| entry.values.numbers())
        .copied()
        .collect();
    numbers.sort_by(f64::total_cmp);
    let value = match measure {
        Measure::Events => within(bounds, float(counted.len() as u64)),
        Measure::DistinctValues => {
            let values: BTreeSet<&str> = texts(counted).collect();
            within(bounds, float(values.len() as u64))
        }
        Measure::DistinctRules => {
            let matched = counted.iter().fold(0, |bits, (_, entry)| bits | entry.rules);
            within(bounds, f64::from(matched.count_ones()))
        }
        Measure::Sum => within(bounds, numbers.iter().sum()),
        Measure::Mean => {
            let sum: f64 = numbers.iter().sum();
            within(bounds, sum / float(numbers.len() as u64))
        }
        Measure::Percentile(percentile) => nearest_rank(&numbers, percentile).and_then(|number| within(bounds, number)),
        Measure::Median => {
            let low = numbers.get((numbers.len().max(1) - 1) / 2)?;
            let high = numbers.get(numbers.len() / 2)?;
            within(bounds, f64::midpoint(*low, *high))
        }
        Measure::Share => share(counted, bounds),
    }?;
    Some(Found {
        trigger: items.all.len() - 1,
        counted: items.this..items.all.len(),
        value,
    })
}

/// The smallest number that is not exceeded by `percentile` percent of them.
fn nearest_rank(sorted: &[f64], percentile: f64) -> Option<f64> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of values"
    )]
    let rank = (percentile / 100.0 * float(sorted.len() as u64)).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn share(counted: &[Item<'_>], bounds: &[Bound]) -> Option<f64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for text in texts(counted) {
        *counts.entry(text).or_default() += 1;
    }
    let all = counts.values().sum::<u64>();
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable();
    counts
        .into_iter()
        .find_map(|count| within(bounds, float(count) * 100.0 / float(all)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sum_is_that_of_what_is_there_whatever_was(
            steps in prop::collection::vec(prop::option::weighted(0.6, prop_oneof![
                (-1000_i32..1000).prop_map(f64::from),
                Just(1e300),
                Just(-1e300),
            ]), 0..200)
        ) {
            let (mut tally, mut there) = (SumTally::default(), std::collections::VecDeque::new());
            for step in steps {
                match step {
                    Some(number) => {
                        tally.push(number);
                        there.push_back(number);
                    }
                    None if there.pop_front().is_some() => tally.pop_oldest(),
                    None => {}
                }
                if there.iter().all(|number| number.abs() < 1e6) {
                    prop_assert_eq!(tally.sum(), there.iter().sum::<f64>());
                }
            }
        }
    }
}
