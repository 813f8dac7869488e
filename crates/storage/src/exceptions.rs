//! `exceptions`: events rules do not alert on. Written by detectors only.

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::exception::Exception;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use serde_json::Value as Json;

use crate::{Error, Store};

pub(crate) const COLLECTION: &str = "exceptions";
/// Most exceptions of a tenant that are read.
const MAX_LISTED: i64 = 10_000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let keys = [doc! { "updated_at": -1 }, doc! { "tenant": 1, "rule_id": 1 }];
    store
        .collection::<Document>(COLLECTION)
        .create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build()))
        .await?;
    Ok(())
}

/// Adds an exception or replaces the one with its id.
///
/// # Errors
/// When the database is away.
pub async fn put(store: &Store, exception: &Exception) -> Result<(), Error> {
    let text = |text: &str| doc! { "$literal": text };
    // Kept as text: names with dots and dollar signs mean something to the database.
    let selection = Json::Object(exception.selection.clone()).to_string();
    let set = doc! { "$set": {
        "tenant": text(exception.tenant.as_str()),
        "id": text(&exception.id),
        "rule_id": text(&exception.rule_id),
        "selection": text(&selection),
        "reason": text(&exception.reason),
        "author": text(&exception.author),
        "created_at": date(exception.created_at),
        "expires_at": exception.expires_at.map_or(Bson::Null, date),
        "updated_at": "$$NOW",
    } };
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": key(&exception.tenant, &exception.id) }, vec![set])
        .upsert(true)
        .await?;
    Ok(())
}

/// Removes an exception; false when there is none.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, id: &str) -> Result<bool, Error> {
    let deleted = store
        .collection::<Document>(COLLECTION)
        .delete_one(doc! { "_id": key(tenant, id) })
        .await?;
    Ok(deleted.deleted_count > 0)
}

/// One exception.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<Exception>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": key(tenant, id) })
        .await?;
    found.as_ref().map(read).transpose()
}

/// A tenant's exceptions, or those of one rule, by id; at most 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant, rule_id: Option<&str>) -> Result<Vec<Exception>, Error> {
    let mut filter = doc! { "tenant": tenant.as_str() };
    if let Some(rule_id) = rule_id {
        filter.insert("rule_id", rule_id);
    }
    find(store, filter, Some(MAX_LISTED)).await
}

/// The exceptions of all tenants.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn all(store: &Store) -> Result<Vec<Exception>, Error> {
    find(store, doc! {}, None).await
}

async fn find(store: &Store, filter: Document, limit: Option<i64>) -> Result<Vec<Exception>, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let mut find = collection.find(filter).sort(doc! { "_id": 1 });
    if let Some(limit) = limit {
        find = find.limit(limit);
    }
    let documents: Vec<Document> = find.await?.try_collect().await?;
    documents.iter().map(read).collect()
}

fn key(tenant: &Tenant, id: &str) -> String {
    format!("{tenant}/{id}")
}

fn date(time: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(time.as_millis()))
}

fn read(document: &Document) -> Result<Exception, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("exceptions.{field}"), "text"))
    };
    let time = |field: &str| {
        document
            .get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
    };
    Ok(Exception {
        id: text("id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("exceptions.tenant", format!("{error}")))?,
        rule_id: text("rule_id")?,
        selection: serde_json::from_str(&text("selection")?)
            .map_err(|_| Error::invalid("exceptions.selection", "a JSON object as text"))?,
        reason: text("reason")?,
        author: text("author")?,
        created_at: time("created_at").map_err(|_| Error::invalid("exceptions.created_at", "a date"))?,
        expires_at: time("expires_at").ok(),
    })
}
