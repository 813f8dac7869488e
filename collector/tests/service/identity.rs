//! Streams of those who should not be there.

use std::time::Duration;

use identity::{Identity, RevocationList, receipt};
use model::node::Role;
use model::{Epoch, Tenant, Timestamp};
use proto::ingest::v1::{Receipt, stream_request};
use rustls_pki_types::CertificateDer;
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

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_and_signs_the_receipts_of_new_connections() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (id, agent) = sandbox.agent().await;
    let mut old = client::open(&sandbox, &collector, &agent).await;
    let before = Identity::load(&collector.files).unwrap();
    let renewed = sandbox.authority.issue(Role::Collector, "collector-1");
    std::fs::copy(&renewed.key_file, &collector.files.key_file).unwrap();
    std::fs::copy(&renewed.cert_file, &collector.files.cert_file).unwrap();
    let expected = Identity::load(&renewed).unwrap().chain()[0].clone();

    let tls = identity::client_config(&agent, Role::Collector, &RevocationList::default()).unwrap();
    let addr = collector.addr.to_string();
    let channel = poll_until(PATIENCE, "the new certificate is presented", async || {
        let connection = bootstrap::grpc::connect_tls(&addr, tls.clone()).await.unwrap();
        (*connection.peer.get().unwrap() == expected).then_some(connection.channel)
    })
    .await;
    let mut new = client::call(channel).await.unwrap();
    new.send(stream_request::Body::Hello(client::hello())).await;
    new.next().await.unwrap();
    new.batch(&numbered(0, 10)).await;
    let verify = |certificate: &CertificateDer<'_>, receipt: &Receipt| {
        let (epoch, next_seq) = (Epoch(receipt.epoch), receipt.next_seq);
        receipt::verify(
            certificate,
            id,
            epoch,
            next_seq,
            receipt.issued_at_micros,
            &receipt.signature,
        )
        .is_ok()
    };
    assert!(verify(&expected, &new.receipt().await));

    // The sender of the stream before still checks against the certificate it saw.
    old.batch(&numbered(10, 10)).await;
    assert!(verify(&before.chain()[0], &old.receipt().await));
    collector.stop().await;
}
