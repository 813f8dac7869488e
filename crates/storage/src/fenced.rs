//! Taking what one node at a time may have, for as long as it says so.
//!
//! It is held until a moment by the database's clock. Every time it changes hands its fence grows.

use std::time::Duration;

use bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use crate::{Error, Store};

/// What is to be taken.
pub(crate) struct Claim<'a> {
    pub(crate) collection: &'a str,
    pub(crate) id: Bson,
    pub(crate) owner: &'a str,
    pub(crate) ttl: Duration,
    /// The field that says until when it is held.
    pub(crate) until: &'a str,
}

/// Takes it if it is free, if its time has ended, or if it was held under the same name of owner (who is then a predecessor
/// that died). The answer is the record, or `None` when somebody else has it.
///
/// # Errors
/// When the database is away.
pub(crate) async fn take(store: &Store, claim: Claim<'_>) -> Result<Option<Document>, Error> {
    // One pipeline decides and writes on the server, so no two callers can both find it free. Every field is computed from the
    // record as it was before.
    let until = format!("${}", claim.until);
    let mine = doc! { "$eq": ["$owner", { "$literal": claim.owner }] };
    let ended = doc! { "$lte": [&until, "$$NOW"] };
    let free = doc! { "$or": [mine, ended, { "$eq": [{ "$type": "$fence" }, "missing"] }] };
    let taken_or = |taken: Bson, kept: &str| doc! { "$cond": [free.clone(), taken, kept] };
    let next_fence = doc! { "$add": [{ "$ifNull": ["$fence", 0_i64] }, 1_i64] };
    let update = vec![doc! { "$set": {
        "fence": taken_or(next_fence.into(), "$fence"),
        claim.until: taken_or(doc! { "$add": ["$$NOW", millis(claim.ttl)] }.into(), &until),
        "owner": taken_or(doc! { "$literal": claim.owner }.into(), "$owner"),
        "taken_at": taken_or("$$NOW".into(), "$taken_at"),
    } }];
    let after = store
        .collection::<Document>(claim.collection)
        .find_one_and_update(doc! { "_id": claim.id }, update)
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await
        .map_err(Error::from);
    let after = match after {
        Ok(after) => after,
        // Another one created the record at the same moment, and with it has it.
        Err(Error::Duplicate(_)) => None,
        Err(error) => return Err(error),
    };
    // Whoever asks for what is their own gets it anew, so the owner alone tells.
    Ok(after.filter(|after| after.get_str("owner").ok() == Some(claim.owner)))
}

pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
