//! `rule_versions`: every revision a rule has had, one record per `(tenant, id, revision)`. Written by detectors only.
//!
//! Records outlive their rules. A revision that is put in place again keeps its record, with the new time and person.

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::rule::{RuleVersion, StoredRule};
use model::{Tenant, Timestamp};
use mongodb::IndexModel;

use crate::bulk::{self, Update};
use crate::{Error, Store};

const COLLECTION: &str = "rule_versions";
/// Most revisions one [`list`] answers.
const MAX_LISTED: i64 = 1000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let index = IndexModel::builder()
        .keys(doc! { "tenant": 1, "id": 1, "at": -1 })
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

/// Notes the revisions of rules that are about to be put in place by `rule.updated_by`. To be called before they are:
/// no revision is ever in use that has no record.
///
/// # Errors
/// When the database is away; some may be noted then.
pub async fn record(store: &Store, rules: &[StoredRule]) -> Result<(), Error> {
    let updates = rules.iter().map(|rule| {
        let text = |text: &str| doc! { "$literal": text };
        let set = doc! { "$set": {
            "tenant": text(rule.tenant.as_str()),
            "id": text(&rule.id),
            "revision": text(&rule.revision),
            "yaml": text(&rule.yaml),
            "at": "$$NOW",
            "by": text(&rule.updated_by),
        } };
        Update {
            filter: doc! { "_id": format!("{}/{}/{}", rule.tenant, rule.id, rule.revision) },
            update: Bson::Array(vec![set.into()]),
            upsert: true,
        }
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

/// The revisions of a rule, the one put in place last first; at most 1,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant, id: &str) -> Result<Vec<RuleVersion>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str(), "id": id })
        .sort(doc! { "at": -1, "_id": 1 })
        .limit(MAX_LISTED)
        .await?
        .try_collect()
        .await?;
    documents.iter().map(read).collect()
}

/// One revision of a rule.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, id: &str, revision: &str) -> Result<Option<RuleVersion>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "_id": format!("{tenant}/{id}/{revision}") })
        .await?;
    found.as_ref().map(read).transpose()
}

fn read(document: &Document) -> Result<RuleVersion, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("rule_versions.{field}"), "text"))
    };
    Ok(RuleVersion {
        id: text("id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("rule_versions.tenant", format!("{error}")))?,
        revision: text("revision")?,
        yaml: text("yaml")?,
        at: document
            .get_datetime("at")
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid("rule_versions.at", "a date"))?,
        by: text("by")?,
    })
}
