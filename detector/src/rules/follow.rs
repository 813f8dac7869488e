//! From MongoDB into memory, within about a second of any change.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use storage::rules::{self, Version};
use storage::{Error, Store};
use tokio_util::sync::CancellationToken;

use super::compiled::{Compiled, Shared};
use crate::metrics;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Recompiles when stored rules change.
pub(crate) struct Follower {
    store: Store,
    shared: Shared,
    seen: Option<Version>,
    /// Tenant, id, revision of what is compiled.
    compiled: Vec<(String, String, String)>,
    reported: HashSet<String>,
}

impl Follower {
    pub(crate) fn new(store: Store, shared: Shared) -> Self {
        Self {
            store,
            shared,
            seen: None,
            compiled: Vec::new(),
            reported: HashSet::new(),
        }
    }

    /// Looks twice a second until `shutdown`. While the database is away the last rules stay in use.
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
                            "rules not refreshed, trying again"
                        );
                    }
                    failing = true;
                }
            }
        }
    }

    /// Compiles the stored rules if they may have changed.
    ///
    /// # Errors
    /// When the database is away.
    pub(crate) async fn look(&mut self) -> Result<(), Error> {
        let version = rules::version(&self.store).await?;
        if self.seen.as_ref().is_some_and(|seen| seen.covers(&version)) {
            return Ok(());
        }
        let stored = rules::enabled(&self.store).await?;
        let fingerprint: Vec<(String, String, String)> = stored
            .iter()
            .map(|rule| (rule.tenant.to_string(), rule.id.clone(), rule.revision.clone()))
            .collect();
        if self.seen.is_some() && fingerprint == self.compiled {
            self.seen = Some(version);
            return Ok(());
        }
        let given = stored.len();
        let compiled = tokio::task::spawn_blocking(move || Compiled::new(&stored)).await;
        self.seen = Some(version);
        self.compiled = fingerprint;
        let Ok((compiled, errors)) = compiled else {
            tracing::error!("compiling rules panicked, the rules before stay in use");
            return Ok(());
        };
        metrics::rule_errors_in_store(errors.len());
        let current: HashSet<String> = errors.iter().map(ToString::to_string).collect();
        for text in current.difference(&self.reported) {
            tracing::warn!(error = text, "stored rule not usable");
        }
        self.reported = current;
        if compiled.len() == 0 && given > 0 && self.shared.load().len() > 0 {
            tracing::error!(
                rules.stored = given,
                "no stored rule is usable, the rules before stay in use"
            );
            return Ok(());
        }
        metrics::rules_in_use(compiled.len());
        tracing::info!(rules.count = compiled.len(), "rules in use");
        self.shared.store(Arc::new(compiled));
        Ok(())
    }
}
