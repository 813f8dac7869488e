//! Reading blocks back for search: newest first, skipping what cannot match.

use std::net::IpAddr;
use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use model::{Partition, SourceId, Tenant, Timestamp};
use query::Need;

use super::open_day::OpenDay;
use super::{Columns, Day, FoundBlock, document, list_days};
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
    /// What has to be in the block.
    pub need: Need,
    /// Events with one of these addresses in one of their fields.
    pub addresses: Option<Vec<IpAddr>>,
    /// What of the blocks is fetched.
    pub columns: Columns,
    /// Whether the first blocks are likely to be enough. Fewer are then fetched at once: the database looks at as many
    /// blocks as it takes to find them.
    pub few: bool,
    /// How long the database may work on it, all in all; without end when `None`.
    pub max_time: Option<Duration>,
}

/// Days asked for their latest block at once.
const DAYS_AT_ONCE: usize = 8;

/// Blocks that may hold matching events, by [`FoundBlock::max`], latest first. Only a few are in memory at a time.
///
/// A caller that wants the newest `k` events can stop once it has `k` that are later than the `max` of the block at hand.
pub fn scan(store: &Store, query: ScanQuery) -> impl Stream<Item = Result<FoundBlock, Error>> + Send + use<> {
    stream::try_unfold(Scanner::new(store, query), |mut scanner| async move {
        Ok(scanner.next().await?.map(|block| (block, scanner)))
    })
}

/// [`scan()`] for whoever wants to know how far it is.
pub struct Scanner {
    store: Store,
    query: ScanQuery,
    /// `None` until the first block is asked for.
    days: Option<Days>,
    bytes: u64,
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner")
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// What the index on times can check alone.
pub(super) fn in_span(query: &ScanQuery) -> Document {
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
    filter
}

/// What the server can check without token filters.
pub(super) fn filter(query: &ScanQuery) -> Document {
    let mut filter = in_span(query);
    if let Some(source) = &query.source {
        filter.insert("srcs", source.to_string());
    }
    if let Some(ips) = &query.addresses {
        // A block without the list had too many addresses for it.
        let ips = ips.iter().map(|ip| bson::Bson::from(ip.to_string()));
        let any: Vec<bson::Bson> = ips.chain([bson::Bson::Null]).collect();
        filter.insert("ips", doc! { "$in": any });
    }
    filter
}

impl Scanner {
    /// A scan that has read nothing yet.
    #[must_use]
    pub fn new(store: &Store, query: ScanQuery) -> Self {
        Self {
            store: store.clone(),
            query,
            days: None,
            bytes: 0,
        }
    }

    /// Sets [`ScanQuery::few`].
    pub fn expect_few(&mut self) {
        self.query.few = true;
    }

    /// Bytes read so far: blocks, and what is kept beside blocks that were skipped.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// No event that was not read yet is later than this; `None` when that is not known, because nothing was read yet, or
    /// when all was read.
    #[must_use]
    pub fn unread_until(&self) -> Option<Timestamp> {
        let latest = self.days.as_ref()?.0.iter().map(|day| day.next_max).max()?;
        Some(Timestamp::from_millis(latest))
    }

    /// The next block; `None` when there are no more. A call that is given up may be followed by [`Self::unread_until`],
    /// but not by another one.
    ///
    /// # Errors
    /// When the database is away or a record is not readable.
    pub async fn next(&mut self) -> Result<Option<FoundBlock>, Error> {
        if self.days.is_none() {
            self.days = Some(Days::open(&self.store, &self.query).await?);
        }
        let Some(days) = self.days.as_mut() else {
            return Ok(None);
        };
        loop {
            let Some((day, raw)) = days.next(&self.store, &self.query).await? else {
                return Ok(None);
            };
            self.bytes += raw.as_bytes().len() as u64;
            // The database does not know networks.
            if self.query.need.asks_for_networks() {
                let ips = document::ips(&raw);
                if ips.is_some_and(|ips| !self.query.need.may_be_in(&[], Some(&ips))) {
                    continue;
                }
            }
            return document::found(&raw, day, &self.query.columns).map(Some);
        }
    }
}

/// One cursor a day, merged by `max`. A day's cursor is opened when its latest block is due.
struct Days(Vec<OpenDay>);

impl Days {
    async fn open(store: &Store, query: &ScanQuery) -> Result<Self, Error> {
        let days = list_days(store).await?;
        let open = stream::iter(days).map(|day| OpenDay::find(store, query, day));
        let open: Vec<Option<OpenDay>> = open.buffered(DAYS_AT_ONCE).try_collect().await?;
        Ok(Self(open.into_iter().flatten().collect()))
    }

    async fn next(&mut self, store: &Store, query: &ScanQuery) -> Result<Option<(Day, RawDocumentBuf)>, Error> {
        loop {
            let due = (0..self.0.len()).max_by_key(|index| self.0.get(*index).map(|day| (day.next_max, day.day)));
            let Some((index, open)) = due.and_then(|index| Some((index, self.0.get_mut(index)?))) else {
                return Ok(None);
            };
            let (day, raw) = (open.day, open.next.take());
            if !open.advance(store, query).await? {
                self.0.swap_remove(index);
            }
            if let Some(raw) = raw {
                return Ok(Some((day, raw)));
            }
        }
    }
}
