//! `keeping`: what retention and compaction did, for whoever asks. Written by the collector that has the duty;
//! what people set is written by the gateway.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::retention::{Keep, Policy};
use model::{Tenant, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, Store};

const COLLECTION: &str = "keeping";
const RETENTION: &str = "retention";
const COMPACTION: &str = "compaction";

/// What a pass of retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Removed {
    /// Days that were dropped as a whole.
    pub days_dropped: u64,
    /// Blocks that were removed, those of dropped days included.
    pub blocks_removed: u64,
    /// Blocks that stayed with fewer events.
    pub blocks_trimmed: u64,
    /// Events taken out of these.
    pub events_trimmed: u64,
    /// Blocks that could not be read, and stay until all of their tenant is over.
    pub blocks_unreadable: u64,
}

impl Removed {
    /// Whether nothing was done.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            days_dropped: self.days_dropped + other.days_dropped,
            blocks_removed: self.blocks_removed + other.blocks_removed,
            blocks_trimmed: self.blocks_trimmed + other.blocks_trimmed,
            events_trimmed: self.events_trimmed + other.events_trimmed,
            blocks_unreadable: self.blocks_unreadable + other.blocks_unreadable,
        }
    }
}

/// How retention stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionState {
    /// What the last pass went by.
    pub policy: Policy,
    /// When the last pass ended.
    pub last_at: Timestamp,
    /// Which node did it.
    pub last_by: String,
    /// What it did.
    pub last: Removed,
    /// What all passes did.
    pub total: Removed,
    /// Blocks that are held.
    pub held: u64,
}

/// What merging small blocks did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Merged {
    /// Blocks made.
    pub blocks_after: u64,
    /// Blocks they were made of.
    pub blocks_before: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of the blocks made, as documents.
    pub bytes_after: u64,
    /// Bytes of those they were made of.
    pub bytes_before: u64,
    /// Blocks that could not be read and were left alone.
    pub blocks_unreadable: u64,
}

impl Merged {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            blocks_after: self.blocks_after + other.blocks_after,
            blocks_before: self.blocks_before + other.blocks_before,
            events: self.events + other.events,
            bytes_after: self.bytes_after + other.bytes_after,
            bytes_before: self.bytes_before + other.bytes_before,
            blocks_unreadable: self.blocks_unreadable + other.blocks_unreadable,
        }
    }
}

/// How compaction stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionState {
    /// When the last pass ended.
    pub last_at: Timestamp,
    /// Which node did it.
    pub last_by: String,
    /// What all passes did.
    pub total: Merged,
}

/// How retention stands; `None` before its first pass.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn retention(store: &Store) -> Result<Option<RetentionState>, Error> {
    let collection = store.collection::<RetentionState>(COLLECTION);
    Ok(collection.find_one(doc! { "_id": RETENTION }).await?)
}

/// How compaction stands; `None` before its first pass.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn compaction(store: &Store) -> Result<Option<CompactionState>, Error> {
    let collection = store.collection::<CompactionState>(COLLECTION);
    Ok(collection.find_one(doc! { "_id": COMPACTION }).await?)
}

/// How long a tenant's events are kept, as somebody has set it; it holds instead of what collectors are configured with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Whose events.
    pub tenant: Tenant,
    /// How long.
    pub keep: Keep,
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

fn setting_id(tenant: &Tenant) -> Document {
    doc! { "_id": format!("setting/{tenant}") }
}

/// What was set for a tenant.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn setting(store: &Store, tenant: &Tenant) -> Result<Option<Setting>, Error> {
    let collection = store.collection::<Setting>(COLLECTION);
    Ok(collection.find_one(setting_id(tenant)).await?)
}

/// Sets how long a tenant's events are kept; it holds from the next pass on.
///
/// # Errors
/// When a number or the name of a class is none that can be, or the database is away.
pub async fn set(store: &Store, tenant: &Tenant, keep: Keep, by: &str) -> Result<Setting, Error> {
    if let Some((field, value)) = keep.mistake() {
        let expected = "1 to 36500 days of a class named with a-z, 0-9 and _";
        return Err(Error::invalid(field, format!("{expected}, got {value}")));
    }
    let setting = Setting {
        tenant: tenant.clone(),
        keep,
        by: by.to_owned(),
        at: store.now().await?,
    };
    store
        .collection::<Setting>(COLLECTION)
        .replace_one(setting_id(tenant), &setting)
        .upsert(true)
        .await?;
    Ok(setting)
}

/// Takes back what was set for a tenant: what collectors are configured with holds again. False when nothing was.
///
/// # Errors
/// When the database is away.
pub async fn unset(store: &Store, tenant: &Tenant) -> Result<bool, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    Ok(collection.delete_one(setting_id(tenant)).await?.deleted_count > 0)
}

/// What a pass has to go by: the configuration, and what was set instead of it.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn in_force(store: &Store, configured: &Policy) -> Result<Policy, Error> {
    let settings: Vec<Setting> = store
        .collection::<Setting>(COLLECTION)
        .find(doc! { "keep": { "$exists": true } })
        .await?
        .try_collect()
        .await?;
    let mut policy = configured.clone();
    for setting in settings {
        policy.tenants.insert(setting.tenant.to_string(), setting.keep);
    }
    Ok(policy)
}

/// Notes a pass of retention. `held` is `None` when it did not come to its end: as many as before.
///
/// # Errors
/// When the database is away.
pub async fn note_retention(
    store: &Store,
    policy: &Policy,
    by: &str,
    last: Removed,
    held: Option<u64>,
) -> Result<(), Error> {
    let before = retention(store).await?;
    let held = held.unwrap_or_else(|| before.as_ref().map_or(0, |state| state.held));
    let before = before.map(|state| state.total).unwrap_or_default();
    let state = RetentionState {
        policy: policy.clone(),
        last_at: store.now().await?,
        last_by: by.to_owned(),
        last,
        total: before.plus(last),
        held,
    };
    put(store, RETENTION, bson::serialize_to_document(&state)?).await
}

/// Notes what compaction did.
///
/// # Errors
/// When the database is away.
pub async fn note_compaction(store: &Store, by: &str, done: Merged) -> Result<(), Error> {
    let before = compaction(store).await?.map(|state| state.total).unwrap_or_default();
    let state = CompactionState {
        last_at: store.now().await?,
        last_by: by.to_owned(),
        total: before.plus(done),
    };
    put(store, COMPACTION, bson::serialize_to_document(&state)?).await
}

async fn put(store: &Store, id: &str, state: Document) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .replace_one(doc! { "_id": id }, state)
        .upsert(true)
        .await?;
    Ok(())
}
