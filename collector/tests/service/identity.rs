//! Streams of those who should not be there.

use std::time::Duration;

use model::node::Role;
use model::{Tenant, Timestamp};
use testkit::poll_until;
use tonic::Code;

use crate::client::{self, numbered};
use crate::sandbox::{PATIENCE, Sandbox};

#[tokio::test]
async fn an_agent_that_is_not_enrolled_here_is_refused() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let stranger = sandbox
        .authority
        .identity(Role::Agent, &uuid::Uuid::new_v4().to_string());
    let channel = sandbox.connect(&collector, &stranger).await;
    let Err(status) = client::call(channel).await else {
        panic!("expected a refusal")
    };
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "agent is not enrolled here");
    collector.stop().await;
}

#[tokio::test]
async fn revoking_closes_the_open_stream_and_refuses_the_next_handshake() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (id, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    stream.batch(&numbered(0, 1)).await;
    stream.receipt().await;
    let tenant = Tenant::default();
    storage::agents::revoke(&sandbox.store, &tenant, id, "test")
        .await
        .unwrap();
    storage::certificates::revoke_subject(&sandbox.store, &tenant, Role::Agent, &id.to_string(), "test")
        .await
        .unwrap();
    let end = stream.end().await;
    assert_eq!(end.code(), Code::Unauthenticated, "{end:?}");
    assert!(end.message().contains("revoked"), "{end:?}");
    let refused = bootstrap::grpc::connect(
        &collector.addr.to_string(),
        &identity,
        Role::Collector,
        &identity::RevocationList::default(),
    )
    .await;
    assert!(refused.is_err());
    collector.stop().await;
}

#[tokio::test]
async fn an_open_stream_ends_with_its_certificate() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (id, _) = sandbox.agent().await;
    // The shortest life there is, most of it over.
    let began = Timestamp(Timestamp::now().0 - 57_000_000);
    let files = sandbox
        .authority
        .issue_for(Role::Agent, &id.to_string(), Duration::from_secs(60), began);
    let identity = identity::Identity::load(&files).unwrap();
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let end = stream.end().await;
    assert_eq!(end.code(), Code::Unauthenticated);
    assert!(end.message().contains("expired"), "{end:?}");
    collector.stop().await;
}

#[tokio::test]
async fn two_live_streams_of_one_identity_are_noticed_across_collectors() {
    let sandbox = Sandbox::new().await;
    let quick = |config: &mut collector::Config| config.ingest.duplicate_after_secs = 1;
    let one = sandbox.collector_with("collector-1", quick).await;
    let other = sandbox.collector_with("collector-2", quick).await;
    let (id, identity) = sandbox.agent().await;
    let _first = client::open(&sandbox, &one, &identity).await;
    let _second = client::open(&sandbox, &other, &identity).await;
    poll_until(PATIENCE, "the agent is flagged", async || {
        let agent = storage::agents::get(&sandbox.store, &Tenant::default(), id)
            .await
            .unwrap()?;
        agent.duplicate_seen_at
    })
    .await;
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_reconnect_is_not_taken_for_a_second_endpoint() {
    let sandbox = Sandbox::new().await;
    let quick = |config: &mut collector::Config| config.ingest.duplicate_after_secs = 1;
    let collector = sandbox.collector_with("collector-1", quick).await;
    let (id, identity) = sandbox.agent().await;
    for n in 0..5 {
        let mut stream = client::open(&sandbox, &collector, &identity).await;
        stream.batch(&numbered(n, 1)).await;
        assert_eq!(stream.receipt().await.next_seq, n + 1);
    }
    let agent = storage::agents::get(&sandbox.store, &Tenant::default(), id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(agent.duplicate_seen_at, None);
    assert_eq!(agent.host.hostname, "web-1");
    assert!(agent.last_seen_at.is_some());
    collector.stop().await;
}
