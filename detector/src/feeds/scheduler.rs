//! Claiming feeds that are due.

use std::path::PathBuf;
use std::time::Duration;

use model::NodeId;
use storage::Store;
use storage::feeds::{self as records, FeedId};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fetch::Limits;
use super::run::{Runner, TTL};
use super::secret::Places;
use crate::FeedsConfig;

/// Time between two looks for feeds that are due.
const LOOK: Duration = Duration::from_millis(500);

/// Runs feeds when they are due.
pub(crate) struct Scheduler {
    runner: Runner,
    concurrent: usize,
}

impl Scheduler {
    pub(crate) fn new(store: Store, node: NodeId, config: &FeedsConfig, shutdown: CancellationToken) -> Self {
        let places = Places::Below {
            files: PathBuf::from(&config.files_dir),
            secrets: PathBuf::from(&config.secrets_dir),
        };
        let limits = Limits {
            max_bytes: u64::from(config.max_mib) * 1024 * 1024,
            private_addresses: config.private_addresses,
            silence: Duration::from_secs(config.silence_secs),
        };
        Self {
            runner: Runner {
                store,
                node,
                places,
                limits,
                timeout: Duration::from_secs(config.timeout_secs),
                shutdown,
            },
            concurrent: config.concurrent,
        }
    }

    /// Runs feeds until the shutdown is requested, and gives those under way back then.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let shutdown = self.runner.shutdown.clone();
        let mut runs: JoinSet<FeedId> = JoinSet::new();
        let mut running: Vec<FeedId> = Vec::new();
        let mut failing = false;
        while !shutdown.is_cancelled() {
            while runs.len() < self.concurrent {
                match records::claim(&self.runner.store, &self.runner.node, &running, TTL).await {
                    Ok(Some(claim)) => {
                        failing = false;
                        let id = claim.id();
                        running.push(id);
                        let runner = self.runner.clone();
                        runs.spawn(async move {
                            runner.run(claim).await;
                            id
                        });
                    }
                    Ok(None) => {
                        failing = false;
                        break;
                    }
                    Err(error) => {
                        if !failing {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "feeds not looked at, trying again"
                            );
                        }
                        failing = true;
                        break;
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
            while let Some(ended) = runs.try_join_next() {
                match ended {
                    Ok(id) => running.retain(|other| *other != id),
                    Err(error) => {
                        // Which one it was is not told; its lease ends by itself, and then it is free again.
                        tracing::error!(%error, "a run of a feed panicked");
                        running.clear();
                    }
                }
            }
        }
        while runs.join_next().await.is_some() {}
        Ok(())
    }
}
