//! The proof of a delivery while its blocks are merged and removed, against a real MongoDB.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests explain themselves and fail by panicking"
)]

use identity::{Authorities, Identity};
use model::chain::{self, Link};
use model::node::Role;
use model::{AgentId, BatchKey, Epoch, Event, EventId, Fields, Partition, SourceId, Tenant, Timestamp, ecs};
use proof::{Depth, Report};
use storage::Store;
use storage::blocks::{self, BlockBatch, Day, Inserted, NewBlock, Seal, Sealer, Writer};
use storage::deliveries::{self, Numbering, Progress, Receipt};
use storage::signers::{self, Signer};
use testkit::Authority;
use tokio::runtime::Handle;
use uuid::Uuid;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const EPOCH: Epoch = Epoch(7);
/// More than the server hands out at once.
const BLOCKS: u64 = 300;
const EVENTS: u64 = 3;

/// A delivery of one agent, a batch to a block, as a collector stores it.
struct Delivered {
    authority: Authority,
    store: Store,
    writer: Writer,
    agent: AgentId,
    day: Day,
}

impl Delivered {
    async fn store(store: Store) -> Self {
        let authority = Authority::new();
        let identity = authority.identity(Role::Collector, "collector-1");
        let signer = Signer {
            serial: identity.serial().to_string(),
            node: "collector-1".parse().unwrap(),
            chain: identity.chain().iter().map(|der| der.to_vec()).collect(),
        };
        signers::record(&store, &signer).await.unwrap();
        let writer = Writer::new(store.clone()).sealed_by(sealer(&identity));
        let agent = AgentId(Uuid::new_v4());
        let now = store.now().await.unwrap();
        let start = Timestamp((now.0 / DAY - 1) * DAY);
        let mut previous_hash = chain::START;
        for number in 0..BLOCKS {
            let new = block(SourceId::agent(agent), number, start, &mut previous_hash, now);
            let Inserted::Stored(id) = writer.insert(&new).await.unwrap() else {
                panic!("stored before");
            };
            let node = "detector-1".parse().unwrap();
            blocks::mark_done(&store, new.day, id, &node, 1, None).await.unwrap();
        }
        let (next_seq, issued_at) = (BLOCKS * EVENTS, Timestamp::now());
        let receipt = Receipt {
            next_seq,
            issued_at,
            node: "collector-1".parse().unwrap(),
            signer: identity.serial().to_string(),
            signature: identity::receipt::sign(&identity, agent, EPOCH, next_seq, issued_at.0).unwrap(),
        };
        let numbering = Numbering {
            tenant: Tenant::default(),
            source: SourceId::agent(agent),
            epoch: EPOCH,
        };
        let progress = Progress {
            receipt: Some(receipt),
            ..Progress::default()
        };
        deliveries::note(&store, &numbering, &progress).await.unwrap();
        Self {
            authority,
            store,
            writer,
            agent,
            day: Day::of_batch(start, now),
        }
    }

    async fn prove(&self, depth: Depth, progress: impl FnMut(&Report) + Send) -> Report {
        let authorities = Authorities::load(&self.authority.cert_file()).unwrap();
        let tenant = Tenant::default();
        let report = proof::delivery(&self.store, &authorities, &tenant, self.agent, depth, progress);
        report.await.unwrap().expect("a delivery")
    }

    /// Merges what can be merged of so many hours.
    async fn merge(&self, hours: usize) {
        let later = Timestamp(self.store.now().await.unwrap().0 + DAY);
        let mut cells = blocks::cells(&self.store, self.day, 2000, later).await.unwrap();
        cells.sort_by_key(|cell| cell.hour);
        assert!(cells.len() >= hours, "{cells:?}");
        for cell in cells.iter().take(hours) {
            let small = blocks::small(&self.store, cell, 2000, later).await.unwrap();
            for group in blocks::plan(&small) {
                let merge = blocks::merge(&self.writer, cell, &group).await.unwrap();
                assert!(merge.originals > 1, "nothing was merged");
            }
        }
    }

    /// Removes all blocks, as retention does.
    async fn remove(&self) {
        for group in blocks::groups(&self.store, self.day).await.unwrap() {
            blocks::remove(&self.store, self.day, &group, None, true).await.unwrap();
        }
    }
}

fn sealer(identity: &Identity) -> Sealer {
    let identity = identity.clone();
    Sealer::new(move |digest| {
        Some(Seal {
            signer: identity.serial().to_string(),
            signature: identity::seal::sign(&identity, digest).ok()?,
        })
    })
}

fn block(source: SourceId, number: u64, start: Timestamp, previous_hash: &mut [u8; 32], now: Timestamp) -> NewBlock {
    let at = Timestamp(start.0 + i64::try_from(number).unwrap() * 60 * SECOND);
    let first_seq = number * EVENTS;
    let events: Vec<Event> = (first_seq..first_seq + EVENTS)
        .map(|seq| {
            let mut fields = Fields::new();
            fields.insert(ecs::MESSAGE, format!("number {seq}"));
            let id = EventId {
                source,
                epoch: EPOCH,
                seq,
            };
            Event {
                id,
                timestamp: at,
                fields,
            }
        })
        .collect();
    let link = Link {
        epoch: EPOCH,
        first_seq,
        count: u32::try_from(EVENTS).unwrap(),
        created_at: at,
        previous_hash: *previous_hash,
        payload_hash: chain::payload_hash(&first_seq.to_le_bytes()),
    };
    *previous_hash = link.hash();
    let encoded = block::encode(&events).unwrap();
    NewBlock {
        tenant: Tenant::default(),
        partition: Partition::of(&Tenant::default(), &source),
        day: Day::of_batch(at, now),
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: encoded.meta.count,
        batches: vec![BlockBatch {
            key: BatchKey {
                tenant: Tenant::default(),
                source,
                epoch: EPOCH,
                first_seq,
            },
            count: encoded.meta.count,
            hash: link.hash(),
            link: Some(link),
        }],
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node: "collector-1".parse().unwrap(),
        at: now,
    }
}

/// Does something when the first block was read, and waits for it.
fn meanwhile(mut done: Option<impl AsyncFnOnce() + Send>) -> impl FnMut(&Report) + Send {
    move |_| {
        if let Some(act) = done.take() {
            tokio::task::block_in_place(|| Handle::current().block_on(act()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_blocks_are_merged_and_removed_meanwhile_is_proved() {
    let database = testkit::mongo().await;
    let delivered = Delivered::store(database.store_with_indexes().await).await;
    for (depth, hours) in [(Depth::Records, 2), (Depth::Blocks, 3)] {
        let report = delivered
            .prove(depth, meanwhile(Some(async || delivered.merge(hours).await)))
            .await;
        assert_eq!(report.problems, [], "merged, {depth:?}");
        assert!(report.holds);
        assert_eq!((report.batches, report.events), (BLOCKS, BLOCKS * EVENTS), "{depth:?}");
    }
    let report = delivered
        .prove(Depth::Blocks, meanwhile(Some(async || delivered.remove().await)))
        .await;
    assert_eq!(report.problems, [], "removed");
    assert_eq!(report.batches, BLOCKS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_is_found_wherever_it_was_merged() {
    let database = testkit::mongo().await;
    let mut delivered = Delivered::store(database.store_with_indexes().await).await;
    delivered.writer = Writer::new(delivered.store.clone());
    let report = delivered
        .prove(Depth::Blocks, meanwhile(Some(async || delivered.merge(5).await)))
        .await;
    assert!(!report.holds);
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.what.contains("no signature")),
        "{:?}",
        report.problems
    );
}
