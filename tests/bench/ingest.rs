//! `bench ingest`: the whole line, from a file on disk to durable and detected, on one machine with its MongoDB.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bson::{Document, doc};
use model::Tenant;
use storage::{Store, blocks};
use tests::lines;
use tests::system::{Options, System};
use tests::until::until;

use crate::baseline;
use crate::forwarders::Forwarder;
use crate::report::{cpu_seconds, machine, median};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events in one round of either side
    #[arg(long, default_value_t = 300_000)]
    events: u64,
    /// Rounds of either side, taking turns
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

/// Most lines of a round of a forwarder, which insert one at a time.
const FORWARDED: u64 = 30_000;
/// Longest one round may take.
const ROUND: Duration = Duration::from_secs(300);

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    eprintln!("preparing {} events", args.events);
    let documents = baseline::documents(args.events)?;
    let bytes: usize = documents
        .iter()
        .take(1000)
        .filter_map(|document| bson::serialize_to_vec(document).ok())
        .map(|raw| raw.len())
        .sum();
    let options = Options::default();
    let system = System::start(options).await?;
    let store = system.store().await?;
    let mut ours = Vec::new();
    let mut plain = Vec::new();
    let forwarders: Vec<(Forwarder, PathBuf)> = Forwarder::ALL
        .into_iter()
        .filter_map(|forwarder| {
            let found = forwarder.find();
            if found.is_none() {
                println!(
                    "skipped: {} is not installed ({})",
                    forwarder.name(),
                    forwarder.packages()
                );
            }
            Some((forwarder, found?))
        })
        .collect();
    let mut forwarded = vec![Vec::new(); forwarders.len()];
    for round in 1..=args.rounds {
        let file = system.scratch().join(format!("round-{round}.log"));
        write_lines(&file, args.events)?;
        let before = cpu(&system);
        let rate = one_round(&system, &store, &file, args.events).await?;
        let used: Vec<String> = cpu(&system)
            .iter()
            .zip(&before)
            .map(|((name, after), (_, before))| format!("{name} {:.1}", (after - before) * 1e6 / args.events as f64))
            .collect();
        baseline::settle(&system.up.mongodb_uri).await?;
        let one = baseline::insert_many(&system.up.mongodb_uri, &documents, 1).await?;
        let two = baseline::insert_many(&system.up.mongodb_uri, &documents, 2).await?;
        println!(
            "round {round}: picket {rate:.0}/s, insert_many {one:.0}/s with 1 writer, {two:.0}/s with 2 \
             (CPU us/event: {})",
            used.join(", ")
        );
        ours.push(rate);
        plain.push(one.max(two));
        let few = args.events.min(FORWARDED);
        let file = system.scratch().join("forwarded.log");
        write_lines(&file, few)?;
        for ((forwarder, binary), rates) in forwarders.iter().zip(&mut forwarded) {
            let rate = forwarder.round(binary, &file, few, &system.up.mongodb_uri).await?;
            println!("round {round}: {} {rate:.0}/s of {few} lines", forwarder.name());
            rates.push(rate);
        }
    }
    let disk = bytes_per_event(&system, args.events * u64::from(args.rounds)).await?;
    let alerts = storage::alerts::count(&store, &storage::alerts::AlertFilter::default()).await?;
    println!();
    println!("machine                         {}", machine());
    println!("event                           {} B as a BSON document", bytes / 1000);
    println!(
        "picket, durable and detected    {:.0} events/s (median of {})",
        median(&ours),
        args.rounds
    );
    println!(
        "plain insert_many, w: majority  {:.0} events/s (median of the better of 1 and 2 writers)",
        median(&plain)
    );
    println!("ratio                           {:.2}", median(&ours) / median(&plain));
    for ((forwarder, _), rates) in forwarders.iter().zip(&forwarded) {
        println!(
            "{:<31} {:.0} lines/s, w: 1; picket stores {:.1} times as many",
            forwarder.name(),
            median(rates),
            median(&ours) / median(rates)
        );
    }
    println!("stored                          {disk:.0} B/event on disk, indexes included");
    println!("alerts raised meanwhile         {alerts}");
    system.stop().await
}

fn write_lines(path: &Path, count: u64) -> anyhow::Result<()> {
    let mut out = BufWriter::new(fs::File::create(path).context("make the file")?);
    for number in 0..count {
        writeln!(out, "{}", lines::line(number)).context("write the file")?;
    }
    out.flush().context("write the file")
}

/// Moves the file to where the agent looks, and waits until all of it is stored and looked at.
async fn one_round(system: &System, store: &Store, file: &Path, events: u64) -> anyhow::Result<f64> {
    let tenant = Tenant::default();
    let stored_before = blocks::events_total(store, &tenant).await?;
    let target = system.try_file();
    let began = Instant::now();
    fs::rename(file, &target).context("move the file in place")?;
    until("all events are stored and looked at", ROUND, async || {
        let stored = blocks::events_total(store, &tenant).await? - stored_before;
        ensure!(stored >= events, "{stored} of {events} stored");
        let pending = blocks::pending_stats(store).await?.count;
        ensure!(pending == 0, "{pending} blocks pending");
        Ok(Some(()))
    })
    .await?;
    let rate = events as f64 / began.elapsed().as_secs_f64();
    let stored = blocks::events_total(store, &tenant).await? - stored_before;
    ensure!(stored == events, "{stored} events stored of {events} written");
    Ok(rate)
}

fn cpu(system: &System) -> Vec<(String, f64)> {
    system
        .up
        .nodes
        .iter()
        .map(|node| (node.name.clone(), cpu_seconds(node.pid)))
        .collect()
}

async fn bytes_per_event(system: &System, events: u64) -> anyhow::Result<f64> {
    baseline::settle(&system.up.mongodb_uri).await?;
    let database = mongodb::Client::with_uri_str(&system.up.mongodb_uri)
        .await?
        .database("picket");
    let mut bytes = 0.0;
    for name in database.list_collection_names().await? {
        if name.starts_with("blocks_") {
            let stats: Document = database.run_command(doc! { "collStats": name }).await?;
            let number = |field: &str| stats.get(field).and_then(as_f64).unwrap_or(0.0);
            bytes += number("storageSize") + number("totalIndexSize");
        }
    }
    Ok(bytes / events as f64)
}

fn as_f64(value: &bson::Bson) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_i64().map(|n| n as f64))
        .or_else(|| value.as_i32().map(f64::from))
}
