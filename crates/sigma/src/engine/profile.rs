//! What rules cost, and what they had to look at.

use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::ast::{Expr, Subject};
use crate::engine::bucket::Bucket;
use crate::engine::keys::Keys;
use crate::engine::observer::Observer;
use crate::engine::slots::Slot;

/// What evaluations cost and met, by position in [`RuleSet::rules`](crate::RuleSet::rules).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Events evaluated.
    pub events: u64,
    /// For each rule.
    pub rules: Vec<RuleProfile>,
}

/// What one rule cost and met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleProfile {
    /// Events that by their origin the rule could be for.
    pub seen: u64,
    /// Of these, events whose index entries made it a candidate, so that it was evaluated.
    pub candidates: u64,
    /// Of these, events it matched.
    pub hits: u64,
    /// Time of its evaluations in nanoseconds, extrapolated from a sample. What an evaluation finds out for several
    /// rules counts for the first.
    pub nanoseconds: u64,
    /// Each field the rule asks for, and how many of the events it saw had it.
    pub fields: Vec<(Arc<str>, u64)>,
}

/// Counts while events are evaluated.
#[derive(Debug)]
pub(crate) struct Counters {
    sample: u32,
    until_sample: u32,
    rules: FxHashMap<u32, RuleCounters>,
    buckets: Vec<BucketCounters>,
    bucket: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct RuleCounters {
    candidates: u64,
    hits: u64,
    timed: u64,
    nanoseconds: u64,
}

#[derive(Clone, Debug, Default)]
struct BucketCounters {
    events: u64,
    /// By slot.
    present: Vec<u64>,
}

impl Counters {
    pub(crate) fn new(sample: u32) -> Self {
        Self {
            sample: sample.max(1),
            until_sample: 0,
            rules: FxHashMap::default(),
            buckets: Vec::new(),
            bucket: 0,
        }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.sample);
    }

    /// The next event is evaluated by this bucket.
    pub(crate) fn begin(&mut self, position: usize, bucket: &Bucket) {
        self.bucket = position;
        if self.buckets.len() <= position {
            self.buckets.resize(position + 1, BucketCounters::default());
        }
        if let Some(counters) = self.buckets.get_mut(position) {
            counters.present.resize(bucket.fields.len(), 0);
        }
    }
}

impl Observer for Counters {
    fn event(&mut self, slots: &[Slot]) {
        let Some(counters) = self.buckets.get_mut(self.bucket) else {
            return;
        };
        counters.events += 1;
        for slot in slots {
            if let Some(present) = counters.present.get_mut(*slot as usize) {
                *present += 1;
            }
        }
    }

    fn candidate(&mut self, rule: u32, holds: impl FnOnce() -> bool) -> bool {
        let start = (self.until_sample == 0).then(Instant::now);
        let hit = holds();
        let counters = self.rules.entry(rule).or_default();
        counters.candidates += 1;
        counters.hits += u64::from(hit);
        if let Some(start) = start {
            counters.timed += 1;
            counters.nanoseconds += u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.until_sample = self.sample;
        }
        self.until_sample -= 1;
        hit
    }
}

impl Profile {
    pub(crate) fn new(rules: usize) -> Self {
        Self {
            events: 0,
            rules: vec![RuleProfile::default(); rules],
        }
    }

    /// Adds what was counted. `place` gives the position of a rule and its detection.
    pub(crate) fn add<'e>(
        &mut self,
        counters: &Counters,
        keys: &Keys,
        place: impl Fn(u32) -> Option<(usize, &'e Expr)>,
    ) {
        let mut events = 0;
        for (position, of_bucket) in counters.buckets.iter().enumerate() {
            let Some(bucket) = keys.bucket(position).filter(|_| of_bucket.events > 0) else {
                continue;
            };
            events += of_bucket.events;
            let mut present: FxHashMap<&str, u64> = FxHashMap::default();
            for (name, count) in bucket.slot_names.iter().zip(of_bucket.present.iter().skip(1)) {
                let most = present.entry(name).or_default();
                *most = (*most).max(*count);
            }
            for (rule, _) in &bucket.rules {
                let Some((position, detection)) = place(*rule) else {
                    continue;
                };
                let Some(profile) = self.rules.get_mut(position) else {
                    continue;
                };
                profile.seen += of_bucket.events;
                let mut names: Vec<&Arc<str>> = Vec::new();
                each_field(detection, &mut |name| {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                });
                for name in names {
                    let count = present.get(name.as_ref()).copied().unwrap_or(0);
                    match profile.fields.iter_mut().find(|(known, _)| known == name) {
                        Some((_, sum)) => *sum += count,
                        None => profile.fields.push((name.clone(), count)),
                    }
                }
            }
        }
        // Every part of a rule set sees every event.
        self.events = self.events.max(events);
        for (rule, counters) in &counters.rules {
            let place = place(*rule);
            if let Some(profile) = place.and_then(|(position, _)| self.rules.get_mut(position)) {
                profile.candidates += counters.candidates;
                profile.hits += counters.hits;
                let mean = counters.nanoseconds.checked_div(counters.timed).unwrap_or(0);
                profile.nanoseconds += mean * counters.candidates;
            }
        }
    }
}

/// Visits the name of each field that is asked for.
pub(crate) fn each_field<'e>(expr: &'e Expr, visit: &mut impl FnMut(&'e Arc<str>)) {
    match expr {
        Expr::And(terms) | Expr::Or(terms) | Expr::AtLeast(_, terms) => {
            terms.iter().for_each(|term| each_field(term, visit));
        }
        Expr::Not(inner) => each_field(inner, visit),
        Expr::Test(test) => {
            if let Subject::Field(field) = &test.subject {
                visit(&field.name);
            }
        }
    }
}
