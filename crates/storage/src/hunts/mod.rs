//! `hunts`: searches for indicators in events that are stored already, and `hunt_matches`: what they found. Written by
//! detectors.
//!
//! A hunt waits until a detector claims it under a lease. What it found in a block is stored before the block's position
//! is; whoever takes a hunt over goes on behind that position, and finding the same again changes nothing.

mod document;
mod matches;
mod work;

use std::time::Duration;

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::indicator::IndicatorType;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use serde::{Deserialize, Serialize};

use crate::{Error, Store};

pub use matches::{MAX_MATCHES, Match, add_matches, list_matches};
pub use work::{Claimed, Step, claim, finish, give_back, renew, set_blocks};

pub(crate) const COLLECTION: &str = "hunts";
pub(crate) const MATCHES: &str = "hunt_matches";
/// How long a hunt and its matches are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Time until detectors match a new indicator in new events; a hunt for it must not be over before.
const SETTLE_MILLIS: i64 = 3000;
/// Most hunts one answer has.
const MAX_LIMIT: u32 = 1000;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quarry {
    /// These values, whether or not they are stored indicators.
    Indicators(Vec<(IndicatorType, String)>),
    /// A feed's indicators.
    Feed {
        /// Its name.
        name: String,
        /// Only those added at this time or later.
        added_since: Option<Timestamp>,
    },
}

/// A hunt to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHunt {
    /// Whose events.
    pub tenant: Tenant,
    /// What for.
    pub quarry: Quarry,
    /// Events at this time or later.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
    /// Whether matches become alerts.
    pub alert: bool,
    /// Who wants it.
    pub requested_by: String,
}

impl NewHunt {
    /// A hunt for what a feed said for the first time since `added_since`, with alerts.
    #[must_use]
    pub fn of_feed(tenant: Tenant, feed: &str, added_since: Timestamp, requested_by: &str) -> Self {
        Self {
            tenant,
            quarry: Quarry::Feed {
                name: feed.to_owned(),
                added_since: Some(added_since),
            },
            from: None,
            to: None,
            alert: true,
            requested_by: requested_by.to_owned(),
        }
    }
}

/// Where a hunt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No detector has taken it yet.
    Waiting,
    /// A detector is at it.
    Running,
    /// All blocks were looked at.
    Done,
    /// It cannot be finished; `error` says why.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl State {
    /// Lower-case name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will come.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// How far a hunt has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Blocks of the time span when it began.
    pub blocks: u64,
    /// Of these, looked at.
    pub blocks_seen: u64,
    /// Of these, read because their index terms did not rule the indicators out.
    pub blocks_read: u64,
    /// Events in the blocks that were read.
    pub events: u64,
    /// Indicators found in events.
    pub matches: u64,
    /// Alerts that were not there before.
    pub alerts: u64,
}

/// A hunt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunt {
    /// Its id.
    pub id: String,
    /// Whose events.
    pub tenant: Tenant,
    /// What for.
    pub quarry: Quarry,
    /// Events at this time or later.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
    /// Whether matches become alerts.
    pub alert: bool,
    /// Who wants it.
    pub requested_by: String,
    /// Where it stands.
    pub state: State,
    /// How far it has come.
    pub progress: Progress,
    /// The detector that is or was at it.
    pub node: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let plain = |keys: Document| IndexModel::builder().keys(keys).build();
    let expiring = || {
        let options = IndexOptions::builder().expire_after(KEPT).build();
        IndexModel::builder()
            .keys(doc! { "created_at": 1 })
            .options(options)
            .build()
    };
    store
        .collection::<Document>(COLLECTION)
        .create_indexes([
            plain(doc! { "tenant": 1, "created_at": -1 }),
            plain(doc! { "state": 1, "created_at": 1 }),
            expiring(),
        ])
        .await?;
    store
        .collection::<Document>(MATCHES)
        .create_indexes([plain(doc! { "tenant": 1, "hunt": 1, "_id": 1 }), expiring()])
        .await?;
    Ok(())
}

/// Puts a hunt into the queue and says under which id.
///
/// # Errors
/// When the database is away.
pub async fn enqueue(store: &Store, new: &NewHunt) -> Result<String, Error> {
    let id = uuid::Uuid::now_v7().to_string();
    let now = store.now().await?;
    let hunt = Hunt {
        id: id.clone(),
        tenant: new.tenant.clone(),
        quarry: new.quarry.clone(),
        from: new.from,
        to: new.to,
        alert: new.alert,
        requested_by: new.requested_by.clone(),
        state: State::Waiting,
        progress: Progress::default(),
        node: None,
        error: None,
        created_at: now,
        finished_at: None,
    };
    let mut document = document::write(&hunt)?;
    let settled = match new.quarry {
        Quarry::Indicators(_) => now,
        Quarry::Feed { .. } => Timestamp::from_millis(now.as_millis().saturating_add(SETTLE_MILLIS)),
    };
    document.insert("not_before", document::date(settled));
    store.collection::<Document>(COLLECTION).insert_one(document).await?;
    Ok(id)
}

/// One hunt.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<Hunt>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": id, "tenant": tenant.as_str() })
        .await?;
    found.map(document::read).transpose()
}

/// Hunts, the latest first. `limit` is capped at 1,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant, limit: u32) -> Result<Vec<Hunt>, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "created_at": -1 })
        .limit(i64::from(limit.clamp(1, MAX_LIMIT)))
        .await?;
    let mut hunts = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        hunts.push(document::read(found)?);
    }
    Ok(hunts)
}

/// Stops a hunt; false when it was over or does not exist.
///
/// # Errors
/// When the database is away.
pub async fn cancel(store: &Store, tenant: &Tenant, id: &str) -> Result<bool, Error> {
    let unfinished = doc! {
        "_id": id,
        "tenant": tenant.as_str(),
        "state": { "$in": [State::Waiting.as_str(), State::Running.as_str()] },
    };
    let update = doc! {
        "$set": { "state": State::Cancelled.as_str() },
        "$currentDate": { "finished_at": true },
    };
    let answer = store
        .collection::<Document>(COLLECTION)
        .update_one(unfinished, update)
        .await?;
    Ok(answer.modified_count == 1)
}
