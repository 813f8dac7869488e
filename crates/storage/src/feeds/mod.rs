//! `feeds`: which feeds of threat intelligence there are and how they go, one record per `(tenant, name)`; and
//! `feed_parts`: which events of a MISP feed were taken over, in which version. Written by detectors only.
//!
//! A record's fields are `spec` (a [`model::feed::FeedSpec`]; it tells where secrets are, never the secrets), `status` (a
//! [`model::feed::FeedStatus`]), `next_run`, `asked_at` (when somebody asked for a run out of turn) and `lease`. A run
//! is done under a lease with a fence, so one that lost its lease cannot write over its successor's.

mod document;
mod lease;
mod parts;

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::feed::{FeedSpec, FeedStatus};
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::{IndexOptions, ReturnDocument};

use crate::{Error, Store};

pub use lease::{Claim, FeedId, claim, finish, progress, renew};
pub use parts::{delete_part, parts, put_part};

const COLLECTION: &str = "feeds";
const PARTS: &str = "feed_parts";
/// Most feeds of a tenant.
pub const MAX_FEEDS: i64 = 1000;

/// A feed as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Whose.
    pub tenant: Tenant,
    /// What was set up.
    pub spec: FeedSpec,
    /// How it goes.
    pub status: FeedStatus,
    /// When it was set up first.
    pub created_at: Timestamp,
    /// When it was set up last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: String,
}

/// What became of a feed that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was none of that name.
    Added,
    /// It was set up differently.
    Changed,
    /// It was set up like that.
    Unchanged,
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let unique = |keys: Document| {
        IndexModel::builder()
            .keys(keys)
            .options(IndexOptions::builder().unique(true).build())
            .build()
    };
    let due = IndexModel::builder().keys(doc! { "next_run": 1 }).build();
    store
        .collection::<Document>(COLLECTION)
        .create_indexes([unique(doc! { "tenant": 1, "name": 1 }), due])
        .await?;
    store
        .collection::<Document>(PARTS)
        .create_index(unique(doc! { "tenant": 1, "feed": 1, "part": 1 }))
        .await?;
    Ok(())
}

/// Sets a feed up, or changes it. One that is new or changed is due at once; what its publisher said it was when it was
/// read last is forgotten, so that all of it is read again.
///
/// # Errors
/// [`Error::Invalid`] when there are too many; else when the database is away.
pub async fn put(store: &Store, tenant: &Tenant, spec: &FeedSpec, by: &str) -> Result<Put, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let filter = doc! { "tenant": tenant.as_str(), "name": &spec.name };
    let new = document::spec(spec)?;
    if let Some(known) = collection.find_one(filter.clone()).await? {
        if known.get_document("spec").ok() == Some(&new) {
            return Ok(Put::Unchanged);
        }
    } else {
        let count = collection.count_documents(doc! { "tenant": tenant.as_str() }).await?;
        if i64::try_from(count).unwrap_or(i64::MAX) >= MAX_FEEDS {
            return Err(Error::invalid("feeds", format!("at most {MAX_FEEDS} feeds")));
        }
    }
    let update = doc! {
        "$set": { "spec": new, "updated_by": by, "next_run": bson::DateTime::from_millis(0) },
        "$unset": { "status.etag": "", "status.last_modified": "", "status.added_after": "" },
        "$currentDate": { "updated_at": true, "asked_at": true },
        "$setOnInsert": { "created_at": document::date(store.now().await?) },
    };
    let before = collection
        .find_one_and_update(filter, update)
        .upsert(true)
        .return_document(ReturnDocument::Before)
        .await?;
    // Events are compared by version, which a change of the options does not touch.
    parts::forget(store, tenant, &spec.name).await?;
    Ok(if before.is_some() { Put::Changed } else { Put::Added })
}

/// Removes a feed and says whether there was one. Its indicators are the caller's to remove.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, name: &str) -> Result<bool, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "name": name };
    let removed = store.collection::<Document>(COLLECTION).delete_one(filter).await?;
    parts::forget(store, tenant, name).await?;
    Ok(removed.deleted_count > 0)
}

/// The feed of that name.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, name: &str) -> Result<Option<Feed>, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "name": name };
    let found = store.collection::<Document>(COLLECTION).find_one(filter).await?;
    found.as_ref().map(document::read).transpose()
}

/// A tenant's feeds, by name. A record that is not readable is left out and logged.
///
/// # Errors
/// When the database is away.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Feed>, Error> {
    let found: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "name": 1 })
        .limit(MAX_FEEDS)
        .await?
        .try_collect()
        .await?;
    let readable = |document: &Document| match document::read(document) {
        Ok(feed) => Some(feed),
        Err(error) => {
            tracing::warn!(%error, "stored feed is not readable, it will not run");
            None
        }
    };
    Ok(found.iter().filter_map(readable).collect())
}

/// Makes a feed due at once, whatever its schedule, and says whether there is an enabled one of that name.
///
/// # Errors
/// When the database is away.
pub async fn ask_for_run(store: &Store, tenant: &Tenant, name: &str) -> Result<bool, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "name": name, "spec.enabled": true };
    let update = doc! {
        "$set": { "next_run": bson::DateTime::from_millis(0) },
        "$currentDate": { "asked_at": true },
    };
    let answer = store
        .collection::<Document>(COLLECTION)
        .update_one(filter, update)
        .await?;
    Ok(answer.matched_count > 0)
}
