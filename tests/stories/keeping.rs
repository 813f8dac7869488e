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
    // As it was filed on that day.
    insert(store, source, first_seq, Day::of_batch(start, start), &events).await?;
    Ok(events.iter().map(|event| event.id).collect())
}

/// Stores a batch in a block of its own.
async fn insert(
    store: &Store,
    source: SourceId,
    first_seq: u64,
    day: Day,
    events: &[Event],
) -> anyhow::Result<NewBlock> {
    let encoded = block::encode(events)?;
    let epoch = events.first().context("no events")?.id.epoch;
    let new = NewBlock {
        tenant: Tenant::default(),
        partition: Partition::of(&Tenant::default(), &source),
        day,
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: encoded.meta.count,
        batches: vec![BlockBatch {
            key: BatchKey {
                tenant: Tenant::default(),
                source,
                epoch,
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
        at: store.now().await?,
    };
    let Inserted::Stored(_) = blocks::insert(store, &new).await? else {
        bail!("stored before");
    };
    Ok(new)
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

    // Days that are set hold instead of those that are configured.
    let set = said(&system.picket(&["retention", "set", "--days", "30", "--class", "web=2", "--json"])?)?;
    ensure!(set.contains("\"web\":2"), "{set}");
    until("what is over by what was set is gone", WITHIN, async || {
        // Of those that are not held, the one three days old; the process events of the 20 days old block stay.
        let left = (
            count(&system, "event.category:web").await?,
            count(&system, "event.category:process").await?,
        );
        ensure!(left == (10, 5), "{left:?}");
        Ok(Some(()))
    })
    .await?;
    said(&system.picket(&["retention", "unset"])?)?;
    let id = hold["id"].as_str().context("no id")?;
    said(&system.picket(&["hold", "release", id])?)?;
    until("what was held is gone", WITHIN, async || {
        ensure!(count(&system, "event.category:web").await? == 0, "still there");
        Ok(Some(()))
    })
    .await?;
    let audit = said(&system.picket(&["audit", "list"])?)?;
    for action in ["hold.add", "hold.release", "retention.set", "retention.unset"] {
        ensure!(audit.contains(action), "no {action}: {audit}");
    }
    system.stop().await
}

/// Many small blocks of a quiet source, three events each, over the last hours of yesterday.
async fn trickled(store: &Store, source: SourceId, blocks: u64) -> anyhow::Result<Vec<NewBlock>> {
    let now = store.now().await?;
    let yesterday = now.0.div_euclid(DAY) * DAY - DAY;
    let mut stored = Vec::new();
    for n in 0..blocks {
        let start = Timestamp(yesterday + i64::try_from(n)? * 60_000_000);
        let mut events = Vec::new();
        for seq in n * 3..n * 3 + 3 {
            let mut fields = Fields::new();
            fields.insert(ecs::EVENT_CATEGORY, vec![Value::from("host")]);
            fields.insert(ecs::MESSAGE, format!("trickled {seq} from 192.0.2.{}", seq % 9));
            let id = EventId {
                source,
                epoch: Epoch(2),
                seq,
            };
            events.push(Event {
                id,
                timestamp: Timestamp(start.0 + i64::try_from(seq % 3)? * 1_000_000),
                fields,
            });
        }
        let new = insert(store, source, n * 3, Day::of_batch(start, now), &events).await?;
        stored.push(new);
    }
    Ok(stored)
}

/// Live blocks, and the events in them.
async fn live(store: &Store) -> anyhow::Result<(u64, u64)> {
    let mut sum = (0, 0);
    for day in blocks::list_days(store).await? {
        for chunk in blocks::portable::chunks(store, day).await? {
            sum = (sum.0 + chunk.blocks, sum.1 + chunk.events);
        }
    }
    Ok(sum)
}

#[tokio::test]
async fn small_blocks_are_merged_while_collectors_are_killed() -> anyhow::Result<()> {
    const BLOCKS: u64 = 1_200;
    let mut system = System::start(Options {
        env: vec![
            ("PICKET_COLLECTOR__COMPACTION__SETTLE_SECS", "1".to_owned()),
            ("PICKET_COLLECTOR__COMPACTION__CHECK_SECS", "1".to_owned()),
            // Slowly, so that it is killed in the middle.
            ("PICKET_COLLECTOR__COMPACTION__EVENTS_PER_SECOND", "600".to_owned()),
        ],
        ..Options::default()
    })
    .await?;
    let store = system.store().await?;
    let source = SourceId::named("story", "trickle");
    let new = trickled(&store, source, BLOCKS).await?;
    let mut kills = 0;
    let begun = std::time::Instant::now();
    loop {
        let found = count(&system, "trickled").await?;
        ensure!(found == BLOCKS * 3, "{found} events while blocks are merged");
        let (blocks, _) = live(&store).await?;
        if blocks <= 24 {
            break;
        }
        if kills < 3 && blocks < BLOCKS - 200 * (kills + 1) {
            system.kill_and_wait("collector-1").await?;
            kills += 1;
        }
        ensure!(begun.elapsed() < Duration::from_secs(240), "{blocks} blocks are left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(kills > 0, "it was over before anything was killed");
    let exported = system.export().await?;
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for event in exported
        .iter()
        .filter(|event| event["message"].as_str().is_some_and(|m| m.starts_with("trickled")))
    {
        *seen.entry(event["event"]["id"].to_string()).or_default() += 1;
    }
    ensure!(seen.len() as u64 == BLOCKS * 3, "{} of {}", seen.len(), BLOCKS * 3);
    ensure!(seen.values().all(|times| *times == 1), "an event was exported twice");
    for new in new.iter().step_by(50) {
        let again = blocks::insert(&store, new).await?;
        ensure!(
            matches!(again, Inserted::Duplicate(_)),
            "a batch was stored twice: {again:?}"
        );
    }
    let status: Json = serde_json::from_str(&said(&system.picket(&["retention", "status", "--json"])?)?)?;
    let total = &status["compaction"]["total"];
    let (before, after) = (total["bytes_before"].as_u64(), total["bytes_after"].as_u64());
    ensure!(before > after.map(|after| after * 2), "{status}");
    eprintln!(
        "{BLOCKS} blocks of 3 events: {} bytes an event before, {} after",
        before.unwrap_or_default() / (BLOCKS * 3),
        after.unwrap_or_default() / (BLOCKS * 3)
    );
    system.stop().await
}

#[tokio::test]
async fn archived_events_leave_and_come_back() -> anyhow::Result<()> {
    let system = System::start(Options {
        env: vec![
            ("PICKET_COLLECTOR__RETENTION__DAYS", "60".to_owned()),
            ("PICKET_COLLECTOR__RETENTION__CHECK_SECS", "1".to_owned()),
        ],
        ..Options::default()
    })
    .await?;
    let store = system.store().await?;
    let source = SourceId::named("story", "archived");
    trickled(&store, source, 40).await?;
    let older = stored(&store, source, 40, &["process"]).await?;
    system.all_done(130, WITHIN).await?;
    let to = system.scratch().join("archive");
    let dir = to.to_string_lossy().into_owned();
    let today = store.now().await?.to_string();
    let today = today.split('T').next().context("no date")?;
    let archive = ["archive", "--before", today, "--to", &dir, "--json"];
    let first: Json = serde_json::from_str(&said(&system.picket(&archive)?)?)?;
    ensure!(first["blocks"] == 41 && first["events"] == 130, "{first}");
    let manifest = std::fs::read(to.join("manifest.json"))?;
    let again: Json = serde_json::from_str(&said(&system.picket(&archive)?)?)?;
    ensure!(again["blocks"] == 41, "{again}");
    let deleted = [&archive[..], &["--delete"]].concat();
    let deleted: Json = serde_json::from_str(&said(&system.picket(&deleted)?)?)?;
    ensure!(deleted["deleted"] == 41 && deleted["stayed"] == 0, "{deleted}");
    ensure!(live(&store).await? == (0, 0), "{:?}", live(&store).await?);
    let twice: Json = serde_json::from_str(&said(&system.picket(&archive)?)?)?;
    ensure!(twice["blocks"] == 0, "nothing is left to archive: {twice}");
    ensure!(
        std::fs::read(to.join("manifest.json"))? != manifest,
        "the manifest tells what was deleted"
    );

    // A file with one changed byte is refused, by name, and nothing of it is stored.
    let parsed: Json = serde_json::from_slice(&std::fs::read(to.join("manifest.json"))?)?;
    let path = parsed["chunks"][0]["files"][0]["path"].as_str().context("no file")?;
    let file = to.join(path);
    let good = std::fs::read(&file)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&file, &bad)?;
    let refused = system.picket(&["restore", &dir])?;
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        !refused.status.success() && errors.contains(path) && errors.contains("record"),
        "{errors}"
    );
    std::fs::write(&file, &good)?;

    said(&system.picket(&["restore", &dir, "--verify"])?)?;
    let restored: Json = serde_json::from_str(&said(&system.picket(&["restore", &dir, "--json"])?)?)?;
    ensure!(restored["restored"] == 41 && restored["present"] == 0, "{restored}");
    let present: Json = serde_json::from_str(&said(&system.picket(&["restore", &dir, "--json"])?)?)?;
    ensure!(present["restored"] == 0 && present["present"] == 41, "{present}");
    ensure!(count(&system, "trickled").await? == 120, "not all are found");
    ensure!(
        count(&system, "event.category:process").await? == 10,
        "not all are found"
    );
    let pending = blocks::pending_stats(&store).await?.count;
    ensure!(pending == 0, "{pending} blocks are looked at again");
    let event = blocks::event(&store, &Tenant::default(), &older[3]).await?;
    ensure!(
        event.is_some_and(|event| event.id == older[3]),
        "an event is not found by its id"
    );

    // Into another system, with a database of its own.
    let other = System::start(Options::default()).await?;
    let restored: Json = serde_json::from_str(&said(&other.picket(&["restore", &dir, "--json"])?)?)?;
    ensure!(restored["restored"] == 41 && restored["events"] == 130, "{restored}");
    ensure!(count(&other, "trickled").await? == 120, "not all are found");
    other.stop().await?;
    system.stop().await
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_of_the_stopped_database_is_a_backup() -> anyhow::Result<()> {
    let mut system = System::start(Options::default()).await?;
    let lines = |from: u32, to: u32| -> String {
        (from..to)
            .map(|n| format!("Mar  1 10:00:00 host app[1]: numbered {n}\n"))
            .collect()
    };
    let file = system.try_file();
    tests::system::append(&file, lines(0, 50).as_bytes())?;
    system.all_done(50, WITHIN).await?;
    system
        .restart_after(|data| copy(&data.join("mongod/db"), &data.join("backup")))
        .await?;
    tests::system::append(&file, lines(50, 80).as_bytes())?;
    system.all_done(80, WITHIN).await?;
    system
        .restart_after(|data| {
            std::fs::remove_dir_all(data.join("mongod/db"))?;
            Ok(std::fs::rename(data.join("backup"), data.join("mongod/db"))?)
        })
        .await?;
    // What was acknowledged since the copy is gone with it; what comes now arrives.
    tests::system::append(&file, lines(80, 100).as_bytes())?;
    until(
        "what the backup had, and what came since, is found",
        WITHIN,
        async || {
            let page = system.get("/search?q=numbered&count=exact&limit=1&from=9000d").await?;
            ensure!(page["total"] == 70, "{page}");
            Ok(Some(()))
        },
    )
    .await?;
    system.stop().await
}
