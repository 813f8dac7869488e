//! `api_keys`: how programs sign in. Written by gateways. Only a hash of each key is stored: the keys are 256 random
//! bits, so a fast hash is enough.

use bson::spec::BinarySubtype;
use bson::{Binary, Document, doc};
use futures_util::TryStreamExt as _;
use model::{AccessRole, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use crate::{Error, Store};

const COLLECTION: &str = "api_keys";
/// `last_used_at` is written at most this often for each key.
const TOUCH_EVERY_MILLIS: i64 = 60_000;

/// BLAKE3 of the key's text.
pub type KeyHash = [u8; 32];

/// A key without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// A UUID; stays the same when the key's text is replaced.
    pub id: String,
    /// Whose it is.
    pub tenant: Tenant,
    /// Unique in the tenant.
    pub name: String,
    /// What its holder may do.
    pub role: AccessRole,
    /// Of the whole text.
    pub hash: KeyHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working; never when absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// Hash under which a key is stored and looked up.
#[must_use]
pub fn hash(text: &str) -> KeyHash {
    *blake3::hash(text.as_bytes()).as_bytes()
}

fn binary(hash: &KeyHash) -> Binary {
    Binary {
        subtype: BinarySubtype::Generic,
        bytes: hash.to_vec(),
    }
}

fn date(time: Timestamp) -> bson::DateTime {
    bson::DateTime::from_millis(time.as_millis())
}

impl ApiKey {
    fn to_document(&self) -> Document {
        let mut document = doc! {
            "_id": &self.id,
            "tenant": self.tenant.as_str(),
            "name": &self.name,
            "role": self.role.as_str(),
            "hash": binary(&self.hash),
            "created_at": date(self.created_at),
        };
        if let Some(at) = self.expires_at {
            document.insert("expires_at", date(at));
        }
        if let Some(at) = self.last_used_at {
            document.insert("last_used_at", date(at));
        }
        document
    }

    fn from_document(document: &Document) -> Result<Self, Error> {
        let text = |field: &str| {
            document
                .get_str(field)
                .map_err(|_| Error::invalid(format!("api_keys.{field}"), "text"))
        };
        let time = |field: &str| {
            document
                .get_datetime(field)
                .ok()
                .map(|at| Timestamp::from_millis(at.timestamp_millis()))
        };
        Ok(Self {
            id: text("_id")?.to_owned(),
            tenant: text("tenant")?
                .parse()
                .map_err(|error| Error::invalid("api_keys.tenant", format!("{error}")))?,
            name: text("name")?.to_owned(),
            role: text("role")?
                .parse()
                .map_err(|error| Error::invalid("api_keys.role", format!("{error}")))?,
            hash: document
                .get_binary_generic("hash")
                .ok()
                .and_then(|bytes| KeyHash::try_from(bytes.as_slice()).ok())
                .ok_or_else(|| Error::invalid("api_keys.hash", "32 bytes"))?,
            created_at: time("created_at").ok_or_else(|| Error::invalid("api_keys.created_at", "a date"))?,
            expires_at: time("expires_at"),
            last_used_at: time("last_used_at"),
        })
    }
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let unique = |keys| {
        IndexModel::builder()
            .keys(keys)
            .options(IndexOptions::builder().unique(true).build())
            .build()
    };
    store
        .collection::<Document>(COLLECTION)
        .create_indexes([unique(doc! { "hash": 1 }), unique(doc! { "tenant": 1, "name": 1 })])
        .await?;
    Ok(())
}

/// The key with that hash, of whichever tenant: the key is what tells the tenant.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn find(store: &Store, hash: &KeyHash) -> Result<Option<ApiKey>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "hash": binary(hash) })
        .await?;
    found.as_ref().map(ApiKey::from_document).transpose()
}

/// The key of that name.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, name: &str) -> Result<Option<ApiKey>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(doc! { "tenant": tenant.as_str(), "name": name })
        .await?;
    found.as_ref().map(ApiKey::from_document).transpose()
}

/// Adds a key.
///
/// # Errors
/// [`Error::Duplicate`] when the name is taken; else when the database is away.
pub async fn insert(store: &Store, key: &ApiKey) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .insert_one(key.to_document())
        .await?;
    Ok(())
}

/// Gives the key of that id another text. Returns false when there is no such key.
///
/// # Errors
/// When the database is away.
pub async fn replace_hash(store: &Store, tenant: &Tenant, id: &str, hash: &KeyHash) -> Result<bool, Error> {
    let result = store
        .collection::<Document>(COLLECTION)
        .update_one(
            doc! { "_id": id, "tenant": tenant.as_str() },
            doc! { "$set": { "hash": binary(hash) } },
        )
        .await?;
    Ok(result.matched_count > 0)
}

/// Notes that the key was used, unless that was noted within the last minute.
///
/// # Errors
/// When the database is away.
pub async fn touch(store: &Store, key: &ApiKey, now: Timestamp) -> Result<(), Error> {
    let stale = bson::DateTime::from_millis(now.as_millis().saturating_sub(TOUCH_EVERY_MILLIS));
    let filter = doc! {
        "_id": &key.id,
        "tenant": key.tenant.as_str(),
        "$or": [{ "last_used_at": { "$exists": false } }, { "last_used_at": { "$lt": stale } }],
    };
    store
        .collection::<Document>(COLLECTION)
        .update_one(filter, doc! { "$set": { "last_used_at": date(now) } })
        .await?;
    Ok(())
}

/// Every key of a tenant, by name; at most 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<ApiKey>, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "name": 1 })
        .limit(10_000)
        .await?;
    let mut keys = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        keys.push(ApiKey::from_document(&document)?);
    }
    Ok(keys)
}

/// Removes a key and returns what it was; `None` when there was none.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<ApiKey>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one_and_delete(doc! { "_id": id, "tenant": tenant.as_str() })
        .await?;
    found.as_ref().map(ApiKey::from_document).transpose()
}
