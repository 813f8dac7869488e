//! Finding stored events: pages, sums, exports.
//!
//! Blocks come latest first and are looked at one by one, so memory does not grow with what is searched. A page keeps
//! the places of the newest events found so far and stops at the first block that is older than all of them; only then are
//! the events read.

mod ahead;
mod cursor;
mod export;
mod filter;
mod group;
mod pass;
mod read;
mod sums;
mod tally;

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use model::{Event, Timestamp};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::blocks::{self, CountQuery};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use cursor::Cursor;
pub use export::{DEFAULT_COLUMNS, Format};
pub use filter::EventFilter;
pub use pass::{Limits, Partial};
pub use sums::{Bucket, Counted, Histogram, MAX_BUCKETS, MAX_TOP, Top};

use crate::config::SearchConfig;
use crate::problem::{from_storage, internal};
use filter::{Place, Prepared};
use pass::Pass;
use read::Reading;

/// Most events on a page.
pub const MAX_PAGE: usize = 1000;
/// A page is made once more when blocks were gone before their events were read: others may hold these by then.
const TRIES: usize = 3;
/// Events on a page when nobody says how many.
pub const DEFAULT_PAGE: usize = 50;

/// Searches stored events.
#[derive(Clone, Debug)]
pub struct Events {
    store: Store,
    turns: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    limits: Limits,
}

/// One page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first.
    pub events: Vec<Event>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
    /// Set when limits ended the search before the page was full. The next page goes on where it ended.
    pub partial: Option<Partial>,
}

/// How many events match.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// Of what was read.
    pub total: u64,
    /// Set when not all was read.
    pub partial: Option<Partial>,
}

impl Events {
    /// Over this store.
    #[must_use]
    pub fn new(store: Store, config: &SearchConfig) -> Self {
        Self {
            store,
            turns: Arc::new(Semaphore::new(config.max_running)),
            exports: Arc::new(Semaphore::new(config.max_exports)),
            limits: Limits {
                time: Duration::from_secs(config.max_seconds),
                bytes: config.max_mib.saturating_mul(1024 * 1024),
            },
        }
    }

    /// Searches hold a few blocks in memory, so only some run at once. Others wait.
    async fn turn(&self) -> Result<Turn, ServiceError> {
        take(&self.turns).await
    }

    /// How many more searches could run now.
    #[must_use]
    pub fn free_turns(&self) -> usize {
        self.turns.available_permits()
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
        let turn = self.turn().await?;
        if let Some(cursor) = after {
            let end = Timestamp(cursor.time.0.saturating_add(1));
            filter.to = Some(filter.to.map_or(end, |to| to.min(end)));
        }
        let prepared = Arc::new(filter.prepare(Timestamp::now()));
        for _ in 0..TRIES {
            let (page, is_whole) = self.page_of(&turn, &prepared, after, limit).await?;
            if is_whole {
                return Ok(page);
            }
        }
        self.page_of(&turn, &prepared, after, limit).await.map(|(page, _)| page)
    }

    /// Also tells whether all blocks were still there when the events were read.
    async fn page_of(
        &self,
        turn: &Turn,
        prepared: &Arc<Prepared>,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<(Page, bool), ServiceError> {
        let of_block = prepared.clone();
        let mut pass = Pass::new(
            &self.store,
            turn,
            prepared,
            prepared.columns(),
            Some(self.limits),
            move |found, block| {
                of_block.newest(found, block, limit + 1, |key| {
                    after.is_none_or(|cursor| cursor.is_before(key))
                })
            },
        )
        .of_few();
        let mut found: Vec<Place> = Vec::new();
        let mut reading = Reading::new(&self.store, turn);
        loop {
            let last = found.get(limit).map(|place| place.key.0);
            if last.is_some_and(|last| pass.rest_until().is_some_and(|rest| last > rest)) {
                break;
            }
            let Some(mut matching) = pass.next().await? else { break };
            found.append(&mut matching);
            found.sort_unstable_by_key(|place| Reverse(place.key));
            found.truncate(limit + 1);
            // What is later than all that is left stays on the page.
            let rest = pass.rest_until();
            let certain = found
                .iter()
                .take(limit)
                .take_while(|place| rest.is_none_or(|rest| place.key.0 > rest));
            let certain = certain.count();
            reading.begin(found.get(..certain).unwrap_or_default())?;
        }
        let mut partial = pass.partial();
        drop(pass);
        let unread = partial.as_ref().and_then(|partial| partial.unread_until);
        if let Some(unread) = unread {
            // Among these, some are missing; the next page has all of them.
            found.retain(|place| place.key.0 > unread);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = match (more, unread) {
            (true, _) => found.last().map(|place| Cursor::of(place.key)),
            (false, Some(unread)) => Some(Cursor::at(unread)),
            (false, None) => None,
        };
        if more && unread.is_some() {
            partial = None;
        }
        let read = reading.finish(&found).await?;
        if read.unreadable > 0 {
            let partial = partial.get_or_insert(Partial::unreadable());
            partial.unreadable_blocks += read.unreadable;
        }
        let page = Page {
            events: read.events,
            next,
            partial,
        };
        Ok((page, !read.is_gone))
    }

    /// How many events match.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count(&self, filter: &EventFilter) -> Result<Count, ServiceError> {
        let turn = self.turn().await?;
        let prepared = Arc::new(filter.prepare(Timestamp::now()));
        if prepared.is_time_only() {
            let query = CountQuery {
                tenant: prepared.tenant.clone(),
                from: prepared.plan.span.from,
                to: prepared.plan.span.to,
                source: None,
            };
            let total = blocks::count_events(&self.store, &query).await.map_err(from_storage)?;
            return Ok(Count { total, partial: None });
        }
        let of_block = prepared.clone();
        let columns = prepared.columns();
        let limits = Some(self.limits);
        let mut pass = Pass::new(&self.store, &turn, &prepared, columns, limits, move |_, block| {
            of_block.rows(block).map(|found| found.rows.len() as u64)
        });
        let mut total = 0;
        while let Some(count) = pass.next().await? {
            total += count;
        }
        Ok(Count {
            total,
            partial: pass.partial(),
        })
    }
}

/// A place among those that run. Threads that look at blocks keep it too, as they go on for a while when nobody waits for
/// the search any more.
type Turn = Arc<OwnedSemaphorePermit>;

async fn take(turns: &Arc<Semaphore>) -> Result<Turn, ServiceError> {
    let turn = turns.clone().acquire_owned().await;
    turn.map(Arc::new).map_err(|error| internal("searches", &error))
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
    use super::*;

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
