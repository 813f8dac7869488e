//! What becomes of events as they get old.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use model::{BatchKey, Epoch, Event, EventId, Fields, Partition, SourceId, Tenant, Timestamp, Value, ecs};
use serde_json::Value as Json;
use storage::Store;
use storage::blocks::{self, BlockBatch, Day, Inserted, NewBlock};
use tests::system::{Options, System};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000_000;

fn said(output: &Output) -> anyhow::Result<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout.clone()).context("read what was printed")
}

/// Stores a batch of ten events that came in so many days ago, of these categories in turn.
async fn stored(store: &Store, source: SourceId, days_ago: i64, categories: &[&str]) -> anyhow::Result<Vec<EventId>> {
    let now = store.now().await?;
    let start = Timestamp(now.0 - days_ago * DAY);
    let first_seq = u64::try_from(days_ago)? * 1000;
    let mut events = Vec::new();
    for n in 0..10_u64 {
        let category = categories[usize::try_from(n)? % categories.len()];
        let mut fields = Fields::new();
        fields.insert(ecs::EVENT_CATEGORY, vec![Value::from(category)]);
        fields.insert(ecs::MESSAGE, format!("{category} {days_ago} days ago"));
        let id = EventId {
            source,
            epoch: Epoch(1),
            seq: first_seq + n,
        };
        events.push(Event {
            id,
            timestamp: start,
            fields,
        });
    }
    let encoded = block::encode(&events)?;
    let new = NewBlock {
        tenant: Tenant::default(),
        partition: Partition::of(&Tenant::default(), &source),
        // As it was filed on that day.
        day: Day::of_batch(start, start),
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: encoded.meta.count,
        batches: vec![BlockBatch {
            key: BatchKey {
                tenant: Tenant::default(),
                source,
                epoch: Epoch(1),
                first_seq,
            },
            count: encoded.meta.count,
            hash: [1; 32],
            link: None,
        }],
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node: "collector-1".parse()?,
        at: now,
    };
    let Inserted::Stored(_) = blocks::insert(store, &new).await? else {
        bail!("stored before");
    };
    Ok(events.iter().map(|event| event.id).collect())
}

async fn count(system: &System, query: &str) -> anyhow::Result<u64> {
    let path = format!("/search?q={query}&count=exact&limit=1&from=200d");
    system.get(&path).await?["total"].as_u64().context("no total")
}

#[tokio::test]
async fn old_events_go_by_class_and_held_ones_stay() -> anyhow::Result<()> {
    let system = System::start(Options {
        env: vec![
            ("PICKET_COLLECTOR__RETENTION__DAYS", "60".to_owned()),
            ("PICKET_COLLECTOR__RETENTION__CLASSES__WEB", "7".to_owned()),
            ("PICKET_COLLECTOR__RETENTION__CHECK_SECS", "1".to_owned()),
        ],
        ..Options::default()
    })
    .await?;
    let store = system.store().await?;
    let (kept, other) = (SourceId::named("story", "kept"), SourceId::named("story", "other"));
    let agent = kept.to_string();
    let from = Timestamp(store.now().await?.0 - 300 * DAY).to_string();
    let hold = [
        "hold", "add", "--reason", "case 7", "--agent", &agent, "--from", &from, "--json",
    ];
    let hold: Json = serde_json::from_str(&said(&system.picket(&hold)?)?)?;

    stored(&store, kept, 100, &["web"]).await?;
    stored(&store, other, 100, &["process"]).await?;
    stored(&store, other, 80, &["process", "web"]).await?;
    stored(&store, other, 20, &["web", "process"]).await?;
    stored(&store, other, 3, &["web"]).await?;
    until("what is over is gone", WITHIN, async || {
        let left = (
            count(&system, "event.category:web").await?,
            count(&system, "event.category:process").await?,
        );
        // Of the 20 days old block the other half; of the young one all; and what is held.
        ensure!(left == (20, 5), "{left:?}");
        Ok(Some(()))
    })
    .await?;
    let days = blocks::list_days(&store).await?;
    let dropped = Timestamp(store.now().await?.0 - 80 * DAY).day();
    ensure!(days.iter().all(|day| day.number() != dropped), "{days:?}");

    let status: Json = serde_json::from_str(&said(&system.picket(&["retention", "status", "--json"])?)?)?;
    let total = &status["retention"]["total"];
    ensure!(total["days_dropped"] == 1 && total["blocks_removed"] == 2, "{status}");
    ensure!(
        total["events_trimmed"] == 5 && status["retention"]["held"] == 1,
        "{status}"
    );
    let shown = said(&system.picket(&["retention", "status"])?)?;
    ensure!(
        shown.contains("web") && shown.contains("held       1 blocks"),
        "{shown}"
    );
    let listed = said(&system.picket(&["hold", "list"])?)?;
    ensure!(listed.contains("case 7"), "{listed}");

    let id = hold["hold"]["_id"].as_str().context("no id")?;
    said(&system.picket(&["hold", "release", id])?)?;
    until("what was held is gone", WITHIN, async || {
        ensure!(count(&system, "event.category:web").await? == 10, "still there");
        Ok(Some(()))
    })
    .await?;
    let audit = said(&system.picket(&["audit", "list"])?)?;
    ensure!(audit.contains("hold.add") && audit.contains("hold.release"), "{audit}");
    system.stop().await
}
