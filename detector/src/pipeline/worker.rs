//! Working off the queue: evaluate, store the alerts, mark the block done.
//!
//! A block is marked done only after a majority holds all its alerts, and only while the partition's lease is held.
//! Whatever fails before that leaves the block pending, and the truth path brings it again; since alerts have derived
//! ids, repeating the work changes nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use intel::IndicatorSet;
use model::alert::Alert;
use model::{NodeId, Timestamp};
use storage::{Store, alerts, blocks};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::evaluate::{EvaluateError, Evaluator, Outcome, Working};
use super::queue::{Claimed, Jobs};
use crate::correlate::settle::SettleError;
use crate::correlate::stage::Stage;
use crate::intel::alerting::IntelConfig;
use crate::metrics::{self, BlockEnd};
use crate::partitions::Ownership;
use crate::rules::compiled::Compiled;
use crate::rules::usage::Usage;

/// Pause after the database was found to be away, so that blocks are not evaluated in vain all the time.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest note kept with a block that could not be evaluated, in characters.
const MAX_NOTE_CHARS: usize = 200;

/// What every worker uses.
pub(crate) struct Workers {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) rules: Arc<ArcSwap<Compiled>>,
    pub(crate) indicators: Arc<ArcSwap<IndicatorSet>>,
    pub(crate) intel: Arc<IntelConfig>,
    /// What rules cost and see.
    pub(crate) usage: Arc<Usage>,
    /// Where findings of more than one event go.
    pub(crate) stage: Stage,
    /// One for each block that may be evaluated at a time: as many as there are cores.
    pub(crate) cores: Arc<Semaphore>,
    /// One for each block whose findings may wait to be settled.
    pub(crate) settling: Semaphore,
    /// Working memories that nobody uses at the moment.
    pub(crate) scratches: Mutex<Vec<Working>>,
    /// Whether the database was away at the last try; for logging that once.
    pub(crate) away: std::sync::atomic::AtomicBool,
}

impl Workers {
    /// Works until `shutdown`, then finishes what is begun and leaves what waits to other nodes.
    pub(crate) async fn run(self: Arc<Self>, mut jobs: Jobs, shutdown: CancellationToken) -> anyhow::Result<()> {
        // Twice as many blocks as cores: while one's alerts are being stored, another is evaluated.
        let at_once = Arc::new(Semaphore::new(self.cores.available_permits() * 2));
        let tracker = TaskTracker::new();
        loop {
            let slot = tokio::select! {
                () = shutdown.cancelled() => break,
                slot = Arc::clone(&at_once).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { break };
            let claimed = tokio::select! {
                () = shutdown.cancelled() => break,
                claimed = jobs.recv() => claimed,
            };
            let Some(claimed) = claimed else { break };
            let workers = Arc::clone(&self);
            tracker.spawn(async move { workers.work(claimed, slot).await });
        }
        tracker.close();
        tracker.wait().await;
        Ok(())
    }

    async fn work(&self, claimed: Claimed, slot: OwnedSemaphorePermit) {
        let way = claimed.job.way;
        let block = claimed.job.id;
        let end = match self.try_work(claimed, slot).await {
            Ok(end) => {
                self.database_is_back();
                end
            }
            Err(error) => {
                self.database_failed(&error, block);
                tokio::time::sleep(PAUSE).await;
                BlockEnd::Retried
            }
        };
        metrics::block(way, end);
    }

    async fn try_work(&self, claimed: Claimed, slot: OwnedSemaphorePermit) -> Result<BlockEnd, Interrupted> {
        let partition = claimed.job.partition;
        let Some(fence) = self.ownership.fence(partition) else {
            return Ok(BlockEnd::NotOwned);
        };
        let claimed = Arc::new(claimed);
        let error = match self.evaluate(&claimed, slot).await? {
            Ok(outcome) => {
                metrics::evaluated(&outcome);
                None
            }
            Err(Fault::NotEvaluable(reason)) => {
                tracing::error!(
                    block.id = %claimed.job.id,
                    block.day = %claimed.job.day,
                    error = reason,
                    "block not evaluable, its events were not looked at"
                );
                Some(reason)
            }
            Err(Fault::GivenUp) => return Ok(BlockEnd::Retried),
        };
        // Somebody else may have taken the partition over meanwhile; then the block is theirs to finish.
        if self.ownership.fence(partition) != Some(fence) {
            return Ok(BlockEnd::NotOwned);
        }
        let job = &claimed.job;
        let marked = blocks::mark_done(&self.store, job.day, job.id, &self.node, fence, error.as_deref()).await?;
        if let Some(stored_at) = job.stored_at {
            tracing::debug!(block.id = %job.id, stored_at = %stored_at, "pending block done");
        }
        claimed.done();
        Ok(match (error, marked) {
            (Some(_), _) => BlockEnd::NotEvaluable,
            (None, true) => BlockEnd::Done,
            (None, false) => BlockEnd::DoneBefore,
        })
    }

    /// Evaluates on a thread of its own and stores alerts as they come.
    async fn evaluate(
        &self,
        claimed: &Arc<Claimed>,
        slot: OwnedSemaphorePermit,
    ) -> Result<Result<Outcome, Fault>, Interrupted> {
        let Ok(core) = Arc::clone(&self.cores).acquire_owned().await else {
            return Ok(Err(Fault::GivenUp));
        };
        let rules = self.rules.load_full();
        let evaluator = Evaluator {
            rules: Arc::clone(&rules),
            indicators: self.indicators.load_full(),
            intel: Arc::clone(&self.intel),
        };
        let mut scratch = self.scratches().pop().unwrap_or_default();
        scratch.is_counted = self.usage.is_wanted(&claimed.job.tenant);
        let (sender, mut chunks) = mpsc::channel::<Vec<Alert>>(1);
        let to_evaluate = Arc::clone(claimed);
        let evaluating = tokio::task::spawn_blocking(move || {
            let processed_at = Timestamp::from_millis(Timestamp::now().as_millis());
            let job = &to_evaluate.job;
            let outcome = evaluator.block(&job.tenant, &job.body, processed_at, &mut scratch, &mut |chunk| {
                sender.blocking_send(chunk).is_ok()
            });
            drop(core);
            (scratch, outcome)
        });
        let mut stored = Ok(());
        while let Some(chunk) = chunks.recv().await {
            stored = self.store_alerts(&chunk).await;
            if stored.is_err() {
                // Tells the evaluation that nobody listens.
                chunks.close();
                break;
            }
        }
        let (outcome, findings) = match evaluating.await {
            Ok((mut scratch, outcome)) => {
                let findings = std::mem::take(&mut scratch.findings);
                if let Some(rules) = rules.tenant(&claimed.job.tenant) {
                    self.usage
                        .note(&claimed.job.tenant, rules, &std::mem::take(&mut scratch.seen));
                    if let Some(profile) = scratch.profile.take() {
                        self.usage.add(&claimed.job.tenant, rules, &profile);
                    }
                }
                self.scratches().push(scratch);
                (outcome, findings)
            }
            Err(error) => return Ok(Err(Fault::NotEvaluable(note(&error)))),
        };
        stored?;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(EvaluateError::Decode(error)) => return Ok(Err(Fault::NotEvaluable(note(&error)))),
            Err(EvaluateError::GivenUp) => return Ok(Err(Fault::GivenUp)),
        };
        metrics::correlation_unused(&findings.lost);
        if !findings.is_empty() {
            // Findings of many blocks are settled together, so that blocks that only wait for it do not keep others from
            // being evaluated.
            let Ok(_settling) = self.settling.acquire().await else {
                return Ok(Err(Fault::GivenUp));
            };
            drop(slot);
            match self.stage.settle(rules, claimed.job.tenant.clone(), findings).await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(Interrupted::Unsettled(error)),
                None => return Ok(Err(Fault::GivenUp)),
            }
        }
        Ok(Ok(outcome))
    }

    async fn store_alerts(&self, chunk: &[Alert]) -> Result<(), storage::Error> {
        let error = match alerts::insert(&self.store, chunk).await {
            Ok(new) => {
                metrics::alerts(new);
                return Ok(());
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => error,
        };
        tracing::debug!(%error, alerts = chunk.len(), "alerts refused together, storing them one by one");
        for alert in chunk {
            match alerts::insert(&self.store, std::slice::from_ref(alert)).await {
                Ok(new) => metrics::alerts(new),
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => {
                    metrics::alert_lost();
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(alert.id = %alert.id, rule.id = alert.rule_id, error, "alert refused by the database");
                }
            }
        }
        Ok(())
    }

    fn scratches(&self) -> std::sync::MutexGuard<'_, Vec<Working>> {
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database_failed(&self, error: &Interrupted, block: blocks::BlockId) {
        let error: &dyn std::error::Error = error;
        if self.away.swap(true, std::sync::atomic::Ordering::Relaxed) {
            tracing::debug!(block.id = %block, error, "block stays pending");
        } else {
            tracing::warn!(block.id = %block, error, "detection interrupted, blocks stay pending until the database answers");
        }
    }

    fn database_is_back(&self) {
        if self.away.swap(false, std::sync::atomic::Ordering::Relaxed) {
            tracing::info!("detection goes on");
        }
    }
}

fn note(error: &dyn std::fmt::Display) -> String {
    error.to_string().chars().take(MAX_NOTE_CHARS).collect()
}

/// Why a block stays pending; it is taken up again in a moment.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("findings not settled")]
    Unsettled(#[source] Arc<SettleError>),
}

enum Fault {
    /// It will never work; the reason is kept with the block.
    NotEvaluable(String),
    /// The process is stopping or alerts could not be stored.
    GivenUp,
}
