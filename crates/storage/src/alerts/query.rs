//! Inserting and finding alerts.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::alert::Alert;
use model::{AgentId, AlertId, Level, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::error::ErrorKind;

use super::{COLLECTION, document};
use crate::{Error, Store};

/// Most alerts one [`list`] answers.
const MAX_LIMIT: u32 = 1000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let newest_first = |field: Option<&str>| {
        let mut keys = doc! { "tenant": 1 };
        if let Some(field) = field {
            keys.insert(field, 1);
        }
        keys.insert("_processed_at", -1);
        keys.insert("_id", -1);
        IndexModel::builder().keys(keys).build()
    };
    let fields = [
        None,
        Some("rule_id"),
        Some("agent.id"),
        Some("agent.name"),
        Some("ips"),
        Some("level"),
    ];
    store
        .collection::<Document>(COLLECTION)
        .create_indexes(fields.map(newest_first))
        .await?;
    Ok(())
}

/// Which alerts. Empty options do not narrow.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// Whose.
    pub tenant: Tenant,
    /// About the agent with this id or, when it is no id, of this name.
    pub agent_id: Option<String>,
    /// With this address in the event, in the form of [`model::indicator::canonical_value`].
    pub ip: Option<String>,
    /// Of this rule.
    pub rule_id: Option<String>,
    /// At least this grave.
    pub min_level: Option<Level>,
    /// Made at or after.
    pub from: Option<Timestamp>,
    /// Made before.
    pub to: Option<Timestamp>,
    /// Older than this one in the order of [`list`]: `_processed_at` and id of the last alert of the page before.
    pub before: Option<(Timestamp, AlertId)>,
    /// At most so many; capped at 1,000, and 0 means 50.
    pub limit: u32,
}

impl AlertFilter {
    fn to_document(&self) -> Document {
        let mut filter = doc! { "tenant": self.tenant.as_str() };
        let is_name = self.agent_id.as_ref().is_some_and(|id| id.parse::<AgentId>().is_err());
        let agent = if is_name { "agent.name" } else { "agent.id" };
        let texts = [(agent, &self.agent_id), ("ips", &self.ip), ("rule_id", &self.rule_id)];
        for (field, text) in texts {
            if let Some(text) = text {
                filter.insert(field, text);
            }
        }
        if let Some(min) = self.min_level.filter(|min| *min > Level::Informational) {
            let levels: Vec<&str> = Level::ALL
                .into_iter()
                .filter(|level| *level >= min)
                .map(Level::as_str)
                .collect();
            filter.insert("level", doc! { "$in": levels });
        }
        let mut made = Document::new();
        if let Some(from) = self.from {
            made.insert("$gte", date(from));
        }
        if let Some(to) = self.to {
            made.insert("$lt", date(to));
        }
        if let Some((time, id)) = &self.before {
            made.insert("$lte", date(*time));
            let older = doc! { "_processed_at": { "$lt": date(*time) } };
            let same = doc! { "_processed_at": date(*time), "_id": { "$lt": id.as_str() } };
            filter.insert("$or", vec![older, same]);
        }
        if !made.is_empty() {
            filter.insert("_processed_at", made);
        }
        filter
    }
}

fn date(time: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(time.as_millis()))
}

/// Stores those alerts that are not stored yet and says how many that were. When it fails, some may be stored; the
/// same call again completes it.
///
/// # Errors
/// When the database is away or refuses a document.
pub async fn insert(store: &Store, alerts: &[Alert]) -> Result<usize, Error> {
    if alerts.is_empty() {
        return Ok(0);
    }
    let documents: Vec<RawDocumentBuf> = alerts.iter().map(document::encode).collect::<Result<_, _>>()?;
    let inserted = store
        .collection::<RawDocumentBuf>(COLLECTION)
        .insert_many(documents)
        .ordered(false)
        .await;
    let Err(error) = inserted else {
        return Ok(alerts.len());
    };
    let refused = if let ErrorKind::InsertMany(failure) = error.kind.as_ref() {
        failure.write_errors.as_ref().map_or(0, Vec::len)
    } else {
        0
    };
    let error = Error::from(error);
    if matches!(error, Error::Duplicate(_)) {
        // Unordered: all others were stored.
        return Ok(alerts.len().saturating_sub(refused));
    }
    Err(error)
}

/// Alerts, those made last first.
///
/// # Errors
/// When the database is away or an alert is not readable.
pub async fn list(store: &Store, filter: &AlertFilter) -> Result<Vec<Alert>, Error> {
    let limit = if filter.limit == 0 {
        50
    } else {
        filter.limit.min(MAX_LIMIT)
    };
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter.to_document())
        .sort(doc! { "_processed_at": -1, "_id": -1 })
        .limit(i64::from(limit))
        .await?;
    let mut alerts = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        alerts.push(document::decode(found)?);
    }
    Ok(alerts)
}

/// One alert.
///
/// # Errors
/// When the database is away or the alert is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: &AlertId) -> Result<Option<Alert>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": id.as_str(), "tenant": tenant.as_str() })
        .await?;
    found.map(document::decode).transpose()
}

/// How many alerts there are; `limit` and `before` do not count.
///
/// # Errors
/// When the database is away.
pub async fn count(store: &Store, filter: &AlertFilter) -> Result<u64, Error> {
    let filter = AlertFilter {
        before: None,
        ..filter.clone()
    };
    Ok(store
        .collection::<Document>(COLLECTION)
        .count_documents(filter.to_document())
        .await?)
}
