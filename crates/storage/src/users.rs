//! `users`: people who sign in. Written by gateways.

use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use model::{AccessRole, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use crate::{Error, Store};

const COLLECTION: &str = "users";

/// A person who signs in with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Whose it is.
    pub tenant: Tenant,
    /// Unique in the tenant.
    pub name: String,
    /// What they may do.
    pub role: AccessRole,
    /// PHC string of the password's argon2id hash.
    pub password_hash: String,
    /// New with every change of password or role; tokens that carry another one are void.
    pub generation: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When password or role last changed.
    pub updated_at: Timestamp,
}

impl User {
    fn to_document(&self) -> Document {
        doc! {
            "tenant": self.tenant.as_str(),
            "name": &self.name,
            "role": self.role.as_str(),
            "password_hash": &self.password_hash,
            "generation": &self.generation,
            "created_at": bson::DateTime::from_millis(self.created_at.as_millis()),
            "updated_at": bson::DateTime::from_millis(self.updated_at.as_millis()),
        }
    }

    fn from_document(document: &Document) -> Result<Self, Error> {
        let text = |field: &str| {
            document
                .get_str(field)
                .map_err(|_| Error::invalid(format!("users.{field}"), "text"))
        };
        let time = |field: &str| {
            document
                .get_datetime(field)
                .map(|at| Timestamp::from_millis(at.timestamp_millis()))
                .map_err(|_| Error::invalid(format!("users.{field}"), "a date"))
        };
        Ok(Self {
            tenant: text("tenant")?
                .parse()
                .map_err(|error| Error::invalid("users.tenant", format!("{error}")))?,
            name: text("name")?.to_owned(),
            role: text("role")?
                .parse()
                .map_err(|error| Error::invalid("users.role", format!("{error}")))?,
            password_hash: text("password_hash")?.to_owned(),
            generation: text("generation")?.to_owned(),
            created_at: time("created_at")?,
            updated_at: time("updated_at")?,
        })
    }
}

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let unique = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder()
        .keys(doc! { "tenant": 1, "name": 1 })
        .options(unique)
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

fn key(tenant: &Tenant, name: &str) -> Document {
    doc! { "tenant": tenant.as_str(), "name": name }
}

/// The user of that name.
///
/// # Errors
/// When the database is away or the record is not readable.
pub async fn get(store: &Store, tenant: &Tenant, name: &str) -> Result<Option<User>, Error> {
    let found = store
        .collection::<Document>(COLLECTION)
        .find_one(key(tenant, name))
        .await?;
    found.as_ref().map(User::from_document).transpose()
}

/// Adds a user.
///
/// # Errors
/// [`Error::Duplicate`] when the name is taken; else when the database is away.
pub async fn insert(store: &Store, user: &User) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .insert_one(user.to_document())
        .await?;
    Ok(())
}

/// Replaces password hash and role, under a new generation. Returns false when there is no such user.
///
/// # Errors
/// When the database is away.
pub async fn replace(store: &Store, user: &User) -> Result<bool, Error> {
    let changes = doc! { "$set": {
        "role": user.role.as_str(),
        "password_hash": &user.password_hash,
        "generation": &user.generation,
        "updated_at": bson::DateTime::from_millis(user.updated_at.as_millis()),
    } };
    let result = store
        .collection::<Document>(COLLECTION)
        .update_one(key(&user.tenant, &user.name), changes)
        .await?;
    Ok(result.matched_count > 0)
}

/// Every user of a tenant, by name; at most 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, tenant: &Tenant) -> Result<Vec<User>, Error> {
    let mut cursor = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str() })
        .sort(doc! { "name": 1 })
        .limit(10_000)
        .await?;
    let mut users = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        users.push(User::from_document(&document)?);
    }
    Ok(users)
}

/// How many users of a tenant have the role.
///
/// # Errors
/// When the database is away.
pub async fn count(store: &Store, tenant: &Tenant, role: AccessRole) -> Result<u64, Error> {
    let filter = doc! { "tenant": tenant.as_str(), "role": role.as_str() };
    Ok(store.collection::<Document>(COLLECTION).count_documents(filter).await?)
}

/// Removes a user. Returns false when there was none.
///
/// # Errors
/// When the database is away.
pub async fn delete(store: &Store, tenant: &Tenant, name: &str) -> Result<bool, Error> {
    let result = store
        .collection::<Document>(COLLECTION)
        .delete_one(key(tenant, name))
        .await?;
    Ok(result.deleted_count > 0)
}
