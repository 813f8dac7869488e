//! Several detectors.

use std::time::Duration;

use model::node::{Node, Role};
use model::{PARTITIONS, Partition, Timestamp};
use storage::{leases, nodes};

use crate::sandbox::{Sandbox, event, eventually, name, source_in};

async fn owners(sandbox: &Sandbox) -> Vec<usize> {
    let owners = leases::owners(&sandbox.store).await.unwrap();
    let of = |node: &str| owners.values().filter(|(owner, _)| *owner == name(node)).count();
    vec![of("detector-1"), of("detector-2")]
}

/// One event in every partition.
async fn store_everywhere(sandbox: &Sandbox, seq: u64) {
    for partition in Partition::all() {
        sandbox
            .store_block(&[event(source_in(partition), seq, "failure")])
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_detectors_share_the_work_and_one_takes_over_when_the_other_stops() {
    let sandbox = Sandbox::new().await;
    let all = usize::from(PARTITIONS);
    let first = sandbox.start("detector-1").await;
    eventually("one owns everything", async || owners(&sandbox).await == [all, 0]).await;
    let second = sandbox.start("detector-2").await;
    eventually("both own their share", async || {
        let owners = owners(&sandbox).await;
        owners.iter().sum::<usize>() == all && owners.iter().all(|count| *count > 0 && *count < all)
    })
    .await;
    store_everywhere(&sandbox, 0).await;
    assert_eq!(sandbox.settle().await.len(), all);

    store_everywhere(&sandbox, 1).await;
    first.stop().await;
    eventually("the other owns everything", async || owners(&sandbox).await == [0, all]).await;
    store_everywhere(&sandbox, 2).await;
    assert_eq!(sandbox.settle().await.len(), 3 * all);
    second.stop().await;
    assert_eq!(owners(&sandbox).await, [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partitions_of_a_detector_that_died_are_taken_over() {
    let sandbox = Sandbox::new().await;
    let dead = Node {
        id: name("detector-2"),
        role: Role::Detector,
        addr: "127.0.0.1:1".to_owned(),
        version: "0.1.0".to_owned(),
        started_at: Timestamp(0),
        heartbeat_at: Timestamp(0),
        rules_at: None,
    };
    nodes::beat(&sandbox.store, &dead).await.unwrap();
    for partition in Partition::all() {
        let ttl = Duration::from_secs(4);
        leases::acquire(&sandbox.store, partition, &dead.id, ttl)
            .await
            .unwrap()
            .unwrap();
    }
    let detector = sandbox.start("detector-1").await;
    store_everywhere(&sandbox, 0).await;
    let all = usize::from(PARTITIONS);
    assert_eq!(sandbox.settle().await.len(), all);
    assert_eq!(owners(&sandbox).await, [all, 0]);
    let owners = leases::owners(&sandbox.store).await.unwrap();
    assert!(owners.values().all(|(_, fence)| *fence == 2), "{owners:?}");
    detector.stop().await;
}
