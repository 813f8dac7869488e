//! Rules and indicators change while detectors run.

use model::node::Role;
use model::{SourceId, Tenant};
use proto::detection::v1::indicator_service_client::IndicatorServiceClient;
use proto::detection::v1::{Indicator, PutIndicatorsRequest};
use proto::rules::v1::FindBlindRulesRequest;
use proto::rules::v1::rule_service_client::RuleServiceClient;
use storage::{audit, rules};

use crate::sandbox::{FAILED_LOGIN, Sandbox, event, eventually};

async fn enabled(sandbox: &Sandbox) -> Vec<String> {
    let stored = rules::enabled(&sandbox.store).await.unwrap();
    stored.into_iter().map(|rule| rule.id).collect()
}

/// Sends events until one of them triggers a rule or indicator: a change is in use then.
async fn until_alerted_by(sandbox: &Sandbox, rule_id: &str, source: SourceId, mut seq: u64) -> u64 {
    loop {
        sandbox.store_block(&[event(source, seq, "success")]).await;
        seq += 1;
        if sandbox.settle().await.iter().any(|alert| alert.rule_id == rule_id) {
            return seq;
        }
        assert!(seq < 100, "{rule_id} never in use");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_taken_over_as_their_files_change() {
    let sandbox = Sandbox::new().await;
    sandbox.write_rule("bad.yml", "title: [");
    let detector = sandbox.start("detector-1").await;
    assert_eq!(enabled(&sandbox).await, ["failed-login"]);

    let success = FAILED_LOGIN
        .replace("failed-login", "login")
        .replace("failure", "success");
    sandbox.write_rule("login.yml", &success);
    let source = SourceId::named("test", "content");
    let next = until_alerted_by(&sandbox, "login", source, 0).await;

    // A rule that is broken by an edit stays in use as it was; one whose file is gone does not.
    sandbox.write_rule("failed-login.yml", "id: failed-login\ntitle: [");
    std::fs::remove_file(sandbox.rule_path("login.yml")).unwrap();
    eventually("the rule is disabled", async || {
        enabled(&sandbox).await == ["failed-login"]
    })
    .await;
    let all = rules::list(&sandbox.store, &Tenant::default()).await.unwrap();
    assert_eq!(all.len(), 2);
    sandbox.store_block(&[event(source, next, "failure")]).await;
    let alerts = sandbox.settle().await;
    assert!(
        alerts
            .iter()
            .any(|alert| alert.rule_id == "failed-login" && alert.event_id.seq == next)
    );

    let entries = audit::list(&sandbox.store, &Tenant::default(), 10).await.unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["rules.import"; 3]);
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detectors_with_different_directories_do_not_disable_each_others_rules() {
    let sandbox = Sandbox::new().await;
    let fewer = tempfile::tempdir().unwrap();
    let other = FAILED_LOGIN.replace("failed-login", "other");
    std::fs::write(fewer.path().join("other.yml"), &other).unwrap();
    let first = sandbox.start("detector-1").await;
    let second = sandbox.start_with("detector-2", fewer.path()).await;
    let both = ["failed-login", "other"];
    eventually("both rules are in use", async || enabled(&sandbox).await == both).await;

    // As by a detector that does not know of the first one.
    let (tenant, stranger) = (Tenant::default(), "detector-3".parse().unwrap());
    assert!(
        rules::vanish(&sandbox.store, &tenant, "failed-login", &stranger, &[])
            .await
            .unwrap()
    );
    eventually("the rule is enabled again", async || enabled(&sandbox).await == both).await;

    // Gone from the one directory it was in.
    sandbox.write_rule("more.yml", &FAILED_LOGIN.replace("failed-login", "more"));
    std::fs::remove_file(sandbox.rule_path("failed-login.yml")).unwrap();
    eventually("the rule is disabled", async || {
        enabled(&sandbox).await == ["more", "other"]
    })
    .await;
    first.stop().await;
    second.stop().await;
}

fn indicator(kind: &str, value: &str) -> Indicator {
    Indicator {
        r#type: kind.to_owned(),
        value: value.to_owned(),
        source: "feed".to_owned(),
        ..Indicator::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indicators_match_soon_after_they_were_put() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    let request = PutIndicatorsRequest {
        tenant: "default".to_owned(),
        indicators: vec![
            indicator("ip", "203.0.113.7"),
            indicator("ip", "203.0.113"),
            indicator("hash", "x"),
            indicator("domain", "Evil.Example."),
        ],
        requested_by: "key:test".to_owned(),
    };
    for role in [Role::Collector, Role::Agent, Role::Detector, Role::Responder] {
        let mut stranger = IndicatorServiceClient::new(sandbox.connect(&detector, role).await);
        let status = stranger.put_indicators(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{role}");
    }
    let mut client = IndicatorServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let errors = client.put_indicators(request).await.unwrap().into_inner().errors;
    assert_eq!(errors.len(), 4);
    assert_eq!((errors[0].as_str(), errors[3].as_str()), ("", ""));
    assert!(errors[1].starts_with("value: expected"), "{}", errors[1]);
    assert!(errors[2].starts_with("type: expected"), "{}", errors[2]);

    until_alerted_by(&sandbox, "ti_ip", SourceId::named("test", "intel"), 0).await;
    let alerts = sandbox.alerts().await;
    let alert = alerts.iter().find(|alert| alert.rule_id == "ti_ip").unwrap();
    assert_eq!(alert.indicator.as_ref().unwrap().field, "source.ip");
    assert_eq!(alert.rule.title, "Threat intelligence: ip 203.0.113.7");

    let entries = audit::list(&sandbox.store, &Tenant::default(), 10).await.unwrap();
    let put = entries.iter().find(|entry| entry.action == "indicators.put").unwrap();
    assert_eq!(put.actor, "key:test");
    assert!(put.detail.contains("evil.example"), "{}", put.detail);
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rules_see_is_counted_and_blind_ones_show() {
    let sandbox = Sandbox::new().await;
    let blind = FAILED_LOGIN
        .replace("failed-login", "blind")
        .replace("product: linux", "product: windows, service: sysmon");
    let missing = FAILED_LOGIN
        .replace("failed-login", "missing")
        .replace("event.action: ssh_login, event.outcome: failure", "nobody.has: this");
    let partly = FAILED_LOGIN
        .replace("failed-login", "partly")
        .replace("event.outcome: failure", "event.outcome: failure, nobody.has: this");
    let over = "title: Over\nid: over\ncorrelation: {type: temporal, rules: [failed-login, partly], timespan: 1m, \
                group-by: [host.name]}\n";
    for (name, text) in [
        ("blind.yml", &*blind),
        ("missing.yml", &missing),
        ("partly.yml", &partly),
        ("over.yml", over),
    ] {
        sandbox.write_rule(name, text);
    }
    let detector = sandbox.start("detector-1").await;
    let source = SourceId::named("test", "usage");
    let events: Vec<_> = (0..10).map(|seq| event(source, seq, "failure")).collect();
    sandbox.store_block(&events).await;
    sandbox.settle().await;
    let tenant = Tenant::default();
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let request = FindBlindRulesRequest {
        tenant: tenant.to_string(),
        days: 1,
    };
    eventually("the counts are written", async || {
        let totals = storage::rule_stats::totals(&sandbox.store, &tenant, 1).await.unwrap();
        totals.len() == 4
    })
    .await;
    let found = client.find_blind_rules(request).await.unwrap().into_inner();
    let blind: Vec<(&str, &str)> = found.blind.iter().map(|rule| (&*rule.id, &*rule.reason)).collect();
    assert_eq!(
        blind,
        [
            ("blind", "no event of its logsource came"),
            ("missing", "no event of its logsource has nobody.has"),
            ("over", "partly is blind"),
            ("partly", "no event of its logsource has nobody.has"),
        ]
    );
    assert_eq!(found.uncounted, Vec::<String>::new());
    detector.stop().await;
    let totals = storage::rule_stats::totals(&sandbox.store, &tenant, 1).await.unwrap();
    let seen = &totals["failed-login"];
    assert_eq!((seen.events, seen.seen, seen.candidates, seen.hits), (10, 10, 10, 10));
    assert!(seen.present == seen.asked && seen.last_seen.is_some(), "{seen:?}");
    assert!(totals["blind"].last_seen.is_none(), "{:?}", totals["blind"]);
    assert!(totals["missing"].present.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_among_many_blocks_is_enough_not_to_be_blind() {
    const RULES: usize = 40;
    let sandbox = Sandbox::new().await;
    let source = SourceId::named("test", "sight");
    for number in 0..RULES {
        let rule = FAILED_LOGIN.replace("failed-login", &format!("rare-{number}")).replace(
            "event.action: ssh_login, event.outcome: failure",
            &format!("rare.field{number}: x"),
        );
        sandbox.write_rule(&format!("rare-{number}.yml"), &rule);
    }
    // All at once, so that a detector counts only few of them.
    for number in 0..RULES {
        let mut one = event(source, number as u64, "success");
        one.fields.insert(format!("rare.field{number}"), "y");
        sandbox.store_block(&[one]).await;
    }
    let detector = sandbox.start("detector-1").await;
    sandbox.settle().await;
    let tenant = Tenant::default();
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    eventually("every rule was met", async || {
        let totals = storage::rule_stats::totals(&sandbox.store, &tenant, 1).await.unwrap();
        (0..RULES).all(|number| {
            let used = totals.get(&format!("rare-{number}"));
            used.is_some_and(|used| used.present.contains(&format!("rare.field{number}")))
        })
    })
    .await;
    let request = FindBlindRulesRequest {
        tenant: tenant.to_string(),
        days: 1,
    };
    let found = client.find_blind_rules(request).await.unwrap().into_inner();
    assert_eq!(found.blind, [], "{found:?}");
    detector.stop().await;
}
