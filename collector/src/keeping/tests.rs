//! A pass of retention that is not alone.

use model::{BatchKey, Epoch, Event, EventId, Fields, Partition, SourceId, Tenant, Timestamp};
use storage::blocks::{self, BlockBatch, Day, Inserted, NewBlock};

use super::*;

const DAY: i64 = 86_400_000_000;

async fn old_block(store: &Store, days_ago: i64) -> Day {
    let source = SourceId::named("test", "old");
    let at = Timestamp(store.now().await.unwrap().0 - days_ago * DAY);
    let first_seq = days_ago.unsigned_abs();
    let id = EventId {
        source,
        epoch: Epoch(1),
        seq: first_seq,
    };
    let event = Event {
        id,
        timestamp: at,
        fields: Fields::new(),
    };
    let encoded = block::encode(&[event]).unwrap();
    let new = NewBlock {
        tenant: Tenant::default(),
        partition: Partition::of(&Tenant::default(), &source),
        day: Day::of_batch(at, at),
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: 1,
        batches: vec![BlockBatch {
            key: BatchKey {
                tenant: Tenant::default(),
                source,
                epoch: Epoch(1),
                first_seq,
            },
            count: 1,
            hash: [1; 32],
            link: None,
        }],
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node: "collector-1".parse().unwrap(),
        at,
    };
    let Inserted::Stored(stored) = blocks::insert(store, &new).await.unwrap() else {
        panic!("stored before");
    };
    let node = "detector-1".parse().unwrap();
    blocks::mark_done(store, new.day, stored, &node, 1, None).await.unwrap();
    new.day
}

#[tokio::test]
async fn a_pass_ends_when_another_node_has_the_duty() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let config = Config {
        node: "collector-1".parse().unwrap(),
        ..Config::default()
    };
    let shutdown = CancellationToken::new();
    let keeper = Keeper::new(&config, store.clone(), Writer::new(store.clone()), shutdown.clone());
    // The first would be dropped as a whole, and of the second its block be removed.
    let days = [old_block(&store, 200).await, old_block(&store, 100).await];
    let mut duty = duties::take(&store, Duty::Retention, "collector-1")
        .await
        .unwrap()
        .unwrap();
    // A process of the same name takes it from its predecessor.
    let mut successor = duties::take(&store, Duty::Retention, "collector-1")
        .await
        .unwrap()
        .unwrap();
    retention::pass(&keeper, &mut duty).await.unwrap();
    assert_eq!(left(&store, &days).await, [1, 1], "removed under another's duty");
    assert!(storage::keeping::retention(&store).await.unwrap().is_none());

    shutdown.cancel();
    retention::pass(&keeper, &mut successor).await.unwrap();
    assert_eq!(left(&store, &days).await, [1, 1], "removed while it is being stopped");
    let keeper = Keeper {
        shutdown: CancellationToken::new(),
        ..keeper
    };
    retention::pass(&keeper, &mut successor).await.unwrap();
    assert_eq!(left(&store, &days).await, [0, 0]);
}

async fn left(store: &Store, days: &[Day]) -> Vec<u64> {
    let mut left = Vec::new();
    for day in days {
        let groups = blocks::groups(store, *day).await.unwrap_or_default();
        left.push(groups.iter().map(|group| group.blocks).sum());
    }
    left
}
