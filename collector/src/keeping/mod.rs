//! What becomes of blocks once they are stored: small ones are merged, and old ones removed. One collector at a time does it for all.

mod compaction;
mod retention;

use std::time::Duration;

use model::NodeId;
use model::retention::Policy;
use storage::Store;
use storage::blocks::Writer;
use storage::duties::{self, Duty};
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Longest time until the first pass after a start.
const FIRST: Duration = Duration::from_secs(60);

/// What keeping blocks needs.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    store: Store,
    writer: Writer,
    node: NodeId,
    policy: Policy,
    check: Duration,
    compaction_check: Duration,
    settle_micros: i64,
    events_per_second: u32,
    shutdown: CancellationToken,
}

impl Keeper {
    pub(crate) fn new(config: &Config, store: Store, writer: Writer, shutdown: CancellationToken) -> Self {
        Self {
            store,
            writer,
            node: config.node.clone(),
            policy: config.retention.policy(),
            check: Duration::from_secs(config.retention.check_secs),
            compaction_check: Duration::from_secs(config.compaction.check_secs),
            settle_micros: i64::try_from(config.compaction.settle_secs).unwrap_or(i64::MAX / 1_000_000) * 1_000_000,
            events_per_second: config.compaction.events_per_second,
            shutdown,
        }
    }

    /// Removes what is over, now and then, until shutdown.
    pub(crate) async fn retain(self) -> anyhow::Result<()> {
        let mut failing = false;
        let mut wait = self.check.min(FIRST);
        while self.pause(wait).await {
            wait = self.check;
            match self.retention_pass().await {
                Ok(()) => failing = false,
                Err(error) => report(&error, "retention stopped before its end, trying again", &mut failing),
            }
        }
        Ok(())
    }

    async fn retention_pass(&self) -> Result<(), storage::Error> {
        let Some(mut held) = duties::take(&self.store, Duty::Retention, self.node.as_str()).await? else {
            return Ok(());
        };
        let done = retention::pass(self, &mut held).await;
        // Otherwise it ends by itself.
        let _ = held.release().await;
        done
    }

    /// Merges small blocks, now and then, until shutdown.
    pub(crate) async fn compact(self) -> anyhow::Result<()> {
        let mut failing = false;
        let mut memory = compaction::Memory::default();
        while self.pause(self.compaction_check).await {
            match self.compaction_pass(&mut memory).await {
                Ok(()) => failing = false,
                Err(error) => report(&error, "compaction stopped before its end, trying again", &mut failing),
            }
        }
        Ok(())
    }

    async fn compaction_pass(&self, memory: &mut compaction::Memory) -> Result<(), storage::Error> {
        let Some(mut held) = duties::take(&self.store, Duty::Compaction, self.node.as_str()).await? else {
            return Ok(());
        };
        let done = compaction::pass(self, &mut held, memory).await;
        // Otherwise it ends by itself.
        let _ = held.release().await;
        done
    }

    /// False when it is time to stop.
    async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// One line when it begins; the next passes are only for who debugs.
fn report(error: &storage::Error, message: &'static str, failing: &mut bool) {
    let error = error as &dyn std::error::Error;
    if *failing {
        tracing::debug!(error, "{message}");
    } else {
        tracing::warn!(error, "{message}");
    }
    *failing = true;
}

#[cfg(test)]
mod tests;
