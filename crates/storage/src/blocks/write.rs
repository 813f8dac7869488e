//! Storing blocks, exactly once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bson::{Bson, Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::BatchKey;
use mongodb::IndexModel;
use mongodb::options::{IndexOptions, ReadConcern};

use super::{BlockId, Day, NewBlock, Sealer, document};
use crate::{Error, Store};

/// What became of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored by a majority.
    Stored(BlockId),
    /// Nothing was stored, because these of its batches already are. To be cut again without them. When it is empty,
    /// the write that got there first is not yet held by a majority: the same call decides it in a moment.
    Duplicate(Vec<Known>),
}

/// A batch that is stored already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its key.
    pub key: BatchKey,
    /// The hash under which it is stored. Where it differs from that of the batch at hand, two different batches claim
    /// one key.
    pub hash: [u8; 32],
}

/// Stores blocks and remembers which days it has prepared. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    store: Store,
    prepared: Arc<Mutex<HashSet<Day>>>,
    sealer: Option<Sealer>,
}

/// Stores one block. For one-off use; see [`Writer`].
///
/// # Errors
/// As [`Writer::insert`].
pub async fn insert(store: &Store, block: &NewBlock) -> Result<Inserted, Error> {
    Writer::new(store.clone()).insert(block).await
}

impl Writer {
    /// A writer that has not prepared any day yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            prepared: Arc::default(),
            sealer: None,
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Has every block signed by `sealer` from here on.
    #[must_use]
    pub fn sealed_by(mut self, sealer: Sealer) -> Self {
        self.sealer = Some(sealer);
        self
    }

    /// A block as it is to be stored, signed.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn document(&self, block: &NewBlock, id: BlockId) -> Result<RawDocumentBuf, Error> {
        self.seal(document::write(block, id))
    }

    /// Signs a document that has no signature yet.
    pub(super) fn seal(&self, mut document: RawDocumentBuf) -> Result<RawDocumentBuf, Error> {
        if let Some(sealer) = &self.sealer {
            let seal = sealer.seal(&document::digest(&document)?);
            let seal = seal.ok_or_else(|| Error::invalid("blocks.proof", "a signature by this node's key"))?;
            document::append_seal(&mut document, &seal);
        }
        Ok(document)
    }

    /// Stores a block with majority write concern, unless one of its batches is stored already.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database is away; whether the block was stored is then not known, and the same
    /// call finds out. Any other error will not go away by itself.
    pub async fn insert(&self, block: &NewBlock) -> Result<Inserted, Error> {
        let elsewhere = self.known_across_the_edge(block).await?;
        if !elsewhere.is_empty() {
            return Ok(Inserted::Duplicate(elsewhere));
        }
        self.prepare(block.day).await?;
        let id = BlockId::generate();
        let inserted = self
            .store
            .collection::<RawDocumentBuf>(&block.day.collection())
            .insert_one(self.document(block, id)?)
            .await
            .map_err(Error::from);
        match inserted {
            Ok(_) => Ok(Inserted::Stored(id)),
            Err(Error::Duplicate(_)) => Ok(Inserted::Duplicate(self.known(block.day, block).await?)),
            Err(error) => Err(error),
        }
    }

    /// Which batches of `block` are stored by a majority in the collection of `day`.
    async fn known(&self, day: Day, block: &NewBlock) -> Result<Vec<Known>, Error> {
        let keys: Vec<String> = block.batches.iter().map(|batch| batch.key.to_string()).collect();
        let documents: Vec<Document> = super::collection(&self.store, day)
            // The keys name the tenant. Of blocks that were removed, the batches may be all that is left.
            .find(doc! { "batches.k": { "$in": &keys } })
            .projection(doc! { "_id": 0, "batches.k": 1, "batches.hash": 1 })
            .read_concern(ReadConcern::majority())
            .await?
            .try_collect()
            .await?;
        let mut known = Vec::new();
        for stored in documents
            .iter()
            .filter_map(|document| document.get_array("batches").ok())
            .flatten()
        {
            let Some(stored) = stored.as_document() else { continue };
            let Some(batch) = stored
                .get_str("k")
                .ok()
                .and_then(|key| keys.iter().position(|ours| ours == key))
                .and_then(|index| block.batches.get(index))
            else {
                continue;
            };
            let hash = match stored.get("hash") {
                Some(Bson::Binary(hash)) => hash.bytes.as_slice().try_into().unwrap_or_default(),
                _ => [0; 32],
            };
            known.push(Known {
                key: batch.key.clone(),
                hash,
            });
        }
        Ok(known)
    }

    /// A batch's day is its own unless that date cannot be right, and what can be right moves with the clock: a batch
    /// that was stored on one side of that edge may be sent again on the other.
    async fn known_across_the_edge(&self, block: &NewBlock) -> Result<Vec<Known>, Error> {
        if block.day != Day::MISDATED {
            return self.known(Day::MISDATED, block).await;
        }
        let mut known = Vec::new();
        for day in super::list_days(&self.store).await? {
            if day != Day::MISDATED {
                known.extend(self.known(day, block).await?);
            }
        }
        Ok(known)
    }

    /// Makes the day's collection with its indexes. Must have happened before the first insert: an insert would create
    /// the collection without the unique index. Two collectors may do this at once; both wait for the same index.
    async fn prepare(&self, day: Day) -> Result<(), Error> {
        if self.prepared().contains(&day) {
            return Ok(());
        }
        prepare(&self.store, day).await?;
        self.prepared().insert(day);
        Ok(())
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, HashSet<Day>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the day's collection with its indexes, or what is missing of them.
pub(super) async fn prepare(store: &Store, day: Day) -> Result<(), Error> {
    create_collection(store, day).await?;
    super::collection(store, day).create_indexes(indexes()).await?;
    Ok(())
}

const NAMESPACE_EXISTS: i32 = 48;

async fn create_collection(store: &Store, day: Day) -> Result<(), Error> {
    // The bodies are compressed already.
    let engine = doc! { "wiredTiger": { "configString": "block_compressor=none" } };
    let created = store
        .database()
        .create_collection(day.collection())
        .storage_engine(engine)
        .await;
    let Err(error) = created else { return Ok(()) };
    if let mongodb::error::ErrorKind::Command(command) = error.kind.as_ref()
        && command.code == NAMESPACE_EXISTS
    {
        return Ok(());
    }
    Err(error.into())
}

/// The index that tells how many events there were at what time without reading blocks.
pub(super) fn by_time() -> Document {
    doc! { "tenant": 1, "part": 1, "max": -1, "min": 1, "n": 1, "minutes": 1 }
}

/// The index that has the blocks with an address, or with more addresses than are listed, in search order.
pub(super) fn by_address() -> Document {
    doc! { "tenant": 1, "ips": 1, "max": -1 }
}

/// The index that tells which classes a day holds without reading blocks.
pub(super) fn by_classes() -> Document {
    doc! { "tenant": 1, "classes": 1 }
}

/// The index that tells how long a day's token filters are without reading blocks.
pub(super) fn by_filter_length() -> Document {
    doc! { "tenant": 1, "tfn": 1 }
}

fn indexes() -> [IndexModel; 8] {
    let unique = IndexOptions::builder().unique(true).build();
    let only_pending = IndexOptions::builder()
        .partial_filter_expression(doc! { "pending": true })
        .build();
    let only_marked = IndexOptions::builder()
        .partial_filter_expression(doc! { "marks": { "$exists": true } })
        .build();
    let index =
        |keys: Document, options: Option<IndexOptions>| IndexModel::builder().keys(keys).options(options).build();
    [
        index(doc! { "batches.k": 1 }, Some(unique)),
        // Search order.
        index(by_time(), None),
        index(doc! { "tenant": 1, "at": 1, "n": 1 }, None),
        index(doc! { "part": 1, "at": 1 }, Some(only_pending)),
        index(by_classes(), None),
        index(doc! { "marks": 1 }, Some(only_marked)),
        index(by_address(), None),
        index(by_filter_length(), None),
    ]
}
