//! `enrolment_tokens`: what lets a new endpoint in. Only the hash of a token is stored.

use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use std::time::Duration;

use crate::{Error, Store};

const COLLECTION: &str = "enrolment_tokens";
/// How long an expired token is kept for people to look at.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let options = IndexOptions::builder().expire_after(KEPT).build();
    let index = IndexModel::builder()
        .keys(doc! { "expires_at": 1 })
        .options(options)
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

/// A token, known by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Hash of the token, lower-case hex.
    pub hash: String,
    /// Whose endpoints it lets in.
    pub tenant: Tenant,
    /// The group they become members of.
    pub group: String,
    /// How many endpoints may still enrol with it.
    pub uses_left: u32,
    /// Not valid from then on, by the database's clock.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
}

/// Stores a new token.
///
/// # Errors
/// When the database is away.
pub async fn insert(store: &Store, token: &Token) -> Result<(), Error> {
    let document = doc! {
        "_id": &token.hash,
        "tenant": token.tenant.as_str(),
        "group": &token.group,
        "uses_left": i64::from(token.uses_left),
        "expires_at": DateTime::from_millis(token.expires_at.as_millis()),
        "created_at": DateTime::from_millis(token.created_at.as_millis()),
        "created_by": &token.created_by,
    };
    store.collection::<Document>(COLLECTION).insert_one(document).await?;
    Ok(())
}

fn usable(hash: &str) -> Document {
    doc! { "_id": hash, "uses_left": { "$gt": 0 }, "$expr": { "$gt": ["$expires_at", "$$NOW"] } }
}

/// The token if an endpoint may enrol with it right now. Takes nothing from it.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn peek(store: &Store, hash: &str) -> Result<Option<Token>, Error> {
    let found = store.collection::<Document>(COLLECTION).find_one(usable(hash)).await?;
    found.as_ref().map(from_document).transpose()
}

/// Takes one use from a token. False when it is unknown, used up or expired; of several callers only as many are told
/// true as there were uses.
///
/// # Errors
/// When the database is away.
pub async fn redeem(store: &Store, hash: &str) -> Result<bool, Error> {
    let updated = store
        .collection::<Document>(COLLECTION)
        .update_one(usable(hash), doc! { "$inc": { "uses_left": -1_i64 } })
        .await?;
    Ok(updated.modified_count > 0)
}

/// Gives a use back that [`redeem`] took and that let nobody in.
///
/// # Errors
/// When the database is away.
pub async fn restore(store: &Store, hash: &str) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .update_one(doc! { "_id": hash }, doc! { "$inc": { "uses_left": 1_i64 } })
        .await?;
    Ok(())
}

/// Every token of a tenant, newest first; at most 1,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<Token>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "created_at": -1 })
        .limit(1000)
        .await?
        .try_collect()
        .await?;
    documents.iter().map(from_document).collect()
}

fn from_document(document: &Document) -> Result<Token, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("enrolment_tokens.{field}"), "text"))
    };
    let time = |field: &str| {
        document
            .get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| Error::invalid(format!("enrolment_tokens.{field}"), "a date"))
    };
    Ok(Token {
        hash: text("_id")?,
        tenant: text("tenant")?
            .parse()
            .map_err(|error| Error::invalid("enrolment_tokens.tenant", format!("{error}")))?,
        group: text("group")?,
        uses_left: document
            .get_i64("uses_left")
            .ok()
            .and_then(|uses| u32::try_from(uses).ok())
            .ok_or_else(|| Error::invalid("enrolment_tokens.uses_left", "a count"))?,
        expires_at: time("expires_at")?,
        created_at: time("created_at")?,
        created_by: text("created_by")?,
    })
}
