//! Which contributions of a window are kept.
//!
//! Each choice depends only on the set, and what it keeps of a union is what it keeps of the union of what it kept of
//! the parts. So the state of a window is the same whoever merged what first, and bounded at every step. Most choices
//! keep what decides the condition, so that nothing is lost by them; the others are limits, which are announced.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;

use crate::correlation::contribution::{Entry, Origin};
use crate::correlation::entries::Entries;

/// Most contributions kept where all of them matter.
pub(crate) const MAX_KEPT: usize = 2048;
/// Most contributions kept that do not count any more.
const MAX_GONE: usize = 256;
/// How many are kept at each end of a window although fewer would decide: they are what an alert shows.
const MIN_SHOWN: usize = 16;

/// A choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Keep {
    /// The earliest and the latest so many. With fewer than that many in a window, the condition is not decided by
    /// that window alone; with more, only how early and how late they are matters.
    Ends(usize),
    /// Of each of the so many values that appear earliest and last disappear, its first and its last contribution.
    Values(usize),
    /// Of each rule, the earliest and the latest so many: of those in the bits, the second number, else the first.
    PerRule(usize, u64, usize),
    /// What decides whether a sum of numbers exceeds this.
    Sum(f64),
    /// A random sample, the same for everyone.
    Sample,
}

impl Keep {
    /// [`Self::Ends`] to decide whether there are at least `count`.
    pub(crate) fn ends(count: usize) -> Self {
        Self::Ends(count.max(MIN_SHOWN))
    }

    /// [`Self::Values`] to decide whether there are at least `count`.
    pub(crate) fn values(count: usize) -> Self {
        Self::Values(count.max(MIN_SHOWN))
    }

    /// [`Self::PerRule`] with the same number for every rule.
    pub(crate) fn per_rule(count: usize) -> Self {
        Self::PerRule(count, 0, count)
    }

    /// [`Self::PerRule`] where all contributions of each rule matter.
    pub(crate) fn all_of(rules: usize) -> Self {
        Self::per_rule(most_of_each(rules))
    }

    /// [`Self::PerRule`] where all contributions of the rules in the bits matter, and of the others, which cannot be
    /// taken back, how early and how late they are.
    pub(crate) fn ends_of_events(rules: usize, all: u64) -> Self {
        Self::PerRule(MIN_SHOWN, all, most_of_each(rules))
    }

    /// Reduces a set to what is kept of it. Says whether that took anything away.
    pub(crate) fn thin(&self, entries: &mut Entries) -> bool {
        forget_gone(entries);
        let live: Vec<(&Origin, &Entry)> = entries.iter().filter(|(_, entry)| !entry.gone).collect();
        if live.len() <= self.always_kept() {
            return false;
        }
        let chosen: BTreeMap<Origin, u64> = match self {
            Self::Ends(count) => whole(ends(live, *count)),
            Self::Values(count) => whole(values(&live, *count)),
            Self::PerRule(count, more_of, more) => {
                per_rule(&live, |rule| if more_of >> rule & 1 == 1 { *more } else { *count })
            }
            Self::Sum(limit) => whole(sum(&live, *limit)),
            Self::Sample => whole(sample(live)),
        };
        let mut dropped = false;
        entries.retain(|origin, entry| {
            if entry.gone {
                return true;
            }
            let rules = chosen.get(origin).copied().unwrap_or(0);
            dropped |= entry.rules & !rules != 0;
            entry.rules &= rules;
            entry.rules != 0
        });
        dropped
    }

    /// So many are kept whatever they are.
    fn always_kept(&self) -> usize {
        match self {
            Self::Ends(count) => count.saturating_mul(2),
            Self::PerRule(count, ..) => *count,
            // What these keep can be as little as one contribution, and must not grow by seeing another one again.
            Self::Values(_) | Self::Sum(_) => 1,
            Self::Sample => MAX_KEPT,
        }
    }
}

fn most_of_each(rules: usize) -> usize {
    (MAX_KEPT / 2 / rules.max(1)).max(1)
}

/// Keeps the latest of those that do not count, when there are too many.
fn forget_gone(entries: &mut Entries) {
    let mut gone: Vec<(Reverse<Timestamp>, Origin)> = entries
        .iter()
        .filter(|(_, entry)| entry.gone)
        .map(|(origin, entry)| (Reverse(entry.time), origin.clone()))
        .collect();
    if gone.len() > MAX_GONE {
        gone.sort_unstable();
        let forgotten: BTreeSet<Origin> = gone.drain(MAX_GONE..).map(|(_, origin)| origin).collect();
        entries.retain(|origin, _| !forgotten.contains(origin));
    }
}

/// Chosen with all their rules.
fn whole(chosen: BTreeSet<Origin>) -> BTreeMap<Origin, u64> {
    chosen.into_iter().map(|origin| (origin, u64::MAX)).collect()
}

fn by_time(entries: &mut [(&Origin, &Entry)]) {
    entries.sort_by_key(|(origin, entry)| (entry.time, *origin));
}

fn both_ends<'a>(sorted: &'a [(&'a Origin, &'a Entry)], count: usize) -> impl Iterator<Item = &'a Origin> {
    let last = sorted.len().saturating_sub(count).max(count.min(sorted.len()));
    let (first, rest) = sorted.split_at(count.min(sorted.len()));
    let rest_from = last - first.len();
    first
        .iter()
        .chain(rest.iter().skip(rest_from))
        .map(|(origin, _)| *origin)
}

fn ends(mut live: Vec<(&Origin, &Entry)>, count: usize) -> BTreeSet<Origin> {
    by_time(&mut live);
    both_ends(&live, count).cloned().collect()
}

/// Chosen for some of their rules: of the others, they are neither early nor late enough.
fn per_rule(live: &[(&Origin, &Entry)], count: impl Fn(u32) -> usize) -> BTreeMap<Origin, u64> {
    let mut sorted = live.to_vec();
    by_time(&mut sorted);
    let all = sorted.iter().fold(0, |bits, (_, entry)| bits | entry.rules);
    let mut chosen: BTreeMap<Origin, u64> = BTreeMap::new();
    for rule in (0..64).filter(|rule| all >> rule & 1 == 1) {
        let of_rule: Vec<(&Origin, &Entry)> = sorted
            .iter()
            .copied()
            .filter(|(_, entry)| entry.rules >> rule & 1 == 1)
            .collect();
        for origin in both_ends(&of_rule, count(rule)) {
            *chosen.entry(origin.clone()).or_default() |= 1 << rule;
        }
    }
    chosen
}

fn values(live: &[(&Origin, &Entry)], count: usize) -> BTreeSet<Origin> {
    let mut sorted = live.to_vec();
    by_time(&mut sorted);
    let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
    for (order, (_, entry)) in sorted.iter().enumerate() {
        for value in entry.values.texts() {
            first.entry(value.as_str()).or_insert(order);
            last.insert(value.as_str(), order);
        }
    }
    // One contribution may have several values, so its place alone does not order them.
    let mut first: Vec<(usize, &str)> = first.into_iter().map(|(value, order)| (order, value)).collect();
    let mut last: Vec<(Reverse<usize>, &str)> =
        last.into_iter().map(|(value, order)| (Reverse(order), value)).collect();
    first.sort_unstable();
    last.sort_unstable();
    let first = first.into_iter().take(count).map(|(order, _)| order);
    let last = last.into_iter().take(count).map(|(Reverse(order), _)| order);
    first
        .chain(last)
        .filter_map(|order| sorted.get(order))
        .map(|(origin, _)| (*origin).clone())
        .collect()
}

/// Of the numbers of some size, the earliest and the latest that together exceed the limit: what lies between decides
/// nothing, as long as no number is negative. Of the small ones, which could be any number, and of the negative ones,
/// the largest.
fn sum(live: &[(&Origin, &Entry)], limit: f64) -> BTreeSet<Origin> {
    #[allow(clippy::cast_precision_loss, reason = "the constant is small")]
    let small = (limit / MAX_KEPT as f64).max(0.0);
    let (mut large, mut rest, mut negative) = (Vec::new(), Vec::new(), Vec::new());
    for (origin, entry) in live {
        let number = entry.values.sum();
        if number < 0.0 {
            negative.push((*origin, *entry));
        } else if number < small || number == 0.0 {
            rest.push((*origin, *entry));
        } else {
            large.push((*origin, *entry));
        }
    }
    by_time(&mut large);
    let mut chosen: BTreeSet<Origin> = BTreeSet::new();
    chosen.extend(until_exceeded(large.iter(), limit));
    chosen.extend(until_exceeded(large.iter().rev(), limit));
    for list in [&mut rest, &mut negative] {
        list.sort_by(|(left_origin, left), (right_origin, right)| {
            let sizes = right.values.sum().abs().total_cmp(&left.values.sum().abs());
            sizes.then_with(|| (left.time, left_origin).cmp(&(right.time, right_origin)))
        });
        chosen.extend(list.iter().take(MAX_KEPT).map(|(origin, _)| (*origin).clone()));
    }
    chosen
}

fn until_exceeded<'a>(
    entries: impl Iterator<Item = &'a (&'a Origin, &'a Entry)>,
    limit: f64,
) -> impl Iterator<Item = Origin> {
    let mut total = 0.0;
    entries
        .take_while(move |(_, entry)| {
            let wanted = total <= limit.max(0.0);
            total += entry.values.sum();
            wanted
        })
        .map(|(origin, _)| (*origin).clone())
}

fn sample(live: Vec<(&Origin, &Entry)>) -> BTreeSet<Origin> {
    let mut hashed: Vec<([u8; 32], &Origin)> = live
        .into_iter()
        .map(|(origin, _)| (*blake3::hash(origin.to_string().as_bytes()).as_bytes(), origin))
        .collect();
    hashed.sort_unstable();
    hashed
        .into_iter()
        .take(MAX_KEPT)
        .map(|(_, origin)| origin.clone())
        .collect()
}
