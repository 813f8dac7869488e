//! The truth path: blocks that are pending in MongoDB though they were stored a moment ago.
//!
//! Whatever was lost on the fast path (a full queue, a detector that died, a partition that changed hands) is found
//! here. MongoDB alone says what is pending, so nothing needs to be remembered across restarts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Partition, Timestamp};
use storage::{Store, blocks};
use tokio_util::sync::CancellationToken;

use super::queue::{Job, Queue, Way};
use crate::metrics;
use crate::partitions::Ownership;

/// Time between two looks when there is nothing to do.
const LOOK: Duration = Duration::from_millis(500);
/// How long a block is left to the fast path after it was stored.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks at a full queue.
const BREATH: Duration = Duration::from_millis(10);
/// Blocks read at once.
const BATCH: u32 = 16;

/// Looks for pending blocks of owned partitions.
pub(crate) struct TruthPath {
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) ownership: Arc<Ownership>,
}

impl TruthPath {
    /// Looks every half second, and at once when a partition was taken over, until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            let taken_over = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.ownership.gained() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let patience = if taken_over { Duration::ZERO } else { PATIENCE };
            let looked = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                looked = self.look(patience) => looked,
            };
            match looked {
                Ok(()) => {
                    if failing {
                        tracing::info!("pending blocks can be read again");
                    }
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "pending blocks not readable, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    /// Queues what is pending, oldest first, until there is no more.
    async fn look(&self, patience: Duration) -> Result<(), storage::Error> {
        loop {
            let owned: Vec<Partition> = self.ownership.owned();
            if owned.is_empty() {
                metrics::lag(Duration::ZERO);
                return Ok(());
            }
            // Half of the queue is the fast path's.
            while !self.queue.has_room() {
                tokio::time::sleep(BREATH).await;
            }
            let asked_at = Instant::now();
            let now = self.store.now().await?;
            let before = Timestamp(now.0 - i64::try_from(patience.as_micros()).unwrap_or(0));
            let found = blocks::pending(&self.store, &owned, before, BATCH, &self.queue.in_work()).await?;
            let oldest = found.iter().map(|block| now.0 - block.at.0).max().unwrap_or(0);
            metrics::lag(Duration::from_micros(u64::try_from(oldest).unwrap_or(0)));
            let is_all = found.len() < BATCH as usize;
            for block in found {
                let job = Job {
                    tenant: block.tenant,
                    day: block.day,
                    id: block.id,
                    partition: block.partition,
                    body: block.body.into(),
                    way: Way::Truth,
                    stored_at: Some(block.at),
                };
                if !self.queue.put(job, asked_at).await {
                    return Ok(());
                }
            }
            if is_all {
                return Ok(());
            }
        }
    }
}
