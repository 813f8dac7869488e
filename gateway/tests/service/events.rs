//! Stored events: pages, filters, search, export, sums.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{self, Gateway, problem};

fn time(second: u64) -> String {
    format!("2026-11-20T10:{:02}:{:02}Z", second / 60, second % 60)
}

/// 300 events in blocks whose times overlap.
async fn fill(gateway: &Gateway) {
    for start in [0, 100, 50] {
        let events: Vec<Value> = (0..100)
            .map(|n| {
                let second = start + n;
                json!({
                    "@timestamp": time(second),
                    "message": format!("Failed password for user{n} from 10.0.{}.{n} port 22", start / 50),
                    "agent": { "name": if n % 2 == 0 { "even-agent" } else { "odd-agent" } },
                    "host": { "os": { "type": if n % 4 == 0 { "windows" } else { "linux" } } },
                    "block": start,
                })
            })
            .collect();
        assert_eq!(gateway.post("/ingest", json!(events)).await["accepted"], 100);
    }
}

async fn all_pages(gateway: &Gateway, query: &str, limit: usize) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/events?limit={limit}{query}{cursor}")).await;
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= limit);
        events.extend(items);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return events,
        }
    }
}

fn key(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&event["@timestamp"]), text(&event["event"]["id"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_newest_first_and_complete() {
    let gateway = support::start().await;
    fill(&gateway).await;
    for limit in [7, 100, 300] {
        let events = all_pages(&gateway, "", limit).await;
        assert_eq!(events.len(), 300, "limit {limit}");
        let times: Vec<String> = events.iter().map(|event| key(event).0).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "limit {limit}");
        let ids: HashSet<(String, String)> = events.iter().map(key).collect();
        assert_eq!(ids.len(), 300, "limit {limit}");
    }
    assert_eq!(gateway.get("/events").await["items"].as_array().unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_and_are_counted_exactly() {
    let gateway = support::start().await;
    fill(&gateway).await;
    for (query, expected) in [
        ("", 300),
        ("&agent_id=even-agent", 150),
        ("&os_type=WINDOWS", 75),
        ("&os_type=windows&agent_id=odd-agent", 0),
        ("&ip=10.0.0.7", 1),
        ("&ip=10.0.0.77", 1),
        ("&ip=10.9.9.9", 0),
        ("&q=password", 300),
        ("&q=PASSWORD%20user7", 3),
        ("&q=user", 0),
        ("&q=block:100", 0),
        ("&q=agent.name:odd-agent", 150),
        ("&q=%22password%20for%20user7%22", 3),
        ("&from=2026-11-20T10:00:00Z&to=2026-11-20T10:00:10Z", 10),
        ("&from=2026-11-20T10:03:10Z", 10),
    ] {
        let page = gateway.get(&format!("/events?count=exact&limit=1000{query}")).await;
        assert_eq!(page["total"], expected, "{query}");
        assert_eq!(page["items"].as_array().unwrap().len(), expected, "{query}");
    }
    let found = gateway.get("/search?q=user7&agent_id=odd-agent&limit=50").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_streams_all_matching_events() {
    let gateway = support::start().await;
    fill(&gateway).await;
    let response = gateway
        .request(Method::GET, "/events/export?format=jsonl&agent_id=even-agent")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 150);
    let ids: HashSet<(String, String)> = events.iter().map(key).collect();
    assert_eq!(ids.len(), 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_refused_by_name() {
    let gateway = support::start().await;
    for (path, start) in [
        ("/events?limit=0", "limit: "),
        ("/events?limit=1001", "limit: "),
        ("/events?limit=x", "limit: "),
        ("/events?ip=10.0.0", "ip: "),
        ("/events?from=yesterday", "from: "),
        ("/events?cursor=zzz", "cursor: "),
        ("/events?count=about", "count: "),
        ("/events?nope=1", "\"nope\": unknown parameter"),
        ("/search", "q: "),
        ("/search?q=%22open", "q: "),
        ("/events/export?format=csv", "format: "),
        ("/events/export?limit=5", "\"limit\": unknown parameter"),
        ("/alerts?min_level=bad", "min_level: "),
        ("/alerts?level=high&min_level=low", "level: "),
        ("/alerts?cursor=zzz", "cursor: "),
        ("/alerts/nonsense", "id: "),
        ("/stats?hours=0", "hours: "),
        ("/ti/iocs?type=uri", "type: "),
    ] {
        let response = gateway.request(Method::GET, path).send().await.unwrap();
        let detail = problem(response, 400).await;
        assert!(detail.starts_with(start), "{path}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_never_sees_another_ones_events() {
    let gateway = support::start().await;
    fill(&gateway).await;
    let text = gateway::auth::new_api_key();
    let text = secrecy::ExposeSecret::expose_secret(&text);
    let key = storage::api_keys::ApiKey {
        id: "other".to_owned(),
        tenant: "other".parse().unwrap(),
        name: "other".to_owned(),
        role: model::AccessRole::Admin,
        hash: storage::api_keys::hash(text),
        created_at: model::Timestamp(0),
        expires_at: None,
        last_used_at: None,
    };
    storage::api_keys::insert(&gateway.store, &key).await.unwrap();
    let send = async |path: &str| {
        let request = gateway.anonymous(Method::GET, path).header("x-api-key", text);
        support::ok(request.send().await.unwrap()).await
    };
    let events = send("/events?count=exact").await;
    assert_eq!(
        (&events["total"], events["items"].as_array().unwrap().len()),
        (&json!(0), 0)
    );
    assert_eq!(send("/status").await["events_total"], 0);
    assert_eq!(send("/security/users").await["items"], json!([]));
}
