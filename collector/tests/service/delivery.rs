//! Stored exactly once, and acknowledged only then.

use std::collections::HashSet;

use model::{Epoch, SourceId, ecs};
use proto::ingest::v1::{Drop, DropReason, DropReport, stream_request, stream_response};
use testkit::poll_until;

use crate::client::{self, EPOCH, line, numbered, records};
use crate::sandbox::{PATIENCE, Sandbox};

#[tokio::test]
async fn a_receipt_is_signed_and_what_it_covers_is_stored_with_its_origin() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    stream.batch(&numbered(0, 3)).await;
    let receipt = stream.receipt().await;
    assert_eq!((receipt.epoch, receipt.next_seq), (EPOCH, 3));
    let certificate = identity::Identity::load(&collector.files).unwrap().chain()[0].clone();
    identity::receipt::verify(
        &certificate,
        agent,
        Epoch(EPOCH),
        3,
        receipt.issued_at_micros,
        &receipt.signature,
    )
    .unwrap();
    let events = sandbox.events(SourceId::agent(agent)).await;
    assert_eq!(events.len(), 3);
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event.id.seq, n as u64);
        assert_eq!(event.fields.str(ecs::MESSAGE), Some(format!("line {n}").as_str()));
        assert_eq!(event.fields.str(ecs::AGENT_ID), Some(agent.to_string().as_str()));
        assert_eq!(event.fields.str(ecs::HOST_NAME), Some("web-1"));
        assert_eq!(event.fields.str(ecs::LOG_FILE_PATH), Some("/var/log/test.log"));
    }
    collector.stop().await;
}

#[tokio::test]
async fn a_batch_sent_again_is_acknowledged_again_and_stored_once() {
    let sandbox = Sandbox::new().await;
    let one = sandbox.collector().await;
    let other = sandbox.collector_with("collector-2", |_| {}).await;
    let (agent, identity) = sandbox.agent().await;
    // Large enough to be stored in several parts.
    let batch = numbered(0, 9000);
    for collector in [&one, &other] {
        let mut stream = client::open(&sandbox, collector, &identity).await;
        for _ in 0..2 {
            stream.batch(&batch).await;
            assert_eq!(stream.receipt().await.next_seq, 9000);
        }
    }
    // Beside a new one, so that a block has to be cut again.
    let mut stream = client::open(&sandbox, &one, &identity).await;
    stream.batch(&batch).await;
    stream.batch(&numbered(9000, 10)).await;
    stream.receipt_up_to(9010).await;
    let events = sandbox.events(SourceId::agent(agent)).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.id.seq).collect();
    assert_eq!(numbers, (0..9010).collect::<Vec<u64>>());
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn two_collectors_given_the_same_batch_at_once_store_it_once() {
    let sandbox = Sandbox::new().await;
    let one = sandbox.collector().await;
    let other = sandbox.collector_with("collector-2", |_| {}).await;
    let (agent, identity) = sandbox.agent().await;
    let mut streams = Vec::new();
    for collector in [&one, &other, &one, &other] {
        streams.push(client::open(&sandbox, collector, &identity).await);
    }
    for round in 0..10 {
        let batch = numbered(round * 100, 100);
        for stream in &streams {
            stream.batch(&batch).await;
        }
    }
    for stream in &mut streams {
        stream.receipt_up_to(1000).await;
    }
    assert_eq!(sandbox.messages(SourceId::agent(agent)).await.len(), 1000);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn many_agents_at_once_are_merged_and_nothing_is_lost_or_mixed_up() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let mut agents = Vec::new();
    for _ in 0..12 {
        agents.push(sandbox.agent().await);
    }
    let mut sending = tokio::task::JoinSet::new();
    for (agent, identity) in agents {
        let mut stream = client::open(&sandbox, &collector, &identity).await;
        sending.spawn(async move {
            for n in 0..20 {
                stream.batch(&numbered(n * 25, 25)).await;
            }
            stream.receipt_up_to(500).await;
            agent
        });
    }
    let agents: Vec<_> = sending.join_all().await;
    let mut ids = HashSet::new();
    for agent in agents {
        let events = sandbox.events(SourceId::agent(agent)).await;
        assert_eq!(events.len(), 500);
        for event in events {
            assert_eq!(event.fields.str(ecs::AGENT_ID), Some(agent.to_string().as_str()));
            assert!(ids.insert(event.id));
        }
    }
    let blocks = sandbox.blocks().await.len();
    assert!(blocks < 240, "240 batches should share blocks, got {blocks}");
    collector.stop().await;
}

#[tokio::test]
async fn a_collector_that_stops_settles_what_it_has_and_the_next_one_goes_on() {
    let sandbox = Sandbox::new().await;
    let (agent, identity) = sandbox.agent().await;
    let collector = sandbox.collector().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    for n in 0..20 {
        stream.batch(&numbered(n * 100, 100)).await;
    }
    stream.receipt().await;
    let stopping = tokio::spawn(collector.stop());
    let end = stream.end().await;
    assert_eq!(end.code(), tonic::Code::Unavailable, "{end:?}");
    stopping.await.unwrap();
    let collector = sandbox.collector().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    for n in 0..20 {
        stream.batch(&numbered(n * 100, 100)).await;
    }
    stream.receipt_up_to(2000).await;
    let events = sandbox.events(SourceId::agent(agent)).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.id.seq).collect();
    assert_eq!(numbers, (0..2000).collect::<Vec<u64>>());
    collector.stop().await;
}

#[tokio::test]
async fn another_batch_under_a_stored_number_is_dropped_and_the_first_one_stays() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    stream.batch(&client::batch(0, &records(vec![line("first")]))).await;
    assert_eq!(stream.receipt().await.next_seq, 1);
    stream.batch(&client::batch(0, &records(vec![line("second")]))).await;
    assert_eq!(stream.receipt().await.next_seq, 1);
    assert_eq!(sandbox.messages(SourceId::agent(agent)).await, ["first"]);
    let metrics = collector.ctx.metrics().render();
    assert!(metrics.contains("reason=\"batch_conflict\""), "{metrics}");
    collector.stop().await;
}

#[tokio::test]
async fn numbers_an_agent_gave_up_are_recorded_once_and_hold_nothing_up() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let report = DropReport {
        drops: vec![Drop {
            reason: DropReason::SpoolFull.into(),
            epoch: EPOCH,
            first_seq: 0,
            count: 500,
            total: 500,
        }],
    };
    let recorded = async || {
        let known = storage::agents::get(&sandbox.store, &model::Tenant::default(), agent).await;
        known.unwrap().unwrap().dropped.into_iter().collect::<Vec<_>>()
    };
    for _ in 0..3 {
        stream.send(stream_request::Body::Drops(report.clone())).await;
        poll_until(PATIENCE, "the drops are recorded", async || {
            (recorded().await == [("spool_full".to_owned(), 500)]).then_some(())
        })
        .await;
    }
    stream.batch(&numbered(500, 10)).await;
    assert_eq!(stream.receipt().await.next_seq, 510);
    assert_eq!(recorded().await, [("spool_full".to_owned(), 500)]);
    collector.stop().await;
}

#[tokio::test]
async fn an_agent_over_its_rate_is_told_to_wait_and_loses_nothing() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox
        .collector_with("collector-1", |config| config.ingest.agent_events_per_second = 10_000)
        .await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    for n in 0..3 {
        stream.batch(&numbered(n * 5000, 5000)).await;
    }
    let mut waited = false;
    let mut acknowledged = 0;
    while acknowledged < 15_000 {
        match stream.next().await.unwrap() {
            stream_response::Body::Wait(wait) => {
                assert!((1..=2000).contains(&wait.retry_after_millis), "{wait:?}");
                assert!(wait.reason.contains("rate limit"), "{wait:?}");
                waited = true;
            }
            stream_response::Body::Receipt(receipt) => acknowledged = receipt.next_seq,
            other @ (stream_response::Body::Welcome(_) | stream_response::Body::Refused(_)) => {
                panic!("unexpected {other:?}")
            }
        }
    }
    assert!(waited);
    assert_eq!(sandbox.events(SourceId::agent(agent)).await.len(), 15_000);
    collector.stop().await;
}

#[tokio::test]
async fn batches_wait_when_there_is_no_memory_for_them() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox
        .collector_with("collector-1", |config| config.ingest.memory_bytes = 1 << 20)
        .await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    for n in 0..10 {
        stream.batch(&numbered(n * 1000, 1000)).await;
    }
    let mut acknowledged = 0;
    while acknowledged < 10_000 {
        if let stream_response::Body::Receipt(receipt) = stream.next().await.unwrap() {
            acknowledged = receipt.next_seq;
        }
    }
    assert_eq!(sandbox.events(SourceId::agent(agent)).await.len(), 10_000);
    collector.stop().await;
}
