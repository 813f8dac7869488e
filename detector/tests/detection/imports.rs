//! Content that people change through `RuleService`.

use std::time::Instant;

use model::node::Role;
use model::rule::{RuleKind, RuleOrigin};
use model::{SourceId, Tenant, Timestamp};
use proto::rules::v1::explain_rule_request::{Event as AskedEvent, Rule as AskedRule};
use proto::rules::v1::rule_service_client::RuleServiceClient;
use proto::rules::v1::{
    DeleteRulesRequest, Exception, ExplainRuleRequest, ImportOutcome, ImportRulesRequest, Outcome, PutExceptionRequest,
    PutSuppressionRequest, RuleFile, SetRulesEnabledRequest, Suppression,
};
use storage::{audit, rule_versions, rules};
use tonic::transport::Channel;

use crate::sandbox::{FAILED_LOGIN, Sandbox, event, eventually};

type Client = RuleServiceClient<Channel>;

fn login(id: &str) -> String {
    FAILED_LOGIN.replace("failed-login", id).replace("failure", "success")
}

async fn import(client: &mut Client, files: &[(&str, &str)], dry_run: bool) -> Vec<ImportOutcome> {
    let files = files
        .iter()
        .map(|(path, content)| RuleFile {
            path: (*path).to_owned(),
            content: (*content).to_owned(),
        })
        .collect();
    let request = ImportRulesRequest {
        tenant: "default".to_owned(),
        requested_by: "user:ann".to_owned(),
        files,
        dry_run,
    };
    client.import_rules(request).await.unwrap().into_inner().outcomes
}

fn outcomes(outcomes: &[ImportOutcome]) -> Vec<(&str, Outcome, &str)> {
    outcomes
        .iter()
        .map(|outcome| (outcome.id.as_str(), outcome.outcome(), outcome.field.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imported_rules_are_checked_kept_and_in_use_everywhere() {
    let sandbox = Sandbox::new().await;
    let first = sandbox.start("detector-1").await;
    let second = sandbox.start("detector-2").await;
    let mut client = RuleServiceClient::new(sandbox.connect(&first, Role::Gateway).await);
    let tenant = Tenant::default();

    let files = [
        ("a.yml", login("login")),
        (
            "bad.yml",
            "title: T\nid: bad\nlogsource: {product: linux}\ndetection:\n  s: {a|nonsense: b}\n  condition: s\n"
                .to_owned(),
        ),
        ("again.yml", login("login")),
        ("theirs.yml", FAILED_LOGIN.to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let expected = [
        ("login", Outcome::Added, ""),
        ("", Outcome::Refused, "detection.s.a|nonsense"),
        ("login", Outcome::Refused, "id"),
        ("failed-login", Outcome::Refused, "id"),
    ];
    let dry = import(&mut client, &files, true).await;
    assert_eq!(outcomes(&dry), expected);
    assert_eq!(dry[1].line, 5, "{:?}", dry[1]);
    assert!(rules::get(&sandbox.store, &tenant, "login").await.unwrap().is_none());
    assert_eq!(outcomes(&import(&mut client, &files, false).await), expected);
    let imported = Instant::now();
    let again = import(&mut client, &files[..1], false).await;
    assert_eq!(outcomes(&again), [("login", Outcome::Unchanged, "")]);

    // One source in each half of the partitions, so that both detectors have to have it.
    for n in 0..8 {
        let source = SourceId::named("test", &format!("import-{n}"));
        let mut seq = 0;
        eventually("the rule is in use", async || {
            sandbox.store_block(&[event(source, seq, "success")]).await;
            seq += 1;
            let alerts = sandbox.settle().await;
            alerts
                .iter()
                .any(|alert| alert.rule_id == "login" && alert.event_id.source == source)
        })
        .await;
    }
    eprintln!("in use on all partitions after at most {:?}", imported.elapsed());

    let changed = login("login").replace("level: high", "level: low");
    assert_eq!(
        outcomes(&import(&mut client, &[("a.yml", &changed)], false).await),
        [("login", Outcome::Changed, "")]
    );
    let stored = rules::get(&sandbox.store, &tenant, "login").await.unwrap().unwrap();
    assert_eq!(
        (
            stored.kind,
            stored.origin,
            stored.updated_by.as_str(),
            stored.logsource.as_str()
        ),
        (RuleKind::Rule, RuleOrigin::Api, "user:ann", "linux//")
    );
    assert_eq!(
        rule_versions::list(&sandbox.store, &tenant, "login")
            .await
            .unwrap()
            .len(),
        2
    );

    let ids = ["login", "failed-login", "none"].map(str::to_owned).to_vec();
    let request = DeleteRulesRequest {
        tenant: "default".to_owned(),
        requested_by: "user:ann".to_owned(),
        ids,
    };
    let changes = client.delete_rules(request).await.unwrap().into_inner().changes;
    let changed: Vec<(bool, bool)> = changes.iter().map(|c| (c.changed, c.error.is_empty())).collect();
    assert_eq!(changed, [(true, true), (false, false), (false, false)]);
    let request = SetRulesEnabledRequest {
        tenant: "default".to_owned(),
        requested_by: "user:ann".to_owned(),
        ids: vec!["failed-login".to_owned()],
        enabled: false,
        note: "too loud".to_owned(),
    };
    assert!(client.set_rules_enabled(request).await.unwrap().into_inner().changes[0].changed);
    let stored = rules::get(&sandbox.store, &tenant, "failed-login")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((stored.enabled, stored.note.as_str()), (false, "too loud"));

    let entries = audit::list(&sandbox.store, &tenant, 10).await.unwrap();
    let by_ann: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.actor == "user:ann")
        .map(|entry| entry.action.as_str())
        .collect();
    assert_eq!(
        by_ann,
        ["rules.disable", "rules.delete", "rules.import", "rules.import"]
    );

    for role in [Role::Collector, Role::Agent, Role::Detector, Role::Responder] {
        let mut stranger = RuleServiceClient::new(sandbox.connect(&first, role).await);
        let status = stranger.delete_rules(DeleteRulesRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{role}");
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_never_displaces_what_can() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let broken = FAILED_LOGIN.replace("event.action: ssh_login", "event.action|expand: '%nobody%'");
    sandbox.write_rule("failed-login.yml", &broken);
    sandbox.write_rule("other.yml", &login("other"));
    let tenant = Tenant::default();
    eventually("the directory was read again", async || {
        rules::get(&sandbox.store, &tenant, "other").await.unwrap().is_some()
    })
    .await;
    let kept = rules::get(&sandbox.store, &tenant, "failed-login")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.yaml, FAILED_LOGIN);

    let filter = "title: F\nlogsource: {product: linux}\nfilter:\n  rules: [nobody]\n  s: {a: b}\n  condition: s\n";
    let answer = import(&mut client, &[("f.yml", filter)], false).await;
    assert_eq!(
        outcomes(&answer),
        [(answer[0].id.as_str(), Outcome::Refused, "filter.rules")]
    );
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_hold_until_they_expire() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let exception = |rule_id: &str, selection: &str, reason: &str| PutExceptionRequest {
        tenant: "default".to_owned(),
        requested_by: "user:ann".to_owned(),
        exception: Some(Exception {
            rule_id: rule_id.to_owned(),
            selection_json: selection.to_owned(),
            reason: reason.to_owned(),
            // The events are of 1_700_000_000 s.
            expires_at_micros: 1_700_000_100_000_000,
            ..Exception::default()
        }),
    };
    let by_query = |rule_id: &str, query: &str| {
        let mut request = exception(rule_id, "", "x");
        query.clone_into(&mut request.exception.as_mut().unwrap().query);
        request
    };
    for (bad, field) in [
        (exception("none", "{\"a\": 1}", "x"), "exception.rule_id"),
        (exception("*", "[]", "x"), "exception.selection_json"),
        (exception("*", "{\"a|no\": 1}", "x"), "exception.selection.a|no"),
        (exception("*", "{\"a\": 1}", " "), "exception.reason"),
        (
            exception("*", "", "x"),
            "exception.selection: expected at least one field, or a query",
        ),
        (by_query("*", "host.name:"), "exception.query: character 11: expected"),
        (by_query("*", "@timestamp:>now-1d"), "exception.query: expected times"),
    ] {
        let status = client.put_exception(bad).await.unwrap_err();
        assert!(status.message().starts_with(field), "{status:?}");
    }
    let request = exception("failed-login", "{\"host.name|startswith\": \"web\"}", "a test");
    let put = client
        .put_exception(request)
        .await
        .unwrap()
        .into_inner()
        .exception
        .unwrap();
    assert_eq!((put.author.as_str(), put.id.len()), ("user:ann", 36));

    let source = SourceId::named("test", "exceptions");
    let mut seq = 0;
    eventually("the exception is in use", async || {
        seq += 1;
        sandbox.store_block(&[event(source, seq, "failure")]).await;
        !sandbox.settle().await.iter().any(|alert| alert.event_id.seq == seq)
    })
    .await;
    let mut later = event(source, seq + 1, "failure");
    later.timestamp = Timestamp(1_700_000_100_000_000);
    sandbox.store_block(std::slice::from_ref(&later)).await;
    let alerts = sandbox.settle().await;
    assert!(alerts.iter().any(|alert| alert.event_id == later.id), "it expired");
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_event_is_explained_by_a_stored_rule() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let source = SourceId::named("test", "explain");
    let events: Vec<_> = (100..150).map(|seq| event(source, seq, "failure")).collect();
    sandbox.store_block(&events).await;
    let request = |event| ExplainRuleRequest {
        tenant: "default".to_owned(),
        rule: Some(AskedRule::RuleId("failed-login".to_owned())),
        event: Some(event),
    };
    let stored = request(AskedEvent::EventId(events[33].id.to_string()));
    let answer = client.explain_rule(stored).await.unwrap().into_inner();
    let explanation: serde_json::Value = serde_json::from_str(&answer.explanation_json).unwrap();
    assert_eq!(explanation["matched"], true, "{explanation:#}");
    let filter = "title: Tests\nid: tests\nlogsource: {product: linux}\nfilter:\n  rules: any\n  selection: \
                  {event.action|exists: true}\n  condition: selection\n";
    assert_eq!(
        import(&mut client, &[("f.yml", filter)], false).await[0].outcome(),
        Outcome::Added
    );
    let stored = request(AskedEvent::EventId(events[33].id.to_string()));
    let answer = client.explain_rule(stored).await.unwrap().into_inner();
    let explanation: serde_json::Value = serde_json::from_str(&answer.explanation_json).unwrap();
    assert_eq!(
        (&explanation["detected"], &explanation["matched"]),
        (&true.into(), &false.into())
    );
    assert_eq!(explanation["filters"][0]["id"], "tests", "{explanation:#}");
    let given = request(AskedEvent::EventJson("{\"event\": {\"action\": \"other\"}}".to_owned()));
    let answer = client.explain_rule(given).await.unwrap().into_inner();
    let explanation: serde_json::Value = serde_json::from_str(&answer.explanation_json).unwrap();
    assert_eq!(explanation["matched"], false, "{explanation:#}");
    let missing = AskedEvent::EventId(event(source, 150, "failure").id.to_string());
    let status = client.explain_rule(request(missing)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppressions_are_checked() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    let mut client = RuleServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let suppression = |rule_id: &str, fields: &[&str], seconds: u32| PutSuppressionRequest {
        tenant: "default".to_owned(),
        requested_by: String::new(),
        suppression: Some(Suppression {
            rule_id: rule_id.to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            duration_seconds: seconds,
            ..Suppression::default()
        }),
    };
    for (bad, field) in [
        (suppression("none", &[], 60), "suppression.rule_id"),
        (suppression("failed-login", &["a", "a"], 60), "suppression.fields"),
        (suppression("failed-login", &[], 0), "suppression.duration_seconds"),
    ] {
        let status = client.put_suppression(bad).await.unwrap_err();
        assert!(status.message().starts_with(field), "{status:?}");
    }
    detector.stop().await;
}
