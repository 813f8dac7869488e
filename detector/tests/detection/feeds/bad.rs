//! Publishers that fail, lie or never end: nothing is lost, and the operator is told.

use model::Timestamp;
use model::feed::FeedState;
use serde_json::json;
use testkit::Reply;

use super::Ground;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_bad_answer_brings_removes_nothing() {
    let mut ground = Ground::new().await;
    let good = "45.155.205.1\n45.155.205.2\n";
    ground.publisher.publish("/list.txt", good);
    ground
        .put_list("steady", json!({ "delete_missing": true, "max_mib": 2 }))
        .await;
    let both = ["45.155.205.1", "45.155.205.2"];
    assert_eq!(ground.values("steady").await, both);

    let page = b"<!DOCTYPE html>\n<html>\n<body>Please log in</body>\n</html>\n".to_vec();
    let long: Vec<u8> = b"45.155.205.1\n".repeat(100_000);
    for (reply, told) in [
        (Reply::Status(500, None), "500"),
        (Reply::Status(404, None), "404"),
        (Reply::With(page, Vec::new()), "nothing in it could be read"),
        (Reply::With(Vec::new(), Vec::new()), "empty"),
        (Reply::Truncated(long), "read the answer"),
        (Reply::Stalled(b"45.155.205.1\n".to_vec()), "nothing came for 5 s"),
        (Reply::Endless, "at most 2 MiB"),
        (Reply::With(b"PK\x03\x04zip".to_vec(), Vec::new()), "zip"),
        (Reply::With(b"\x1f\x8bnot gzip at all".to_vec(), Vec::new()), "gzip"),
        (Reply::Redirect("/list.txt".to_owned()), "redirects"),
        (Reply::Redirect("ftp://x.example/".to_owned()), "redirect"),
    ] {
        ground.publisher.set("/list.txt", reply.clone());
        let feed = ground.run("steady").await;
        assert_eq!(feed.status.state, FeedState::Failed, "{told}");
        let error = feed.status.error.as_deref().unwrap();
        assert!(error.contains(told), "{told}: {error}");
        assert!(feed.status.failures > 0);
        assert_eq!(ground.values("steady").await, both, "{told}");
    }
    ground.publisher.publish("/list.txt", good);
    let feed = ground.run("steady").await;
    assert_eq!((feed.status.failures, feed.status.error), (0, None));
    ground.detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_wants_to_be_left_alone_is() {
    let mut ground = Ground::new().await;
    for (status, after, least) in [(429, "1800", 1700), (503, "900", 800)] {
        ground.publisher.set("/list.txt", Reply::Status(status, Some(after)));
        let feed = ground.put_list(&format!("busy-{status}"), json!({})).await;
        let wait = (feed.status.next_run.unwrap().0 - Timestamp::now().0) / 1_000_000;
        assert!(wait > least, "{status}: {wait} s");
        assert_eq!(feed.status.state, FeedState::Failed);
    }
    let failed = ground.publisher.seen("/list.txt").len();
    assert_eq!(failed, 2, "each was asked once");
    ground.detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_mostly_garbage_removes_nothing() {
    let mut ground = Ground::new().await;
    ground
        .publisher
        .publish("/list.txt", "45.155.205.1\n45.155.205.2\n45.155.205.3\n");
    ground.put_list("odd", json!({ "delete_missing": true })).await;
    ground.publisher.publish("/list.txt", "45.155.205.1\n<a>\n<b>\n<c>\n");
    let feed = ground.run("odd").await;
    assert_eq!(feed.status.counts.removed, 0);
    assert!(
        feed.status
            .reasons
            .iter()
            .any(|reason| reason.contains("nothing removed")),
        "{feed:?}"
    );
    assert_eq!(ground.values("odd").await.len(), 3);
    ground.detector.stop().await;
}
