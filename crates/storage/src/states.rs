//! `correlations` and `suppressed`: what detectors know of windows and spans of event time so far.
//!
//! A record is changed by compare-and-swap: whoever read version `v` writes `v + 1`, and only if it is still `v`. What
//! a state means is the detector's business. Records end by themselves at `expires` (a TTL index). `due` says when a
//! window is to be judged; `part` shares that work among detectors. Written by detectors only.

use std::collections::HashMap;

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{PARTITIONS, Partition, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bulk::{self, Update, Updated};
use crate::{Error, Store};

/// Most records read by one query.
const READ_AT_ONCE: usize = 1000;

/// Which states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Windows of correlations: collection `correlations`.
    Correlations,
    /// Spans of suppressions: collection `suppressed`.
    Suppressed,
}

impl Kind {
    fn collection(self) -> &'static str {
        match self {
            Self::Correlations => "correlations",
            Self::Suppressed => "suppressed",
        }
    }
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let at_its_time = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
    let only_due = IndexOptions::builder()
        .partial_filter_expression(doc! { "due": { "$exists": true } })
        .build();
    for kind in [Kind::Correlations, Kind::Suppressed] {
        let indexes = [
            IndexModel::builder()
                .keys(doc! { "expires": 1 })
                .options(at_its_time.clone())
                .build(),
            IndexModel::builder()
                .keys(doc! { "part": 1, "due": 1 })
                .options(only_due.clone())
                .build(),
        ];
        store
            .collection::<Document>(kind.collection())
            .create_indexes(indexes)
            .await?;
    }
    Ok(())
}

/// What a state is about, for people and for whoever judges it later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Whose.
    pub tenant: Tenant,
    /// Id of the rule or correlation.
    pub rule_id: String,
    /// Its revision.
    pub revision: String,
    /// Key of the group of events.
    pub group: String,
    /// Number of the window or span.
    pub window: i64,
}

impl About {
    /// The share of the work on due states this one belongs to.
    fn partition(key: &str) -> i32 {
        let sum = key
            .bytes()
            .fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(byte)));
        i32::from(sum % PARTITIONS)
    }
}

/// A state as it was read.
#[derive(Clone, Debug)]
pub struct Stored<S> {
    /// Its version, from 1.
    pub version: i64,
    /// The state; `None` when it is not readable and has to be made anew.
    pub state: Option<S>,
}

/// Reads states; those that are not there are left out.
///
/// # Errors
/// When the database is away.
pub async fn read<S: DeserializeOwned>(
    store: &Store,
    kind: Kind,
    keys: &[String],
) -> Result<HashMap<String, Stored<S>>, Error> {
    let mut found = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(READ_AT_ONCE) {
        let mut cursor = store
            .collection::<Document>(kind.collection())
            .find(doc! { "_id": { "$in": keys } })
            .projection(doc! { "v": 1, "state": 1 })
            .await?;
        while let Some(mut document) = cursor.try_next().await? {
            let (Ok(key), Ok(version)) = (document.get_str("_id").map(str::to_owned), document.get_i64("v")) else {
                continue;
            };
            let state = document
                .remove("state")
                .and_then(|state| bson::deserialize_from_bson(state).ok());
            if state.is_none() {
                tracing::error!(state.key = key, "stored state not readable, it is made anew");
            }
            found.insert(key, Stored { version, state });
        }
    }
    Ok(found)
}

/// A state to be written.
#[derive(Debug)]
pub struct Write<'a, S> {
    /// Its key.
    pub key: &'a str,
    /// The version that was read; 0 when there was none.
    pub expected: i64,
    /// What it is about.
    pub about: About,
    /// The state.
    pub state: &'a S,
    /// When it is to be judged; an earlier time that is there is put off until then.
    pub due: Option<Timestamp>,
    /// When it is no longer needed.
    pub expires: Timestamp,
}

/// Writes states and says of each whether it was still at the expected version. Those that were not are as somebody
/// else left them.
///
/// # Errors
/// When the database is away or refuses a state; some may be written then.
pub async fn write<S: Serialize>(store: &Store, kind: Kind, writes: &[Write<'_, S>]) -> Result<Vec<bool>, Error> {
    let mut updates = Vec::with_capacity(writes.len());
    for write in writes {
        let mut update = doc! { "$set": {
            "tenant": write.about.tenant.as_str(),
            "rule": &write.about.rule_id,
            "rev": &write.about.revision,
            "group": &write.about.group,
            "window": write.about.window,
            "part": About::partition(write.key),
            "v": write.expected + 1,
            "state": bson::serialize_to_bson(write.state)?,
            "expires": date(write.expires),
        } };
        if let Some(due) = write.due {
            update.insert("$max", doc! { "due": date(due) });
        }
        updates.push(Update {
            filter: doc! { "_id": write.key, "v": write.expected },
            update: Bson::Document(update),
            upsert: true,
        });
    }
    let updated = bulk::update(store, kind.collection(), updates).await?;
    Ok(updated
        .into_iter()
        .map(|updated| updated != Updated::Duplicate)
        .collect())
}

/// Sees to it that states which are there are judged, and not before these times.
///
/// # Errors
/// When the database is away.
pub async fn arm(store: &Store, kind: Kind, due: &[(String, Timestamp)]) -> Result<(), Error> {
    let updates = due.iter().map(|(key, due)| Update {
        filter: doc! { "_id": key },
        update: Bson::Document(doc! { "$max": { "due": date(*due) } }),
        upsert: false,
    });
    bulk::update(store, kind.collection(), updates.collect()).await?;
    Ok(())
}

/// A state whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its key.
    pub key: String,
    /// What it is about.
    pub about: About,
    /// Since when.
    pub due: Timestamp,
}

/// States of these shares of the work that are due at `now`, the longest due first; at most `limit`.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn due(
    store: &Store,
    kind: Kind,
    partitions: &[Partition],
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Due>, Error> {
    let parts: Vec<i32> = partitions.iter().map(|part| i32::from(part.number())).collect();
    let documents: Vec<Document> = store
        .collection::<Document>(kind.collection())
        .find(doc! { "part": { "$in": parts }, "due": { "$lte": date(now) } })
        .sort(doc! { "due": 1 })
        .limit(i64::from(limit))
        .projection(doc! { "state": 0 })
        .await?
        .try_collect()
        .await?;
    documents.iter().map(read_due).collect()
}

fn read_due(document: &Document) -> Result<Due, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("correlations.{field}"), "text"))
    };
    Ok(Due {
        key: text("_id")?,
        about: About {
            tenant: text("tenant")?
                .parse()
                .map_err(|error| Error::invalid("correlations.tenant", format!("{error}")))?,
            rule_id: text("rule")?,
            revision: text("rev")?,
            group: text("group")?,
            window: document
                .get_i64("window")
                .map_err(|_| Error::invalid("correlations.window", "a 64-bit number"))?,
        },
        due: document
            .get_datetime("due")
            .map(|due| Timestamp::from_millis(due.timestamp_millis()))
            .map_err(|_| Error::invalid("correlations.due", "a date"))?,
    })
}

/// Notes that states were judged, unless they are to be judged again since.
///
/// # Errors
/// When the database is away.
pub async fn settle(store: &Store, kind: Kind, judged: &[(String, Timestamp)]) -> Result<(), Error> {
    let updates = judged.iter().map(|(key, due)| Update {
        filter: doc! { "_id": key, "due": date(*due) },
        update: Bson::Document(doc! { "$unset": { "due": "" } }),
        upsert: false,
    });
    bulk::update(store, kind.collection(), updates.collect()).await?;
    Ok(())
}

fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}
