//! Which partitions this detector looks at: its share among the live detectors, held by leases.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::node::Role;
use model::{NodeId, Partition};
use storage::leases::{self, Held};
use storage::{Store, nodes};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// How long a lease lasts without being renewed.
const TTL: Duration = Duration::from_secs(4);
/// Time between two renewals.
const RENEW: Duration = Duration::from_secs(1);
/// Time between two looks at who lives.
const LOOK: Duration = Duration::from_millis(500);
/// How long giving leases back may take at the end.
const RELEASE: Duration = Duration::from_secs(2);

/// The partitions held at the moment.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    held: Mutex<BTreeMap<Partition, Lease>>,
    gained: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    fence: u64,
    /// Counted from before the request was sent, so it ends here no later than in the database.
    until: Instant,
}

impl Ownership {
    /// The fence under which a partition is held; `None` when it is not.
    pub(crate) fn fence(&self, partition: Partition) -> Option<u64> {
        let held = self.lock();
        let lease = held.get(&partition)?;
        (Instant::now() < lease.until).then_some(lease.fence)
    }

    /// The partitions that are held.
    pub(crate) fn owned(&self) -> Vec<Partition> {
        let now = Instant::now();
        let held = self.lock();
        held.iter()
            .filter(|(_, lease)| now < lease.until)
            .map(|(partition, _)| *partition)
            .collect()
    }

    /// Completes when partitions were taken since it last completed.
    pub(crate) async fn gained(&self) {
        self.gained.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> Vec<Held> {
        let of = |(partition, lease): (&Partition, &Lease)| Held {
            partition: *partition,
            fence: lease.fence,
        };
        self.lock().iter().map(of).collect()
    }

    fn drop_where(&self, is_dropped: impl Fn(&Held) -> bool) -> Vec<Held> {
        let dropped: Vec<Held> = self.leases().into_iter().filter(is_dropped).collect();
        let mut held = self.lock();
        for lease in &dropped {
            held.remove(&lease.partition);
        }
        dropped
    }
}

/// Takes, renews and gives back leases.
pub(crate) struct Keeper {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    pub(crate) ownership: std::sync::Arc<Ownership>,
}

impl Keeper {
    /// Keeps this detector's share until `shutdown`; gives it back once `drained`, so that no other detector begins
    /// with blocks this one is about to finish.
    pub(crate) async fn run(self, shutdown: CancellationToken, drained: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        let mut renewed_at: Option<Instant> = None;
        loop {
            let kept = tokio::select! {
                () = shutdown.cancelled() => break,
                kept = self.keep(&mut renewed_at) => kept,
            };
            match kept {
                Ok(()) => failing = false,
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "leases not renewed, trying again"
                        );
                    }
                    failing = true;
                }
            }
            metrics::partitions_owned(self.ownership.owned().len());
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        drained.cancelled().await;
        let held = self.ownership.drop_where(|_| true);
        let released = tokio::time::timeout(RELEASE, leases::release(&self.store, &self.node, &held)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::info!("could not give leases back, others will take over when they end");
        }
        Ok(())
    }

    async fn keep(&self, renewed_at: &mut Option<Instant>) -> Result<(), storage::Error> {
        if renewed_at.is_none_or(|at| at.elapsed() >= RENEW) {
            let asked_at = Instant::now();
            self.renew(asked_at).await?;
            *renewed_at = Some(asked_at);
        }
        let share = self.share().await?;
        self.give_back(&share).await?;
        self.take(&share).await
    }

    /// The partitions that are this detector's by everybody's reckoning.
    async fn share(&self) -> Result<Vec<Partition>, storage::Error> {
        let mut names: Vec<String> = nodes::live(&self.store, Some(Role::Detector))
            .await?
            .into_iter()
            .map(|node| node.id.to_string())
            .collect();
        // Not yet registered, or its own heartbeats are late: whoever gets here lives.
        if !names.iter().any(|name| name == self.node.as_str()) {
            names.push(self.node.to_string());
        }
        let is_mine = |partition: &Partition| partition.owner(&names) == Some(self.node.as_str());
        Ok(Partition::all().filter(is_mine).collect())
    }

    async fn renew(&self, asked_at: Instant) -> Result<(), storage::Error> {
        let before = self.ownership.leases();
        let still = leases::renew(&self.store, &self.node, &before, TTL).await?;
        let lost = self.ownership.drop_where(|lease| !still.contains(lease));
        for lease in lost {
            tracing::info!(
                partition = lease.partition.number(),
                fence = lease.fence,
                "partition taken over by another detector"
            );
        }
        let mut held = self.ownership.lock();
        for lease in still {
            if let Some(known) = held.get_mut(&lease.partition) {
                known.until = asked_at + TTL;
            }
        }
        Ok(())
    }

    async fn give_back(&self, share: &[Partition]) -> Result<(), storage::Error> {
        let surplus = self.ownership.drop_where(|lease| !share.contains(&lease.partition));
        if !surplus.is_empty() {
            tracing::info!(partitions = surplus.len(), "giving partitions to other detectors");
        }
        leases::release(&self.store, &self.node, &surplus).await
    }

    async fn take(&self, share: &[Partition]) -> Result<(), storage::Error> {
        let held: Vec<Partition> = self.ownership.leases().iter().map(|lease| lease.partition).collect();
        let mut taken = 0;
        for partition in share.iter().filter(|partition| !held.contains(partition)) {
            let asked_at = Instant::now();
            if let Some(fence) = leases::acquire(&self.store, *partition, &self.node, TTL).await? {
                let until = asked_at + TTL;
                self.ownership.lock().insert(*partition, Lease { fence, until });
                taken += 1;
            }
        }
        if taken > 0 {
            tracing::info!(partitions = taken, "partitions taken");
            self.ownership.gained.notify_one();
        }
        Ok(())
    }
}
