//! Removing events whose time is over: whole days, whole blocks, and single events out of blocks.
//!
//! Nothing here touches what no detector has looked at yet, nor blocks with a mark (held, or restored for a while). A
//! block whose day is so young that its batches might be sent again leaves its batches behind, so that the unique index
//! goes on refusing them; nothing that is scoped by tenant sees what is left.

use std::sync::Arc;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};

use super::{BlockId, Day, Writer, classes, document, held, rebuild, write};
use crate::{Error, Store};

/// Days after which a batch of a day cannot be filed under it again: one more than [`Day::of_batch`] accepts.
pub const REPEATS_DAYS: i64 = 33;

/// The mark of what blocks left behind.
const GONE: &str = "gone";

/// Blocks of one day that have the same tenant and classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whose.
    pub tenant: Tenant,
    /// The classes of their events; `None` when they are not known.
    pub classes: Option<String>,
    /// How many blocks, those included that must stay.
    pub blocks: u64,
}

impl Group {
    /// The classes; empty when they are not known.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.as_deref().unwrap_or_default().split_whitespace()
    }

    /// Every block of it that may be removed, and was stored before `stored_before` if that is given.
    fn removable(&self, stored_before: Option<Timestamp>) -> Document {
        let mut filter = removable(&self.tenant);
        // Also where the field is absent.
        filter.insert("classes", self.classes.clone());
        if let Some(before) = stored_before {
            filter.insert("at", doc! { "$lt": bson::DateTime::from_millis(before.as_millis()) });
        }
        filter
    }
}

fn removable(tenant: &Tenant) -> Document {
    doc! { "tenant": tenant.as_str(), "pending": { "$exists": false }, "marks": { "$exists": false } }
}

/// Makes sure that a day's collection has every index; creates it when it is not there.
///
/// # Errors
/// When the database is away.
pub async fn prepare(store: &Store, day: Day) -> Result<(), Error> {
    write::prepare(store, day).await
}

/// What a day holds, by tenant and classes.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn groups(store: &Store, day: Day) -> Result<Vec<Group>, Error> {
    let pipeline = [
        doc! { "$match": { "tenant": { "$gt": "" } } },
        doc! { "$group": { "_id": { "tenant": "$tenant", "classes": "$classes" }, "blocks": { "$sum": 1_i64 } } },
    ];
    let mut cursor = super::collection(store, day)
        .aggregate(pipeline)
        .hint(mongodb::options::Hint::Keys(write::by_classes()))
        .await?;
    let mut groups = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        let wrong = |field: &str| Error::invalid(format!("blocks.{field}"), "text");
        let id = found.get_document("_id").map_err(|_| wrong("tenant"))?;
        groups.push(Group {
            tenant: id
                .get_str("tenant")
                .map_err(|_| wrong("tenant"))?
                .parse()
                .map_err(|error| Error::invalid("blocks.tenant", format!("{error}")))?,
            classes: id.get_str("classes").ok().map(str::to_owned),
            blocks: found.get_i64("blocks").unwrap_or(0).unsigned_abs(),
        });
    }
    Ok(groups)
}

/// Removes the blocks of a group, leaving their batches behind if `leave_batches`. Answers with how many blocks.
///
/// # Errors
/// When the database is away; some may be removed already.
pub async fn remove(
    store: &Store,
    day: Day,
    group: &Group,
    stored_before: Option<Timestamp>,
    leave_batches: bool,
) -> Result<u64, Error> {
    remove_by(store, day, group.removable(stored_before), leave_batches).await
}

/// Removes blocks by name, where they may be removed. Answers with how many blocks.
///
/// # Errors
/// When the database is away; some may be removed already.
pub async fn remove_blocks(
    store: &Store,
    tenant: &Tenant,
    day: Day,
    ids: &[BlockId],
    leave_batches: bool,
) -> Result<u64, Error> {
    let mut filter = removable(tenant);
    let ids: Vec<_> = ids.iter().map(|id| id.object_id()).collect();
    filter.insert("_id", doc! { "$in": ids });
    remove_by(store, day, filter, leave_batches).await
}

async fn remove_by(store: &Store, day: Day, filter: Document, leave_batches: bool) -> Result<u64, Error> {
    let collection = super::collection(store, day);
    if !leave_batches {
        return Ok(collection.delete_many(filter).await?.deleted_count);
    }
    let left = doc! {
        "batches": "$batches",
        "gone": { "tenant": "$tenant", "at": "$$NOW" },
        "marks": [GONE],
    };
    let updated = collection
        .update_many(
            filter,
            vec![doc! { "$replaceWith": { "$mergeObjects": [{ "_id": "$_id" }, left] } }],
        )
        .await?;
    Ok(updated.modified_count)
}

/// Blocks of a group that may be removed, behind `after`, in the order of their ids.
///
/// # Errors
/// When the database is away.
pub async fn list(
    store: &Store,
    day: Day,
    group: &Group,
    after: Option<BlockId>,
    limit: u32,
) -> Result<Vec<BlockId>, Error> {
    let mut filter = group.removable(None);
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": after.object_id() });
    }
    let mut cursor = super::collection(store, day)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .projection(doc! { "_id": 1 })
        .limit(i64::from(limit.max(1)))
        .await?;
    let mut ids = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        if let Ok(id) = found.get_object_id("_id") {
            ids.push(BlockId(id.bytes()));
        }
    }
    Ok(ids)
}

/// Takes the events out of a block whose class `is_over` says so. The batches stay. Answers with how many events were
/// taken out: none when the block may not be changed, or was changed meanwhile.
///
/// # Errors
/// When the database is away or the block is not readable.
pub async fn trim(
    writer: &Writer,
    day: Day,
    id: BlockId,
    is_over: Arc<dyn Fn(&str) -> bool + Send + Sync>,
) -> Result<u64, Error> {
    let store = writer.store();
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let Some(original) = collection.find_one(doc! { "_id": id.object_id() }).await? else {
        return Ok(0);
    };
    let stored = document::read(&original, day)?;
    let before = stored.events;
    let signing = writer.clone();
    let rebuilt = tokio::task::spawn_blocking(move || {
        let unreadable =
            |error: block::DecodeError| Error::invalid(format!("blocks.body of {id}"), format!("a block ({error})"));
        let opened = block::Block::open(&stored.body).map_err(unreadable)?;
        let mut events = opened.events().map_err(unreadable)?;
        let count = events.len();
        events.retain(|event| !is_over(classes::class_of(event)));
        let gone = count - events.len();
        if gone == 0 || events.is_empty() {
            return Ok((gone, None));
        }
        rebuild::rebuild(&signing, day, id, &[original], &events).map(|rebuilt| (gone, Some(rebuilt)))
    })
    .await
    .map_err(|error| Error::invalid(format!("blocks.body of {id}"), format!("a block ({error})")))?;
    let (gone, rebuilt) = rebuilt?;
    let mut unchanged = removable(&stored.tenant);
    unchanged.insert("_id", id.object_id());
    unchanged.insert("n", before.cast_signed());
    let changed = match rebuilt {
        Some(rebuilt) => collection.replace_one(unchanged, rebuilt).await?.modified_count,
        None if gone > 0 => remove_by(store, day, unchanged, true).await?,
        None => 0,
    };
    Ok(if changed > 0 { gone as u64 } else { 0 })
}

/// Whether a day holds nothing that must stay: no block of any tenant is marked or waits for a detector.
///
/// # Errors
/// When the database is away.
pub async fn nothing_stays(store: &Store, day: Day) -> Result<bool, Error> {
    let collection = super::collection(store, day);
    if collection
        .find_one(doc! { "marks": { "$in": [held::HELD, held::RESTORED] } })
        .await?
        .is_some()
    {
        return Ok(false);
    }
    let waiting = doc! { "pending": true, "part": { "$gte": 0 } };
    Ok(collection.find_one(waiting).await?.is_none())
}

/// Removes a day with all that is in it. Takes milliseconds, however much it is.
///
/// # Errors
/// When the database is away.
pub async fn drop_day(store: &Store, day: Day) -> Result<(), Error> {
    Ok(super::collection(store, day).drop().await?)
}

/// Removes, of a day, the batches that blocks left behind before `before`.
///
/// # Errors
/// When the database is away.
pub async fn forget_batches(store: &Store, day: Day, before: Timestamp) -> Result<u64, Error> {
    let old = doc! { "marks": GONE, "gone.at": { "$lt": bson::DateTime::from_millis(before.as_millis()) } };
    Ok(super::collection(store, day).delete_many(old).await?.deleted_count)
}
