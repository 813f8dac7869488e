//! `heard`: when each source of an endpoint was last heard, and how long it is usually quiet. Written by collectors.
//!
//! What is usual is learned here, in one update: the longest pause between two notes, which fades by 2 % with each note and
//! at most doubles at once, so that one long silence does not make the next one usual.

use std::collections::BTreeSet;

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{AgentId, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use crate::bulk::{self, Update};
use crate::{Error, Store};

const COLLECTION: &str = "heard";
/// Sources of one endpoint that are followed.
const MAX_SOURCES: u64 = 200;
/// After so long a source is forgotten.
const FORGET: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
/// What the learned pause may grow by at once, beside doubling, in milliseconds.
const GROWTH_MILLIS: i64 = 60_000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let ttl = IndexOptions::builder().expire_after(FORGET).build();
    let indexes = [
        IndexModel::builder().keys(doc! { "last_at": 1 }).options(ttl).build(),
        IndexModel::builder().keys(doc! { "tenant": 1, "agent": 1 }).build(),
    ];
    store.collection::<Document>(COLLECTION).create_indexes(indexes).await?;
    Ok(())
}

/// A source of an endpoint: a file, or its journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// As the endpoint says, such as `file`.
    pub kind: String,
    /// Such as a path.
    pub name: String,
}

/// When a source was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whose.
    pub tenant: Tenant,
    /// On which endpoint.
    pub agent: AgentId,
    /// Which of its sources.
    pub origin: Origin,
    /// Last, by the database's clock.
    pub last_at: Timestamp,
    /// How long it is usually quiet at most, in milliseconds.
    pub pause_millis: u64,
    /// How often it was noted.
    pub times: u64,
}

fn id(tenant: &Tenant, agent: AgentId, origin: &Origin) -> String {
    let name = blake3::hash(format!("{}\0{}", origin.kind, origin.name).as_bytes()).to_hex();
    let name: String = name.chars().take(32).collect();
    format!("{tenant}/{agent}/{name}")
}

/// Notes that sources of an endpoint were heard; `new` when some of them may not be on record. Of one endpoint at most 200
/// are followed.
///
/// # Errors
/// When the database is away.
pub async fn note(
    store: &Store,
    tenant: &Tenant,
    agent: AgentId,
    origins: &BTreeSet<Origin>,
    new: bool,
) -> Result<(), Error> {
    if origins.is_empty() {
        return Ok(());
    }
    let mut upsert = false;
    if new {
        let of_agent = doc! { "tenant": tenant.as_str(), "agent": agent.to_string() };
        let collection = store.collection::<Document>(COLLECTION);
        upsert = collection.count_documents(of_agent).limit(MAX_SOURCES).await? < MAX_SOURCES;
    }
    let usual = doc! { "$ifNull": ["$pause", 0_i64] };
    let pause = doc! { "$ifNull": [{ "$dateDiff": { "startDate": "$last_at", "endDate": "$$NOW", "unit": "millisecond" } }, 0_i64] };
    let bound = doc! { "$add": [{ "$multiply": [2_i64, &usual] }, GROWTH_MILLIS] };
    let faded = doc! { "$toLong": { "$multiply": [&usual, 0.98] } };
    let learned = doc! { "$toLong": { "$min": [{ "$max": [pause, faded] }, bound] } };
    let updates = origins.iter().map(|origin| Update {
        filter: doc! { "_id": id(tenant, agent, origin) },
        update: Bson::Array(vec![Bson::Document(doc! { "$set": {
            "tenant": tenant.as_str(),
            "agent": agent.to_string(),
            "kind": { "$literal": &origin.kind },
            "name": { "$literal": &origin.name },
            "pause": &learned,
            "times": { "$add": [{ "$ifNull": ["$times", 0_i64] }, 1_i64] },
            "last_at": "$$NOW",
        } })]),
        upsert,
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

/// Sources that were last heard before some time, of all tenants, the longest silent last. `limit` is capped at 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn quiet_since(store: &Store, before: Timestamp, limit: u32) -> Result<Vec<Heard>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "last_at": { "$lt": DateTime::from_millis(before.as_millis()) } })
        .sort(doc! { "last_at": -1 })
        .limit(i64::from(limit.min(10_000)))
        .await?
        .try_collect()
        .await?;
    documents.iter().map(from_document).collect()
}

/// When a source was last heard; `None` when it is forgotten.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn last(store: &Store, tenant: &Tenant, agent: AgentId, origin: &Origin) -> Result<Option<Timestamp>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": id(tenant, agent, origin) })
        .await?;
    Ok(found
        .as_ref()
        .map(from_document)
        .transpose()?
        .map(|heard| heard.last_at))
}

fn from_document(document: &Document) -> Result<Heard, Error> {
    let wrong = |field: &str| Error::invalid(format!("heard.{field}"), "what a collector writes there");
    let text = |field: &str| document.get_str(field).map_err(|_| wrong(field));
    let number = |field: &str| {
        document
            .get_i64(field)
            .map_or(0, |count| u64::try_from(count).unwrap_or(0))
    };
    let last_at = document.get_datetime("last_at").map_err(|_| wrong("last_at"))?;
    Ok(Heard {
        tenant: text("tenant")?.parse().map_err(|_| wrong("tenant"))?,
        agent: text("agent")?.parse().map_err(|_| wrong("agent"))?,
        origin: Origin {
            kind: text("kind")?.to_owned(),
            name: text("name")?.to_owned(),
        },
        last_at: Timestamp::from_millis(last_at.timestamp_millis()),
        pause_millis: number("pause"),
        times: number("times"),
    })
}
