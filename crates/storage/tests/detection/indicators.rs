//! Threat intelligence.

use model::indicator::{Indicator, IndicatorType, Tlp};
use model::{Tenant, Timestamp};
use storage::Store;
use storage::indicators::{self, Change, Filter, Selector};

fn indicator(kind: IndicatorType, value: &str, note: &str) -> Indicator {
    let mut indicator = Indicator::new(Tenant::default(), kind, value, "$test", Timestamp(5_000_000)).unwrap();
    indicator.note = note.to_owned();
    indicator.valid_until = (note == "ends").then_some(Timestamp(9_000_000));
    indicator
}

fn of_feed(feed: &str, value: &str) -> Indicator {
    let mut indicator = indicator(IndicatorType::Domain, value, "");
    indicator.feed = feed.to_owned();
    indicator
}

async fn listed(store: &Store, filter: Filter) -> Vec<Indicator> {
    let found = indicators::list(store, &filter, 10_000).await.unwrap();
    found.into_iter().map(|(indicator, _)| indicator).collect()
}

async fn raw(database: &testkit::TestDatabase) -> mongodb::Collection<bson::Document> {
    let client = mongodb::Client::with_uri_str(database.uri()).await.unwrap();
    client.database(database.name()).collection("indicators")
}

async fn everything(store: &Store) -> Vec<Change> {
    indicators::changes(store, None).await.unwrap().all().await.unwrap()
}

#[tokio::test]
async fn indicators_are_replaced_not_repeated() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let many: Vec<Indicator> = (0..2500)
        .map(|n| indicator(IndicatorType::Ip, &format!("10.0.{}.{}", n / 256, n % 256), "first"))
        .collect();
    indicators::upsert(store, &many).await.unwrap();
    indicators::upsert(store, &many[..10]).await.unwrap();
    let all = indicators::changes(store, None).await.unwrap();
    let (until, count) = (all.until, all.count);
    assert_eq!((all.all().await.unwrap().len(), count), (2500, 2500));

    let mut full = indicator(IndicatorType::Url, "http://evil.example/$x", "$note");
    full.confidence = 100;
    full.tags = vec!["$tag".to_owned(), "malware:x".to_owned()];
    full.tlp = Some(Tlp::AmberStrict);
    full.reference = "https://example.org/$1".to_owned();
    full.valid_from = Some(Timestamp(1_000_000));
    let changed = [
        indicator(IndicatorType::Ip, "10.0.0.1", "ends"),
        indicator(IndicatorType::Domain, "evil.example", "new"),
        full,
    ];
    indicators::upsert(store, &changed).await.unwrap();
    let more = indicators::changes(store, Some(until)).await.unwrap();
    assert_eq!(more.count, 2502);
    let more = more.all().await.unwrap();
    for one in &changed {
        assert!(more.contains(&Change::Put(one.clone())), "{one:?}");
    }
    let urls = Filter {
        kind: Some(IndicatorType::Url),
        ..Filter::default()
    };
    assert_eq!(listed(store, urls).await, changed[2..]);
    let other = Filter {
        tenant: "other".parse().unwrap(),
        ..Filter::default()
    };
    assert!(listed(store, other).await.is_empty());
}

#[tokio::test]
async fn saying_the_same_again_is_no_change() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let one = [indicator(IndicatorType::Ip, "10.0.0.1", "$x")];
    indicators::upsert(store, &one).await.unwrap();
    let updated_at = async || {
        let collection = raw(&database).await;
        let found = collection.find_one(bson::doc! {}).await.unwrap().unwrap();
        *found.get_datetime("updated_at").unwrap()
    };
    let first = updated_at().await;
    let mut later = one.clone();
    later[0].created_at = Timestamp(7_000_000);
    indicators::upsert_in_run(store, &later, Some("$run")).await.unwrap();
    assert_eq!(updated_at().await, first);
    assert_eq!(listed(store, Filter::default()).await, one, "created_at is kept");
    later[0].confidence = 1;
    loop {
        later[0].confidence = (later[0].confidence + 1) % 100;
        indicators::upsert(store, &later).await.unwrap();
        // The same millisecond may not be over.
        if updated_at().await > first {
            break;
        }
    }
}

#[tokio::test]
async fn what_one_feed_takes_back_the_others_still_say() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = &Tenant::default();
    let own = indicator(IndicatorType::Domain, "evil.example", "by hand");
    let run = |feed: &'static str, values: &[&str], run: &'static str| {
        let all: Vec<Indicator> = values.iter().map(|value| of_feed(feed, value)).collect();
        async move { indicators::upsert_in_run(store, &all, Some(run)).await.unwrap() }
    };
    indicators::upsert(store, std::slice::from_ref(&own)).await.unwrap();
    run("a", &["evil.example", "gone.example"], "1").await;
    run("b", &["evil.example"], "1").await;
    assert_eq!(everything(store).await.len(), 4);
    let since = indicators::changes(store, None).await.unwrap().until;

    run("a", &["other.example"], "2").await;
    assert_eq!(indicators::remove_unseen(store, tenant, "a", "2").await.unwrap(), 2);
    assert_eq!(indicators::remove_unseen(store, tenant, "a", "2").await.unwrap(), 0);
    let left = listed(store, Filter::default()).await;
    assert_eq!(left.len(), 3);
    assert!(left.contains(&own) && left.contains(&of_feed("b", "evil.example")));
    let changes = indicators::changes(store, Some(since))
        .await
        .unwrap()
        .all()
        .await
        .unwrap();
    assert!(changes.contains(&Change::Removed(of_feed("a", "gone.example"))));
    assert!(changes.contains(&Change::Put(of_feed("a", "other.example"))));

    run("a", &["gone.example"], "3").await;
    let again = indicators::changes(store, Some(since))
        .await
        .unwrap()
        .all()
        .await
        .unwrap();
    assert!(again.contains(&Change::Put(of_feed("a", "gone.example"))), "it is back");
}

#[tokio::test]
async fn removal_takes_what_was_selected_and_nothing_else() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = &Tenant::default();
    let mut foreign = indicator(IndicatorType::Ip, "10.0.0.1", "");
    foreign.tenant = "other".parse().unwrap();
    let mut second = indicator(IndicatorType::Ip, "10.0.0.1", "");
    second.source = "second".to_owned();
    let all = [
        indicator(IndicatorType::Ip, "10.0.0.1", ""),
        second,
        indicator(IndicatorType::Ip, "10.0.0.2", ""),
        of_feed("f", "evil.example"),
        foreign,
    ];
    indicators::upsert(store, &all).await.unwrap();
    let removed = async |selector: Selector| indicators::remove(store, tenant, &selector).await.unwrap();
    assert_eq!(removed(Selector::default()).await, 0, "no condition selects nothing");
    let one = (IndicatorType::Ip, "10.0.0.1".to_owned());
    let by_second = Selector {
        values: vec![one.clone()],
        source: Some("second".to_owned()),
        feed: None,
    };
    assert_eq!(removed(by_second).await, 1);
    let by_value = Selector {
        values: vec![one.clone(), (IndicatorType::Domain, "10.0.0.2".to_owned())],
        ..Selector::default()
    };
    assert_eq!(removed(by_value).await, 1);
    let by_feed = Selector {
        feed: Some("f".to_owned()),
        ..Selector::default()
    };
    assert_eq!(removed(by_feed).await, 1);
    assert_eq!(listed(store, Filter::default()).await, all[2..3]);
    assert!(
        indicators::lookup(store, tenant, std::slice::from_ref(&one))
            .await
            .unwrap()
            .is_empty()
    );
    let other: Tenant = "other".parse().unwrap();
    assert_eq!(indicators::lookup(store, &other, &[one]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_and_filters_narrow() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let mut all: Vec<Indicator> = (0..50)
        .map(|n| {
            let mut one = indicator(IndicatorType::Ip, &format!("10.0.0.{n}"), "");
            one.created_at = Timestamp(1_000_000 * (n / 20));
            one.tags = vec![format!("t{}", n % 2)];
            one.confidence = u8::try_from(n).unwrap();
            one
        })
        .collect();
    all.push(of_feed("f", "evil.example"));
    indicators::upsert(store, &all).await.unwrap();
    let mut filter = Filter::default();
    let mut seen = Vec::new();
    loop {
        let page = indicators::list(store, &filter, 7).await.unwrap();
        let Some((_, last)) = page.last() else { break };
        filter.after = Some(*last);
        seen.extend(page.into_iter().map(|(indicator, _)| indicator));
    }
    assert!(seen.is_sorted_by(|a, b| a.created_at >= b.created_at));
    seen.sort_by(|a, b| a.value.cmp(&b.value));
    all.sort_by(|a, b| a.value.cmp(&b.value));
    assert_eq!(seen, all);

    let count = async |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        listed(store, filter).await.len()
    };
    assert_eq!(count(|f| f.tag = Some("t1".to_owned())).await, 25);
    assert_eq!(count(|f| f.min_confidence = Some(49)).await, 2);
    assert_eq!(count(|f| f.feed = Some("f".to_owned())).await, 1);
    assert_eq!(count(|f| f.feed = Some(String::new())).await, 50);
    assert_eq!(count(|f| f.source = Some("nobody".to_owned())).await, 0);
    assert_eq!(count(|f| f.value = Some("10.0.0.9".to_owned())).await, 1);
    let groups = indicators::stats(store, &Tenant::default()).await.unwrap();
    let groups: Vec<_> = groups
        .iter()
        .map(|group| (group.kind, group.feed.as_str(), group.source.as_str(), group.count))
        .collect();
    assert_eq!(
        groups,
        [
            (IndicatorType::Ip, "", "$test", 50),
            (IndicatorType::Domain, "f", "", 1)
        ]
    );
}

#[tokio::test]
async fn two_nodes_may_add_the_same_indicators_at_once() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let many: Vec<Indicator> = (0..300)
        .map(|n| indicator(IndicatorType::Domain, &format!("d{n}.example"), "x"))
        .collect();
    let adding = [0; 4].map(|_| {
        let (store, many) = (store.clone(), many.clone());
        tokio::spawn(async move { indicators::upsert(&store, &many).await.unwrap() })
    });
    for one in adding {
        one.await.unwrap();
    }
    assert_eq!(indicators::changes(store, None).await.unwrap().count, 300);
}

#[tokio::test]
async fn records_from_before_there_were_feeds_are_kept() {
    let database = testkit::mongo().await;
    let store = database.store();
    let collection = raw(&database).await;
    let former = mongodb::IndexModel::builder()
        .keys(bson::doc! { "tenant": 1, "type": 1, "value": 1 })
        .options(mongodb::options::IndexOptions::builder().unique(true).build())
        .build();
    collection.create_index(former).await.unwrap();
    let old = bson::doc! {
        "tenant": "default", "type": "ip", "value": "10.0.0.1", "source": "$test", "note": "first", "valid_until": null,
        "created_at": bson::DateTime::from_millis(5000), "updated_at": bson::DateTime::now(),
    };
    collection.insert_one(old).await.unwrap();
    store.ensure_indexes().await.unwrap();
    let now = indicator(IndicatorType::Ip, "10.0.0.1", "first");
    assert_eq!(listed(store, Filter::default()).await, std::slice::from_ref(&now));
    let mut of_feed = now.clone();
    of_feed.feed = "f".to_owned();
    indicators::upsert(store, &[now, of_feed]).await.unwrap();
    assert_eq!(listed(store, Filter::default()).await.len(), 2);
}
