//! `idempotency_keys`: which requests with an `Idempotency-Key` were seen, so that a retry is sent on as exactly the
//! same batch, under the same collection day. Written by gateways; entries expire by themselves.

use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, Document, doc};
use model::{Epoch, SourceId, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::{IndexOptions, ReturnDocument};

use crate::{Error, Store};

const COLLECTION: &str = "idempotency_keys";
/// How long a key is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(48 * 3600);

/// What was noted when the key was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// When, in milliseconds resolution.
    pub at: Timestamp,
    /// Hash of that request.
    pub request: [u8; 32],
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let expiring = IndexModel::builder()
        .keys(doc! { "at": 1 })
        .options(IndexOptions::builder().expire_after(REMEMBERED).build())
        .build();
    store.collection::<Document>(COLLECTION).create_index(expiring).await?;
    Ok(())
}

/// Notes the request unless its key was seen before, and returns what is noted: `given` itself the first time.
///
/// # Errors
/// When the database is away.
pub async fn first(
    store: &Store,
    tenant: &Tenant,
    source: &SourceId,
    epoch: Epoch,
    given: &First,
) -> Result<First, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let filter = doc! { "_id": format!("{tenant}/{source}/{epoch}") };
    let request = Binary {
        subtype: BinarySubtype::Generic,
        bytes: given.request.to_vec(),
    };
    let insert = doc! { "$setOnInsert": {
        "tenant": tenant.as_str(),
        "at": bson::DateTime::from_millis(given.at.as_millis()),
        "request": request,
    } };
    let upsert = || {
        collection
            .find_one_and_update(filter.clone(), insert.clone())
            .upsert(true)
            .return_document(ReturnDocument::After)
    };
    // Two upserts of one key at once can collide; the second try finds the winner's record.
    let found = match upsert().await.map_err(Error::from) {
        Err(Error::Duplicate(_)) => upsert().await?,
        other => other?,
    };
    let document = found.ok_or_else(|| Error::invalid("idempotency_keys", "the upserted record"))?;
    Ok(First {
        at: document
            .get_datetime("at")
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid("idempotency_keys.at", "a date"))?,
        request: document
            .get_binary_generic("request")
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
            .ok_or_else(|| Error::invalid("idempotency_keys.request", "32 bytes"))?,
    })
}
