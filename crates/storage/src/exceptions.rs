//! `exceptions`: events rules do not alert on. Written by detectors only.

use bson::{Bson, doc};
use model::Tenant;
use model::exception::Exception;
use serde_json::Value as Json;

use crate::tuning::{self, Fields, Record, date, literal};
use crate::{Error, Store};

pub(crate) const COLLECTION: &str = "exceptions";
/// Most exceptions of a tenant that are read.
const MAX_LISTED: i64 = 10_000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    tuning::ensure_indexes::<Exception>(store).await
}

/// Adds an exception or replaces the one with its id.
///
/// # Errors
/// When the database is away.
pub async fn put(store: &Store, exception: &Exception) -> Result<(), Error> {
    // Kept as text: names with dots and dollar signs mean something to the database.
    let selection = Json::Object(exception.selection.clone()).to_string();
    let set = doc! {
        "tenant": literal(exception.tenant.as_str()),
        "id": literal(&exception.id),
        "rule_id": literal(&exception.rule_id),
        "selection": literal(&selection),
        "query": exception.query.as_deref().map_or(Bson::Null, |query| literal(query).into()),
        "reason": literal(&exception.reason),
        "author": literal(&exception.author),
        "created_at": date(exception.created_at),
        "expires_at": exception.expires_at.map_or(Bson::Null, date),
    };
    tuning::put::<Exception>(store, &exception.tenant, &exception.id, set).await
}

/// Removes an exception; false when there is none.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, id: &str) -> Result<bool, Error> {
    tuning::delete::<Exception>(store, tenant, id).await
}

/// One exception.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<Exception>, Error> {
    tuning::get(store, tenant, id).await
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
    tuning::find(store, filter, Some(MAX_LISTED)).await
}

/// The exceptions of all tenants.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn all(store: &Store) -> Result<Vec<Exception>, Error> {
    tuning::find(store, doc! {}, None).await
}

impl Record for Exception {
    const COLLECTION: &'static str = COLLECTION;

    fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: fields.text("id")?,
            tenant: fields.tenant()?,
            rule_id: fields.text("rule_id")?,
            selection: serde_json::from_str(&fields.text("selection")?)
                .map_err(|_| fields.invalid("selection", "a JSON object as text"))?,
            query: fields.text("query").ok(),
            reason: fields.text("reason")?,
            author: fields.text("author")?,
            created_at: fields.time("created_at")?,
            expires_at: fields.time("expires_at").ok(),
        })
    }
}
