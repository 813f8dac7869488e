//! Findings of many blocks settled together: one detector does not compete with itself for states.

use std::sync::Arc;

use model::Tenant;
use tokio::sync::{mpsc, oneshot};

use super::findings::Findings;
use super::memory::Place;
use super::settle::{SettleError, Settler, With};
use crate::metrics;
use crate::rules::compiled::Compiled;

/// Blocks whose findings wait at most.
const MAX_WAITING: usize = 256;
/// Blocks settled together at most.
pub(crate) const MAX_TOGETHER: usize = 128;
/// Contributions settled together, unless a single block has more.
const MAX_CONTRIBUTIONS: usize = 50_000;

/// What is to be settled.
enum Work {
    /// Findings of a block.
    Findings(Findings),
    /// Windows whose time has come.
    Due(Vec<Place>),
}

/// Work, and who waits for it to be done.
struct Submission {
    rules: Arc<Compiled>,
    tenant: Tenant,
    work: Work,
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
        self.submit(rules, tenant, Work::Findings(findings)).await
    }

    /// Waits until windows whose time has come are judged. `None` when the stage is gone.
    pub(crate) async fn judge_due(
        &self,
        rules: Arc<Compiled>,
        tenant: Tenant,
        places: Vec<Place>,
    ) -> Option<Result<(), Arc<SettleError>>> {
        self.submit(rules, tenant, Work::Due(places)).await
    }

    async fn submit(&self, rules: Arc<Compiled>, tenant: Tenant, work: Work) -> Option<Result<(), Arc<SettleError>>> {
        let (done, is_done) = oneshot::channel();
        let submission = Submission {
            rules,
            tenant,
            work,
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
            let mut size = first.size();
            let is_alike = |other: &mut Submission| {
                let is_alike = Arc::ptr_eq(&other.rules, &first.rules) && other.tenant == first.tenant;
                let fits = is_alike && size + other.size() <= MAX_CONTRIBUTIONS;
                size += if fits { other.size() } else { 0 };
                fits
            };
            let mut alike: Vec<Submission> = together.extract_if(.., is_alike).collect();
            alike.push(first);
            settle(&mut settler, alike).await;
        }
    }
    Ok(())
}

impl Submission {
    fn size(&self) -> usize {
        match &self.work {
            Work::Findings(findings) => findings.contributions.len(),
            Work::Due(_) => 0,
        }
    }
}

async fn settle(settler: &mut Settler, submissions: Vec<Submission>) {
    let mut findings = Findings::default();
    let mut due = Vec::new();
    let mut waiting = Vec::new();
    let mut content: Option<(Arc<Compiled>, Tenant)> = None;
    for submission in submissions {
        match submission.work {
            Work::Findings(more) => findings.extend(more),
            Work::Due(places) => due.extend(places),
        }
        waiting.push(submission.done);
        content.get_or_insert((submission.rules, submission.tenant));
    }
    let Some((rules, tenant)) = content else { return };
    settler.use_rules(&rules);
    let result = match rules.tenant(&tenant) {
        None => Ok(()),
        Some(rules) => {
            let contributions = std::mem::take(&mut findings.contributions);
            let with = With {
                rules,
                tenant: &tenant,
                events: &findings.events,
            };
            let settled = async {
                if !contributions.is_empty() {
                    settler.contribute(with, contributions).await?;
                }
                if !due.is_empty() {
                    settler.judge_due(with, &due).await?;
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
