//! Nodes and leases.

use std::time::Duration;

use model::node::{Node, Role};
use model::{NodeId, Partition, Timestamp};
use storage::leases::{self, Held};
use storage::{Store, nodes};
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(600);

fn name(text: &str) -> NodeId {
    text.parse().unwrap()
}

fn node(id: &str, started_at: i64) -> Node {
    Node {
        id: name(id),
        role: Role::Detector,
        addr: "127.0.0.1:1".to_owned(),
        version: "0.1.0".to_owned(),
        started_at: Timestamp(started_at),
        heartbeat_at: Timestamp(0),
        rules_at: None,
    }
}

async fn live_names(store: &Store, role: Option<Role>) -> Vec<String> {
    let live = nodes::live(store, role).await.unwrap();
    live.into_iter().map(|node| node.id.to_string()).collect()
}

#[tokio::test]
async fn a_node_lives_while_it_beats_and_leaves_when_it_stops() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let shutdown = CancellationToken::new();
    let beating = tokio::spawn(nodes::register_and_beat(
        store.clone(),
        node("detector-1", 1_000),
        shutdown.clone(),
    ));
    testkit::poll_until(Duration::from_secs(30), "the node is registered", async || {
        (!live_names(store, Some(Role::Detector)).await.is_empty()).then_some(())
    })
    .await;
    assert!(live_names(store, Some(Role::Gateway)).await.is_empty());
    assert_eq!(live_names(store, None).await, ["detector-1"]);
    let beat_at = nodes::all(store).await.unwrap()[0].heartbeat_at;
    assert!((beat_at.0 - store.now().await.unwrap().0).abs() < 60_000_000);

    shutdown.cancel();
    beating.await.unwrap();
    assert!(nodes::all(store).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_process_does_not_remove_its_successor() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let (old, new) = (node("detector-1", 1_000), node("detector-1", 2_000));
    nodes::beat(store, &old).await.unwrap();
    nodes::beat(store, &new).await.unwrap();
    nodes::remove(store, &old).await.unwrap();
    assert_eq!(live_names(store, None).await, ["detector-1"]);
    nodes::remove(store, &new).await.unwrap();
    assert!(live_names(store, None).await.is_empty());
}

#[tokio::test]
async fn a_lease_is_held_by_one_and_its_fence_grows_with_every_change_of_hands() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let (a, b) = (name("a"), name("b"));
    let partition = Partition::new(3).unwrap();
    assert_eq!(leases::acquire(store, partition, &a, LONG).await.unwrap(), Some(1));
    assert_eq!(leases::acquire(store, partition, &b, LONG).await.unwrap(), None);
    let held = Held { partition, fence: 1 };
    assert_eq!(leases::renew(store, &a, &[held], LONG).await.unwrap(), [held]);
    assert!(leases::renew(store, &b, &[held], LONG).await.unwrap().is_empty());
    assert_eq!(leases::owners(store).await.unwrap()[&3], (a.clone(), 1));

    // Somebody else's release changes nothing, one's own frees it at once.
    leases::release(store, &b, &[held]).await.unwrap();
    assert_eq!(leases::acquire(store, partition, &b, LONG).await.unwrap(), None);
    leases::release(store, &a, &[held]).await.unwrap();
    assert!(leases::owners(store).await.unwrap().is_empty());
    assert_eq!(leases::acquire(store, partition, &b, LONG).await.unwrap(), Some(2));
    assert!(leases::renew(store, &a, &[held], LONG).await.unwrap().is_empty());

    // A process that starts again under its name does not wait, and its predecessor's fence is void.
    assert_eq!(leases::acquire(store, partition, &b, LONG).await.unwrap(), Some(3));
    let stale = Held { partition, fence: 2 };
    assert!(leases::renew(store, &b, &[stale], LONG).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lease_that_ended_goes_to_whoever_asks() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let (a, b) = (name("a"), name("b"));
    let partition = Partition::new(0).unwrap();
    let none = Duration::ZERO;
    assert_eq!(leases::acquire(store, partition, &a, none).await.unwrap(), Some(1));
    assert_eq!(leases::acquire(store, partition, &b, LONG).await.unwrap(), Some(2));
    let late = Held { partition, fence: 1 };
    assert!(leases::renew(store, &a, &[late], LONG).await.unwrap().is_empty());
    assert_eq!(leases::owners(store).await.unwrap()[&0], (b, 2));
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_gets_the_lease() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let partition = Partition::new(9).unwrap();
    let asking = (0..16).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            leases::acquire(&store, partition, &name(&format!("n{n}")), LONG)
                .await
                .unwrap()
        })
    });
    let mut granted = 0;
    for answer in asking.collect::<Vec<_>>() {
        granted += usize::from(answer.await.unwrap().is_some());
    }
    assert_eq!(granted, 1);
}
