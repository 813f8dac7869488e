//! What becomes of blocks once they are stored: how long they stay. One collector at a time does it for all.

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
