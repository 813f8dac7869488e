//! Which detectors have the file of a rule.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::{NodeId, Tenant};

use super::{COLLECTION, key};
use crate::{Error, Store};

/// Notes that `node` has the files of these rules. Changes nothing else of them.
///
/// # Errors
/// When the database is away.
pub async fn claim(store: &Store, tenant: &Tenant, node: &NodeId, ids: &[&str]) -> Result<(), Error> {
    let filter = doc! { "tenant": tenant.as_str(), "id": { "$in": ids }, "nodes": { "$ne": node.as_str() } };
    store
        .collection::<Document>(COLLECTION)
        .update_many(filter, doc! { "$addToSet": { "nodes": node.as_str() } })
        .await?;
    Ok(())
}

/// Notes that `node` has no file of a rule, and disables the rule unless one of `others` has. False when it stays as it
/// was: somebody has the file, it was disabled already, or it is not there.
///
/// # Errors
/// When the database is away.
pub async fn vanish(store: &Store, tenant: &Tenant, id: &str, node: &NodeId, others: &[NodeId]) -> Result<bool, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let id = key(tenant, id);
    // First, and apart: of several nodes that lose the file at once, the last one sees that nobody has it.
    collection
        .update_one(doc! { "_id": &id }, doc! { "$pull": { "nodes": node.as_str() } })
        .await?;
    let others: Vec<&str> = others
        .iter()
        .filter(|other| *other != node)
        .map(NodeId::as_str)
        .collect();
    let filter = doc! { "_id": &id, "origin": "dir", "enabled": true, "nodes": { "$nin": others } };
    let update = vec![doc! { "$set": { "enabled": false, "vanished": true, "updated_at": "$$NOW" } }];
    let updated = collection.update_one(filter, update).await?;
    Ok(updated.modified_count > 0)
}

/// Ids of the rules of a tenant that are disabled because nobody had their file.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn vanished(store: &Store, tenant: &Tenant) -> Result<Vec<String>, Error> {
    let filter = doc! { "enabled": false, "vanished": true, "tenant": tenant.as_str() };
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .projection(doc! { "id": 1 })
        .await?
        .try_collect()
        .await?;
    let id = |document: &Document| document.get_str("id").map(str::to_owned);
    documents
        .iter()
        .map(|document| id(document).map_err(|_| Error::invalid("rules.id", "text")))
        .collect()
}
