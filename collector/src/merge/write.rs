//! Making a block durable, however long it takes.

use std::time::Duration;

use bytes::Bytes;
use model::NodeId;
use rand::Rng as _;
use storage::blocks::{BlockBatch, BlockId, Inserted, Known, NewBlock, Writer};
use tokio_util::sync::CancellationToken;

use super::block::OpenBlock;
use crate::clock::Clock;
use crate::forward::{Forward, Forwarder};
use crate::load::Gauges;
use crate::normalize;
use crate::part::{BlockKey, Outcome, Part};

/// Largest block with its filter, in bytes: MongoDB's documents end at 16 MiB.
const MAX_STORED: usize = 15 << 20;
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LAST_DELAY: Duration = Duration::from_secs(5);

/// What writing a block needs.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) writer: Writer,
    pub(crate) node: NodeId,
    pub(crate) clock: Clock,
    pub(crate) forwarder: Forwarder,
    pub(crate) gauges: Gauges,
}

impl Write {
    /// Writes a block and tells who waits for its parts. While the database is away it tries for ever, until `shutdown`:
    /// then it gives up, nobody is told anything, and the senders will send again.
    pub(super) async fn block(&self, key: BlockKey, block: OpenBlock, shutdown: &CancellationToken) {
        let mut left = vec![block];
        while let Some(block) = left.pop() {
            match self.encode(block).await {
                Ok((block, encoded)) => {
                    // What remains was found to be stored in part, and is encoded again without that.
                    left.extend(self.insert(&key, block, encoded, shutdown).await);
                }
                Err(TooLarge(block)) => match block.split() {
                    Ok((first, second)) => left.extend([second, first]),
                    Err(single) => left.extend(self.reduce(single)),
                },
            }
        }
    }

    async fn encode(&self, mut block: OpenBlock) -> Result<(OpenBlock, block::Encoded), TooLarge> {
        let events = std::mem::take(&mut block.events);
        let encoded = tokio::task::spawn_blocking(move || {
            let encoded = block::encode(&events);
            (events, encoded)
        })
        .await;
        let encoded = match encoded {
            Ok((events, encoded)) => {
                block.events = events;
                encoded
            }
            Err(error) => {
                tracing::error!(%error, "encoding a block panicked, its batches will be sent again");
                block.entries.clear();
                return Err(TooLarge(block));
            }
        };
        match encoded {
            Ok(encoded) if encoded.bytes.len() + encoded.meta.token_filter.len() <= MAX_STORED => Ok((block, encoded)),
            Ok(_) => Err(TooLarge(block)),
            Err(error) => {
                tracing::debug!(%error, events = block.events.len(), "block cannot be encoded as it is");
                Err(TooLarge(block))
            }
        }
    }

    /// A single part that no block can hold, as text only; if it is that already, it is dropped.
    fn reduce(&self, mut block: OpenBlock) -> Option<OpenBlock> {
        let entry = block.entries.first()?;
        let mut part = Part {
            key: entry.key.clone(),
            hash: entry.hash,
            link: entry.link,
            created_at: model::Timestamp::default(),
            events: std::mem::take(&mut block.events),
            weight: 0,
        };
        if part.events.iter().all(normalize::is_text_only) {
            let (key, events) = (part.key, part.events.len());
            tracing::error!(batch = %key, events, "batch does not fit into a block and was dropped");
            block.events = part.events;
            block.settle_some(|_| Some(Outcome::Unstorable));
            return None;
        }
        normalize::reduce_to_text(&mut part);
        metrics::counter!("picket_collector_events_text_only_total").increment(part.events.len() as u64);
        block.events = part.events;
        Some(block)
    }

    async fn insert(
        &self,
        key: &BlockKey,
        mut block: OpenBlock,
        encoded: block::Encoded,
        shutdown: &CancellationToken,
    ) -> Option<OpenBlock> {
        let mut new = self.document(key, &block, encoded);
        let mut retry = Retry::new();
        let _writing = self.gauges.write();
        loop {
            new.at = self.clock.now();
            let started = tokio::time::Instant::now();
            match self.writer.insert(&new).await {
                Ok(Inserted::Stored(id)) => {
                    metrics::histogram!("picket_collector_block_insert_seconds")
                        .record(started.elapsed().as_secs_f64());
                    self.stored(key, id, new);
                    block.settle_some(|_| Some(Outcome::Stored));
                    retry.succeeded();
                    return None;
                }
                Ok(Inserted::Duplicate(known)) if known.is_empty() => {}
                Ok(Inserted::Duplicate(known)) => {
                    block.settle_some(|entry| settled_as(&known, &entry.key, &entry.hash));
                    retry.succeeded();
                    return (!block.is_empty()).then_some(block);
                }
                Err(error) => retry.failed(&error),
            }
            if shutdown.is_cancelled() {
                return None;
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(retry.next_delay()) => {}
            }
        }
    }

    fn document(&self, key: &BlockKey, block: &OpenBlock, encoded: block::Encoded) -> NewBlock {
        let batches = block.entries.iter().map(|entry| BlockBatch {
            key: entry.key.clone(),
            count: u32::try_from(entry.count).unwrap_or(u32::MAX),
            hash: entry.hash,
            link: entry.link,
        });
        NewBlock {
            tenant: key.tenant.clone(),
            partition: key.partition,
            day: key.day,
            min: encoded.meta.min_time,
            max: encoded.meta.max_time,
            events: encoded.meta.count,
            batches: batches.collect(),
            ips: encoded.meta.ips,
            minutes: encoded.meta.minutes,
            token_filter: encoded.meta.token_filter,
            body: encoded.bytes,
            node: self.node.clone(),
            at: self.clock.now(),
        }
    }

    fn stored(&self, key: &BlockKey, id: BlockId, block: NewBlock) {
        metrics::counter!("picket_collector_blocks_stored_total").increment(1);
        metrics::counter!("picket_collector_events_stored_total").increment(u64::from(block.events));
        metrics::counter!("picket_collector_block_bytes_stored_total").increment(block.body.len() as u64);
        self.forwarder.offer(Forward {
            tenant: key.tenant.clone(),
            day: key.day,
            id,
            partition: key.partition,
            body: Bytes::from(block.body),
        });
    }
}

struct TooLarge(OpenBlock);

fn settled_as(known: &[Known], key: &model::BatchKey, hash: &[u8; 32]) -> Option<Outcome> {
    let known = known.iter().find(|known| known.key == *key)?;
    Some(if known.hash == *hash {
        Outcome::Duplicate
    } else {
        Outcome::Conflict
    })
}

/// Growing delays, and one log line when it begins and one when it is over.
struct Retry {
    delay: Duration,
    logged: bool,
}

impl Retry {
    fn new() -> Self {
        Self {
            delay: FIRST_DELAY,
            logged: false,
        }
    }

    fn failed(&mut self, error: &storage::Error) {
        metrics::counter!("picket_collector_block_insert_failures_total").increment(1);
        let error_chain = error as &dyn std::error::Error;
        if self.logged {
            tracing::debug!(error = error_chain, "block is still not stored");
        } else if error.is_retryable() {
            tracing::warn!(error = error_chain, "block is not stored yet, trying until it is");
        } else {
            tracing::error!(
                error = error_chain,
                "block was refused by the database, trying until it is stored"
            );
        }
        self.logged = true;
    }

    fn succeeded(&self) {
        if self.logged {
            tracing::info!("block is stored after all");
        }
    }

    fn next_delay(&mut self) -> Duration {
        let delay = self.delay;
        self.delay = (self.delay * 2).min(LAST_DELAY);
        delay.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}
