//! What a collector keeps of a delivery beside the blocks: refusals, gaps, repetitions and receipts. Whatever a receipt
//! says without a stored event to show for it is written here first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{AgentId, Epoch, SourceId, Tenant};
use proto::ingest::v1::{Drop, DropReason, DropReport};
use storage::agents::{DropTotal, record_drops};
use storage::deliveries::{self, GivenUp, Numbering, Progress, Receipt, Refused};
use storage::heard::{self, Origin};
use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::intake::Settled;

/// Most entries taken of one report.
const MAX_ENTRIES: usize = 100;
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LAST_DELAY: Duration = Duration::from_secs(2);

/// The records of one endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    tenant: Tenant,
    agent: AgentId,
    shutdown: CancellationToken,
}

/// The collector stopped before it could be written; nothing may be acknowledged that depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the collector stopped before it could record what it did not take")]
pub(crate) struct Unrecorded;

impl Ledger {
    pub(crate) fn new(store: Store, tenant: Tenant, agent: AgentId, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            store,
            tenant,
            agent,
            shutdown,
        }))
    }

    fn numbering(&self, epoch: Epoch) -> Numbering {
        Numbering {
            tenant: self.0.tenant.clone(),
            source: SourceId::agent(self.0.agent),
            epoch,
        }
    }

    /// Notes that the endpoint uses this epoch.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn open(&self, epoch: Epoch) -> Result<(), Error> {
        deliveries::open(&self.0.store, &self.numbering(epoch)).await
    }

    /// Writes down what of a settled batch is not stored, however long it takes.
    pub(crate) async fn settled(
        &self,
        epoch: Epoch,
        first_seq: u64,
        count: u32,
        settled: &Settled,
    ) -> Result<(), Unrecorded> {
        let entry = |reason: &str, events: u32| Refused {
            first_seq,
            count,
            events,
            reason: reason.to_owned(),
        };
        let entries: Vec<Refused> = match settled {
            Settled::Refused(refusal) => vec![entry(refusal.reason(), count)],
            Settled::Taken { dropped, .. } => {
                let mut by_reason = BTreeMap::new();
                for (reason, events) in dropped {
                    *by_reason.entry(*reason).or_insert(0) += events;
                }
                by_reason
                    .into_iter()
                    .map(|(reason, events)| entry(reason, events))
                    .collect()
            }
        };
        let numbering = self.numbering(epoch);
        for refused in entries {
            self.insist(Entry::Refused(numbering.clone(), refused)).await?;
        }
        Ok(())
    }

    /// Writes down what the endpoint says it had to give up, and counts it once, however long it takes.
    pub(crate) async fn gave_up(&self, report: DropReport) -> Result<(), Unrecorded> {
        let agent = self.0.agent;
        for entry in report.drops.iter().take(MAX_ENTRIES) {
            let total = total(entry);
            let grown = self.insist(Entry::Total(total.clone())).await?;
            if grown > 0 {
                metrics::counter!("picket_collector_events_dropped_total", "reason" => metric(total.reason))
                    .increment(grown);
                tracing::warn!(agent.id = %agent, reason = total.reason, events = grown, total = total.total,
                    "agent gave up events");
            }
            if entry.count > 0 {
                let numbering = self.numbering(total.epoch);
                let given_up = GivenUp {
                    reason: total.reason.to_owned(),
                    first_seq: entry.first_seq,
                    count: entry.count,
                };
                self.insist(Entry::GivenUp(numbering, given_up)).await?;
            }
        }
        Ok(())
    }

    /// Notes that a batch did not follow from the one before, as well as it goes.
    pub(crate) fn chain_break(&self, epoch: Epoch, first_seq: u64) {
        let ledger = self.clone();
        tokio::spawn(async move {
            let numbering = ledger.numbering(epoch);
            let noted = deliveries::break_chain(&ledger.0.store, &numbering, first_seq).await;
            if let Err(error) = noted {
                tracing::warn!(agent.id = %ledger.0.agent, error = &error as &dyn std::error::Error, "cannot record a break of the chain");
            }
        });
    }

    /// Notes how far the endpoint's delivery is.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn note(&self, epoch: Epoch, progress: &Progress) -> Result<(), Error> {
        deliveries::note(&self.0.store, &self.numbering(epoch), progress).await
    }

    /// Answers by how much a total grew.
    async fn write(&self, entry: &Entry) -> Result<u64, Error> {
        let store = &self.0.store;
        match entry {
            Entry::Refused(numbering, refused) => deliveries::refuse(store, numbering, refused).await.map(|()| 0),
            Entry::GivenUp(numbering, given_up) => deliveries::give_up(store, numbering, given_up).await.map(|()| 0),
            Entry::Total(total) => record_drops(store, &self.0.tenant, self.0.agent, total).await,
        }
    }

    async fn insist(&self, entry: Entry) -> Result<u64, Unrecorded> {
        let mut delay = FIRST_DELAY;
        loop {
            match self.write(&entry).await {
                Ok(done) => return Ok(done),
                Err(error) if delay == FIRST_DELAY => {
                    tracing::warn!(agent.id = %self.0.agent, error = &error as &dyn std::error::Error,
                        "cannot record what was not taken, trying until it is");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = self.0.shutdown.cancelled() => return Err(Unrecorded),
                () = tokio::time::sleep(delay) => {}
            }
            delay = (delay * 2).min(LAST_DELAY);
        }
    }
}

/// What has to be written before a receipt may say so.
enum Entry {
    Refused(Numbering, Refused),
    GivenUp(Numbering, GivenUp),
    Total(DropTotal),
}

/// What is noted of a stream now and then: the newest receipt of each epoch, what came again, and who was heard.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    epochs: BTreeMap<Epoch, Progress>,
    heard: BTreeSet<Origin>,
    /// Sources that were noted before.
    known: BTreeSet<Origin>,
    heard_noted_at: Option<Instant>,
}

/// Sources of a stream that are told apart.
const MAX_HEARD: usize = 256;
/// Time between two notes of who was heard.
const HEARD: Duration = Duration::from_secs(10);

/// Notes on their way.
#[derive(Debug)]
pub(crate) struct Taken {
    epochs: BTreeMap<Epoch, Progress>,
    heard: BTreeSet<Origin>,
    /// Whether some of those were not noted before.
    new: bool,
}

/// Notes that may not have been written.
#[derive(Debug)]
pub(crate) struct Unnoted {
    /// See [`Notes::unsure`].
    pub(crate) heard: BTreeSet<Origin>,
    pub(crate) error: Error,
}

impl Notes {
    pub(crate) fn receipt(&mut self, epoch: Epoch, receipt: Receipt) {
        self.epochs.entry(epoch).or_default().receipt = Some(receipt);
    }

    pub(crate) fn repeated(&mut self, epoch: Epoch, events: u32) {
        let progress = self.epochs.entry(epoch).or_default();
        progress.repeated_batches += 1;
        progress.repeated_events += u64::from(events);
    }

    /// Sources that events came from.
    pub(crate) fn heard(&mut self, origins: Vec<Origin>) {
        for origin in origins {
            if self.heard.len() < MAX_HEARD {
                self.heard.insert(origin);
            }
        }
    }

    /// What was taken could not be written for sure: who was heard is written again, as if for the first time.
    pub(crate) fn unsure(&mut self, heard: BTreeSet<Origin>) {
        self.known.clear();
        self.heard_noted_at = None;
        self.heard(heard.into_iter().collect());
    }

    /// Takes what is to be written; who was heard not more often than every ten seconds, unless it is the last time.
    pub(crate) fn take(&mut self, last: bool) -> Taken {
        let due = last || self.heard_noted_at.is_none_or(|at| at.elapsed() >= HEARD);
        let heard = if due && !self.heard.is_empty() {
            self.heard_noted_at = Some(Instant::now());
            std::mem::take(&mut self.heard)
        } else {
            BTreeSet::new()
        };
        let new = !heard.is_subset(&self.known);
        if self.known.len() < MAX_HEARD {
            self.known.extend(heard.iter().cloned());
        }
        Taken {
            epochs: std::mem::take(&mut self.epochs),
            heard,
            new,
        }
    }
}

impl Taken {
    /// Writes them down. What cannot be written is lost, but for who was heard, which comes back with the error: the next
    /// receipt says as much, and repetitions are counted in the metrics too.
    pub(crate) async fn write(self, ledger: &Ledger) -> Result<(), Unnoted> {
        let noted = async {
            for (epoch, progress) in &self.epochs {
                ledger.note(*epoch, progress).await?;
            }
            let (store, tenant, agent) = (&ledger.0.store, &ledger.0.tenant, ledger.0.agent);
            heard::note(store, tenant, agent, &self.heard, self.new).await
        };
        let noted = noted.await;
        noted.map_err(|error| Unnoted {
            heard: self.heard,
            error,
        })
    }
}

fn total(entry: &Drop) -> DropTotal {
    DropTotal {
        reason: match entry.reason() {
            DropReason::Unspecified => "unspecified",
            DropReason::SpoolFull => "spool_full",
            DropReason::SensorOverflow => "sensor_overflow",
            DropReason::SpoolCorrupt => "spool_corrupt",
        },
        epoch: Epoch(entry.epoch),
        total: entry.total.max(entry.count),
    }
}

fn metric(reason: &'static str) -> &'static str {
    match reason {
        "spool_full" => "agent_spool_full",
        "sensor_overflow" => "agent_sensor_overflow",
        "spool_corrupt" => "agent_spool_corrupt",
        _ => "agent_unspecified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str) -> Origin {
        Origin {
            kind: "file".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn who_was_heard_is_put_on_record_though_the_first_note_failed() {
        let mut notes = Notes::default();
        notes.heard(vec![origin("a")]);
        let first = notes.take(false);
        assert!(first.new && first.heard.contains(&origin("a")));
        // The database was away. Nothing more comes from it: it would never be missed.
        notes.unsure(first.heard);
        let again = notes.take(false);
        assert!(again.new && again.heard.contains(&origin("a")), "{again:?}");
        notes.heard(vec![origin("a")]);
        assert!(!notes.take(true).new, "on record by then");
        notes.unsure(BTreeSet::new());
        notes.heard(vec![origin("a")]);
        assert!(notes.take(true).new, "nobody knows whether it is");
    }
}
