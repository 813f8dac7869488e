//! TAXII 2.1: against a real server, and what that cannot show.

use std::time::Duration;

use model::feed::FeedState;
use serde_json::{Value, json};
use testkit::{Medallion, Reply, poll_until};

use super::{Ground, start};

fn indicator(number: u32, value: &str, modified: &str, revoked: bool) -> Value {
    json!({
        "type": "indicator", "spec_version": "2.1",
        "id": format!("indicator--00000000-0000-4000-8000-{number:012}"),
        "created": "2026-01-01T00:00:00.000Z", "modified": modified,
        "pattern": format!("[ipv4-addr:value = '{value}']"), "pattern_type": "stix",
        "valid_from": "2026-01-01T00:00:00Z", "revoked": revoked,
    })
}

async fn add(server: &Medallion, objects: Vec<Value>) {
    let (user, password) = Medallion::CREDENTIALS;
    let media = "application/taxii+json;version=2.1";
    let answer = reqwest::Client::new()
        .post(server.objects_url())
        .basic_auth(user, Some(password))
        .header("accept", media)
        .header("content-type", media)
        .body(json!({ "objects": objects }).to_string())
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_collection_is_read_page_by_page_and_then_only_what_was_added() {
    let Some(server) = Medallion::start().await else { return };
    let mut ground = Ground::new().await;
    let (user, password) = Medallion::CREDENTIALS;
    std::fs::write(ground.directories.path().join("secrets/taxii"), password).unwrap();
    let first = "2026-01-01T00:00:00.000Z";
    let objects = (1..=5)
        .map(|n| indicator(n, &format!("45.155.205.{n}"), first, false))
        .collect();
    add(&server, objects).await;
    let spec = json!({
        "name": "taxii", "kind": "taxii", "url": server.discovery_url(),
        "auth": { "type": "basic", "username": user, "secret_file": "taxii" },
        "options": { "collection": Medallion::TITLE },
    });
    let feed = ground.put(spec.clone()).await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    assert_eq!((feed.status.counts.seen, feed.status.counts.new), (5, 5), "three pages");
    let all = [
        "45.155.205.1",
        "45.155.205.2",
        "45.155.205.3",
        "45.155.205.4",
        "45.155.205.5",
    ];
    assert_eq!(ground.values("taxii").await, all);
    assert!(feed.status.added_after.is_some());
    assert_eq!(ground.run("taxii").await.status.state, FeedState::Unchanged);

    // Revoked, changed and new.
    let later = "2026-02-01T00:00:00.000Z";
    add(
        &server,
        vec![
            indicator(1, "45.155.205.1", later, true),
            indicator(2, "45.155.205.22", later, false),
            indicator(6, "45.155.205.6", first, false),
        ],
    )
    .await;
    let feed = ground.run("taxii").await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    assert_eq!(feed.status.counts.seen, 2, "{feed:?}");
    let now = [
        "45.155.205.22",
        "45.155.205.3",
        "45.155.205.4",
        "45.155.205.5",
        "45.155.205.6",
    ];
    assert_eq!(ground.values("taxii").await, now);

    let mut wrong = spec.clone();
    wrong["options"]["collection"] = json!("Another");
    let feed = ground.put(wrong).await;
    assert!(
        feed.status.error.as_deref().unwrap().contains(Medallion::TITLE),
        "{feed:?}"
    );
    let mut wrong = spec;
    wrong["auth"] = json!({ "type": "none" });
    let feed = ground.put(wrong).await;
    assert!(feed.status.error.as_deref().unwrap().contains("401"), "{feed:?}");
    ground.detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_detector_goes_on_where_one_stopped() {
    let mut ground = Ground::new().await;
    let publisher = ground.publisher.clone();
    publisher.publish(
        "/api/",
        r#"{"title":"r","versions":["application/taxii+json;version=2.1"]}"#,
    );
    publisher.publish(
        "/api/collections/",
        r#"{"collections":[{"id":"c","title":"C","can_read":true}]}"#,
    );
    let page = |more: bool, numbers: std::ops::Range<u32>| {
        let objects: Vec<Value> = numbers
            .map(|n| indicator(n, &format!("45.155.205.{n}"), "2026-01-01T00:00:00Z", false))
            .collect();
        let mut page = json!({ "more": more, "objects": objects });
        if more {
            page["next"] = json!("2");
        }
        page.to_string().into_bytes()
    };
    let added = |time: &str| vec![("x-taxii-date-added-last", time.to_owned())];
    let objects = "/api/collections/c/objects/?limit=1000&match%5Btype%5D=indicator%2Cmarking-definition";
    publisher.set(objects, Reply::With(page(true, 1..3), added("2026-01-01T00:00:01Z")));
    publisher.set(&format!("{objects}&next=2"), Reply::Stalled(Vec::new()));
    let url = publisher.url("/api/");
    ground
        .ask_to_put(json!({ "name": "slow", "kind": "taxii", "url": url, "options": { "collection": "C" } }))
        .await;
    let within = Duration::from_secs(30);
    poll_until(within, "the second page is asked for", async || {
        (!publisher.seen(&format!("{objects}&next=2")).is_empty()).then_some(())
    })
    .await;
    assert_eq!(
        ground.values("slow").await,
        ["45.155.205.1", "45.155.205.2"],
        "a page is stored before the next"
    );
    let cursor = ground.get("slow").await.unwrap().status.added_after.unwrap();
    assert_eq!(
        cursor, "2026-01-01T00:00:00.999000Z",
        "objects of the same time may be on the next page"
    );

    let Ground {
        sandbox,
        detector,
        directories,
        ..
    } = ground;
    detector.stop().await;
    let resumed = format!("{objects}&added_after=2026-01-01T00%3A00%3A00.999000Z");
    publisher.set(&resumed, Reply::With(page(false, 2..5), added("2026-01-01T00:00:02Z")));
    let successor = start(&sandbox, "detector-2", directories.path()).await;
    let feed = poll_until(within, "the successor ends the run", async || {
        let feed = storage::feeds::get(&sandbox.store, &model::Tenant::default(), "slow")
            .await
            .unwrap()?;
        (feed.status.state == FeedState::Ok).then_some(feed)
    })
    .await;
    assert_eq!(publisher.seen(&resumed).len(), 1, "it does not begin anew");
    assert_eq!(feed.status.added_after.as_deref(), Some("2026-01-01T00:00:02Z"));
    successor.stop().await;
}
