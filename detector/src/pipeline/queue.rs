//! Blocks waiting for a worker, bounded in number and bytes, and the memory of those that were looked at.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use model::{Partition, Tenant, Timestamp};
use storage::blocks::{BlockId, Day};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::bytes::Bytes;

/// Most blocks waiting.
const MAX_JOBS: usize = 128;
/// Most bytes of blocks waiting or being looked at, in KiB.
const MAX_KIB: u32 = 64 << 10;
/// Blocks remembered as done.
const REMEMBERED: usize = 8192;

/// How a block came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Sent by the collector that stored it.
    Fast,
    /// Found pending in MongoDB.
    Truth,
}

/// A block to look at.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) tenant: Tenant,
    pub(crate) day: Day,
    pub(crate) id: BlockId,
    pub(crate) partition: Partition,
    pub(crate) body: Bytes,
    pub(crate) way: Way,
    /// When it was stored, where that is known.
    pub(crate) stored_at: Option<Timestamp>,
}

/// A job that counts as in work until it is dropped.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) job: Job,
    claim: Claim,
    _room: OwnedSemaphorePermit,
}

impl Claimed {
    /// Remembers the block as done.
    pub(crate) fn done(&self) {
        self.claim.known.lock().finish(self.job.id);
    }
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It will be looked at.
    Queued,
    /// It is in work or was done a moment ago.
    Known,
    /// There is no room.
    Full,
}

/// The way in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Claimed>,
    room: Arc<Semaphore>,
    known: Known,
}

/// The way out.
pub(crate) type Jobs = mpsc::Receiver<Claimed>;

impl Queue {
    pub(crate) fn new() -> (Self, Jobs) {
        let (sender, jobs) = mpsc::channel(MAX_JOBS);
        let queue = Self {
            sender,
            room: Arc::new(Semaphore::new(MAX_KIB as usize)),
            known: Known::default(),
        };
        (queue, jobs)
    }

    /// Takes the job if there is room at once.
    pub(crate) fn offer(&self, job: Job) -> Offered {
        let Some(claim) = self.known.claim(job.id, None) else {
            return Offered::Known;
        };
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(kib(&job)) else {
            return Offered::Full;
        };
        let claimed = Claimed {
            job,
            claim,
            _room: room,
        };
        match self.sender.try_send(claimed) {
            Ok(()) => Offered::Queued,
            Err(_) => Offered::Full,
        }
    }

    /// Waits for room for a block that was pending when the database was asked at `asked_at`. It is left out if it was
    /// done since; one that was done before is pending again for a reason. False when there will be no room any more.
    pub(crate) async fn put(&self, job: Job, asked_at: Instant) -> bool {
        let Some(claim) = self.known.claim(job.id, Some(asked_at)) else {
            return true;
        };
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(kib(&job)).await else {
            return false;
        };
        self.sender
            .send(Claimed {
                job,
                claim,
                _room: room,
            })
            .await
            .is_ok()
    }

    /// Blocks that are waiting or in work.
    pub(crate) fn in_work(&self) -> Vec<BlockId> {
        self.known.lock().in_work.iter().copied().collect()
    }

    /// Whether workers have less than half of what may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.sender.capacity() > MAX_JOBS / 2 && self.room.available_permits() > MAX_KIB as usize / 2
    }
}

fn kib(job: &Job) -> u32 {
    u32::try_from(job.body.len() / 1024 + 1).unwrap_or(MAX_KIB).min(MAX_KIB)
}

#[derive(Clone, Debug, Default)]
struct Known(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    in_work: HashSet<BlockId>,
    done: HashMap<BlockId, Instant>,
    done_order: VecDeque<BlockId>,
}

#[derive(Debug)]
struct Claim {
    known: Known,
    id: BlockId,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when the block is in work, or was done after `asked_at` (ever, if that is `None`).
    fn claim(&self, id: BlockId, asked_at: Option<Instant>) -> Option<Claim> {
        let mut memory = self.lock();
        let is_done = memory
            .done
            .get(&id)
            .is_some_and(|done_at| asked_at.is_none_or(|asked_at| *done_at >= asked_at));
        (!is_done && memory.in_work.insert(id)).then(|| Claim {
            known: self.clone(),
            id,
        })
    }
}

impl Memory {
    fn finish(&mut self, id: BlockId) {
        if self.done.insert(id, Instant::now()).is_none() {
            self.done_order.push_back(id);
        }
        if self.done_order.len() > REMEMBERED
            && let Some(oldest) = self.done_order.pop_front()
        {
            self.done.remove(&oldest);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.known.lock().in_work.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: BlockId, bytes: usize) -> Job {
        Job {
            tenant: Tenant::default(),
            day: Day::MISDATED,
            id,
            partition: Partition::new(0).unwrap(),
            body: vec![0; bytes].into(),
            way: Way::Fast,
            stored_at: None,
        }
    }

    #[tokio::test]
    async fn a_block_is_in_work_once_and_forgotten_unless_done() {
        let (queue, mut jobs) = Queue::new();
        let id = BlockId::generate();
        assert_eq!(queue.offer(job(id, 10)), Offered::Queued);
        assert_eq!(queue.offer(job(id, 10)), Offered::Known);
        assert_eq!(queue.in_work(), [id]);
        drop(jobs.recv().await);
        assert!(queue.in_work().is_empty());
        assert_eq!(queue.offer(job(id, 10)), Offered::Queued);
        jobs.recv().await.unwrap().done();
        assert_eq!(queue.offer(job(id, 10)), Offered::Known);
        assert!(queue.in_work().is_empty());
        // Asked before it was done: the answer is out of date. Asked since: somebody wants it looked at again.
        let long_ago = Instant::now().checked_sub(std::time::Duration::from_secs(60)).unwrap();
        assert!(queue.put(job(id, 10), long_ago).await);
        assert!(queue.in_work().is_empty());
        assert!(queue.put(job(id, 10), Instant::now()).await);
        assert_eq!(queue.in_work(), [id]);
    }

    #[tokio::test]
    async fn number_and_bytes_of_what_waits_are_bounded() {
        let (queue, mut jobs) = Queue::new();
        for _ in 0..MAX_JOBS {
            assert_eq!(queue.offer(job(BlockId::generate(), 10)), Offered::Queued);
        }
        assert_eq!(queue.offer(job(BlockId::generate(), 10)), Offered::Full);
        assert!(!queue.has_room());
        for _ in 0..MAX_JOBS {
            drop(jobs.recv().await);
        }
        assert_eq!(
            queue.offer(job(BlockId::generate(), MAX_KIB as usize * 2048)),
            Offered::Queued
        );
        let refused = BlockId::generate();
        assert_eq!(queue.offer(job(refused, 10)), Offered::Full);
        drop(jobs.recv().await);
        assert_eq!(queue.offer(job(refused, 10)), Offered::Queued);
        assert!(queue.has_room());
    }

    #[test]
    fn the_memory_of_done_blocks_is_bounded() {
        let mut memory = Memory::default();
        for _ in 0..REMEMBERED + 10 {
            memory.finish(BlockId::generate());
        }
        assert_eq!((memory.done.len(), memory.done_order.len()), (REMEMBERED, REMEMBERED));
    }
}
