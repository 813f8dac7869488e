//! Working on hunts: one at a time, under a lease, step by step.

use std::time::Duration;

use bson::oid::ObjectId;
use bson::{Document, doc};
use model::NodeId;
use mongodb::options::ReturnDocument;

use super::{COLLECTION, Hunt, State, document};
use crate::blocks::{BlockId, Day};
use crate::{Error, Store};

/// A hunt this node works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The hunt.
    pub hunt: Hunt,
    /// Behind which block it goes on; `None` at the beginning.
    pub position: Option<(Day, BlockId)>,
}

/// What one step of a hunt brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The last block that was looked at.
    pub position: Option<(Day, BlockId)>,
    /// Blocks looked at.
    pub blocks_seen: u64,
    /// Blocks read.
    pub blocks_read: u64,
    /// Events in them.
    pub events: u64,
    /// Indicators found.
    pub matches: u64,
    /// New alerts.
    pub alerts: u64,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Takes the oldest hunt that waits or that its detector left, unless another one is being worked on.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn claim(store: &Store, node: &NodeId, lease: Duration) -> Result<Option<Claimed>, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let running = doc! {
        "state": State::Running.as_str(),
        "$expr": { "$gt": ["$lease_until", "$$NOW"] },
    };
    if collection.find_one(running).await?.is_some() {
        return Ok(None);
    }
    let free = doc! {
        "state": { "$in": [State::Waiting.as_str(), State::Running.as_str()] },
        "$expr": { "$and": [
            { "$lte": ["$not_before", "$$NOW"] },
            { "$lte": [{ "$ifNull": ["$lease_until", "$not_before"] }, "$$NOW"] },
        ] },
    };
    let take = vec![doc! { "$set": {
        "state": State::Running.as_str(),
        "node": { "$literal": node.as_str() },
        "lease_until": { "$add": ["$$NOW", millis(lease)] },
    } }];
    let found = collection
        .find_one_and_update(free, take)
        .sort(doc! { "created_at": 1 })
        .return_document(ReturnDocument::After)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let day = found.get_i64("day").ok().and_then(Day::from_number);
    let block = found.get_object_id("block").ok();
    let position = day
        .zip(block)
        .and_then(|(day, block)| Some((day, BlockId::from_slice(&block.bytes())?)));
    Ok(Some(Claimed {
        hunt: document::read(found)?,
        position,
    }))
}

/// Notes what was done and keeps the hunt; false when it is not this node's any more, or was cancelled.
///
/// # Errors
/// When the database is away.
pub async fn renew(store: &Store, node: &NodeId, id: &str, step: &Step, lease: Duration) -> Result<bool, Error> {
    let add = |field: &str, count: u64| {
        let sum: (String, Document) = (
            format!("progress.{field}"),
            doc! { "$add": [format!("$progress.{field}"), count.cast_signed()] },
        );
        sum
    };
    let mut set = doc! { "lease_until": { "$add": ["$$NOW", millis(lease)] } };
    let sums = [
        ("blocks_seen", step.blocks_seen),
        ("blocks_read", step.blocks_read),
        ("events", step.events),
        ("matches", step.matches),
        ("alerts", step.alerts),
    ];
    for (field, sum) in sums.map(|(field, count)| add(field, count)) {
        set.insert(field, sum);
    }
    if let Some((day, block)) = step.position {
        set.insert("day", day.number());
        set.insert("block", ObjectId::from_bytes(*block.as_bytes()));
    }
    let answer = store
        .collection::<Document>(COLLECTION)
        .update_one(mine(node, id), vec![doc! { "$set": set }])
        .await?;
    Ok(answer.matched_count == 1)
}

/// Notes how many blocks there are to look at.
///
/// # Errors
/// When the database is away.
pub async fn set_blocks(store: &Store, node: &NodeId, id: &str, blocks: u64) -> Result<(), Error> {
    let update = doc! { "$set": { "progress.blocks": blocks.cast_signed() } };
    store
        .collection::<Document>(COLLECTION)
        .update_one(mine(node, id), update)
        .await?;
    Ok(())
}

/// Ends a hunt; with an error it has failed.
///
/// # Errors
/// When the database is away.
pub async fn finish(store: &Store, node: &NodeId, id: &str, error: Option<&str>) -> Result<(), Error> {
    let state = if error.is_some() { State::Failed } else { State::Done };
    let update = doc! {
        "$set": { "state": state.as_str(), "error": error },
        "$currentDate": { "finished_at": true },
    };
    store
        .collection::<Document>(COLLECTION)
        .update_one(mine(node, id), update)
        .await?;
    Ok(())
}

/// Lets another detector go on at once.
///
/// # Errors
/// When the database is away; then the lease ends by itself.
pub async fn give_back(store: &Store, node: &NodeId, id: &str) -> Result<(), Error> {
    let update = doc! {
        "$set": { "state": State::Waiting.as_str() },
        "$unset": { "lease_until": "" },
    };
    store
        .collection::<Document>(COLLECTION)
        .update_one(mine(node, id), update)
        .await?;
    Ok(())
}

fn mine(node: &NodeId, id: &str) -> Document {
    doc! { "_id": id, "node": node.as_str(), "state": State::Running.as_str() }
}
