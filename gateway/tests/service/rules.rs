//! Detection content over REST and gRPC: what is wrong is told with its place, and changes are made by a detector in the
//! caller's name.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::{Stream, StreamExt as _};
use model::rule::{RuleKind, RuleOrigin, RuleProblem, StoredRule};
use model::{AccessRole, Level, Tenant, Timestamp};
use proto::query::v1::query_service_client::QueryServiceClient;
use proto::query::v1::{GetRuleCostRequest, GetRuleCoverageRequest};
use proto::rules::v1::backtest_rules_response::Body;
use proto::rules::v1::rule_service_client::RuleServiceClient;
use proto::rules::v1::rule_service_server::RuleService;
use proto::rules::v1::{
    BacktestProgress, BacktestRulesRequest, BacktestRulesResponse, BlindRule, DeleteExceptionRequest,
    DeleteExceptionResponse, DeleteRulesRequest, DeleteRulesResponse, DeleteSuppressionRequest,
    DeleteSuppressionResponse, ExplainAlertRequest, ExplainAlertResponse, ExplainRuleRequest, ExplainRuleResponse,
    FindBlindRulesRequest, FindBlindRulesResponse, ImportOutcome, ImportRulesRequest, ImportRulesResponse, Outcome,
    PutExceptionRequest, PutExceptionResponse, PutSuppressionRequest, PutSuppressionResponse, RuleChange,
    SetRulesEnabledRequest, SetRulesEnabledResponse,
};
use reqwest::{Method, Response as Answer};
use serde_json::{Value, json};
use storage::Store;
use storage::rule_stats::{self, RuleUse};
use tonic::{Request, Response, Status};

use crate::grpc::channel;
use crate::support::{self, Gateway, ok, problem};

/// A backtest from this time tells its progress once and nothing more.
const NEVER_ENDS: i64 = 2_000_000;

/// A detector's side: refuses what has `broken` in it, and notes who asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeRules {
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl FakeRules {
    fn note(&self, what: &str, requested_by: &str) {
        let mut asked = self.asked.lock().unwrap();
        asked.push((what.to_owned(), requested_by.to_owned()));
    }
}

#[tonic::async_trait]
impl RuleService for FakeRules {
    type BacktestRulesStream = Pin<Box<dyn Stream<Item = Result<BacktestRulesResponse, Status>> + Send>>;

    async fn backtest_rules(
        &self,
        request: Request<BacktestRulesRequest>,
    ) -> Result<Response<Self::BacktestRulesStream>, Status> {
        let request = request.into_inner();
        assert!((1..30).contains(&request.max_seconds), "{}", request.max_seconds);
        self.note(&format!("backtest from {}", request.from_micros), &request.requested_by);
        let progress = Body::Progress(BacktestProgress { events: 1, total: 2 });
        let answers = [progress, Body::ResultJson("{\"events\": 2}".to_owned())];
        let answers = answers.map(|body| Ok(BacktestRulesResponse { body: Some(body) }));
        if request.from_micros == NEVER_ENDS {
            let [progress, _] = answers;
            let stalls = futures_util::stream::iter([progress]).chain(futures_util::stream::pending());
            return Ok(Response::new(Box::pin(stalls)));
        }
        Ok(Response::new(Box::pin(futures_util::stream::iter(answers))))
    }

    async fn import_rules(
        &self,
        request: Request<ImportRulesRequest>,
    ) -> Result<Response<ImportRulesResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[model::node::Role::Gateway])?;
        let request = request.into_inner();
        assert_eq!(request.tenant, "default");
        self.note(if request.dry_run { "try" } else { "import" }, &request.requested_by);
        let outcomes = request.files.into_iter().map(|file| {
            let id = file
                .content
                .split("id: ")
                .nth(1)
                .and_then(|rest| rest.split_whitespace().next());
            let mut outcome = ImportOutcome {
                path: file.path,
                id: id.unwrap_or_default().to_owned(),
                kind: "rule".to_owned(),
                ..ImportOutcome::default()
            };
            if file.content.contains("broken") {
                outcome.set_outcome(Outcome::Refused);
                (outcome.line, outcome.column) = (7, 3);
                "detection.broken".clone_into(&mut outcome.field);
                "expected a map, got text".clone_into(&mut outcome.reason);
            } else {
                outcome.set_outcome(Outcome::Added);
            }
            outcome
        });
        Ok(Response::new(ImportRulesResponse {
            outcomes: outcomes.collect(),
            stored_at_micros: i64::from(!request.dry_run) * 1_000_000,
        }))
    }

    async fn set_rules_enabled(
        &self,
        request: Request<SetRulesEnabledRequest>,
    ) -> Result<Response<SetRulesEnabledResponse>, Status> {
        let request = request.into_inner();
        self.note(
            &format!("enabled={} {}", request.enabled, request.note),
            &request.requested_by,
        );
        let changes = request.ids.into_iter().map(|id| RuleChange {
            error: if id == "known" {
                String::new()
            } else {
                "no such rule".to_owned()
            },
            changed: id == "known",
            id,
        });
        Ok(Response::new(SetRulesEnabledResponse {
            changes: changes.collect(),
        }))
    }

    async fn delete_rules(
        &self,
        request: Request<DeleteRulesRequest>,
    ) -> Result<Response<DeleteRulesResponse>, Status> {
        let changes = request.into_inner().ids.into_iter().map(|id| RuleChange {
            id,
            changed: false,
            error: "it is from a detector's directory".to_owned(),
        });
        Ok(Response::new(DeleteRulesResponse {
            changes: changes.collect(),
        }))
    }

    async fn put_exception(
        &self,
        request: Request<PutExceptionRequest>,
    ) -> Result<Response<PutExceptionResponse>, Status> {
        let request = request.into_inner();
        let mut exception = request.exception.unwrap();
        if exception.reason.is_empty() {
            return Err(Status::invalid_argument("reason: expected text, got nothing"));
        }
        "e1".clone_into(&mut exception.id);
        exception.author = request.requested_by;
        Ok(Response::new(PutExceptionResponse {
            exception: Some(exception),
        }))
    }

    async fn delete_exception(
        &self,
        request: Request<DeleteExceptionRequest>,
    ) -> Result<Response<DeleteExceptionResponse>, Status> {
        let deleted = request.into_inner().id == "e1";
        Ok(Response::new(DeleteExceptionResponse { deleted }))
    }

    async fn put_suppression(
        &self,
        request: Request<PutSuppressionRequest>,
    ) -> Result<Response<PutSuppressionResponse>, Status> {
        let suppression = request.into_inner().suppression;
        Ok(Response::new(PutSuppressionResponse { suppression }))
    }

    async fn delete_suppression(
        &self,
        _request: Request<DeleteSuppressionRequest>,
    ) -> Result<Response<DeleteSuppressionResponse>, Status> {
        Ok(Response::new(DeleteSuppressionResponse { deleted: false }))
    }

    async fn explain_rule(
        &self,
        request: Request<ExplainRuleRequest>,
    ) -> Result<Response<ExplainRuleResponse>, Status> {
        let request = request.into_inner();
        let explanation_json =
            json!({ "rule": format!("{:?}", request.rule), "event": format!("{:?}", request.event) });
        Ok(Response::new(ExplainRuleResponse {
            explanation_json: explanation_json.to_string(),
        }))
    }

    async fn explain_alert(
        &self,
        request: Request<ExplainAlertRequest>,
    ) -> Result<Response<ExplainAlertResponse>, Status> {
        let request = request.into_inner();
        let explanation_json = json!({ "alert_id": request.alert_id, "tenant": request.tenant }).to_string();
        Ok(Response::new(ExplainAlertResponse { explanation_json }))
    }

    /// Blind is `cheap`, new is `new`.
    async fn find_blind_rules(
        &self,
        request: Request<FindBlindRulesRequest>,
    ) -> Result<Response<FindBlindRulesResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(request.tenant, "default");
        let blind = BlindRule {
            id: "cheap".to_owned(),
            reason: format!("nothing came for {} days", request.days),
        };
        Ok(Response::new(FindBlindRulesResponse {
            blind: vec![blind],
            uncounted: vec!["new".to_owned(), "deleted".to_owned()],
        }))
    }
}

async fn send_yaml(gateway: &Gateway, method: Method, path: &str, yaml: &str) -> Answer {
    let request = gateway.request(method, path).header("content-type", "application/yaml");
    request.body(yaml.to_owned()).send().await.unwrap()
}

async fn store_rule(store: &Store, id: &str, level: Level, error: Option<RuleProblem>) {
    let rule = StoredRule {
        id: id.to_owned(),
        tenant: Tenant::default(),
        kind: RuleKind::Rule,
        title: format!("Rule {id}"),
        yaml: format!("id: {id}\n"),
        revision: "0123456789abcdef".to_owned(),
        path: format!("own/{id}.yml"),
        origin: RuleOrigin::Api,
        level: Some(level),
        tags: vec!["attack.t1110".to_owned()],
        logsource: "linux//sshd".to_owned(),
        enabled: true,
        vanished: false,
        note: String::new(),
        updated_at: Timestamp(0),
        updated_by: "user:ana".to_owned(),
        error: None,
    };
    storage::rule_versions::record(store, std::slice::from_ref(&rule))
        .await
        .unwrap();
    storage::rules::put(store, &rule).await.unwrap();
    storage::rules::set_problems(store, &[(&rule, error)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_rule_is_told_with_line_and_column() {
    let gateway = support::start().await;
    let answer = send_yaml(&gateway, Method::POST, "/rules", "id: r1\nbroken").await;
    assert_eq!(answer.status(), 400);
    let document: Value = answer.json().await.unwrap();
    assert_eq!(
        document["detail"],
        "line 7, column 3: detection.broken: expected a map, got text"
    );
    assert_eq!(
        document["errors"],
        json!([{"line": 7, "column": 3, "field": "detection.broken", "reason": "expected a map, got text"}])
    );

    let checked = gateway
        .post("/rules/validate", json!({"yaml": "id: r1\nbroken", "path": "a.yml"}))
        .await;
    assert_eq!(checked["valid"], false);
    assert_eq!(
        (&checked["outcomes"][0]["line"], &checked["outcomes"][0]["column"]),
        (&json!(7), &json!(3))
    );

    let files = json!({"files": [{"path": "a.yml", "content": "id: a"}, {"path": "b.yml", "content": "broken"}]});
    let partly = gateway.post("/rules", files).await;
    assert_eq!((&partly["added"], &partly["refused"]), (&json!(1), &json!(1)));
    assert_eq!(partly["outcomes"][1]["path"], "b.yml");
    assert_eq!(
        *gateway.fakes.rules.asked.lock().unwrap(),
        [
            ("import".to_owned(), "key:up".to_owned()),
            ("try".to_owned(), "key:up".to_owned()),
            ("import".to_owned(), "key:up".to_owned()),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_only_put_where_it_belongs() {
    let gateway = support::start().await;
    let elsewhere = send_yaml(&gateway, Method::PUT, "/rules/r1", "id: r2\n").await;
    let detail = problem(elsewhere, 400).await;
    assert!(
        detail.contains("expected \"r1\" as in the path, got \"r2\""),
        "{detail}"
    );
    let only_tried = [("try".to_owned(), "key:up".to_owned())];
    assert_eq!(*gateway.fakes.rules.asked.lock().unwrap(), only_tried);
    let put = ok(send_yaml(&gateway, Method::PUT, "/rules/r1", "id: r1\n").await).await;
    assert_eq!(put["added"], 1);
    problem(
        send_yaml(&gateway, Method::PUT, "/rules/r1", "id: r1 broken\n").await,
        400,
    )
    .await;
    let request = gateway
        .request(Method::POST, "/rules")
        .header("content-type", "application/xml");
    problem(request.body("<rule/>").send().await.unwrap(), 415).await;
    problem(
        gateway
            .request(Method::POST, "/rules")
            .json(&json!({}))
            .send()
            .await
            .unwrap(),
        400,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_may_try_rules_and_not_store_them() {
    let gateway = support::start().await;
    let viewer = gateway.key("vera", AccessRole::Viewer).await;
    let mut client = RuleServiceClient::new(channel(&gateway).await);
    let mut import = async |dry_run: bool| {
        let mut request = Request::new(ImportRulesRequest {
            tenant: "other".to_owned(),
            requested_by: "user:admin".to_owned(),
            files: vec![proto::rules::v1::RuleFile {
                path: "a.yml".to_owned(),
                content: "id: a".to_owned(),
            }],
            dry_run,
        });
        request.metadata_mut().insert("x-api-key", viewer.parse().unwrap());
        client.import_rules(request).await
    };
    let tried = import(true).await.unwrap().into_inner();
    assert_eq!(tried.outcomes[0].outcome(), Outcome::Added);
    assert_eq!(import(false).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    // Who asks is not what the request says.
    assert_eq!(
        *gateway.fakes.rules.asked.lock().unwrap(),
        [("try".to_owned(), "key:vera".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_listed_by_what_they_are() {
    let gateway = support::start().await;
    let problem_of_b = RuleProblem {
        line: Some(3),
        field: "detection".to_owned(),
        reason: "expected a map".to_owned(),
    };
    store_rule(&gateway.store, "a", Level::Low, None).await;
    store_rule(&gateway.store, "b", Level::High, Some(problem_of_b)).await;
    store_rule(&gateway.store, "c", Level::Critical, None).await;
    for (query, expected) in [
        ("", json!(["a", "b", "c"])),
        ("?min_level=high", json!(["b", "c"])),
        ("?error=true", json!(["b"])),
        ("?error=false", json!(["a", "c"])),
        ("?tag=attack.T1110&q=rule%20c", json!(["c"])),
        ("?logsource=windows", json!([])),
        ("?kind=correlation", json!([])),
        ("?enabled=true&origin=api", json!(["a", "b", "c"])),
    ] {
        let page = gateway.get(&format!("/rules{query}")).await;
        let ids: Vec<&Value> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| &rule["id"])
            .collect();
        assert_eq!(json!(ids), expected, "{query}");
        assert!(page["next_cursor"].is_null(), "{query}");
    }
    let first = gateway.get("/rules?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = gateway.get(&format!("/rules?limit=2&cursor={cursor}")).await;
    assert_eq!(second["items"][0]["id"], "c");
    assert_eq!(second["items"][0]["yaml"], Value::Null);

    let one = gateway.get("/rules/b").await;
    assert_eq!(one["yaml"], "id: b\n");
    assert_eq!(
        one["error"],
        json!({"line": 3, "field": "detection", "reason": "expected a map"})
    );
    let versions = gateway.get("/rules/b/versions").await;
    assert_eq!(versions["items"][0]["by"], "user:ana");
    for path in ["/rules/none", "/rules/none/versions"] {
        problem(gateway.request(Method::GET, path).send().await.unwrap(), 404).await;
    }
    problem(gateway.request(Method::GET, "/rules?kind=x").send().await.unwrap(), 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_asked_for_in_the_callers_name_and_refusals_are_told() {
    let gateway = support::start().await;
    store_rule(&gateway.store, "known", Level::Low, None).await;
    let key = gateway.key("ana", AccessRole::Analyst).await;
    let post = async |path: &str, body: Value| {
        let request = gateway.anonymous(Method::POST, path).header("x-api-key", &key);
        request.json(&body).send().await.unwrap()
    };
    let switched = ok(post("/rules/known/disable", json!({"note": "noisy"})).await).await;
    assert_eq!(switched, json!({"id": "known", "enabled": false, "changed": true}));
    let asked = gateway.fakes.rules.asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked, ("enabled=false noisy".to_owned(), "key:ana".to_owned()));
    problem(post("/rules/unknown/enable", json!({})).await, 404).await;
    let kept = gateway.request(Method::DELETE, "/rules/known").send().await.unwrap();
    assert!(problem(kept, 409).await.contains("directory"));

    let exception = json!({"rule_id": "known", "selection": {"host.name": "b"}, "reason": "", "expires_at": "soon"});
    let detail = problem(post("/rules/exceptions", exception).await, 400).await;
    assert!(detail.starts_with("expires_at: "), "{detail}");
    let exception = json!({"rule_id": "known", "selection": {"host.name": "b"}, "reason": ""});
    assert!(
        problem(post("/rules/exceptions", exception).await, 400)
            .await
            .starts_with("reason: ")
    );
    let exception = json!({
        "rule_id": "known", "selection": {"host.name": "b"}, "reason": "scan", "expires_at": "2030-01-01T00:00:00Z",
    });
    let made = post("/rules/exceptions", exception).await;
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!((&made["id"], &made["author"]), (&json!("e1"), &json!("key:ana")));
    assert_eq!(made["expires_at"], "2030-01-01T00:00:00.000000Z");
    let exception = json!({"rule_id": "known", "query": "host.name:b", "reason": "scan"});
    let made: Value = post("/rules/exceptions", exception).await.json().await.unwrap();
    assert_eq!(
        (&made["query"], &made["selection"]),
        (&json!("host.name:b"), &Value::Null)
    );
    let delete = async |path: &str| gateway.request(Method::DELETE, path).send().await.unwrap();
    assert_eq!(delete("/rules/exceptions/e1").await.status(), 204);
    problem(delete("/rules/exceptions/e2").await, 404).await;
    problem(delete("/rules/suppressions/known").await, 404).await;
    let put = gateway.request(Method::PUT, "/rules/suppressions/known");
    let set = ok(put
        .json(&json!({"fields": ["host.name"], "seconds": 60}))
        .send()
        .await
        .unwrap())
    .await;
    assert_eq!((&set["rule_id"], &set["seconds"]), (&json!("known"), &json!(60)));

    let replayed = ok(post(
        "/rules/backtest",
        json!({"yaml": "id: a", "from": "1970-01-01T00:00:01Z"}),
    )
    .await)
    .await;
    assert_eq!(replayed, json!({"events": 2}));
    let asked = gateway.fakes.rules.asked.lock().unwrap().pop().unwrap();
    assert_eq!(asked, ("backtest from 1000000".to_owned(), "key:ana".to_owned()));
    let explained = ok(post("/rules/known/explain", json!({"event": {"a": 1}})).await).await;
    assert!(
        explained["event"].as_str().unwrap().contains(r#"{\"a\":1}"#),
        "{explained}"
    );
    problem(post("/rules/known/explain", json!({})).await, 400).await;
    let explained = gateway.get("/alerts/a1/explain").await;
    assert_eq!(explained, json!({"alert_id": "a1", "tenant": "default"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_that_outlasts_its_request_says_how_far_it_came() {
    let gateway = support::start_with(|config| config.http.request_timeout_secs = 2).await;
    let body = json!({"yaml": "id: a", "from": "1970-01-01T00:00:02Z"});
    let request = gateway.request(Method::POST, "/rules/backtest").json(&body);
    let partial = ok(request.send().await.unwrap()).await;
    assert_eq!(partial, json!({"complete": false, "events": 1, "events_in_all": 2}));
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_are_told_as_detectors_counted_them_and_blind_rules_as_they_say() {
    let gateway = support::start().await;
    for id in ["cheap", "dear", "new"] {
        store_rule(&gateway.store, id, Level::Low, None).await;
    }
    let used = |seen: u64, nanos: u64, over_budget: bool| RuleUse {
        events: 100,
        seen,
        candidates: seen,
        nanos,
        over_budget,
        ..RuleUse::default()
    };
    let counted = BTreeMap::from([
        ("cheap".to_owned(), used(0, 100, true)),
        ("dear".to_owned(), used(50, 900, false)),
        ("deleted".to_owned(), used(50, 900, false)),
    ]);
    let tenant = Tenant::default();
    rule_stats::add(&gateway.store, &tenant, Timestamp::now(), &counted)
        .await
        .unwrap();

    let cost = gateway.get("/rules/cost?days=2&limit=1").await;
    let ids: Vec<&Value> = cost["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["id"])
        .collect();
    assert_eq!(
        json!(ids),
        json!(["dear", "cheap"]),
        "those over budget are always told"
    );
    assert_eq!((&cost["counted"], &cost["over_budget"]), (&json!(2), &json!(1)));
    let dear = &cost["rules"][0];
    assert_eq!(
        (&dear["nanoseconds_per_event"], &dear["share"]),
        (&json!(9.0), &json!(0.9))
    );
    assert_eq!(
        (&dear["candidate_rate"], &dear["over_budget"]),
        (&json!(0.5), &json!(false))
    );

    let covered = gateway.get("/rules/coverage?days=2").await;
    assert_eq!(
        covered["blind"],
        json!([{
            "id": "cheap", "title": "Rule cheap", "kind": "rule", "logsource": "linux//sshd",
            "reason": "nothing came for 2 days",
        }])
    );
    assert_eq!(
        covered["techniques"],
        json!([{"technique": "T1110", "rules": ["cheap", "dear", "new"], "blind": ["cheap"]}])
    );
    assert_eq!(covered["uncounted"], 1);
    let mut client = QueryServiceClient::new(channel(&gateway).await);
    let key = gateway.key("vera", AccessRole::Viewer).await;
    let mut request = Request::new(GetRuleCostRequest { days: 2, limit: 1 });
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    let answer = client.get_rule_cost(request).await.unwrap().into_inner();
    assert_eq!(serde_json::from_str::<Value>(&answer.cost_json).unwrap(), cost);
    let mut request = Request::new(GetRuleCoverageRequest { days: 2 });
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    let answer = client.get_rule_coverage(request).await.unwrap().into_inner();
    assert_eq!(serde_json::from_str::<Value>(&answer.coverage_json).unwrap(), covered);
    for path in ["/rules/cost?days=0", "/rules/coverage?days=401", "/rules/cost?limit=0"] {
        problem(gateway.request(Method::GET, path).send().await.unwrap(), 400).await;
    }
}
