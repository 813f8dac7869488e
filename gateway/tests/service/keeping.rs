//! Holds and days of retention over REST.

use model::{AccessRole, SourceId};
use reqwest::Method;
use serde_json::json;
use storage::duties::{self, Duty};

use crate::support::{self, ok, problem};

#[tokio::test(flavor = "multi_thread")]
async fn holds_are_placed_listed_and_released_in_the_callers_name() {
    let gateway = support::start().await;
    let source = SourceId::named("test", "held").to_string();
    let body = json!({
        "reason": "case 7", "incident": "INC-7", "sources": [source], "from": "2026-03-01T00:00:00Z",
    });
    let placed = gateway.post("/holds", body.clone()).await;
    assert_eq!((&placed["reason"], &placed["blocks"]), (&json!("case 7"), &json!(0)));
    let id = placed["id"].as_str().unwrap().to_owned();
    let widened = gateway.post("/holds", body).await;
    assert_eq!(widened["id"], json!(id), "one hold for one incident");
    assert_eq!(gateway.get("/holds").await["items"][0]["id"], json!(id));
    assert_eq!(gateway.get("/holds?incident=INC-8").await["items"], json!([]));

    // Retention is at work: nothing is changed.
    let duty = duties::take(&gateway.store, Duty::Retention, "collector-1")
        .await
        .unwrap()
        .unwrap();
    let release = || gateway.request(Method::DELETE, &format!("/holds/{id}")).send();
    let detail = problem(release().await.unwrap(), 503).await;
    assert!(detail.contains("retention"), "{detail}");
    duty.release().await.unwrap();

    let released = ok(release().await.unwrap()).await;
    assert!(released["released_by"].is_string(), "{released}");
    problem(release().await.unwrap(), 404).await;
    assert_eq!(gateway.get("/holds").await["items"], json!([]));
    assert_eq!(gateway.get("/holds?released=true").await["items"][0]["id"], json!(id));
    let audit = gateway.get("/audit").await.to_string();
    assert!(audit.contains("hold.add") && audit.contains("hold.release"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_cannot_be_is_refused_by_its_field() {
    let gateway = support::start().await;
    for (body, expected) in [
        (json!({ "reason": "x" }), "scope"),
        (
            json!({ "reason": "", "blocks": ["20260304/0123456789abcdef01234567"] }),
            "reason",
        ),
        (json!({ "reason": "x", "blocks": ["yesterday"] }), "block"),
        (json!({ "reason": "x", "events": ["7"] }), "event id"),
        (json!({ "reason": "x", "sources": [], "from": "noon" }), "from"),
        (json!({ "reason": "x", "block": [] }), "block"),
    ] {
        let refused = gateway
            .request(Method::POST, "/holds")
            .json(&body)
            .send()
            .await
            .unwrap();
        let detail = problem(refused, 400).await;
        assert!(detail.contains(expected), "{body}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_set_by_admins_and_hold_instead_of_the_configuration() {
    let gateway = support::start().await;
    let before = gateway.get("/retention").await;
    assert_eq!(before, json!({ "classes": {} }), "not known before the first pass");
    let put = |body| gateway.request(Method::PUT, "/retention").json(&body).send();
    let wrong = problem(put(json!({ "days": 0 })).await.unwrap(), 400).await;
    assert!(wrong.contains("days"), "{wrong}");
    let wrong = problem(put(json!({ "days": 9, "classes": { "Web": 3 } })).await.unwrap(), 400).await;
    assert!(wrong.contains("classes.Web"), "{wrong}");
    let set = ok(put(json!({ "days": 30, "classes": { "web": 7 } })).await.unwrap()).await;
    assert_eq!((&set["days"], &set["classes"]), (&json!(30), &json!({ "web": 7 })));
    assert!(set["set_by"].is_string() && set["set_at"].is_string(), "{set}");
    let policy = storage::keeping::in_force(&gateway.store, &model::retention::Policy::default())
        .await
        .unwrap();
    assert_eq!(policy.of(&model::Tenant::default()).days_of("web"), 7);

    let viewer = gateway.key("viewer", AccessRole::Viewer).await;
    let read = gateway
        .anonymous(Method::GET, "/retention")
        .header("x-api-key", &viewer);
    assert_eq!(ok(read.send().await.unwrap()).await["days"], json!(30));
    let delete = || gateway.request(Method::DELETE, "/retention").send();
    assert_eq!(delete().await.unwrap().status(), 204);
    problem(delete().await.unwrap(), 404).await;
    assert_eq!(gateway.get("/retention").await, json!({ "classes": {} }));
}
