//! Certificates: recorded, revoked, followed.

use std::time::Duration;

use model::node::Role;
use model::{Tenant, Timestamp};
use storage::certificates::{Certificate, follow_revocations, list, record, revoke_serial, revoke_subject, revoked};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

fn certificate(serial: &str, subject: &str, not_after: Timestamp) -> Certificate {
    Certificate {
        serial: serial.to_owned(),
        tenant: Tenant::default(),
        spiffe: format!("spiffe://picket/default/agent/{subject}"),
        role: Role::Agent,
        subject: subject.to_owned(),
        not_before: Timestamp::from_millis(1_772_625_600_000),
        not_after,
        issued_at: Timestamp::from_millis(1_772_625_600_000),
        revoked_at: None,
        reason: None,
    }
}

fn tomorrow() -> Timestamp {
    Timestamp::from_millis(Timestamp::now().as_millis() + 86_400_000)
}

#[tokio::test]
async fn revoked_certificates_are_listed_until_they_expire() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let tenant = Tenant::default();
    let first = certificate("0a01", "a", tomorrow());
    record(&store, &first).await.unwrap();
    record(&store, &first).await.unwrap();
    assert_eq!(list(&store, &tenant).await.unwrap(), [first]);
    record(&store, &certificate("0a02", "a", tomorrow())).await.unwrap();
    record(&store, &certificate("0b01", "b", tomorrow())).await.unwrap();
    record(
        &store,
        &certificate("0a03", "a", Timestamp::from_millis(1_772_625_700_000)),
    )
    .await
    .unwrap();
    assert_eq!(
        revoke_subject(&store, &tenant, Role::Agent, "a", "stolen")
            .await
            .unwrap(),
        3
    );
    assert_eq!(
        revoke_subject(&store, &tenant, Role::Agent, "a", "stolen")
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        revoke_subject(&store, &tenant, Role::Gateway, "b", "stolen")
            .await
            .unwrap(),
        0
    );
    assert_eq!(revoked(&store).await.unwrap(), ["0a01", "0a02"]);
    assert!(
        !revoke_serial(&store, &"other".parse().unwrap(), "0b01", "x")
            .await
            .unwrap()
    );
    assert!(revoke_serial(&store, &tenant, "0b01", "x").await.unwrap());
    assert!(!revoke_serial(&store, &tenant, "0b01", "x").await.unwrap());
    assert_eq!(revoked(&store).await.unwrap(), ["0a01", "0a02", "0b01"]);
}

#[tokio::test]
async fn followers_hear_of_revocations_and_not_of_silence() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    record(&store, &certificate("0a01", "a", tomorrow())).await.unwrap();
    let (heard, mut lists) = mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let apply = move |serials: Vec<String>| heard.send(serials).unwrap();
    let following = tokio::spawn(follow_revocations(store.clone(), apply, stop.clone()));
    let mut next = async || tokio::time::timeout(PATIENCE, lists.recv()).await.unwrap().unwrap();
    assert!(next().await.is_empty());
    revoke_serial(&store, &Tenant::default(), "0a01", "x").await.unwrap();
    assert_eq!(next().await, ["0a01"]);
    stop.cancel();
    following.await.unwrap();
}
