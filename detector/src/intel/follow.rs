//! From MongoDB into memory, within about a second of any change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use intel::IndicatorSet;
use model::Timestamp;
use storage::indicators::{self, Change, Changes, REMOVALS_KEPT};
use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Changes read before they are taken over: bounds what is in memory besides the set.
const BATCH: usize = 20_000;

/// Indicators swapped by one task and read by all.
pub(crate) type Shared = Arc<ArcSwap<IndicatorSet>>;

/// Takes added, changed and removed indicators over.
pub(crate) struct Follower {
    store: Store,
    shared: Shared,
    until: Option<Timestamp>,
    looked_at: Instant,
}

impl Follower {
    pub(crate) fn new(store: Store, shared: Shared) -> Self {
        Self {
            store,
            shared,
            until: None,
            looked_at: Instant::now(),
        }
    }

    /// Looks twice a second until `shutdown`. While the database is away the last indicators stay in use.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        let mut pause = LOOK;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            let started = Instant::now();
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "indicators not refreshed, trying again"
                        );
                    }
                    failing = true;
                }
            }
            // While a large feed is being stored, what was seen a moment ago is read again and again.
            pause = LOOK.max(started.elapsed());
        }
    }

    /// Takes over what changed since the last look.
    ///
    /// # Errors
    /// When the database is away; then nothing is taken over.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        if self.looked_at.elapsed() > REMOVALS_KEPT / 2 {
            // Marks of removals may be gone by now.
            self.until = None;
        }
        let mut found = indicators::changes(&self.store, self.until).await?;
        let current = self.shared.load_full();
        let is_from_start = self.until.is_none() || found.count < current.len() as u64;
        if is_from_start && self.until.is_some() {
            found = indicators::changes(&self.store, None).await?;
        }
        let base = if is_from_start {
            IndicatorSet::default()
        } else {
            IndicatorSet::clone(&current)
        };
        let until = found.until;
        let next = take_over(&mut found, base).await?;
        self.until = Some(until);
        self.looked_at = Instant::now();
        let is_same = is_from_start && next.is_none() && current.is_empty();
        let next = match next {
            Some(set) => set,
            None if is_from_start && !is_same => IndicatorSet::default(),
            None => return Ok(()),
        };
        metrics::indicators_in_use(next.len());
        tracing::info!(indicators.count = next.len(), "indicators in use");
        self.shared.store(Arc::new(next));
        Ok(())
    }
}

/// The set with all changes in it; `None` when none of them changes anything.
async fn take_over(found: &mut Changes, base: IndicatorSet) -> Result<Option<IndicatorSet>, Error> {
    let mut set = base;
    let mut is_changed = false;
    loop {
        let batch = found.next(BATCH).await?;
        if batch.is_empty() {
            break;
        }
        // Building tables would hold other tasks up.
        let taken = tokio::task::spawn_blocking(move || {
            let changed = apply(&mut set, &batch);
            (set, changed)
        });
        match taken.await {
            Ok((next, changed)) => {
                set = next;
                is_changed |= changed;
            }
            Err(error) => {
                tracing::error!(%error, "taking indicators over panicked, those before stay in use");
                return Ok(None);
            }
        }
    }
    Ok(is_changed.then_some(set))
}

/// The overlap of two looks reports most changes twice: those are known.
fn apply(set: &mut IndicatorSet, changes: &[Change]) -> bool {
    let mut is_changed = false;
    for change in changes {
        match change {
            Change::Put(indicator) if !set.contains(indicator) => {
                set.put(indicator);
                is_changed = true;
            }
            Change::Put(_) => {}
            Change::Removed(indicator) => is_changed |= set.remove(indicator),
        }
    }
    is_changed
}
