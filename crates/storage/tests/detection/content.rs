//! Rules.

use model::rule::StoredRule;
use model::{Tenant, Timestamp};
use storage::rules;
use storage::rules::Put;

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
