//! Listing and looking up.

use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::indicator::{Indicator, IndicatorType};
use model::{Tenant, Timestamp};

use super::document::{date, read};
use super::{BATCH, COLLECTION};
use crate::{Error, Store};

/// Most indicators one answer has.
const MAX_LIMIT: u32 = 10_000;
/// Most groups [`stats`] tells apart.
const MAX_GROUPS: i64 = 1000;

/// Where a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// `created_at` of the last one seen.
    pub created_at: Timestamp,
    /// Its record's id.
    pub id: [u8; 12],
}

/// Which indicators. Every condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whose.
    pub tenant: Tenant,
    /// Of this type.
    pub kind: Option<IndicatorType>,
    /// With this very value, in canonical form.
    pub value: Option<String>,
    /// Of this source.
    pub source: Option<String>,
    /// Of this feed; an empty name means those of no feed.
    pub feed: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// With at least this confidence.
    pub min_confidence: Option<u8>,
    /// Added at this time or later.
    pub added_since: Option<Timestamp>,
    /// After this one.
    pub after: Option<Position>,
}

/// Indicators, those added last first, each with where the list goes on after it. `limit` is capped at 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn list(store: &Store, filter: &Filter, limit: u32) -> Result<Vec<(Indicator, Position)>, Error> {
    let mut query = doc! { "tenant": filter.tenant.as_str(), "removed_at": null };
    let texts = [
        ("type", filter.kind.map(|kind| kind.as_str())),
        ("value", filter.value.as_deref()),
        ("source", filter.source.as_deref()),
        ("feed", filter.feed.as_deref()),
        ("tags", filter.tag.as_deref()),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            query.insert(field, text);
        }
    }
    if let Some(least) = filter.min_confidence {
        query.insert("confidence", doc! { "$gte": i32::from(least) });
    }
    if let Some(since) = filter.added_since {
        query.insert("created_at", doc! { "$gte": date(since) });
    }
    if let Some(after) = filter.after {
        let at = date(after.created_at);
        let id = ObjectId::from_bytes(after.id);
        query.insert(
            "$or",
            vec![
                doc! { "created_at": { "$lt": at } },
                doc! { "created_at": at, "_id": { "$lt": id } },
            ],
        );
    }
    let mut cursor = store
        .collection::<RawDocumentBuf>(COLLECTION)
        .find(query)
        .sort(doc! { "created_at": -1, "_id": -1 })
        .limit(i64::from(limit.clamp(1, MAX_LIMIT)))
        .await?;
    let mut found = Vec::new();
    while let Some(raw) = cursor.try_next().await? {
        let indicator = read(&raw)?;
        let id = raw
            .get_object_id("_id")
            .map_err(|_| Error::invalid("indicators._id", "an object id"))?;
        let position = Position {
            created_at: indicator.created_at,
            id: id.bytes(),
        };
        found.push((indicator, position));
    }
    Ok(found)
}

/// Every indicator with one of these values, which must be canonical; at most 10,000.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn lookup(
    store: &Store,
    tenant: &Tenant,
    values: &[(IndicatorType, String)],
) -> Result<Vec<Indicator>, Error> {
    let mut found = Vec::new();
    for kind in IndicatorType::ALL {
        let values: Vec<&str> = values
            .iter()
            .filter(|(of, _)| *of == kind)
            .map(|(_, value)| value.as_str())
            .collect();
        for values in values.chunks(BATCH) {
            let query = doc! {
                "tenant": tenant.as_str(),
                "type": kind.as_str(),
                "value": { "$in": values },
                "removed_at": null,
            };
            let mut cursor = store
                .collection::<RawDocumentBuf>(COLLECTION)
                .find(query)
                .limit(i64::from(MAX_LIMIT))
                .await?;
            while let Some(raw) = cursor.try_next().await? {
                found.push(read(&raw)?);
            }
        }
    }
    Ok(found)
}

/// How many indicators there are of a type, from a feed or a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Their type.
    pub kind: IndicatorType,
    /// Their feed; empty for those of no feed.
    pub feed: String,
    /// Their source; empty for those of a feed.
    pub source: String,
    /// How many.
    pub count: u64,
}

/// Counts a tenant's indicators, the largest groups first; at most 1,000 groups.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn stats(store: &Store, tenant: &Tenant) -> Result<Vec<Group>, Error> {
    let source = doc! { "$cond": [{ "$eq": ["$feed", ""] }, "$source", ""] };
    let pipeline = [
        doc! { "$match": { "tenant": tenant.as_str(), "removed_at": null } },
        doc! { "$group": {
            "_id": { "type": "$type", "feed": "$feed", "source": source },
            "count": { "$sum": 1_i64 },
        } },
        doc! { "$sort": { "count": -1, "_id": 1 } },
        doc! { "$limit": MAX_GROUPS },
    ];
    let mut cursor = store.collection::<Document>(COLLECTION).aggregate(pipeline).await?;
    let mut groups = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        let wrong = |_| Error::invalid("indicators", "groups");
        let id = found.get_document("_id").map_err(wrong)?;
        groups.push(Group {
            kind: id
                .get_str("type")
                .map_err(wrong)?
                .parse()
                .map_err(|error| Error::invalid("indicators.type", format!("{error}")))?,
            feed: id.get_str("feed").unwrap_or_default().to_owned(),
            source: id.get_str("source").unwrap_or_default().to_owned(),
            count: found.get_i64("count").unwrap_or(0).unsigned_abs(),
        });
    }
    Ok(groups)
}
