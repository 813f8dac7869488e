//! Alerts: inserting, finding, watching.

use std::collections::BTreeMap;
use std::time::Duration;

use model::alert::{Alert, AlertAgent, AlertCorrelation, AlertRule, Attack};
use model::{AlertId, Epoch, EventId, Level, SourceId, Tenant, Timestamp};
use serde_json::json;
use storage::Store;
use storage::alerts::{self, AlertFilter, Watch, WatchError, Watched};

/// An agent's id but for its last digit.
const AGENT: &str = "11111111-2222-3333-4444-55555555555";

fn alert(seq: u64) -> Alert {
    let tenant = Tenant::default();
    let event_id = EventId {
        source: SourceId::named("test", "alerts"),
        epoch: Epoch(1),
        seq,
    };
    let level = Level::ALL[usize::try_from(seq % 5).unwrap()];
    Alert {
        id: AlertId::single(&tenant, "rule", &event_id),
        tenant,
        timestamp: Timestamp(1_700_000_000_000_000),
        rule_id: format!("rule-{}", seq % 2),
        rule: AlertRule {
            id: format!("rule-{}", seq % 2),
            title: "Title".to_owned(),
            description: String::new(),
            revision: String::new(),
            tags: Vec::new(),
        },
        level,
        severity: level.severity().number(),
        attack: Attack::default(),
        agent: AlertAgent {
            id: format!("{AGENT}{}", seq % 3),
            name: format!("host-{}", seq % 2),
        },
        ips: vec![format!("10.0.0.{}", seq % 4), "192.0.2.1".to_owned()],
        indicator: None,
        correlation: None,
        suppression: None,
        retroactive: false,
        event_id,
        event: json!({"@timestamp": "2023-11-14T22:13:20.000000Z", "message": "$text", "event": {"id": event_id.to_string()}}),
        risk_score: level.risk_score().to_owned(),
        // Two each at the same moment, so that pages have ties to break.
        processed_at: Timestamp::from_millis(1_700_000_000_000 + i64::try_from(seq / 2).unwrap()),
    }
}

#[tokio::test]
async fn inserting_an_alert_again_changes_nothing() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let ten: Vec<Alert> = (0..10).map(alert).collect();
    assert_eq!(alerts::insert(store, &ten[..6]).await.unwrap(), 6);
    assert_eq!(alerts::insert(store, &ten).await.unwrap(), 4);
    assert_eq!(alerts::insert(store, &ten).await.unwrap(), 0);
    assert_eq!(alerts::insert(store, &[]).await.unwrap(), 0);
    assert_eq!(alerts::count(store, &AlertFilter::default()).await.unwrap(), 10);
    let one = alerts::get(store, &Tenant::default(), &ten[3].id).await.unwrap();
    assert_eq!(one.as_ref(), Some(&ten[3]));
    let foreign = alerts::get(store, &"other".parse().unwrap(), &ten[3].id).await.unwrap();
    assert_eq!(foreign, None);
}

#[tokio::test]
async fn filters_and_pages_agree_with_a_plain_loop() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let mut all: Vec<Alert> = (0..40).map(alert).collect();
    alerts::insert(store, &all).await.unwrap();
    all.sort_by(|a, b| (b.processed_at, b.id.as_str()).cmp(&(a.processed_at, a.id.as_str())));
    let filters = [
        AlertFilter::default(),
        AlertFilter {
            agent_id: Some(format!("{AGENT}1")),
            ..AlertFilter::default()
        },
        AlertFilter {
            agent_id: Some("host-1".to_owned()),
            ..AlertFilter::default()
        },
        AlertFilter {
            ip: Some("10.0.0.2".to_owned()),
            min_level: Some(Level::Medium),
            ..AlertFilter::default()
        },
        AlertFilter {
            rule_id: Some("rule-0".to_owned()),
            ..AlertFilter::default()
        },
        AlertFilter {
            from: Some(Timestamp::from_millis(1_700_000_000_003)),
            to: Some(Timestamp::from_millis(1_700_000_000_010)),
            ..AlertFilter::default()
        },
        AlertFilter {
            tenant: "other".parse().unwrap(),
            ..AlertFilter::default()
        },
    ];
    for filter in filters {
        let wanted: Vec<Alert> = all
            .iter()
            .filter(|alert| {
                alert.tenant == filter.tenant
                    && filter
                        .agent_id
                        .as_ref()
                        .is_none_or(|id| [&alert.agent.id, &alert.agent.name].contains(&id))
                    && filter.ip.as_ref().is_none_or(|ip| alert.ips.contains(ip))
                    && filter.rule_id.as_ref().is_none_or(|id| alert.rule_id == *id)
                    && filter.min_level.is_none_or(|min| alert.level >= min)
                    && filter.from.is_none_or(|from| alert.processed_at >= from)
                    && filter.to.is_none_or(|to| alert.processed_at < to)
            })
            .cloned()
            .collect();
        assert_eq!(alerts::count(store, &filter).await.unwrap(), wanted.len() as u64);
        let mut pages = Vec::new();
        let mut page = AlertFilter { limit: 7, ..filter };
        loop {
            let found = alerts::list(store, &page).await.unwrap();
            let Some(last) = found.last() else { break };
            page.before = Some((last.processed_at, last.id.clone()));
            pages.extend(found);
        }
        assert_eq!(pages, wanted, "{page:?}");
    }
}

async fn next(watch: &mut Watch) -> Result<Watched, WatchError> {
    tokio::time::timeout(Duration::from_secs(60), watch.next())
        .await
        .expect("no alert on the watch")
        .expect("the watch is over")
}

#[tokio::test]
async fn a_watch_resumes_right_after_its_cursor() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = Tenant::default();
    let ten: Vec<Alert> = (0..10).map(alert).collect();
    let mut first = alerts::watch(store, &tenant, None).await.unwrap();
    let start = first.cursor().to_owned();
    alerts::insert(store, &ten[..4]).await.unwrap();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let watched = next(&mut first).await.unwrap();
        assert!(!watched.is_update);
        seen.push(watched.alert.id.to_string());
        cursor = watched.cursor;
    }
    assert_eq!(first.cursor(), cursor);
    drop(first);
    let mut foreign = ten[9].clone();
    foreign.tenant = "other".parse().unwrap();
    alerts::insert(store, &[foreign]).await.unwrap();
    alerts::insert(store, &ten[4..9]).await.unwrap();

    let mut second = alerts::watch(store, &tenant, Some(&cursor)).await.unwrap();
    for _ in 0..6 {
        seen.push(next(&mut second).await.unwrap().alert.id.to_string());
    }
    let mut wanted: Vec<String> = ten[..9].iter().map(|alert| alert.id.to_string()).collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted);

    let mut again = alerts::watch(store, &tenant, Some(&start)).await.unwrap();
    let alert = next(&mut again).await.unwrap().alert;
    assert_eq!(alert, ten.iter().find(|one| one.id == alert.id).unwrap().clone());
}

#[tokio::test]
async fn a_watch_tells_of_alerts_that_are_taken_back_and_stand_again() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let found = |n: u64, count: u64| {
        let mut alert = alert(n);
        alert.correlation = Some(AlertCorrelation {
            kind: "event_count".to_owned(),
            rules: vec!["r".to_owned()],
            group: BTreeMap::new(),
            window_start: Timestamp(0),
            window_end: Timestamp(1),
            count,
            at_least: false,
            value: None,
            values: Vec::new(),
            event_ids: Vec::new(),
            first_event: Timestamp(0),
            last_event: Timestamp(1),
            hosts: Vec::new(),
            agents: Vec::new(),
            overflowed: false,
            retracted: false,
        });
        alert
    };
    let (taken_back, other) = (found(1, 1), found(2, 1));
    let mut watch = alerts::watch(store, &taken_back.tenant, None).await.unwrap();
    alerts::put_versioned(store, &[(taken_back.clone(), 1)]).await.unwrap();
    // One that merely grows is told of once.
    alerts::put_versioned(store, &[(other.clone(), 1)]).await.unwrap();
    alerts::put_versioned(store, &[(found(2, 2), 2)]).await.unwrap();
    alerts::retract(store, &[(taken_back.id.clone(), 2)]).await.unwrap();
    alerts::put_versioned(store, &[(found(1, 3), 3)]).await.unwrap();
    alerts::retract(store, &[(taken_back.id.clone(), 4)]).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let watched = next(&mut watch).await.unwrap();
        seen.push((watched.alert.id.clone(), watched.is_update));
        if seen.len() == 5 {
            assert!(watched.alert.correlation.unwrap().retracted);
        }
    }
    let (id, other) = (taken_back.id, other.id);
    assert_eq!(
        seen,
        [
            (id.clone(), false),
            (other, false),
            (id.clone(), true),
            (id.clone(), true),
            (id, true)
        ]
    );
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused_by_name() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = Tenant::default();
    for bad in ["", "x", "00", "82FFFFFF", &"ab".repeat(100), &"AB".repeat(5000)] {
        let error = alerts::watch(store, &tenant, Some(bad)).await.unwrap_err();
        assert!(matches!(error, WatchError::InvalidCursor), "{bad:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_watch_outlives_the_database_it_watches() {
    let mut server = testkit::private_mongo().await;
    let store = Store::connect(&server.uri(), "watch", "tests").await.unwrap();
    store.ensure_indexes().await.unwrap();
    let mut watch = alerts::watch(&store, &Tenant::default(), None).await.unwrap();
    alerts::insert(&store, &[alert(0)]).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().alert, alert(0));

    server.kill9().await;
    server.restart().await.unwrap();
    testkit::poll_until(
        Duration::from_secs(60),
        "an alert is stored",
        async || match alerts::insert(&store, &[alert(1)]).await {
            Ok(_) => Some(()),
            Err(error) => {
                assert!(error.is_retryable(), "{error:?}");
                None
            }
        },
    )
    .await;
    let seen = next(&mut watch).await.unwrap();
    assert_eq!(seen.alert, alert(1));
    let cursor = seen.cursor;

    server.stop().await;
    server.restart().await.unwrap();
    alerts::insert(&store, &[alert(2)]).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().alert, alert(2));
    let mut resumed = alerts::watch(&store, &Tenant::default(), Some(&cursor)).await.unwrap();
    assert_eq!(next(&mut resumed).await.unwrap().alert, alert(2));
}

#[tokio::test]
async fn an_alert_that_knows_more_replaces_what_knows_less_and_keeps_what_others_added() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let versions = |n: i64| {
        let mut alert = alert(1);
        alert.event = serde_json::json!({"n": n, "$where": {"a.b": [{"$set": 1}]}});
        alert.processed_at = Timestamp(n * 1_000_000);
        alert
    };
    let tenant = versions(1).tenant;
    let id = versions(1).id;
    let put = async |n: i64, version: u64| {
        let put = alerts::put_versioned(store, &[(versions(n), version)]).await.unwrap();
        put[0]
    };
    assert_eq!(put(1, 5).await, alerts::Put::Inserted);
    assert_eq!(put(2, 5).await, alerts::Put::Unchanged);
    assert_eq!(put(3, 4).await, alerts::Put::Unchanged);
    assert_eq!(put(4, 6).await, alerts::Put::Changed);
    let found = alerts::get(store, &tenant, &id).await.unwrap().unwrap();
    assert_eq!(found.event, versions(4).event);
    assert_eq!(found.processed_at, Timestamp(1_000_000), "when it was made first");
}

#[tokio::test]
async fn spans_change_by_compare_and_swap() {
    use storage::suppressed::{self, About, Write};
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let about = About {
        tenant: model::Tenant::default(),
        rule_id: "$rule".to_owned(),
        revision: "r".to_owned(),
        from: -7,
    };
    let later = Timestamp(Timestamp::now().0 + 3_600_000_000);
    let write = async |key: &str, expected: i64, state: &str| {
        let state = state.to_owned();
        let write = Write {
            key,
            expected,
            about: about.clone(),
            state: &state,
            expires: later,
        };
        suppressed::write(store, &[write]).await.unwrap()[0]
    };
    assert!(write("a", 0, "one").await);
    assert!(!write("a", 0, "two").await, "somebody else made it");
    assert!(write("a", 1, "three").await);
    assert!(!write("a", 1, "four").await);
    let keys = ["a", "b"].map(str::to_owned);
    let read = suppressed::read::<String>(store, &keys).await.unwrap();
    assert_eq!(
        (read["a"].version, read["a"].state.as_deref(), read.len()),
        (2, Some("three"), 1)
    );
}
