//! Feeds that are one body.

use model::Tenant;
use model::feed::FeedState;
use model::indicator::{Indicator, Tlp};
use proto::intel::v1::{DeleteFeedRequest, RunFeedRequest};
use serde_json::json;
use storage::audit;
use storage::indicators::{self, Filter};
use testkit::Reply;

use super::Ground;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_comes_in_stays_unchanged_and_what_leaves_it_is_gone() {
    let mut ground = Ground::new().await;
    ground.publisher.publish(
        "/list.txt",
        "45.155.205.1\n45.155.205.2 # c2\nhttp://evil.zip/x\nnonsense\n10.0.0.1\n",
    );
    let options = json!({ "delete_missing": true, "hunt": true, "tlp": "amber", "confidence": 60, "tags": ["mine"] });
    let feed = ground.put_list("blocklist", options).await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    assert_eq!((feed.status.counts.seen, feed.status.counts.new), (3, 3));
    assert_eq!(feed.status.counts.refused.get("malformed"), Some(&1));
    assert_eq!(
        feed.status.counts.refused.get("reserved_address"),
        Some(&1),
        "the guard refuses private addresses"
    );
    assert_eq!(
        ground.values("blocklist").await,
        ["45.155.205.1", "45.155.205.2", "http://evil.zip/x"]
    );
    assert_eq!(
        hunts(&ground).await,
        1,
        "stored events are looked through for what is new"
    );
    let c2 = one(&ground, "45.155.205.2").await;
    assert_eq!((c2.confidence, c2.tlp, c2.note.as_str()), (60, Some(Tlp::Amber), "c2"));
    assert_eq!(c2.tags, ["mine"]);
    assert_eq!(c2.valid_until, None);

    let again = ground.run("blocklist").await;
    assert_eq!(again.status.state, FeedState::Unchanged);
    assert_eq!(again.status.counts.seen, 3, "the counts of the last content are kept");
    assert_eq!(ground.publisher.seen("/list.txt").len(), 2);
    assert_eq!(hunts(&ground).await, 1, "nothing is new");

    ground
        .publisher
        .publish("/list.txt", "45.155.205.2 # c2\n45.155.205.3\n");
    let changed = ground.run("blocklist").await;
    assert_eq!(changed.status.state, FeedState::Ok);
    let counts = &changed.status.counts;
    assert_eq!((counts.seen, counts.new, counts.removed), (2, 1, 2));
    assert_eq!(ground.values("blocklist").await, ["45.155.205.2", "45.155.205.3"]);

    let request = DeleteFeedRequest {
        tenant: "default".to_owned(),
        requested_by: "user:tester".to_owned(),
        name: "blocklist".to_owned(),
        keep_indicators: false,
    };
    let deleted = ground.service.delete_feed(request.clone()).await.unwrap().into_inner();
    assert_eq!(deleted.indicators_removed, 2);
    assert_eq!(ground.values("blocklist").await, Vec::<String>::new());
    assert!(
        ground.service.delete_feed(request).await.is_err(),
        "there is none any more"
    );
    let entries = audit::list(&ground.sandbox.store, &Tenant::default(), 100)
        .await
        .unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    assert!(
        actions.contains(&"feed.put") && actions.contains(&"feed.delete"),
        "{actions:?}"
    );
    ground.detector.stop().await;
}

async fn hunts(ground: &Ground) -> usize {
    let found = storage::hunts::list(&ground.sandbox.store, &Tenant::default(), 100).await;
    found.unwrap().len()
}

async fn one(ground: &Ground, value: &str) -> Indicator {
    let filter = Filter {
        value: Some(value.to_owned()),
        ..Filter::default()
    };
    indicators::list(&ground.sandbox.store, &filter, 1)
        .await
        .unwrap()
        .remove(0)
        .0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allow_list_overrides_the_guard_and_packed_bodies_and_files_are_read() {
    let mut ground = Ground::new().await;
    ground
        .publisher
        .publish("/list.txt", "10.0.0.1\n10.1.0.1\n192.168.0.1\n");
    ground
        .put_list(
            "internal",
            json!({ "allow": ["10.0.0.0/16", "192.168.0.1"], "ttl_days": 30 }),
        )
        .await;
    assert_eq!(ground.values("internal").await, ["10.0.0.1", "192.168.0.1"]);
    let ends = one(&ground, "10.0.0.1").await.valid_until;
    assert!(ends.is_some(), "it ends when it is not seen again");
    ground.publisher.publish("/list.txt", "10.0.0.1 # again\n");
    ground.run("internal").await;
    assert_eq!(
        one(&ground, "10.0.0.1").await.valid_until,
        ends,
        "the end does not move with every run"
    );

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, b"45.155.205.7\n").unwrap();
    let packed = packed.finish().unwrap();
    ground.publisher.set("/list.gz", Reply::Content(packed.clone()));
    let url = ground.publisher.url("/list.gz");
    ground
        .put(json!({ "name": "packed", "kind": "list", "url": url }))
        .await;
    assert_eq!(ground.values("packed").await, ["45.155.205.7"]);

    std::fs::write(ground.directories.path().join("files/own.txt"), "45.155.205.8\n").unwrap();
    let own = json!({ "name": "own", "kind": "list", "path": "own.txt" });
    let feed = ground.put(own).await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    assert_eq!(ground.values("own").await, ["45.155.205.8"]);
    assert_eq!(ground.run("own").await.status.state, FeedState::Unchanged);
    ground.detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_sent_to_their_publisher_only_and_stored_nowhere() {
    let mut ground = Ground::new().await;
    std::fs::write(ground.directories.path().join("secrets/key"), "s3cr3t-of-tests\n").unwrap();
    let elsewhere = testkit::Publisher::start().await;
    elsewhere.publish("/list.txt", "45.155.205.1\n");
    ground
        .publisher
        .set("/start", Reply::Redirect(elsewhere.url("/list.txt")));
    let url = ground.publisher.url("/start");
    let auth = json!({ "type": "header", "name": "Auth-Key", "secret_file": "key" });
    let feed = ground
        .put(json!({ "name": "keyed", "kind": "list", "url": url, "auth": auth }))
        .await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    assert_eq!(
        ground.publisher.seen("/start")[0].headers["auth-key"],
        "s3cr3t-of-tests"
    );
    assert!(
        elsewhere.seen("/list.txt")[0].headers.get("auth-key").is_none(),
        "another server gets no secret"
    );
    assert_eq!(elsewhere.seen("/list.txt").len(), 1);

    ground
        .publisher
        .publish("/v2/s3cr3t-of-tests/recent.csv", "45.155.205.2\n");
    let url = ground.publisher.url("/v2/{secret}/recent.csv");
    let auth = json!({ "type": "url", "secret_file": "key" });
    let feed = ground
        .put(json!({ "name": "in-url", "kind": "list", "url": url, "auth": auth }))
        .await;
    assert_eq!(feed.status.state, FeedState::Ok, "{feed:?}");
    ground
        .publisher
        .set("/v2/s3cr3t-of-tests/recent.csv", Reply::Status(500, None));
    let failed = ground.run("in-url").await;
    let stored = format!("{feed:?} {failed:?}");
    assert!(!stored.contains("s3cr3t"), "{stored}");

    let missing = json!({ "type": "bearer", "secret_file": "none" });
    let url = ground.publisher.url("/start");
    let failed = ground
        .put(json!({ "name": "keyed", "kind": "list", "url": url, "auth": missing }))
        .await;
    assert!(
        failed.status.error.as_deref().unwrap().contains("auth.secret_file"),
        "{failed:?}"
    );
    ground.detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_wrong_is_refused_by_name_and_a_disabled_one_does_not_run() {
    let mut ground = Ground::new().await;
    ground.publisher.publish("/list.txt", "45.155.205.1\n");
    let url = ground.publisher.url("/list.txt");
    for (change, field) in [
        (json!({ "name": "a/b" }), "name"),
        (json!({ "url": "file:///etc/passwd" }), "url"),
        (json!({ "options": { "allow": ["what is this"] } }), "options.allow"),
        (json!({ "secret": "x" }), "secret"),
    ] {
        let mut spec = json!({ "name": "x", "kind": "list", "url": url });
        for (key, value) in change.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let request = proto::intel::v1::PutFeedRequest {
            tenant: "default".to_owned(),
            requested_by: String::new(),
            spec_json: spec.to_string(),
        };
        let refused = ground.service.put_feed(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains(field), "{refused}");
    }
    ground
        .ask_to_put(json!({ "name": "off", "kind": "list", "url": url, "enabled": false }))
        .await;
    let request = RunFeedRequest {
        tenant: "default".to_owned(),
        requested_by: String::new(),
        name: "off".to_owned(),
    };
    assert!(
        ground
            .service
            .run_feed(request)
            .await
            .unwrap_err()
            .message()
            .contains("disabled")
    );
    assert_eq!(ground.get("off").await.unwrap().status.last_run, None);
    ground.detector.stop().await;
}
