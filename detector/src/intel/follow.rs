//! From MongoDB into memory, within about a second of any change.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::Timestamp;
use model::indicator::Indicator;
use storage::indicators::{self, Change};
use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

use super::set::IndicatorSet;
use crate::metrics;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Indicators swapped by one task and read by all.
pub(crate) type Shared = Arc<ArcSwap<IndicatorSet>>;

/// Takes changed indicators over; deleted ones make it start over.
pub(crate) struct Follower {
    store: Store,
    shared: Shared,
    until: Option<Timestamp>,
    count: u64,
}

impl Follower {
    pub(crate) fn new(store: Store, shared: Shared) -> Self {
        Self {
            store,
            shared,
            until: None,
            count: 0,
        }
    }

    /// Looks twice a second until `shutdown`. While the database is away the last indicators stay in use.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
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
        }
    }

    /// Takes over what changed since the last look.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        let found = indicators::changes(&self.store, self.until).await?;
        let (until, count) = (Some(found.until), found.count);
        let mut changes = found.all().await?;
        let mut base = self.shared.load_full();
        let is_removal = changes.iter().any(|change| matches!(change, Change::Removed(_)));
        if (count < self.count || is_removal) && self.until.is_some() {
            changes = indicators::changes(&self.store, None).await?.all().await?;
            base = Arc::default();
        }
        let changed: Vec<Indicator> = changes
            .into_iter()
            .filter_map(|change| match change {
                Change::Put(indicator) => Some(indicator),
                Change::Removed(_) => None,
            })
            .collect();
        self.until = until;
        self.count = count;
        if !is_removal && changed.iter().all(|indicator| base.contains(indicator)) {
            // The overlap of two looks reports most changes twice.
            return Ok(());
        }
        // Building tables of a hundred thousand entries would hold other tasks up.
        let built = tokio::task::spawn_blocking(move || base.with(changed)).await;
        match built {
            Ok(set) => {
                metrics::indicators_in_use(set.len());
                tracing::info!(indicators.count = set.len(), "indicators in use");
                self.shared.store(Arc::new(set));
            }
            Err(error) => tracing::error!(%error, "taking indicators over panicked, those before stay in use"),
        }
        Ok(())
    }
}
