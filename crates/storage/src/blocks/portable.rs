//! Blocks as documents that leave the database and come back.

use std::collections::HashMap;

use bson::{Document, RawDocumentBuf, cstr, doc};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use model::{Partition, Tenant, Timestamp};

use super::{BlockId, Day, document, held, write};
use crate::{Error, Store};

/// What a chunk of a day holds: the blocks of one tenant and partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which day.
    pub day: Day,
    /// Whose.
    pub tenant: Tenant,
    /// Which partition.
    pub partition: Partition,
    /// How many blocks.
    pub blocks: u64,
    /// Events in them.
    pub events: u64,
}

/// What a block's document says, checked against what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub id: BlockId,
    /// Whose.
    pub tenant: Tenant,
    /// Which partition.
    pub partition: Partition,
    /// Events in it.
    pub events: u64,
    /// Batches they came in.
    pub batches: u64,
}

/// How blocks come back.
#[derive(Clone, Copy, Debug)]
pub struct Restore {
    /// Retention leaves them alone until then.
    pub keep_until: Timestamp,
    /// Whether detectors look at their events again.
    pub detect: bool,
}

/// What became of a block that was to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is stored.
    Stored,
    /// All its batches are stored already, in this block or in others.
    Present,
    /// Some of its batches are stored already in other blocks, others are not. Nothing was stored.
    InPart,
}

/// What a day holds, by tenant and partition.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn chunks(store: &Store, day: Day) -> Result<Vec<Chunk>, Error> {
    let pipeline = [
        doc! { "$match": { "tenant": { "$gt": "" } } },
        doc! { "$group": {
            "_id": { "tenant": "$tenant", "part": "$part" },
            "blocks": { "$sum": 1_i64 }, "events": { "$sum": { "$toLong": "$n" } },
        } },
        doc! { "$sort": { "_id.tenant": 1, "_id.part": 1 } },
    ];
    let mut cursor = super::collection(store, day)
        .aggregate(pipeline)
        .hint(mongodb::options::Hint::Keys(write::by_time()))
        .await?;
    let mut chunks = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        let wrong = |field: &str| Error::invalid(format!("blocks.{field}"), "a block's");
        let id = found.get_document("_id").map_err(|_| wrong("tenant"))?;
        chunks.push(Chunk {
            day,
            tenant: id
                .get_str("tenant")
                .ok()
                .and_then(|tenant| tenant.parse().ok())
                .ok_or_else(|| wrong("tenant"))?,
            partition: id
                .get_i32("part")
                .ok()
                .and_then(|part| u16::try_from(part).ok())
                .and_then(Partition::new)
                .ok_or_else(|| wrong("part"))?,
            blocks: found.get_i64("blocks").unwrap_or(0).unsigned_abs(),
            events: found.get_i64("events").unwrap_or(0).unsigned_abs(),
        });
    }
    Ok(chunks)
}

/// The documents of a chunk, one at a time.
pub fn documents(
    store: &Store,
    day: Day,
    tenant: &Tenant,
    partition: Partition,
) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<> {
    /// Bounds the memory to a few blocks.
    const FETCH: u32 = 4;
    let filter = doc! { "tenant": tenant.as_str(), "part": i32::from(partition.number()) };
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    stream::once(async move { collection.find(filter).batch_size(FETCH).await })
        .try_flatten()
        .map(|found| found.map(RawDocumentBuf::into_bytes).map_err(Error::from))
}

/// Reads a block's document to its last event.
///
/// # Errors
/// When the document, the block in it, or what one says of the other is not right.
pub fn summarize(day: Day, bytes: &[u8]) -> Result<Summary, Error> {
    let raw = RawDocumentBuf::from_bytes(bytes.to_vec())
        .map_err(|error| Error::invalid("document", format!("a BSON document ({error})")))?;
    let stored = document::read(&raw, day)?;
    let events = block::Block::open(&stored.body)
        .and_then(|block| block.events())
        .map_err(|error| Error::invalid(format!("blocks.body of {}", stored.id), format!("a block ({error})")))?;
    if events.len() as u64 != u64::from(stored.events) {
        return Err(Error::invalid(
            format!("blocks.n of {}", stored.id),
            format!("{}, the number of events", events.len()),
        ));
    }
    Ok(Summary {
        id: stored.id,
        tenant: stored.tenant,
        partition: stored.partition,
        events: u64::from(stored.events),
        batches: keys(&raw)?.len() as u64,
    })
}

fn keys(raw: &RawDocumentBuf) -> Result<Vec<String>, Error> {
    let wrong = || Error::invalid("blocks.batches", "a list of batches with keys");
    let list = raw.get_array("batches").map_err(|_| wrong())?;
    list.into_iter()
        .map(|batch| {
            let batch = batch?;
            let batch = batch.as_document().ok_or_else(wrong)?;
            batch.get_str("k").map(str::to_owned).map_err(|_| wrong())
        })
        .collect()
}

/// Brings a block back, under the name it had, unless its batches are stored already. What removed blocks left behind to
/// have their batches refused makes room for it.
///
/// # Errors
/// When the database is away or the document is not readable.
pub async fn restore(store: &Store, day: Day, bytes: &[u8], how: Restore) -> Result<Restored, Error> {
    let raw = RawDocumentBuf::from_bytes(bytes.to_vec())
        .map_err(|error| Error::invalid("document", format!("a BSON document ({error})")))?;
    let id = document::read_without_body(&raw, day)?.id;
    let keys = keys(&raw)?;
    let document = as_restored(&raw, how);
    // Twice: what is found in the way may change under our hands.
    for _ in 0..2 {
        let inserted = store
            .collection::<RawDocumentBuf>(&day.collection())
            .insert_one(&document)
            .await
            .map_err(Error::from);
        match inserted {
            Ok(_) => return Ok(Restored::Stored),
            Err(Error::Duplicate(_)) => {}
            Err(error) => return Err(error),
        }
        if let Some(answer) = instead(store, day, id, &keys, &document).await? {
            return Ok(answer);
        }
    }
    Ok(Restored::InPart)
}

fn as_restored(raw: &RawDocumentBuf, how: Restore) -> RawDocumentBuf {
    const NOT_TAKEN: [&str; 5] = ["pending", "marks", "holds", "keep_until", "was"];
    let mut document = RawDocumentBuf::new();
    for (name, value) in raw.iter().flatten() {
        let name_text = name.as_str();
        let again = how.detect && name_text == "done";
        if !again && !NOT_TAKEN.contains(&name_text) {
            document.append(name, value);
        }
    }
    let mut marks = bson::RawArrayBuf::new();
    marks.push(held::RESTORED);
    document.append(cstr!("marks"), marks);
    document.append(
        cstr!("keep_until"),
        bson::DateTime::from_millis(how.keep_until.as_millis()),
    );
    if how.detect {
        document.append(cstr!("pending"), true);
    }
    document
}

/// What holds a batch already.
struct Holder {
    /// Only its batches are left.
    gone: bool,
    keys: Vec<String>,
}

/// Finds out what is in the way. `None` when that has changed meanwhile.
async fn instead(
    store: &Store,
    day: Day,
    id: BlockId,
    keys: &[String],
    document: &RawDocumentBuf,
) -> Result<Option<Restored>, Error> {
    let collection = super::collection(store, day);
    let in_the_way = doc! { "$or": [{ "_id": id.object_id() }, { "batches.k": { "$in": keys } }] };
    let found: Vec<Document> = collection
        .find(in_the_way)
        .projection(doc! { "batches.k": 1, "gone": 1, "was.by": 1 })
        .await?
        .try_collect()
        .await?;
    let mut holders = HashMap::new();
    for found in &found {
        let Ok(holder) = found.get_object_id("_id") else {
            continue;
        };
        let batches = found.get_array("batches").into_iter().flatten();
        let theirs = batches.filter_map(|batch| batch.as_document()?.get_str("k").ok());
        let gone = found.contains_key("gone");
        holders.insert(
            holder,
            Holder {
                gone,
                keys: theirs.map(str::to_owned).collect(),
            },
        );
    }
    if holders.is_empty() {
        return Ok(None);
    }
    let live = keys
        .iter()
        .filter(|key| holders.values().any(|holder| !holder.gone && holder.keys.contains(key)))
        .count();
    if live == keys.len() {
        return Ok(Some(Restored::Present));
    }
    if live > 0 {
        return Ok(Some(Restored::InPart));
    }
    // Only what was removed is in the way. Its batches move, at one stroke, into the block that comes back.
    let mut session = store.database().client().start_session().await?;
    session.start_transaction().await?;
    for (holder, Holder { keys: theirs, .. }) in &holders {
        let left: Vec<&String> = theirs.iter().filter(|key| !keys.contains(key)).collect();
        if left.is_empty() || *holder == id.object_id() {
            collection
                .delete_one(doc! { "_id": holder })
                .session(&mut session)
                .await?;
        } else {
            let update = doc! { "$pull": { "batches": { "k": { "$in": keys } } } };
            collection
                .update_one(doc! { "_id": holder }, update)
                .session(&mut session)
                .await?;
        }
    }
    store
        .collection::<RawDocumentBuf>(&day.collection())
        .insert_one(document)
        .session(&mut session)
        .await?;
    session.commit_transaction().await?;
    Ok(Some(Restored::Stored))
}

/// Every document of a small collection that goes with archived blocks, such as what proves their delivery.
pub fn companions(store: &Store, collection: &str) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<> {
    let collection = store.collection::<RawDocumentBuf>(collection);
    stream::once(async move { collection.find(doc! {}).await })
        .try_flatten()
        .map(|found| found.map(RawDocumentBuf::into_bytes).map_err(Error::from))
}

/// Brings such a document back unless there is one of its name. Says whether it did.
///
/// # Errors
/// When the database is away or the document is not readable.
pub async fn restore_companion(store: &Store, collection: &str, bytes: &[u8]) -> Result<bool, Error> {
    let raw = RawDocumentBuf::from_bytes(bytes.to_vec())
        .map_err(|error| Error::invalid("document", format!("a BSON document ({error})")))?;
    let inserted = store
        .collection::<RawDocumentBuf>(collection)
        .insert_one(raw)
        .await
        .map_err(Error::from);
    match inserted {
        Ok(_) => Ok(true),
        Err(Error::Duplicate(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
