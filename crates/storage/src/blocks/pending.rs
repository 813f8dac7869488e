//! Blocks no detector is done with yet: the truth path.

use bson::{RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{NodeId, Partition, Tenant, Timestamp};
use serde::Serialize;

use super::{BlockId, Day, StoredBlock, document, list_days};
use crate::{Error, Store};

/// Blocks of `partitions` that are pending and were stored before `stored_before` (database clock), oldest first within
/// a day and the oldest day first; at most `limit`, without those in `excluding`. Blocks of all tenants.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn pending(
    store: &Store,
    partitions: &[Partition],
    stored_before: Timestamp,
    limit: u32,
    excluding: &[BlockId],
) -> Result<Vec<StoredBlock>, Error> {
    let mut blocks = Vec::new();
    if partitions.is_empty() || limit == 0 {
        return Ok(blocks);
    }
    let parts: Vec<i32> = partitions.iter().map(|part| i32::from(part.number())).collect();
    let before = bson::DateTime::from_millis(stored_before.as_millis());
    let excluded: Vec<_> = excluding.iter().map(|id| id.object_id()).collect();
    let mut filter = doc! { "pending": true, "part": { "$in": parts }, "at": { "$lt": before } };
    if !excluded.is_empty() {
        filter.insert("_id", doc! { "$nin": excluded });
    }
    for day in list_days(store).await?.into_iter().rev() {
        let left = i64::from(limit) - i64::try_from(blocks.len()).unwrap_or(i64::MAX);
        if left <= 0 {
            break;
        }
        let mut cursor = store
            .collection::<RawDocumentBuf>(&day.collection())
            .find(filter.clone())
            .sort(doc! { "at": 1 })
            .projection(doc! { "tf": 0, "ips": 0, "batches": 0 })
            .limit(left)
            .await?;
        while let Some(raw) = cursor.try_next().await? {
            blocks.push(document::read(&raw, day)?);
        }
    }
    Ok(blocks)
}

/// Marks a block done. False when it was done already (or does not exist), and nothing changed. `error` says why its
/// events could not be looked at; it is kept with the block.
///
/// # Errors
/// When the database is away.
pub async fn mark_done(
    store: &Store,
    day: Day,
    id: BlockId,
    node: &NodeId,
    fence: u64,
    error: Option<&str>,
) -> Result<bool, Error> {
    let mut done = doc! { "done.by": node.as_str(), "done.fence": fence.cast_signed() };
    if let Some(error) = error {
        done.insert("done.error", error);
    }
    let update = doc! {
        "$unset": { "pending": "" },
        "$set": done,
        "$currentDate": { "done.at": true },
    };
    let updated = super::collection(store, day)
        .update_one(doc! { "_id": id.object_id(), "pending": true }, update)
        .await?;
    Ok(updated.modified_count > 0)
}

/// How far detection is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PendingStats {
    /// Blocks that are pending, of all tenants.
    pub count: u64,
    /// When the oldest of them was stored.
    pub oldest: Option<Timestamp>,
}

/// Counts what is pending.
///
/// # Errors
/// When the database is away.
pub async fn pending_stats(store: &Store) -> Result<PendingStats, Error> {
    let mut stats = PendingStats::default();
    let pipeline = [
        doc! { "$match": { "pending": true, "part": { "$gte": 0 } } },
        doc! { "$group": { "_id": null, "n": { "$sum": 1_i64 }, "oldest": { "$min": "$at" } } },
    ];
    for day in list_days(store).await? {
        let mut cursor = super::collection(store, day).aggregate(pipeline.clone()).await?;
        while let Some(group) = cursor.try_next().await? {
            stats.count += group
                .get_i64("n")
                .ok()
                .and_then(|count| u64::try_from(count).ok())
                .ok_or_else(|| Error::invalid("blocks.n", "a count"))?;
            let oldest = group
                .get_datetime("oldest")
                .map(|at| Timestamp::from_millis(at.timestamp_millis()))
                .map_err(|_| Error::invalid("blocks.at", "a date"))?;
            stats.oldest = Some(stats.oldest.map_or(oldest, |known| known.min(oldest)));
        }
    }
    Ok(stats)
}

/// Makes every block of a tenant and day pending again, so that detectors look at all its events once more, with the
/// rules and indicators of now. Alerts that are there stay as they are. Answers with how many blocks.
///
/// # Errors
/// When the database is away.
pub async fn reopen(store: &Store, tenant: &Tenant, day: Day) -> Result<u64, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "pending": { "$ne": true } };
    let updated = super::collection(store, day)
        .update_many(filter, doc! { "$set": { "pending": true } })
        .await?;
    Ok(updated.modified_count)
}
