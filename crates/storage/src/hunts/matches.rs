//! What hunts found, in short; the alerts and events tell more.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::indicator::IndicatorType;
use model::{Tenant, Timestamp};
use serde::{Deserialize, Serialize};

use super::MATCHES;
use crate::{Error, Store};

/// Most matches kept of one hunt. All are counted, and with alerts, all alert.
pub const MAX_MATCHES: u64 = 10_000;
/// Most matches in one answer.
const MAX_LIMIT: u32 = 1000;

/// An indicator in a stored event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The alert's id, whether or not there is one: the same for the same indicator and event.
    pub id: String,
    /// When the event happened.
    #[serde(rename = "@timestamp")]
    pub timestamp: Timestamp,
    /// Which event.
    pub event_id: String,
    /// What was found.
    #[serde(rename = "type")]
    pub kind: IndicatorType,
    /// Its value.
    pub value: String,
    /// In which field.
    pub field: String,
    /// Who says it is bad.
    pub source: String,
    /// The feed it came with.
    pub feed: String,
    /// Name of the event's host or agent.
    pub host: String,
    /// The start of the event's message.
    pub message: String,
}

/// Adds matches; those that are there are left as they are.
///
/// # Errors
/// When the database is away.
pub async fn add_matches(store: &Store, tenant: &Tenant, hunt: &str, matches: &[Match]) -> Result<(), Error> {
    if matches.is_empty() {
        return Ok(());
    }
    let now = bson::DateTime::now();
    let mut documents = Vec::with_capacity(matches.len());
    for found in matches {
        let mut document = bson::serialize_to_document(found)?;
        document.remove("id");
        document.insert("_id", format!("{hunt}/{}", found.id));
        document.insert("tenant", tenant.as_str());
        document.insert("hunt", hunt);
        document.insert("@timestamp", bson::DateTime::from_millis(found.timestamp.as_millis()));
        document.insert("created_at", now);
        documents.push(document);
    }
    let inserted = store
        .collection::<Document>(MATCHES)
        .insert_many(documents)
        .ordered(false)
        .await
        .map_err(Error::from);
    match inserted {
        Ok(_) | Err(Error::Duplicate(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A hunt's matches in the order of their ids, behind `after`. `limit` is capped at 1,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list_matches(
    store: &Store,
    tenant: &Tenant,
    hunt: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Match>, Error> {
    let mut filter = doc! { "tenant": tenant.as_str(), "hunt": hunt };
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": format!("{hunt}/{after}") });
    }
    let mut cursor = store
        .collection::<Document>(MATCHES)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .limit(i64::from(limit.clamp(1, MAX_LIMIT)))
        .await?;
    let mut matches = Vec::new();
    while let Some(mut document) = cursor.try_next().await? {
        let wrong = || Error::invalid("hunt_matches", "a match");
        let id = document.get_str("_id").map_err(|_| wrong())?;
        let id = id.rsplit('/').next().unwrap_or_default().to_owned();
        document.insert("id", id);
        let time = document.get_datetime("@timestamp").map_err(|_| wrong())?;
        let time = Timestamp::from_millis(time.timestamp_millis());
        document.insert("@timestamp", time.to_string());
        matches.push(bson::deserialize_from_document(document).map_err(|_| wrong())?);
    }
    Ok(matches)
}
