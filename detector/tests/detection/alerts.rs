//! Blocks become alerts, once.

use model::node::Role;
use model::{BatchKey, Epoch, Partition, SourceId, Tenant};
use proto::detection::v1::SubmitOutcome;
use proto::detection::v1::detection_service_client::DetectionServiceClient;
use storage::blocks::BlockBatch;

use crate::sandbox::{Sandbox, event, eventually, source_in};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_block_becomes_alerts_and_looking_again_changes_nothing() {
    let sandbox = Sandbox::new().await;
    let source = SourceId::named("test", "a");
    let events = [
        event(source, 0, "failure"),
        event(source, 1, "success"),
        event(source, 2, "failure"),
    ];
    // Stored before any detector is there: only the truth path can find it.
    let stored = sandbox.store_block(&events).await;
    let detector = sandbox.start("detector-1").await;
    let alerts = sandbox.settle().await;
    assert_eq!(alerts.len(), 2);
    let mut seen: Vec<u64> = alerts.iter().map(|alert| alert.event_id.seq).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 2]);
    assert_eq!(alerts[0].rule_id, "failed-login");
    assert_eq!(alerts[0].event["source"]["ip"], "203.0.113.7");

    // The collector's copy comes late, and the same events come once more under another batch.
    let mut client = DetectionServiceClient::new(sandbox.connect(&detector, Role::Collector).await);
    let answer = client.submit_block(stored.request).await.unwrap().into_inner();
    assert_eq!(answer.outcome(), SubmitOutcome::Accepted);
    sandbox.store_block(&events[2..]).await;
    let again = sandbox.settle().await;
    assert_eq!(again, alerts);
    detector.stop().await;

    let successor = sandbox.start("detector-1").await;
    sandbox.store_block(&events[1..]).await;
    assert_eq!(sandbox.settle().await, alerts);
    successor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fast_path_takes_what_is_its_own() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    let mut client = DetectionServiceClient::new(sandbox.connect(&detector, Role::Collector).await);
    let source = SourceId::named("test", "fast");
    let stored = sandbox.store_block(&[event(source, 0, "failure")]).await;
    eventually("the detector owns the partition", async || {
        let answer = client.submit_block(stored.request.clone()).await.unwrap();
        answer.into_inner().outcome() == SubmitOutcome::Accepted
    })
    .await;
    assert_eq!(sandbox.settle().await.len(), 1);

    for (change, expected) in [
        ("tenant", "tenant: "),
        ("block_id", "block_id: expected 12 bytes, got 1"),
        ("partition", "partition: expected a number below 16, got 16"),
        ("block", "block: expected"),
    ] {
        let mut request = stored.request.clone();
        match change {
            "tenant" => request.tenant = "No".to_owned(),
            "block_id" => request.block_id = vec![1],
            "partition" => request.partition = 16,
            _ => request.block = Vec::new().into(),
        }
        let status = client.submit_block(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{change}");
        assert!(status.message().starts_with(expected), "{}", status.message());
    }

    for role in Role::ALL.into_iter().filter(|role| *role != Role::Collector) {
        let mut stranger = DetectionServiceClient::new(sandbox.connect(&detector, role).await);
        let status = stranger.submit_block(stored.request.clone()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{role}");
    }
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_cannot_be_read_does_not_hold_up_others() {
    let sandbox = Sandbox::new().await;
    let partition = Partition::new(5).unwrap();
    let source = source_in(partition);
    let batch = BlockBatch {
        key: BatchKey {
            tenant: Tenant::default(),
            source,
            epoch: Epoch(9),
            first_seq: 0,
        },
        count: 1,
        hash: [0; 32],
        link: None,
    };
    sandbox.store_body(partition, batch, b"rubbish".to_vec()).await;
    sandbox.store_block(&[event(source, 0, "failure")]).await;
    let detector = sandbox.start("detector-1").await;
    assert_eq!(sandbox.settle().await.len(), 1);
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detection_goes_on_when_the_database_comes_back() {
    let mut server = testkit::private_mongo().await;
    let sandbox = Sandbox::on(&server.uri(), "outage").await;
    let detector = sandbox.start("detector-1").await;
    let source = SourceId::named("test", "outage");
    sandbox.store_block(&[event(source, 0, "failure")]).await;
    sandbox.settle().await;
    sandbox.store_block(&[event(source, 1, "failure")]).await;
    server.kill9().await;
    server.restart().await.unwrap();
    eventually("the database answers", async || sandbox.store.ping().await.is_ok()).await;
    sandbox.store_block(&[event(source, 2, "failure")]).await;
    let mut seen: Vec<u64> = sandbox.settle().await.iter().map(|alert| alert.event_id.seq).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2]);
    detector.stop().await;
}
