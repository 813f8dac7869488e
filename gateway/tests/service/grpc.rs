//! gRPC on the same port.

use std::time::Duration;

use bootstrap::grpc::connect_tls;
use futures_util::StreamExt as _;
use identity::RevocationList;
use model::Level;
use model::node::Role;
use proto::query::v1::query_service_client::QueryServiceClient;
use proto::query::v1::watch_alerts_response::Body;
use proto::query::v1::{
    EventFilter, ExportEventsRequest, GetEventHistogramRequest, GetStatusRequest, GetTopValuesRequest,
    ListAlertsRequest, SearchEventsRequest, WatchAlertsRequest, WatchAlertsResponse,
};
use serde_json::{Value, json};
use tonic::codegen::InterceptedService;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{self, ADMIN_KEY, DEADLINE, Gateway, alert, store_alerts};

#[derive(Clone)]
struct Credentials(&'static str, String);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value: MetadataValue<_> = self.1.parse().unwrap();
        request.metadata_mut().insert(self.0, value);
        Ok(request)
    }
}

type Client = QueryServiceClient<InterceptedService<Channel, Credentials>>;

pub(crate) async fn channel(gateway: &Gateway) -> Channel {
    let someone = gateway.authority.identity(Role::Operator, "someone");
    let tls = identity::client_config(&someone, Role::Gateway, &RevocationList::default()).unwrap();
    connect_tls(&gateway.addr.to_string(), tls).await.unwrap().channel
}

async fn client(gateway: &Gateway) -> Client {
    let credentials = Credentials("x-api-key", ADMIN_KEY.to_owned());
    QueryServiceClient::with_interceptor(channel(gateway).await, credentials)
}

async fn next(stream: &mut Streaming<WatchAlertsResponse>) -> Result<Body, Status> {
    let item = tokio::time::timeout(DEADLINE, stream.next()).await.expect("in time");
    item.expect("an item").map(|response| response.body.unwrap())
}

/// The next alert's id and cursor; heartbeats are skipped.
async fn next_alert(stream: &mut Streaming<WatchAlertsResponse>) -> (String, String) {
    loop {
        if let Body::Alert(watched) = next(stream).await.unwrap() {
            return (watched.alert.unwrap().id, watched.cursor);
        }
    }
}

fn watch(cursor: &str, min_level: &str) -> WatchAlertsRequest {
    WatchAlertsRequest {
        cursor: cursor.to_owned(),
        min_level: min_level.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_watched_and_a_watch_resumes_where_it_stood() {
    let gateway = support::start().await;
    let mut client = client(&gateway).await;
    let mut stream = client.watch_alerts(watch("", "")).await.unwrap().into_inner();
    let Body::Heartbeat(first) = next(&mut stream).await.unwrap() else {
        panic!("expected a heartbeat at once")
    };
    assert!(!first.cursor.is_empty());

    let made: Vec<_> = (0..4).map(|n| alert(n, Level::High)).collect();
    store_alerts(&gateway.store, &made[..2]).await;
    let (id, cursor) = next_alert(&mut stream).await;
    assert_eq!(id, made[0].id.to_string());
    assert_eq!(next_alert(&mut stream).await.0, made[1].id.to_string());
    drop(stream);

    store_alerts(&gateway.store, &made[2..]).await;
    let mut resumed = client.watch_alerts(watch(&cursor, "")).await.unwrap().into_inner();
    for alert in &made[1..] {
        assert_eq!(next_alert(&mut resumed).await.0, alert.id.to_string());
    }
    let mut from_heartbeat = client
        .watch_alerts(watch(&first.cursor, ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(next_alert(&mut from_heartbeat).await.0, made[0].id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_alerts_of_the_level_are_watched() {
    let gateway = support::start().await;
    let mut client = client(&gateway).await;
    let mut stream = client.watch_alerts(watch("", "high")).await.unwrap().into_inner();
    let made = [
        alert(0, Level::Low),
        alert(1, Level::Critical),
        alert(2, Level::Medium),
        alert(3, Level::High),
    ];
    store_alerts(&gateway.store, &made).await;
    assert_eq!(next_alert(&mut stream).await.0, made[1].id.to_string());
    assert_eq!(next_alert(&mut stream).await.0, made[3].id.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_watches_are_refused_and_their_number_is_bounded() {
    let gateway = support::start_with(|config| config.http.max_watches_per_identity = 2).await;
    let mut client = client(&gateway).await;
    for (request, field) in [(watch("zz", ""), "cursor: "), (watch("", "bad"), "min_level: ")] {
        let status = client.watch_alerts(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
    let first = client.watch_alerts(watch("", "")).await.unwrap();
    let _second = client.watch_alerts(watch("", "")).await.unwrap();
    let status = client.watch_alerts(watch("", "")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(first);
    testkit::poll_until(DEADLINE, "a place for another watch", async || {
        client.watch_alerts(watch("", "")).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_ends_its_watches() {
    let gateway = support::start().await;
    let mut stream = client(&gateway)
        .await
        .watch_alerts(watch("", ""))
        .await
        .unwrap()
        .into_inner();
    next(&mut stream).await.unwrap();
    gateway.ctx.shutdown.cancel();
    let status = loop {
        match next(&mut stream).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    gateway.ctx.clone().drain(Duration::from_secs(10)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_status_answer_with_a_key_or_a_token() {
    let gateway = support::start().await;
    store_alerts(&gateway.store, &[alert(0, Level::Low), alert(1, Level::High)]).await;
    let token = Credentials("authorization", format!("Bearer {}", gateway.token().await));
    let mut client = QueryServiceClient::with_interceptor(channel(&gateway).await, token);
    let list = |min_level: &str| ListAlertsRequest {
        min_level: min_level.to_owned(),
        ip: "10.0.0.5".to_owned(),
        ..ListAlertsRequest::default()
    };
    let alerts = client.list_alerts(list("")).await.unwrap().into_inner().alerts;
    assert_eq!(alerts.len(), 2);
    assert_eq!((alerts[0].level.as_str(), alerts[0].severity), ("high", 4));
    assert_eq!(alerts[0].techniques, ["T1110"]);
    let shown: serde_json::Value = serde_json::from_str(&alerts[0].json).unwrap();
    assert_eq!(shown["event"]["message"], "Failed password");
    assert_eq!(
        client
            .list_alerts(list("high"))
            .await
            .unwrap()
            .into_inner()
            .alerts
            .len(),
        1
    );
    let wrong = ListAlertsRequest {
        limit: 5000,
        ..ListAlertsRequest::default()
    };
    assert_eq!(
        client.list_alerts(wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let status = client.get_status(GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.alerts_total, status.events_total), (2, 0));
    assert_eq!(status.nodes.len(), 4);
    assert!(status.nodes.iter().all(|node| node.alive));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_without_credentials() {
    let gateway = support::start().await;
    let mut health = HealthClient::new(channel(&gateway).await);
    for service in ["", "picket.query.v1.QueryService"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status, 1, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_answer_as_over_rest() {
    let gateway = support::start().await;
    let events: Vec<Value> = (0..20)
        .map(|n| json!({ "@timestamp": format!("2026-11-20T10:00:{n:02}Z"), "message": format!("word{n} common"), "n": n % 2 }))
        .collect();
    gateway.post("/ingest", json!(events)).await;
    let mut client = client(&gateway).await;
    let filter = |query: &str| {
        Some(EventFilter {
            query: query.to_owned(),
            from: "2026-11-20".to_owned(),
            to: "2026-11-21".to_owned(),
            ..EventFilter::default()
        })
    };
    let request = SearchEventsRequest {
        filter: filter("common n:1"),
        limit: 3,
        count: true,
        ..Default::default()
    };
    let page = client.search_events(request).await.unwrap().into_inner();
    assert_eq!((page.events_json.len(), page.total), (3, Some(10)));
    assert!(page.events_json[0].contains("word19") && !page.next_cursor.is_empty() && page.partial.is_none());

    let refused = client
        .search_events(SearchEventsRequest {
            filter: filter("common AND"),
            ..Default::default()
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.metadata().get("query-position").unwrap(), "11");

    let request = ExportEventsRequest {
        filter: filter("n:0"),
        format: "csv".to_owned(),
        fields: vec!["message".to_owned()],
        limit: 2,
    };
    let mut pieces = client.export_events(request).await.unwrap().into_inner();
    let mut file = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        file.extend_from_slice(&piece.piece);
    }
    assert_eq!(
        String::from_utf8(file).unwrap(),
        "message\r\nword18 common\r\nword16 common\r\n"
    );

    let request = GetEventHistogramRequest {
        filter: filter(""),
        interval_secs: 3600,
    };
    let histogram = client.get_event_histogram(request).await.unwrap().into_inner();
    assert_eq!(
        (histogram.total, histogram.buckets.len(), histogram.buckets[10].count),
        (20, 24, 20)
    );

    let request = GetTopValuesRequest {
        filter: filter("word1*"),
        field: "n".to_owned(),
        limit: 1,
    };
    let top = client.get_top_values(request).await.unwrap().into_inner();
    assert_eq!((top.total, top.distinct, top.values[0].count), (11, 2, 6));
}
