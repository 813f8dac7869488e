//! How much memory events on their way may take, over all streams. When it is used up, streams are not read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A permit stands for this many bytes.
const UNIT: usize = 1024;
/// What one event takes beside its text, in bytes: some twenty fields.
const EVENT: usize = 1536;
/// How often a record's text is held at once: as sent, as plain text, in fields and in columns.
const COPIES: usize = 3;

/// A shared budget; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    permits: Arc<Semaphore>,
    total: u32,
}

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        let total = u32::try_from((bytes / UNIT).max(1)).unwrap_or(u32::MAX);
        Self {
            permits: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Bytes taken, and bytes there are.
    pub(crate) fn use_and_limit(&self) -> (u64, u64) {
        let total = self.total as usize;
        let taken = total.saturating_sub(self.permits.available_permits());
        ((taken * UNIT) as u64, (total * UNIT) as u64)
    }

    /// What a batch is taken to need. More than the whole budget counts as the whole budget, so that it gets its turn.
    fn permits_for(&self, uncompressed_bytes: u64, events: u32) -> u32 {
        let text = usize::try_from(uncompressed_bytes)
            .unwrap_or(usize::MAX)
            .saturating_mul(COPIES);
        let bytes = text.saturating_add((events as usize).saturating_mul(EVENT));
        u32::try_from(bytes / UNIT + 1).unwrap_or(u32::MAX).min(self.total)
    }

    /// Takes what a batch needs, if it is there.
    pub(crate) fn try_take(&self, uncompressed_bytes: u64, events: u32) -> Option<Arc<OwnedSemaphorePermit>> {
        self.try_take_alone(uncompressed_bytes, events).map(Arc::new)
    }

    /// As [`Self::try_take`], for whoever adds up what it holds.
    pub(crate) fn try_take_alone(&self, uncompressed_bytes: u64, events: u32) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits_for(uncompressed_bytes, events);
        Arc::clone(&self.permits).try_acquire_many_owned(permits).ok()
    }

    /// Waits for what a batch needs, first come, first served. `None` after `patience`.
    pub(crate) async fn take(
        &self,
        uncompressed_bytes: u64,
        events: u32,
        patience: Duration,
    ) -> Option<Arc<OwnedSemaphorePermit>> {
        self.take_alone(uncompressed_bytes, events, patience)
            .await
            .map(Arc::new)
    }

    /// As [`Self::take`], for whoever adds up what it holds.
    pub(crate) async fn take_alone(
        &self,
        uncompressed_bytes: u64,
        events: u32,
        patience: Duration,
    ) -> Option<OwnedSemaphorePermit> {
        let permits = self.permits_for(uncompressed_bytes, events);
        let taking = Arc::clone(&self.permits).acquire_many_owned(permits);
        match tokio::time::timeout(patience, taking).await {
            Ok(Ok(taken)) => Some(taken),
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn a_batch_larger_than_the_budget_takes_all_of_it() {
        let memory = Memory::new(1 << 20);
        let all = memory.try_take(16 << 20, 10_000).unwrap();
        assert!(memory.try_take(0, 1).is_none());
        drop(all);
        assert!(memory.try_take(0, 1).is_some());
    }
}
