//! The audit log on a real MongoDB: it is in order whoever writes at once, and shows what was done to it.

use bson::{Document, doc};
use futures_util::future::join_all;
use model::Tenant;
use serde_json::json;
use storage::audit::{self, NewEntry};

fn entry(number: usize) -> NewEntry {
    NewEntry {
        tenant: Tenant::default(),
        actor: "user:alice".to_owned(),
        action: "indicator.put".to_owned(),
        object: number.to_string(),
        detail: json!({ "number": number }),
    }
}

#[tokio::test]
async fn writers_at_once_make_one_chain() {
    let database = testkit::mongo().await;
    let store = database.store();
    store.ensure_indexes().await.unwrap();
    let writes = (0..20).map(|number| audit::append(store, entry(number)));
    for written in join_all(writes).await {
        written.unwrap();
    }
    let result = audit::verify(store, &Tenant::default()).await.unwrap();
    assert_eq!((result.verified, result.broken), (20, None));
    let newest = audit::list(store, &Tenant::default(), 5).await.unwrap();
    assert_eq!(
        newest.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        [20, 19, 18, 17, 16]
    );
    let other = audit::verify(store, &"other".parse().unwrap()).await.unwrap();
    assert_eq!((other.verified, other.last), (0, None));
}

#[tokio::test]
async fn a_changed_a_removed_and_a_slipped_in_entry_are_found() {
    let database = testkit::mongo().await;
    let store = database.store();
    store.ensure_indexes().await.unwrap();
    for number in 0..5 {
        audit::append(store, entry(number)).await.unwrap();
    }
    let client = mongodb::Client::with_uri_str(database.uri()).await.unwrap();
    let collection = client.database(database.name()).collection::<Document>("audit");
    let tenant = Tenant::default();

    let original = collection.find_one(doc! { "seq": 3_i64 }).await.unwrap().unwrap();
    collection
        .update_one(doc! { "seq": 3_i64 }, doc! { "$set": { "object": "another" } })
        .await
        .unwrap();
    let broken = audit::verify(store, &tenant).await.unwrap().broken.unwrap();
    assert_eq!(
        (broken.seq, broken.reason.as_str()),
        (3, "its content does not match its hash")
    );

    collection.delete_one(doc! { "seq": 3_i64 }).await.unwrap();
    let broken = audit::verify(store, &tenant).await.unwrap().broken.unwrap();
    assert_eq!((broken.seq, broken.reason.as_str()), (4, "entries 3 to 3 are missing"));

    let mut forged = original.clone();
    forged.insert("actor", "user:mallory");
    collection.insert_one(forged).await.unwrap();
    assert_eq!(audit::verify(store, &tenant).await.unwrap().broken.unwrap().seq, 3);

    collection.replace_one(doc! { "seq": 3_i64 }, original).await.unwrap();
    assert_eq!(audit::verify(store, &tenant).await.unwrap().broken, None);
}
