//! `suppressions`: by which fields and for how long alerts of a rule are folded into one. Written by detectors only.

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::exception::Suppression;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;

use crate::{Error, Store};

pub(crate) const COLLECTION: &str = "suppressions";

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let keys = [doc! { "updated_at": -1 }, doc! { "tenant": 1, "rule_id": 1 }];
    store
        .collection::<Document>(COLLECTION)
        .create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build()))
        .await?;
    Ok(())
}

/// Sets the suppression of a rule.
///
/// # Errors
/// When the database is away.
pub async fn put(store: &Store, suppression: &Suppression) -> Result<(), Error> {
    let text = |text: &str| doc! { "$literal": text };
    let set = doc! { "$set": {
        "tenant": text(suppression.tenant.as_str()),
        "rule_id": text(&suppression.rule_id),
        "fields": { "$literal": &suppression.fields },
        "seconds": i64::from(suppression.seconds),
        "reason": text(&suppression.reason),
        "author": text(&suppression.author),
        "created_at": DateTime::from_millis(suppression.created_at.as_millis()),
        "updated_at": "$$NOW",
    } };
    store
        .collection::<Document>(COLLECTION)
        .update_one(
            doc! { "_id": key(&suppression.tenant, &suppression.rule_id) },
            vec![set],
        )
        .upsert(true)
        .await?;
    Ok(())
}

/// Removes the suppression of a rule; false when there is none.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, rule_id: &str) -> Result<bool, Error> {
    let deleted = store
        .collection::<Document>(COLLECTION)
        .delete_one(doc! { "_id": key(tenant, rule_id) })
        .await?;
    Ok(deleted.deleted_count > 0)
}

/// The suppression of a rule.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, rule_id: &str) -> Result<Option<Suppression>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": key(tenant, rule_id) })
        .await?;
    found.as_ref().map(read).transpose()
}

/// A tenant's suppressions, by rule.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Suppression>, Error> {
    find(store, doc! { "tenant": tenant.as_str() }).await
}

/// The suppressions of all tenants.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn all(store: &Store) -> Result<Vec<Suppression>, Error> {
    find(store, doc! {}).await
}

async fn find(store: &Store, filter: Document) -> Result<Vec<Suppression>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .await?
        .try_collect()
        .await?;
    documents.iter().map(read).collect()
}

fn key(tenant: &Tenant, rule_id: &str) -> String {
    format!("{tenant}/{rule_id}")
}

fn read(document: &Document) -> Result<Suppression, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("suppressions.{field}"), "text"))
    };
    let fields = document
        .get_array("fields")
        .map_err(|_| Error::invalid("suppressions.fields", "a list"))?;
    Ok(Suppression {
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("suppressions.tenant", format!("{error}")))?,
        rule_id: text("rule_id")?,
        fields: fields
            .iter()
            .filter_map(|field| field.as_str().map(str::to_owned))
            .collect(),
        seconds: document
            .get_i64("seconds")
            .ok()
            .and_then(|seconds| u32::try_from(seconds).ok())
            .ok_or_else(|| Error::invalid("suppressions.seconds", "a number of seconds"))?,
        reason: text("reason")?,
        author: text("author")?,
        created_at: document
            .get_datetime("created_at")
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid("suppressions.created_at", "a date"))?,
    })
}
