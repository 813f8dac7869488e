//! Signatures over stored blocks, and reading a source's blocks with what it takes to check them.

use std::fmt;
use std::sync::Arc;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{SourceId, Tenant};
use mongodb::options::ReadConcern;

use super::snapshot::{is_lost, patiently};
use super::{BlockBatch, BlockId, Day, StoredBlock, document};
use crate::{Error, Store};

/// How often a moment is chosen anew that the database did not keep for long enough.
const MAX_LOST: u32 = 3;

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
    /// The block.
    pub block: StoredBlock,
    /// What it says about its batches.
    pub batches: Vec<BlockBatch>,
    /// Over what was found, to be compared with the signature.
    pub digest: [u8; 32],
    /// The signature; `None` when there is none that could be read.
    pub seal: Option<Seal>,
    /// Events that retention took out of it.
    pub trimmed: u64,
}

/// What a block, or what is left of one, says about a source's batches.
#[derive(Clone, Debug)]
pub struct BatchesOfBlock {
    /// Which block.
    pub id: BlockId,
    /// The source's batches in it.
    pub batches: Vec<BlockBatch>,
    /// Whether retention removed the block, and its batches are only remembered.
    pub gone: bool,
}

/// By the unique index: the keys of a source's batches begin alike.
fn with_batches_of(tenant: &Tenant, source: SourceId) -> Document {
    let keys = doc! { "$gte": format!("{tenant}/{source}/"), "$lt": format!("{tenant}/{source}0") };
    doc! { "batches": { "$elemMatch": { "k": keys } } }
}

/// A source's batches of one day as they are at one moment, so that each is there once, whatever is merged or removed
/// meanwhile. Ends behind the block with which there are more than `limit`. What a block says that cannot be read is an
/// error of its own, with the block's name.
///
/// # Errors
/// When the database is away, or took minutes.
pub async fn batches_of_source(
    store: &Store,
    tenant: &Tenant,
    source: SourceId,
    day: Day,
    limit: usize,
) -> Result<Vec<Result<BatchesOfBlock, Error>>, Error> {
    let mut lost = 0;
    loop {
        match batches_at_a_moment(store, tenant, source, day, limit).await {
            Err(Error::Unavailable(error) | Error::Other(error)) if is_lost(&error) && lost < MAX_LOST => lost += 1,
            done => return done,
        }
    }
}

async fn batches_at_a_moment(
    store: &Store,
    tenant: &Tenant,
    source: SourceId,
    day: Day,
    limit: usize,
) -> Result<Vec<Result<BatchesOfBlock, Error>>, Error> {
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let mut cursor = patiently!(
        collection
            .find(with_batches_of(tenant, source))
            .projection(doc! { "tenant": 1, "gone.tenant": 1, "batches": 1 })
            .batch_size(256)
            .read_concern(ReadConcern::snapshot())
    )?;
    let mut found = Vec::new();
    let mut count = 0;
    while let Some(raw) = cursor.try_next().await? {
        let gone = raw.get_document("gone").is_ok();
        let of = match raw.get_document("gone") {
            Ok(gone) => gone.get_str("tenant"),
            Err(_) => raw.get_str("tenant"),
        };
        if of.ok() != Some(tenant.as_str()) {
            continue;
        }
        let read = raw
            .get_object_id("_id")
            .map_err(|_| Error::invalid("blocks._id", "an object id"))
            .and_then(|id| {
                Ok(BatchesOfBlock {
                    id: BlockId(id.bytes()),
                    batches: document::batches(&raw, tenant)?
                        .into_iter()
                        .filter(|batch| batch.key.source == source)
                        .collect(),
                    gone,
                })
            })
            .map_err(|error| unreadable(&raw, day, &error));
        count += read.as_ref().map_or(1, |read| read.batches.len());
        found.push(read);
        if count > limit {
            break;
        }
    }
    Ok(found)
}

/// Blocks by name, with what it takes to check them; those that are not there any more, or were merged into others, are left
/// out. One that cannot be read is an error of its own.
///
/// # Errors
/// When the database is away.
pub async fn sealed(
    store: &Store,
    tenant: &Tenant,
    day: Day,
    ids: &[BlockId],
) -> Result<Vec<(BlockId, Result<SealedBlock, Error>)>, Error> {
    let ids: Vec<_> = ids.iter().map(|id| id.object_id()).collect();
    let raws: Vec<RawDocumentBuf> = store
        .collection::<RawDocumentBuf>(&day.collection())
        .find(doc! { "_id": { "$in": ids }, "tenant": tenant.as_str() })
        .await?
        .try_collect()
        .await?;
    let blocks = raws.iter().filter_map(|raw| {
        let id = BlockId(raw.get_object_id("_id").ok()?.bytes());
        Some((id, read(raw, day).map_err(|error| unreadable(raw, day, &error))))
    });
    Ok(blocks.collect())
}

fn unreadable(raw: &RawDocumentBuf, day: Day, error: &Error) -> Error {
    let id = raw.get_object_id("_id").map(|id| id.to_string()).unwrap_or_default();
    Error::invalid(format!("block {id} of {day}"), format!("a readable block ({error})"))
}

fn read(raw: &RawDocumentBuf, day: Day) -> Result<SealedBlock, Error> {
    let block = document::read(raw, day)?;
    Ok(SealedBlock {
        batches: document::batches(raw, &block.tenant)?,
        block,
        digest: document::digest(raw)?,
        seal: document::seal(raw),
        trimmed: raw
            .get_i64("trimmed")
            .map_or(0, |events| u64::try_from(events).unwrap_or(0)),
    })
}
