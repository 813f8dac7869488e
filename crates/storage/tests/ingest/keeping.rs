//! What is removed, what is held, and what is refused all the same.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use model::{Epoch, Event, EventId, Fields, SourceId, Tenant, Timestamp, Value, ecs};
use storage::Store;
use storage::blocks::{
    self, BlockId, CountQuery, Day, Inserted, NewBlock, ScanQuery, Writer, count_events, event, insert, mark_done, scan,
};
use storage::duties::{self, Duty};
use storage::holds::{self, NewHold, Scope};

use crate::samples::{NOON, SECOND, block_of};

fn source(name: &str) -> SourceId {
    SourceId::named("test", name)
}

fn id(source: SourceId, seq: u64) -> EventId {
    EventId {
        source,
        epoch: Epoch(1),
        seq,
    }
}

/// A batch whose events have these categories in turn.
fn batch(source: SourceId, first_seq: u64, count: u64, categories: &[&str]) -> NewBlock {
    let events: Vec<Event> = (0..count)
        .map(|n| {
            let category = categories[usize::try_from(n).unwrap() % categories.len()];
            let mut fields = Fields::new();
            fields.insert(ecs::EVENT_CATEGORY, vec![Value::from(category)]);
            fields.insert(ecs::MESSAGE, format!("{category} {n}"));
            Event {
                id: id(source, first_seq + n),
                timestamp: Timestamp(NOON.0 + i64::try_from(n).unwrap() * SECOND),
                fields,
            }
        })
        .collect();
    block_of(source, first_seq, NOON, &events)
}

async fn done(store: &Store, new: &NewBlock) -> BlockId {
    let Inserted::Stored(id) = insert(store, new).await.unwrap() else {
        panic!("stored before");
    };
    let node = "detector-1".parse().unwrap();
    assert!(mark_done(store, new.day, id, &node, 1, None).await.unwrap());
    id
}

async fn found(store: &Store) -> Vec<EventId> {
    let stored: Vec<_> = scan(store, ScanQuery::default()).try_collect().await.unwrap();
    let mut ids: Vec<EventId> = stored
        .iter()
        .flat_map(|stored| stored.body.open().unwrap().events().unwrap())
        .map(|event| event.id)
        .collect();
    ids.sort_unstable_by_key(|id| (id.source.to_string(), id.seq));
    ids
}

async fn group(store: &Store, day: Day, classes: &str) -> blocks::Group {
    let groups = blocks::groups(store, day).await.unwrap();
    let found = groups.iter().find(|group| group.classes.as_deref() == Some(classes));
    found.unwrap_or_else(|| panic!("{classes} in {groups:?}")).clone()
}

fn is_web() -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
    Arc::new(|class: &str| class == "web")
}

#[tokio::test]
async fn blocks_are_grouped_by_what_decides_how_long_they_stay() {
    let database = testkit::mongo().await;
    let store = database.store();
    done(store, &batch(source("a"), 0, 4, &["web"])).await;
    done(store, &batch(source("b"), 0, 4, &["web"])).await;
    let mixed = batch(source("a"), 10, 4, &["web", "authentication", "of my own"]);
    done(store, &mixed).await;
    let groups = blocks::groups(store, mixed.day).await.unwrap();
    let counts: Vec<_> = groups
        .iter()
        .map(|group| (group.classes.as_deref(), group.blocks))
        .collect();
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.contains(&(Some("web"), 2)), "{counts:?}");
    assert!(counts.contains(&(Some("authentication other web"), 1)), "{counts:?}");
}

#[tokio::test]
async fn what_was_removed_is_not_found_and_is_refused_when_it_comes_again() {
    let database = testkit::mongo().await;
    let store = database.store();
    let new = batch(source("a"), 0, 5, &["web"]);
    done(store, &new).await;
    done(store, &batch(source("a"), 5, 5, &["host"])).await;
    let web = group(store, new.day, "web").await;
    assert_eq!(blocks::remove(store, new.day, &web, None, true).await.unwrap(), 1);
    assert_eq!(
        found(store).await,
        (5..10).map(|seq| id(source("a"), seq)).collect::<Vec<_>>()
    );
    assert_eq!(count_events(store, &CountQuery::default()).await.unwrap(), 5);
    assert_eq!(
        event(store, &Tenant::default(), &id(source("a"), 2)).await.unwrap(),
        None
    );
    let Inserted::Duplicate(known) = insert(store, &new).await.unwrap() else {
        panic!("stored twice");
    };
    assert_eq!(known[0].hash, [7; 32]);
    let later = Timestamp(store.now().await.unwrap().0 + SECOND);
    assert_eq!(blocks::forget_batches(store, new.day, later).await.unwrap(), 1);
}

#[tokio::test]
async fn a_pending_block_is_not_removed() {
    let database = testkit::mongo().await;
    let store = database.store();
    let new = batch(source("a"), 0, 5, &["web"]);
    insert(store, &new).await.unwrap();
    let web = group(store, new.day, "web").await;
    assert!(!blocks::nothing_stays(store, new.day).await.unwrap());
    assert_eq!(blocks::remove(store, new.day, &web, None, false).await.unwrap(), 0);
    assert!(blocks::list(store, new.day, &web, None, 10).await.unwrap().is_empty());
    assert_eq!(found(store).await.len(), 5);
}

#[tokio::test]
async fn single_events_leave_a_block_that_stays() {
    let database = testkit::mongo().await;
    let store = database.store();
    let new = batch(source("a"), 100, 9, &["web", "authentication", "web"]);
    let block = done(store, &new).await;
    assert_eq!(
        blocks::trim(&Writer::new(store.clone()), new.day, block, is_web())
            .await
            .unwrap(),
        6
    );
    assert_eq!(
        found(store).await,
        [101, 104, 107].map(|seq| id(source("a"), seq)),
        "only what is not over"
    );
    assert_eq!(group(store, new.day, "authentication").await.blocks, 1);
    assert_eq!(count_events(store, &CountQuery::default()).await.unwrap(), 3);
    let kept = event(store, &Tenant::default(), &id(source("a"), 104)).await.unwrap();
    assert_eq!(kept.unwrap().fields.str(ecs::MESSAGE), Some("authentication 4"));
    assert!(matches!(insert(store, &new).await.unwrap(), Inserted::Duplicate(_)));
    assert_eq!(
        blocks::trim(&Writer::new(store.clone()), new.day, block, is_web())
            .await
            .unwrap(),
        0,
        "again"
    );
    let pending = blocks::pending_stats(store).await.unwrap();
    assert_eq!(pending.count, 0, "detectors are done with it still");
}

#[tokio::test]
async fn held_blocks_stay_until_nothing_holds_them() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let (a, b) = (source("a"), source("b"));
    let new = batch(a, 0, 4, &["web"]);
    done(&store, &new).await;
    done(&store, &batch(a, 4, 4, &["web"])).await;
    done(&store, &batch(b, 0, 4, &["web"])).await;
    let hold = |scope: Scope| NewHold {
        tenant: Tenant::default(),
        reason: "a case".to_owned(),
        by: "user:ann".to_owned(),
        scope,
    };
    let events = Scope {
        events: vec![id(a, 6)],
        incident: Some("INC-1".to_owned()),
        ..Scope::default()
    };
    let first = holds::place(&store, hold(events)).await.unwrap();
    assert_eq!(first.blocks, 1);
    let range = Scope {
        sources: vec![a],
        from: Some(NOON),
        ..Scope::default()
    };
    let second = holds::place(&store, hold(range)).await.unwrap();
    assert_eq!(second.blocks, 2, "the other one has two reasons to stay");

    let web = group(&store, new.day, "web").await;
    assert!(!blocks::nothing_stays(&store, new.day).await.unwrap());
    assert_eq!(
        blocks::remove(&store, new.day, &web, None, false).await.unwrap(),
        1,
        "that of b"
    );
    assert_eq!(found(&store).await.len(), 8);
    assert_eq!(blocks::count_held(&store, new.day).await.unwrap(), 2);

    let released = holds::release(&store, &Tenant::default(), &second.hold.id, "user:bob")
        .await
        .unwrap();
    assert_eq!(released.unwrap().blocks, 2);
    assert_eq!(blocks::remove(&store, new.day, &web, None, false).await.unwrap(), 1);
    assert_eq!(found(&store).await, (4..8).map(|seq| id(a, seq)).collect::<Vec<_>>());

    // The incident is closed.
    let closed = holds::release_incident(&store, &Tenant::default(), "INC-1", "user:bob")
        .await
        .unwrap();
    assert_eq!(closed.unwrap().hold.released_by.as_deref(), Some("user:bob"));
    assert!(blocks::nothing_stays(&store, new.day).await.unwrap());
    assert_eq!(blocks::remove(&store, new.day, &web, None, false).await.unwrap(), 1);
    assert!(holds::list(&store, &Tenant::default(), false).await.unwrap().is_empty());
    assert_eq!(holds::list(&store, &Tenant::default(), true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_second_hold_for_an_incident_widens_the_first() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let a = source("a");
    done(&store, &batch(a, 0, 4, &["web"])).await;
    done(&store, &batch(a, 4, 4, &["web"])).await;
    let of = |seq| NewHold {
        tenant: Tenant::default(),
        reason: "open incident".to_owned(),
        by: "user:responder".to_owned(),
        scope: Scope {
            incident: Some("INC-2".to_owned()),
            events: vec![id(a, seq)],
            ..Scope::default()
        },
    };
    let first = holds::place(&store, of(1)).await.unwrap();
    let second = holds::place(&store, of(5)).await.unwrap();
    assert_eq!((first.hold.id.clone(), 1), (second.hold.id.clone(), second.blocks));
    assert_eq!(holds::count_blocks(&store, &second.hold).await.unwrap(), 2);
    let none = Scope::default();
    assert!(holds::place(&store, NewHold { scope: none, ..of(0) }).await.is_err());
}

#[tokio::test]
async fn a_released_hold_is_not_put_on_again_by_a_pass_that_has_read_it() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let a = source("a");
    let new = batch(a, 0, 4, &["web"]);
    done(&store, &new).await;
    let hold = NewHold {
        tenant: Tenant::default(),
        reason: "a case".to_owned(),
        by: "user:ann".to_owned(),
        scope: Scope {
            sources: vec![a],
            ..Scope::default()
        },
    };
    let placed = holds::place(&store, hold).await.unwrap();
    let duty = duties::take(&store, Duty::Retention, "collector-1")
        .await
        .unwrap()
        .unwrap();
    let read = holds::open_ended(&store).await.unwrap();
    let (releasing, id) = (store.clone(), placed.hold.id.clone());
    let mut releasing =
        tokio::spawn(async move { holds::release(&releasing, &Tenant::default(), &id, "user:bob").await });
    let early = tokio::time::timeout(Duration::from_secs(1), &mut releasing).await;
    assert!(early.is_err(), "released while retention is at work: {early:?}");
    holds::apply(&store, &read[0], new.day).await.unwrap();
    duty.release().await.unwrap();
    assert_eq!(releasing.await.unwrap().unwrap().unwrap().blocks, 1);
    assert_eq!(blocks::count_held(&store, new.day).await.unwrap(), 0);
    assert!(blocks::nothing_stays(&store, new.day).await.unwrap());
}

#[tokio::test]
async fn a_duty_has_one_owner_until_it_is_given_back() {
    let database = testkit::mongo().await;
    let store = database.store();
    let mut first = duties::take(store, Duty::Retention, "collector-1")
        .await
        .unwrap()
        .unwrap();
    assert!(
        duties::take(store, Duty::Retention, "collector-2")
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        duties::take(store, Duty::Compaction, "collector-2")
            .await
            .unwrap()
            .is_some()
    );
    assert!(first.renew().await.unwrap());
    first.release().await.unwrap();
    assert!(
        duties::take(store, Duty::Retention, "collector-2")
            .await
            .unwrap()
            .is_some()
    );
}
