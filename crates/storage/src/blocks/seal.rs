//! Signatures over stored blocks, and reading a source's blocks with what it takes to check them.

use std::fmt;
use std::sync::Arc;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::{Stream, TryStreamExt as _, stream};
use model::{SourceId, Tenant};

use super::{BlockBatch, StoredBlock, document, list_days};
use crate::{Error, Store};

/// A signature over what a stored block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Serial number of the signer's certificate; see [`crate::signers`].
    pub signer: String,
    /// Over the block's digest.
    pub signature: Vec<u8>,
}

type Seals = dyn Fn(&[u8; 32]) -> Option<Seal> + Send + Sync;

/// Signs digests of blocks. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<Seals>);

impl Sealer {
    /// `None` from `seal` means that it could not be signed; the block is then not stored, and tried again.
    pub fn new(seal: impl Fn(&[u8; 32]) -> Option<Seal> + Send + Sync + 'static) -> Self {
        Self(Arc::new(seal))
    }

    pub(super) fn seal(&self, digest: &[u8; 32]) -> Option<Seal> {
        (self.0)(digest)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

/// A block with its signature, as it was found.
#[derive(Clone, Debug)]
pub struct SealedBlock {
    /// The block; `body` is empty when it was not asked for.
    pub block: StoredBlock,
    /// What it says about its batches.
    pub batches: Vec<BlockBatch>,
    /// Over what was found, to be compared with the signature; `None` when bodies were not asked for.
    pub digest: Option<[u8; 32]>,
    /// The signature; `None` when there is none that could be read.
    pub seal: Option<Seal>,
    /// Events that retention took out of it.
    pub trimmed: u64,
}

/// How much of each block is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of it.
    Whole,
    /// What it says about its batches.
    Batches,
}

/// By the unique index: the keys of a source's batches begin alike.
fn with_batches_of(tenant: &Tenant, source: SourceId) -> Document {
    let keys = doc! { "$gte": format!("{tenant}/{source}/"), "$lt": format!("{tenant}/{source}0") };
    doc! { "batches": { "$elemMatch": { "k": keys } } }
}

/// A source's batches of blocks that retention removed, as long as they are remembered, with the day and name of the block.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn gone_of_source(
    store: &Store,
    tenant: &Tenant,
    source: SourceId,
) -> Result<Vec<(String, BlockBatch)>, Error> {
    let mut gone = Vec::new();
    let mut filter = with_batches_of(tenant, source);
    filter.insert("gone.tenant", tenant.as_str());
    for day in list_days(store).await? {
        let collection = store.collection::<RawDocumentBuf>(&day.collection());
        let mut left = collection.find(filter.clone()).await?;
        while let Some(raw) = left.try_next().await? {
            let id = raw.get_object_id("_id").map(|id| id.to_string()).unwrap_or_default();
            let batches = document::batches(&raw, tenant)?;
            let own = batches.into_iter().filter(|batch| batch.key.source == source);
            gone.extend(own.map(|batch| (format!("{day}/{id}"), batch)));
        }
    }
    Ok(gone)
}

/// The blocks with batches of a source, the oldest day first. A block that cannot be read is an error of its own, with its
/// name, and the stream goes on behind it.
pub fn of_source(
    store: &Store,
    tenant: &Tenant,
    source: SourceId,
    reading: Reading,
) -> impl Stream<Item = Result<SealedBlock, Error>> + Send + use<> {
    let (store, tenant) = (store.clone(), tenant.clone());
    let days = {
        let store = store.clone();
        async move {
            let mut days = list_days(&store).await?;
            days.reverse();
            Ok::<_, Error>(stream::iter(days.into_iter().map(Ok::<_, Error>)))
        }
    };
    stream::once(days)
        .try_flatten()
        .and_then(move |day| {
            let store = store.clone();
            let mut filter = with_batches_of(&tenant, source);
            filter.insert("tenant", tenant.as_str());
            async move {
                let collection = store.collection::<RawDocumentBuf>(&day.collection());
                let mut find = collection.find(filter).batch_size(8);
                if reading == Reading::Batches {
                    find = find
                        .projection(doc! { "tf": 0, "body": 0, "head": 0, "cols": 0, "ips": 0, "minutes": 0 })
                        .batch_size(256);
                }
                let cursor = find.await?;
                Ok(cursor
                    .map_err(Error::from)
                    .and_then(move |raw| async move { read(&raw, day, reading) }))
            }
        })
        .try_flatten()
}

fn read(raw: &RawDocumentBuf, day: super::Day, reading: Reading) -> Result<SealedBlock, Error> {
    let unreadable = |error: Error| {
        let id = raw.get_object_id("_id").map(|id| id.to_string()).unwrap_or_default();
        Error::invalid(format!("block {id} of {day}"), format!("a readable block ({error})"))
    };
    let block = match reading {
        Reading::Whole => document::read(raw, day),
        Reading::Batches => document::read_without_body(raw, day),
    };
    let block = block.map_err(unreadable)?;
    Ok(SealedBlock {
        batches: document::batches(raw, &block.tenant).map_err(unreadable)?,
        block,
        digest: match reading {
            Reading::Whole => Some(document::digest(raw).map_err(unreadable)?),
            Reading::Batches => None,
        },
        seal: document::seal(raw),
        trimmed: raw
            .get_i64("trimmed")
            .map_or(0, |events| u64::try_from(events).unwrap_or(0)),
    })
}
