//! Stored events, block by block, on as many threads as asked for.

use anyhow::{Context as _, anyhow};
use futures_util::{StreamExt as _, TryStreamExt as _};
use model::{Event, Tenant, Timestamp};
use storage::Store;
use storage::blocks::{self, CountQuery, ScanQuery};

/// Which events.
#[derive(Clone, Debug)]
pub struct Span {
    /// Whose.
    pub tenant: Tenant,
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
}

impl Span {
    fn holds(&self, event: &Event) -> bool {
        self.from.is_none_or(|from| event.timestamp >= from) && self.to.is_none_or(|to| event.timestamp < to)
    }

    /// How many there are.
    pub(super) async fn count(&self, store: &Store) -> anyhow::Result<u64> {
        let query = CountQuery {
            tenant: self.tenant.clone(),
            from: self.from,
            to: self.to,
            source: None,
        };
        blocks::count_events(store, &query).await.context("count the events")
    }

    /// Gives each block's events to `work`, on `threads` at once, latest blocks first, and what comes of it to `take`,
    /// which ends the reading by answering false.
    pub(super) async fn read<T, W, K>(&self, store: &Store, threads: usize, work: W, mut take: K) -> anyhow::Result<()>
    where
        T: Send + 'static,
        W: Fn(&[Event]) -> T + Clone + Send + 'static,
        K: FnMut(T) -> bool,
    {
        let query = ScanQuery {
            tenant: self.tenant.clone(),
            from: self.from,
            to: self.to,
            ..ScanQuery::default()
        };
        let found = blocks::scan(store, query)
            .map_err(|error| anyhow!("read the events: {error}"))
            .map(|block| {
                let (work, span) = (work.clone(), self.clone());
                async move {
                    let block = block?;
                    let working = tokio::task::spawn_blocking(move || {
                        let opened = block::Block::open(&block.body).context("open a block")?;
                        let mut events = opened.events().context("read a block")?;
                        events.retain(|event| span.holds(event));
                        Ok::<_, anyhow::Error>(work(&events))
                    });
                    working.await.context("read a block")?
                }
            })
            .buffer_unordered(threads.max(1));
        let mut found = std::pin::pin!(found);
        while let Some(answer) = found.try_next().await? {
            if !take(answer) {
                break;
            }
        }
        Ok(())
    }
}
