//! `rule_stats`: what rules cost and saw, one record per `(tenant, rule, UTC day)`. Written by detectors only.
//!
//! Detectors count on a sample of blocks, so numbers compare with each other and with `events`, not with alerts. Whether an
//! event of a rule's logsource came at all, and with which fields, is noted of all blocks.

use std::collections::{BTreeMap, BTreeSet};

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use crate::bulk::{self, Update};
use crate::{Error, Store};

const COLLECTION: &str = "rule_stats";
/// How long records are kept.
const KEPT: std::time::Duration = std::time::Duration::from_secs(400 * 86_400);
const DAY_MICROS: i64 = 86_400_000_000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let indexes = [
        IndexModel::builder().keys(doc! { "tenant": 1, "day": -1 }).build(),
        IndexModel::builder()
            .keys(doc! { "day": 1 })
            .options(IndexOptions::builder().expire_after(KEPT).build())
            .build(),
    ];
    store.collection::<Document>(COLLECTION).create_indexes(indexes).await?;
    Ok(())
}

/// What was counted of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleUse {
    /// Events that were evaluated while it was counted.
    pub events: u64,
    /// Of these, events its logsource is about.
    pub seen: u64,
    /// Of these, events it had to be evaluated for.
    pub candidates: u64,
    /// Of these, events it matched.
    pub hits: u64,
    /// Nanoseconds its evaluations took.
    pub nanos: u64,
    /// Fields it asks for.
    pub asked: BTreeSet<String>,
    /// Whether any event came that its logsource is about, counted or not.
    pub met: bool,
    /// Those of the fields it asks for that any such event had, counted or not.
    pub present: BTreeSet<String>,
    /// It cost more than the budget.
    pub over_budget: bool,
    /// Start of the last day on which an event of its logsource came.
    pub last_seen: Option<Timestamp>,
    /// Start of the first day on which it was in use while events came.
    pub first_counted: Option<Timestamp>,
}

impl RuleUse {
    /// Takes in what was counted elsewhere or later.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.seen += other.seen;
        self.candidates += other.candidates;
        self.hits += other.hits;
        self.nanos += other.nanos;
        self.asked.extend(other.asked.iter().cloned());
        self.met |= other.met;
        self.present.extend(other.present.iter().cloned());
        self.over_budget |= other.over_budget;
        self.last_seen = self.last_seen.max(other.last_seen);
        let first = [self.first_counted, other.first_counted];
        self.first_counted = first.into_iter().flatten().min();
    }

    /// Nanoseconds per evaluated event; 0 when none was.
    #[must_use]
    pub fn nanos_per_event(&self) -> f64 {
        if self.events == 0 {
            0.0
        } else {
            self.nanos as f64 / self.events as f64
        }
    }

    /// Share of the events it had to be evaluated for, from 0 to 1.
    #[must_use]
    pub fn candidate_rate(&self) -> f64 {
        if self.events == 0 {
            0.0
        } else {
            self.candidates as f64 / self.events as f64
        }
    }
}

/// Adds what was counted on the day of `at`, by rule id.
///
/// # Errors
/// When the database is away; some may be added then.
pub async fn add(
    store: &Store,
    tenant: &Tenant,
    at: Timestamp,
    counted: &BTreeMap<String, RuleUse>,
) -> Result<(), Error> {
    let day = DateTime::from_millis(at.day().saturating_mul(86_400_000));
    let number = |number: u64| Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX));
    let list = |names: &BTreeSet<String>| -> Vec<String> { names.iter().cloned().collect() };
    let updates = counted.iter().map(|(rule, counted)| {
        let mut set = doc! { "tenant": tenant.as_str(), "rule": rule, "day": day };
        // What was only met, not counted, tells nothing of the fields that are asked for.
        if counted.events > 0 {
            set.insert("asked", list(&counted.asked));
        }
        if counted.met {
            set.insert("met", true);
        }
        if counted.over_budget {
            set.insert("over_budget", true);
        }
        Update {
            filter: doc! { "_id": format!("{tenant}/{rule}/{}", at.day()) },
            update: Bson::Document(doc! {
                "$set": set,
                "$inc": {
                    "events": number(counted.events),
                    "seen": number(counted.seen),
                    "candidates": number(counted.candidates),
                    "hits": number(counted.hits),
                    "nanos": number(counted.nanos),
                },
                "$addToSet": { "present": { "$each": list(&counted.present) } },
            }),
            upsert: true,
        }
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

/// What was counted over the last `days` days, today included, by rule id. Rules that were not counted are left out.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn totals(store: &Store, tenant: &Tenant, days: u32) -> Result<BTreeMap<String, RuleUse>, Error> {
    let first = Timestamp::now().day() - i64::from(days.max(1)) + 1;
    let since = DateTime::from_millis(first.saturating_mul(86_400_000));
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str(), "day": { "$gte": since } })
        .await?;
    let mut totals: BTreeMap<String, RuleUse> = BTreeMap::new();
    while let Some(document) = cursor.try_next().await? {
        let rule = document
            .get_str("rule")
            .map_err(|_| Error::invalid("rule_stats.rule", "text"))?;
        totals.entry(rule.to_owned()).or_default().add(&read(&document));
    }
    Ok(totals)
}

fn read(document: &Document) -> RuleUse {
    let number = |field: &str| {
        let number = document.get_i64(field).ok();
        number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    };
    let names = |field: &str| -> BTreeSet<String> {
        let names = document.get_array(field).into_iter().flatten();
        names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let day = document.get_datetime("day").ok();
    let day = day.map(|day| Timestamp(day.timestamp_millis().saturating_mul(1000).div_euclid(DAY_MICROS) * DAY_MICROS));
    let seen = number("seen");
    let met = seen > 0 || document.get_bool("met").unwrap_or(false);
    RuleUse {
        events: number("events"),
        seen,
        candidates: number("candidates"),
        hits: number("hits"),
        nanos: number("nanos"),
        asked: names("asked"),
        met,
        present: names("present"),
        over_budget: document.get_bool("over_budget").unwrap_or(false),
        last_seen: day.filter(|_| met),
        first_counted: day,
    }
}
