//! Who runs a feed.

use std::time::Duration;

use bson::oid::ObjectId;
use bson::{Document, doc};
use model::NodeId;
use model::feed::FeedStatus;
use mongodb::options::ReturnDocument;

use super::{COLLECTION, Feed, document};
use crate::{Error, Store};

/// How long a record that is not readable is left alone.
const UNREADABLE_AGAIN: Duration = Duration::from_secs(3600);

/// A feed that is ours to run.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The feed as it was when it was claimed.
    pub feed: Feed,
    id: FeedId,
    fence: i64,
}

/// Names a feed's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedId(ObjectId);

impl Claim {
    /// Names the feed's record in [`claim`]'s `running`.
    #[must_use]
    pub fn id(&self) -> FeedId {
        self.id
    }

    fn filter(&self) -> Document {
        doc! { "_id": self.id.0, "lease.fence": self.fence }
    }
}

/// Claims the feed that has been due for longest, if any is due that nobody else is at. One that a process of this name
/// held is due again unless it is in `running`: its predecessor died.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn claim(store: &Store, node: &NodeId, running: &[FeedId], ttl: Duration) -> Result<Option<Claim>, Error> {
    let is_free = doc! { "$or": [
        { "$lte": [{ "$ifNull": ["$lease.until", "$created_at"] }, "$$NOW"] },
        { "$eq": ["$lease.owner", { "$literal": node.as_str() }] },
    ] };
    let running: Vec<ObjectId> = running.iter().map(|id| id.0).collect();
    let filter = doc! {
        "_id": { "$nin": running },
        "spec.enabled": true,
        "$expr": { "$and": [{ "$lte": ["$next_run", "$$NOW"] }, is_free] },
    };
    let update = vec![doc! { "$set": {
        "lease": {
            "owner": { "$literal": node.as_str() },
            "until": { "$add": ["$$NOW", millis(ttl)] },
            "fence": { "$add": [{ "$ifNull": ["$lease.fence", 0_i64] }, 1_i64] },
            "since": "$$NOW",
        },
    } }];
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one_and_update(filter, update)
        .sort(doc! { "next_run": 1 })
        .return_document(ReturnDocument::After)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let id = found
        .get_object_id("_id")
        .map_err(|_| Error::invalid("feeds._id", "an object id"))?;
    let fence = found
        .get_document("lease")
        .and_then(|lease| lease.get_i64("fence"))
        .map_err(|_| Error::invalid("feeds.lease.fence", "a 64-bit number"))?;
    match document::read(&found) {
        Ok(feed) => Ok(Some(Claim {
            feed,
            id: FeedId(id),
            fence,
        })),
        Err(error) => {
            // Or it would be the one that has been due for longest for ever.
            let later = vec![doc! { "$set": {
                "next_run": { "$add": ["$$NOW", millis(UNREADABLE_AGAIN)] },
                "lease.owner": "",
            } }];
            let filter = doc! { "_id": id, "lease.fence": fence };
            store
                .collection::<Document>(COLLECTION)
                .update_one(filter, later)
                .await?;
            Err(error)
        }
    }
}

/// Extends the lease and says whether it is still ours: it is not when somebody else took the feed, or it was removed,
/// set up differently or disabled meanwhile.
///
/// # Errors
/// When the database is away; the lease then ends by itself.
pub async fn renew(store: &Store, claim: &Claim, ttl: Duration) -> Result<bool, Error> {
    let mut filter = claim.filter();
    filter.insert("updated_at", document::date(claim.feed.updated_at));
    let update = vec![doc! { "$set": { "lease.until": { "$add": ["$$NOW", millis(ttl)] } } }];
    let answer = store
        .collection::<Document>(COLLECTION)
        .update_one(filter, update)
        .await?;
    Ok(answer.matched_count > 0)
}

/// Notes how far a run is, and says whether the feed is still ours.
///
/// # Errors
/// When the database is away.
pub async fn progress(store: &Store, claim: &Claim, status: &FeedStatus) -> Result<bool, Error> {
    let mut filter = claim.filter();
    filter.insert("updated_at", document::date(claim.feed.updated_at));
    let update = doc! { "$set": { "status": document::status(status)? } };
    let answer = store
        .collection::<Document>(COLLECTION)
        .update_one(filter, update)
        .await?;
    Ok(answer.matched_count > 0)
}

/// Ends a run and gives the lease back. The feed is due again after `next_in`, or at once when somebody asked for a run
/// or set the feed up differently while this one was under way; of the latter nothing but the lease is changed.
///
/// # Errors
/// When the database is away; the lease then ends by itself.
pub async fn finish(store: &Store, claim: &Claim, status: &FeedStatus, next_in: Duration) -> Result<(), Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let asked = doc! { "$gt": ["$asked_at", "$lease.since"] };
    let update = vec![doc! { "$set": {
        "status": { "$literal": document::status(status)? },
        "next_run": { "$cond": [asked, "$$NOW", { "$add": ["$$NOW", millis(next_in)] }] },
        "lease.owner": "",
        "lease.until": "$$NOW",
    } }];
    let mut filter = claim.filter();
    filter.insert("updated_at", document::date(claim.feed.updated_at));
    let answer = collection.update_one(filter, update).await?;
    if answer.matched_count == 0 {
        let free = vec![doc! { "$set": { "lease.owner": "", "lease.until": "$$NOW" } }];
        collection.update_one(claim.filter(), free).await?;
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
