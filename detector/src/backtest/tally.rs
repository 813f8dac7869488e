//! Alerts, counted by what people ask of them.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Most alerts told apart by identity, for comparing two versions.
const MAX_KEYS: usize = 1_000_000;
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
    keys: BTreeSet<String>,
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
    pub(super) fn add(&mut self, made: Made, max_samples: usize) {
        self.alerts += 1;
        *self.by_rule.entry(made.rule.clone()).or_default() += 1;
        let host = if self.by_host.len() < MAX_HOSTS || self.by_host.contains_key(&made.host) {
            made.host.clone()
        } else {
            OTHERS.to_owned()
        };
        *self.by_host.entry(host).or_default() += 1;
        let day = made.time.to_utc().format("%Y-%m-%d").to_string();
        *self.by_day.entry(day).or_default() += 1;
        if self.keys.len() < MAX_KEYS {
            self.keys.insert(made.key);
        }
        let sample = Sample {
            time: made.time.to_string(),
            rule: made.rule,
            host: made.host,
            shown: made.shown,
        };
        let at = self.samples.partition_point(|known| known.time <= sample.time);
        if at < max_samples {
            self.samples.insert(at, sample);
            self.samples.truncate(max_samples);
        }
    }

    /// Alerts of this and not of the other; `None` when there are too many to tell.
    pub(super) fn without(&self, other: &Self) -> Option<u64> {
        let complete = |tally: &Self| tally.keys.len() < MAX_KEYS;
        (complete(self) && complete(other)).then(|| self.keys.difference(&other.keys).count() as u64)
    }
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
        let (mut tally, mut other) = (Tally::default(), Tally::default());
        for number in [5, 1, 3, 2] {
            tally.add(made(number, if number > 2 { "a" } else { "b" }), 2);
        }
        other.add(made(1, "b"), 2);
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
