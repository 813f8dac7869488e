//! Rules and indicators.

use model::indicator::{Indicator, IndicatorType};
use model::rule::StoredRule;
use model::{Tenant, Timestamp};
use storage::rules::Put;
use storage::{indicators, rules};

fn rule(id: &str, yaml: &str) -> StoredRule {
    StoredRule {
        id: id.to_owned(),
        tenant: Tenant::default(),
        title: "$title".to_owned(),
        yaml: yaml.to_owned(),
        revision: format!("revision of {yaml}"),
        path: "linux/a.yml".to_owned(),
        enabled: true,
        updated_at: Timestamp(0),
    }
}

#[tokio::test]
async fn rules_change_only_when_their_text_does_and_vanish_without_being_lost() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let empty = rules::version(store).await.unwrap();
    assert_eq!(rules::put(store, &rule("a", "$one")).await.unwrap(), Put::Added);
    assert_eq!(rules::put(store, &rule("a", "$one")).await.unwrap(), Put::Unchanged);
    let one = rules::version(store).await.unwrap();
    assert!(!empty.covers(&one));
    assert!(!one.covers(&one), "a change of the same moment could follow");
    assert_eq!(rules::put(store, &rule("a", "two")).await.unwrap(), Put::Changed);
    let stored = rules::enabled(store).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].yaml.as_str(), stored[0].title.as_str()), ("two", "$title"));
    assert!(stored[0].updated_at > Timestamp(0));

    let tenant = Tenant::default();
    let [first, second]: [model::NodeId; 2] = ["detector-1", "detector-2"].map(|name| name.parse().unwrap());
    let both = [first.clone(), second.clone()];
    for node in &both {
        rules::claim(store, &tenant, node, &["a", "unknown"]).await.unwrap();
    }
    assert!(
        !rules::vanish(store, &tenant, "a", &first, &both).await.unwrap(),
        "the other has it"
    );
    assert!(rules::vanished(store, &tenant).await.unwrap().is_empty());
    assert!(rules::vanish(store, &tenant, "a", &second, &both).await.unwrap());
    assert!(!rules::vanish(store, &tenant, "a", &second, &both).await.unwrap());
    assert_eq!(rules::vanished(store, &tenant).await.unwrap(), ["a"]);
    assert!(rules::enabled(store).await.unwrap().is_empty());
    assert_eq!(rules::list(store, &tenant).await.unwrap().len(), 1);
    assert_eq!(rules::put(store, &rule("a", "two")).await.unwrap(), Put::Changed);
    assert_eq!(rules::enabled(store).await.unwrap().len(), 1);
    rules::claim(store, &tenant, &first, &["a"]).await.unwrap();
    assert!(
        rules::vanish(store, &tenant, "a", &second, std::slice::from_ref(&second))
            .await
            .unwrap(),
        "its only owner is dead"
    );
    assert!(rules::list(store, &"other".parse().unwrap()).await.unwrap().is_empty());
}

fn indicator(kind: IndicatorType, value: &str, note: &str) -> Indicator {
    Indicator {
        tenant: Tenant::default(),
        kind,
        value: value.to_owned(),
        source: "$test".to_owned(),
        note: note.to_owned(),
        created_at: Timestamp(5_000_000),
        valid_until: (note == "ends").then_some(Timestamp(9_000_000)),
    }
}

#[tokio::test]
async fn indicators_are_replaced_not_repeated() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = Tenant::default();
    let many: Vec<Indicator> = (0..2500)
        .map(|n| indicator(IndicatorType::Ip, &format!("10.0.{}.{}", n / 256, n % 256), "first"))
        .collect();
    indicators::upsert(store, &many).await.unwrap();
    indicators::upsert(store, &many[..10]).await.unwrap();
    let all = indicators::changes(store, None).await.unwrap();
    assert_eq!((all.indicators.len(), all.count), (2500, 2500));

    let changed = [
        indicator(IndicatorType::Ip, "10.0.0.1", "ends"),
        indicator(IndicatorType::Domain, "evil.example", "new"),
    ];
    indicators::upsert(store, &changed).await.unwrap();
    let more = indicators::changes(store, all.until).await.unwrap();
    assert_eq!(more.count, 2501);
    for one in &changed {
        assert!(more.indicators.contains(one), "{one:?}");
    }
    let domains = indicators::list(store, &tenant, Some(IndicatorType::Domain), 10)
        .await
        .unwrap();
    assert_eq!(domains, changed[1..]);
    let other = "other".parse().unwrap();
    assert!(indicators::list(store, &other, None, 10).await.unwrap().is_empty());
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
