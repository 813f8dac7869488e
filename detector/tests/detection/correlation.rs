//! Correlations and suppressions over several detectors.

use std::collections::{BTreeMap, BTreeSet};

use model::alert::Alert;
use model::node::Role;
use model::{Event, SourceId, Timestamp};
use proto::rules::v1::explain_rule_request::{Event as AskedEvent, Rule as AskedRule};
use proto::rules::v1::rule_service_client::RuleServiceClient;
use proto::rules::v1::{ExplainAlertRequest, ExplainRuleRequest, PutSuppressionRequest, Suppression};
use serde_json::Value;

use crate::sandbox::{Sandbox, event, eventually};

/// Start of a window of any of the timespans used here.
const START: i64 = 1_700_006_400_000_000;
const SECOND: i64 = 1_000_000;

const BRUTE_FORCE: &str = "title: Many failed logins\nid: brute-force\nlevel: critical\ncorrelation:\n  type: event_count\n  \
    rules: [failed-login]\n  group-by: [source.ip]\n  timespan: 5m\n  condition: {gte: 5}\n";
const LOGIN: &str = "id: login\ntitle: Login\nlevel: low\nlogsource: {product: linux}\ndetection:\n  \
    s: {event.action: ssh_login, event.outcome: success}\n  condition: s\n";
const THEN_LOGIN: &str = "title: Login after many failures\nid: then-login\nlevel: critical\ncorrelation:\n  \
    type: temporal_ordered\n  rules: [brute-force, login]\n  group-by: [source.ip]\n  timespan: 10m\n  generate: true\n";
const FEW: &str = "title: Few failures\nid: few\nlevel: low\ncorrelation:\n  type: event_count\n  rules: [failed-login]\n  \
    group-by: [source.ip]\n  timespan: 5m\n  condition: {lt: 3}\n  generate: true\n";

fn at(source: SourceId, seq: u64, ip: &str, second: i64, outcome: &'static str) -> Event {
    let mut event = event(source, seq, outcome);
    event.timestamp = Timestamp(START + second * SECOND);
    event.fields.remove("source.ip");
    event.fields.insert("source.ip", ip.to_owned());
    event.fields.remove("host.name");
    event
        .fields
        .insert("host.name", format!("host-{}", &source.to_string()[..4]));
    event
}

/// Attempts from three addresses, spread over eight hosts: the first has five within five minutes, the second five that
/// are too far apart, the third seven in two windows and a login at the end.
fn events() -> Vec<Event> {
    let sources: Vec<SourceId> = (0..8).map(|n| SourceId::named("test", &format!("host-{n}"))).collect();
    let mut seqs: BTreeMap<SourceId, u64> = BTreeMap::new();
    let mut events = Vec::new();
    let attempts = [
        ("203.0.113.1", vec![10, 20, 30, 40, 299]),
        ("203.0.113.2", vec![0, 100, 200, 290, 301]),
        ("203.0.113.3", vec![250, 260, 270, 280, 310, 320, 330]),
    ];
    for (ip, seconds) in attempts {
        for (n, second) in seconds.into_iter().enumerate() {
            let source = sources[n % sources.len()];
            let seq = seqs.entry(source).or_default();
            events.push(at(source, *seq, ip, second, "failure"));
            *seq += 1;
        }
    }
    let seq = seqs.entry(sources[7]).or_default();
    events.push(at(sources[7], *seq, "203.0.113.3", 400, "success"));
    events
}

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().await;
    sandbox.write_rule("brute-force.yml", BRUTE_FORCE);
    sandbox.write_rule("login.yml", LOGIN);
    sandbox.write_rule("then-login.yml", THEN_LOGIN);
    sandbox
}

fn of<'a>(alerts: &'a [Alert], rule: &str) -> Vec<&'a Alert> {
    alerts.iter().filter(|alert| alert.rule_id == rule).collect()
}

fn ids(alerts: &[Alert]) -> BTreeSet<String> {
    alerts.iter().map(|alert| alert.id.to_string()).collect()
}

/// A permutation that depends on the seed alone.
fn shuffled(mut events: Vec<Event>, seed: u64) -> Vec<Event> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for last in (1..events.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        events.swap(last, usize::try_from((state >> 33) % (last as u64 + 1)).unwrap());
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_on_any_detector_gives_the_same_correlation_alerts() {
    let mut seen: Option<BTreeSet<String>> = None;
    for seed in 0..3 {
        let sandbox = sandbox().await;
        let first = sandbox.start("detector-1").await;
        let second = sandbox.start("detector-2").await;
        // One event a block: all of them race for the same windows.
        for event in shuffled(events(), seed) {
            sandbox.store_block(&[event]).await;
        }
        let alerts = sandbox.settle().await;
        let brute_force = of(&alerts, "brute-force");
        let ips: BTreeSet<&str> = brute_force
            .iter()
            .filter_map(|alert| alert.correlation.as_ref()?.group["source.ip"].as_str())
            .collect();
        assert_eq!(ips, BTreeSet::from(["203.0.113.1", "203.0.113.3"]), "seed {seed}");
        assert_eq!(brute_force.len(), 2);
        let alert = brute_force
            .iter()
            .find(|alert| alert.event["source"]["ip"] == "203.0.113.1")
            .unwrap();
        let correlation = alert.correlation.as_ref().unwrap();
        assert_eq!((correlation.kind.as_str(), correlation.count), ("event_count", 5));
        assert_eq!(correlation.rules, ["failed-login"]);
        assert_eq!(
            alert.timestamp,
            Timestamp(START + 299 * SECOND),
            "the event that completes it"
        );
        assert_eq!(
            (correlation.first_event, correlation.last_event),
            (Timestamp(START + 10 * SECOND), alert.timestamp)
        );
        assert_eq!(correlation.event_ids.len(), 5);
        assert!(!correlation.hosts.is_empty() && !correlation.overflowed && !correlation.retracted);
        let then = of(&alerts, "then-login");
        assert_eq!(then.len(), 1, "seed {seed}");
        assert_eq!(then[0].event["source"]["ip"], "203.0.113.3");
        assert!(of(&alerts, "failed-login").is_empty(), "kept silent by the correlation");
        assert_eq!(of(&alerts, "login").len(), 1);
        let all = ids(&alerts);
        assert_eq!(seen.get_or_insert_with(|| all.clone()), &all, "seed {seed}");
        first.stop().await;
        second.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_come_again_change_nothing() {
    let sandbox = sandbox().await;
    let detector = sandbox.start("detector-1").await;
    for event in events() {
        sandbox.store_block(&[event]).await;
    }
    let before = sandbox.settle().await;
    sandbox.reopen().await;
    let after = sandbox.settle().await;
    assert_eq!(before, after);
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_more_events_can_falsify_is_judged_when_the_window_is_over_and_taken_back() {
    let sandbox = Sandbox::new().await;
    sandbox.write_rule("few.yml", FEW);
    let detector = sandbox.start("detector-1").await;
    let source = SourceId::named("test", "few");
    sandbox
        .store_block(&[at(source, 0, "203.0.113.9", 10, "failure")])
        .await;
    eventually("the window was judged", async || {
        of(&sandbox.alerts().await, "few").len() == 1
    })
    .await;
    let late: Vec<Event> = (1..4).map(|n| at(source, n, "203.0.113.9", 20, "failure")).collect();
    sandbox.store_block(&late).await;
    eventually("the alert is taken back", async || {
        let alerts = sandbox.alerts().await;
        let few = of(&alerts, "few");
        few.len() == 1 && few[0].correlation.as_ref().unwrap().retracted
    })
    .await;
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_explained_by_the_events_that_made_it() {
    let sandbox = sandbox().await;
    let detector = sandbox.start("detector-1").await;
    for event in events() {
        sandbox.store_block(&[event]).await;
    }
    let alerts = sandbox.settle().await;
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let mut explain = async |alert: &Alert| -> Value {
        let request = ExplainAlertRequest {
            tenant: "default".to_owned(),
            alert_id: alert.id.to_string(),
        };
        let answer = client.explain_alert(request).await.unwrap().into_inner();
        serde_json::from_str(&answer.explanation_json).unwrap()
    };
    let brute_force = of(&alerts, "brute-force");
    let found = explain(
        brute_force
            .iter()
            .find(|alert| alert.event["source"]["ip"] == "203.0.113.1")
            .unwrap(),
    )
    .await;
    assert_eq!(found["condition"], "event_count gte 5", "{found}");
    assert_eq!(found["threshold"]["gte"], 5.0);
    assert_eq!(found["correlation"]["count"], 5);
    assert_eq!(found["correlation"]["overflowed"], false);
    assert_eq!(found["correlation"]["group"]["source.ip"], "203.0.113.1");
    assert_eq!(found["not_listed"], 0);
    let contributing = found["events"].as_array().unwrap();
    assert_eq!(contributing.len(), 5);
    for event in contributing {
        assert_eq!(
            (&event["stored"], &event["rules"][0]["id"]),
            (&true.into(), &"failed-login".into()),
            "{event}"
        );
    }
    // A step of the outer one is the inner one's alert.
    let found = explain(of(&alerts, "then-login")[0]).await;
    assert_eq!(found["condition"], "temporal_ordered gte 2", "{found}");
    let steps: Vec<(&Value, &Value)> = found["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (&step["kind"], &step["rules"][0]["id"]))
        .collect();
    assert_eq!(
        steps,
        [
            (&"alert".into(), &"brute-force".into()),
            (&"event".into(), &"login".into())
        ]
    );
    // An alert of a rule is explained by its event.
    let found = explain(of(&alerts, "login")[0]).await;
    assert_eq!(
        (&found["matched"], &found["rule"]["id"]),
        (&true.into(), &"login".into())
    );

    let request = ExplainRuleRequest {
        tenant: "default".to_owned(),
        rule: Some(AskedRule::RuleId("brute-force".to_owned())),
        event: Some(AskedEvent::EventId(contributing[0]["id"].as_str().unwrap().to_owned())),
    };
    let answer = client.explain_rule(request).await.unwrap().into_inner();
    let found: Value = serde_json::from_str(&answer.explanation_json).unwrap();
    assert_eq!(found["contributes"], true, "{found}");
    assert_eq!(found["contributions"][0]["group"]["source.ip"], "203.0.113.1");
    assert_eq!(
        (&found["rules"][0]["matched"], &found["timespan"]),
        (&true.into(), &300.into())
    );
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressed_alerts_are_counted_once_on_the_earliest() {
    let sandbox = Sandbox::new().await;
    let first = sandbox.start("detector-1").await;
    let second = sandbox.start("detector-2").await;
    let mut client = RuleServiceClient::new(sandbox.connect(&first, Role::Gateway).await);
    let request = PutSuppressionRequest {
        tenant: "default".to_owned(),
        requested_by: "user:ann".to_owned(),
        suppression: Some(Suppression {
            rule_id: "failed-login".to_owned(),
            fields: vec!["source.ip".to_owned()],
            duration_seconds: 600,
            ..Suppression::default()
        }),
    };
    client.put_suppression(request).await.unwrap();
    for n in 0..8 {
        let source = SourceId::named("test", &format!("warm-{n}"));
        let mut seq = 0;
        eventually("the suppression is in use", async || {
            sandbox
                .store_block(&[at(source, seq, &format!("192.0.2.{n}"), 5_000, "failure")])
                .await;
            seq += 1;
            let alerts = sandbox.settle().await;
            alerts
                .iter()
                .any(|alert| alert.suppression.is_some() && alert.event["source"]["ip"] == format!("192.0.2.{n}"))
        })
        .await;
    }
    let sources: Vec<SourceId> = (0..4).map(|n| SourceId::named("test", &format!("fold-{n}"))).collect();
    let mut events = Vec::new();
    for (n, source) in sources.iter().enumerate() {
        for seq in 0..5 {
            let second = 100 - i64::try_from(n * 5).unwrap() - i64::try_from(seq).unwrap();
            events.push(at(*source, seq, "198.51.100.1", second, "failure"));
        }
        events.push(at(*source, 5, "198.51.100.2", 100, "failure"));
        events.push(at(*source, 6, "198.51.100.1", 700, "failure"));
    }
    for event in shuffled(events.clone(), 7) {
        sandbox.store_block(std::slice::from_ref(&event)).await;
    }
    let counts = async || {
        let mut counts = BTreeMap::new();
        for alert in sandbox.settle().await {
            let ip = alert.event["source"]["ip"].as_str().unwrap().to_owned();
            if let Some(suppression) = alert.suppression.filter(|_| ip.starts_with("198.51.100.")) {
                let second = (alert.timestamp.0 - START) / SECOND;
                let old = counts.insert(
                    (ip, suppression.from),
                    (suppression.suppressed_count, second, suppression.at_least),
                );
                assert!(old.is_none(), "two alerts where one should be");
            }
        }
        counts
    };
    let expected: BTreeMap<(String, Timestamp), (u64, i64, bool)> = [
        (("198.51.100.1".to_owned(), Timestamp(START)), (19, 81, false)),
        (("198.51.100.2".to_owned(), Timestamp(START)), (3, 100, false)),
        (
            ("198.51.100.1".to_owned(), Timestamp(START + 600 * SECOND)),
            (3, 700, false),
        ),
    ]
    .into();
    assert_eq!(counts().await, expected);

    // Everything once more counts nothing.
    sandbox.reopen().await;
    assert_eq!(counts().await, expected);
    first.stop().await;
    second.stop().await;
}
