//! Alerts that change as more is known: those of correlations and those that stand for others.
//!
//! `_v` in a document says how much was known. A write that knows less changes nothing, so that it does not matter in
//! which order writers come.

use std::collections::HashMap;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::AlertId;
use model::alert::Alert;

use super::{COLLECTION, document};
use crate::bulk::{self, Update, Updated};
use crate::{Error, Store};

/// Beside an alert that was ever retracted: the version with which it was last. Watchers are told of its changes.
pub(super) const WAS_RETRACTED: &str = "_was_retracted";
/// Most alerts read by one query.
const READ_AT_ONCE: usize = 1000;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Inserted,
    /// It was there and says more now.
    Changed,
    /// What is there says as much.
    Unchanged,
}

impl From<Updated> for Put {
    fn from(updated: Updated) -> Self {
        match updated {
            Updated::Inserted => Self::Inserted,
            Updated::Done => Self::Changed,
            Updated::Duplicate => Self::Unchanged,
        }
    }
}

/// Stores alerts, each unless one with its id is there that knows as much. `_processed_at` stays as it was first.
///
/// # Errors
/// When the database is away or refuses an alert; some may be stored then.
pub async fn put_versioned(store: &Store, alerts: &[(Alert, u64)]) -> Result<Vec<Put>, Error> {
    let mut updates = Vec::with_capacity(alerts.len());
    for (alert, version) in alerts {
        let version = version.cast_signed();
        updates.push(Update {
            filter: doc! { "_id": alert.id.as_str(), "_v": { "$lt": version } },
            update: content(alert, doc! { "_v": version })?,
            upsert: true,
        });
    }
    let updated = bulk::update(store, COLLECTION, updates).await?;
    Ok(updated.into_iter().map(Put::from).collect())
}

/// How much is known in the alerts with these ids; those that are not there are left out.
///
/// # Errors
/// When the database is away.
pub async fn versions(store: &Store, ids: &[AlertId]) -> Result<HashMap<AlertId, u64>, Error> {
    let mut versions = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(READ_AT_ONCE) {
        let ids: Vec<&str> = ids.iter().map(AlertId::as_str).collect();
        let mut cursor = store
            .collection::<Document>(COLLECTION)
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_v": 1 })
            .await?;
        while let Some(found) = cursor.try_next().await? {
            let id = found.get_str("_id").ok().and_then(|id| id.parse().ok());
            if let (Some(id), Ok(version)) = (id, found.get_i64("_v")) {
                versions.insert(id, version.cast_unsigned());
            }
        }
    }
    Ok(versions)
}

/// Marks alerts of correlations as retracted, each unless what is there knows as much. Alerts that are not there stay
/// so.
///
/// # Errors
/// When the database is away.
pub async fn retract(store: &Store, retracted: &[(AlertId, u64)]) -> Result<(), Error> {
    let updates = retracted.iter().map(|(id, version)| {
        let version = version.cast_signed();
        Update {
            filter: doc! { "_id": id.as_str(), "_v": { "$lt": version } },
            update: Bson::Document(doc! { "$set": {
                "correlation.retracted": true, "_v": version, WAS_RETRACTED: version,
            } }),
            upsert: false,
        }
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

/// Stores alerts that stand for others, each unless one with its id is there with an event as early.
///
/// # Errors
/// When the database is away or refuses an alert; some may be stored then.
pub async fn put_earliest(store: &Store, alerts: &[Alert]) -> Result<Vec<Put>, Error> {
    let mut updates = Vec::with_capacity(alerts.len());
    for alert in alerts {
        // The time to the microsecond, then the id: no two events are equally early.
        let first = format!("{:020}/{}", alert.timestamp.0.max(0), alert.event_id);
        updates.push(Update {
            filter: doc! { "_id": alert.id.as_str(), "_first": { "$gt": &first } },
            update: content(alert, doc! { "_first": first })?,
            upsert: true,
        });
    }
    let updated = bulk::update(store, COLLECTION, updates).await?;
    Ok(updated.into_iter().map(Put::from).collect())
}

/// How many alerts an alert stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressedCount {
    /// Which alert.
    pub id: AlertId,
    /// How many besides it.
    pub count: u64,
    /// There may be more.
    pub at_least: bool,
}

/// Notes counts; they only grow.
///
/// # Errors
/// When the database is away.
pub async fn count_suppressed(store: &Store, counts: &[SuppressedCount]) -> Result<(), Error> {
    let updates = counts.iter().map(|count| Update {
        filter: doc! { "_id": count.id.as_str() },
        update: Bson::Document(doc! { "$max": {
            "suppression.suppressed_count": i64::try_from(count.count).unwrap_or(i64::MAX),
            "suppression.at_least": count.at_least,
        } }),
        upsert: false,
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

/// The alert's content as an update that leaves alone what others add to the document.
fn content(alert: &Alert, more: Document) -> Result<Bson, Error> {
    let mut set = Document::try_from(document::encode(alert)?.as_ref())?;
    set.remove("_id");
    let mut once = Document::new();
    if let Some(processed_at) = set.remove("_processed_at") {
        once.insert("_processed_at", processed_at);
    }
    if let Ok(suppression) = set.get_document_mut("suppression") {
        // Counted apart.
        let suppression = std::mem::take(suppression);
        set.remove("suppression");
        for (name, value) in suppression {
            let name = format!("suppression.{name}");
            if name == "suppression.suppressed_count" || name == "suppression.at_least" {
                once.insert(name, value);
            } else {
                set.insert(name, value);
            }
        }
    }
    set.extend(more);
    Ok(Bson::Document(doc! { "$set": set, "$setOnInsert": once }))
}
