//! Rules and what tunes them.

use model::exception::{EVERY_RULE, Exception, Suppression};
use model::rule::{RuleKind, RuleOrigin, RuleProblem, StoredRule};
use model::{Tenant, Timestamp};
use storage::rules::{Edited, Put, RuleFilter};
use storage::{exceptions, rule_versions, rules, suppressions};

fn rule(id: &str, yaml: &str) -> StoredRule {
    StoredRule {
        id: id.to_owned(),
        tenant: Tenant::default(),
        title: "$title".to_owned(),
        yaml: yaml.to_owned(),
        revision: format!("revision of {yaml}"),
        path: "linux/a.yml".to_owned(),
        kind: RuleKind::Rule,
        origin: RuleOrigin::Dir,
        level: Some(model::Level::High),
        tags: vec!["attack.t1110".to_owned()],
        logsource: "linux//sshd".to_owned(),
        enabled: true,
        vanished: false,
        note: String::new(),
        updated_at: Timestamp(0),
        updated_by: "node:$one".to_owned(),
        error: None,
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

#[tokio::test]
async fn imported_rules_are_changed_by_their_importers_only() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = Tenant::default();
    let imported = |id: &str, yaml: &str| StoredRule {
        origin: RuleOrigin::Api,
        kind: RuleKind::Correlation,
        updated_by: "user:ann".to_owned(),
        ..rule(id, yaml)
    };
    let all = [rule("dir", "one"), imported("api", "one"), imported("dir", "two")];
    rule_versions::record(store, &all).await.unwrap();
    let put = rules::put_all(store, &all).await.unwrap();
    assert_eq!(put, [Put::Added, Put::Added, Put::Unchanged]);
    assert_eq!(rules::put(store, &rule("api", "two")).await.unwrap(), Put::Unchanged);
    let found = rules::get(store, &tenant, "api").await.unwrap().unwrap();
    assert_eq!(
        (found.kind, found.origin, found.updated_by.as_str(), found.yaml.as_str()),
        (RuleKind::Correlation, RuleOrigin::Api, "user:ann", "one")
    );

    let by = "user:bob";
    let off = async |id: &str, enabled| {
        rules::set_enabled(store, &tenant, id, enabled, by, "$why")
            .await
            .unwrap()
    };
    assert_eq!(off("api", false).await, Edited::Changed);
    assert_eq!(off("api", false).await, Edited::Unchanged);
    assert_eq!(off("none", false).await, Edited::Unknown);
    assert_eq!(rules::put(store, &imported("api", "two")).await.unwrap(), Put::Changed);
    let found = rules::get(store, &tenant, "api").await.unwrap().unwrap();
    assert!(!found.enabled, "a new text does not switch a rule on");
    assert_eq!(found.note, "$why");

    let page = |filter: RuleFilter| async move {
        let found = rules::page(store, &filter).await.unwrap();
        found.into_iter().map(|rule| rule.id).collect::<Vec<_>>()
    };
    assert_eq!(
        page(RuleFilter {
            enabled: Some(true),
            ..RuleFilter::default()
        })
        .await,
        ["dir"]
    );
    assert_eq!(
        page(RuleFilter {
            kind: Some(RuleKind::Correlation),
            ..RuleFilter::default()
        })
        .await,
        ["api"]
    );
    assert_eq!(
        page(RuleFilter {
            tag: Some("Attack.T1110".to_owned()),
            limit: 1,
            ..RuleFilter::default()
        })
        .await,
        ["api"]
    );
    assert_eq!(
        page(RuleFilter {
            after: Some("api".to_owned()),
            ..RuleFilter::default()
        })
        .await,
        ["dir"]
    );
    assert!(
        page(RuleFilter {
            logsource: Some("windows".to_owned()),
            ..RuleFilter::default()
        })
        .await
        .is_empty()
    );

    let stored = rules::get(store, &tenant, "dir").await.unwrap().unwrap();
    let problem = RuleProblem {
        line: Some(3),
        field: "detection".to_owned(),
        reason: "expected something".to_owned(),
    };
    rules::set_problems(store, &[(&stored, Some(problem.clone()))])
        .await
        .unwrap();
    let broken = rules::get(store, &tenant, "dir").await.unwrap().unwrap();
    assert_eq!((broken.error, broken.updated_at), (Some(problem), stored.updated_at));
    assert_eq!(
        page(RuleFilter {
            has_error: Some(true),
            ..RuleFilter::default()
        })
        .await,
        ["dir"]
    );

    assert_eq!(
        rules::delete(store, &tenant, "dir").await.unwrap(),
        Edited::FromDirectory
    );
    assert_eq!(rules::delete(store, &tenant, "api").await.unwrap(), Edited::Changed);
    assert_eq!(rules::delete(store, &tenant, "api").await.unwrap(), Edited::Unknown);
    let versions = rule_versions::list(store, &tenant, "api").await.unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(
        (versions[0].yaml.as_str(), versions[0].by.as_str()),
        ("one", "user:ann")
    );
    let version = rule_versions::get(store, &tenant, "api", &versions[0].revision)
        .await
        .unwrap();
    assert_eq!(version.as_ref(), versions.first());
}

#[tokio::test]
async fn exceptions_and_suppressions_come_back_as_they_were() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let tenant = Tenant::default();
    let before = rules::version(store).await.unwrap();
    let exception = Exception {
        id: "e1".to_owned(),
        tenant: tenant.clone(),
        rule_id: EVERY_RULE.to_owned(),
        selection: serde_json::from_str(r#"{"host.name": "$build", "n|gte": [1, 2]}"#).unwrap(),
        query: None,
        reason: "$why".to_owned(),
        author: "user:ann".to_owned(),
        created_at: Timestamp(5_000_000),
        expires_at: Some(Timestamp(9_000_000)),
    };
    exceptions::put(store, &exception).await.unwrap();
    let suppression = Suppression {
        tenant: tenant.clone(),
        rule_id: "a".to_owned(),
        fields: vec!["host.name".to_owned()],
        seconds: 60,
        reason: String::new(),
        author: "user:ann".to_owned(),
        created_at: Timestamp(5_000_000),
    };
    suppressions::put(store, &suppression).await.unwrap();
    assert_eq!(exceptions::all(store).await.unwrap(), std::slice::from_ref(&exception));
    assert_eq!(
        exceptions::get(store, &tenant, "e1").await.unwrap(),
        Some(exception.clone())
    );
    let by_query = Exception {
        selection: serde_json::Map::new(),
        query: Some("$a:1".to_owned()),
        ..exception
    };
    exceptions::put(store, &by_query).await.unwrap();
    assert_eq!(exceptions::get(store, &tenant, "e1").await.unwrap(), Some(by_query));
    assert!(exceptions::list(store, &tenant, Some("a")).await.unwrap().is_empty());
    assert_eq!(
        suppressions::list(store, &tenant).await.unwrap(),
        std::slice::from_ref(&suppression)
    );
    assert_eq!(suppressions::get(store, &tenant, "a").await.unwrap(), Some(suppression));
    assert!(!before.covers(&rules::version(store).await.unwrap()));
    assert!(exceptions::delete(store, &tenant, "e1").await.unwrap());
    assert!(!exceptions::delete(store, &tenant, "e1").await.unwrap());
    assert!(suppressions::delete(store, &tenant, "a").await.unwrap());
    assert!(suppressions::all(store).await.unwrap().is_empty());
}
