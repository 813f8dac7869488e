//! Indicators are found in events that were stored before anybody knew of them.

use std::time::Duration;

use model::alert::Alert;
use model::indicator::{Indicator, IndicatorType};
use model::node::Role;
use model::{SourceId, Tenant, Timestamp};
use proto::intel::v1::hunt_service_client::HuntServiceClient;
use proto::intel::v1::{CancelHuntRequest, HuntedValue, StartHuntRequest};
use storage::hunts::{self, NewHunt, State};
use storage::indicators;

use crate::sandbox::{Sandbox, event, eventually, name};

fn found(alerts: &[Alert]) -> Vec<&Alert> {
    alerts.iter().filter(|alert| alert.rule_id == "ti_ip").collect()
}

async fn done(sandbox: &Sandbox, id: &str) -> hunts::Hunt {
    let tenant = Tenant::default();
    eventually("the hunt is over", async || {
        let hunt = hunts::get(&sandbox.store, &tenant, id).await.unwrap().unwrap();
        hunt.state.is_over()
    })
    .await;
    hunts::get(&sandbox.store, &tenant, id).await.unwrap().unwrap()
}

fn request(value: &str, alert: bool) -> StartHuntRequest {
    StartHuntRequest {
        tenant: "default".to_owned(),
        requested_by: "key:test".to_owned(),
        indicators: vec![HuntedValue {
            r#type: "ip".to_owned(),
            value: value.to_owned(),
        }],
        alert,
        ..StartHuntRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hunt_finds_what_was_stored_before_and_alerts_on_it_once() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    for block in 0..3 {
        let source = SourceId::named("test", &format!("hunt-{block}"));
        let events: Vec<_> = (0..4).map(|seq| event(source, seq, "success")).collect();
        sandbox.store_block(&events).await;
    }
    sandbox.settle().await;
    let mut client = HuntServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);

    let quiet = client.start_hunt(request("203.0.113.0/24", false)).await.unwrap();
    let quiet = done(&sandbox, &quiet.into_inner().id).await;
    assert_eq!((quiet.state, quiet.progress.matches), (State::Done, 12));
    assert_eq!(found(&sandbox.alerts().await).len(), 0);
    let matches = hunts::list_matches(&sandbox.store, &Tenant::default(), &quiet.id, None, 100)
        .await
        .unwrap();
    assert_eq!(matches.len(), 12);
    assert_eq!(
        (matches[0].value.as_str(), matches[0].field.as_str()),
        ("203.0.113.0/24", "source.ip")
    );

    // Live detection learns of the indicator, and a hunt with alerts runs twice.
    let one = Indicator::new(
        Tenant::default(),
        IndicatorType::Ip,
        "203.0.113.7",
        "test",
        Timestamp(0),
    )
    .unwrap();
    indicators::upsert(&sandbox.store, std::slice::from_ref(&one))
        .await
        .unwrap();
    let source = SourceId::named("test", "live");
    let mut seq = 0;
    eventually("a new event is alerted on", async || {
        sandbox.store_block(&[event(source, seq, "success")]).await;
        seq += 1;
        sandbox.settle().await;
        !found(&sandbox.alerts().await).is_empty()
    })
    .await;
    for round in 0..2 {
        let loud = client.start_hunt(request("203.0.113.7", true)).await.unwrap();
        let loud = done(&sandbox, &loud.into_inner().id).await;
        assert_eq!(loud.state, State::Done, "{:?}", loud.error);
        let alerts = sandbox.alerts().await;
        let found = found(&alerts);
        assert_eq!(found.len() as u64, 12 + seq, "round {round}");
        assert!(found.iter().filter(|alert| alert.retroactive).count() >= 12);
        assert!(
            found.iter().any(|alert| !alert.retroactive),
            "what was alerted live stays as it was"
        );
        assert_eq!(loud.progress.alerts > 0, round == 0);
        let indicator = found[0].indicator.as_ref().unwrap();
        assert_eq!((indicator.source.as_str(), indicator.confidence), ("test", Some(75)));
    }

    let absent = client.start_hunt(request("198.51.100.1", true)).await.unwrap();
    let absent = done(&sandbox, &absent.into_inner().id).await;
    assert_eq!((absent.state, absent.progress.matches), (State::Done, 0));
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hunt_whose_detector_died_is_finished_by_another() {
    let sandbox = Sandbox::new().await;
    let source = SourceId::named("test", "left");
    sandbox
        .store_block(&[event(source, 0, "success"), event(source, 1, "success")])
        .await;
    let tenant = Tenant::default();
    let mut of_feed = Indicator::new(
        tenant.clone(),
        IndicatorType::Ip,
        "203.0.113.7",
        "test",
        Timestamp::now(),
    )
    .unwrap();
    of_feed.feed = "feed".to_owned();
    of_feed.valid_from = Some(Timestamp::now());
    indicators::upsert(&sandbox.store, &[of_feed]).await.unwrap();
    let new = NewHunt::of_feed(tenant.clone(), "feed", Timestamp(0), "feed:feed");
    let id = hunts::enqueue(&sandbox.store, &new).await.unwrap();
    let dead = name("detector-dead");
    eventually("the hunt is taken", async || {
        let claimed = hunts::claim(&sandbox.store, &dead, Duration::from_millis(300))
            .await
            .unwrap();
        claimed.is_some_and(|claimed| claimed.hunt.id == id)
    })
    .await;
    let detector = sandbox.start("detector-1").await;
    let hunt = done(&sandbox, &id).await;
    assert_eq!((hunt.state, hunt.node.as_deref()), (State::Done, Some("detector-1")));
    sandbox.settle().await;
    assert_eq!(found(&sandbox.alerts().await).len(), 2);
    let lost = hunts::renew(
        &sandbox.store,
        &dead,
        &id,
        &hunts::Step::default(),
        Duration::from_secs(1),
    )
    .await;
    assert!(!lost.unwrap(), "the dead one's word does not count");
    detector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hunt_cannot_be_is_refused_by_name() {
    let sandbox = Sandbox::new().await;
    let detector = sandbox.start("detector-1").await;
    for role in [Role::Collector, Role::Agent, Role::Detector, Role::Responder] {
        let mut stranger = HuntServiceClient::new(sandbox.connect(&detector, role).await);
        let status = stranger.start_hunt(request("10.0.0.1", false)).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{role}");
    }
    let mut client = HuntServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
    let mut both = request("10.0.0.1", false);
    both.feed = "feed".to_owned();
    let mut neither = both.clone();
    neither.indicators.clear();
    neither.feed.clear();
    let mut backwards = request("10.0.0.1", false);
    (backwards.from_micros, backwards.to_micros) = (2, 1);
    for (wrong, start) in [
        (request("10.0.0", false), "indicators[0].value: expected"),
        (both, "indicators: expected either"),
        (neither, "indicators: expected either"),
        (backwards, "from_micros: expected"),
    ] {
        let status = client.start_hunt(wrong).await.unwrap_err();
        assert!(status.message().starts_with(start), "{}", status.message());
    }
    let cancel = CancelHuntRequest {
        tenant: "default".to_owned(),
        requested_by: String::new(),
        id: "none".to_owned(),
    };
    assert!(!client.cancel_hunt(cancel).await.unwrap().into_inner().cancelled);
    detector.stop().await;
}
