//! `agents`: the enrolled endpoints.
//!
//! Besides what [`Agent`] shows, a record holds which stream is the endpoint's latest (`stream`), the newest receipt
//! (`delivery`) and the events it gave up, by reason and epoch (`drops`; [`Agent::dropped`] has their sums).

use std::collections::BTreeMap;

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::agent::{Agent, Backlog, HostInfo};
use model::{AgentId, Epoch, NodeId, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::ReturnDocument;
use uuid::Uuid;

use crate::{Error, Store};

const COLLECTION: &str = "agents";
/// Epochs per reason whose drops are kept apart; an endpoint starts a new one only with a fresh spool.
const MAX_EPOCHS: i32 = 64;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let index = IndexModel::builder()
        .keys(doc! { "tenant": 1, "last_seen_at": -1 })
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

fn by_id(tenant: &Tenant, id: AgentId) -> Document {
    doc! { "_id": id.to_string(), "tenant": tenant.as_str() }
}

fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millis())
}

fn host_document(host: &HostInfo) -> Document {
    doc! {
        "hostname": &host.hostname,
        "os_type": &host.os_type,
        "os_name": &host.os_name,
        "agent_version": &host.agent_version,
    }
}

/// Records a newly enrolled endpoint.
///
/// # Errors
/// [`Error::Duplicate`] when the id exists.
pub async fn insert(store: &Store, agent: &Agent) -> Result<(), Error> {
    let mut document = by_id(&agent.tenant, agent.id);
    document.insert("group", &agent.group);
    document.insert("host", host_document(&agent.host));
    document.insert("enrolled_at", date(agent.enrolled_at));
    if let Some(at) = agent.last_seen_at {
        document.insert("last_seen_at", date(at));
    }
    store.collection::<Document>(COLLECTION).insert_one(document).await?;
    Ok(())
}

/// One endpoint.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: AgentId) -> Result<Option<Agent>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(by_id(tenant, id))
        .await?;
    found.as_ref().map(from_document).transpose()
}

/// Endpoints of a tenant, last seen first. `limit` is capped at 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant, limit: u32) -> Result<Vec<Agent>, Error> {
    let filter = doc! { "tenant": tenant.as_str() };
    find(store, filter, "last_seen_at", limit.min(10_000)).await
}

/// What matches, the greatest `by` first.
async fn find(store: &Store, filter: Document, by: &str, limit: u32) -> Result<Vec<Agent>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { by: -1 })
        .limit(i64::from(limit))
        .await?
        .try_collect()
        .await?;
    documents.iter().map(from_document).collect()
}

/// Endpoints of all tenants that are not revoked and were last heard from between two times, the longest silent last.
/// `limit` is capped at 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn last_seen_between(
    store: &Store,
    after: Timestamp,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<Agent>, Error> {
    let filter = doc! {
        "last_seen_at": { "$gt": date(after), "$lt": date(before) }, "revoked_at": { "$exists": false },
    };
    find(store, filter, "last_seen_at", limit.min(10_000)).await
}

/// How many endpoints of a tenant are enrolled and not revoked.
///
/// # Errors
/// When the database is away.
pub async fn count(store: &Store, tenant: &Tenant) -> Result<u64, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "revoked_at": { "$exists": false } };
    Ok(store.collection::<Document>(COLLECTION).count_documents(filter).await?)
}

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is refused from now on.
    Changed,
    /// It was revoked before.
    Already,
    /// There is no such endpoint.
    Unknown,
}

/// Revokes an endpoint. Its certificates are another collection: see [`crate::certificates::revoke_subject`].
///
/// # Errors
/// When the database is away.
pub async fn revoke(store: &Store, tenant: &Tenant, id: AgentId, reason: &str) -> Result<Revoked, Error> {
    let mut filter = by_id(tenant, id);
    filter.insert("revoked_at", doc! { "$exists": false });
    let update = doc! { "$set": { "revoke_reason": reason }, "$currentDate": { "revoked_at": true } };
    let collection = store.collection::<Document>(COLLECTION);
    let updated = collection.update_one(filter, update).await?;
    if updated.modified_count > 0 {
        return Ok(Revoked::Changed);
    }
    let exists = collection.find_one(by_id(tenant, id)).await?.is_some();
    Ok(if exists { Revoked::Already } else { Revoked::Unknown })
}

/// Makes `stream` the endpoint's latest stream, and notes what it says about itself. False when there is no such
/// endpoint or it is revoked.
///
/// # Errors
/// When the database is away.
pub async fn open_stream(
    store: &Store,
    tenant: &Tenant,
    id: AgentId,
    stream: Uuid,
    node: &NodeId,
    host: &HostInfo,
) -> Result<bool, Error> {
    let mut filter = by_id(tenant, id);
    filter.insert("revoked_at", doc! { "$exists": false });
    let update = doc! {
        "$set": {
            "host": host_document(host),
            "stream.id": stream.to_string(),
            "stream.node": node.as_str(),
        },
        "$currentDate": { "last_seen_at": true, "stream.opened_at": true },
    };
    let updated = store
        .collection::<Document>(COLLECTION)
        .update_one(filter, update)
        .await?;
    Ok(updated.matched_count > 0)
}

/// What [`touch`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The endpoint is enrolled and not revoked.
    pub allowed: bool,
    /// The stream is the endpoint's latest.
    pub latest: bool,
}

/// Notes that an endpoint is there and how far its delivery is, and says how its stream stands.
///
/// # Errors
/// When the database is away.
pub async fn touch(
    store: &Store,
    tenant: &Tenant,
    id: AgentId,
    stream: Uuid,
    delivered: Option<(Epoch, u64)>,
    backlog: Option<&Backlog>,
) -> Result<Standing, Error> {
    let mut update = doc! { "$currentDate": { "last_seen_at": true } };
    let mut set = Document::new();
    if let Some((epoch, next_seq)) = delivered {
        set.insert("delivery.epoch", epoch.to_string());
        set.insert("delivery.next_seq", next_seq.cast_signed());
    }
    if let Some(backlog) = backlog {
        set.insert("backlog", write_backlog(backlog));
    }
    if !set.is_empty() {
        update.insert("$set", set);
    }
    let after = store
        .collection::<Document>(COLLECTION)
        .find_one_and_update(by_id(tenant, id), update)
        .projection(doc! { "stream.id": 1, "revoked_at": 1 })
        .return_document(ReturnDocument::After)
        .await?;
    Ok(after.map_or(Standing::default(), |agent| Standing {
        allowed: !agent.contains_key("revoked_at"),
        // None is noted when the latest one has closed.
        latest: agent
            .get_document("stream")
            .and_then(|latest| latest.get_str("id"))
            .map_or(true, |latest| latest == stream.to_string()),
    }))
}

fn write_backlog(backlog: &Backlog) -> Document {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut document = doc! {
        "at": date(backlog.at),
        "events": number(backlog.events),
        "spool_bytes": number(backlog.spool_bytes),
        "spool_limit_bytes": number(backlog.spool_limit_bytes),
    };
    for (field, at) in [("oldest_at", backlog.oldest_at), ("wait_until", backlog.wait_until)] {
        if let Some(at) = at {
            document.insert(field, date(at));
        }
    }
    document
}

fn read_backlog(document: &Document) -> Option<Backlog> {
    let number = |field: &str| {
        document
            .get_i64(field)
            .map_or(0, |count| u64::try_from(count).unwrap_or(0))
    };
    let time = |field: &str| {
        let at = document.get_datetime(field).ok()?;
        Some(Timestamp::from_millis(at.timestamp_millis()))
    };
    Some(Backlog {
        at: time("at")?,
        events: number("events"),
        spool_bytes: number("spool_bytes"),
        spool_limit_bytes: number("spool_limit_bytes"),
        oldest_at: time("oldest_at"),
        wait_until: time("wait_until"),
    })
}

/// Endpoints that are not revoked and have events waiting, the largest spools first. `limit` is capped at 1,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn backlogs(store: &Store, tenant: &Tenant, limit: u32) -> Result<Vec<Agent>, Error> {
    let filter = doc! {
        "tenant": tenant.as_str(), "backlog.events": { "$gt": 0_i64 }, "revoked_at": { "$exists": false },
    };
    find(store, filter, "backlog.spool_bytes", limit.min(1000)).await
}

/// Forgets the endpoint's latest stream, if it still is `stream`.
///
/// # Errors
/// When the database is away.
pub async fn close_stream(store: &Store, tenant: &Tenant, id: AgentId, stream: Uuid) -> Result<(), Error> {
    let mut filter = by_id(tenant, id);
    filter.insert("stream.id", stream.to_string());
    store
        .collection::<Document>(COLLECTION)
        .update_one(filter, doc! { "$unset": { "stream": "" } })
        .await?;
    Ok(())
}

/// Notes that two live streams were seen under one endpoint's identity.
///
/// # Errors
/// When the database is away.
pub async fn flag_duplicate(store: &Store, tenant: &Tenant, id: AgentId) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .update_one(
            by_id(tenant, id),
            doc! { "$currentDate": { "duplicate_seen_at": true } },
        )
        .await?;
    Ok(())
}

/// Events an endpoint gave up for one reason in one epoch, in total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropTotal {
    /// Lower-case name without dots, such as `spool_full`.
    pub reason: &'static str,
    /// In which life of its spool.
    pub epoch: Epoch,
    /// How many so far.
    pub total: u64,
}

/// Records totals of given-up events; a repeated report changes nothing. Answers by how many events the total grew. False
/// epochs cannot fill the record: at most 64 are kept for each reason.
///
/// # Errors
/// When the database is away.
pub async fn record_drops(store: &Store, tenant: &Tenant, id: AgentId, drop: &DropTotal) -> Result<u64, Error> {
    let reason = format!("drops.{}", drop.reason);
    let field = format!("{reason}.{}", drop.epoch);
    let known = doc! { "$objectToArray": { "$ifNull": [format!("${reason}"), {}] } };
    let mut filter = by_id(tenant, id);
    filter.insert(
        "$or",
        vec![
            doc! { &field: { "$exists": true } },
            doc! { "$expr": { "$lt": [{ "$size": known }, MAX_EPOCHS] } },
        ],
    );
    let total = i64::try_from(drop.total).unwrap_or(i64::MAX);
    let before = store
        .collection::<Document>(COLLECTION)
        .find_one_and_update(filter, doc! { "$max": { &field: total } })
        .projection(doc! { &field: 1 })
        .return_document(ReturnDocument::Before)
        .await?;
    let Some(before) = before else { return Ok(0) };
    let known = before
        .get_document("drops")
        .and_then(|drops| drops.get_document(drop.reason))
        .and_then(|epochs| epochs.get_i64(drop.epoch.to_string()))
        .unwrap_or(0);
    Ok(u64::try_from(total.saturating_sub(known)).unwrap_or(0))
}

/// Events an endpoint gave up, by reason, over all its epochs.
fn dropped(document: &Document) -> BTreeMap<String, u64> {
    let Ok(reasons) = document.get_document("drops") else {
        return BTreeMap::new();
    };
    let total = |epochs: &Document| -> u64 {
        let totals = epochs.values().filter_map(bson::Bson::as_i64);
        totals.fold(0, |sum, total| sum.saturating_add(u64::try_from(total).unwrap_or(0)))
    };
    reasons
        .iter()
        .filter_map(|(reason, epochs)| Some((reason.clone(), total(epochs.as_document()?))))
        .collect()
}

fn from_document(document: &Document) -> Result<Agent, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map_err(|_| Error::invalid(format!("agents.{field}"), "text"))
    };
    let time = |field: &str| {
        document
            .get_datetime(field)
            .ok()
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
    };
    let host = |field: &str| {
        document
            .get_document("host")
            .and_then(|host| host.get_str(field))
            .unwrap_or_default()
            .to_owned()
    };
    Ok(Agent {
        id: text("_id")?
            .parse()
            .map_err(|error| Error::invalid("agents._id", format!("{error}")))?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("agents.tenant", format!("{error}")))?,
        group: text("group")?.to_owned(),
        host: HostInfo {
            hostname: host("hostname"),
            os_type: host("os_type"),
            os_name: host("os_name"),
            agent_version: host("agent_version"),
        },
        enrolled_at: time("enrolled_at").ok_or_else(|| Error::invalid("agents.enrolled_at", "a date"))?,
        last_seen_at: time("last_seen_at"),
        revoked_at: time("revoked_at"),
        duplicate_seen_at: time("duplicate_seen_at"),
        dropped: dropped(document),
        backlog: document.get_document("backlog").ok().and_then(read_backlog),
    })
}
