//! `rules`: detection rules as text, one record per `(tenant, id)`. Written by detectors only.
//!
//! Rules come from the directories of detectors (`origin: "dir"`); `nodes` says which detectors have the file. A rule that
//! no living detector has a file of stays, disabled and marked `vanished`, and is enabled again when its file comes back;
//! one that a person disabled stays disabled whatever its file does.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::rule::StoredRule;
use model::{NodeId, Tenant, Timestamp};
use mongodb::IndexModel;

use crate::{Error, Store};

const COLLECTION: &str = "rules";

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let keys = [
        doc! { "updated_at": -1 },
        doc! { "enabled": 1 },
        doc! { "tenant": 1, "id": 1 },
    ];
    store
        .collection::<Document>(COLLECTION)
        .create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build()))
        .await?;
    Ok(())
}

/// What [`put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The rule was not known.
    Added,
    /// It has another text or path, or its file came back.
    Changed,
    /// It was there as it is.
    Unchanged,
}

/// Stores a rule from a file, unless it is there already as it is. `enabled` and `updated_at` of `rule` are not looked
/// at: a new rule is enabled, and the time is the database's. Several nodes may put the same rule at once.
///
/// # Errors
/// When the database is away.
pub async fn put(store: &Store, rule: &StoredRule) -> Result<Put, Error> {
    let id = key(&rule.tenant, &rule.id);
    let differs = doc! {
        "_id": &id,
        "$or": [
            { "revision": { "$ne": &rule.revision } },
            { "path": { "$ne": &rule.path } },
            { "vanished": true },
        ],
    };
    // In a pipeline a text that starts with a dollar sign would be an expression.
    let text = |text: &str| doc! { "$literal": text };
    let update = vec![doc! { "$set": {
        "tenant": text(rule.tenant.as_str()),
        "id": text(&rule.id),
        "title": text(&rule.title),
        "yaml": text(&rule.yaml),
        "revision": text(&rule.revision),
        "path": text(&rule.path),
        "origin": "dir",
        "enabled": { "$or": [{ "$ifNull": ["$enabled", true] }, { "$ifNull": ["$vanished", false] }] },
        "vanished": false,
        "updated_at": "$$NOW",
    } }];
    let updated = store
        .collection::<Document>(COLLECTION)
        .update_one(differs, update)
        .upsert(true)
        .await
        .map_err(Error::from);
    match updated {
        Ok(result) if result.upserted_id.is_some() => Ok(Put::Added),
        Ok(_) => Ok(Put::Changed),
        // The record exists and the filter did not find it, so nothing differs.
        Err(Error::Duplicate(_)) => Ok(Put::Unchanged),
        Err(error) => Err(error),
    }
}

/// Notes that `node` has the files of these rules. Changes nothing else of them.
///
/// # Errors
/// When the database is away.
pub async fn claim(store: &Store, tenant: &Tenant, node: &NodeId, ids: &[&str]) -> Result<(), Error> {
    let filter = doc! { "tenant": tenant.as_str(), "id": { "$in": ids }, "nodes": { "$ne": node.as_str() } };
    store
        .collection::<Document>(COLLECTION)
        .update_many(filter, doc! { "$addToSet": { "nodes": node.as_str() } })
        .await?;
    Ok(())
}

/// Notes that `node` has no file of a rule, and disables the rule unless one of `others` has. False when it stays as it
/// was: somebody has the file, it was disabled already, or it is not there.
///
/// # Errors
/// When the database is away.
pub async fn vanish(store: &Store, tenant: &Tenant, id: &str, node: &NodeId, others: &[NodeId]) -> Result<bool, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let id = key(tenant, id);
    // First, and apart: of several nodes that lose the file at once, the last one sees that nobody has it.
    collection
        .update_one(doc! { "_id": &id }, doc! { "$pull": { "nodes": node.as_str() } })
        .await?;
    let others: Vec<&str> = others
        .iter()
        .filter(|other| *other != node)
        .map(NodeId::as_str)
        .collect();
    let filter = doc! { "_id": &id, "origin": "dir", "enabled": true, "nodes": { "$nin": others } };
    let update = vec![doc! { "$set": { "enabled": false, "vanished": true, "updated_at": "$$NOW" } }];
    let updated = collection.update_one(filter, update).await?;
    Ok(updated.modified_count > 0)
}

/// Ids of the rules of a tenant that are disabled because nobody had their file.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn vanished(store: &Store, tenant: &Tenant) -> Result<Vec<String>, Error> {
    let filter = doc! { "enabled": false, "vanished": true, "tenant": tenant.as_str() };
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .projection(doc! { "id": 1 })
        .await?
        .try_collect()
        .await?;
    let id = |document: &Document| document.get_str("id").map(str::to_owned);
    documents
        .iter()
        .map(|document| id(document).map_err(|_| Error::invalid("rules.id", "text")))
        .collect()
}

/// Every rule of a tenant, enabled or not, by id.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<StoredRule>, Error> {
    find(store, doc! { "tenant": tenant.as_str() }).await
}

/// The enabled rules of all tenants, by tenant and id: what a detector, which works for all of them, evaluates.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn enabled(store: &Store) -> Result<Vec<StoredRule>, Error> {
    find(store, doc! { "enabled": true }).await
}

async fn find(store: &Store, filter: Document) -> Result<Vec<StoredRule>, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .await?;
    let mut rules = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        rules.push(from_document(&document)?);
    }
    Ok(rules)
}

/// A cheap summary of the collection that differs after most changes; see [`Version::covers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    count: u64,
    enabled: u64,
    newest: Option<Timestamp>,
    read_at: Timestamp,
}

/// Longest time between a write taking its time from the database's clock and the write being visible.
const SETTLED_MICROS: i64 = 5_000_000;

impl Version {
    /// Whether what was read at this version is still all there is at `later`. It errs on the side of reading again:
    /// for five seconds after a change, another one may carry the same time.
    #[must_use]
    pub fn covers(&self, later: &Self) -> bool {
        let settled = self
            .newest
            .is_none_or(|newest| newest.0.saturating_add(SETTLED_MICROS) < self.read_at.0);
        settled && (self.count, self.enabled, self.newest) == (later.count, later.enabled, later.newest)
    }
}

/// Reads the [`Version`]. Read it before the rules themselves.
///
/// # Errors
/// When the database is away.
pub async fn version(store: &Store) -> Result<Version, Error> {
    let read_at = store.now().await?;
    let collection = store.collection::<Document>(COLLECTION);
    let newest = collection
        .find_one(doc! {})
        .sort(doc! { "updated_at": -1 })
        .projection(doc! { "updated_at": 1 })
        .await?;
    Ok(Version {
        count: collection.estimated_document_count().await?,
        enabled: collection.count_documents(doc! { "enabled": true }).await?,
        newest: newest.as_ref().and_then(|newest| time(newest).ok()),
        read_at,
    })
}

fn key(tenant: &Tenant, id: &str) -> String {
    format!("{tenant}/{id}")
}

fn time(document: &Document) -> Result<Timestamp, Error> {
    document
        .get_datetime("updated_at")
        .map(|at| Timestamp::from_millis(at.timestamp_millis()))
        .map_err(|_| Error::invalid("rules.updated_at", "a date"))
}

fn from_document(document: &Document) -> Result<StoredRule, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("rules.{field}"), "text"))
    };
    Ok(StoredRule {
        id: text("id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("rules.tenant", format!("{error}")))?,
        title: text("title")?,
        yaml: text("yaml")?,
        revision: text("revision")?,
        path: text("path")?,
        enabled: document
            .get_bool("enabled")
            .map_err(|_| Error::invalid("rules.enabled", "true or false"))?,
        updated_at: time(document)?,
    })
}
