//! Stored events, block by block, on as many threads as asked for.

use anyhow::{Context as _, anyhow};
use block::{Block, DecodeError};
use futures_util::{StreamExt as _, TryStreamExt as _};
use model::{Tenant, Timestamp};
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
    pub(super) fn holds(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
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

    /// Gives each block to `work`, on `threads` at once, latest blocks first, and what comes of it to `take`,
    /// which ends the reading by answering false.
    pub(super) async fn read<T, W, K>(&self, store: &Store, threads: usize, work: W, mut take: K) -> anyhow::Result<()>
    where
        T: Send + 'static,
        W: Fn(&Block<'_>, &Self) -> Result<T, DecodeError> + Clone + Send + 'static,
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
                    patiently(move || {
                        let opened = block.body.open().context("open a block")?;
                        work(&opened, &span).context("read a block")
                    })
                    .await
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

/// The highest nice value, that of work which can wait for all other.
const LEAST: i32 = 19;

/// Runs `work` on a thread that gets what processor time nobody else wants. The thread is its own, as an ordinary user's
/// process cannot raise its priority again.
async fn patiently<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("backtest".to_owned())
        .spawn(move || {
            // On Linux this is the priority of the calling thread. Without it the work is only less polite.
            if let Err(error) = rustix::process::setpriority_process(None, LEAST) {
                tracing::debug!(%error, "cannot lower the priority of a backtest");
            }
            // Nobody may wait for it any more.
            let _ = sender.send(work());
        })
        .context("start a thread")?;
    receiver.await.context("read a block")?
}
