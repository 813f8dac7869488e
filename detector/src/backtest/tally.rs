//! Alerts, counted by what people ask of them.

use std::collections::BTreeMap;

use model::Timestamp;
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::Value;

/// Most alerts told apart by identity, for comparing two versions: 16 bytes each.
const MAX_KEYS: usize = 1_000_000;
/// Most days counted apart; events may claim any time.
const MAX_DAYS: usize = 4000;
/// Most hosts counted apart; further ones are counted together.
const MAX_HOSTS: usize = 10_000;
/// Where those are counted.
const OTHERS: &str = "(others)";

/// An alert that would have been made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// The same for the same alert of another version of the rule.
    pub key: String,
    pub rule: String,
    pub time: Timestamp,
    pub host: String,
    /// The event, or what a correlation found.
    pub shown: Value,
}

/// Alerts, counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// How many.
    pub alerts: u64,
    /// By id of the rule or correlation.
    pub by_rule: BTreeMap<String, u64>,
    /// By `host.name`; `-` where there is none.
    pub by_host: BTreeMap<String, u64>,
    /// `YYYY-MM-DD`, UTC.
    pub by_day: BTreeMap<String, u64>,
    /// The earliest ones.
    pub samples: Vec<Sample>,
    #[serde(skip)]
    max_samples: usize,
    /// Hashes of what tells alerts apart; `None` when nobody compares.
    #[serde(skip)]
    keys: Option<FxHashSet<u128>>,
}

/// One alert of many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// RFC 3339.
    pub time: String,
    /// Id of the rule or correlation.
    pub rule: String,
    /// Its host, or `-`.
    pub host: String,
    /// `event_id` and `message`, or what a correlation found.
    pub shown: Value,
}

impl Tally {
    /// Nothing yet; `is_compared` when it will be asked what it has and another has not.
    pub(super) fn new(max_samples: usize, is_compared: bool) -> Self {
        Self {
            max_samples,
            keys: is_compared.then(FxHashSet::default),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, made: Made) {
        self.alerts += 1;
        *self.by_rule.entry(made.rule.clone()).or_default() += 1;
        count(&mut self.by_host, made.host.clone(), MAX_HOSTS);
        let day = made.time.to_utc().format("%Y-%m-%d").to_string();
        count(&mut self.by_day, day, MAX_DAYS);
        if let Some(keys) = self.keys.as_mut().filter(|keys| keys.len() < MAX_KEYS) {
            let hash = blake3::hash(made.key.as_bytes());
            let bytes = hash.as_bytes().first_chunk().copied().unwrap_or_default();
            keys.insert(u128::from_le_bytes(bytes));
        }
        let sample = Sample {
            time: made.time.to_string(),
            rule: made.rule,
            host: made.host,
            shown: made.shown,
        };
        // Whatever order blocks come in, the same ones are kept.
        let is_before = |known: &Sample| {
            (&known.time, &known.rule, &known.host)
                .cmp(&(&sample.time, &sample.rule, &sample.host))
                .then_with(|| known.shown.to_string().cmp(&sample.shown.to_string()))
                .is_le()
        };
        let at = self.samples.partition_point(is_before);
        if at < self.max_samples {
            self.samples.insert(at, sample);
            self.samples.truncate(self.max_samples);
        }
    }

    /// Alerts of this and not of the other; `None` when there are too many to tell.
    pub(super) fn without(&self, other: &Self) -> Option<u64> {
        let complete = |tally: &'_ Self| tally.keys.as_ref().is_some_and(|keys| keys.len() < MAX_KEYS);
        let (ours, theirs) = self.keys.as_ref().zip(other.keys.as_ref())?;
        (complete(self) && complete(other)).then(|| ours.difference(theirs).count() as u64)
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: String, most: usize) {
    let name = if counts.len() < most || counts.contains_key(&name) {
        name
    } else {
        OTHERS.to_owned()
    };
    *counts.entry(name).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(number: u64, host: &str) -> Made {
        Made {
            key: number.to_string(),
            rule: "r".to_owned(),
            time: Timestamp(i64::try_from(number).unwrap() * 86_400_000_000),
            host: host.to_owned(),
            shown: Value::Null,
        }
    }

    #[test]
    fn alerts_are_counted_by_host_and_day_and_the_earliest_are_kept() {
        let (mut tally, mut other) = (Tally::new(2, true), Tally::new(2, true));
        for number in [5, 1, 3, 2] {
            tally.add(made(number, if number > 2 { "a" } else { "b" }));
        }
        other.add(made(1, "b"));
        assert_eq!(tally.alerts, 4);
        assert_eq!(
            tally.by_host,
            BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 2)])
        );
        assert_eq!(tally.by_day.len(), 4);
        let times: Vec<&str> = tally.samples.iter().map(|sample| &sample.time[..10]).collect();
        assert_eq!(times, ["1970-01-02", "1970-01-03"]);
        assert_eq!((tally.without(&other), other.without(&tally)), (Some(3), Some(0)));
    }
}
