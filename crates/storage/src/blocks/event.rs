//! Finding one event by its id.

use block::Block;
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{BatchKey, Event, EventId, Tenant};

use super::{document, list_days};
use crate::{Error, Store};

/// How far back from an event the first one of its batch can be: batches hold at most so many events.
const MAX_BATCH: u64 = 20_000;

/// A stored event; `None` when there is none of this id, or no more.
///
/// # Errors
/// When the database is away or the block is not readable.
pub async fn event(store: &Store, tenant: &Tenant, id: &EventId) -> Result<Option<Event>, Error> {
    let key = |seq: u64| {
        let key = BatchKey {
            tenant: tenant.clone(),
            source: id.source,
            epoch: id.epoch,
            first_seq: seq,
        };
        key.to_string()
    };
    let keys = doc! { "$gte": key(id.seq.saturating_sub(MAX_BATCH)), "$lte": key(id.seq) };
    let filter = doc! { "tenant": tenant.as_str(), "batches": { "$elemMatch": { "k": keys } } };
    for day in list_days(store).await? {
        let candidates: Vec<Document> = super::collection(store, day)
            .find(filter.clone())
            .projection(doc! { "batches.k": 1, "batches.seq": 1, "batches.n": 1 })
            .await?
            .try_collect()
            .await?;
        for candidate in candidates.iter().filter(|candidate| holds(candidate, &key, id)) {
            let Ok(object_id) = candidate.get_object_id("_id") else {
                continue;
            };
            let raw = store
                .collection::<RawDocumentBuf>(&day.collection())
                .find_one(doc! { "_id": object_id })
                .await?;
            let Some(raw) = raw else { continue };
            let stored = document::read(&raw, day)?;
            let unreadable = |error: block::DecodeError| {
                Error::invalid(format!("blocks.body of {}", stored.id), format!("a block ({error})"))
            };
            let events = Block::open(&stored.body)
                .and_then(|block| block.events())
                .map_err(unreadable)?;
            if let Some(event) = events.into_iter().find(|event| event.id == *id) {
                return Ok(Some(event));
            }
        }
    }
    Ok(None)
}

fn holds(candidate: &Document, key: &impl Fn(u64) -> String, id: &EventId) -> bool {
    let batches = candidate.get_array("batches").into_iter().flatten();
    batches.filter_map(|batch| batch.as_document()).any(|batch| {
        let first = batch.get_i64("seq").map(i64::cast_unsigned);
        let count = batch.get_i32("n").map(i32::cast_unsigned);
        let (Ok(first), Ok(count)) = (first, count) else {
            return false;
        };
        let is_of_source = batch.get_str("k").is_ok_and(|k| k == key(first));
        is_of_source && first <= id.seq && id.seq - first < u64::from(count)
    })
}
