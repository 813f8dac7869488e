//! What exceptions and suppressions have in common: records of a tenant under an id of their own, few enough to be read as
//! a whole, and looked at by time of change.

use bson::{Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::IndexModel;

use crate::{Error, Store};

/// A kind of record.
pub(crate) trait Record: Sized {
    const COLLECTION: &'static str;

    /// From its document.
    fn read(fields: &Fields<'_>) -> Result<Self, Error>;
}

/// Fields of a document; what is wrong with one names it.
pub(crate) struct Fields<'a> {
    collection: &'static str,
    pub(crate) document: &'a Document,
}

impl Fields<'_> {
    /// That a field is none of what was expected.
    pub(crate) fn invalid(&self, field: &str, expected: impl Into<String>) -> Error {
        Error::invalid(format!("{}.{field}", self.collection), expected)
    }

    pub(crate) fn text(&self, field: &str) -> Result<String, Error> {
        let found = self.document.get_str(field).map(str::to_owned);
        found.map_err(|_| self.invalid(field, "text"))
    }

    pub(crate) fn time(&self, field: &str) -> Result<Timestamp, Error> {
        let found = self.document.get_datetime(field);
        let time = found.map(|at| Timestamp::from_millis(at.timestamp_millis()));
        time.map_err(|_| self.invalid(field, "a date"))
    }

    pub(crate) fn tenant(&self) -> Result<Tenant, Error> {
        let tenant = self.text("tenant")?;
        tenant
            .parse()
            .map_err(|error| self.invalid("tenant", format!("{error}")))
    }
}

pub(crate) async fn ensure_indexes<R: Record>(store: &Store) -> Result<(), Error> {
    let keys = [doc! { "updated_at": -1 }, doc! { "tenant": 1, "rule_id": 1 }];
    store
        .collection::<Document>(R::COLLECTION)
        .create_indexes(keys.map(|keys| IndexModel::builder().keys(keys).build()))
        .await?;
    Ok(())
}

/// Sets fields of a record, and that it changed now. Texts must be literals, as this is a pipeline.
pub(crate) async fn put<R: Record>(store: &Store, tenant: &Tenant, id: &str, mut set: Document) -> Result<(), Error> {
    set.insert("updated_at", "$$NOW");
    store
        .collection::<Document>(R::COLLECTION)
        .update_one(doc! { "_id": key(tenant, id) }, vec![doc! { "$set": set }])
        .upsert(true)
        .await?;
    Ok(())
}

/// False when there was none.
pub(crate) async fn delete<R: Record>(store: &Store, tenant: &Tenant, id: &str) -> Result<bool, Error> {
    let collection = store.collection::<Document>(R::COLLECTION);
    let deleted = collection.delete_one(doc! { "_id": key(tenant, id) }).await?;
    Ok(deleted.deleted_count > 0)
}

pub(crate) async fn get<R: Record>(store: &Store, tenant: &Tenant, id: &str) -> Result<Option<R>, Error> {
    let collection = store.collection::<Document>(R::COLLECTION);
    let found = collection.find_one(doc! { "_id": key(tenant, id) }).await?;
    found.as_ref().map(read).transpose()
}

/// Those a filter is for, by tenant and id.
pub(crate) async fn find<R: Record>(store: &Store, filter: Document, limit: Option<i64>) -> Result<Vec<R>, Error> {
    let collection = store.collection::<Document>(R::COLLECTION);
    let mut find = collection.find(filter).sort(doc! { "_id": 1 });
    if let Some(limit) = limit {
        find = find.limit(limit);
    }
    let documents: Vec<Document> = find.await?.try_collect().await?;
    documents.iter().map(read).collect()
}

fn read<R: Record>(document: &Document) -> Result<R, Error> {
    R::read(&Fields {
        collection: R::COLLECTION,
        document,
    })
}

fn key(tenant: &Tenant, id: &str) -> String {
    format!("{tenant}/{id}")
}

/// A text as the database takes it in a pipeline, whatever it begins with.
pub(crate) fn literal(text: &str) -> Document {
    doc! { "$literal": text }
}

pub(crate) fn date(time: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(time.as_millis()))
}
