//! `nodes`: which processes of the cluster are alive. Each node writes its own record and nobody else's.
//!
//! Heartbeats and the question who is alive both use the database's clock, so the clocks of the nodes do not matter.
//! Nodes serve every tenant, so these records carry none.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::node::{Load, Node, Role};
use model::{NodeId, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{Error, Store};

const COLLECTION: &str = "nodes";
/// Time between two heartbeats: three may be lost before a node counts as gone.
const BEAT: Duration = Duration::from_secs(1);

pub(crate) async fn ensure_indexes(_store: &Store) -> Result<(), Error> {
    // A handful of records, found by `_id` or read as a whole.
    Ok(())
}

/// Registers a node and keeps it registered until `shutdown`, then removes it, so that others take its work over at
/// once. While the database is away it keeps trying; it logs when that begins and when it ends.
pub async fn register_and_beat(store: Store, node: Node, shutdown: CancellationToken) {
    let mut interval = tokio::time::interval(BEAT);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = interval.tick() => {}
        }
        let beaten = tokio::select! {
            () = shutdown.cancelled() => break,
            beaten = beat(&store, &node) => beaten,
        };
        match beaten {
            Ok(()) if failing => {
                tracing::info!(node.id = %node.id, "heartbeat works again");
                failing = false;
            }
            Err(error) if !failing => {
                tracing::warn!(node.id = %node.id, error = &error as &dyn std::error::Error, "heartbeat failed, others may take this node's work over");
                failing = true;
            }
            Ok(()) | Err(_) => {}
        }
    }
    let removed = tokio::time::timeout(BEAT, remove(&store, &node)).await;
    if !matches!(removed, Ok(Ok(()))) {
        tracing::info!(node.id = %node.id, "could not deregister, others will notice within seconds");
    }
}

/// Writes one heartbeat, registering the node if it is not there. A process that starts under the same role and name
/// replaces the record of the one before it.
///
/// # Errors
/// When the database is away.
pub async fn beat(store: &Store, node: &Node) -> Result<(), Error> {
    let update = doc! {
        "$set": {
            "name": node.id.as_str(),
            "role": node.role.as_str(),
            "addr": &node.addr,
            "version": &node.version,
            "started_at": DateTime::from_millis(node.started_at.as_millis()),
        },
        "$currentDate": { "heartbeat_at": true },
    };
    let beaten = store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": key(node.role, &node.id) }, update)
        .upsert(true)
        .await
        .map_err(Error::from);
    match beaten {
        // Two first heartbeats under one name at the same moment: the next one settles it.
        Ok(_) | Err(Error::Duplicate(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Notes that a registered node uses everything that changed in the detection content before `at`, by the database's clock.
///
/// # Errors
/// When the database is away.
pub async fn note_rules(store: &Store, role: Role, id: &NodeId, at: Timestamp) -> Result<(), Error> {
    let update = doc! { "$set": { "rules_at": DateTime::from_millis(at.as_millis()) } };
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": key(role, id) }, update)
        .await?;
    Ok(())
}

/// Notes what a registered collector holds.
///
/// # Errors
/// When the database is away.
pub async fn note_load(store: &Store, id: &NodeId, load: &Load) -> Result<(), Error> {
    let update = doc! { "$set": { "load": bson::serialize_to_document(load)? } };
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": key(Role::Collector, id) }, update)
        .await?;
    Ok(())
}

/// What each registered collector holds, by name, as it last said.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn loads(store: &Store) -> Result<Vec<(NodeId, Load)>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "role": Role::Collector.as_str(), "load": { "$exists": true } })
        .sort(doc! { "_id": 1 })
        .await?
        .try_collect()
        .await?;
    documents
        .iter()
        .map(|document| {
            let load = document
                .get_document("load")
                .map_err(|_| Error::invalid("nodes.load", "a record"))?;
            Ok((
                from_document(document)?.id,
                bson::deserialize_from_document(load.clone())?,
            ))
        })
        .collect()
}

/// Removes the record of this very process; one that a successor of the same name has written stays.
///
/// # Errors
/// When the database is away.
pub async fn remove(store: &Store, node: &Node) -> Result<(), Error> {
    let filter = doc! {
        "_id": key(node.role, &node.id),
        "started_at": DateTime::from_millis(node.started_at.as_millis()),
    };
    store.collection::<Document>(COLLECTION).delete_one(filter).await?;
    Ok(())
}

/// Nodes with a recent heartbeat (see [`Node::DEAD_AFTER_SECS`]), by name; only those of `role` if one is given.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn live(store: &Store, role: Option<Role>) -> Result<Vec<Node>, Error> {
    let oldest = doc! { "$subtract": ["$$NOW", Node::DEAD_AFTER_SECS * 1000] };
    let mut filter = doc! { "$expr": { "$gte": ["$heartbeat_at", oldest] } };
    if let Some(role) = role {
        filter.insert("role", role.as_str());
    }
    find(store, filter).await
}

/// Every node that is registered, alive or not, by name.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn all(store: &Store) -> Result<Vec<Node>, Error> {
    find(store, doc! {}).await
}

async fn find(store: &Store, filter: Document) -> Result<Vec<Node>, Error> {
    let cursor = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .await?;
    let documents: Vec<Document> = cursor.try_collect().await?;
    documents.iter().map(from_document).collect()
}

fn key(role: Role, id: &NodeId) -> String {
    format!("{role}/{id}")
}

fn from_document(document: &Document) -> Result<Node, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map_err(|_| Error::invalid(format!("nodes.{field}"), "text"))
    };
    let time = |field: &str| {
        document
            .get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid(format!("nodes.{field}"), "a date"))
    };
    Ok(Node {
        id: text("name")?
            .parse()
            .map_err(|error| Error::invalid("nodes.name", format!("{error}")))?,
        role: text("role")?
            .parse()
            .map_err(|error| Error::invalid("nodes.role", error))?,
        addr: text("addr")?.to_owned(),
        version: text("version")?.to_owned(),
        started_at: time("started_at")?,
        heartbeat_at: time("heartbeat_at")?,
        rules_at: time("rules_at").ok(),
    })
}
