//! Windows whose time has come: conditions that later events could falsify are judged when no more are to come.

use std::sync::Arc;
use std::time::Duration;

use model::{Partition, Tenant};
use rustc_hash::FxHashMap;
use storage::Store;
use storage::windows::{self, Due};
use tokio_util::sync::CancellationToken;

use super::memory::Place;
use super::settle::SettleError;
use super::stage::Stage;
use crate::partitions::Ownership;
use crate::rules::compiled::{Shared, TenantRules};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Logs of windows judged at once.
const BATCH: u32 = 500;

/// Why windows were not judged.
#[derive(Debug, thiserror::Error)]
enum DueError {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("windows not settled")]
    Unsettled(#[source] Arc<SettleError>),
}

/// Finds due windows and has them judged. Each detector does its share, by the partitions it holds; two that judge the
/// same window come to the same verdict.
pub(crate) struct DueWindows {
    pub(crate) store: Store,
    pub(crate) stage: Stage,
    pub(crate) rules: Shared,
    pub(crate) ownership: Arc<Ownership>,
}

impl DueWindows {
    /// Looks twice a second until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            // A round that is cut off is done again by whoever looks next.
            let looked = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                looked = self.look() => looked,
            };
            match looked {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "windows of correlations not judged, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    async fn look(&self) -> Result<(), DueError> {
        let owned: Vec<Partition> = self.ownership.owned();
        if owned.is_empty() {
            return Ok(());
        }
        loop {
            let rules = self.rules.load_full();
            let now = self.store.now().await?;
            let found = windows::due(&self.store, &owned, now, BATCH).await?;
            let is_all = found.len() < BATCH as usize;
            let mut by_tenant: FxHashMap<Tenant, Vec<Due>> = FxHashMap::default();
            for due in found {
                by_tenant.entry(due.about.tenant.clone()).or_default().push(due);
            }
            for (tenant, due) in by_tenant {
                if let Some(of_tenant) = rules.tenant(&tenant) {
                    let places = places(of_tenant, &due);
                    match self.stage.judge_due(Arc::clone(&rules), tenant, places).await {
                        Some(judged) => judged.map_err(DueError::Unsettled)?,
                        None => return Ok(()),
                    }
                }
                // Windows of correlations that are no longer in use, or in another revision, stay unjudged.
                windows::settle(&self.store, &due).await?;
            }
            if is_all {
                return Ok(());
            }
        }
    }
}

pub(crate) fn places(rules: &TenantRules, due: &[Due]) -> Vec<Place> {
    let by_id: FxHashMap<(&str, &str), usize> = rules
        .correlations
        .all()
        .iter()
        .enumerate()
        .map(|(position, compiled)| {
            let metadata = &compiled.definition().metadata;
            ((metadata.id.as_str(), metadata.revision.as_str()), position)
        })
        .collect();
    due.iter()
        .filter_map(|due| {
            let about = &due.about;
            Some(Place {
                correlation: *by_id.get(&(about.rule_id.as_str(), about.revision.as_str()))?,
                window: about.window,
                share: about.share,
            })
        })
        .collect()
}
