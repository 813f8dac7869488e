//! What the pipeline and the uplink know of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Shared between the pipeline, the uplink and the status page.
#[derive(Debug, Default)]
pub struct Link {
    connected: AtomicBool,
    closed_events: AtomicU64,
    acked_events: AtomicU64,
    spool_error: Mutex<Option<String>>,
}

impl Link {
    /// Knows that everything below `next_seq` was closed, and everything below `acked` acknowledged, before the start.
    #[must_use]
    pub fn new(next_seq: u64, acked: u64) -> Self {
        Self {
            closed_events: AtomicU64::new(next_seq),
            acked_events: AtomicU64::new(acked),
            ..Self::default()
        }
    }

    /// Whether a batch that is closed would be sent at once with nothing before it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.connected.load(Ordering::Acquire)
            && self.acked_events.load(Ordering::Acquire) >= self.closed_events.load(Ordering::Acquire)
    }

    pub(crate) fn closed(&self, events: u64) {
        self.closed_events.fetch_add(events, Ordering::AcqRel);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    /// True when nothing is left on its way.
    pub(crate) fn acknowledged(&self, next_seq: u64) -> bool {
        self.acked_events.fetch_max(next_seq, Ordering::AcqRel);
        self.is_idle()
    }

    pub(crate) fn spool_error(&self, error: Option<String>) {
        *self.spool_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Why the spool cannot be written.
    #[must_use]
    pub fn last_spool_error(&self) -> Option<String> {
        self.spool_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
