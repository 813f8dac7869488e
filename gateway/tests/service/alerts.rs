//! Alerts, sums and indicators over REST.

use model::Level;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{self, alert, problem, store_alerts};

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_listed_filtered_paged_and_shown() {
    let gateway = support::start().await;
    let made: Vec<_> = (0..10)
        .map(|n| alert(n, if n % 2 == 0 { Level::Low } else { Level::High }))
        .collect();
    store_alerts(&gateway.store, &made).await;

    let all = gateway.get("/alerts?count=exact").await;
    assert_eq!(all["total"], 10);
    assert_eq!(ids(&all)[0], made[9].id.to_string(), "newest first");
    assert_eq!(all["items"][0]["event"]["message"], "Failed password");
    for (query, expected) in [
        ("level=high", 5),
        ("min_level=low", 10),
        ("ip=10.0.0.5", 10),
        ("ip=10.0.0.6", 0),
        ("rule_id=rule-1", 10),
        ("rule_id=rule-2", 0),
        ("agent_id=11111111-2222-3333-4444-555555555555", 10),
        ("agent_id=web-1", 10),
        ("agent_id=web-2", 0),
        ("from=2000-01-01T00:00:00Z", 10),
        ("to=2000-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(
            ids(&gateway.get(&format!("/alerts?{query}")).await).len(),
            expected,
            "{query}"
        );
    }

    let mut paged = Vec::new();
    let mut path = "/alerts?limit=3".to_owned();
    loop {
        let page = gateway.get(&path).await;
        paged.extend(ids(&page));
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/alerts?limit=3&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, ids(&all));

    let one = gateway.get(&format!("/alerts/{}", made[3].id)).await;
    assert_eq!(one["level"], "high");
    let none = gateway
        .request(Method::GET, &format!("/alerts/{}", "0".repeat(32)))
        .send()
        .await
        .unwrap();
    problem(none, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_add_up() {
    let gateway = support::start().await;
    store_alerts(
        &gateway.store,
        &[alert(1, Level::High), alert(2, Level::High), alert(3, Level::Low)],
    )
    .await;
    gateway
        .post("/ingest", json!([{ "message": "a" }, { "message": "b" }]))
        .await;
    let stats = gateway.get("/stats?hours=24").await;
    assert_eq!(stats["events"], 2);
    assert_eq!(stats["alerts"]["total"], 3);
    assert_eq!(
        stats["alerts"]["by_level"],
        json!({ "critical": 0, "high": 2, "informational": 0, "low": 1, "medium": 0 })
    );
    assert_eq!(
        stats["alerts"]["by_rule"],
        json!([{ "rule_id": "rule-1", "title": "Failed logins", "count": 3 }])
    );
    assert_eq!(
        stats["alerts"]["top_source_ips"],
        json!([{ "ip": "10.0.0.5", "count": 3 }])
    );
    assert_eq!(stats["pending_blocks"], 1);
    assert!(stats["events_per_second"].as_f64().unwrap() > 0.0);
    let metrics = gateway.get("/metrics").await;
    assert_eq!(metrics["alerts"], stats["alerts"]);

    let status = gateway.get("/status").await;
    assert_eq!(
        (&status["events_total"], &status["alerts_total"]),
        (&json!(2), &json!(3))
    );
    let nodes = gateway.get("/nodes").await;
    let names: Vec<&str> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["collector-1", "collector-2", "detector-1", "gateway-1"]);
    assert!(
        nodes["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["alive"] == true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn indicators_are_added_and_listed() {
    let gateway = support::start().await;
    let one = json!({ "type": "ip", "value": "10.0.0.5", "source": "demo", "note": "test indicator" });
    let answer = gateway.post("/ti/iocs", one).await;
    assert_eq!(answer, json!({ "stored": 1, "errors": [] }));
    let answer = gateway
        .post(
            "/ti/iocs",
            json!([{ "type": "domain", "value": "Evil.Example." }, { "type": "ip", "value": "10.0.0" }]),
        )
        .await;
    assert_eq!(answer["stored"], 1);
    assert_eq!(answer["errors"][0]["index"], 1);
    let error = answer["errors"][0]["error"].as_str().unwrap();
    assert!(error.starts_with("value: expected"), "{error}");
    let listed = gateway.get("/ti/iocs?limit=50").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let domains = gateway.get("/ti/iocs?type=domain").await;
    assert_eq!(domains["items"][0]["value"], "evil.example");

    let more = json!([
        { "type": "url", "value": "hxxp://Evil[.]example/a", "source": "demo", "tags": ["phish"], "tlp": "TLP:AMBER", "confidence": 90 },
        { "type": "ip", "value": "198.51.100.77/24", "source": "demo" },
    ]);
    assert_eq!(gateway.post("/ti/iocs", more).await["stored"], 2);
    let count = async |query: &str| {
        let page = gateway.get(&format!("/ti/iocs?{query}")).await;
        page["items"].as_array().unwrap().len()
    };
    for (query, expected) in [
        ("tag=phish", 1),
        ("min_confidence=90", 1),
        ("source=demo", 3),
        ("value=http://evil.example/a", 1),
        ("type=ip&value=198.51.100.0/24", 1),
        ("feed=none", 0),
    ] {
        assert_eq!(count(query).await, expected, "{query}");
    }
    let first = gateway.get("/ti/iocs?limit=3").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = gateway.get(&format!("/ti/iocs?limit=3&cursor={cursor}")).await;
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert!(second["next_cursor"].is_null());
    let found = gateway.get("/ti/iocs/lookup?value=198.51.100.9").await;
    assert_eq!(found["items"][0]["value"], "198.51.100.0/24");
    let stats = gateway.get("/ti/iocs/stats").await;
    assert_eq!(stats["total"], 4);
    let gone = gateway
        .request(Method::DELETE, "/ti/iocs?value=198.51.100.0/24")
        .send()
        .await
        .unwrap();
    assert_eq!(gone.json::<Value>().await.unwrap(), json!({ "deleted": 1 }));
    for (query, start) in [
        ("", "value: "),
        ("type=ip", "value: "),
        ("value=x", "value: "),
        ("other=1", "\"other\""),
    ] {
        let path = format!("/ti/iocs?{query}");
        let response = gateway.request(Method::DELETE, &path).send().await.unwrap();
        let detail = problem(response, 400).await;
        assert!(detail.starts_with(start), "{query}: {detail}");
    }

    for (body, start) in [
        (json!({ "type": "uri", "value": "x" }), "type: "),
        (json!([]), "body: "),
        (json!({ "type": "ip" }), "body: missing field `value`"),
        (
            json!({ "type": "ip", "value": "1.1.1.1", "x": 1 }),
            "body: unknown field `x`",
        ),
    ] {
        let response = gateway
            .request(Method::POST, "/ti/iocs")
            .json(&body)
            .send()
            .await
            .unwrap();
        let detail = problem(response, 400).await;
        assert!(detail.starts_with(start), "{body}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hunts_are_started_followed_and_stopped() {
    let gateway = support::start().await;
    let body = json!({ "indicators": ["evil.example", "ip:198.51.100.77"], "alert": true });
    let id = gateway.post("/ti/hunts", body).await["id"].as_str().unwrap().to_owned();
    let hunt = gateway.get(&format!("/ti/hunts/{id}")).await;
    assert_eq!(hunt["state"], "waiting");
    assert_eq!(hunt["indicators"], json!(["domain:evil.example", "ip:198.51.100.77"]));
    let listed = gateway.get("/ti/hunts").await;
    assert_eq!(listed["items"][0]["id"], id.as_str());
    let matches = gateway.get(&format!("/ti/hunts/{id}/matches")).await;
    assert_eq!(matches, json!({ "items": [] }));
    for expected in [true, false] {
        let path = format!("/ti/hunts/{id}");
        let answer = gateway.request(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "cancelled": expected }));
    }
    let response = gateway.request(Method::GET, "/ti/hunts/none").send().await.unwrap();
    problem(response, 404).await;
    for (body, start) in [
        (json!({}), "indicators: expected either"),
        (
            json!({ "indicators": ["x"], "feed": "f" }),
            "indicators[0]: value: expected",
        ),
        (json!({ "feed": "f", "from": "yesterday" }), "from: expected"),
    ] {
        let request = gateway.request(Method::POST, "/ti/hunts").json(&body);
        let detail = problem(request.send().await.unwrap(), 400).await;
        assert!(detail.starts_with(start), "{body}: {detail}");
    }
}
