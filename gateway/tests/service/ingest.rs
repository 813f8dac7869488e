//! Events coming in.

use std::sync::atomic::Ordering;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{self, Gateway, ok, problem};

async fn stored(gateway: &Gateway) -> u64 {
    gateway.get("/events?count=exact&limit=1").await["total"]
        .as_u64()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_an_array_a_wrapper_and_lines_are_taken() {
    let gateway = support::start().await;
    let one = gateway
        .post(
            "/ingest",
            json!({
                "source": "syslog",
                "host": "demo-host",
                "message": "Failed password for invalid user admin from 10.0.0.5 port 53422 ssh2",
                "fields": { "program": "sshd" }
            }),
        )
        .await;
    assert_eq!(
        one,
        json!({ "accepted": 1, "rejected": 0, "errors": [], "duplicate": false })
    );
    let many = gateway
        .post("/ingest", json!([{ "message": "a" }, { "message": "b" }]))
        .await;
    assert_eq!(many["accepted"], 2);
    let wrapped = gateway
        .post(
            "/ingest",
            json!({ "events": [{ "raw_message": "c", "severity": 3, "os_type": "LINUX" }] }),
        )
        .await;
    assert_eq!(wrapped["accepted"], 1);
    let lines = |kind: &'static str, body: &'static str| {
        gateway
            .request(Method::POST, "/ingest?origin=/var/log/auth.log&log_type=sshd")
            .header("content-type", kind)
            .body(body)
            .send()
    };
    assert_eq!(
        ok(lines("text/plain; charset=utf-8", "d\n\ne\n").await.unwrap()).await["accepted"],
        2
    );
    let json_lines = lines("application/x-ndjson", "{\"message\":\"f\"}\n{\"message\":\"g\"}");
    assert_eq!(ok(json_lines.await.unwrap()).await["accepted"], 2);
    assert_eq!(stored(&gateway).await, 8);

    let batches = gateway.fakes.batches.lock().unwrap().clone();
    let sources: std::collections::HashSet<&str> = batches.iter().map(|b| b.source_id.as_str()).collect();
    assert_eq!(sources.len(), 1, "one caller is one source");
    let epochs: std::collections::HashSet<u64> = batches.iter().map(|b| b.batch.as_ref().unwrap().epoch).collect();
    assert_eq!(epochs.len(), batches.len(), "each request has a numbering of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_element_costs_only_itself() {
    let gateway = support::start().await;
    let answer = gateway
        .post("/ingest", json!([{ "message": "good" }, 7, {}, { "message": "too" }]))
        .await;
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(2)));
    assert_eq!(
        answer["errors"][0],
        json!({ "index": 1, "error": "expected an object, got a number" })
    );
    assert_eq!(answer["errors"][1]["index"], 2);
    let response = gateway
        .request(Method::POST, "/ingest")
        .json(&json!([7]))
        .send()
        .await
        .unwrap();
    assert_eq!(
        problem(response, 400).await,
        "event 0: expected an object, got a number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_requests_are_refused_by_name() {
    let gateway = support::start_with(|config| config.http.max_ingest_bytes = 4096).await;
    let send = |kind: &'static str, body: Vec<u8>| {
        gateway
            .request(Method::POST, "/ingest")
            .header("content-type", kind)
            .body(body)
            .send()
    };
    for (kind, body, status, start) in [
        ("application/json", "{".into(), 400, "body: expected JSON"),
        (
            "application/json",
            "[]".into(),
            400,
            "body: expected at least one event",
        ),
        ("application/xml", "<a/>".into(), 415, "content-type: expected"),
        (
            "application/json",
            vec![b' '; 5000],
            413,
            "body: expected at most 4096 bytes",
        ),
        ("text/plain", vec![b'x'; 5000], 413, "body: expected at most 4096 bytes"),
    ] {
        let detail = problem(send(kind, body).await.unwrap(), status).await;
        assert!(detail.starts_with(start), "{detail}");
    }
    for (name, value, status) in [
        ("idempotency-key", "with space", 400),
        ("content-encoding", "gzip", 415),
    ] {
        let request = gateway.request(Method::POST, "/ingest").header(name, value);
        let detail = problem(request.json(&json!({ "a": 1 })).send().await.unwrap(), status).await;
        assert!(detail.starts_with(name), "{detail}");
    }
    assert!(gateway.fakes.batches.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_stores_nothing_twice() {
    let gateway = support::start().await;
    gateway.fakes.lost_answers.store(2, Ordering::SeqCst);
    let answer = gateway
        .post("/ingest", json!([{ "message": "a" }, { "message": "b" }]))
        .await;
    assert_eq!(answer["accepted"], 2);
    let tries = gateway.fakes.batches.lock().unwrap().clone();
    assert_eq!(tries.len(), 3);
    assert!(
        tries.iter().all(|batch| *batch == tries[0]),
        "every try sends the same bytes"
    );
    assert_eq!(stored(&gateway).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_makes_a_repeated_request_a_duplicate() {
    let gateway = support::start().await;
    let send = async |key: &str, body: Value| {
        let request = gateway.request(Method::POST, "/ingest").header("idempotency-key", key);
        request.json(&body).send().await.unwrap()
    };
    let first = ok(send("k1", json!({ "message": "a" })).await).await;
    assert_eq!((&first["accepted"], &first["duplicate"]), (&json!(1), &json!(false)));
    let second = ok(send("k1", json!({ "message": "a" })).await).await;
    assert_eq!((&second["accepted"], &second["duplicate"]), (&json!(1), &json!(true)));
    problem(send("k1", json!({ "message": "other" })).await, 409).await;
    let other = ok(send("k2", json!({ "message": "a" })).await).await;
    assert_eq!(other["duplicate"], false);
    assert_eq!(stored(&gateway).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_caller_is_told_to_come_back() {
    let gateway = support::start().await;
    gateway.fakes.busy.store(true, Ordering::SeqCst);
    let request = gateway
        .request(Method::POST, "/ingest")
        .json(&json!({ "message": "a" }));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503).await;
}
