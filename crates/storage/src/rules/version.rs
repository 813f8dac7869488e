//! Noticing that detection content changed.

use bson::{Document, doc};
use model::Timestamp;

use crate::{Error, Store, exceptions, suppressions};

/// A cheap summary of the content that differs after most changes; see [`Version::covers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    collections: Vec<Summary>,
    read_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Summary {
    count: u64,
    enabled: u64,
    newest: Option<Timestamp>,
}

/// Longest time between a write taking its time from the database's clock and the write being visible.
const SETTLED_MICROS: i64 = 5_000_000;

impl Version {
    /// When it was read, by the database's clock: what is read afterwards has every change before.
    #[must_use]
    pub fn read_at(&self) -> Timestamp {
        self.read_at
    }

    /// Whether what was read at this version is still all there is at `later`. It errs on the side of reading again:
    /// for five seconds after a change, another one may carry the same time.
    #[must_use]
    pub fn covers(&self, later: &Self) -> bool {
        let settled = self
            .collections
            .iter()
            .filter_map(|summary| summary.newest)
            .all(|newest| newest.0.saturating_add(SETTLED_MICROS) < self.read_at.0);
        settled && self.collections == later.collections
    }
}

/// Reads the [`Version`] of rules, exceptions and suppressions. Read it before these themselves.
///
/// # Errors
/// When the database is away.
pub async fn version(store: &Store) -> Result<Version, Error> {
    let read_at = store.now().await?;
    let mut collections = Vec::with_capacity(3);
    for name in [super::COLLECTION, exceptions::COLLECTION, suppressions::COLLECTION] {
        let collection = store.collection::<Document>(name);
        let newest = collection
            .find_one(doc! {})
            .sort(doc! { "updated_at": -1 })
            .projection(doc! { "updated_at": 1 })
            .await?;
        let enabled = if name == super::COLLECTION {
            collection.count_documents(doc! { "enabled": true }).await?
        } else {
            0
        };
        collections.push(Summary {
            count: collection.estimated_document_count().await?,
            enabled,
            newest: newest.as_ref().and_then(|newest| super::document::time(newest).ok()),
        });
    }
    Ok(Version { collections, read_at })
}
