//! Blocks: stored once, found again, marked done.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use model::{Fields, NodeId, Partition, SourceId, Tenant, Timestamp, Value};
use query::{Need, Span};
use storage::Store;
use storage::blocks::{
    BlockId, Columns, CountQuery, Day, Inserted, Known, NewBlock, OneColumn, ScanQuery, Writer, columns_of,
    count_events, events_per_second, events_total, get, insert, list_days, mark_done, pending, pending_stats, scan,
};

use crate::samples::{NOON, SECOND, block, key};

const DAY: i64 = 86_400 * SECOND;

fn source(name: &str) -> SourceId {
    SourceId::named("test", name)
}

async fn store_all(store: &Store, blocks: &[NewBlock]) -> Vec<BlockId> {
    let writer = Writer::new(store.clone());
    let mut ids = Vec::new();
    for block in blocks {
        match writer.insert(block).await.unwrap() {
            Inserted::Stored(id) => ids.push(id),
            Inserted::Duplicate(known) => panic!("stored before: {known:?}"),
        }
    }
    ids
}

async fn found(store: &Store, query: ScanQuery) -> Vec<BlockId> {
    let blocks: Vec<_> = scan(store, query).try_collect().await.unwrap();
    assert!(blocks.iter().all(|block| block.body.open().is_ok()));
    blocks.iter().map(|block| block.id).collect()
}

#[tokio::test]
async fn a_block_comes_back_as_it_was() {
    let database = testkit::mongo().await;
    let store = database.store();
    let mut new = block(source("a"), 10, 3, NOON, "hello from 10.0.0.7");
    new.min = Timestamp(NOON.0 + 1);
    new.max = Timestamp(NOON.0 + 2 * SECOND + 1);
    let id = store_all(store, std::slice::from_ref(&new)).await[0];
    let stored = get(store, new.day, id).await.unwrap().unwrap();
    assert_eq!(stored.body, new.body);
    assert_eq!(
        (stored.tenant, stored.partition, stored.events),
        (new.tenant, new.partition, 3)
    );
    assert_eq!(stored.sources, [source("a")]);
    assert_eq!(stored.min, NOON, "rounded down to a millisecond");
    assert_eq!(stored.max, Timestamp(NOON.0 + 2 * SECOND + 1000), "rounded up");
    assert_eq!(
        get(store, new.day, BlockId::generate())
            .await
            .unwrap()
            .map(|block| block.id),
        None
    );
    assert_eq!(list_days(store).await.unwrap(), [new.day]);
}

#[tokio::test]
async fn a_batch_is_stored_once_whoever_sends_it() {
    let database = testkit::mongo().await;
    let store = database.store().clone();
    let writers = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { insert(&store, &block(source("a"), 0, 5, NOON, "x")).await.unwrap() })
    });
    let outcomes: Vec<Inserted> = futures_util::future::try_join_all(writers).await.unwrap();
    let stored = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Inserted::Stored(_)))
        .count();
    assert_eq!(stored, 1, "{outcomes:?}");
    assert_eq!(events_total(&store, &Tenant::default()).await.unwrap(), 5);

    // In a block with another batch: the answer names the one that is known, with the hash it is stored under.
    let mut both = block(source("a"), 5, 5, NOON, "y");
    both.batches.extend(block(source("a"), 0, 5, NOON, "x").batches);
    both.batches[1].hash = [8; 32];
    let known = Known {
        key: key(source("a"), 0),
        hash: [7; 32],
    };
    assert_eq!(insert(&store, &both).await.unwrap(), Inserted::Duplicate(vec![known]));
    assert_eq!(events_total(&store, &Tenant::default()).await.unwrap(), 5);
}

#[tokio::test]
async fn a_batch_that_crosses_the_edge_of_what_can_be_right_is_recognized() {
    let database = testkit::mongo().await;
    let store = database.store();
    let own = block(source("a"), 0, 1, NOON, "x");
    let mut misdated = own.clone();
    misdated.day = Day::MISDATED;
    store_all(store, std::slice::from_ref(&own)).await;
    assert!(matches!(insert(store, &misdated).await.unwrap(), Inserted::Duplicate(known) if known.len() == 1));

    let mut early = block(source("a"), 1, 1, NOON, "x");
    let later = early.clone();
    early.day = Day::MISDATED;
    store_all(store, &[early]).await;
    assert!(matches!(insert(store, &later).await.unwrap(), Inserted::Duplicate(known) if known.len() == 1));
}

#[tokio::test]
async fn blocks_are_found_newest_first_by_what_they_may_hold() {
    let database = testkit::mongo().await;
    let store = database.store();
    let (a, b) = (source("a"), source("b"));
    let yesterday = Timestamp(NOON.0 - DAY);
    let blocks = [
        block(a, 0, 10, yesterday, "sshd failed from 10.0.0.5"),
        block(a, 10, 10, NOON, "sshd accepted from 10.0.0.6"),
        block(b, 0, 10, Timestamp(NOON.0 + 60 * SECOND), "cron job 10.0.0.5"),
        // Stored under yesterday, though its events are the latest of all.
        NewBlock {
            day: Day::of_batch(yesterday, yesterday),
            ..block(b, 10, 10, Timestamp(NOON.0 + 120 * SECOND), "late words")
        },
    ];
    let ids = store_all(store, &blocks).await;
    let select = |wanted: &[usize]| wanted.iter().map(|index| ids[*index]).collect::<Vec<_>>();
    let query = ScanQuery::default;
    assert_eq!(found(store, query()).await, select(&[3, 2, 1, 0]));
    assert_eq!(
        found(
            store,
            ScanQuery {
                source: Some(a),
                ..query()
            }
        )
        .await,
        select(&[1, 0])
    );
    assert_eq!(
        found(
            store,
            ScanQuery {
                from: Some(NOON),
                ..query()
            }
        )
        .await,
        select(&[3, 2, 1])
    );
    assert_eq!(
        found(
            store,
            ScanQuery {
                to: Some(NOON),
                ..query()
            }
        )
        .await,
        select(&[1, 0]),
        "times end in between"
    );
    let ip = |text: &str| Need::Address(text.parse().unwrap());
    assert_eq!(
        found(
            store,
            ScanQuery {
                need: ip("10.0.0.5"),
                addresses: Some(vec!["10.0.0.5".parse().unwrap()]),
                ..query()
            }
        )
        .await,
        select(&[2, 0])
    );
    assert_eq!(
        found(
            store,
            ScanQuery {
                need: ip("10.0.0.99"),
                addresses: Some(vec!["10.0.0.99".parse().unwrap()]),
                ..query()
            }
        )
        .await,
        select(&[])
    );
    let words = |words: &[&str]| Need::Words(words.join(" "));
    assert_eq!(
        found(
            store,
            ScanQuery {
                need: words(&["SSHD"]),
                ..query()
            }
        )
        .await,
        select(&[1, 0])
    );
    assert_eq!(
        found(
            store,
            ScanQuery {
                need: words(&["sshd", "failed"]),
                ..query()
            }
        )
        .await,
        select(&[0])
    );
    assert_eq!(
        found(
            store,
            ScanQuery {
                need: words(&["absent", "zebra"]),
                ..query()
            }
        )
        .await,
        select(&[])
    );
    let stranger = ScanQuery {
        tenant: "other".parse().unwrap(),
        ..query()
    };
    assert_eq!(found(store, stranger).await, select(&[]));
}

#[tokio::test]
async fn the_database_finds_the_blocks_whose_filters_may_have_what_is_needed() {
    let database = testkit::mongo().await;
    let store = database.store();
    let mut blocks = Vec::new();
    let mut first = 0;
    // Filters of many lengths.
    for (number, words) in [1, 3, 40, 300, 2_000, 9_000].into_iter().enumerate() {
        let text: String = (0..words).map(|n| format!("word{number}x{n} ")).collect();
        blocks.push(block(
            source("a"),
            first,
            1,
            Timestamp(NOON.0 + first.cast_signed()),
            &format!("{text} from 10.0.0.{number}"),
        ));
        first += 1;
    }
    // One that may hold anything, and one of a length that is not made any more.
    for filter in [Vec::new(), vec![7; 1235]] {
        let mut odd = block(source("a"), first, 1, Timestamp(NOON.0 + first.cast_signed()), "odd");
        odd.token_filter = filter;
        odd.ips = None;
        blocks.push(odd);
        first += 1;
    }
    let ids = store_all(store, &blocks).await;
    let words = |words: &str| Need::Words(words.to_owned());
    let address = |ip: &str| Need::Address(ip.parse().unwrap());
    let network = Need::Network("10.0.0.0/30".parse().unwrap());
    let mut needs = vec![
        words("from"),
        words("absent"),
        words("word0x0"),
        words("word3x299 word3x7"),
        words("word3x299 word2x7"),
        address("10.0.0.4"),
        address("10.9.9.9"),
        network.clone(),
        Need::All(vec![words("from"), address("10.0.0.2")]),
        Need::All(vec![words("from"), network]),
        Need::Any(vec![words("word5x8999"), words("word4x1999"), words("absent")]),
        Need::Any(vec![words("word5x8999"), Need::Nothing]),
        // More than is asked for at once.
        words(&(0..300).map(|n| format!("word3x{n} ")).collect::<String>()),
    ];
    needs.extend((0..6).map(|number| words(&format!("word{number}x0"))));
    for need in needs {
        let query = ScanQuery {
            need: need.clone(),
            ..ScanQuery::default()
        };
        let found: Vec<BlockId> = found(store, query).await;
        for (new, id) in blocks.iter().zip(&ids) {
            let ips: Option<Vec<_>> = new
                .ips
                .as_ref()
                .map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect());
            let may = need.may_be_in(&new.token_filter, ips.as_deref());
            let is_odd = new.token_filter.len() == 1235;
            assert!(found.contains(id) || !may, "{need:?} is left out");
            assert!(
                !found.contains(id) || may || is_odd || need == words_of_many(),
                "{need:?} is found"
            );
        }
    }
}

/// What an event has in a field: the same in some as in those that complete them.
fn header(name: &str) -> String {
    let of = match name {
        "source.address" => "source.ip",
        "event.original" => "message",
        name => name,
    };
    format!("header {of}")
}

fn words_of_many() -> Need {
    Need::Words((0..300).map(|n| format!("word3x{n} ")).collect())
}

#[tokio::test]
async fn columns_can_be_fetched_alone_whatever_their_fields_are_called() {
    let database = testkit::mongo().await;
    let store = database.store();
    let names = [
        "source.ip",
        "source.address",
        "$where",
        ".a",
        "a|b",
        "|rest",
        "own field",
        "nul\0",
        "é",
        "message",
        "event.original",
    ];
    let many = (0..600).map(|n| format!("many.{n}"));
    let fields: Fields = names
        .iter()
        .map(|name| (*name).to_owned())
        .chain(many)
        .map(|name| (name.clone().into(), Value::from(header(&name))))
        .collect();
    let mut new = block(source("a"), 0, 1, NOON, "x");
    let mut events = block::Block::open(&new.body).unwrap().events().unwrap();
    events[0].fields = fields;
    new.body = block::encode(&events).unwrap().bytes;
    let id = store_all(store, std::slice::from_ref(&new)).await[0];
    assert_eq!(get(store, new.day, id).await.unwrap().unwrap().body, new.body);
    for name in names.into_iter().chain(["many.0", "many.599", "absent"]) {
        let columns = Columns::of_fields([name.to_owned()]);
        let part = storage::blocks::find(store, new.day, id, &columns)
            .await
            .unwrap()
            .unwrap();
        let value = Value::from(header(name));
        match part.body.open().unwrap().column(name) {
            Ok(column) => assert_eq!(
                column.is_some().then_some(&value),
                column.as_ref().and_then(|column| column.get(0))
            ),
            Err(error) => {
                assert_eq!(error, block::DecodeError::NotAtHand);
                assert!(!["source.ip", "source.address", "event.original"].contains(&name));
            }
        }
        let span = Span::default();
        let of_blocks: Vec<_> = columns_of(store, &new.tenant, span, name)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        match &of_blocks[0].column {
            OneColumn::Here(columns) => match block::values_of(&columns[0]) {
                Ok(view) => assert_eq!(view.text(0).map(str::to_owned), Some(header(name))),
                Err(error) => {
                    assert_eq!(error, block::DecodeError::NotAtHand);
                    assert!(["source.address", "event.original"].contains(&name));
                }
            },
            OneColumn::Completed(_) => panic!("{name} is in a block with too many columns"),
            OneColumn::Elsewhere => {}
            OneColumn::Absent => panic!("{name} is said to be absent"),
        }
    }
    let none = Span {
        to: Some(NOON),
        from: None,
    };
    assert_eq!(
        columns_of(store, &new.tenant, none, "message")
            .await
            .unwrap()
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_block_with_too_many_addresses_to_list_is_still_found_by_one() {
    let database = testkit::mongo().await;
    let store = database.store();
    let mut new = block(source("a"), 0, 3, NOON, "from 10.9.9.9");
    new.ips = None;
    let ids = store_all(store, &[new]).await;
    let query = ScanQuery {
        need: Need::Address("10.9.9.9".parse().unwrap()),
        addresses: Some(vec!["10.9.9.9".parse().unwrap()]),
        ..ScanQuery::default()
    };
    assert_eq!(found(store, query).await, ids);
    let absent = ScanQuery {
        need: Need::Address("10.8.8.8".parse().unwrap()),
        addresses: Some(vec!["10.8.8.8".parse().unwrap()]),
        ..ScanQuery::default()
    };
    assert_eq!(found(store, absent).await, []);
}

/// Which bits of a filter are asked for depends on its length.
#[tokio::test]
async fn a_word_is_found_however_long_the_filters_are() {
    let database = testkit::mongo().await;
    let store = database.store();
    let mut blocks: Vec<NewBlock> = (0_u64..11)
        .map(|n| {
            let others: Vec<String> = (0..1 << n).map(|other| format!("other{other}")).collect();
            let text = format!("needle{n} {}", others.join(" "));
            let start = Timestamp(NOON.0 - i64::try_from(n).unwrap() * SECOND);
            block(source("a"), n, 1, start, &text)
        })
        .collect();
    let mut odd = block(source("a"), 11, 1, Timestamp(NOON.0 - 11 * SECOND), "x");
    odd.token_filter.push(0);
    blocks.push(odd);
    let ids = store_all(store, &blocks).await;
    let lengths: BTreeSet<usize> = blocks.iter().map(|block| block.token_filter.len()).collect();
    assert!(lengths.len() > 8, "{lengths:?}");
    for n in 0..11 {
        let query = ScanQuery {
            need: Need::Words(format!("needle{n}")),
            ..ScanQuery::default()
        };
        // What a filter of a length that none has would say is not known.
        assert_eq!(found(store, query).await, [ids[n], ids[11]], "needle{n}");
    }
    // Which lengths there are, an index says: without it all that may be are asked for, which takes thrice as long.
    let client = mongodb::Client::with_uri_str(database.uri()).await.unwrap();
    let day = client.database(database.name());
    let day = day.collection::<bson::Document>(&blocks[0].day.collection());
    let used = day.aggregate([
        bson::doc! { "$indexStats": {} },
        bson::doc! { "$match": { "name": "tenant_1_tfn_1" } },
    ]);
    let used: Vec<bson::Document> = used.await.unwrap().try_collect().await.unwrap();
    let used = used[0].get_document("accesses").unwrap().get_i64("ops").unwrap();
    assert_eq!(used, 11);
}

/// The database is told which index has the order; a day that was restored without it is searched all the same.
#[tokio::test]
async fn a_day_without_indexes_is_searched_all_the_same() {
    let database = testkit::mongo().await;
    let store = database.store();
    let blocks = [
        block(source("a"), 0, 3, NOON, "from 10.9.9.9"),
        block(source("a"), 3, 3, Timestamp(NOON.0 + 1), "from 10.9.9.9"),
    ];
    let mut ids = store_all(store, &blocks).await;
    ids.reverse();
    let by_address = ScanQuery {
        need: Need::Address("10.9.9.9".parse().unwrap()),
        addresses: Some(vec!["10.9.9.9".parse().unwrap()]),
        ..ScanQuery::default()
    };
    assert_eq!(found(store, by_address.clone()).await, ids);
    let client = mongodb::Client::with_uri_str(database.uri()).await.unwrap();
    let day = client.database(database.name());
    let day = day.collection::<bson::Document>(&blocks[0].day.collection());
    day.drop_indexes().await.unwrap();
    assert_eq!(found(store, by_address).await, ids);
    assert_eq!(found(store, ScanQuery::default()).await, ids);
}

#[tokio::test]
async fn a_long_scan_goes_through_every_block_in_order() {
    let database = testkit::mongo().await;
    let store = database.store();
    let blocks: Vec<_> = (0..60)
        .map(|n| {
            let start = Timestamp(NOON.0 + i64::try_from(n % 7).unwrap() * DAY + i64::try_from(n).unwrap() * SECOND);
            block(source(&format!("s{}", n % 9)), n, 1, start, "x")
        })
        .collect();
    store_all(store, &blocks).await;
    let all: Vec<_> = scan(store, ScanQuery::default()).try_collect().await.unwrap();
    assert_eq!(all.len(), 60);
    assert!(all.windows(2).all(|pair| pair[0].max >= pair[1].max));
    let words: Vec<_> = scan(
        store,
        ScanQuery {
            need: Need::Words("x".to_owned()),
            ..ScanQuery::default()
        },
    )
    .try_collect()
    .await
    .unwrap();
    assert_eq!(words.len(), 60);
}

#[tokio::test]
async fn counts_are_exact_at_both_ends_and_by_source() {
    let database = testkit::mongo().await;
    let store = database.store();
    let a = source("a");
    let part_of = |source| Partition::of(&Tenant::default(), &source);
    let b = (0..)
        .map(|n| source(&format!("b{n}")))
        .find(|b| part_of(*b) == part_of(a))
        .unwrap();
    let mut mixed = block(a, 100, 4, Timestamp(NOON.0 + 500 * SECOND), "x");
    mixed.batches.push(block(b, 100, 6, NOON, "y").batches[0].clone());
    mixed.events = 10;
    store_all(store, &[block(a, 0, 10, NOON, "x"), block(b, 0, 20, NOON, "x"), mixed]).await;
    let count = async |from: Option<i64>, to: Option<i64>, source: Option<SourceId>| {
        let at = |secs: i64| Timestamp(NOON.0 + secs * SECOND);
        let query = CountQuery {
            tenant: Tenant::default(),
            from: from.map(at),
            to: to.map(at),
            source,
        };
        count_events(store, &query).await.unwrap()
    };
    assert_eq!(count(None, None, None).await, 40);
    assert_eq!(count(None, None, Some(a)).await, 14);
    assert_eq!(count(None, None, Some(b)).await, 26);
    assert_eq!(count(Some(0), Some(20), None).await, 30);
    assert_eq!(count(Some(5), Some(15), None).await, 5 + 10);
    assert_eq!(count(Some(5), Some(15), Some(a)).await, 5);
    assert_eq!(count(Some(9), Some(10), None).await, 2);
    assert_eq!(count(Some(1000), None, None).await, 0);
    assert_eq!(events_total(store, &Tenant::default()).await.unwrap(), 40);
    assert!((events_per_second(store, &Tenant::default()).await.unwrap() - 40.0 / 60.0).abs() < 1e-9);
    assert_eq!(events_total(store, &"other".parse().unwrap()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_pending_block_is_done_once() {
    let database = testkit::mongo().await;
    let store = database.store();
    let node: NodeId = "detector-1".parse().unwrap();
    assert_eq!(pending_stats(store).await.unwrap().count, 0);
    let mut old = block(source("a"), 0, 1, Timestamp(NOON.0 - DAY), "x");
    old.at = Timestamp::from_millis(old.at.as_millis() - 10_000);
    let new = block(source("a"), 1, 1, NOON, "x");
    let ids = store_all(store, &[new.clone(), old.clone()]).await;
    let parts = [new.partition];
    let soon = Timestamp(Timestamp::now().0 + 60 * SECOND);
    let ids_of = async |before, limit, excluding: &[BlockId]| {
        let blocks = pending(store, &parts, before, limit, excluding).await.unwrap();
        blocks.iter().map(|block| block.id).collect::<Vec<_>>()
    };
    assert_eq!(ids_of(soon, 10, &[]).await, [ids[1], ids[0]]);
    assert_eq!(ids_of(soon, 1, &[]).await, [ids[1]]);
    assert_eq!(ids_of(soon, 10, &[ids[1]]).await, [ids[0]]);
    assert_eq!(ids_of(Timestamp(new.at.0 - SECOND), 10, &[]).await, [ids[1]]);
    let others: Vec<Partition> = Partition::all().filter(|part| *part != new.partition).collect();
    assert!(pending(store, &others, soon, 10, &[]).await.unwrap().is_empty());
    let stats = pending_stats(store).await.unwrap();
    assert_eq!((stats.count, stats.oldest), (2, Some(old.at)));

    assert!(mark_done(store, old.day, ids[1], &node, 3, None).await.unwrap());
    assert!(!mark_done(store, old.day, ids[1], &node, 4, None).await.unwrap());
    assert!(
        !mark_done(store, old.day, BlockId::generate(), &node, 4, None)
            .await
            .unwrap()
    );
    assert_eq!(ids_of(soon, 10, &[]).await, [ids[0]]);
    assert_eq!(pending_stats(store).await.unwrap().count, 1);
}

#[tokio::test]
async fn counts_by_time_are_exact_whatever_the_interval_and_the_span() {
    let database = testkit::mongo().await;
    let store = database.store();
    let mut blocks: Vec<_> = (0..4_u64)
        .map(|n| {
            let start = Timestamp(NOON.0 + i64::try_from(n).unwrap() * 97 * SECOND + 500_000);
            block(source(&format!("s{n}")), 0, 300, start, "x")
        })
        .collect();
    // As stored before minutes were counted.
    blocks[1].minutes = None;
    let times: Vec<Timestamp> = blocks
        .iter()
        .flat_map(|new| block::Block::open(&new.body).unwrap().timestamps().unwrap())
        .collect();
    store_all(store, &blocks).await;
    let at = |second: i64| Some(Timestamp(NOON.0 + second * SECOND));
    for span in [
        (None, None),
        (at(60), at(300)),
        (at(61), at(301)),
        (None, at(200)),
        (at(90), None),
        (at(900), None),
    ] {
        let span = Span {
            from: span.0,
            to: span.1,
        };
        for seconds in [1, 7, 60, 300, 3600] {
            let micros = seconds * SECOND;
            let mut expected = storage::blocks::Histogram::new();
            for time in times.iter().filter(|time| span.contains(**time)) {
                *expected
                    .entry(Timestamp(time.0.div_euclid(micros) * micros))
                    .or_default() += 1;
            }
            let counted = storage::blocks::histogram(store, &Tenant::default(), span, micros)
                .await
                .unwrap();
            assert_eq!(counted, expected, "{span:?} by {seconds} s");
        }
    }
}
