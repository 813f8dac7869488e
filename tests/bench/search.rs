//! `bench search`: an analyst's five questions to stored blocks, beside the same events in a plain collection with indexes
//! for these questions, on the same mongod in the same run.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use gateway::SearchConfig;
use gateway::app::events::{EventFilter, Events};
use model::{AgentId, BatchKey, Epoch, Event, EventId, Partition, SourceId, Tenant, Timestamp, ecs};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use parsers::{Body, RawRecord};
use query::Query;
use storage::blocks::{BlockBatch, Day, NewBlock, Writer};
use tests::lines;

use crate::report::{machine, percentile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Events, spread over 24 hours
    #[arg(long, default_value_t = 10_000_000)]
    events: u64,
    /// Events in one block
    #[arg(long, default_value_t = 4_000)]
    block: usize,
    /// Times each question is asked
    #[arg(long, default_value_t = 50)]
    repeat: u64,
    /// Leave the plain collection out: storing its documents takes longest
    #[arg(long)]
    no_plain: bool,
}

const DAY_MICROS: i64 = 86_400_000_000;
const AGENTS: u64 = 500;
/// One event in so many has a word that no other has.
const RARE: u64 = 500_000;
/// Plain documents in one insert.
const BATCH: usize = 2_000;

struct Load {
    tenant: Tenant,
    from: Timestamp,
    args: Args,
    agents: Vec<AgentId>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let plain = mongodb::Client::with_uri_str(database.uri())
        .await?
        .database(database.name())
        .collection::<Document>("bench_plain");
    let now = Timestamp::now();
    let load = Load {
        tenant: Tenant::default(),
        from: Timestamp(now.0 - DAY_MICROS),
        agents: (0..AGENTS).map(|n| AgentId(uuid_of(n))).collect(),
        args,
    };
    println!("machine   {}", machine());
    load.store(&Writer::new(store.clone()), &plain).await?;
    let events = Events::new(store, &SearchConfig::default());
    println!(
        "\n{:<34} {:>9} {:>9} {:>11} {:>11}",
        "milliseconds", "p50", "p99", "plain p50", "plain p99"
    );
    load.ask(&events, &plain).await?;
    Ok(())
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
        for number in 0..self.args.events {
            let event = self.event(number);
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

    async fn block(&self, writer: &Writer, partition: Partition, events: Vec<Event>) -> anyhow::Result<usize> {
        let first = events.first().context("an empty block")?;
        let (id, at) = (first.id, first.timestamp);
        let encoded = tokio::task::spawn_blocking(move || block::encode(&events))
            .await?
            .context("encode a block")?;
        let size = encoded.bytes.len() + encoded.meta.token_filter.len();
        let key = BatchKey {
            tenant: self.tenant.clone(),
            source: id.source,
            epoch: id.epoch,
            first_seq: id.seq,
        };
        let new = NewBlock {
            tenant: self.tenant.clone(),
            partition,
            day: Day::of_batch(at, Timestamp::now()),
            min: encoded.meta.min_time,
            max: encoded.meta.max_time,
            events: encoded.meta.count,
            batches: vec![BlockBatch {
                key,
                count: encoded.meta.count,
                hash: [0; 32],
                link: None,
            }],
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

        let ours = timed(repeat, |n| {
            page(EventFilter {
                agent_id: Some(agent(n)),
                ..self.filter()
            })
        });
        let ours = ours.await?;
        let theirs = self
            .plain(timed(repeat, |n| newest(doc! { "agent.id": agent(n) })))
            .await?;
        tell("newest 50 of an agent", &ours, &theirs);

        for (name, ip) in [
            ("events with a common address", "10.0.0.1"),
            ("events with a rare address", "10.3.19.249"),
        ] {
            let address = ip.parse().context("read an address")?;
            let ours = timed(repeat, |_| {
                page(EventFilter {
                    ip: Some(address),
                    ..self.filter()
                })
            });
            let ours = ours.await?;
            let theirs = self.plain(timed(repeat, |_| newest(doc! { "related.ip": ip }))).await?;
            tell(name, &ours, &theirs);
        }

        let rare = |n: u64| format!("needle{}", lines::mix(n) % (self.args.events.div_ceil(RARE)) * RARE + 7);
        let ours = timed(repeat, |n| {
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
        let few = timed(repeat.min(3), |n| newest(doc! { "message": { "$regex": rare(n) } }));
        let theirs = self.plain(few).await?;
        tell("a rare word in 24 h", &ours, &theirs);

        let ours = timed(repeat, |_| async {
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
        let theirs = self
            .plain(timed(repeat.min(3), |_| aggregate(plain, group.to_vec())))
            .await?;
        tell("minute histogram of 24 h", &ours, &theirs);

        let ours = timed(repeat.min(10), |_| async {
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
        let theirs = self
            .plain(timed(repeat.min(3), |_| aggregate(plain, group.to_vec())))
            .await?;
        tell("top source addresses of 24 h", &ours, &theirs);
        Ok(())
    }

    async fn plain(&self, times: impl Future<Output = anyhow::Result<Vec<f64>>>) -> anyhow::Result<Vec<f64>> {
        if self.args.no_plain {
            Ok(Vec::new())
        } else {
            times.await
        }
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

/// Milliseconds of each run, after one that does not count.
async fn timed<F: Future<Output = anyhow::Result<u64>>>(
    repeat: u64,
    question: impl Fn(u64) -> F,
) -> anyhow::Result<Vec<f64>> {
    question(0).await?;
    let mut times = Vec::new();
    for n in 0..repeat {
        let began = Instant::now();
        question(n + 1).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

fn tell(name: impl Display, ours: &[f64], plain: &[f64]) {
    println!(
        "{name:<34} {:>9.1} {:>9.1} {:>11.1} {:>11.1}",
        percentile(ours, 0.5),
        percentile(ours, 0.99),
        percentile(plain, 0.5),
        percentile(plain, 0.99)
    );
}
