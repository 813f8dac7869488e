//! Finding one event by its id.

use block::Block;
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{BatchKey, Event, EventId, Tenant};
use mongodb::options::ReadConcern;

use super::snapshot::patiently;
use super::{BlockId, Day, document, list_days, parts};
use crate::{Error, Store};

/// How far back from an event the first one of its batch can be: batches hold at most so many events.
const MAX_BATCH: u64 = 20_000;

/// What the blocks that may hold an event have among their batches, as conditions on the index over batches.
fn filter(tenant: &Tenant, ids: &[EventId]) -> Document {
    let any: Vec<Document> = ids
        .iter()
        .map(|id| {
            let keys = doc! {
                "$gte": key(tenant, id, id.seq.saturating_sub(MAX_BATCH)),
                "$lte": key(tenant, id, id.seq),
            };
            doc! { "batches": { "$elemMatch": { "k": keys } } }
        })
        .collect();
    doc! { "tenant": tenant.as_str(), "$or": any }
}

fn key(tenant: &Tenant, id: &EventId, first_seq: u64) -> String {
    let key = BatchKey {
        tenant: tenant.clone(),
        source: id.source,
        epoch: id.epoch,
        first_seq,
    };
    key.to_string()
}

/// The blocks of a day that hold some events.
pub(super) async fn blocks_of(
    store: &Store,
    tenant: &Tenant,
    day: Day,
    ids: &[EventId],
) -> Result<Vec<BlockId>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let cursor = patiently!(
        super::collection(store, day)
            .find(filter(tenant, ids))
            .projection(doc! { "batches.k": 1, "batches.seq": 1, "batches.n": 1 })
            .read_concern(ReadConcern::snapshot())
    )?;
    let candidates: Vec<Document> = cursor.try_collect().await?;
    let holding = candidates
        .iter()
        .filter(|candidate| ids.iter().any(|id| holds(candidate, tenant, id)));
    Ok(holding
        .filter_map(|candidate| candidate.get_object_id("_id").ok())
        .map(|id| BlockId(id.bytes()))
        .collect())
}

/// A stored event; `None` when there is none of this id, or no more.
///
/// # Errors
/// When the database is away or the block is not readable.
pub async fn event(store: &Store, tenant: &Tenant, id: &EventId) -> Result<Option<Event>, Error> {
    for day in list_days(store).await? {
        for block in blocks_of(store, tenant, day, std::slice::from_ref(id)).await? {
            let raw = store
                .collection::<RawDocumentBuf>(&day.collection())
                .find_one(doc! { "_id": block.object_id() })
                .await?;
            // Retention may have removed it meanwhile, and left only its batches.
            let Some(raw) = raw.filter(|raw| parts::are_in(raw)) else {
                continue;
            };
            let stored = document::read(&raw, day)?;
            let unreadable = |error: block::DecodeError| {
                Error::invalid(format!("blocks.body of {}", stored.id), format!("a block ({error})"))
            };
            let found = Block::open(&stored.body).and_then(|block| {
                let row = block.ids()?.iter().position(|other| other == id);
                row.map_or(Ok(Vec::new()), |row| block.events_at(&[row]))
            });
            if let Some(event) = found.map_err(unreadable)?.pop() {
                return Ok(Some(event));
            }
        }
    }
    Ok(None)
}

fn holds(candidate: &Document, tenant: &Tenant, id: &EventId) -> bool {
    let batches = candidate.get_array("batches").into_iter().flatten();
    batches.filter_map(|batch| batch.as_document()).any(|batch| {
        let first = batch.get_i64("seq").map(i64::cast_unsigned);
        let count = batch.get_i32("n").map(i32::cast_unsigned);
        let (Ok(first), Ok(count)) = (first, count) else {
            return false;
        };
        let is_of_source = batch.get_str("k").is_ok_and(|k| k == key(tenant, id, first));
        is_of_source && first <= id.seq && id.seq - first < u64::from(count)
    })
}
