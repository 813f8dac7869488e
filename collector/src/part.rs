//! What is stored as one: a run of consecutive events under one key.
//!
//! A batch of more than [`MAX_EVENTS`] records or [`MAX_RAW_BYTES`] bytes becomes several parts, each under the key of
//! its own first number. Where the cuts are depends only on the records as they were sent, so a batch that is sent again
//! falls into the same parts even if another version parses it.

use std::sync::Arc;

use model::chain::Link;
use model::{BatchKey, Event, Partition, Timestamp};
use storage::blocks::Day;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Most events in a part, and the number at which a block is full.
pub(crate) const MAX_EVENTS: usize = 4000;
/// A part is closed before its records would have more bytes than this, unless it has only one.
pub(crate) const MAX_RAW_BYTES: usize = 2 << 20;

/// Blocks hold parts of one tenant, partition and day.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockKey {
    pub(crate) tenant: model::Tenant,
    pub(crate) partition: Partition,
    pub(crate) day: Day,
}

/// Consecutive events, normalized.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) key: BatchKey,
    /// The hash of the batch it is of.
    pub(crate) hash: [u8; 32],
    /// What that hash was computed from; `None` for senders whose batches have none.
    pub(crate) link: Option<Link>,
    /// Decides the day.
    pub(crate) created_at: Timestamp,
    /// Never empty; each weighs at most [`crate::normalize::MAX_EVENT_WEIGHT`].
    pub(crate) events: Vec<Event>,
    /// Sum of the events' weights, in bytes.
    pub(crate) weight: usize,
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stored by a majority, just so.
    Stored,
    /// Stored by a majority before.
    Duplicate,
    /// Not stored, because another batch is stored under its key.
    Conflict,
    /// Not stored, because no block can hold it.
    Unstorable,
}

/// A part on its way into a block.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) part: Part,
    /// Told when it is settled. Several, when one batch came in over two streams.
    pub(crate) waiting: Vec<oneshot::Sender<Outcome>>,
    /// Memory it is allowed to take; given back when it is settled.
    pub(crate) _memory: Arc<OwnedSemaphorePermit>,
}

impl Pending {
    /// Tells everybody who waits.
    pub(crate) fn settle(self, outcome: Outcome) {
        for waiting in self.waiting {
            // A stream that was closed meanwhile does not care any more.
            let _ = waiting.send(outcome);
        }
    }
}
