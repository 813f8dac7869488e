//! The fast path: a block that is stored goes to the detector that owns its partition.
//!
//! Nothing waits for it and nothing is lost with it: a block that cannot be handed over is counted, and its detector finds
//! it among the pending ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use identity::{Identity, RevocationList};
use model::node::Role;
use model::{Partition, Tenant};
use proto::detection::v1::detection_service_client::DetectionServiceClient;
use proto::detection::v1::{SubmitBlockRequest, SubmitOutcome};
use storage::blocks::{BlockId, Day};
use storage::{Store, leases, nodes};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Blocks that wait to be handed over.
const QUEUE: usize = 64;
/// Blocks being handed over at once.
const MAX_CALLS: usize = 16;
/// How long a detector may take to accept a block.
const DEADLINE: Duration = Duration::from_secs(2);
/// Time between two looks at who owns what.
const POLL: Duration = Duration::from_secs(1);

/// A stored block.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) tenant: Tenant,
    pub(crate) day: Day,
    pub(crate) id: BlockId,
    pub(crate) partition: Partition,
    pub(crate) body: Bytes,
}

/// Takes stored blocks; cheap to clone, never waits.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder(mpsc::Sender<Forward>);

impl Forwarder {
    /// A forwarder and what its [`run`] works on.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Forward>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    pub(crate) fn offer(&self, block: Forward) {
        if self.0.try_send(block).is_err() {
            count("queue_full");
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("picket_collector_blocks_forwarded_total", "outcome" => outcome).increment(1);
}

/// Addresses of the partitions' owners, by partition number.
type Owners = Arc<ArcSwap<HashMap<u16, String>>>;

/// Hands blocks over until `shutdown`.
pub(crate) async fn run(
    mut blocks: mpsc::Receiver<Forward>,
    store: Store,
    channels: Arc<Channels>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let owners = Owners::default();
    let calls = Arc::new(Semaphore::new(MAX_CALLS));
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let block = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = poll.tick() => {
                refresh(&store, &owners, &channels).await;
                continue;
            }
            block = blocks.recv() => match block {
                Some(block) => block,
                None => return Ok(()),
            },
        };
        let Some(addr) = owners.load().get(&block.partition.number()).cloned() else {
            count("no_owner");
            continue;
        };
        let Ok(permit) = Arc::clone(&calls).try_acquire_owned() else {
            count("busy");
            continue;
        };
        let channels = Arc::clone(&channels);
        tokio::spawn(async move {
            count(submit(&channels, &addr, block).await);
            drop(permit);
        });
    }
}

async fn refresh(store: &Store, owners: &Owners, channels: &Channels) {
    let (leases, detectors) = tokio::join!(leases::owners(store), nodes::live(store, Some(Role::Detector)));
    // Without the database nothing is stored, so there is nothing to hand over either.
    let (Ok(leases), Ok(detectors)) = (leases, detectors) else {
        return;
    };
    let addrs: HashMap<_, _> = detectors.into_iter().map(|node| (node.id, node.addr)).collect();
    channels.keep(addrs.values());
    let current = leases
        .into_iter()
        .filter_map(|(partition, (node, _))| Some((partition, addrs.get(&node)?.clone())))
        .collect();
    owners.store(Arc::new(current));
}

async fn submit(channels: &Channels, addr: &str, block: Forward) -> &'static str {
    let channel = channels.get(addr);
    let request = SubmitBlockRequest {
        tenant: block.tenant.to_string(),
        day: block.day.number(),
        block_id: block.id.as_bytes().to_vec(),
        partition: u32::from(block.partition.number()),
        block: block.body,
    };
    let mut client = DetectionServiceClient::new(channel).max_encoding_message_size(usize::MAX);
    let answer = tokio::time::timeout(DEADLINE, client.submit_block(request)).await;
    match answer {
        Ok(Ok(answer)) => match answer.into_inner().outcome() {
            SubmitOutcome::Accepted => "accepted",
            SubmitOutcome::NotOwner => "not_owner",
            SubmitOutcome::Busy => "busy",
            SubmitOutcome::Unspecified => "unknown",
        },
        Ok(Err(status)) => {
            tracing::debug!(%addr, code = ?status.code(), message = status.message(), "detector refused a block");
            channels.forget(addr);
            "failed"
        }
        Err(_) => {
            channels.forget(addr);
            "timeout"
        }
    }
}

/// One connection per detector.
#[derive(Debug)]
pub(crate) struct Channels {
    identity: ArcSwap<Identity>,
    revoked: RevocationList,
    open: Mutex<HashMap<String, Channel>>,
}

impl Channels {
    /// None yet. Connections will be made as `identity`.
    pub(crate) fn new(identity: Identity, revoked: RevocationList) -> Self {
        Self {
            identity: ArcSwap::from_pointee(identity),
            revoked,
            open: Mutex::default(),
        }
    }

    /// Connects anew, with a renewed certificate, for the next block.
    pub(crate) fn renew(&self, identity: Identity) {
        self.identity.store(Arc::new(identity));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn get(&self, addr: &str) -> Channel {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(addr.to_owned())
            .or_insert_with(|| {
                bootstrap::grpc::connect_lazy(addr, &self.identity.load(), Role::Detector, &self.revoked)
            })
            .clone()
    }

    fn forget(&self, addr: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(addr);
    }

    fn keep<'a>(&self, addrs: impl Iterator<Item = &'a String>) {
        let alive: std::collections::HashSet<&String> = addrs.collect();
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|addr, _| alive.contains(addr));
    }
}
