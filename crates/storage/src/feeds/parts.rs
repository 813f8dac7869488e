//! `feed_parts`: what of a feed of many files was taken over.

use std::collections::HashMap;

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::Tenant;

use super::PARTS;
use crate::{Error, Store};

fn filter(tenant: &Tenant, feed: &str) -> Document {
    doc! { "tenant": tenant.as_str(), "feed": feed }
}

/// The parts of a feed that were taken over, and in which version.
///
/// # Errors
/// When the database is away.
pub async fn parts(store: &Store, tenant: &Tenant, feed: &str) -> Result<HashMap<String, i64>, Error> {
    let mut cursor = store
        .collection::<Document>(PARTS)
        .find(filter(tenant, feed))
        .projection(doc! { "_id": 0, "part": 1, "version": 1 })
        .await?;
    let mut parts = HashMap::new();
    while let Some(found) = cursor.try_next().await? {
        if let (Ok(part), Ok(version)) = (found.get_str("part"), found.get_i64("version")) {
            parts.insert(part.to_owned(), version);
        }
    }
    Ok(parts)
}

/// Notes that a part was taken over.
///
/// # Errors
/// When the database is away.
pub async fn put_part(store: &Store, tenant: &Tenant, feed: &str, part: &str, version: i64) -> Result<(), Error> {
    let mut filter = filter(tenant, feed);
    filter.insert("part", part);
    store
        .collection::<Document>(PARTS)
        .update_one(filter, doc! { "$set": { "version": version } })
        .upsert(true)
        .await?;
    Ok(())
}

/// Notes that a part is gone.
///
/// # Errors
/// When the database is away.
pub async fn delete_part(store: &Store, tenant: &Tenant, feed: &str, part: &str) -> Result<(), Error> {
    let mut filter = filter(tenant, feed);
    filter.insert("part", part);
    store.collection::<Document>(PARTS).delete_one(filter).await?;
    Ok(())
}

pub(super) async fn forget(store: &Store, tenant: &Tenant, feed: &str) -> Result<(), Error> {
    store
        .collection::<Document>(PARTS)
        .delete_many(filter(tenant, feed))
        .await?;
    Ok(())
}
