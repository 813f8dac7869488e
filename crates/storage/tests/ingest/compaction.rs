//! Merging small blocks while others read.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::{EventId, SourceId, Tenant, Timestamp};
use query::Span;
use storage::Store;
use storage::blocks::{
    self, BlockId, Cell, CountQuery, Day, FoundBlock, Inserted, NewBlock, ScanQuery, Scanner, Writer, count_events,
    histogram, insert, mark_done, scan,
};

use crate::samples::{NOON, SECOND, block};

const SMALL: u32 = 2000;

fn source() -> SourceId {
    SourceId::named("test", "quiet")
}

/// Blocks of three events each, ten minutes apart.
fn quiet(blocks: u64) -> Vec<NewBlock> {
    (0..blocks)
        .map(|n| {
            let start = Timestamp(NOON.0 + i64::try_from(n).unwrap() * 600 * SECOND);
            block(source(), n * 3, 3, start, "from 10.0.0.9 number")
        })
        .collect()
}

async fn store_done(store: &Store, new: &[NewBlock]) -> Vec<BlockId> {
    let mut ids = Vec::new();
    for new in new {
        let Inserted::Stored(id) = insert(store, new).await.unwrap() else {
            panic!("stored before");
        };
        let node = "detector-1".parse().unwrap();
        mark_done(store, new.day, id, &node, 1, None).await.unwrap();
        ids.push(id);
    }
    ids
}

/// Everything that may be merged.
async fn merge_all(store: &Store) -> u64 {
    let writer = Writer::new(store.clone());
    let later = Timestamp(store.now().await.unwrap().0 + 86_400 * SECOND);
    let mut originals = 0;
    for day in blocks::list_days(store).await.unwrap() {
        for cell in blocks::cells(store, day, SMALL, later).await.unwrap() {
            originals += merge_cell(store, &writer, &cell).await;
        }
    }
    originals
}

async fn merge_cell(store: &Store, writer: &Writer, cell: &Cell) -> u64 {
    let later = Timestamp(store.now().await.unwrap().0 + SECOND);
    let small = blocks::small(store, cell, SMALL, later).await.unwrap();
    let mut originals = 0;
    for group in blocks::plan(&small) {
        originals += blocks::merge(writer, cell, &group).await.unwrap().originals;
    }
    originals
}

fn seqs<'a>(stored: impl IntoIterator<Item = &'a FoundBlock>) -> BTreeMap<u64, u32> {
    let mut seqs = BTreeMap::new();
    for stored in stored {
        for event in stored.body.open().unwrap().events().unwrap() {
            *seqs.entry(event.id.seq).or_default() += 1;
        }
    }
    seqs
}

fn once(events: u64) -> BTreeMap<u64, u32> {
    (0..events).map(|seq| (seq, 1)).collect()
}

async fn all(store: &Store) -> Vec<FoundBlock> {
    scan(store, ScanQuery::default()).try_collect().await.unwrap()
}

#[tokio::test]
async fn merged_blocks_answer_as_their_originals_did() {
    let database = testkit::mongo().await;
    let store = database.store();
    let new = quiet(30);
    let ids = store_done(store, &new).await;
    let span = Span {
        from: Some(Timestamp(NOON.0 + 601 * SECOND)),
        to: Some(Timestamp(NOON.0 + 7_000 * SECOND)),
    };
    let query = CountQuery {
        from: span.from,
        to: span.to,
        ..CountQuery::default()
    };
    let tenant = Tenant::default();
    let before = (
        count_events(store, &query).await.unwrap(),
        histogram(store, &tenant, span, 61 * SECOND).await.unwrap(),
    );
    assert_eq!(merge_all(store).await, 30);
    let after = (
        count_events(store, &query).await.unwrap(),
        histogram(store, &tenant, span, 61 * SECOND).await.unwrap(),
    );
    assert_eq!(after, before);
    let merged = all(store).await;
    assert_eq!(
        (merged.len(), seqs(&merged)),
        (5, once(90)),
        "six blocks an hour became one"
    );
    assert_eq!(merge_all(store).await, 0, "again");

    // An alert names its event, and maybe somebody wrote down a block.
    let id = EventId {
        source: source(),
        epoch: model::Epoch(1),
        seq: 44,
    };
    assert_eq!(blocks::event(store, &tenant, &id).await.unwrap().unwrap().id, id);
    assert_eq!(
        blocks::get(store, new[3].day, ids[3]).await.unwrap().unwrap().body,
        new[3].body
    );
    for new in &new {
        let Inserted::Duplicate(known) = insert(store, new).await.unwrap() else {
            panic!("stored twice");
        };
        assert_eq!(known.len(), 1);
    }
    assert_eq!(blocks::pending_stats(store).await.unwrap().count, 0);

    let later = Timestamp(store.now().await.unwrap().0 + SECOND);
    assert!(blocks::has_originals(store, new[0].day).await.unwrap());
    let forgotten = blocks::forget_merged(store, new[0].day, later).await.unwrap();
    assert_eq!(forgotten, 30);
    assert_eq!(seqs(&all(store).await), once(90));
}

#[tokio::test]
async fn what_waits_for_a_detector_or_is_held_is_not_merged() {
    let database = testkit::mongo().await;
    let store = database.store();
    let new = quiet(6);
    store_done(store, &new[..4]).await;
    insert(store, &new[4]).await.unwrap();
    insert(store, &new[5]).await.unwrap();
    let wanted = blocks::Wanted {
        events: &[EventId {
            source: source(),
            epoch: model::Epoch(1),
            seq: 0,
        }],
        ..blocks::Wanted::default()
    };
    let held = blocks::hold(store, &Tenant::default(), new[0].day, "h", &wanted)
        .await
        .unwrap();
    assert_eq!(held, 1);
    assert_eq!(merge_all(store).await, 3);
    assert_eq!(seqs(&all(store).await), once(18));
}

#[tokio::test]
async fn what_is_held_while_it_is_merged_is_held_afterwards() {
    let database = testkit::mongo().await;
    let store = database.store();
    let day = quiet(1)[0].day;
    let later = Timestamp(store.now().await.unwrap().0 + 86_400 * SECOND);
    for round in 0..24_u32 {
        let source = SourceId::named("test", &format!("held {round}"));
        let new: Vec<NewBlock> = (0..6)
            .map(|n| block(source, n * 3, 3, Timestamp(NOON.0 + 61 * SECOND), "some"))
            .collect();
        store_done(store, &new).await;
        let event = EventId {
            source,
            epoch: model::Epoch(1),
            seq: 7,
        };
        let (events, sources) = ([event], [source]);
        let wanted = if round % 2 == 0 {
            blocks::Wanted {
                events: &events,
                ..blocks::Wanted::default()
            }
        } else {
            blocks::Wanted {
                sources: &sources,
                ..blocks::Wanted::default()
            }
        };
        let hold = format!("hold {round}");
        let writer = Writer::new(store.clone());
        let (tenant, partition) = (Tenant::default(), new[0].partition);
        let cells = blocks::cells(store, day, SMALL, later).await.unwrap();
        let cell = cells.iter().find(|cell| cell.partition == partition).unwrap();
        let (held, _) = tokio::join!(
            async {
                tokio::time::sleep(std::time::Duration::from_micros(u64::from(round) * 400)).await;
                blocks::hold(store, &tenant, day, &hold, &wanted).await
            },
            // It fails when the hold comes first.
            async {
                let small = blocks::small(store, cell, SMALL, later).await.unwrap();
                for group in blocks::plan(&small) {
                    let _ = blocks::merge(&writer, cell, &group).await;
                }
            },
        );
        held.unwrap();
        let held = blocks::count_by_hold(store, &tenant, day, &hold).await.unwrap();
        assert!(held > 0, "round {round}: nothing is held");
    }
}

#[tokio::test]
async fn a_block_that_changed_meanwhile_stops_the_merge() {
    let database = testkit::mongo().await;
    let store = database.store();
    store_done(store, &quiet(4)).await;
    let later = Timestamp(store.now().await.unwrap().0 + SECOND);
    let day = quiet(1)[0].day;
    let cells = blocks::cells(store, day, SMALL, later).await.unwrap();
    let small = blocks::small(store, &cells[0], SMALL, later).await.unwrap();
    let (first, second) = (Writer::new(store.clone()), Writer::new(store.clone()));
    let (one, other) = tokio::join!(
        blocks::merge(&first, &cells[0], &small),
        blocks::merge(&second, &cells[0], &small[1..]),
    );
    // The loser is refused, or finds nothing to do.
    let merged = [one, other]
        .into_iter()
        .flatten()
        .filter(|merge| merge.originals > 0)
        .count();
    assert_eq!(merged, 1);
    assert_eq!(seqs(&all(store).await), once(12));
}

#[tokio::test]
async fn a_scan_sees_each_event_once_while_blocks_are_merged() {
    let database = testkit::mongo().await;
    let store = database.store();
    store_done(store, &quiet(60)).await;
    let mut scanner = Scanner::new(store, ScanQuery::default());
    let mut found = Vec::new();
    for _ in 0..15 {
        found.extend(scanner.next().await.unwrap());
    }
    assert_eq!(merge_all(store).await, 60);
    while let Some(block) = scanner.next().await.unwrap() {
        found.push(block);
    }
    assert_eq!(seqs(&found), once(180));
    assert!(found.iter().is_sorted_by(|a, b| a.max >= b.max));
}

/// Ends every cursor that waits on the server, as the server does after minutes.
async fn kill_cursors(uri: &str, database: &str, day: Day) {
    let client = mongodb::Client::with_uri_str(uri).await.unwrap();
    let pipeline = vec![
        doc! { "$currentOp": { "idleCursors": true, "allUsers": true } },
        doc! { "$match": { "type": "idleCursor", "ns": format!("{database}.{}", day.collection()) } },
    ];
    let idle: Vec<Document> = client
        .database("admin")
        .aggregate(pipeline)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let cursors: Vec<Bson> = idle
        .iter()
        .filter_map(|op| op.get_document("cursor").ok()?.get("cursorId").cloned())
        .collect();
    assert!(!cursors.is_empty(), "no cursor is open: {idle:?}");
    let kill = doc! { "killCursors": day.collection(), "cursors": cursors };
    client.database(database).run_command(kill).await.unwrap();
}

#[tokio::test]
async fn a_scan_that_lost_its_cursor_goes_on_where_it_was() {
    let database = testkit::mongo().await;
    let store = database.store();
    // Until midnight. The server hands out eight at a time.
    store_done(store, &quiet(71)).await;
    let day = quiet(1)[0].day;
    let mut scanner = Scanner::new(store, ScanQuery::default());
    let mut found = Vec::new();
    for step in 0.. {
        match scanner.next().await.unwrap() {
            Some(block) => found.push(block),
            None => break,
        }
        match step {
            1 => kill_cursors(database.uri(), database.name(), day).await,
            // The ninth block is of an hour that was read in part, and is merged now.
            6 => assert_eq!(merge_all(store).await, 71),
            // Behind that hour another cursor was opened. What comes in before it is missed is merged with what was read.
            12 => {
                kill_cursors(database.uri(), database.name(), day).await;
                let late = block(source(), 1000, 3, Timestamp(NOON.0 + 7_700 * SECOND), "late");
                store_done(store, &[late]).await;
                assert_eq!(merge_all(store).await, 2);
            }
            _ => {}
        }
    }
    let mut seqs = seqs(&found);
    seqs.retain(|seq, _| *seq < 1000);
    assert_eq!(seqs, once(213));
}

#[tokio::test]
async fn who_walks_by_id_misses_nothing() {
    let database = testkit::mongo().await;
    let store = database.store();
    store_done(store, &quiet(24)).await;
    let day = quiet(1)[0].day;
    let tenant = Tenant::default();
    let (mut after, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = blocks::terms(store, &tenant, day, Span::default(), after, 5)
            .await
            .unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        if pages == 1 {
            // Between the look at a page and the look at its blocks.
            merge_all(store).await;
        }
        pages += 1;
        for terms in page {
            found.extend(blocks::get(store, day, terms.id).await.unwrap());
        }
    }
    let events = found.iter().flat_map(|stored| {
        let body = block::Block::open(&stored.body).unwrap();
        body.events().unwrap()
    });
    let seqs: std::collections::BTreeSet<u64> = events.map(|event| event.id.seq).collect();
    assert!((0..72).all(|seq| seqs.contains(&seq)), "{seqs:?}");
}
