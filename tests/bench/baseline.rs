//! What it is measured against: plain `insert_many` of the same events, one document each.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bson::{Document, doc};
use model::{Epoch, Event, EventId, SourceId, Timestamp};
use mongodb::Client;
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use parsers::{Body, RawRecord};
use tests::lines;

/// Documents in one insert.
const BATCH: usize = 1_000;

/// The events that Picket makes of these lines.
pub(crate) fn events(count: u64) -> Vec<Event> {
    let source = SourceId::named("bench", "baseline");
    let event = |number| {
        let line = lines::line(number);
        let record = RawRecord {
            body: Body::Line(line.as_bytes()),
            origin_kind: "file",
            origin_name: "/var/log/bench.log",
            log_type: None,
            observed: Timestamp(1_772_000_000_000_000),
            truncated_bytes: 0,
            header: None,
        };
        let parsed = parsers::parse(&record);
        Event {
            id: EventId {
                source,
                epoch: Epoch(1),
                seq: number,
            },
            timestamp: parsed.timestamp,
            fields: parsed.fields,
        }
    };
    (0..count).map(event).collect()
}

/// The same as BSON documents, made before the clock starts.
pub(crate) fn documents(count: u64) -> anyhow::Result<Vec<Document>> {
    let events = events(count);
    let document = |event: &Event| bson::serialize_to_document(&event.to_json()).context("make a document");
    events.iter().map(document).collect()
}

/// Inserts all documents in batches of 1,000 with `w: majority`, nothing indexed but `_id`, by so many writers at once.
/// Answers events per second.
pub(crate) async fn insert_many(uri: &str, documents: &[Document], writers: usize) -> anyhow::Result<f64> {
    let mut options = ClientOptions::parse(uri).await.context("read the URI")?;
    options.write_concern = Some(WriteConcern::builder().w(Acknowledgment::Majority).build());
    let database = Client::with_options(options)?.database("bench_baseline");
    let collection = database.collection::<Document>("events");
    collection.drop().await?;
    database.create_collection("events").await?;
    let share = documents.len().div_ceil(writers);
    let began = Instant::now();
    let tasks: Vec<_> = documents
        .chunks(share)
        .map(|part| {
            let collection = collection.clone();
            let batches: Vec<Vec<Document>> = part.chunks(BATCH).map(<[Document]>::to_vec).collect();
            tokio::spawn(async move {
                for batch in batches {
                    collection.insert_many(batch).ordered(false).await?;
                }
                Ok::<_, mongodb::error::Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.context("join a writer")??;
    }
    let rate = documents.len() as f64 / began.elapsed().as_secs_f64();
    database.drop().await?;
    settle(uri).await?;
    Ok(rate)
}

/// Lets mongod write out what it has in memory, so that one side's dirt is not the other side's load.
pub(crate) async fn settle(uri: &str) -> anyhow::Result<()> {
    let admin = Client::with_uri_str(uri).await?.database("admin");
    admin.run_command(doc! { "fsync": 1 }).await.context("flush")?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}
