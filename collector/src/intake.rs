//! The way of one batch: checked and normalized on a blocking thread, stored in parts, settled when all parts are.

use std::sync::Arc;

use model::{Epoch, Timestamp};
use parsers::custom::CustomParser;
use proto::ingest::v1::Batch;
use storage::heard::Origin;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::batch::{Records, Refusal, verify};
use crate::enrich::Enricher;
use crate::formats::Own;
use crate::merge::Merger;
use crate::normalize::{Counts, Normalized, Numbering, Sender, normalize};
use crate::part::{Outcome, Part};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Intake {
    merger: Merger,
    enricher: Enricher,
    own: Own,
    /// One permit for each batch that may be normalized at once.
    workers: Arc<Semaphore>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Every event is stored, or dropped and counted.
    Taken {
        /// Events that are stored.
        accepted: u32,
        /// All of them were stored before.
        duplicate: bool,
        /// Some are not stored because another batch is stored under the same number.
        conflict: bool,
        /// Events that were stored before.
        repeated: u32,
        /// Events that are not stored, by reason.
        dropped: Vec<(&'static str, u32)>,
        /// Where its events come from; some of them, when they are many.
        origins: Vec<Origin>,
    },
    /// It can never be taken. Its events are counted as dropped.
    Refused(Refusal),
}

/// The collector stopped before the batch was settled; it is to be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the collector stopped before the batch was stored")]
pub(crate) struct GaveUp;

impl Settled {
    fn with_origins(mut self, found: Vec<Origin>) -> Self {
        if let Self::Taken { origins, .. } = &mut self {
            *origins = found;
        }
        self
    }
}

impl Intake {
    pub(crate) fn new(merger: Merger, enricher: Enricher, own: Own) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            merger,
            enricher,
            own,
            workers: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The parsers that operators described.
    pub(crate) fn own(&self) -> &Own {
        &self.own
    }

    /// Takes a batch. `memory` is kept until it is settled.
    pub(crate) async fn batch(
        &self,
        sender: Arc<Sender>,
        batch: Batch,
        memory: Arc<OwnedSemaphorePermit>,
    ) -> Result<Settled, GaveUp> {
        let (count, key) = (batch.count, batch.first_seq);
        metrics::counter!("picket_collector_batches_received_total").increment(1);
        metrics::counter!("picket_collector_batch_bytes_received_total").increment(batch.payload.len() as u64);
        let source = sender.source;
        let (enricher, own) = (self.enricher.clone(), self.own.of(&sender.tenant));
        match self
            .on_a_worker(move || prepare(&sender, &batch, &enricher, &own))
            .await?
        {
            Ok(normalized) => {
                count_dropped(&normalized.counts);
                let dropped = normalized
                    .counts
                    .dropped()
                    .into_iter()
                    .filter(|(_, events)| *events > 0);
                let dropped = dropped.collect();
                let origins = normalized.origins.clone();
                let settled = self.store(normalized, dropped, memory).await?;
                Ok(settled.with_origins(origins))
            }
            Err(refusal) => {
                drop_events(refusal.reason(), count);
                tracing::warn!(source.id = %source, batch.first_seq = key, reason = %refusal, "batch refused");
                Ok(Settled::Refused(refusal))
            }
        }
    }

    /// What is added to events that do not come in batches.
    pub(crate) fn enricher(&self) -> &Enricher {
        &self.enricher
    }

    /// Runs work that takes CPU time, as many at once as there are cores.
    pub(crate) async fn on_a_worker<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GaveUp> {
        let Ok(permit) = Arc::clone(&self.workers).acquire_owned().await else {
            return Err(GaveUp);
        };
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work();
            drop(permit);
            worked
        })
        .await;
        worked.map_err(|error| {
            tracing::error!(%error, "normalizing a batch panicked");
            GaveUp
        })
    }

    async fn store(
        &self,
        normalized: Normalized,
        mut dropped: Vec<(&'static str, u32)>,
        memory: Arc<OwnedSemaphorePermit>,
    ) -> Result<Settled, GaveUp> {
        let mut answers = Vec::with_capacity(normalized.parts.len());
        for part in normalized.parts {
            let events = u32::try_from(part.events.len()).unwrap_or(u32::MAX);
            answers.push((events, self.merger.submit(part, Arc::clone(&memory)).await));
        }
        drop(memory);
        let (mut accepted, mut repeated) = (0, 0);
        let mut duplicate = !answers.is_empty();
        let mut conflict = false;
        for (events, answer) in answers {
            let outcome = answer.await.map_err(|_| GaveUp)?;
            duplicate &= outcome == Outcome::Duplicate;
            match outcome {
                Outcome::Stored => accepted += events,
                Outcome::Duplicate => {
                    accepted += events;
                    repeated += events;
                    metrics::counter!("picket_collector_events_repeated_total").increment(u64::from(events));
                }
                Outcome::Conflict => {
                    conflict = true;
                    drop_events("batch_conflict", events);
                    dropped.push(("batch_conflict", events));
                }
                Outcome::Unstorable => {
                    drop_events("batch_unstorable", events);
                    dropped.push(("batch_unstorable", events));
                }
            }
        }
        Ok(Settled::Taken {
            accepted,
            duplicate,
            conflict,
            repeated,
            dropped,
            origins: Vec::new(),
        })
    }

    /// Stores a part that came by another way than a batch.
    pub(crate) async fn part(
        &self,
        part: Part,
        memory: Arc<OwnedSemaphorePermit>,
    ) -> tokio::sync::oneshot::Receiver<Outcome> {
        self.merger.submit(part, memory).await
    }
}

fn prepare(
    sender: &Sender,
    batch: &Batch,
    enricher: &Enricher,
    own: &[Arc<CustomParser>],
) -> Result<Normalized, Refusal> {
    let verified = verify(batch)?;
    let records = Records::parse(&verified.plain)?;
    let numbering = Numbering {
        epoch: Epoch(batch.epoch),
        first_seq: batch.first_seq,
        created_at: Timestamp(batch.created_at_micros),
        hash: verified.hash,
        link: Some(verified.link),
    };
    let mut normalized = normalize(sender, &numbering, &records, own, Timestamp::now());
    enricher.batch(&mut normalized);
    Ok(normalized)
}

/// Counts events that are gone for good.
pub(crate) fn drop_events(reason: &'static str, events: u32) {
    if events > 0 {
        metrics::counter!("picket_collector_events_dropped_total", "reason" => reason).increment(u64::from(events));
    }
}

/// Counts what normalizing could not take, and what it could take only in part.
pub(crate) fn count_dropped(counts: &Counts) {
    for (reason, events) in counts.dropped() {
        drop_events(reason, events);
    }
    metrics::counter!("picket_collector_events_received_total").increment(u64::from(counts.accepted));
    if counts.warned > 0 {
        metrics::counter!("picket_collector_events_with_warnings_total").increment(u64::from(counts.warned));
    }
    if counts.ahead > 0 {
        metrics::counter!("picket_collector_events_ahead_total").increment(u64::from(counts.ahead));
    }
    if counts.text_only > 0 {
        metrics::counter!("picket_collector_events_text_only_total").increment(u64::from(counts.text_only));
    }
}
