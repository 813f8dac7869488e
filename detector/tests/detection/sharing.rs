//! Several detectors.

use model::{PARTITIONS, Partition};
use storage::leases;

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
