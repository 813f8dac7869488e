//! What blocks say they hold, without what they hold: for who looks for many things at once.

use std::net::IpAddr;

use bson::{Document, RawDocument, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{Tenant, Timestamp};
use mongodb::options::ReadConcern;
use query::Span;

use super::snapshot::patiently;
use super::{BlockId, Day};
use crate::{Error, Store};

/// A block's index terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTerms {
    /// Which block of the day.
    pub id: BlockId,
    /// The addresses in it; `None` when there are too many to list.
    pub ips: Option<Vec<IpAddr>>,
    /// Its token filter: see `block::may_contain`.
    pub token_filter: Vec<u8>,
}

fn filter(tenant: &Tenant, span: Span) -> Document {
    let date = |time: Timestamp| bson::DateTime::from_millis(time.as_millis());
    let mut filter = doc! { "tenant": tenant.as_str() };
    if let Some(from) = span.from {
        filter.insert("max", doc! { "$gte": date(from) });
    }
    if let Some(to) = span.to {
        filter.insert("min", doc! { "$lte": date(to) });
    }
    filter
}

/// How many blocks of a day may hold events of the span.
///
/// # Errors
/// When the database is away.
pub async fn count_blocks(store: &Store, tenant: &Tenant, day: Day, span: Span) -> Result<u64, Error> {
    let count = super::collection(store, day)
        .count_documents(filter(tenant, span))
        .await?;
    Ok(count)
}

/// The terms of at most `limit` blocks of a day that may hold events of the span, in the order of their ids, behind
/// `after`. A block that was merged from others comes behind all of them, so who walks a day by id misses no event, and
/// may see one again.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn terms(
    store: &Store,
    tenant: &Tenant,
    day: Day,
    span: Span,
    after: Option<BlockId>,
    limit: u32,
) -> Result<Vec<BlockTerms>, Error> {
    let mut filter = filter(tenant, span);
    if let Some(after) = after {
        filter.insert("_id", doc! { "$gt": after.object_id() });
    }
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let mut cursor = patiently!(
        collection
            .find(filter.clone())
            .sort(doc! { "_id": 1 })
            .projection(doc! { "ips": 1, "tf": 1 })
            .limit(i64::from(limit.max(1)))
            .read_concern(ReadConcern::snapshot())
    )?;
    let mut found = Vec::new();
    while let Some(raw) = cursor.try_next().await? {
        found.push(read(&raw)?);
    }
    Ok(found)
}

fn read(raw: &RawDocument) -> Result<BlockTerms, Error> {
    let id = raw
        .get_object_id("_id")
        .map_err(|_| Error::invalid("blocks._id", "an object id"))?;
    Ok(BlockTerms {
        id: BlockId(id.bytes()),
        ips: super::document::ips(raw),
        token_filter: super::document::token_filter(raw).to_vec(),
    })
}
