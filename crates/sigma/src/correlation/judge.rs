//! Whether a condition holds of a window, from nothing but the contributions that are kept.

mod items;
mod measures;
mod rules;

use std::collections::BTreeSet;

use crate::correlation::contribution::{Entry, Origin};
use crate::correlation::definition::{Bound, CorrelationKind};
use crate::correlation::expression::{RuleExpr, bit};
use crate::correlation::judge::items::{Found, Items, texts};
use crate::correlation::judge::measures::{close, slide};
use crate::correlation::judge::rules::{match_in_order, match_rules};
use crate::correlation::order::Goal;
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
