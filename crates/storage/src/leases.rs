//! `leases`: which detector looks at which partition.
//!
//! A lease ends by the database's clock unless it is renewed. Every time a partition is taken its fence grows, so what
//! a holder does under an older fence can be told apart from what its successor does. Partitions are shared by all
//! tenants, so these records carry none.

use std::collections::HashMap;
use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{NodeId, PARTITIONS, Partition};

use crate::fenced::{self, Claim, millis};
use crate::{Error, Store};

const COLLECTION: &str = "leases";

/// A partition that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub partition: Partition,
    /// Grows with every change of hands.
    pub fence: u64,
}

pub(crate) async fn ensure_indexes(_store: &Store) -> Result<(), Error> {
    // One record per partition, found by `_id`.
    Ok(())
}

/// Takes a partition if it is free, if its lease has ended, or if a process of the same name held it (which is then a
/// predecessor that died). The answer is the new fence, or `None` when somebody else holds it.
///
/// # Errors
/// When the database is away.
pub async fn acquire(store: &Store, partition: Partition, node: &NodeId, ttl: Duration) -> Result<Option<u64>, Error> {
    let claim = Claim {
        collection: COLLECTION,
        id: i32::from(partition.number()).into(),
        owner: node.as_str(),
        ttl,
        until: "expires",
    };
    let taken = fenced::take(store, claim).await?;
    taken.as_ref().map(fence).transpose()
}

/// Extends leases by `ttl` from now and says which of them are still held under their fence. One that has ended and
/// that nobody took meanwhile is extended too.
///
/// # Errors
/// When the database is away; what is held then ends by itself.
pub async fn renew(store: &Store, node: &NodeId, held: &[Held], ttl: Duration) -> Result<Vec<Held>, Error> {
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let filter = filter(node, held);
    let update = vec![doc! { "$set": { "expires": { "$add": ["$$NOW", millis(ttl)] } } }];
    let collection = store.collection::<Document>(COLLECTION);
    let renewed = collection.update_many(filter.clone(), update).await?;
    if usize::try_from(renewed.matched_count) == Ok(held.len()) {
        return Ok(held.to_vec());
    }
    let documents: Vec<Document> = collection.find(filter).await?.try_collect().await?;
    documents
        .iter()
        .map(|document| {
            Ok(Held {
                partition: partition(document)?,
                fence: fence(document)?,
            })
        })
        .collect()
}

/// Gives leases back, so that others can take the partitions at once.
///
/// # Errors
/// When the database is away; the leases then end by themselves.
pub async fn release(store: &Store, node: &NodeId, held: &[Held]) -> Result<(), Error> {
    if held.is_empty() {
        return Ok(());
    }
    let update = doc! { "$set": { "owner": "", "expires": DateTime::from_millis(0) } };
    store
        .collection::<Document>(COLLECTION)
        .update_many(filter(node, held), update)
        .await?;
    Ok(())
}

/// Who holds which partition under which fence, by partition number. Partitions that are free are left out.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn owners(store: &Store) -> Result<HashMap<u16, (NodeId, u64)>, Error> {
    let valid = doc! { "$expr": { "$gt": ["$expires", "$$NOW"] }, "owner": { "$ne": "" } };
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(valid)
        .await?
        .try_collect()
        .await?;
    documents
        .iter()
        .map(|document| {
            let owner = document
                .get_str("owner")
                .map_err(|_| Error::invalid("leases.owner", "text"))?
                .parse()
                .map_err(|error| Error::invalid("leases.owner", format!("{error}")))?;
            Ok((partition(document)?.number(), (owner, fence(document)?)))
        })
        .collect()
}

fn filter(node: &NodeId, held: &[Held]) -> Document {
    let any: Vec<Document> = held
        .iter()
        .map(|held| doc! { "_id": i32::from(held.partition.number()), "fence": held.fence.cast_signed() })
        .collect();
    doc! { "owner": node.as_str(), "$or": any }
}

fn fence(document: &Document) -> Result<u64, Error> {
    document
        .get_i64("fence")
        .ok()
        .and_then(|fence| u64::try_from(fence).ok())
        .ok_or_else(|| Error::invalid("leases.fence", "a 64-bit number that is not negative"))
}

fn partition(document: &Document) -> Result<Partition, Error> {
    document
        .get_i32("_id")
        .ok()
        .and_then(|number| u16::try_from(number).ok())
        .and_then(Partition::new)
        .ok_or_else(|| Error::invalid("leases._id", format!("a number below {PARTITIONS}")))
}
