//! What changed, for those who keep indicators in memory.

use std::time::Duration;

use bson::{DateTime, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::Timestamp;
use model::indicator::Indicator;
use mongodb::Cursor;

use super::{COLLECTION, days, document};
use crate::{Error, Store};

/// How long a removal can be learned of. Who has not looked for longer must look from the start.
pub const REMOVALS_KEPT: Duration = days(1);
/// Longest time between a write taking its time from the database's clock and the write being visible.
const OVERLAP_MICROS: i64 = 5_000_000;
/// Documents fetched at once.
const FETCH: u32 = 5000;

/// One indicator that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was added or replaced.
    Put(Indicator),
    /// It was removed; what it was when it was.
    Removed(Indicator),
}

/// What changed since an earlier look, read bit by bit.
pub struct Changes {
    /// Give it to the next look. Changes of the last seconds before it are reported once more then.
    pub until: Timestamp,
    /// How many records there are, those of the removed ones included. Fewer than indicators are known: some were
    /// deleted behind our back, look from the start.
    pub count: u64,
    cursor: Cursor<RawDocumentBuf>,
}

/// Looks for what changed since `until` of an earlier look, for all tenants; or at everything there is.
///
/// # Errors
/// When the database is away.
pub async fn changes(store: &Store, since: Option<Timestamp>) -> Result<Changes, Error> {
    let until = store.now().await?;
    let filter = since.map_or_else(
        || doc! { "removed_at": null },
        |since| {
            let from = DateTime::from_millis(Timestamp(since.0.saturating_sub(OVERLAP_MICROS)).as_millis());
            doc! { "updated_at": { "$gte": from } }
        },
    );
    let count = store
        .collection::<Document>(COLLECTION)
        .estimated_document_count()
        .await?;
    let cursor = store
        .collection::<RawDocumentBuf>(COLLECTION)
        .find(filter)
        .batch_size(FETCH)
        .await?;
    Ok(Changes { until, count, cursor })
}

impl Changes {
    /// At most `most` further changes; none when there are no more. A record that is not readable is left out and
    /// logged.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        while changes.len() < most
            && let Some(raw) = self.cursor.try_next().await?
        {
            match document::read(&raw) {
                Ok(indicator) if raw.get_datetime("removed_at").is_ok() => changes.push(Change::Removed(indicator)),
                Ok(indicator) => changes.push(Change::Put(indicator)),
                Err(error) => tracing::warn!(%error, "stored indicator is not readable, it will not match"),
            }
        }
        Ok(changes)
    }

    /// All of them at once.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn all(mut self) -> Result<Vec<Change>, Error> {
        self.next(usize::MAX).await
    }
}
