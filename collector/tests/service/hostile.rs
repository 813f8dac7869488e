//! What no agent of ours would send.

use model::{SourceId, ecs};
use proto::ingest::v1::{Record, record, stream_request, stream_response};

use crate::client::{self, line, numbered, records};
use crate::sandbox::Sandbox;

#[tokio::test]
async fn a_batch_that_can_never_be_taken_is_refused_by_name_and_passed() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let mut untrue = numbered(0, 10);
    untrue.hash[0] ^= 1;
    let mut broken = numbered(10, 10);
    broken.payload = vec![1, 2, 3].into();
    client::rehash(&mut broken);
    for (bad, reason, next_seq) in [(untrue, "hash", 10), (broken, "payload", 20)] {
        stream.batch(&bad).await;
        match stream.next().await.unwrap() {
            stream_response::Body::Refused(refused) => {
                assert_eq!(refused.first_seq, bad.first_seq);
                assert!(refused.reason.starts_with(reason), "{}", refused.reason);
            }
            other @ (stream_response::Body::Welcome(_)
            | stream_response::Body::Wait(_)
            | stream_response::Body::Receipt(_)) => panic!("expected a refusal, got {other:?}"),
        }
        assert_eq!(stream.receipt().await.next_seq, next_seq);
    }
    stream.batch(&numbered(20, 5)).await;
    assert_eq!(stream.receipt().await.next_seq, 25);
    assert_eq!(sandbox.events(SourceId::agent(agent)).await.len(), 5);
    collector.stop().await;
}

#[tokio::test]
async fn a_bad_record_costs_one_event() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let bytes = |bytes: &[u8]| Record {
        body: Some(record::Body::Line(bytes.to_vec().into())),
        ..line("")
    };
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let json = |text: &str| Record {
        body: Some(record::Body::Json(text.as_bytes().to_vec().into())),
        ..line("")
    };
    let bad = vec![
        line("before"),
        Record {
            origin: 99,
            ..line("nowhere")
        },
        Record { body: None, ..line("") },
        bytes(&[0xff, 0xfe, 0, b'a', 0]),
        bytes(&vec![b'x'; (1 << 20) + 1]),
        json(&deep),
        json("{\"a\":"),
        Record {
            observed_at_micros: i64::MIN,
            ..line("long ago")
        },
        line("after"),
    ];
    stream.batch(&client::batch(0, &records(bad))).await;
    assert_eq!(stream.receipt().await.next_seq, 9);
    let events = sandbox.events(SourceId::agent(agent)).await;
    let numbers: Vec<u64> = events.iter().map(|event| event.id.seq).collect();
    assert_eq!(numbers, [0, 3, 5, 6, 7, 8]);
    assert_eq!(events[5].fields.str(ecs::MESSAGE), Some("after"));
    let metrics = collector.ctx.metrics().render();
    for reason in ["record_origin", "record_kind", "record_too_long"] {
        assert!(
            metrics.contains(&format!("reason=\"{reason}\"")),
            "{reason} in {metrics}"
        );
    }
    collector.stop().await;
}

#[tokio::test]
async fn a_batch_of_random_bytes_at_the_limit_is_stored() {
    use rand::RngCore as _;
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    let mut random = vec![0; 256 << 10];
    let lines = (0..15).map(|_| {
        rand::rng().fill_bytes(&mut random);
        Record {
            body: Some(record::Body::Line(random.clone().into())),
            ..line("")
        }
    });
    stream.batch(&client::batch(0, &records(lines.collect()))).await;
    assert_eq!(stream.receipt().await.next_seq, 15);
    assert_eq!(sandbox.events(SourceId::agent(agent)).await.len(), 15);
    collector.stop().await;
}

#[tokio::test]
async fn dates_that_cannot_be_right_are_filed_together_and_still_stored_once() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (agent, identity) = sandbox.agent().await;
    let mut stream = client::open(&sandbox, &collector, &identity).await;
    for (n, created) in [(0, i64::MIN), (1, 0), (2, i64::MAX)] {
        let mut batch = numbered(n, 1);
        batch.created_at_micros = created;
        client::rehash(&mut batch);
        for _ in 0..2 {
            stream.batch(&batch).await;
            assert_eq!(stream.receipt().await.next_seq, n + 1);
        }
    }
    assert_eq!(sandbox.events(SourceId::agent(agent)).await.len(), 3);
    assert_eq!(storage::blocks::list_days(&sandbox.store).await.unwrap().len(), 1);
    collector.stop().await;
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_a_hello_is_closed() {
    let sandbox = Sandbox::new().await;
    let collector = sandbox.collector().await;
    let (_, identity) = sandbox.agent().await;
    let mut stream = client::call(sandbox.connect(&collector, &identity).await)
        .await
        .unwrap();
    stream.batch(&numbered(0, 1)).await;
    let end = stream.end().await;
    assert_eq!(end.code(), tonic::Code::InvalidArgument);
    assert!(end.message().contains("Hello"), "{end:?}");

    let mut stream = client::open(&sandbox, &collector, &identity).await;
    stream.send(stream_request::Body::Hello(client::hello())).await;
    assert_eq!(stream.end().await.code(), tonic::Code::InvalidArgument);
    collector.stop().await;
}
