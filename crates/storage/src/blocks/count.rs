//! How many events there are, and how many come in.

use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use model::{SourceId, Tenant, Timestamp};
use mongodb::ClientSession;

use super::scan::filter;
use super::snapshot::patiently;
use super::{Body, Columns, Day, ScanQuery, document, list_days};
use crate::{Error, Store};

/// Which events are counted.
#[derive(Clone, Debug, Default)]
pub struct CountQuery {
    /// Whose.
    pub tenant: Tenant,
    /// Events at this time or later.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
    /// Events of this source.
    pub source: Option<SourceId>,
}

/// Counts events exactly. Blocks that lie wholly inside the time range are counted from their summaries; those across
/// its ends are read.
///
/// # Errors
/// When the database is away or a block is not readable.
pub async fn count_events(store: &Store, query: &CountQuery) -> Result<u64, Error> {
    let scan = ScanQuery {
        tenant: query.tenant.clone(),
        from: query.from,
        to: query.to,
        source: query.source,
        ..ScanQuery::default()
    };
    let mut total = 0;
    for day in list_days(store).await? {
        total += patiently!(count_day(store, day, &scan))?;
    }
    Ok(total)
}

/// Conditions for a block to lie inside the range with all its events.
fn inside(query: &ScanQuery) -> Vec<Document> {
    let date = |time: Timestamp| bson::DateTime::from_millis(time.as_millis());
    let mut conditions = Vec::new();
    if let Some(from) = query.from {
        // `min` is rounded down, so an equal one may be too early.
        conditions.push(doc! { "min": { "$gt": date(from) } });
    }
    if let Some(to) = query.to {
        conditions.push(doc! { "max": { "$lt": date(to) } });
    }
    conditions
}

/// Both parts at one moment: a block that is merged between the two would be counted twice or not at all.
async fn count_day(store: &Store, day: Day, query: &ScanQuery) -> Result<u64, Error> {
    let mut session = store.database().client().start_session().snapshot(true).await?;
    let whole = whole_blocks(store, &mut session, day, query).await?;
    Ok(whole + cut_blocks(store, &mut session, day, query).await?)
}

async fn whole_blocks(store: &Store, session: &mut ClientSession, day: Day, query: &ScanQuery) -> Result<u64, Error> {
    let mut all = vec![filter(query)];
    all.extend(inside(query));
    let count: bson::Bson = match &query.source {
        None => "$n".into(),
        Some(source) => {
            let ours = doc! { "$filter": {
                "input": "$batches", "as": "batch", "cond": { "$eq": ["$$batch.src", source.to_string()] },
            } };
            doc! { "$sum": { "$map": { "input": ours, "as": "batch", "in": "$$batch.n" } } }.into()
        }
    };
    let pipeline = [
        doc! { "$match": { "$and": all } },
        doc! { "$group": { "_id": null, "n": { "$sum": { "$toLong": count } } } },
    ];
    let mut cursor = super::collection(store, day)
        .aggregate(pipeline)
        .session(&mut *session)
        .await?;
    let groups: Vec<Document> = cursor.stream(session).try_collect().await?;
    groups.iter().map(count_of).sum()
}

async fn cut_blocks(store: &Store, session: &mut ClientSession, day: Day, query: &ScanQuery) -> Result<u64, Error> {
    let inside = inside(query);
    if inside.is_empty() {
        return Ok(0);
    }
    let cut = doc! { "$and": [filter(query), { "$nor": [{ "$and": inside }] }] };
    let mut cursor = store
        .collection::<RawDocumentBuf>(&day.collection())
        .find(cut)
        .projection(document::projection(&Columns::NONE))
        .batch_size(16)
        .session(&mut *session)
        .await?;
    let mut total = 0;
    while let Some(raw) = cursor.next(&mut *session).await.transpose()? {
        let stored = document::found(&raw, day, &Columns::NONE)?;
        total += matching(&stored.body, query)
            .map_err(|error| Error::invalid(format!("blocks.body of {}", stored.id), format!("a block ({error})")))?;
    }
    Ok(total)
}

fn matching(body: &Body, query: &ScanQuery) -> Result<u64, block::DecodeError> {
    let block = body.open()?;
    let times = block.timestamps()?;
    let ids = match query.source {
        Some(_) => block.ids()?,
        None => Vec::new(),
    };
    let wanted = |index: usize, time: &Timestamp| {
        query.from.is_none_or(|from| *time >= from)
            && query.to.is_none_or(|to| *time < to)
            && query
                .source
                .is_none_or(|source| ids.get(index).is_some_and(|id| id.source == source))
    };
    let count = times
        .iter()
        .enumerate()
        .filter(|(index, time)| wanted(*index, time))
        .count();
    Ok(count as u64)
}

async fn sum(mut cursor: mongodb::Cursor<Document>) -> Result<u64, Error> {
    let mut total = 0;
    while let Some(group) = cursor.try_next().await? {
        total += count_of(&group)?;
    }
    Ok(total)
}

fn count_of(group: &Document) -> Result<u64, Error> {
    let count = group
        .get_i64("n")
        .map_err(|_| Error::invalid("blocks.n", "a 64-bit number"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Events of a tenant in total.
///
/// # Errors
/// When the database is away.
pub async fn events_total(store: &Store, tenant: &Tenant) -> Result<u64, Error> {
    stored_since(store, tenant, None).await
}

/// Events a second that were stored over the last 60 s, by the database's clock.
///
/// # Errors
/// When the database is away.
pub async fn events_per_second(store: &Store, tenant: &Tenant) -> Result<f64, Error> {
    const SECONDS: u32 = 60;
    let since = Timestamp(store.now().await?.0 - i64::from(SECONDS) * 1_000_000);
    let total = stored_since(store, tenant, Some(since)).await?;
    Ok(total as f64 / f64::from(SECONDS))
}

/// Answered from the index on `(tenant, at, n)` alone.
async fn stored_since(store: &Store, tenant: &Tenant, since: Option<Timestamp>) -> Result<u64, Error> {
    let since = bson::DateTime::from_millis(since.map_or(0, Timestamp::as_millis));
    let pipeline = [
        doc! { "$match": { "tenant": tenant.as_str(), "at": { "$gte": since } } },
        doc! { "$group": { "_id": null, "n": { "$sum": { "$toLong": "$n" } } } },
    ];
    let mut total = 0;
    for day in list_days(store).await? {
        total += sum(super::collection(store, day).aggregate(pipeline.clone()).await?).await?;
    }
    Ok(total)
}
