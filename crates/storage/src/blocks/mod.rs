//! `blocks_YYYYMMDD`: the events, thousands to a document.
//!
//! A block belongs to one tenant and one partition and holds whole batches. The unique index over `batches.k` is what
//! makes storing exactly once: a batch that is stored already is refused, whoever sends it and whenever. For that index
//! to see a retry, the day a batch belongs to must never change, so it is a function of the batch ([`Day::of_batch`]).
//!
//! A document's fields: `_id`, `tenant`, `part`, `min` and `max` (event times, rounded outwards to milliseconds), `n`
//! (events), `minutes` (how many each minute has; absent when they are too many),
//! `batches: [{k, seq, n, src, hash, first, of, made, prev, payload}]` (what the hash was computed from; see [`BlockBatch`]),
//! `srcs`, `ips` (absent when there were too many), `tf` (token filter) and `tfn` (its length), `head` and `cols` (the
//! block in parts, see the crate `block`: `cols` has each column by its field's name with `|` for the dots, in the order of
//! the block; `more: true` when some are not in it by name; `body` in place of these for what is no block), `v`, `node`,
//! `at` (stored), `pending: true` until a detector is done with it, then `done: {at, by, fence}`. `proof: {signer, sig}` is
//! a collector's signature over all of it that does not change. `classes` are the classes of its events, separated by
//! spaces, which decide how long it is kept; `marks` say why it is kept longer: `held` (by `holds`) or `restored` (until
//! `keep_until`). `trimmed` is how many events retention took out of it.
//!
//! Not a block any more, and therefore without `tenant`, is what has `gone` (all that is left are batches, to be refused
//! when they are sent again) or `was` (another block took its place, and it stays for whoever is reading it).

mod ask;
mod classes;
mod count;
mod day;
mod document;
mod event;
mod held;
mod histogram;
mod merge;
mod open_day;
mod ordered;
mod parts;
mod pending;
pub mod portable;
mod rebuild;
mod retain;
mod scan;
mod seal;
mod snapshot;
mod terms;
mod values;
mod write;

use bson::Document;
use bson::oid::ObjectId;
use futures_util::TryStreamExt as _;
use model::chain::Link;
use model::{BatchKey, NodeId, Partition, SourceId, Tenant, Timestamp};

use crate::{Error, Store};

pub use count::{CountQuery, count_events, events_per_second, events_total};
pub use day::Day;
pub use event::event;
pub use held::{Wanted, count_by_hold, count_by_holds, count_held, end_restored, hold, release};
pub use histogram::{Histogram, histogram};
pub use merge::{Cell, Merge, Small, cells, forget_merged, has_originals, merge, plan, small};
pub use parts::{Body, ColumnName, Columns, OneColumn};
pub use pending::{PendingStats, mark_done, pending, pending_stats, reopen};
pub use query::Span;
pub use retain::{
    Group, REPEATS_DAYS, drop_day, forget_batches, groups, list, nothing_stays, prepare, remove, remove_blocks, trim,
};
pub use scan::{ScanQuery, Scanner, scan};
pub use seal::{BatchesOfBlock, Seal, SealedBlock, Sealer, batches_of_source, sealed};
pub use terms::{BlockTerms, count_blocks, terms};
pub use values::{ColumnOfBlock, columns_of};
pub use write::{Inserted, Known, Writer, insert};

/// A stored block's name within its day: 12 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId([u8; 12]);

impl BlockId {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(ObjectId::new().bytes())
    }

    /// From its bytes; `None` unless there are 12.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }

    fn object_id(self) -> ObjectId {
        ObjectId::from_bytes(self.0)
    }
}

impl std::fmt::Display for BlockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.object_id().fmt(f)
    }
}

impl std::fmt::Debug for BlockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// One batch within a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockBatch {
    /// What makes it unique.
    pub key: BatchKey,
    /// Events in it.
    pub count: u32,
    /// What its sender says its hash is: tells a retry from another batch under the same key.
    pub hash: [u8; 32],
    /// What that hash was computed from; `None` for senders whose batches have none. The batch may have been cut into
    /// several, and records of it may have been refused, so its numbers need not be those of `key` and `count`.
    pub link: Option<Link>,
}

/// A block to be stored. All batches are of `tenant`; `batches` is never empty.
#[derive(Clone, Debug)]
pub struct NewBlock {
    /// Whose events.
    pub tenant: Tenant,
    /// The partition of all its sources.
    pub partition: Partition,
    /// The day of all its batches.
    pub day: Day,
    /// Earliest event time.
    pub min: Timestamp,
    /// Latest event time.
    pub max: Timestamp,
    /// How many events.
    pub events: u32,
    /// The batches in it.
    pub batches: Vec<BlockBatch>,
    /// The addresses in it; `None` when there are too many to list.
    pub ips: Option<Vec<String>>,
    /// How many events each minute has, as the crate `block` makes it; `None` when they are of too many minutes.
    pub minutes: Option<Vec<u8>>,
    /// As the crate `block` makes it.
    pub token_filter: Vec<u8>,
    /// The encoded block.
    pub body: Vec<u8>,
    /// Who stores it.
    pub node: NodeId,
    /// When, by the database's clock.
    pub at: Timestamp,
}

/// A block as it is stored.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// Its day.
    pub day: Day,
    /// Its name within the day.
    pub id: BlockId,
    /// Whose events.
    pub tenant: Tenant,
    /// Which partition.
    pub partition: Partition,
    /// Not later than any event, in whole milliseconds.
    pub min: Timestamp,
    /// Not earlier than any event, in whole milliseconds.
    pub max: Timestamp,
    /// How many events.
    pub events: u32,
    /// The sources whose events it holds.
    pub sources: Vec<SourceId>,
    /// When it was stored, by the database's clock.
    pub at: Timestamp,
    /// The encoded block.
    pub body: Vec<u8>,
}

/// A stored block, or a part of it, as a search needs it.
#[derive(Clone, Debug)]
pub struct FoundBlock {
    /// Its day.
    pub day: Day,
    /// Its name within the day.
    pub id: BlockId,
    /// Not later than any event, in whole milliseconds.
    pub min: Timestamp,
    /// Not earlier than any event, in whole milliseconds.
    pub max: Timestamp,
    /// How many events.
    pub events: u32,
    /// The block, or a part of it.
    pub body: Body,
}

/// Every day that has blocks, newest first. The day of misdated batches is the last.
///
/// # Errors
/// When the database is away.
pub async fn list_days(store: &Store) -> Result<Vec<Day>, Error> {
    let names: Vec<String> = store
        .database()
        .list_collection_names()
        .filter(bson::doc! { "name": { "$regex": "^blocks_[0-9]{8}$" } })
        .await?;
    let mut days: Vec<Day> = names.iter().filter_map(|name| Day::from_collection(name)).collect();
    days.sort_unstable_by(|a, b| b.cmp(a));
    Ok(days)
}

fn collection(store: &Store, day: Day) -> mongodb::Collection<Document> {
    store.collection(&day.collection())
}

/// A block with all its fields, for whoever forwards or decodes it.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, day: Day, id: BlockId) -> Result<Option<StoredBlock>, Error> {
    let found: Vec<bson::RawDocumentBuf> = store
        .collection::<bson::RawDocumentBuf>(&day.collection())
        .find(bson::doc! { "_id": id.object_id(), "gone": { "$exists": false } })
        .limit(1)
        .await?
        .try_collect()
        .await?;
    found.first().map(|raw| document::read(raw, day)).transpose()
}

/// A block, or these columns of it; `None` when there is none, or no more.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn find(store: &Store, day: Day, id: BlockId, columns: &Columns) -> Result<Option<FoundBlock>, Error> {
    Ok(find_some(store, day, &[id], columns).await?.pop())
}

/// The same of several blocks of a day, in any order. Those that are not there, or no more, are left out.
///
/// # Errors
/// As of [`find`].
pub async fn find_some(store: &Store, day: Day, ids: &[BlockId], columns: &Columns) -> Result<Vec<FoundBlock>, Error> {
    let ids: Vec<ObjectId> = ids.iter().map(|id| id.object_id()).collect();
    let found: Vec<bson::RawDocumentBuf> = store
        .collection::<bson::RawDocumentBuf>(&day.collection())
        .find(bson::doc! { "_id": { "$in": ids } })
        .projection(document::projection(columns))
        .await?
        .try_collect()
        .await?;
    // Retention may have left the batches only.
    let found = found.iter().filter(|raw| parts::are_in(raw));
    found.map(|raw| document::found(raw, day, columns)).collect()
}
