//! A MISP feed.

use model::feed::FeedState;
use serde_json::{Value, json};
use testkit::Reply;

use super::Ground;

const ONE: &str = "5a5b2a0e-0000-4000-8000-000000000001";
const TWO: &str = "5a5b2a0e-0000-4000-8000-000000000002";

fn publish(ground: &Ground, events: &[(&str, i64, &[&str])]) {
    let mut manifest = json!({});
    for (uuid, timestamp, addresses) in events {
        manifest[*uuid] = json!({ "timestamp": timestamp.to_string(), "info": "x" });
        let attributes: Vec<Value> = addresses
            .iter()
            .map(|address| json!({ "type": "ip-dst", "value": address, "to_ids": true }))
            .collect();
        let event = json!({ "Event": { "uuid": uuid, "info": "x", "Attribute": attributes } });
        ground
            .publisher
            .publish(&format!("/feed/{uuid}.json"), &event.to_string());
    }
    ground.publisher.publish("/feed/manifest.json", &manifest.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_events_that_changed_are_read_and_what_they_drop_is_gone() {
    let mut ground = Ground::new().await;
    publish(
        &ground,
        &[
            (ONE, 10, &["45.155.205.1", "45.155.205.2"]),
            (TWO, 20, &["45.155.205.2", "45.155.205.3"]),
        ],
    );
    let url = ground.publisher.url("/feed/manifest.json");
    let options = json!({ "delete_missing": true });
    let feed = ground
        .put(json!({ "name": "misp", "kind": "misp", "url": url, "options": options }))
        .await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    assert_eq!(
        ground.values("misp").await,
        ["45.155.205.1", "45.155.205.2", "45.155.205.2", "45.155.205.3"]
    );
    assert_eq!(ground.run("misp").await.status.state, FeedState::Unchanged);

    publish(
        &ground,
        &[
            (ONE, 30, &["45.155.205.4"]),
            (TWO, 20, &["45.155.205.2", "45.155.205.3"]),
        ],
    );
    let feed = ground.run("misp").await;
    assert_eq!((feed.status.counts.seen, feed.status.counts.removed), (1, 2));
    assert_eq!(
        ground.values("misp").await,
        ["45.155.205.2", "45.155.205.3", "45.155.205.4"]
    );
    assert_eq!(
        ground.publisher.seen(&format!("/feed/{TWO}")).len(),
        1,
        "an unchanged event is not read again"
    );

    // An event that cannot be read costs only itself and is tried again; one that left the feed takes its own with it.
    ground
        .publisher
        .set(&format!("/feed/{ONE}.json"), Reply::Status(500, None));
    let manifest = json!({ ONE: { "timestamp": "40" } });
    ground.publisher.publish("/feed/manifest.json", &manifest.to_string());
    let feed = ground.run("misp").await;
    assert_eq!(feed.status.counts.refused.get("event"), Some(&1), "{feed:?}");
    assert_eq!(ground.values("misp").await, ["45.155.205.4"]);
    publish(&ground, &[(ONE, 40, &["45.155.205.5"])]);
    ground.run("misp").await;
    assert_eq!(ground.values("misp").await, ["45.155.205.5"]);
    ground.detector.stop().await;
}
