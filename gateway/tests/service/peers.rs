//! Stand-ins for the nodes a gateway calls. They store what they are given, as the real ones do.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bootstrap::grpc::Limits;
use bootstrap::tls;
use futures_util::Stream;
use identity::{ClientAuth, RevocationList};
use model::indicator::Indicator;
use model::node::Role;
use model::{BatchKey, Epoch, Event, EventId, Fields, Partition, SourceId, Tenant, Timestamp};
use prost::Message as _;
use proto::agent::v1::agent_admin_service_server::{AgentAdminService, AgentAdminServiceServer};
use proto::agent::v1::{
    CreateEnrolmentTokenRequest, CreateEnrolmentTokenResponse, RevokeAgentRequest, RevokeAgentResponse,
};
use proto::detection::v1::indicator_service_server::{IndicatorService, IndicatorServiceServer};
use proto::detection::v1::{
    DeleteIndicatorsRequest, DeleteIndicatorsResponse, PutIndicatorsRequest, PutIndicatorsResponse,
};
use proto::formats::v1::parser_service_server::{ParserService, ParserServiceServer};
use proto::formats::v1::{
    DeleteParserRequest, DeleteParserResponse, ParserMistake, PutParserRequest, PutParserResponse,
};
use proto::ingest::v1::ingest_service_server::{IngestService, IngestServiceServer};
use proto::ingest::v1::{Batch, Record, Records, StreamRequest, StreamResponse, SubmitRequest, SubmitResponse, record};
use proto::intel::v1::feed_service_server::FeedServiceServer;
use proto::intel::v1::hunt_service_server::{HuntService, HuntServiceServer};
use proto::intel::v1::{CancelHuntRequest, CancelHuntResponse, StartHuntRequest, StartHuntResponse};
use proto::rules::v1::rule_service_server::RuleServiceServer;
use storage::blocks::{self, BlockBatch, Day, Inserted, NewBlock};
use storage::hunts::{self, NewHunt, Quarry};
use storage::{Store, indicators};
use testkit::Authority;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use crate::feeds::FakeFeeds;
use crate::rules::FakeRules;
use crate::support::register;

/// What the stand-ins saw, and what they are to do.
#[derive(Clone)]
pub(crate) struct Fakes {
    /// Batches in the order in which they came.
    pub(crate) batches: Arc<Mutex<Vec<SubmitRequest>>>,
    pub(crate) tokens: Arc<Mutex<Vec<CreateEnrolmentTokenRequest>>>,
    pub(crate) revocations: Arc<Mutex<Vec<RevokeAgentRequest>>>,
    /// How many submissions are still to be stored with their answer lost.
    pub(crate) lost_answers: Arc<AtomicUsize>,
    /// Submissions are refused as if the collector were overloaded.
    pub(crate) busy: Arc<AtomicBool>,
    pub(crate) rules: FakeRules,
    store: Store,
}

pub(crate) async fn start(authority: &Authority, store: &Store, stop: &CancellationToken) -> Fakes {
    let fakes = Fakes {
        batches: Arc::default(),
        tokens: Arc::default(),
        revocations: Arc::default(),
        lost_answers: Arc::default(),
        busy: Arc::default(),
        rules: FakeRules::default(),
        store: store.clone(),
    };
    for name in ["collector-1", "collector-2"] {
        let routes = Routes::new(IngestServiceServer::new(fakes.clone()).max_decoding_message_size(8 * 1024 * 1024))
            .add_service(AgentAdminServiceServer::new(fakes.clone()))
            .add_service(ParserServiceServer::new(fakes.clone()));
        serve(authority, store, stop, Role::Collector, name, routes).await;
    }
    let routes = Routes::new(IndicatorServiceServer::new(fakes.clone()))
        .add_service(HuntServiceServer::new(fakes.clone()))
        .add_service(FeedServiceServer::new(FakeFeeds { store: store.clone() }))
        .add_service(RuleServiceServer::new(fakes.rules.clone()));
    serve(authority, store, stop, Role::Detector, "detector-1", routes).await;
    fakes
}

async fn serve(authority: &Authority, store: &Store, stop: &CancellationToken, role: Role, name: &str, routes: Routes) {
    let identity = authority.identity(role, name);
    let config = identity::server_config(&identity, ClientAuth::Required, &RevocationList::default()).unwrap();
    let listener = tls::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let tls = Arc::new(ArcSwap::new(config));
    tokio::spawn(bootstrap::grpc::serve(
        listener,
        tls,
        routes,
        Limits::default(),
        stop.clone(),
    ));
    register(store, role, name, addr, stop).await;
}

fn read_event(record: &Record, id: EventId) -> Event {
    let mut fields = Fields::new();
    let mut timestamp = Timestamp(record.observed_at_micros);
    match record.body.as_ref().unwrap() {
        record::Body::Line(line) => {
            fields.insert("message", String::from_utf8_lossy(line).into_owned());
        }
        record::Body::Json(json) => {
            let object: serde_json::Map<_, _> = serde_json::from_slice(json).unwrap();
            fields.insert_json("", &object);
            if let Some(time) = fields.remove("@timestamp") {
                timestamp = time.as_str().unwrap().parse().unwrap();
            }
        }
    }
    Event { id, timestamp, fields }
}

impl Fakes {
    async fn store_batch(&self, tenant: &Tenant, source: SourceId, batch: &Batch) -> bool {
        let plain = zstd::bulk::decompress(&batch.payload, 16 * 1024 * 1024).unwrap();
        let records = Records::decode(plain.as_slice()).unwrap().records;
        let epoch = Epoch(batch.epoch);
        let events: Vec<Event> = records
            .iter()
            .zip(batch.first_seq..)
            .map(|(record, seq)| read_event(record, EventId { source, epoch, seq }))
            .collect();
        for (number, events) in events.chunks(4000).enumerate() {
            let encoded = block::encode(events).unwrap();
            let first_seq = batch.first_seq + 4000 * number as u64;
            let key = BatchKey {
                tenant: tenant.clone(),
                source,
                epoch,
                first_seq,
            };
            let block = NewBlock {
                tenant: tenant.clone(),
                partition: Partition::of(tenant, &source),
                day: Day::of_batch(Timestamp(batch.created_at_micros), Timestamp::now()),
                min: encoded.meta.min_time,
                max: encoded.meta.max_time,
                events: encoded.meta.count,
                batches: vec![BlockBatch {
                    key,
                    count: encoded.meta.count,
                    hash: batch.hash.as_slice().try_into().unwrap(),
                    link: None,
                }],
                ips: encoded.meta.ips,
                minutes: encoded.meta.minutes,
                token_filter: encoded.meta.token_filter,
                body: encoded.bytes,
                node: "collector-1".parse().unwrap(),
                at: self.store.now().await.unwrap(),
            };
            match blocks::insert(&self.store, &block).await.unwrap() {
                Inserted::Stored(_) => {}
                Inserted::Duplicate(known) => {
                    assert_eq!(known[0].hash, block.batches[0].hash, "another batch under the same key");
                    return true;
                }
            }
        }
        false
    }
}

#[tonic::async_trait]
impl IngestService for Fakes {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

    async fn stream(
        &self,
        _request: Request<Streaming<StreamRequest>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        Err(Status::permission_denied("agents only"))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let peer = bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        assert_eq!(peer.id.id, "gateway-1");
        if self.busy.load(Ordering::SeqCst) {
            return Err(Status::resource_exhausted("slow down"));
        }
        let request = request.into_inner();
        self.batches.lock().unwrap().push(request.clone());
        let batch = request.batch.unwrap();
        let duplicate = self
            .store_batch(
                &request.tenant.parse().unwrap(),
                request.source_id.parse().unwrap(),
                &batch,
            )
            .await;
        let lost = self
            .lost_answers
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if lost.is_ok() {
            return Err(Status::unavailable("the connection broke"));
        }
        Ok(Response::new(SubmitResponse {
            accepted: if duplicate { 0 } else { batch.count },
            duplicate,
        }))
    }
}

#[tonic::async_trait]
impl AgentAdminService for Fakes {
    async fn create_enrolment_token(
        &self,
        request: Request<CreateEnrolmentTokenRequest>,
    ) -> Result<Response<CreateEnrolmentTokenResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        self.tokens.lock().unwrap().push(request.into_inner());
        Ok(Response::new(CreateEnrolmentTokenResponse {
            token: "pt_secret".to_owned(),
            expires_at_micros: 1_700_000_000_000_000,
        }))
    }

    async fn revoke_agent(
        &self,
        request: Request<RevokeAgentRequest>,
    ) -> Result<Response<RevokeAgentResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        let request = request.into_inner();
        if request.agent_id.starts_with("00000000") {
            return Err(Status::not_found("no such agent"));
        }
        self.revocations.lock().unwrap().push(request);
        Ok(Response::new(RevokeAgentResponse { changed: true }))
    }
}

/// Takes what calls itself `door`, and finds a mistake in all else.
#[tonic::async_trait]
impl ParserService for Fakes {
    async fn put_parser(&self, request: Request<PutParserRequest>) -> Result<Response<PutParserResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        if request.into_inner().text == "name = \"door\"" {
            return Ok(Response::new(PutParserResponse {
                name: "door".to_owned(),
                revision: 1,
                ..PutParserResponse::default()
            }));
        }
        Ok(Response::new(PutParserResponse {
            mistakes: vec![ParserMistake {
                line: 2,
                column: 7,
                field: "name".to_owned(),
                reason: "expected a string".to_owned(),
            }],
            ..PutParserResponse::default()
        }))
    }

    async fn delete_parser(
        &self,
        request: Request<DeleteParserRequest>,
    ) -> Result<Response<DeleteParserResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        let deleted = request.into_inner().name == "door";
        Ok(Response::new(DeleteParserResponse { deleted }))
    }
}

#[tonic::async_trait]
impl HuntService for Fakes {
    async fn start_hunt(&self, request: Request<StartHuntRequest>) -> Result<Response<StartHuntResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        let request = request.into_inner();
        let values = request.indicators.iter();
        let new = NewHunt {
            tenant: request.tenant.parse().unwrap(),
            quarry: Quarry::Indicators(
                values
                    .map(|one| (one.r#type.parse().unwrap(), one.value.clone()))
                    .collect(),
            ),
            from: None,
            to: None,
            alert: request.alert,
            requested_by: request.requested_by,
        };
        let id = hunts::enqueue(&self.store, &new).await.unwrap();
        Ok(Response::new(StartHuntResponse { id }))
    }

    async fn cancel_hunt(&self, request: Request<CancelHuntRequest>) -> Result<Response<CancelHuntResponse>, Status> {
        let request = request.into_inner();
        let tenant = request.tenant.parse().unwrap();
        let cancelled = hunts::cancel(&self.store, &tenant, &request.id).await.unwrap();
        Ok(Response::new(CancelHuntResponse { cancelled }))
    }
}

#[tonic::async_trait]
impl IndicatorService for Fakes {
    async fn put_indicators(
        &self,
        request: Request<PutIndicatorsRequest>,
    ) -> Result<Response<PutIndicatorsResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        let request = request.into_inner();
        let now = Timestamp::from_millis(Timestamp::now().as_millis());
        let mut errors = Vec::new();
        for indicator in &request.indicators {
            let stored: Indicator = serde_json::from_value(serde_json::json!({
                "tenant": request.tenant,
                "type": indicator.r#type,
                "value": indicator.value,
                "source": indicator.source,
                "note": indicator.note,
                "tags": indicator.tags,
                "confidence": indicator.confidence.unwrap_or(75),
                "tlp": (!indicator.tlp.is_empty()).then_some(&indicator.tlp),
                "created_at": now,
                "updated_at": now,
                "valid_until": null,
            }))
            .unwrap();
            indicators::upsert(&self.store, &[stored]).await.unwrap();
            errors.push(String::new());
        }
        Ok(Response::new(PutIndicatorsResponse { errors }))
    }

    async fn delete_indicators(
        &self,
        request: Request<DeleteIndicatorsRequest>,
    ) -> Result<Response<DeleteIndicatorsResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        let request = request.into_inner();
        let tenant = request.tenant.parse().unwrap();
        let values = request.values.iter();
        let selector = indicators::Selector {
            values: values
                .map(|one| (one.r#type.parse().unwrap(), one.value.clone()))
                .collect(),
            source: request.source,
            feed: request.feed,
        };
        let deleted = indicators::remove(&self.store, &tenant, &selector).await.unwrap();
        Ok(Response::new(DeleteIndicatorsResponse { deleted }))
    }
}
