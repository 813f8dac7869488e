//! Merging parts into blocks: of all streams, by tenant, partition and day, for some milliseconds.
//!
//! One task collects. A block is due when it is full or has been open for the linger time, and is written as soon as fewer
//! than [`MAX_WRITES`] writes are under way; until then it goes on filling, so blocks grow with the load by themselves.
//! Memory is not bounded here but by what parts hold: see [`crate::memory`].

mod block;
mod write;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::Partition;
use storage::blocks::Day;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::part::{BlockKey, Outcome, Part, Pending};

use block::OpenBlock;
pub(crate) use write::Write;

/// Blocks being encoded or inserted at once.
const MAX_WRITES: usize = 4;
const QUEUE: usize = 256;

/// Takes parts; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Merger {
    queue: mpsc::Sender<(BlockKey, Pending)>,
    clock: Clock,
}

impl Merger {
    /// A merger and the task that does its work. The task ends when every clone of the merger is gone and all is written,
    /// or when writing fails after `shutdown`.
    pub(crate) fn new(
        write: Write,
        linger: Duration,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let (queue, submitted) = mpsc::channel(QUEUE);
        let task = Task {
            write: Arc::new(write),
            linger,
            shutdown,
            open: HashMap::new(),
            due: VecDeque::new(),
        };
        (Self { queue, clock }, task.run(submitted))
    }

    /// Takes a part. The answer comes when it is settled; it is an error when the collector gave up on it, which it does
    /// only while shutting down.
    pub(crate) async fn submit(&self, part: Part, memory: Arc<OwnedSemaphorePermit>) -> oneshot::Receiver<Outcome> {
        let (settled, answer) = oneshot::channel();
        let key = BlockKey {
            tenant: part.key.tenant.clone(),
            partition: Partition::of(&part.key.tenant, &part.key.source),
            day: Day::of_batch(part.created_at, self.clock.now()),
        };
        let pending = Pending {
            part,
            waiting: vec![settled],
            _memory: memory,
        };
        // When the task is gone, so is `settled`, and the receiver says so.
        let _ = self.queue.send((key, pending)).await;
        answer
    }
}

struct Task {
    write: Arc<Write>,
    linger: Duration,
    shutdown: CancellationToken,
    open: HashMap<BlockKey, (OpenBlock, Instant)>,
    /// Full blocks that wait for a write to end.
    due: VecDeque<(BlockKey, OpenBlock)>,
}

impl Task {
    async fn run(mut self, mut submitted: mpsc::Receiver<(BlockKey, Pending)>) -> anyhow::Result<()> {
        let mut writes: JoinSet<()> = JoinSet::new();
        let mut closed = false;
        loop {
            self.start(&mut writes, closed);
            self.write.gauges.blocks_waiting(self.open.len() + self.due.len());
            if closed && writes.is_empty() {
                return Ok(());
            }
            let next = if writes.len() < MAX_WRITES {
                self.next_deadline()
            } else {
                None
            };
            tokio::select! {
                received = submitted.recv(), if !closed => match received {
                    Some((key, pending)) => self.add(key, pending),
                    None => closed = true,
                },
                Some(written) = writes.join_next() => {
                    if let Err(error) = written {
                        // Whoever waits for its parts is told by the loss of their channels and sends them again.
                        tracing::error!(%error, "writing a block panicked");
                    }
                }
                () = sleep_until(next) => {}
            }
        }
    }

    fn add(&mut self, key: BlockKey, pending: Pending) {
        let (open, _) = self
            .open
            .entry(key.clone())
            .or_insert_with(|| (OpenBlock::default(), Instant::now() + self.linger));
        if !open.fits(&pending.part) {
            let full = std::mem::take(open);
            self.due.push_back((key.clone(), full));
        }
        let Some((open, opened)) = self.open.get_mut(&key) else {
            return;
        };
        if open.is_empty() {
            *opened = Instant::now() + self.linger;
        }
        open.add(pending);
        if open.is_full()
            && let Some((full, _)) = self.open.remove(&key)
        {
            self.due.push_back((key, full));
        }
    }

    fn start(&mut self, writes: &mut JoinSet<()>, all: bool) {
        let now = Instant::now();
        while writes.len() < MAX_WRITES {
            let next = self.due.pop_front().or_else(|| {
                let key = self
                    .open
                    .iter()
                    .filter(|(_, (_, deadline))| all || *deadline <= now)
                    .min_by_key(|(_, (_, deadline))| *deadline)
                    .map(|(key, _)| key.clone())?;
                let (open, _) = self.open.remove(&key)?;
                Some((key, open))
            });
            let Some((key, open)) = next else { return };
            let write = Arc::clone(&self.write);
            let shutdown = self.shutdown.clone();
            writes.spawn(async move { write.block(key, open, &shutdown).await });
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.open.values().map(|(_, deadline)| *deadline).min()
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
