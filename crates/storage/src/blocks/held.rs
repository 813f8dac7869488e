//! Marks on blocks that must stay, whatever their age.

use bson::{Document, doc};
use model::{EventId, Partition, SourceId, Tenant, Timestamp};

use super::{BlockId, Day, event};
use crate::{Error, Store};

/// The mark of blocks that are held.
pub(super) const HELD: &str = "held";
/// The mark of blocks that were restored and stay for a while.
pub(super) const RESTORED: &str = "restored";
/// Events looked for in one query.
const EVENTS_AT_ONCE: usize = 50;

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
    let mut count = 0;
    let named: Vec<BlockId> = wanted
        .blocks
        .iter()
        .filter(|(of, _)| *of == day)
        .map(|(_, id)| *id)
        .collect();
    let mut ids = successors(store, day, named).await?;
    for events in wanted.events.chunks(EVENTS_AT_ONCE) {
        ids.extend(event::blocks_of(store, tenant, day, events).await?);
    }
    if !ids.is_empty() {
        let ids: Vec<_> = ids.iter().map(|id| id.object_id()).collect();
        count += mark(
            store,
            day,
            doc! { "tenant": tenant.as_str(), "_id": { "$in": ids } },
            hold,
        )
        .await?;
    }
    if !wanted.sources.is_empty() {
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
        count += mark(store, day, filter, hold).await?;
    }
    Ok(count)
}

/// The blocks themselves, or those their events went into.
async fn successors(store: &Store, day: Day, mut ids: Vec<BlockId>) -> Result<Vec<BlockId>, Error> {
    let mut found = Vec::new();
    while let Some(id) = ids.pop() {
        let block = super::collection(store, day)
            .find_one(doc! { "_id": id.object_id() })
            .projection(doc! { "was.by": 1 })
            .await?;
        let Some(block) = block else { continue };
        match block.get_document("was").and_then(|was| was.get_object_id("by")) {
            Ok(by) => ids.push(BlockId(by.bytes())),
            Err(_) => found.push(id),
        }
    }
    Ok(found)
}

async fn mark(store: &Store, day: Day, mut filter: Document, hold: &str) -> Result<u64, Error> {
    filter.insert("holds", doc! { "$ne": hold });
    let update = doc! { "$addToSet": { "marks": HELD, "holds": hold } };
    Ok(super::collection(store, day)
        .update_many(filter, update)
        .await?
        .modified_count)
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

/// Which of the holds in `holds` hold blocks of a day, and how many each.
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
