//! Changing stored rules.

use bson::{Bson, Document, doc};
use model::Tenant;
use model::rule::{RuleOrigin, RuleProblem, StoredRule};

use super::{COLLECTION, key};
use crate::bulk::{self, Update, Updated};
use crate::{Error, Store};

/// What [`put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The rule was not known.
    Added,
    /// It has another text or path, or its file came back.
    Changed,
    /// It was there as it is, or it belongs to who may change it another way.
    Unchanged,
}

/// Stores a rule, unless it is there already as it is; see [`put_all`].
///
/// # Errors
/// When the database is away.
pub async fn put(store: &Store, rule: &StoredRule) -> Result<Put, Error> {
    let put = put_all(store, std::slice::from_ref(rule)).await?;
    Ok(put.first().copied().unwrap_or(Put::Unchanged))
}

/// Stores rules that are not there already as they are, each by itself, and says of each what became of it.
///
/// `enabled`, `note`, `error` and `updated_at` are not looked at: a new rule is enabled, one that is there stays as it
/// is, and the time is the database's. A rule of the other origin is left alone, unless it has vanished. Several nodes
/// may put the same rules at once.
///
/// # Errors
/// When the database is away; some may be stored then, and the same call again completes it.
pub async fn put_all(store: &Store, rules: &[StoredRule]) -> Result<Vec<Put>, Error> {
    let updated = bulk::update(store, COLLECTION, rules.iter().map(update).collect()).await?;
    Ok(updated
        .into_iter()
        .map(|updated| match updated {
            Updated::Inserted => Put::Added,
            Updated::Done => Put::Changed,
            // The record exists and the filter did not find it, so nothing differs.
            Updated::Duplicate => Put::Unchanged,
        })
        .collect())
}

fn update(rule: &StoredRule) -> Update {
    let gone = doc! { "origin": RuleOrigin::Dir.as_str(), "vanished": true };
    let filter = doc! {
        "_id": key(&rule.tenant, &rule.id),
        "$and": [
            { "$or": [{ "origin": rule.origin.as_str() }, gone] },
            { "$or": [
                { "revision": { "$ne": &rule.revision } },
                { "path": { "$ne": &rule.path } },
                { "kind": { "$ne": rule.kind.as_str() } },
                { "vanished": true },
            ] },
        ],
    };
    // In a pipeline a text that starts with a dollar sign would be an expression.
    let text = |text: &str| doc! { "$literal": text };
    let set = doc! { "$set": {
        "tenant": text(rule.tenant.as_str()),
        "id": text(&rule.id),
        "kind": rule.kind.as_str(),
        "title": text(&rule.title),
        "yaml": text(&rule.yaml),
        "revision": text(&rule.revision),
        "path": text(&rule.path),
        "origin": rule.origin.as_str(),
        "level": rule.level.map_or(Bson::Null, |level| level.as_str().into()),
        "tags": { "$literal": &rule.tags },
        "logsource": text(&rule.logsource),
        "enabled": { "$or": [{ "$ifNull": ["$enabled", true] }, { "$ifNull": ["$vanished", false] }] },
        "vanished": false,
        "error": Bson::Null,
        "updated_at": "$$NOW",
        "updated_by": text(&rule.updated_by),
    } };
    Update {
        filter,
        update: Bson::Array(vec![set.into()]),
        upsert: true,
    }
}

/// What became of a change to one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// It is different from before.
    Changed,
    /// It was like that already.
    Unchanged,
    /// There is no such rule.
    Unknown,
    /// It comes from a rules directory and is changed there.
    FromDirectory,
}

/// Enables or disables a rule, whatever its origin. A rule without a file cannot be enabled: it counts as from a
/// directory.
///
/// # Errors
/// When the database is away.
pub async fn set_enabled(
    store: &Store,
    tenant: &Tenant,
    id: &str,
    enabled: bool,
    by: &str,
    note: &str,
) -> Result<Edited, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let key = key(tenant, id);
    let mut filter = doc! { "_id": &key, "enabled": !enabled };
    if enabled {
        filter.insert("vanished", doc! { "$ne": true });
    }
    let set = doc! { "$set": {
        "enabled": enabled,
        "error": Bson::Null,
        "note": { "$literal": note },
        "updated_at": "$$NOW",
        "updated_by": { "$literal": by },
    } };
    let updated = collection.update_one(filter, vec![set]).await?;
    if updated.matched_count > 0 {
        return Ok(Edited::Changed);
    }
    Ok(match collection.find_one(doc! { "_id": key }).await? {
        None => Edited::Unknown,
        Some(found) if enabled && found.get_bool("vanished").unwrap_or(false) => Edited::FromDirectory,
        Some(_) => Edited::Unchanged,
    })
}

/// Deletes a rule that was imported. One from a directory can be deleted when its file is gone.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, id: &str) -> Result<Edited, Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let key = key(tenant, id);
    let ours = [doc! { "origin": RuleOrigin::Api.as_str() }, doc! { "vanished": true }];
    let deleted = collection.delete_one(doc! { "_id": &key, "$or": ours }).await?;
    if deleted.deleted_count > 0 {
        return Ok(Edited::Changed);
    }
    Ok(match collection.find_one(doc! { "_id": key }).await? {
        None => Edited::Unknown,
        Some(_) => Edited::FromDirectory,
    })
}

/// Notes why enabled rules are not in use, or that they are (`None`), provided they still have the revision that was
/// looked at. Is no change of the rules: `updated_at` stays.
///
/// # Errors
/// When the database is away.
pub async fn set_problems(store: &Store, problems: &[(&StoredRule, Option<RuleProblem>)]) -> Result<(), Error> {
    let updates = problems.iter().map(|(rule, problem)| Update {
        filter: doc! { "_id": key(&rule.tenant, &rule.id), "revision": &rule.revision },
        update: Bson::Document(doc! { "$set": { "error": problem.as_ref().map(to_document) } }),
        upsert: false,
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

fn to_document(problem: &RuleProblem) -> Document {
    let mut document = doc! { "field": &problem.field, "reason": &problem.reason };
    if let Some(line) = problem.line.and_then(|line| i32::try_from(line).ok()) {
        document.insert("line", line);
    }
    document
}
