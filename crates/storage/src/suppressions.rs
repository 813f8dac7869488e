//! `suppressions`: by which fields and for how long alerts of a rule are folded into one. Written by detectors only.

use bson::doc;
use model::Tenant;
use model::exception::Suppression;

use crate::tuning::{self, Fields, Record, date, literal};
use crate::{Error, Store};

pub(crate) const COLLECTION: &str = "suppressions";

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    tuning::ensure_indexes::<Suppression>(store).await
}

/// Sets the suppression of a rule.
///
/// # Errors
/// When the database is away.
pub async fn put(store: &Store, suppression: &Suppression) -> Result<(), Error> {
    let set = doc! {
        "tenant": literal(suppression.tenant.as_str()),
        "rule_id": literal(&suppression.rule_id),
        "fields": { "$literal": &suppression.fields },
        "seconds": i64::from(suppression.seconds),
        "reason": literal(&suppression.reason),
        "author": literal(&suppression.author),
        "created_at": date(suppression.created_at),
    };
    tuning::put::<Suppression>(store, &suppression.tenant, &suppression.rule_id, set).await
}

/// Removes the suppression of a rule; false when there is none.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, rule_id: &str) -> Result<bool, Error> {
    tuning::delete::<Suppression>(store, tenant, rule_id).await
}

/// The suppression of a rule.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, rule_id: &str) -> Result<Option<Suppression>, Error> {
    tuning::get(store, tenant, rule_id).await
}

/// A tenant's suppressions, by rule.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Suppression>, Error> {
    tuning::find(store, doc! { "tenant": tenant.as_str() }, None).await
}

/// The suppressions of all tenants.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn all(store: &Store) -> Result<Vec<Suppression>, Error> {
    tuning::find(store, doc! {}, None).await
}

impl Record for Suppression {
    const COLLECTION: &'static str = COLLECTION;

    fn read(fields: &Fields<'_>) -> Result<Self, Error> {
        let names = fields.document.get_array("fields");
        let names = names.map_err(|_| fields.invalid("fields", "a list"))?;
        let seconds = fields.document.get_i64("seconds").ok();
        Ok(Self {
            tenant: fields.tenant()?,
            rule_id: fields.text("rule_id")?,
            fields: names
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            seconds: seconds
                .and_then(|seconds| u32::try_from(seconds).ok())
                .ok_or_else(|| fields.invalid("seconds", "a number of seconds"))?,
            reason: fields.text("reason")?,
            author: fields.text("author")?,
            created_at: fields.time("created_at")?,
        })
    }
}
