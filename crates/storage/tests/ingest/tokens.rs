//! Enrolment tokens: uses, expiry, hashes.

use model::{Tenant, Timestamp};
use storage::enrolment_tokens::{Token, insert, list, peek, redeem};

fn token(hash: &str, uses_left: u32, expires_in_secs: i64) -> Token {
    let now = Timestamp::from_millis(Timestamp::now().as_millis());
    Token {
        hash: hash.to_owned(),
        tenant: Tenant::default(),
        group: "web".to_owned(),
        uses_left,
        expires_at: Timestamp(now.0 + expires_in_secs * 1_000_000),
        created_at: now,
        created_by: "user:admin".to_owned(),
    }
}

#[tokio::test]
async fn a_token_lets_in_as_many_as_it_has_uses() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let made = token("aa", 5, 60);
    insert(&store, &made).await.unwrap();
    assert_eq!(peek(&store, "aa").await.unwrap().as_ref(), Some(&made));
    let tries = (0..20).map(|_| redeem(&store, "aa"));
    let redeemed = futures_util::future::try_join_all(tries).await.unwrap();
    assert_eq!(redeemed.into_iter().filter(|redeemed| *redeemed).count(), 5);
    assert_eq!(peek(&store, "aa").await.unwrap(), None);
    assert_eq!(list(&store, &Tenant::default()).await.unwrap()[0].uses_left, 0);
    assert!(list(&store, &"other".parse().unwrap()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_expired_or_unknown_token_lets_nobody_in() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    insert(&store, &token("aa", 5, -1)).await.unwrap();
    for hash in ["aa", "bb", ""] {
        assert_eq!(peek(&store, hash).await.unwrap(), None);
        assert!(!redeem(&store, hash).await.unwrap());
    }
}
