//! Finding stored events: pages, sums, exports.
//!
//! Blocks come latest first and are looked at one by one, so memory does not grow with what is searched. A page keeps
//! the newest events found so far and stops at the first block that is older than all of them.

mod cursor;
mod export;
mod filter;
mod pass;
mod sums;

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
use pass::Pass;

/// Most events on a page.
pub const MAX_PAGE: usize = 1000;
/// Events on a page when nobody says how many.
pub const DEFAULT_PAGE: usize = 50;

/// Searches stored events.
#[derive(Clone, Debug)]
pub struct Events {
    store: Store,
    turns: Arc<Semaphore>,
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

pub(super) fn newest_first(events: &mut [Event]) {
    events.sort_unstable_by_key(|event| Reverse((event.timestamp, event.id)));
}

impl Events {
    /// Over this store.
    #[must_use]
    pub fn new(store: Store, config: &SearchConfig) -> Self {
        Self {
            store,
            turns: Arc::new(Semaphore::new(config.max_running)),
            limits: Limits {
                time: Duration::from_secs(config.max_seconds),
                bytes: config.max_mib.saturating_mul(1024 * 1024),
            },
        }
    }

    /// Searches hold a few blocks in memory, so only some run at once. Others wait.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        self.turns
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| internal("searches", &error))
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
        let _turn = self.turn().await?;
        if let Some(cursor) = after {
            let end = Timestamp(cursor.time.0.saturating_add(1));
            filter.to = Some(filter.to.map_or(end, |to| to.min(end)));
        }
        let prepared = Arc::new(filter.prepare(Timestamp::now()));
        let of_block = prepared.clone();
        let mut pass = Pass::new(&self.store, &prepared, Some(self.limits), move |block| {
            of_block.newest(block, limit + 1, |event| {
                after.is_none_or(|cursor| cursor.is_before(event))
            })
        });
        let mut found: Vec<Event> = Vec::new();
        loop {
            let last = found.get(limit).map(|event| event.timestamp);
            if last.is_some_and(|last| pass.rest_until().is_some_and(|rest| last > rest)) {
                break;
            }
            let Some(mut matching) = pass.next().await? else { break };
            found.append(&mut matching);
            newest_first(&mut found);
            found.truncate(limit + 1);
        }
        let mut partial = pass.partial();
        let unread = partial.as_ref().and_then(|partial| partial.unread_until);
        if let Some(unread) = unread {
            // Among these, some are missing; the next page has all of them.
            found.retain(|event| event.timestamp > unread);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = match (more, unread) {
            (true, _) => found.last().map(Cursor::of),
            (false, Some(unread)) => Some(Cursor::at(unread)),
            (false, None) => None,
        };
        if more && unread.is_some() {
            partial = None;
        }
        Ok(Page {
            events: found,
            next,
            partial,
        })
    }

    /// How many events match.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn count(&self, filter: &EventFilter) -> Result<Count, ServiceError> {
        let _turn = self.turn().await?;
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
        let mut pass = Pass::new(&self.store, &prepared, Some(self.limits), move |block| {
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
