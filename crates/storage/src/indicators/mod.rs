//! `indicators`: threat intelligence, one record per `(tenant, type, value, feed, source)`. Written by detectors only.
//!
//! A record's fields are those of [`model::indicator::Indicator`], and `h` (hash of what can change, so that saying the
//! same again is no change), `run` (the run of its feed that saw it last), `updated_at` (by the database's clock, what
//! followers look at) and `removed_at`. A removed indicator stays for a day as a mark, so that detectors learn of the
//! removal without reading everything again; then MongoDB deletes it.

mod changes;
mod document;
mod query;
mod remove;
mod write;

use std::time::Duration;

use bson::{Document, doc};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use crate::{Error, Store};

pub use changes::{Change, Changes, REMOVALS_KEPT, changes};
pub use query::{Filter, Group, Position, list, lookup, stats};
pub use remove::{Selector, remove, remove_said, remove_unseen, remove_unseen_of};
pub use write::{upsert, upsert_in_run};

const COLLECTION: &str = "indicators";
/// Writes per command. MongoDB takes more, but a command should not hold others up for long.
const BATCH: usize = 1000;
/// The unique index of records that had no feed.
const FORMER_IDENTITY: &str = "tenant_1_type_1_value_1";

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    bring_up_to_date(store).await?;
    let unique = IndexOptions::builder().unique(true).build();
    let identity = IndexModel::builder()
        .keys(doc! { "tenant": 1, "type": 1, "value": 1, "feed": 1, "source": 1 })
        .options(unique)
        .build();
    let expiry = IndexOptions::builder().expire_after(REMOVALS_KEPT).build();
    let removed = IndexModel::builder()
        .keys(doc! { "removed_at": 1 })
        .options(expiry)
        .build();
    let plain = |keys: Document| IndexModel::builder().keys(keys).build();
    store
        .collection::<Document>(COLLECTION)
        .create_indexes([
            identity,
            plain(doc! { "tenant": 1, "created_at": -1, "_id": -1 }),
            plain(doc! { "tenant": 1, "feed": 1, "run": 1 }),
            plain(doc! { "tenant": 1, "feed": 1, "source": 1 }),
            plain(doc! { "updated_at": 1 }),
            removed,
        ])
        .await?;
    Ok(())
}

/// Records written before there were feeds lack what identifies one, and their index would refuse a second source.
async fn bring_up_to_date(store: &Store) -> Result<(), Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let names = match collection.list_index_names().await.map_err(Error::from) {
        Ok(names) => names,
        Err(error) if error.is_retryable() => return Err(error),
        // The collection does not exist.
        Err(_) => return Ok(()),
    };
    if !names.iter().any(|name| name == FORMER_IDENTITY) {
        return Ok(());
    }
    let defaults = doc! { "$set": {
        "feed": "",
        "confidence": i32::from(model::indicator::DEFAULT_CONFIDENCE),
        "tags": [],
        "reference": "",
    } };
    collection
        .update_many(doc! { "feed": { "$exists": false } }, defaults)
        .await?;
    // Another node may have been faster.
    if let Err(error) = collection.drop_index(FORMER_IDENTITY).await {
        let error = Error::from(error);
        if error.is_retryable() {
            return Err(error);
        }
        tracing::debug!(%error, "former index not dropped");
    }
    Ok(())
}

/// How long a removed indicator is kept as a mark.
const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}
