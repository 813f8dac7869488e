//! Logs of windows.

use model::{Partition, Tenant, Timestamp};
use storage::Store;
use storage::windows::{self, About, Checkpoint, Due, LogKey, MILESTONE, Segment};

fn about(window: i64) -> About {
    About {
        tenant: Tenant::default(),
        rule_id: "$rule".to_owned(),
        revision: "r".to_owned(),
        window,
        share: 3,
    }
}

fn later() -> Timestamp {
    Timestamp(Timestamp::now().0 + 3_600_000_000)
}

async fn add(store: &Store, key: LogKey, number: u32, text: &str) -> bool {
    let segment = Segment {
        key,
        number,
        body: text.into(),
        expires: later(),
    };
    windows::append(store, vec![segment]).await.unwrap()[0]
}

/// What is read of a log of which the first `known` segments are known: the checkpoint's number, and the segments.
async fn read(store: &Store, key: LogKey, known: u32) -> (Option<u32>, Vec<(u32, String)>) {
    let rest = windows::read(store, &[(key, known)])
        .await
        .unwrap()
        .remove(&key)
        .unwrap();
    let text = |(number, body): (u32, Vec<u8>)| (number, String::from_utf8(body).unwrap());
    (
        rest.checkpoint.map(|(number, _)| number),
        rest.segments.into_iter().map(text).collect(),
    )
}

async fn has_more(store: &Store, key: LogKey, known: u32) -> bool {
    windows::newer(store, &[(key, known)]).await.unwrap().contains(&key)
}

async fn sum_up(store: &Store, key: LogKey, previous: u32, number: u32) {
    let checkpoint = Checkpoint {
        key,
        previous,
        number,
        body: b"sum".to_vec(),
        expires: later(),
    };
    windows::put_checkpoint(store, checkpoint).await.unwrap();
}

#[tokio::test]
async fn a_log_has_one_order_for_all_writers() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let (key, other) = (about(-7).key(), about(8).key());
    assert_ne!(key, other);
    assert!(!has_more(store, key, 0).await);
    assert!(add(store, key, 1, "one").await);
    assert!(!add(store, key, 1, "other").await, "somebody else was first");
    assert!(add(store, key, 2, "two").await);
    assert!(add(store, other, 1, "elsewhere").await);
    assert!(has_more(store, key, 1).await && !has_more(store, key, 2).await);
    assert_eq!(read(store, key, 1).await, (None, vec![(2, "two".to_owned())]));
    assert_eq!(read(store, key, 0).await.1.len(), 2);
}

#[tokio::test]
async fn summing_up_is_noticed_by_whoever_knew_less() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let key = about(0).key();
    let last = 2 * MILESTONE + 5;
    for number in 1..=last {
        assert!(add(store, key, number, &number.to_string()).await);
    }
    sum_up(store, key, 0, MILESTONE + 2).await;
    sum_up(store, key, MILESTONE + 2, last).await;
    // An older sum must not replace a newer one.
    sum_up(store, key, 0, MILESTONE).await;
    let tail: Vec<u32> = read(store, key, 0)
        .await
        .1
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!((read(store, key, 0).await.0, tail), (Some(last), vec![]));
    assert!(add(store, key, last + 1, "next").await);
    for known in [0, 1, MILESTONE - 2, MILESTONE, MILESTONE + 40, 2 * MILESTONE - 2] {
        assert!(has_more(store, key, known).await, "{known}");
        let (checkpoint, tail) = read(store, key, known).await;
        assert_eq!(
            (checkpoint, tail),
            (Some(last), vec![(last + 1, "next".to_owned())]),
            "{known}"
        );
    }
    // Known well enough to go on without the sum.
    for known in [2 * MILESTONE - 1, 2 * MILESTONE, last] {
        assert_eq!(read(store, key, known).await.0, None, "{known}");
    }
    // Somebody who slept adds where others deleted, and finds out.
    assert!(add(store, key, 20, "in vain").await);
    assert!(has_more(store, key, 20).await);
    assert_eq!(read(store, key, 20).await.0, Some(last));
}

#[tokio::test]
async fn windows_wait_for_their_time() {
    let database = testkit::mongo().await;
    let store = &database.store_with_indexes().await;
    let past = Timestamp::from_millis(Timestamp::now().as_millis() - 1000);
    let again = Timestamp(past.0 + 500_000);
    let all: Vec<Partition> = Partition::all().collect();
    let due = async || windows::due(store, &all, Timestamp::now(), 10).await.unwrap();
    // One that is not readable keeps nothing waiting.
    let client = mongodb::Client::with_uri_str(database.uri()).await.unwrap();
    let records = client
        .database(database.name())
        .collection::<bson::Document>("correlations");
    let unreadable = bson::doc! { "_id": "x", "part": 0, "due": bson::DateTime::from_millis(0) };
    records.insert_one(unreadable).await.unwrap();
    assert!(due().await.is_empty());
    let left = records
        .count_documents(bson::doc! { "due": { "$exists": true } })
        .await
        .unwrap();
    assert_eq!(left, 0);
    windows::arm(store, &[(about(1), past), (about(2), later())], later())
        .await
        .unwrap();
    let first = Due {
        about: about(1),
        due: past,
    };
    assert_eq!(due().await, std::slice::from_ref(&first));
    windows::arm(store, &[(about(1), again)], later()).await.unwrap();
    windows::settle(store, &[first]).await.unwrap();
    let second = Due {
        about: about(1),
        due: again,
    };
    assert_eq!(
        due().await,
        std::slice::from_ref(&second),
        "it was armed again meanwhile"
    );
    windows::settle(store, &[second]).await.unwrap();
    assert!(due().await.is_empty());
    windows::arm(store, &[(about(1), again)], later()).await.unwrap();
    assert_eq!(due().await.len(), 1, "judged windows can be armed again");
}
