//! `bench store`: events into blocks in MongoDB, beside plain `insert_many` of the same events into the same mongod in
//! alternating rounds; what they take on disk, and how fast they are looked through.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use block::Block;
use bson::{Document, doc};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::{BatchKey, Epoch, Event, Partition, Tenant, Timestamp};
use mongod::{Mongod, Options};
use query::{Query, Span};
use storage::Store;
use storage::blocks::{BlockBatch, Day, Inserted, NewBlock, Writer};

use crate::baseline::{self, settle};
use crate::report::{cpu_seconds, machine, median};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events in each round
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Rounds; each measures both sides
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Events in one block
    #[arg(long, default_value_t = 4_000)]
    block: usize,
    /// Blocks that are encoded or stored at once
    #[arg(long, default_value_t = 4)]
    at_once: usize,
}

const DATABASE: &str = "bench_store";
/// What events are looked through for: two columns, one event in twelve.
const FILTER: &str = "user.name:root AND source.ip:10.0.0.0/8";
/// Times blocks are looked through.
const LOOKS: u32 = 3;

/// Events a second, and microseconds of processor time an event: ours and mongod's.
struct Rate {
    rate: f64,
    own: f64,
    mongod: f64,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("make a directory")?;
    let mongod = Mongod::start(Options::new(testkit::mongod_binary().await, dir.path().join("db"))).await?;
    let uri = mongod.uri();
    let pid = i32::try_from(mongod.pid()).context("mongod's id")?;
    let store = Store::connect(&uri, DATABASE, "bench").await?;
    let writer = Writer::new(store);
    println!("machine   {}", machine());

    let documents = baseline::documents(args.events)?;
    let bytes = documents
        .iter()
        .take(1000)
        .try_fold(0, |sum, document| document.to_vec().map(|bytes| sum + bytes.len()))?;
    let events = baseline::events(args.events);
    let chunks: Vec<Arc<[Event]>> = events.chunks(args.block.max(1)).map(Arc::from).collect();
    drop(events);
    // Makes the collection and its indexes.
    let first = chunks.first().context("no events")?;
    store_block(&writer, first.clone(), 0, 0).await?;

    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        let here = measured(args.events, pid, async {
            let store = |(number, chunk): (usize, &Arc<[Event]>)| store_block(&writer, chunk.clone(), round, number);
            let stored = stream::iter(chunks.iter().enumerate().map(store)).buffer_unordered(args.at_once.max(1));
            stored.try_collect::<Vec<()>>().await.map(drop)
        })
        .await?;
        settle(&uri).await?;
        let mut best: Option<Rate> = None;
        for writers in [1, 2] {
            let before = (own_cpu(), cpu_seconds(pid));
            let rate = baseline::insert_many(&uri, &documents, writers).await?;
            let each = |seconds: f64| seconds * 1e6 / args.events as f64;
            let there = Rate {
                rate,
                own: each(own_cpu() - before.0),
                mongod: each(cpu_seconds(pid) - before.1),
            };
            if best.as_ref().is_none_or(|best| best.rate < there.rate) {
                best = Some(there);
            }
        }
        let there = best.context("no writers")?;
        println!(
            "round {round}: blocks {:.0}/s, insert_many {:.0}/s (CPU us/event: blocks {:.1} and mongod {:.1}; insert_many {:.1} \
             and mongod {:.1}, with flushing and dropping)",
            here.rate, there.rate, here.own, here.mongod, there.own, there.mongod
        );
        ours.push(here.rate);
        plain.push(there.rate);
    }
    let stored = args.events * u64::from(args.rounds) + first.len() as u64;
    let (data, indexes) = on_disk(&uri, stored).await?;
    println!();
    println!(
        "event                           {} B as a BSON document",
        bytes / documents.len().clamp(1, 1000)
    );
    println!(
        "blocks, w: majority             {:.0} events/s (median of {})",
        median(&ours),
        args.rounds
    );
    println!(
        "plain insert_many, w: majority  {:.0} events/s (median of the better of 1 and 2 writers)",
        median(&plain)
    );
    println!("ratio                           {:.2}", median(&ours) / median(&plain));
    println!("on disk                         {data:.1} B/event and {indexes:.1} of indexes");
    drop(documents);
    look(&chunks)?;
    mongod.stop().await;
    Ok(())
}

fn own_cpu() -> f64 {
    i32::try_from(std::process::id()).map_or(0.0, cpu_seconds)
}

async fn measured(events: u64, mongod: i32, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Rate> {
    let before = (own_cpu(), cpu_seconds(mongod));
    let began = Instant::now();
    work.await?;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    let each = |seconds: f64| seconds * 1e6 / events as f64;
    Ok(Rate {
        rate,
        own: each(own_cpu() - before.0),
        mongod: each(cpu_seconds(mongod) - before.1),
    })
}

/// Encodes and stores one block. Rounds differ in their epoch, so that nothing is stored before.
async fn store_block(writer: &Writer, events: Arc<[Event]>, round: u32, number: usize) -> anyhow::Result<()> {
    let id = events.first().context("an empty block")?.id;
    let encoded = tokio::task::spawn_blocking(move || block::encode(&events))
        .await?
        .context("encode a block")?;
    let tenant = Tenant::default();
    let now = Timestamp::now();
    let new = NewBlock {
        partition: Partition::of(&tenant, &id.source),
        day: Day::of_batch(now, now),
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: encoded.meta.count,
        batches: vec![BlockBatch {
            key: BatchKey {
                tenant: tenant.clone(),
                source: id.source,
                epoch: Epoch(u64::from(round) + 1),
                first_seq: number as u64,
            },
            count: encoded.meta.count,
            hash: [0; 32],
            link: None,
        }],
        tenant,
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node: "bench".parse()?,
        at: now,
    };
    let inserted = writer.insert(&new).await.context("store a block")?;
    ensure!(matches!(inserted, Inserted::Stored(_)), "a block was there before");
    Ok(())
}

async fn on_disk(uri: &str, events: u64) -> anyhow::Result<(f64, f64)> {
    settle(uri).await?;
    let database = mongodb::Client::with_uri_str(uri).await?.database(DATABASE);
    let (mut data, mut indexes) = (0.0, 0.0);
    for name in database.list_collection_names().await? {
        if name.starts_with("blocks_") {
            let stats: Document = database.run_command(doc! { "collStats": name }).await?;
            let number = |field: &str| stats.get(field).map_or(0.0, as_f64);
            data += number("storageSize");
            indexes += number("totalIndexSize");
        }
    }
    Ok((data / events as f64, indexes / events as f64))
}

fn as_f64(value: &bson::Bson) -> f64 {
    let number = value.as_i64().or_else(|| value.as_i32().map(i64::from));
    value.as_f64().or(number.map(|number| number as f64)).unwrap_or(0.0)
}

/// On one thread, by CPU time: other work on the machine does not count.
fn look(chunks: &[Arc<[Event]>]) -> anyhow::Result<()> {
    let mut bodies = Vec::new();
    for events in chunks {
        bodies.push(block::encode(events).context("encode a block")?.bytes);
    }
    let events = chunks.iter().map(|events| events.len()).sum::<usize>() as f64;
    let query = Query::parse(FILTER)?.compile(Timestamp::now());
    let timed = |name: &str, work: &dyn Fn(&Block<'_>) -> anyhow::Result<usize>| -> anyhow::Result<usize> {
        let mut rates = Vec::new();
        let mut found = 0;
        for _ in 0..LOOKS {
            let before = own_cpu();
            found = 0;
            for body in &bodies {
                found += work(&Block::open(body)?)?;
            }
            rates.push(events / (own_cpu() - before).max(1e-6));
        }
        println!("{name:<31} {:.0} events/s on one core, {found} found", median(&rates));
        Ok(found)
    };
    timed("decoded whole", &|block| Ok(black_box(block.events()?).len()))?;
    let one = timed("decoded whole and filtered", &|block| {
        let mut found = 0;
        for event in block.each_event()? {
            found += usize::from(query.matches(&event?));
        }
        Ok(found)
    })?;
    let other = timed("filtered by column", &|block| {
        Ok(query::scan(&query, Span::default(), block)?.rows.len())
    })?;
    ensure!(one == other, "{one} events match, {other} by column");
    Ok(())
}
