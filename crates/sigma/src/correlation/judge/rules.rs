//! Conditions on which rules matched, in any order or in one.

use std::collections::BTreeMap;

use model::Timestamp;

use super::Item;
use super::items::{Found, Items, Tally};
use crate::correlation::expression::{RuleExpr, bit};
use crate::correlation::order::{Chains, Goal};

/// How often each rule matched.
#[derive(Default)]
pub(super) struct RuleTally(pub(super) BTreeMap<u32, u64>);

impl RuleTally {
    /// The rules that matched, one bit each.
    pub(super) fn matched(&self) -> u64 {
        self.0.keys().fold(0, |bits, rule| bits | 1 << rule)
    }
}

fn rules_of(item: &Item<'_>) -> impl Iterator<Item = u32> {
    let rules = item.1.rules;
    (0..64).filter(move |rule| rules >> rule & 1 == 1)
}

impl Tally<'_> for RuleTally {
    fn enter(&mut self, item: &Item<'_>) {
        for rule in rules_of(item) {
            *self.0.entry(rule).or_default() += 1;
        }
    }

    fn leave(&mut self, item: &Item<'_>) {
        for rule in rules_of(item) {
            if let Some(count) = self.0.get_mut(&rule) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&rule);
                }
            }
        }
    }
}

/// Which rules did not match within a timespan of some time.
struct Absence(Vec<(u64, Vec<Timestamp>)>);

impl Absence {
    fn of(items: &Items<'_>, unwanted: u64) -> Self {
        let rules = (0..64).filter(|rule| unwanted & bit(*rule) != 0);
        Self(rules.map(|rule| (bit(rule), items.times_of(bit(rule)))).collect())
    }

    fn around(&self, time: Timestamp, timespan: i64) -> u64 {
        let (from, to) = (time.0.saturating_sub(timespan), time.0.saturating_add(timespan));
        self.0
            .iter()
            .filter(|(_, times)| {
                let at = times.partition_point(|time| time.0 < from);
                times.get(at).is_none_or(|time| time.0 > to)
            })
            .fold(0, |bits, (rule, _)| bits | rule)
    }
}

pub(super) fn match_rules(items: &Items<'_>, timespan: i64, expr: &RuleExpr) -> Option<Found> {
    let (wanted, absence) = (expr.wanted(), Absence::of(items, expr.unwanted()));
    items.slide(timespan, &mut RuleTally::default(), |tally, (_, entry)| {
        let matched = tally.matched();
        let holds = entry.rules & wanted != 0 && expr.holds(matched, absence.around(entry.time, timespan));
        holds.then(|| f64::from((matched & wanted).count_ones()))
    })
}

pub(super) fn match_in_order(items: &Items<'_>, timespan: i64, goal: &Goal) -> Option<Found> {
    let (rules, unwanted) = match goal {
        Goal::Length(_) => (64, 0),
        Goal::Rules(expr) => (8, expr.unwanted()),
    };
    let used = items.all.iter().fold(0, |bits, (_, entry)| bits | entry.rules);
    let used = usize::try_from(64 - used.leading_zeros()).unwrap_or(64);
    let absence = Absence::of(items, unwanted);
    let mut chains = Chains::new(goal, used.min(rules));
    for (position, (_, entry)) in items.all.iter().enumerate() {
        let earliest = entry.time.0.saturating_sub(timespan);
        let absent = absence.around(entry.time, timespan);
        let achieved = chains.push(entry.time.0, entry.rules, earliest, absent);
        if achieved && position >= items.this {
            let from = items.all.partition_point(|(_, entry)| entry.time.0 < earliest);
            let counted = from..position + 1;
            let matched = items
                .all
                .get(counted.clone())
                .unwrap_or_default()
                .iter()
                .fold(0, |bits, (_, entry)| bits | entry.rules);
            return Some(Found {
                trigger: position,
                counted,
                value: f64::from(matched.count_ones()),
            });
        }
    }
    None
}
