//! The database dies and comes back.

use std::path::Path;
use std::time::Duration;

use model::SourceId;
use mongod::{Mongod, Options};
use proto::ingest::v1::stream_response;

use crate::client::{self, numbered};
use crate::sandbox::Sandbox;

#[tokio::test]
async fn batches_outlive_a_killed_database_and_are_stored_once() {
    const BATCHES: u64 = 60;
    let cache = match std::env::var_os("PICKET_TEST_CACHE") {
        Some(dir) if !dir.is_empty() => dir.into(),
        Some(_) | None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-cache"),
    };
    let binary = mongod::provision(&cache, |_| {}).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut mongod = Mongod::start(Options::throw_away(binary.path, data.path().join("db")))
        .await
        .unwrap();
    let sandbox = Sandbox::on(&mongod.uri()).await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let requests = stream.requests.clone();
    let sending = tokio::spawn(async move {
        for n in 0..BATCHES {
            let body = proto::ingest::v1::stream_request::Body::Batch(numbered(n * 50, 50));
            let request = proto::ingest::v1::StreamRequest { body: Some(body) };
            requests.send(request).await.unwrap();
        }
    });
    let mut acknowledged = stream.receipt().await.next_seq;
    mongod.kill9().await;
    mongod.restart().await.unwrap();
    while acknowledged < BATCHES * 50 {
        if let stream_response::Body::Receipt(receipt) = stream.next().await.unwrap() {
            assert!(receipt.next_seq >= acknowledged);
            acknowledged = receipt.next_seq;
        }
    }
    sending.await.unwrap();
    let events = sandbox.events(SourceId::agent(agent)).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.id.seq).collect();
    assert_eq!(numbers, (0..BATCHES * 50).collect::<Vec<u64>>());
    collector.stop().await;
    mongod.stop().await;
}

#[tokio::test]
async fn a_collector_that_starts_before_its_database_waits_for_it() {
    let mut mongod = testkit::private_mongo().await;
    let sandbox = Sandbox::on(&mongod.uri()).await;
    mongod.kill9().await;
    let starting = sandbox.collector();
    tokio::pin!(starting);
    // A try to reach the database takes five seconds.
    let early = tokio::time::timeout(Duration::from_secs(6), &mut starting).await;
    assert!(early.is_err(), "started without a database");
    mongod.restart().await.unwrap();
    let collector = starting.await;
    let (_, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    stream.batch(&numbered(0, 10)).await;
    assert_eq!(stream.receipt().await.next_seq, 10);
    collector.stop().await;
    mongod.stop().await;
}
