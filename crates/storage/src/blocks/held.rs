//! Marks on blocks that must stay, whatever their age.

use std::collections::BTreeSet;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::{EventId, Partition, SourceId, Tenant, Timestamp};

use mongodb::options::ReadConcern;

use super::snapshot::patiently;
use super::{BlockId, Day, event};
use crate::{Error, Store};

/// The mark of blocks that are held.
pub(super) const HELD: &str = "held";
/// The mark of blocks that were restored and stay for a while.
pub(super) const RESTORED: &str = "restored";
/// Events looked for in one query.
const EVENTS_AT_ONCE: usize = 50;
/// Blocks named in one query.
const BLOCKS_AT_ONCE: usize = 1000;

/// Which blocks are to be held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// By name.
    pub blocks: &'a [(Day, BlockId)],
    /// Those that hold one of these events.
    pub events: &'a [EventId],
    /// Those with events of one of these sources, within the times below.
    pub sources: &'a [SourceId],
    /// Not before.
    pub from: Option<Timestamp>,
    /// Not after.
    pub to: Option<Timestamp>,
}

/// Marks what a hold is for among the blocks of a day. Answers with how many blocks had not been held by it before.
///
/// # Errors
/// When the database is away.
pub async fn hold(store: &Store, tenant: &Tenant, day: Day, hold: &str, wanted: &Wanted<'_>) -> Result<u64, Error> {
    let named = wanted.blocks.iter().filter(|(of, _)| *of == day);
    let mut found: BTreeSet<BlockId> = named.map(|(_, id)| *id).collect();
    for events in wanted.events.chunks(EVENTS_AT_ONCE) {
        found.extend(event::blocks_of(store, tenant, day, events).await?);
    }
    if !wanted.sources.is_empty() {
        found.extend(blocks_of_sources(store, tenant, day, wanted).await?);
    }
    mark(store, tenant, day, hold, found).await
}

/// As they are at one moment: whatever is merged meanwhile is among them, or what it was made of is.
async fn blocks_of_sources(
    store: &Store,
    tenant: &Tenant,
    day: Day,
    wanted: &Wanted<'_>,
) -> Result<Vec<BlockId>, Error> {
    let parts = wanted.sources.iter().map(|source| Partition::of(tenant, source));
    let parts: Vec<i32> = parts.map(|part| i32::from(part.number())).collect();
    let sources: Vec<String> = wanted.sources.iter().map(SourceId::to_string).collect();
    let mut filter = doc! { "tenant": tenant.as_str(), "part": { "$in": parts }, "srcs": { "$in": sources } };
    let date = |time: Timestamp| bson::DateTime::from_millis(time.as_millis());
    if let Some(from) = wanted.from {
        filter.insert("max", doc! { "$gte": date(from) });
    }
    if let Some(to) = wanted.to {
        filter.insert("min", doc! { "$lte": date(to) });
    }
    let cursor = patiently!(
        super::collection(store, day)
            .find(filter.clone())
            .projection(doc! { "_id": 1 })
            .read_concern(ReadConcern::snapshot())
    )?;
    let found: Vec<Document> = cursor.try_collect().await?;
    let ids = found.iter().filter_map(|block| block.get_object_id("_id").ok());
    Ok(ids.map(|id| BlockId(id.bytes())).collect())
}

/// Marks blocks, and those that took their places: a merge that came before the mark is seen after it, and one that comes
/// later finds the mark and does not happen.
async fn mark(
    store: &Store,
    tenant: &Tenant,
    day: Day,
    hold: &str,
    mut blocks: BTreeSet<BlockId>,
) -> Result<u64, Error> {
    let mut seen = BTreeSet::new();
    let mut count = 0;
    while !blocks.is_empty() {
        let mut next = BTreeSet::new();
        let all: Vec<Bson> = blocks.iter().map(|id| Bson::ObjectId(id.object_id())).collect();
        for some in all.chunks(BLOCKS_AT_ONCE) {
            let filter = doc! { "tenant": tenant.as_str(), "_id": { "$in": some }, "holds": { "$ne": hold } };
            let update = doc! { "$addToSet": { "marks": HELD, "holds": hold } };
            let marked = super::collection(store, day).update_many(filter, update).await?;
            count += marked.modified_count;
            next.extend(successors(store, day, some).await?);
        }
        seen.append(&mut blocks);
        blocks = next.difference(&seen).copied().collect();
    }
    Ok(count)
}

/// What those of the blocks that were merged became.
async fn successors(store: &Store, day: Day, ids: &[Bson]) -> Result<Vec<BlockId>, Error> {
    let merged: Vec<Document> = super::collection(store, day)
        .find(doc! { "_id": { "$in": ids }, "was.by": { "$exists": true } })
        .projection(doc! { "was.by": 1 })
        .await?
        .try_collect()
        .await?;
    let by = |block: &Document| block.get_document("was").ok()?.get_object_id("by").ok();
    Ok(merged.iter().filter_map(by).map(|id| BlockId(id.bytes())).collect())
}

/// Takes a hold off the blocks of a day; those that nothing else holds may be removed again. Answers with how many
/// blocks it had held.
///
/// # Errors
/// When the database is away.
pub async fn release(store: &Store, tenant: &Tenant, day: Day, hold: &str) -> Result<u64, Error> {
    let others = doc! { "$setDifference": ["$holds", [{ "$literal": hold }]] };
    let none_left = doc! { "$eq": [others.clone(), []] };
    let marks = doc! { "$cond": [none_left.clone(), { "$setDifference": ["$marks", [HELD]] }, "$marks"] };
    let update = vec![doc! { "$set": {
        "marks": { "$cond": [{ "$eq": [marks.clone(), []] }, "$$REMOVE", marks] },
        "holds": { "$cond": [none_left, "$$REMOVE", others] },
    } }];
    let filter = doc! { "tenant": tenant.as_str(), "marks": HELD, "holds": hold };
    Ok(super::collection(store, day)
        .update_many(filter, update)
        .await?
        .modified_count)
}

/// Blocks of a day that are held.
///
/// # Errors
/// When the database is away.
pub async fn count_held(store: &Store, day: Day) -> Result<u64, Error> {
    let filter = doc! { "marks": HELD };
    Ok(super::collection(store, day).count_documents(filter).await?)
}

/// How many blocks of a day each hold of a tenant holds.
///
/// # Errors
/// When the database is away.
pub async fn count_by_holds(store: &Store, tenant: &Tenant, day: Day) -> Result<Vec<(String, u64)>, Error> {
    let pipeline = [
        doc! { "$match": { "marks": HELD, "tenant": tenant.as_str() } },
        doc! { "$unwind": "$holds" },
        doc! { "$group": { "_id": "$holds", "blocks": { "$sum": 1_i64 } } },
    ];
    let counts: Vec<Document> = super::collection(store, day)
        .aggregate(pipeline)
        .await?
        .try_collect()
        .await?;
    let read = |count: &Document| {
        let hold = count.get_str("_id").ok()?.to_owned();
        Some((hold, count.get_i64("blocks").ok()?.unsigned_abs()))
    };
    Ok(counts.iter().filter_map(read).collect())
}

/// How many blocks of a day a hold holds.
///
/// # Errors
/// When the database is away.
pub async fn count_by_hold(store: &Store, tenant: &Tenant, day: Day, hold: &str) -> Result<u64, Error> {
    let filter = doc! { "marks": HELD, "holds": hold, "tenant": tenant.as_str() };
    Ok(super::collection(store, day).count_documents(filter).await?)
}

/// Lets blocks that were restored until a moment before `now` be removed like all others. Answers with how many.
///
/// # Errors
/// When the database is away.
pub async fn end_restored(store: &Store, day: Day, now: Timestamp) -> Result<u64, Error> {
    let filter = doc! { "marks": RESTORED, "keep_until": { "$lt": bson::DateTime::from_millis(now.as_millis()) } };
    let marks = doc! { "$setDifference": ["$marks", [RESTORED]] };
    let update = vec![doc! { "$set": {
        "marks": { "$cond": [{ "$eq": [marks.clone(), []] }, "$$REMOVE", marks] },
        "keep_until": "$$REMOVE",
    } }];
    Ok(super::collection(store, day)
        .update_many(filter, update)
        .await?
        .modified_count)
}
