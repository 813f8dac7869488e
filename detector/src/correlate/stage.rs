//! Findings of many blocks settled together: one detector does not compete with itself for states.

use std::sync::Arc;

use model::Tenant;
use tokio::sync::{mpsc, oneshot};

use super::findings::Findings;
use super::settle::{SettleError, Settler, With};
use crate::metrics;
use crate::rules::compiled::Compiled;

/// Blocks whose findings wait at most.
const MAX_WAITING: usize = 256;
/// Blocks settled together at most.
const MAX_TOGETHER: usize = 64;

/// Findings of a block, and who waits for them to be settled.
struct Submission {
    rules: Arc<Compiled>,
    tenant: Tenant,
    findings: Findings,
    done: oneshot::Sender<Result<(), Arc<SettleError>>>,
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stage {
    sender: mpsc::Sender<Submission>,
}

impl Stage {
    /// Starts settling on a task of its own, which ends when every handle is gone.
    pub(crate) fn start(settler: Settler) -> (Self, impl Future<Output = anyhow::Result<()>>) {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        (Self { sender }, run(settler, waiting))
    }

    /// Waits until the findings of a block are settled. `None` when the stage is gone.
    pub(crate) async fn settle(
        &self,
        rules: Arc<Compiled>,
        tenant: Tenant,
        findings: Findings,
    ) -> Option<Result<(), Arc<SettleError>>> {
        let (done, is_done) = oneshot::channel();
        let submission = Submission {
            rules,
            tenant,
            findings,
            done,
        };
        self.sender.send(submission).await.ok()?;
        is_done.await.ok()
    }
}

async fn run(mut settler: Settler, mut waiting: mpsc::Receiver<Submission>) -> anyhow::Result<()> {
    let mut together = Vec::with_capacity(MAX_TOGETHER);
    while waiting.recv_many(&mut together, MAX_TOGETHER).await > 0 {
        while let Some(first) = together.pop() {
            let is_alike =
                |other: &mut Submission| Arc::ptr_eq(&other.rules, &first.rules) && other.tenant == first.tenant;
            let mut alike: Vec<Submission> = together.extract_if(.., is_alike).collect();
            alike.push(first);
            settle(&mut settler, alike).await;
        }
    }
    Ok(())
}

async fn settle(settler: &mut Settler, submissions: Vec<Submission>) {
    let mut findings = Findings::default();
    let mut waiting = Vec::new();
    let mut content: Option<(Arc<Compiled>, Tenant)> = None;
    for submission in submissions {
        let Findings {
            contributions,
            events,
            folded,
            ..
        } = submission.findings;
        findings.contributions.extend(contributions);
        findings.events.extend(events);
        for (id, other) in folded {
            match findings.folded.entry(id) {
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(other);
                }
                std::collections::hash_map::Entry::Occupied(mut occupied) => {
                    let known = occupied.get_mut();
                    known.ids.extend(other.ids);
                    if (other.earliest.timestamp, other.earliest.id) < (known.earliest.timestamp, known.earliest.id) {
                        known.earliest = other.earliest;
                    }
                }
            }
        }
        waiting.push(submission.done);
        content.get_or_insert((submission.rules, submission.tenant));
    }
    let Some((rules, tenant)) = content else { return };
    let result = match rules.tenant(&tenant) {
        None => Ok(()),
        Some(rules) => {
            let with = With {
                rules,
                tenant: &tenant,
                events: &findings.events,
            };
            let contributions = std::mem::take(&mut findings.contributions);
            let settled = async {
                if !contributions.is_empty() {
                    settler.contribute(with, contributions).await?;
                }
                if !findings.folded.is_empty() {
                    settler.fold(&tenant, &findings.folded).await?;
                }
                Ok(())
            };
            settled.await
        }
    };
    let result = match result {
        Err(SettleError::Storage(error)) if !error.is_retryable() => {
            // Trying again would hold these blocks up for ever.
            metrics::correlation_lost();
            let error: &dyn std::error::Error = &error;
            tracing::error!(
                blocks = waiting.len(),
                error,
                "findings refused by the database, they are left out"
            );
            Ok(())
        }
        result => result.map_err(Arc::new),
    };
    for done in waiting {
        // Whoever is gone has left the block pending.
        let _ = done.send(result.clone());
    }
}
