//! Sums over `alerts` for people who look at dashboards. Reads only.

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Level, Tenant, Timestamp};

use crate::{Error, Store};

/// How many rules and addresses are listed.
const TOP: i64 = 10;

/// What a tenant's alerts of a time span add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertStats {
    /// How many.
    pub total: u64,
    /// How many of each level, lowest first; levels without alerts too.
    pub by_level: Vec<(Level, u64)>,
    /// The ten rules with the most alerts, most first.
    pub top_rules: Vec<RuleCount>,
    /// The ten addresses that are `source.ip` of the most alerts, most first.
    pub top_source_ips: Vec<(String, u64)>,
}

/// One rule's alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCount {
    /// Id of the rule.
    pub rule_id: String,
    /// Its title, as of the newest alert.
    pub title: String,
    /// How many.
    pub count: u64,
}

/// Sums up the alerts made at `from` or later.
///
/// # Errors
/// When the database is away.
pub async fn alerts(store: &Store, tenant: &Tenant, from: Timestamp) -> Result<AlertStats, Error> {
    let from = bson::DateTime::from_millis(from.as_millis());
    let top = |group: Document| {
        vec![
            doc! { "$group": group },
            doc! { "$sort": { "n": -1, "_id": 1 } },
            doc! { "$limit": TOP },
        ]
    };
    let mut by_ip = vec![
        doc! { "$match": { "event.source.ip": { "$type": ["string", "array"] } } },
        doc! { "$unwind": "$event.source.ip" },
    ];
    by_ip.extend(top(doc! { "_id": "$event.source.ip", "n": { "$sum": 1_i64 } }));
    let pipeline = [
        doc! { "$match": { "tenant": tenant.as_str(), "_processed_at": { "$gte": from } } },
        doc! { "$facet": {
            "levels": [doc! { "$group": { "_id": "$level", "n": { "$sum": 1_i64 } } }],
            "rules": top(doc! { "_id": "$rule_id", "title": { "$last": "$rule.title" }, "n": { "$sum": 1_i64 } }),
            "ips": by_ip,
        } },
    ];
    let found: Option<Document> = store
        .collection::<Document>("alerts")
        .aggregate(pipeline)
        .await?
        .try_next()
        .await?;
    let groups = |facet: &str| -> Vec<(String, u64, Document)> {
        let groups = found.as_ref().and_then(|found| found.get_array(facet).ok());
        groups.into_iter().flatten().filter_map(group).collect()
    };
    let levels = groups("levels");
    let by_level: Vec<(Level, u64)> = Level::ALL
        .into_iter()
        .map(|level| {
            let count = levels.iter().find(|(name, ..)| name == level.as_str());
            (level, count.map_or(0, |(_, count, _)| *count))
        })
        .collect();
    Ok(AlertStats {
        total: levels.iter().map(|(_, count, _)| count).sum(),
        by_level,
        top_rules: groups("rules")
            .into_iter()
            .map(|(rule_id, count, group)| RuleCount {
                rule_id,
                title: group.get_str("title").unwrap_or_default().to_owned(),
                count,
            })
            .collect(),
        top_source_ips: groups("ips").into_iter().map(|(ip, count, _)| (ip, count)).collect(),
    })
}

fn group(value: &Bson) -> Option<(String, u64, Document)> {
    let group = value.as_document()?;
    let name = group.get_str("_id").ok()?.to_owned();
    let count = u64::try_from(group.get_i64("n").ok()?).ok()?;
    Some((name, count, group.clone()))
}
