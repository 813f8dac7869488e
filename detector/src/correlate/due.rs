//! Windows whose time has come: conditions that later events could falsify are judged when no more are to come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{Partition, Tenant};
use rustc_hash::FxHashMap;
use sigma::correlation::{GroupKey, StateKey};
use storage::states::{self, Due, Kind};
use tokio_util::sync::CancellationToken;

use super::settle::{SettleError, Settler, With};
use crate::partitions::Ownership;
use crate::rules::compiled::{Shared, TenantRules};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Windows judged at once.
const BATCH: u32 = 500;

/// Judges due windows. Each detector does its share, by the partitions it holds; two that judge the same window come to
/// the same verdict.
pub(crate) struct DueWindows {
    pub(crate) settler: Settler,
    pub(crate) rules: Shared,
    pub(crate) ownership: Arc<Ownership>,
}

impl DueWindows {
    /// Looks twice a second until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
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

    async fn look(&mut self) -> Result<(), SettleError> {
        let owned: Vec<Partition> = self.ownership.owned();
        if owned.is_empty() {
            return Ok(());
        }
        loop {
            let rules = self.rules.load_full();
            let now = self.settler.store.now().await?;
            let found = states::due(&self.settler.store, Kind::Correlations, &owned, now, BATCH).await?;
            let is_all = found.len() < BATCH as usize;
            let mut by_tenant: FxHashMap<Tenant, Vec<Due>> = FxHashMap::default();
            for due in found {
                by_tenant.entry(due.about.tenant.clone()).or_default().push(due);
            }
            for (tenant, due) in by_tenant {
                if let Some(rules) = rules.tenant(&tenant) {
                    let events = FxHashMap::default();
                    let with = With {
                        rules,
                        tenant: &tenant,
                        events: &events,
                    };
                    self.settler.judge_due(with, keys(rules, &due)).await?;
                }
                // Windows of correlations that are no longer in use, or in another revision, stay unjudged.
                let judged: Vec<_> = due.into_iter().map(|due| (due.key, due.due)).collect();
                states::settle(&self.settler.store, Kind::Correlations, &judged).await?;
            }
            if is_all {
                return Ok(());
            }
        }
    }
}

fn keys(rules: &TenantRules, due: &[Due]) -> BTreeSet<StateKey> {
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
            Some(StateKey {
                correlation: *by_id.get(&(about.rule_id.as_str(), about.revision.as_str()))?,
                group: group_key(&about.group)?,
                window: about.window,
            })
        })
        .collect()
}

/// A group's key from its text form.
fn group_key(text: &str) -> Option<GroupKey> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}
