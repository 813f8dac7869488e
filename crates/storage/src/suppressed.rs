//! `suppressed`: which events are counted in the alerts that stand for others.
//!
//! A record is changed by compare-and-swap: whoever read version `v` writes `v + 1`, and only if it is still `v`. What
//! a state means is the detector's business. Records end by themselves at `expires` (a TTL index). Written by detectors
//! only.

use std::collections::HashMap;

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bulk::{self, Update, Updated};
use crate::{Error, Store};

/// Most records read by one query.
const READ_AT_ONCE: usize = 1000;

const COLLECTION: &str = "suppressed";

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let at_its_time = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
    let index = IndexModel::builder()
        .keys(doc! { "expires": 1 })
        .options(at_its_time)
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

/// What a state is about, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Whose.
    pub tenant: Tenant,
    /// Id of the rule.
    pub rule_id: String,
    /// Its revision.
    pub revision: String,
    /// When the span begins, in seconds since 1970.
    pub from: i64,
}

/// A state as it was read.
#[derive(Clone, Debug)]
pub struct Stored<S> {
    /// Its version, from 1.
    pub version: i64,
    /// The state; `None` when it is not readable and has to be made anew.
    pub state: Option<S>,
}

/// Reads states; those that are not there are left out.
///
/// # Errors
/// When the database is away.
pub async fn read<S: DeserializeOwned>(store: &Store, keys: &[String]) -> Result<HashMap<String, Stored<S>>, Error> {
    let mut found = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(READ_AT_ONCE) {
        let mut cursor = store
            .collection::<Document>(COLLECTION)
            .find(doc! { "_id": { "$in": keys } })
            .projection(doc! { "v": 1, "state": 1 })
            .await?;
        while let Some(mut document) = cursor.try_next().await? {
            let (Ok(key), Ok(version)) = (document.get_str("_id").map(str::to_owned), document.get_i64("v")) else {
                continue;
            };
            let state = document
                .remove("state")
                .and_then(|state| bson::deserialize_from_bson(state).ok());
            if state.is_none() {
                tracing::error!(state.key = key, "stored state not readable, it is made anew");
            }
            found.insert(key, Stored { version, state });
        }
    }
    Ok(found)
}

/// A state to be written.
#[derive(Debug)]
pub struct Write<'a, S> {
    /// Its key.
    pub key: &'a str,
    /// The version that was read; 0 when there was none.
    pub expected: i64,
    /// What it is about.
    pub about: About,
    /// The state.
    pub state: &'a S,
    /// When it is no longer needed.
    pub expires: Timestamp,
}

/// Writes states and says of each whether it was still at the expected version. Those that were not are as somebody
/// else left them.
///
/// # Errors
/// When the database is away or refuses a state; some may be written then.
pub async fn write<S: Serialize>(store: &Store, writes: &[Write<'_, S>]) -> Result<Vec<bool>, Error> {
    let mut updates = Vec::with_capacity(writes.len());
    for write in writes {
        let update = doc! { "$set": {
            "tenant": write.about.tenant.as_str(),
            "rule": &write.about.rule_id,
            "rev": &write.about.revision,
            "from": write.about.from,
            "v": write.expected + 1,
            "state": bson::serialize_to_bson(write.state)?,
            "expires": date(write.expires),
        } };
        updates.push(Update {
            filter: doc! { "_id": write.key, "v": write.expected },
            update: Bson::Document(update),
            upsert: true,
        });
    }
    let updated = bulk::update(store, COLLECTION, updates).await?;
    Ok(updated
        .into_iter()
        .map(|updated| updated != Updated::Duplicate)
        .collect())
}

fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}
