//! `parsers`, the log formats operators describe, and `parser_versions`, every text one has had. Written by collectors only.
//!
//! Versions outlive their parsers, and revisions are never given twice: a parser that is made again goes on counting.

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;

use crate::{Error, Store};

const COLLECTION: &str = "parsers";
const VERSIONS: &str = "parser_versions";
/// Most parsers of a tenant.
pub const MAX_PARSERS: usize = 256;
/// Most versions [`versions`] answers.
const MAX_LISTED: i64 = 1000;
/// How often a revision is chosen anew when somebody else took it.
const TRIES: usize = 5;

/// A parser, or one text it has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredParser {
    /// Whose.
    pub tenant: Tenant,
    /// What it calls itself, and `picket.log_type` its events.
    pub name: String,
    /// `event.dataset` of its events.
    pub dataset: String,
    /// TOML; empty in the version that says it was removed.
    pub text: String,
    /// From 1, one more with every change.
    pub revision: i64,
    /// Who put it in place.
    pub by: String,
    /// When, by the database's clock.
    pub at: Timestamp,
}

/// Which parser, in which revision: equal lists mean equal content.
pub type Stamp = (Tenant, String, i64);

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let index = |keys| IndexModel::builder().keys(keys).build();
    let parsers = store.collection::<Document>(COLLECTION);
    parsers.create_index(index(doc! { "tenant": 1, "name": 1 })).await?;
    let versions = store.collection::<Document>(VERSIONS);
    let keys = doc! { "tenant": 1, "name": 1, "revision": -1 };
    versions.create_index(index(keys)).await?;
    Ok(())
}

/// Puts a parser in place. Its version is on record before it is in use. Returns it as it is stored.
///
/// # Errors
/// When the database is away.
pub async fn put(
    store: &Store,
    tenant: &Tenant,
    name: &str,
    dataset: &str,
    text: &str,
    by: &str,
) -> Result<StoredParser, Error> {
    let mut parser = StoredParser {
        tenant: tenant.clone(),
        name: name.to_owned(),
        dataset: dataset.to_owned(),
        text: text.to_owned(),
        revision: 0,
        by: by.to_owned(),
        at: store.now().await?,
    };
    record(store, &mut parser).await?;
    let mut document = document(&parser);
    document.remove("_id");
    // Of two that are put at once, the later stays.
    let newer = doc! { "_id": key(tenant, name), "revision": { "$lt": parser.revision } };
    let parsers = store.collection::<Document>(COLLECTION);
    let put = parsers.update_one(newer, doc! { "$set": document }).upsert(true).await;
    match put.map_err(Error::from) {
        Ok(_) | Err(Error::Duplicate(_)) => Ok(parser),
        Err(error) => Err(error),
    }
}

/// Removes a parser; false when there is none. That it was removed, and by whom, is a version too.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, name: &str, by: &str) -> Result<bool, Error> {
    let Some(mut parser) = get(store, tenant, name).await? else {
        return Ok(false);
    };
    parser.text.clear();
    by.clone_into(&mut parser.by);
    parser.at = store.now().await?;
    record(store, &mut parser).await?;
    let older = doc! { "_id": key(tenant, name), "revision": { "$lt": parser.revision } };
    let deleted = store.collection::<Document>(COLLECTION).delete_one(older).await?;
    Ok(deleted.deleted_count > 0)
}

/// Notes a version under the next revision.
async fn record(store: &Store, parser: &mut StoredParser) -> Result<(), Error> {
    let versions = store.collection::<Document>(VERSIONS);
    for tried in 1.. {
        let last = versions
            .find_one(doc! { "tenant": parser.tenant.as_str(), "name": &parser.name })
            .sort(doc! { "revision": -1 })
            .projection(doc! { "revision": 1 })
            .await?;
        let last = last.and_then(|last| last.get_i64("revision").ok()).unwrap_or(0);
        parser.revision = last + 1;
        let mut version = document(parser);
        version.insert(
            "_id",
            format!("{}/{}", key(&parser.tenant, &parser.name), parser.revision),
        );
        match versions.insert_one(version).await.map_err(Error::from) {
            Err(Error::Duplicate(_)) if tried < TRIES => {}
            result => return result.map(|_| ()),
        }
    }
    Ok(())
}

/// One parser.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, name: &str) -> Result<Option<StoredParser>, Error> {
    let parsers = store.collection::<Document>(COLLECTION);
    let found = parsers.find_one(doc! { "_id": key(tenant, name) }).await?;
    found.as_ref().map(|found| read(COLLECTION, found)).transpose()
}

/// A tenant's parsers by name.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<StoredParser>, Error> {
    find(store, doc! { "tenant": tenant.as_str() }).await
}

/// The parsers of all tenants, by tenant and name.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn all(store: &Store) -> Result<Vec<StoredParser>, Error> {
    find(store, doc! {}).await
}

/// What [`all`] would answer, without the texts.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn stamps(store: &Store) -> Result<Vec<Stamp>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! {})
        .projection(doc! { "tenant": 1, "name": 1, "revision": 1 })
        .sort(doc! { "_id": 1 })
        .await?
        .try_collect()
        .await?;
    documents.iter().map(stamp).collect()
}

/// How many a tenant has.
///
/// # Errors
/// When the database is away.
pub async fn count(store: &Store, tenant: &Tenant) -> Result<usize, Error> {
    let parsers = store.collection::<Document>(COLLECTION);
    let count = parsers.count_documents(doc! { "tenant": tenant.as_str() }).await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Every text a parser has had, the newest first; at most 1,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn versions(store: &Store, tenant: &Tenant, name: &str) -> Result<Vec<StoredParser>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(VERSIONS)
        .find(doc! { "tenant": tenant.as_str(), "name": name })
        .sort(doc! { "revision": -1 })
        .limit(MAX_LISTED)
        .await?
        .try_collect()
        .await?;
    documents.iter().map(|found| read(VERSIONS, found)).collect()
}

async fn find(store: &Store, filter: Document) -> Result<Vec<StoredParser>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(filter)
        .sort(doc! { "_id": 1 })
        .await?
        .try_collect()
        .await?;
    documents.iter().map(|found| read(COLLECTION, found)).collect()
}

fn key(tenant: &Tenant, name: &str) -> String {
    format!("{tenant}/{name}")
}

fn document(parser: &StoredParser) -> Document {
    doc! {
        "_id": key(&parser.tenant, &parser.name),
        "tenant": parser.tenant.as_str(),
        "name": &parser.name,
        "dataset": &parser.dataset,
        "text": &parser.text,
        "revision": parser.revision,
        "by": &parser.by,
        "at": DateTime::from_millis(parser.at.as_millis()),
    }
}

fn stamp(document: &Document) -> Result<Stamp, Error> {
    let invalid = |field: &str, expected: &str| Error::invalid(format!("{COLLECTION}.{field}"), expected);
    let text = |field: &str| document.get_str(field).map_err(|_| invalid(field, "text"));
    let tenant = text("tenant")?
        .parse()
        .map_err(|error| invalid("tenant", &format!("{error}")))?;
    let revision = document
        .get_i64("revision")
        .map_err(|_| invalid("revision", "a whole number"))?;
    Ok((tenant, text("name")?.to_owned(), revision))
}

fn read(collection: &str, document: &Document) -> Result<StoredParser, Error> {
    let (tenant, name, revision) = stamp(document)?;
    let invalid = |field: &str, expected: &str| Error::invalid(format!("{collection}.{field}"), expected);
    let text = |field: &str| {
        let found = document.get_str(field).map(str::to_owned);
        found.map_err(|_| invalid(field, "text"))
    };
    let at = document.get_datetime("at").map_err(|_| invalid("at", "a date"))?;
    Ok(StoredParser {
        tenant,
        name,
        dataset: text("dataset")?,
        text: text("text")?,
        revision,
        by: text("by")?,
        at: Timestamp::from_millis(at.timestamp_millis()),
    })
}
