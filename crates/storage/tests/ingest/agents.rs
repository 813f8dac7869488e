//! Endpoints: enrolled, heard from, flagged, revoked.

use std::collections::BTreeMap;

use model::agent::{Agent, HostInfo};
use model::{AgentId, Epoch, Tenant, Timestamp};
use storage::agents::{
    DropTotal, Revoked, close_stream, count, flag_duplicate, get, insert, list, open_stream, record_drops, revoke,
    touch,
};
use storage::{Error, Store};
use uuid::Uuid;

async fn agent(store: &Store) -> Agent {
    let agent = Agent {
        id: AgentId(Uuid::new_v4()),
        tenant: Tenant::default(),
        group: "web".to_owned(),
        host: HostInfo {
            hostname: "web-1".to_owned(),
            os_type: "linux".to_owned(),
            os_name: "Debian 12".to_owned(),
            agent_version: "0.1.0".to_owned(),
        },
        enrolled_at: Timestamp::from_millis(1_772_625_600_123),
        last_seen_at: None,
        revoked_at: None,
        duplicate_seen_at: None,
        dropped: BTreeMap::new(),
        backlog: None,
    };
    insert(store, &agent).await.unwrap();
    agent
}

#[tokio::test]
async fn an_agent_comes_back_as_it_was_and_only_to_its_tenant() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let agent = agent(&store).await;
    assert_eq!(
        get(&store, &agent.tenant, agent.id).await.unwrap().as_ref(),
        Some(&agent)
    );
    assert_eq!(get(&store, &"other".parse().unwrap(), agent.id).await.unwrap(), None);
    assert_eq!(
        list(&store, &agent.tenant, 10).await.unwrap(),
        std::slice::from_ref(&agent)
    );
    assert!(matches!(insert(&store, &agent).await, Err(Error::Duplicate(_))));
}

#[tokio::test]
async fn a_revoked_agent_opens_no_stream() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let agent = agent(&store).await;
    let (tenant, node) = (&agent.tenant, "collector-1".parse().unwrap());
    let stream = Uuid::new_v4();
    assert_eq!(count(&store, tenant).await.unwrap(), 1);
    assert!(
        open_stream(&store, tenant, agent.id, stream, &node, &agent.host)
            .await
            .unwrap()
    );
    assert_eq!(
        revoke(&store, tenant, agent.id, "test").await.unwrap(),
        Revoked::Changed
    );
    assert_eq!(
        revoke(&store, tenant, agent.id, "test").await.unwrap(),
        Revoked::Already
    );
    let nobody = AgentId(Uuid::new_v4());
    assert_eq!(revoke(&store, tenant, nobody, "test").await.unwrap(), Revoked::Unknown);
    assert_eq!(count(&store, tenant).await.unwrap(), 0);
    assert!(
        !touch(&store, tenant, agent.id, stream, None, None)
            .await
            .unwrap()
            .allowed
    );
    assert!(
        !open_stream(&store, tenant, agent.id, stream, &node, &agent.host)
            .await
            .unwrap()
    );
    assert!(
        !open_stream(&store, tenant, nobody, stream, &node, &agent.host)
            .await
            .unwrap()
    );
    assert!(!touch(&store, tenant, nobody, stream, None, None).await.unwrap().allowed);
}

#[tokio::test]
async fn the_stream_that_opened_last_is_the_latest_until_it_closes() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let agent = agent(&store).await;
    let (tenant, node) = (&agent.tenant, "collector-1".parse().unwrap());
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    let is_latest = async |stream| {
        touch(&store, tenant, agent.id, stream, Some((Epoch(1), 5)), None)
            .await
            .unwrap()
            .latest
    };
    for stream in [first, second] {
        assert!(
            open_stream(&store, tenant, agent.id, stream, &node, &agent.host)
                .await
                .unwrap()
        );
        assert!(is_latest(stream).await);
    }
    assert!(!is_latest(first).await);
    close_stream(&store, tenant, agent.id, first).await.unwrap();
    assert!(is_latest(second).await, "closing another stream changes nothing");
    close_stream(&store, tenant, agent.id, second).await.unwrap();
    assert!(is_latest(first).await, "the only one left");
    flag_duplicate(&store, tenant, agent.id).await.unwrap();
    let seen = get(&store, tenant, agent.id).await.unwrap().unwrap();
    assert!(seen.duplicate_seen_at.is_some() && seen.last_seen_at.is_some());
}

#[tokio::test]
async fn totals_of_given_up_events_only_grow_and_are_bounded() {
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let agent = agent(&store).await;
    let record = async |epoch, total| {
        let drop = DropTotal {
            reason: "spool_full",
            epoch: Epoch(epoch),
            total,
        };
        record_drops(&store, &agent.tenant, agent.id, &drop).await.unwrap()
    };
    assert_eq!(record(1, 10).await, 10);
    assert_eq!(record(1, 10).await, 0);
    assert_eq!(record(1, 15).await, 5);
    assert_eq!(record(1, 3).await, 0);
    assert_eq!(record(2, 7).await, 7);
    let dropped = async || get(&store, &agent.tenant, agent.id).await.unwrap().unwrap().dropped;
    assert_eq!(dropped().await, BTreeMap::from([("spool_full".to_owned(), 22)]));
    for epoch in 3..100 {
        record(epoch, 1).await;
    }
    assert_eq!(dropped().await["spool_full"], 22 + 62);
    assert_eq!(record(1, 20).await, 5, "epochs that are known go on");
}
