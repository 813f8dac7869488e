//! `bench search`: an analyst's five questions to stored blocks, beside the same events in a plain collection with indexes
//! for these questions, on the same mongod in the same run.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use gateway::SearchConfig;
use gateway::app::events::{EventFilter, Events};
use model::{AgentId, BatchKey, Epoch, Event, EventId, Partition, SourceId, Tenant, Timestamp, ecs};
use mongod::{Mongod, Options};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use parsers::{Body, RawRecord};
use query::Query;
use storage::Store;
use storage::blocks::{BlockBatch, Day, NewBlock, Writer};
use tests::lines;

use crate::baseline::settle;
use crate::report::{cpu_seconds, machine, percentile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events, spread over 24 hours
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Events in one block
    #[arg(long, default_value_t = 4_000)]
    block: usize,
    /// Times each question is asked; fewer, where one takes long
    #[arg(long, default_value_t = 200)]
    repeat: u64,
    /// Ask only what has this in its name, such as "rare"
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Leave the plain collection out: storing its documents takes longest
    #[arg(long)]
    no_plain: bool,
    /// Keep what is stored in this directory, or use what an earlier run of the same --events and --block kept there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

const DAY_MICROS: i64 = 86_400_000_000;
const AGENTS: u64 = 500;
/// One event in so many has a word that no other has.
const RARE: u64 = 500_000;
/// Plain documents in one insert.
const BATCH: usize = 2_000;

/// Where the collection's documents are, and where blocks are.
const DATABASE: &str = "bench_search";
/// Beside a kept database: what it was filled with.
const FILLED: &str = "filled";

struct Load {
    tenant: Tenant,
    from: Timestamp,
    args: Args,
    agents: Vec<AgentId>,
    mongod: Option<i32>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let binary = testkit::mongod_binary().await;
    let (dir, _temporary) = match &args.keep {
        Some(dir) => (dir.clone(), None),
        None => {
            let temporary = tempfile::tempdir().context("make a directory")?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let mongod = Mongod::start(Options::new(binary, dir.join("db"))).await?;
    let done = ask(args, &dir, &mongod).await;
    mongod.stop().await;
    done
}

async fn ask(args: Args, dir: &Path, mongod: &Mongod) -> anyhow::Result<()> {
    let store = Store::connect(&mongod.uri(), DATABASE, "bench").await?;
    store.ensure_indexes().await?;
    let plain = mongodb::Client::with_uri_str(mongod.uri())
        .await?
        .database(DATABASE)
        .collection::<Document>("bench_plain");
    let marker = dir.join(FILLED);
    let kind = format!("{} {} {}", args.events, args.block, args.no_plain);
    let kept = std::fs::read_to_string(&marker).ok();
    let kept = kept.as_deref().map(|kept| kept.split_once('\n').unwrap_or((kept, "")));
    let from = match kept {
        None => Timestamp(Timestamp::now().0 - DAY_MICROS),
        Some((filled, from)) => {
            ensure!(
                filled == kind,
                "{} was filled with other --events, --block or --no-plain",
                dir.display()
            );
            Timestamp(from.parse().context("read when the kept events begin")?)
        }
    };
    let load = Load {
        tenant: Tenant::default(),
        from,
        agents: (0..AGENTS).map(|n| AgentId(uuid_of(n))).collect(),
        args,
        mongod: i32::try_from(mongod.pid()).ok(),
    };
    println!("machine   {}", machine());
    if kept.is_none() {
        load.store(&Writer::new(store.clone()), &plain).await?;
        settle(&mongod.uri()).await?;
        if load.args.keep.is_some() {
            std::fs::write(&marker, format!("{kind}\n{}", from.0)).context("say what was stored")?;
        }
    }
    tell_sizes(&mongod.uri(), load.args.events).await?;
    let events = Events::new(store, &SearchConfig::default());
    println!(
        "\n{:<30} {:>8} {:>8} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "milliseconds", "p50", "p99", "most", "CPU", "mongod CPU", "plain p50", "plain p99"
    );
    load.ask(&events, &plain).await
}

/// What the blocks take on disk.
async fn tell_sizes(uri: &str, events: u64) -> anyhow::Result<()> {
    let database = mongodb::Client::with_uri_str(uri).await?.database(DATABASE);
    let (mut data, mut indexes) = (0, 0);
    for name in database.list_collection_names().await? {
        if name.starts_with("blocks_") {
            let stats = database.run_command(doc! { "collStats": &name }).await?;
            data += number(&stats, "storageSize");
            indexes += number(&stats, "totalIndexSize");
        }
    }
    let each = |bytes: i64| bytes as f64 / events as f64;
    println!(
        "on disk   {:.1} B/event, and {:.1} of indexes",
        each(data),
        each(indexes)
    );
    Ok(())
}

/// A number of any kind; 0 when there is none.
fn number(document: &Document, name: &str) -> i64 {
    match document.get(name) {
        Some(bson::Bson::Int32(number)) => i64::from(*number),
        Some(bson::Bson::Int64(number)) => *number,
        Some(bson::Bson::Double(number)) => *number as i64,
        _ => 0,
    }
}

fn uuid_of(n: u64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(
        0x0bad_cafe_0000_4000,
        0x8000_0000_0000_0000 | n.wrapping_mul(0x9e37_79b9_7f4a),
    )
}

impl Load {
    fn event(&self, number: u64) -> Event {
        let share = lines::mix(number) % 10_000;
        // Some agents write far more than others.
        let agent = (share * share / 10_000 * AGENTS / 10_000) as usize;
        let mut line = lines::line(number);
        if number % RARE == 7 {
            line.push_str(&format!(" needle{number}"));
        }
        let record = RawRecord {
            body: Body::Line(line.as_bytes()),
            origin_kind: "file",
            origin_name: "/var/log/bench.log",
            log_type: None,
            observed: self.from,
            truncated_bytes: 0,
            header: None,
        };
        let mut fields = parsers::parse(&record).fields;
        let id = self.agents.get(agent).copied().unwrap_or(AgentId(uuid_of(0)));
        fields.insert(ecs::AGENT_ID, id.to_string());
        fields.insert(ecs::AGENT_NAME, format!("agent-{agent}"));
        let into = (number as f64 / self.args.events as f64 * DAY_MICROS as f64) as i64;
        Event {
            id: EventId {
                source: SourceId::agent(id),
                epoch: Epoch(1),
                seq: number,
            },
            timestamp: Timestamp(self.from.0 + into),
            fields,
        }
    }

    async fn store(&self, writer: &Writer, plain: &Collection<Document>) -> anyhow::Result<()> {
        let index = |keys: Document| {
            IndexModel::builder()
                .keys(keys)
                .options(IndexOptions::builder().build())
                .build()
        };
        if !self.args.no_plain {
            let indexes = [
                index(doc! { "@timestamp": -1 }),
                index(doc! { "agent.id": 1, "@timestamp": -1 }),
                index(doc! { "related.ip": 1, "@timestamp": -1 }),
            ];
            plain.create_indexes(indexes).await?;
        }
        let began = Instant::now();
        let mut open: HashMap<Partition, Vec<Event>> = HashMap::new();
        let mut documents: Vec<Document> = Vec::new();
        let (mut bytes, mut blocks) = (0, 0);
        // Agents number what they send without gaps.
        let mut sent: HashMap<SourceId, u64> = HashMap::new();
        for number in 0..self.args.events {
            let mut event = self.event(number);
            let seq = sent.entry(event.id.source).or_default();
            *seq += 1;
            event.id.seq = *seq;
            if !self.args.no_plain {
                let mut document = bson::serialize_to_document(&event.to_json()).context("make a document")?;
                document.insert("@timestamp", bson::DateTime::from_millis(event.timestamp.as_millis()));
                documents.push(document);
                if documents.len() >= BATCH {
                    plain.insert_many(std::mem::take(&mut documents)).ordered(false).await?;
                }
            }
            let partition = Partition::of(&self.tenant, &event.id.source);
            let events = open.entry(partition).or_default();
            events.push(event);
            if events.len() >= self.args.block {
                bytes += self.block(writer, partition, std::mem::take(events)).await?;
                blocks += 1;
            }
            if number % 500_000 == 0 && number > 0 {
                eprintln!("{number} events after {:.0} s", began.elapsed().as_secs_f64());
            }
        }
        for (partition, events) in open {
            if !events.is_empty() {
                bytes += self.block(writer, partition, events).await?;
                blocks += 1;
            }
        }
        if !documents.is_empty() {
            plain.insert_many(documents).ordered(false).await?;
        }
        println!(
            "stored    {} events in {blocks} blocks, {:.1} B/event without indexes",
            self.args.events,
            bytes as f64 / self.args.events as f64
        );
        Ok(())
    }

    async fn block(&self, writer: &Writer, partition: Partition, mut events: Vec<Event>) -> anyhow::Result<usize> {
        let at = events.first().context("an empty block")?.timestamp;
        // As collectors merge them: what an agent sent stands together.
        events.sort_by_key(|event| event.id);
        let batches = events
            .chunk_by(|a, b| a.id.source == b.id.source)
            .filter_map(|batch| {
                let first = batch.first()?.id;
                Some(BlockBatch {
                    key: BatchKey {
                        tenant: self.tenant.clone(),
                        source: first.source,
                        epoch: first.epoch,
                        first_seq: first.seq,
                    },
                    count: u32::try_from(batch.len()).ok()?,
                    hash: [0; 32],
                    link: None,
                })
            })
            .collect();
        let encoded = tokio::task::spawn_blocking(move || block::encode(&events))
            .await?
            .context("encode a block")?;
        let size = encoded.bytes.len() + encoded.meta.token_filter.len();
        let new = NewBlock {
            tenant: self.tenant.clone(),
            partition,
            day: Day::of_batch(at, Timestamp::now()),
            min: encoded.meta.min_time,
            max: encoded.meta.max_time,
            events: encoded.meta.count,
            batches,
            ips: encoded.meta.ips,
            minutes: encoded.meta.minutes,
            token_filter: encoded.meta.token_filter,
            body: encoded.bytes,
            node: "bench".parse()?,
            at,
        };
        writer.insert(&new).await.context("store a block")?;
        Ok(size)
    }

    fn filter(&self) -> EventFilter {
        EventFilter {
            from: Some(self.from),
            to: Some(Timestamp(self.from.0 + DAY_MICROS)),
            ..EventFilter::all(self.tenant.clone())
        }
    }

    async fn ask(&self, events: &Events, plain: &Collection<Document>) -> anyhow::Result<()> {
        let repeat = self.args.repeat.max(1);
        let date = |time: Timestamp| bson::DateTime::from_millis(time.as_millis());
        let span = doc! { "$gte": date(self.from), "$lt": date(Timestamp(self.from.0 + DAY_MICROS)) };
        let agent = |n: u64| self.agents[(lines::mix(n) % AGENTS) as usize].to_string();
        let newest = |filter: Document| {
            let filter = with_span(filter, &span);
            async move {
                let mut found = plain.find(filter).sort(doc! { "@timestamp": -1 }).limit(50).await?;
                let mut count = 0_u64;
                while found.try_next().await?.is_some() {
                    count += 1;
                }
                anyhow::Ok(count)
            }
        };
        let page =
            |filter: EventFilter| async move { anyhow::Ok(events.page(filter, None, 50).await?.events.len() as u64) };

        let name = "newest 50 of an agent";
        if self.asks(name) {
            let ours = self.timed(repeat, |n| {
                page(EventFilter {
                    agent_id: Some(agent(n)),
                    ..self.filter()
                })
            });
            let ours = ours.await?;
            let theirs = self.plain(repeat, |n| newest(doc! { "agent.id": agent(n) })).await?;
            tell(name, &ours, &theirs);
        }

        for (name, ip) in [
            ("events with a common address", "10.0.0.1"),
            ("events with a rare address", "10.3.19.249"),
        ] {
            if !self.asks(name) {
                continue;
            }
            let address = ip.parse().context("read an address")?;
            let ours = self.timed(repeat, |_| {
                page(EventFilter {
                    ip: Some(address),
                    ..self.filter()
                })
            });
            let ours = ours.await?;
            let theirs = self.plain(repeat, |_| newest(doc! { "related.ip": ip })).await?;
            tell(name, &ours, &theirs);
        }

        let name = "a rare word in 24 h";
        if self.asks(name) {
            let rare = |n: u64| format!("needle{}", lines::mix(n) % (self.args.events.div_ceil(RARE)) * RARE + 7);
            let ours = self.timed(repeat, |n| {
                let query = Query::parse(&rare(n));
                async move {
                    let filter = EventFilter {
                        query: query?,
                        ..self.filter()
                    };
                    let found = page(filter).await?;
                    ensure!(found == 1, "a rare word is found {found} times");
                    Ok(found)
                }
            });
            let ours = ours.await?;
            // A scan: a text index would double what is stored and quarter the rate of storing it.
            let scan = |n| newest(doc! { "message": { "$regex": rare(n) } });
            let theirs = self.plain(repeat.min(3), scan).await?;
            tell(name, &ours, &theirs);
        }

        let name = "minute histogram of 24 h";
        if self.asks(name) {
            let ours = self.timed(repeat, |_| async {
                let made = events.histogram(&self.filter(), Some(60_000_000)).await?;
                ensure!(made.total == self.args.events, "{} events counted", made.total);
                Ok(made.total)
            });
            let ours = ours.await?;
            let by_minute = doc! { "$dateTrunc": { "date": "$@timestamp", "unit": "minute" } };
            let group = [
                doc! { "$match": { "@timestamp": span.clone() } },
                doc! { "$group": { "_id": by_minute, "n": { "$sum": 1 } } },
            ];
            let theirs = self.plain(repeat.min(3), |_| aggregate(plain, group.to_vec())).await?;
            tell(name, &ours, &theirs);
        }

        let name = "top source addresses of 24 h";
        if self.asks(name) {
            let ours = self.timed(repeat.min(50), |_| async {
                let made = events.top(&self.filter(), ecs::SOURCE_IP, 10).await?;
                ensure!(made.partial.is_none(), "only a part was read");
                Ok(made.distinct)
            });
            let ours = ours.await?;
            let group = [
                doc! { "$match": { "@timestamp": span.clone() } },
                doc! { "$group": { "_id": "$source.ip", "n": { "$sum": 1 } } },
                doc! { "$sort": { "n": -1 } },
                doc! { "$limit": 10 },
            ];
            let theirs = self.plain(repeat.min(3), |_| aggregate(plain, group.to_vec())).await?;
            tell(name, &ours, &theirs);
        }
        Ok(())
    }

    fn asks(&self, name: &str) -> bool {
        name.contains(&self.args.only)
    }

    /// Times the same question to the plain collection.
    async fn plain<F: Future<Output = anyhow::Result<u64>>>(
        &self,
        repeat: u64,
        question: impl Fn(u64) -> F,
    ) -> anyhow::Result<Times> {
        if self.args.no_plain {
            return Ok(Times::default());
        }
        self.timed(repeat, question).await
    }
}

fn with_span(mut filter: Document, span: &Document) -> Document {
    filter.insert("@timestamp", span.clone());
    filter
}

async fn aggregate(plain: &Collection<Document>, pipeline: Vec<Document>) -> anyhow::Result<u64> {
    let mut found = plain.aggregate(pipeline).allow_disk_use(true).await?;
    let mut count = 0;
    while found.try_next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// How long each run took, and what all took of a processor, in milliseconds.
#[derive(Default)]
struct Times {
    each: Vec<f64>,
    cpu: f64,
    mongod: f64,
}

impl Load {
    /// Times each run, after one that does not count.
    async fn timed<F: Future<Output = anyhow::Result<u64>>>(
        &self,
        repeat: u64,
        question: impl Fn(u64) -> F,
    ) -> anyhow::Result<Times> {
        question(0).await?;
        let cpu = || {
            let own = i32::try_from(std::process::id()).unwrap_or_default();
            (cpu_seconds(own), self.mongod.map_or(0.0, cpu_seconds))
        };
        let before = cpu();
        let mut each = Vec::new();
        for n in 0..repeat {
            let began = Instant::now();
            question(n + 1).await?;
            each.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        let after = cpu();
        Ok(Times {
            each,
            cpu: (after.0 - before.0) * 1000.0 / repeat as f64,
            mongod: (after.1 - before.1) * 1000.0 / repeat as f64,
        })
    }
}

fn tell(name: impl Display, ours: &Times, plain: &Times) {
    println!(
        "{name:<30} {:>8.1} {:>8.1} {:>8.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
        percentile(&ours.each, 0.5),
        percentile(&ours.each, 0.99),
        percentile(&ours.each, 1.0),
        ours.cpu,
        ours.mongod,
        percentile(&plain.each, 0.5),
        percentile(&plain.each, 0.99)
    );
}
