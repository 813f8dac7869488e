//! Finding stored events: pages, counts, exports.
//!
//! Blocks come latest first and are looked at one by one, so memory does not grow with what is searched. A page keeps
//! the newest events found so far and stops at the first block that is older than all of them.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::{Stream, TryStreamExt as _};
use model::{Event, EventId, Timestamp};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::blocks::{self, CountQuery, StoredBlock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::search::EventFilter;
use crate::problem::{from_storage, internal, invalid};

/// Most events on a page.
pub const MAX_PAGE: usize = 1000;
/// Events on a page when nobody says how many.
pub const DEFAULT_PAGE: usize = 50;
/// Searches that run at once; each holds a few blocks in memory. Others wait.
const MAX_SEARCHES: usize = 8;

/// Searches stored events.
#[derive(Clone, Debug)]
pub struct Events {
    store: Store,
    turns: Arc<Semaphore>,
}

/// A position in the order of events: newest first, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    time: Timestamp,
    id: EventId,
}

/// One page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub events: Vec<Event>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
}

impl Cursor {
    fn of(event: &Event) -> Self {
        Self {
            time: event.timestamp,
            id: event.id,
        }
    }

    /// Whether the event comes after this position.
    fn is_before(&self, event: &Event) -> bool {
        (event.timestamp, event.id) < (self.time, self.id)
    }

    /// As text that is safe in a URL.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("1.{}.{}", self.time.0, self.id))
    }

    /// From its text.
    ///
    /// # Errors
    /// When it is not a cursor.
    pub fn parse(text: &str) -> Result<Self, ServiceError> {
        let read = || -> Option<Self> {
            let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (time, id) = plain.strip_prefix("1.")?.split_once('.')?;
            Some(Self {
                time: Timestamp(time.parse().ok()?),
                id: id.parse().ok()?,
            })
        };
        read().ok_or_else(|| invalid("cursor: expected the next_cursor of an earlier answer"))
    }
}

fn newest_first(events: &mut [Event]) {
    events.sort_unstable_by_key(|event| Reverse((event.timestamp, event.id)));
}

impl Events {
    /// Over this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            turns: Arc::new(Semaphore::new(MAX_SEARCHES)),
        }
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        self.turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| internal("searches", &error))
    }

    /// The newest `limit` events that match and come after `after`.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn page(
        &self,
        mut filter: EventFilter,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, ServiceError> {
        let _turn = self.turn().await?;
        if let Some(cursor) = after {
            let end = Timestamp(cursor.time.0.saturating_add(1));
            filter.to = Some(filter.to.map_or(end, |to| to.min(end)));
        }
        let query = filter.scan_query();
        let filter = Arc::new(filter);
        let mut blocks = std::pin::pin!(blocks::scan(&self.store, query));
        let mut found: Vec<Event> = Vec::new();
        while let Some(block) = blocks.try_next().await.map_err(from_storage)? {
            let last = found.get(limit).map(|event| event.timestamp);
            if last.is_some_and(|last| last > block.max) {
                break;
            }
            let mut matching = matching(block, filter.clone()).await?;
            if let Some(cursor) = after {
                matching.retain(|event| cursor.is_before(event));
            }
            found.append(&mut matching);
            newest_first(&mut found);
            found.truncate(limit + 1);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(Cursor::of);
        Ok(Page { events: found, next })
    }

    /// How many events match.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count(&self, filter: EventFilter) -> Result<u64, ServiceError> {
        let _turn = self.turn().await?;
        if filter.is_time_only() {
            let query = CountQuery {
                tenant: filter.tenant,
                from: filter.from,
                to: filter.to,
                source: None,
            };
            return blocks::count_events(&self.store, &query).await.map_err(from_storage);
        }
        let query = filter.scan_query();
        let filter = Arc::new(filter);
        let mut blocks = std::pin::pin!(blocks::scan(&self.store, query));
        let mut total = 0;
        while let Some(block) = blocks.try_next().await.map_err(from_storage)? {
            total += matching(block, filter.clone()).await?.len() as u64;
        }
        Ok(total)
    }

    /// All events that match as lines of JSON, block by block, latest blocks first and each block's events newest
    /// first. Holds one block at a time.
    ///
    /// # Errors
    /// When too many searches run.
    pub async fn export(
        &self,
        filter: EventFilter,
    ) -> Result<impl Stream<Item = Result<Bytes, ServiceError>> + Send + use<>, ServiceError> {
        let turn = self.turn().await?;
        let query = filter.scan_query();
        let filter = Arc::new(filter);
        let blocks = blocks::scan(&self.store, query);
        Ok(blocks.map_err(from_storage).and_then(move |block| {
            let _held = &turn;
            let matching = matching(block, filter.clone());
            async move {
                let mut events = matching.await?;
                newest_first(&mut events);
                let mut lines = Vec::with_capacity(events.len() * 512);
                for event in &events {
                    serde_json::to_writer(&mut lines, &event.to_json()).map_err(|error| internal("export", &error))?;
                    lines.push(b'\n');
                }
                Ok(Bytes::from(lines))
            }
        }))
    }
}

/// The events of a block that match. Decoding is work, so it is done off the runtime's threads. A block that cannot be
/// read is reported and left out: the others are still worth having.
async fn matching(block: StoredBlock, filter: Arc<EventFilter>) -> Result<Vec<Event>, ServiceError> {
    let (day, id) = (block.day, block.id);
    let read = move || -> Result<Vec<Event>, block::DecodeError> {
        let mut events = block::Block::open(&block.body)?.events()?;
        events.retain(|event| filter.matches(event));
        Ok(events)
    };
    let read = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| internal("block reader", &error))?;
    Ok(read.unwrap_or_else(|error| {
        metrics::counter!("picket_gateway_blocks_unreadable_total").increment(1);
        tracing::error!(%day, block.id = %id, %error, "stored block is not readable, its events are missing from answers");
        Vec::new()
    }))
}

/// A number of items from a query.
///
/// # Errors
/// When it is not between 1 and `max`.
pub fn check_limit(limit: Option<u64>, default: usize, max: usize) -> Result<usize, ServiceError> {
    match limit {
        None => Ok(default),
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=max).contains(limit))
            .ok_or_else(|| {
                ServiceError::new(
                    ErrorCode::InvalidArgument,
                    format!("limit: expected a number from 1 to {max}, got {limit}"),
                )
            }),
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, SourceId};

    use super::*;

    #[test]
    fn cursors_round_trip_and_anything_else_is_refused() {
        let cursor = Cursor {
            time: Timestamp(-5),
            id: EventId {
                source: SourceId::named("rest", "a"),
                epoch: Epoch(9),
                seq: 3,
            },
        };
        assert_eq!(Cursor::parse(&cursor.to_text()).unwrap(), cursor);
        for bad in ["", "abc", "MS4x", "!!"] {
            assert!(Cursor::parse(bad).unwrap_err().detail.starts_with("cursor: "), "{bad}");
        }
    }

    #[test]
    fn limits_have_bounds() {
        assert_eq!(check_limit(None, 50, 1000).unwrap(), 50);
        assert_eq!(check_limit(Some(1000), 50, 1000).unwrap(), 1000);
        for bad in [0, 1001, u64::MAX] {
            assert!(
                check_limit(Some(bad), 50, 1000)
                    .unwrap_err()
                    .detail
                    .starts_with("limit: ")
            );
        }
    }
}
