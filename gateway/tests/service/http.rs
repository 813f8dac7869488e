//! What holds for every request: problem documents, limits, headers, documentation.

use futures_util::StreamExt as _;
use reqwest::header::ALLOW;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{self, ADMIN_KEY, ok, problem};

#[tokio::test(flavor = "multi_thread")]
async fn health_and_root_answer_everybody() {
    let gateway = support::start().await;
    for path in ["/health", "/"] {
        let health = ok(gateway.anonymous(Method::GET, path).send().await.unwrap()).await;
        assert_eq!(health["status"], "ok", "{health}");
        assert_eq!(health["components"]["mongodb"], "ok");
        assert_eq!(health["components"]["nodes"]["collector"], 2);
    }
    let browser = gateway.anonymous(Method::GET, "/").header("accept", "text/html,*/*");
    let response = browser.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()["location"], "/docs/");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_problems() {
    let gateway = support::start().await;
    problem(gateway.anonymous(Method::GET, "/nothing").send().await.unwrap(), 404).await;
    let response = gateway.request(Method::PUT, "/events").send().await.unwrap();
    assert!(response.headers()[ALLOW].to_str().unwrap().contains("GET"));
    problem(response, 405).await;
    let head = gateway.request(Method::HEAD, "/events").send().await.unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    let response = gateway
        .request(Method::POST, "/ti/iocs")
        .header("content-type", "text/plain")
        .body("x")
        .send()
        .await
        .unwrap();
    problem(response, 415).await;
    let response = gateway
        .request(Method::POST, "/ti/iocs")
        .header("content-type", "application/json")
        .body(vec![b' '; 2 * 1024 * 1024])
        .send()
        .await
        .unwrap();
    problem(response, 413).await;
    let encoded = gateway.request(Method::GET, "/alerts/%ff").send().await.unwrap();
    problem(encoded, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_before_it_is_refused() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const CHUNKS: usize = 96;
    let gateway = support::start().await;
    for (key, status) in [("wrong", 401), (ADMIN_KEY, 415)] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = taken.clone();
        let chunks = futures_util::stream::iter(0..CHUNKS).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024])
        });
        let response = gateway
            .anonymous(Method::POST, "/ingest")
            .header("x-api-key", key)
            .header("content-type", "image/png")
            .body(reqwest::Body::wrap_stream(chunks))
            .send()
            .await
            .unwrap();
        problem(response, status).await;
        assert_eq!(taken.load(Ordering::Relaxed), CHUNKS, "an HTTP/2 stream would be reset");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_protected_and_numbered() {
    let gateway = support::start().await;
    let mut ids = std::collections::HashSet::new();
    for path in ["/health", "/nothing", "/events", "/docs/"] {
        let response = gateway.anonymous(Method::GET, path).send().await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert!(headers.contains_key("content-security-policy"), "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
        assert!(
            ids.insert(headers["x-request-id"].to_str().unwrap().to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_needs_nothing_from_elsewhere() {
    let gateway = support::start().await;
    let index = gateway.anonymous(Method::GET, "/docs/").send().await.unwrap();
    assert_eq!(index.status(), StatusCode::OK);
    let index = index.text().await.unwrap();
    assert!(!index.contains("http://") && !index.contains("https://"), "{index}");
    let mut files = 0;
    for part in index.split(['"', '\'']) {
        let name = part.trim_start_matches("./");
        let is_file = [".js", ".css", ".png"].iter().any(|end| name.ends_with(end));
        if is_file {
            let file = gateway
                .anonymous(Method::GET, &format!("/docs/{name}"))
                .send()
                .await
                .unwrap();
            assert_eq!(file.status(), StatusCode::OK, "{name}");
            files += 1;
        }
    }
    assert!(files >= 3, "{index}");
    let initializer = gateway
        .anonymous(Method::GET, "/docs/swagger-initializer.js")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    let document = ok(gateway.anonymous(Method::GET, "/openapi.json").send().await.unwrap()).await;
    assert!(document["paths"]["/ingest"]["post"].is_object());
    problem(
        gateway.anonymous(Method::GET, "/docs/nothing.js").send().await.unwrap(),
        404,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_hosts_are_answered() {
    let gateway = support::start_with(|config| config.http.trusted_hosts = vec!["picket.local".to_owned()]).await;
    let response = gateway.anonymous(Method::GET, "/health").send().await.unwrap();
    let detail = problem(response, 400).await;
    assert!(detail.starts_with("host: "), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_identity_has_a_budget() {
    let gateway = support::start_with(|config| {
        config.rate_limit.requests_per_second = 1;
        config.rate_limit.burst = 3;
        config.rate_limit.anonymous_requests_per_second = 1;
        config.rate_limit.anonymous_burst = 2;
    })
    .await;
    let mut limited = None;
    for _ in 0..20 {
        let response = gateway.request(Method::GET, "/agents").send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            limited = Some(response);
            break;
        }
    }
    let limited = limited.expect("the budget ends");
    assert!(limited.headers().contains_key("retry-after"));
    problem(limited, 429).await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let response = gateway.anonymous(Method::GET, "/health").send().await.unwrap();
        statuses.push(response.status().as_u16());
    }
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_given_up() {
    let gateway = support::start_with(|config| config.http.request_timeout_secs = 1).await;
    // A body that never ends.
    let body = reqwest::Body::wrap_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = gateway
        .request(Method::POST, "/ti/iocs")
        .header("content-type", "application/json")
        .body(body);
    problem(request.send().await.unwrap(), 504).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_gateway_answers_nobody_and_ends_cleanly() {
    let gateway = support::start().await;
    gateway.ctx.shutdown.cancel();
    gateway.ctx.clone().drain(support::DEADLINE).await.unwrap();
    let refused = gateway
        .anonymous(Method::GET, "/health")
        .header("x-api-key", ADMIN_KEY)
        .send()
        .await;
    assert!(refused.is_err());
    let left: Vec<Value> = storage::nodes::all(&gateway.store)
        .await
        .unwrap()
        .iter()
        .filter(|node| node.role == model::node::Role::Gateway)
        .map(|node| json!(node.id.as_str()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
