//! Whether a condition holds of a window, from nothing but the contributions that are kept.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;

use crate::correlation::contribution::{Entry, Origin};
use crate::correlation::definition::{Bound, CorrelationKind};
use crate::correlation::expression::{RuleExpr, bit};
use crate::correlation::order::{Chains, Goal};
use crate::correlation::state::{Finding, Verdict, WindowState};

/// How many contributions a finding names at each end.
const SAMPLE: usize = 10;

/// The states of three neighbouring windows of one group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neighbours<'a> {
    /// The window before the one that is judged.
    pub previous: Option<&'a WindowState>,
    /// The window that is judged.
    pub this: Option<&'a WindowState>,
    /// The window after it.
    pub next: Option<&'a WindowState>,
}

impl Neighbours<'_> {
    /// How much is known.
    pub(crate) fn version(&self) -> u64 {
        [self.previous, self.this, self.next]
            .into_iter()
            .flatten()
            .map(|state| state.changes)
            .fold(0, u64::saturating_add)
    }
}

/// What is asked of a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    /// At every contribution: is the number within the bounds, over the timespan that ends with it? Only lower bounds.
    Sliding(Measure, Vec<Bound>),
    /// Once the window is closed: is the number within the bounds, over the window?
    Closed(Measure, Vec<Bound>),
    /// At every contribution: did the rules match as the expression says, within the timespan that ends with it? What
    /// must not have matched must not have within the timespan before and after it.
    Rules(RuleExpr),
    /// At every contribution: did rules match one after the other, within the timespan that ends with it?
    Ordered(Goal),
}

/// The number that is compared with bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measure {
    Events,
    DistinctValues,
    DistinctRules,
    Sum,
    Mean,
    /// The nearest-rank percentile.
    Percentile(f64),
    Median,
    /// Of any single value: how much of all values it is, in percent.
    Share,
}

impl Measure {
    pub(crate) fn of(kind: CorrelationKind, percentile: Option<f64>) -> Self {
        match kind {
            CorrelationKind::EventCount => Self::Events,
            CorrelationKind::ValueCount => Self::DistinctValues,
            CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => Self::DistinctRules,
            CorrelationKind::ValueSum => Self::Sum,
            CorrelationKind::ValueAvg => Self::Mean,
            CorrelationKind::ValuePercentile => percentile.map_or(Self::Share, Self::Percentile),
            CorrelationKind::ValueMedian => Self::Median,
        }
    }
}

impl Question {
    /// Whether later contributions can make the answer no, so that it waits until they are unlikely.
    pub(crate) fn waits(&self) -> Wait {
        match self {
            Self::Sliding(..) => Wait::Not,
            Self::Closed(..) => Wait::UntilClosed,
            Self::Rules(expr) | Self::Ordered(Goal::Rules(expr)) if expr.unwanted() != 0 => Wait::UntilNextIsClosed,
            Self::Rules(_) | Self::Ordered(_) => Wait::Not,
        }
    }
}

/// When a window can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Not,
    UntilClosed,
    UntilNextIsClosed,
}

/// A contribution that counts.
pub(crate) type Item<'a> = (&'a Origin, &'a Entry);

/// Judges the window in the middle. `timespan` is in microseconds.
pub(crate) fn judge(question: &Question, timespan: i64, windows: Neighbours<'_>, overflowed: bool) -> Verdict {
    let items = Items::of(windows);
    let found = match question {
        Question::Sliding(measure, bounds) => slide(&items, timespan, *measure, bounds),
        Question::Closed(measure, bounds) => close(&items, *measure, bounds),
        Question::Rules(expr) => match_rules(&items, timespan, expr),
        Question::Ordered(goal) => match_in_order(&items, timespan, goal),
    };
    found
        .and_then(|found| finding(&items, &found, overflowed))
        .map_or(Verdict::Nothing { overflowed }, Verdict::Holds)
}

/// What counts of three windows, in order of time.
struct Items<'a> {
    /// Of the previous and this window.
    all: Vec<Item<'a>>,
    /// Where this window starts in `all`.
    this: usize,
    next: Vec<Item<'a>>,
    dropped: bool,
}

impl<'a> Items<'a> {
    fn of(windows: Neighbours<'a>) -> Self {
        let sorted = |state: Option<&'a WindowState>| {
            let entries = state.into_iter().flat_map(|state| state.entries.iter());
            let mut items: Vec<Item<'a>> = entries.filter(|(_, entry)| !entry.gone).collect();
            items.sort_by_key(|(origin, entry)| (entry.time, *origin));
            items
        };
        let mut all = sorted(windows.previous);
        let this = all.len();
        all.extend(sorted(windows.this));
        let dropped = [windows.previous, windows.this]
            .into_iter()
            .flatten()
            .any(|state| state.dropped);
        Self {
            all,
            this,
            next: sorted(windows.next),
            dropped,
        }
    }

    fn in_this(&self) -> &[Item<'a>] {
        self.all.get(self.this..).unwrap_or_default()
    }

    /// Times at which any of these rules matched, in order.
    fn times_of(&self, rules: u64) -> Vec<Timestamp> {
        self.all
            .iter()
            .chain(&self.next)
            .filter(|(_, entry)| entry.rules & rules != 0)
            .map(|(_, entry)| entry.time)
            .collect()
    }

    /// The first contribution of this window for which `holds` returns a number, given what the tally has of the
    /// timespan that ends with it.
    fn slide<T: Tally<'a>>(
        &self,
        timespan: i64,
        tally: &mut T,
        mut holds: impl FnMut(&T, &Item<'a>) -> Option<f64>,
    ) -> Option<Found> {
        let (mut from, mut to) = (0, 0);
        for (position, item) in self.all.iter().enumerate().skip(self.this) {
            let now = item.1.time;
            while let Some(entering) = self.all.get(to).filter(|entering| entering.1.time <= now) {
                tally.enter(entering);
                to += 1;
            }
            let earliest = now.0.saturating_sub(timespan);
            while let Some(leaving) = self.all.get(from).filter(|leaving| leaving.1.time.0 < earliest) {
                tally.leave(leaving);
                from += 1;
            }
            if let Some(value) = holds(tally, item) {
                return Some(Found {
                    trigger: position,
                    counted: from..to,
                    value,
                });
            }
        }
        None
    }
}

/// What made a condition hold.
struct Found {
    /// Position in [`Items::all`].
    trigger: usize,
    /// Positions in [`Items::all`].
    counted: std::ops::Range<usize>,
    value: f64,
}

/// Something that is counted over a moving stretch of contributions.
trait Tally<'a> {
    fn enter(&mut self, item: &Item<'a>);
    fn leave(&mut self, item: &Item<'a>);
}

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

#[derive(Default)]
struct SumTally(f64);

impl Tally<'_> for SumTally {
    fn enter(&mut self, item: &Item<'_>) {
        self.0 += item.1.values.sum();
    }

    fn leave(&mut self, item: &Item<'_>) {
        self.0 -= item.1.values.sum();
    }
}

#[derive(Default)]
struct RuleTally(BTreeMap<u32, u64>);

impl RuleTally {
    fn matched(&self) -> u64 {
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

fn within(bounds: &[Bound], number: f64) -> Option<f64> {
    bounds.iter().all(|bound| bound.holds(number)).then_some(number)
}

#[allow(clippy::cast_precision_loss, reason = "what is kept of a window is far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

fn slide(items: &Items<'_>, timespan: i64, measure: Measure, bounds: &[Bound]) -> Option<Found> {
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
        Measure::Sum => items.slide(timespan, &mut SumTally::default(), |tally, _| within(bounds, tally.0)),
        // These depend on all events of a window, so that the first of them alone would say nothing.
        Measure::Mean | Measure::Percentile(_) | Measure::Median | Measure::Share => close(items, measure, bounds),
    }
}

fn close(items: &Items<'_>, measure: Measure, bounds: &[Bound]) -> Option<Found> {
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

fn texts<'i>(items: &'i [Item<'_>]) -> impl Iterator<Item = &'i str> {
    items
        .iter()
        .flat_map(|(_, entry)| entry.values.texts())
        .map(String::as_str)
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

fn match_rules(items: &Items<'_>, timespan: i64, expr: &RuleExpr) -> Option<Found> {
    let (wanted, absence) = (expr.wanted(), Absence::of(items, expr.unwanted()));
    items.slide(timespan, &mut RuleTally::default(), |tally, (_, entry)| {
        let matched = tally.matched();
        let holds = entry.rules & wanted != 0 && expr.holds(matched, absence.around(entry.time, timespan));
        holds.then(|| f64::from((matched & wanted).count_ones()))
    })
}

fn match_in_order(items: &Items<'_>, timespan: i64, goal: &Goal) -> Option<Found> {
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

fn finding(items: &Items<'_>, found: &Found, overflowed: bool) -> Option<Finding> {
    let (trigger_origin, trigger) = items.all.get(found.trigger)?;
    let counted = items.all.get(found.counted.clone())?;
    let last = counted.len().saturating_sub(SAMPLE).max(SAMPLE.min(counted.len()));
    let matched = counted.iter().fold(0, |bits, (_, entry)| bits | entry.rules);
    let values: BTreeSet<&str> = texts(counted).collect();
    Some(Finding {
        trigger: trigger.time,
        trigger_origin: (*trigger_origin).clone(),
        first: counted.first().map_or(trigger.time, |(_, entry)| entry.time),
        count: counted.len() as u64,
        at_least: items.dropped,
        value: found.value,
        rules: (0..64).filter(|rule| matched & bit(*rule) != 0).collect(),
        sample: counted
            .iter()
            .take(SAMPLE)
            .chain(counted.iter().skip(last))
            .map(|(origin, _)| (*origin).clone())
            .collect(),
        values: values.into_iter().take(SAMPLE).map(str::to_owned).collect(),
        overflowed,
    })
}
