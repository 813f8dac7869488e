//! `certificates`: every certificate that was issued, and which of them are revoked.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::node::Role;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{Error, Store};

const COLLECTION: &str = "certificates";
/// Time between two looks at the list of revocations.
const POLL: Duration = Duration::from_secs(1);

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let revoked = IndexOptions::builder()
        .partial_filter_expression(doc! { "revoked_at": { "$exists": true } })
        .build();
    let indexes = [
        IndexModel::builder().keys(doc! { "tenant": 1, "subject": 1 }).build(),
        IndexModel::builder()
            .keys(doc! { "revoked_at": 1, "not_after": 1 })
            .options(revoked)
            .build(),
    ];
    store.collection::<Document>(COLLECTION).create_indexes(indexes).await?;
    Ok(())
}

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Serial number, lower-case hex.
    pub serial: String,
    /// Whose.
    pub tenant: Tenant,
    /// The identity in it, `spiffe://...`.
    pub spiffe: String,
    /// What its holder may be.
    pub role: Role,
    /// The last part of the identity: an agent id or a node's name.
    pub subject: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    pub reason: Option<String>,
}

/// Records an issued certificate. Recording the same one again changes nothing.
///
/// # Errors
/// When the database is away.
pub async fn record(store: &Store, certificate: &Certificate) -> Result<(), Error> {
    let date = |at: Timestamp| DateTime::from_millis(at.as_millis());
    let fields = doc! {
        "tenant": certificate.tenant.as_str(),
        "spiffe": &certificate.spiffe,
        "role": certificate.role.as_str(),
        "subject": &certificate.subject,
        "not_before": date(certificate.not_before),
        "not_after": date(certificate.not_after),
        "issued_at": date(certificate.issued_at),
    };
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": &certificate.serial }, doc! { "$setOnInsert": fields })
        .upsert(true)
        .await?;
    Ok(())
}

/// Revokes every certificate of an identity's `role` and `subject`. Answers how many were not revoked before.
///
/// # Errors
/// When the database is away.
pub async fn revoke_subject(
    store: &Store,
    tenant: &Tenant,
    role: Role,
    subject: &str,
    reason: &str,
) -> Result<u64, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "subject": subject, "role": role.as_str() };
    revoke(store, filter, reason).await
}

/// Revokes one certificate. False when it is unknown or was revoked before.
///
/// # Errors
/// When the database is away.
pub async fn revoke_serial(store: &Store, tenant: &Tenant, serial: &str, reason: &str) -> Result<bool, Error> {
    let filter = doc! { "_id": serial, "tenant": tenant.as_str() };
    Ok(revoke(store, filter, reason).await? > 0)
}

/// When a certificate was revoked; `None` when it was not, or is not on record.
///
/// # Errors
/// When the database is away.
pub async fn revoked_at(store: &Store, serial: &str) -> Result<Option<Timestamp>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": serial, "revoked_at": { "$exists": true } })
        .await?;
    Ok(found.and_then(|found| {
        let at = found.get_datetime("revoked_at").ok()?;
        Some(Timestamp::from_millis(at.timestamp_millis()))
    }))
}

async fn revoke(store: &Store, mut filter: Document, reason: &str) -> Result<u64, Error> {
    filter.insert("revoked_at", doc! { "$exists": false });
    let update = doc! { "$set": { "reason": reason }, "$currentDate": { "revoked_at": true } };
    let updated = store
        .collection::<Document>(COLLECTION)
        .update_many(filter, update)
        .await?;
    Ok(updated.modified_count)
}

/// Serials of all revoked certificates that have not expired yet, of all tenants, in order.
///
/// # Errors
/// When the database is away.
pub async fn revoked(store: &Store) -> Result<Vec<String>, Error> {
    let filter = doc! { "revoked_at": { "$exists": true }, "$expr": { "$gt": ["$not_after", "$$NOW"] } };
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .projection(doc! { "_id": 1 })
        .await?;
    let mut serials = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        let serial = document
            .get_str("_id")
            .map_err(|_| Error::invalid("certificates._id", "text"))?;
        serials.push(serial.to_owned());
    }
    serials.sort_unstable();
    Ok(serials)
}

/// Calls `apply` with the revoked serials at once and whenever they change, until `shutdown`. While the database is away
/// the last list stays; this is logged when it begins and when it ends.
pub async fn follow_revocations(store: Store, mut apply: impl FnMut(Vec<String>) + Send, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(POLL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut applied: Option<Vec<String>> = None;
    let mut failing = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = interval.tick() => {}
        }
        let current = tokio::select! {
            () = shutdown.cancelled() => return,
            current = revoked(&store) => current,
        };
        match current {
            Ok(serials) => {
                if failing {
                    tracing::info!("list of revoked certificates is current again");
                    failing = false;
                }
                if applied.as_ref() != Some(&serials) {
                    apply(serials.clone());
                    applied = Some(serials);
                }
            }
            Err(error) if !failing => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot read the list of revoked certificates, the last one stays in force"
                );
                failing = true;
            }
            Err(_) => {}
        }
    }
}

/// Certificates of a tenant, issued last first; at most 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Certificate>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "issued_at": -1 })
        .limit(10_000)
        .await?
        .try_collect()
        .await?;
    documents.iter().map(from_document).collect()
}

fn from_document(document: &Document) -> Result<Certificate, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("certificates.{field}"), "text"))
    };
    let time = |field: &str| {
        document
            .get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid(format!("certificates.{field}"), "a date"))
    };
    Ok(Certificate {
        serial: text("_id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("certificates.tenant", format!("{error}")))?,
        spiffe: text("spiffe")?,
        role: text("role")?
            .parse()
            .map_err(|error| Error::invalid("certificates.role", error))?,
        subject: text("subject")?,
        not_before: time("not_before")?,
        not_after: time("not_after")?,
        issued_at: time("issued_at")?,
        revoked_at: time("revoked_at").ok(),
        reason: text("reason").ok(),
    })
}
