//! Reading blocks back for search: newest first, skipping what cannot match.

use std::net::IpAddr;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::{Stream, TryStreamExt as _, stream};
use model::{Partition, SourceId, Tenant, Timestamp};
use mongodb::Cursor;

use super::{Day, StoredBlock, document, list_days};
use crate::{Error, Store};

/// Which blocks are wanted. Every condition that is set must hold; that a block is returned only says that it *may* hold
/// matching events.
#[derive(Clone, Debug, Default)]
pub struct ScanQuery {
    /// Whose.
    pub tenant: Tenant,
    /// Events at this time or later.
    pub from: Option<Timestamp>,
    /// Events before this time.
    pub to: Option<Timestamp>,
    /// Events of this source.
    pub source: Option<SourceId>,
    /// Events with every one of these words. Words match whole and in any case; see `block::may_contain`.
    pub words: Vec<String>,
    /// Events with this address in one of their fields.
    pub ip: Option<IpAddr>,
}

/// Blocks fetched from the database at once. Bounds the memory of a scan to a few of them.
const FETCH: u32 = 4;
/// The same where bodies are left out at first.
const FETCH_FILTERS: u32 = 64;

/// Blocks that may hold matching events, by [`StoredBlock::max`], latest first. Only a few are in memory at a time.
///
/// A caller that wants the newest `k` events can stop once it has `k` that are later than the `max` of the block at hand.
pub fn scan(store: &Store, query: ScanQuery) -> impl Stream<Item = Result<StoredBlock, Error>> + Send + use<> {
    let store = store.clone();
    stream::once(async move {
        let days = Days::open(&store, &query).await?;
        let scan = Scan { store, query, days };
        Ok::<_, Error>(stream::try_unfold(scan, |mut scan| async move {
            Ok(scan.next().await?.map(|block| (block, scan)))
        }))
    })
    .try_flatten()
}

/// What the server can check.
pub(super) fn filter(query: &ScanQuery) -> Document {
    // Naming the partitions, even all of them, lets the index on (tenant, part, max) give the order.
    let parts: Vec<i32> = match &query.source {
        Some(source) => vec![i32::from(Partition::of(&query.tenant, source).number())],
        None => Partition::all().map(|part| i32::from(part.number())).collect(),
    };
    let mut filter = doc! { "tenant": query.tenant.as_str(), "part": { "$in": parts } };
    let date = |time: Timestamp| bson::DateTime::from_millis(time.as_millis());
    if let Some(from) = query.from {
        filter.insert("max", doc! { "$gte": date(from) });
    }
    if let Some(to) = query.to {
        filter.insert("min", doc! { "$lte": date(to) });
    }
    if let Some(source) = &query.source {
        filter.insert("srcs", source.to_string());
    }
    if let Some(ip) = query.ip {
        // A block without the list had too many addresses for it.
        filter.insert("ips", doc! { "$in": [ip.to_string(), bson::Bson::Null] });
    }
    filter
}

struct Scan {
    store: Store,
    query: ScanQuery,
    days: Days,
}

impl Scan {
    async fn next(&mut self) -> Result<Option<StoredBlock>, Error> {
        loop {
            let Some((day, raw)) = self.days.next(&self.store, &self.query).await? else {
                return Ok(None);
            };
            if !self.may_match(document::token_filter(&raw)) {
                continue;
            }
            let block = document::read(&raw, day)?;
            if !block.body.is_empty() {
                return Ok(Some(block));
            }
            // Retention may have removed it meanwhile.
            if let Some(whole) = super::get(&self.store, day, block.id).await? {
                return Ok(Some(whole));
            }
        }
    }

    fn may_match(&self, token_filter: &[u8]) -> bool {
        let words = self
            .query
            .words
            .iter()
            .all(|word| block::may_contain(token_filter, word));
        words
            && self
                .query
                .ip
                .is_none_or(|ip| block::may_contain(token_filter, &ip.to_string()))
    }
}

/// One cursor a day, merged by `max`. A day's cursor is opened when its latest block is due.
struct Days(Vec<OpenDay>);

struct OpenDay {
    day: Day,
    /// `max` of the next block.
    next_max: i64,
    next: Option<RawDocumentBuf>,
    cursor: Option<Cursor<RawDocumentBuf>>,
}

impl Days {
    async fn open(store: &Store, query: &ScanQuery) -> Result<Self, Error> {
        let mut open = Vec::new();
        for day in list_days(store).await? {
            let latest = super::collection(store, day)
                .find_one(filter(query))
                .sort(doc! { "max": -1 })
                .projection(doc! { "max": 1 })
                .await?;
            if let Some(latest) = latest {
                let max = latest
                    .get_datetime("max")
                    .map_err(|_| Error::invalid("blocks.max", "a date"))?;
                open.push(OpenDay {
                    day,
                    next_max: max.timestamp_millis(),
                    next: None,
                    cursor: None,
                });
            }
        }
        Ok(Self(open))
    }

    async fn next(&mut self, store: &Store, query: &ScanQuery) -> Result<Option<(Day, RawDocumentBuf)>, Error> {
        loop {
            let due = (0..self.0.len()).max_by_key(|index| self.0.get(*index).map(|day| (day.next_max, day.day)));
            let Some(open) = due.and_then(|index| self.0.get_mut(index)) else {
                return Ok(None);
            };
            if let Some(raw) = open.next.take() {
                let day = open.day;
                self.advance(day, store, query).await?;
                return Ok(Some((day, raw)));
            }
            let day = open.day;
            self.advance(day, store, query).await?;
        }
    }

    /// Reads a day's next block, or takes the day out.
    async fn advance(&mut self, day: Day, store: &Store, query: &ScanQuery) -> Result<(), Error> {
        let Some(index) = self.0.iter().position(|open| open.day == day) else {
            return Ok(());
        };
        let Some(open) = self.0.get_mut(index) else {
            return Ok(());
        };
        if open.cursor.is_none() {
            open.cursor = Some(cursor(store, day, query).await?);
        }
        let next = match &mut open.cursor {
            Some(cursor) => cursor.try_next().await?,
            None => None,
        };
        match next {
            Some(raw) => {
                open.next_max = raw
                    .get_datetime("max")
                    .map_err(|_| Error::invalid("blocks.max", "a date"))?
                    .timestamp_millis();
                open.next = Some(raw);
            }
            None => {
                self.0.swap_remove(index);
            }
        }
        Ok(())
    }
}

async fn cursor(store: &Store, day: Day, query: &ScanQuery) -> Result<Cursor<RawDocumentBuf>, Error> {
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let find = collection.find(filter(query)).sort(doc! { "max": -1 });
    let selective = !query.words.is_empty() || query.ip.is_some();
    let find = if selective {
        find.projection(doc! { "body": 0, "batches": 0, "ips": 0 })
            .batch_size(FETCH_FILTERS)
    } else {
        find.projection(doc! { "batches": 0, "ips": 0, "tf": 0 })
            .batch_size(FETCH)
    };
    Ok(find.await?)
}
