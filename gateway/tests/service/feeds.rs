//! Feeds of threat intelligence over REST: read from the database, changed by a detector in the caller's name.

use model::Tenant;
use model::feed::FeedSpec;
use proto::intel::v1::feed_service_server::FeedService;
use proto::intel::v1::{
    DeleteFeedRequest, DeleteFeedResponse, PutFeedOutcome, PutFeedRequest, PutFeedResponse, RunFeedRequest,
    RunFeedResponse,
};
use reqwest::Method;
use serde_json::json;
use storage::Store;
use storage::feeds::{self, Put};
use tonic::{Request, Response, Status};

use crate::support::{self, ok, problem};

/// A detector's side: stores feeds and runs nothing.
#[derive(Clone)]
pub(crate) struct FakeFeeds {
    pub(crate) store: Store,
}

#[tonic::async_trait]
impl FeedService for FakeFeeds {
    async fn put_feed(&self, request: Request<PutFeedRequest>) -> Result<Response<PutFeedResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[model::node::Role::Gateway])?;
        let request = request.into_inner();
        let spec: FeedSpec = serde_json::from_str(&request.spec_json).unwrap();
        let tenant: Tenant = request.tenant.parse().unwrap();
        let put = feeds::put(&self.store, &tenant, &spec, &request.requested_by).await;
        let outcome = match put.unwrap() {
            Put::Added => PutFeedOutcome::Added,
            Put::Changed => PutFeedOutcome::Changed,
            Put::Unchanged => PutFeedOutcome::Unchanged,
        };
        Ok(Response::new(PutFeedResponse {
            outcome: outcome.into(),
        }))
    }

    async fn delete_feed(&self, request: Request<DeleteFeedRequest>) -> Result<Response<DeleteFeedResponse>, Status> {
        let request = request.into_inner();
        let tenant: Tenant = request.tenant.parse().unwrap();
        if !feeds::delete(&self.store, &tenant, &request.name).await.unwrap() {
            return Err(Status::not_found("no such feed"));
        }
        let indicators_removed = if request.keep_indicators { 0 } else { 7 };
        Ok(Response::new(DeleteFeedResponse { indicators_removed }))
    }

    async fn run_feed(&self, request: Request<RunFeedRequest>) -> Result<Response<RunFeedResponse>, Status> {
        let request = request.into_inner();
        let tenant: Tenant = request.tenant.parse().unwrap();
        if feeds::ask_for_run(&self.store, &tenant, &request.name).await.unwrap() {
            Ok(Response::new(RunFeedResponse {}))
        } else {
            Err(Status::not_found("no such feed"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_are_set_up_shown_run_and_removed() {
    let gateway = support::start().await;
    let put = async |name: &str, body: serde_json::Value| {
        let request = gateway.request(Method::PUT, &format!("/ti/feeds/{name}"));
        request.json(&body).send().await.unwrap()
    };
    let feed = json!({ "kind": "list", "url": "https://feeds.example.org/list.txt", "options": { "ttl_days": 30 } });
    assert_eq!(ok(put("mine", feed.clone()).await).await["outcome"], "added");
    assert_eq!(ok(put("mine", feed).await).await["outcome"], "unchanged");

    let shown = gateway.get("/ti/feeds/mine").await;
    assert_eq!(
        (&shown["interval_secs"], &shown["status"]["state"]),
        (&json!(3600), &json!("new"))
    );
    assert!(shown["updated_by"].as_str().is_some_and(|by| !by.is_empty()), "{shown}");
    assert_eq!(gateway.get("/ti/feeds").await["items"].as_array().unwrap().len(), 1);
    gateway.post("/ti/feeds/mine/run", json!({})).await;

    for (body, field) in [
        (json!({ "kind": "list" }), "url"),
        (json!({ "kind": "rss", "url": "https://x.example/" }), "kind"),
        (
            json!({ "name": "other", "kind": "list", "url": "https://x.example/" }),
            "name",
        ),
        (
            json!({ "kind": "list", "url": "https://x.example/", "interval_secs": 1 }),
            "interval_secs",
        ),
        (
            json!({ "kind": "list", "url": "https://x.example/", "password": "x" }),
            "password",
        ),
    ] {
        let detail = problem(put("mine", body).await, 400).await;
        assert!(detail.contains(field) || field == "kind", "{field}: {detail}");
    }
    let missing = gateway.request(Method::GET, "/ti/feeds/none").send().await.unwrap();
    assert!(problem(missing, 404).await.contains("none"));

    let removed = gateway.request(Method::DELETE, "/ti/feeds/mine").send().await.unwrap();
    assert_eq!(ok(removed).await["indicators_removed"], 7);
    let again = gateway.request(Method::DELETE, "/ti/feeds/mine").send().await.unwrap();
    problem(again, 404).await;
}
