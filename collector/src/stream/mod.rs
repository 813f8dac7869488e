//! `IngestService`: events coming in from endpoints and from gateways.

mod registry;
mod session;
mod standing;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::Stream;
use identity::{Identity, Peer, RevocationList};
use model::node::Role;
use model::{AgentId, NodeId, SourceId, Tenant};
use proto::ingest::v1::ingest_service_server::IngestService;
use proto::ingest::v1::{StreamRequest, StreamResponse, SubmitRequest, SubmitResponse};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Ingest;
use crate::intake::{Intake, Settled};
use crate::limits::IngestLimits;
use crate::load::Gauges;
use crate::memory::Memory;
use crate::normalize::Sender;

pub(crate) use registry::Registry;
use session::Session;

/// How long a submitted batch waits for memory before its sender is told to come back.
const SUBMIT_PATIENCE: Duration = Duration::from_secs(2);

/// What all streams share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) node: NodeId,
    /// Signs the receipts of streams that open from now on. A stream keeps the one it opened with: its sender checks
    /// receipts against the certificate its connection began with.
    pub(crate) identity: Arc<ArcSwap<Identity>>,
    pub(crate) revoked: RevocationList,
    pub(crate) intake: Intake,
    pub(crate) clock: Clock,
    pub(crate) limits: Arc<IngestLimits>,
    pub(crate) memory: Memory,
    pub(crate) gauges: Gauges,
    pub(crate) config: Ingest,
    pub(crate) shutdown: CancellationToken,
    pub(crate) streams: Registry,
}

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<Shared>);

type Responses = Pin<Box<dyn Stream<Item = Result<StreamResponse, Status>> + Send>>;

#[tonic::async_trait]
impl IngestService for Service {
    type StreamStream = Responses;

    async fn stream(&self, request: Request<Streaming<StreamRequest>>) -> Result<Response<Responses>, Status> {
        let peer = bootstrap::grpc::require_role(&request, &[Role::Agent])?;
        let agent: AgentId = peer
            .id
            .id
            .parse()
            .map_err(|error| Status::unauthenticated(format!("certificate names no agent: {error}")))?;
        self.admit(&peer, agent).await?;
        // Room for every receipt of a window, so that a reader that is slow for a moment stops nothing.
        let (responses, stream) = mpsc::channel(self.0.config.window as usize + 16);
        let session = Session::new(Arc::clone(&self.0), peer, agent, Uuid::new_v4(), responses);
        tokio::spawn(session.run(request.into_inner()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        bootstrap::grpc::require_role(&request, &[Role::Gateway])?;
        let request = request.into_inner();
        let tenant: Tenant = request
            .tenant
            .parse()
            .map_err(|error| Status::invalid_argument(format!("tenant: {error}")))?;
        let source: SourceId = request
            .source_id
            .parse()
            .map_err(|error| Status::invalid_argument(format!("source_id: {error}")))?;
        let batch = request
            .batch
            .ok_or_else(|| Status::invalid_argument("batch: expected a batch"))?;
        let memory = self
            .0
            .memory
            .take(batch.uncompressed_bytes, batch.count, SUBMIT_PATIENCE)
            .await
            .ok_or_else(|| {
                ServiceError::new(ErrorCode::RateLimited, "the collector holds as many events as it may")
                    .with_retry_after(SUBMIT_PATIENCE)
            })?;
        let sender = Sender {
            tenant,
            source,
            agent_id: None,
            host: String::new(),
            os_type: String::new(),
            os_name: String::new(),
            agent_version: String::new(),
        };
        match self.0.intake.batch(Arc::new(sender), batch, memory).await {
            Ok(Settled::Taken { conflict: true, .. }) => Err(Status::already_exists(
                "batch: another batch is stored under this source, epoch and first_seq",
            )),
            Ok(Settled::Taken {
                accepted, duplicate, ..
            }) => Ok(Response::new(SubmitResponse { accepted, duplicate })),
            Ok(Settled::Refused(refusal)) => Err(Status::invalid_argument(format!("batch.{refusal}"))),
            Err(gave_up) => Err(Status::unavailable(gave_up.to_string())),
        }
    }
}

impl Service {
    /// Refuses endpoints that are not known or were revoked. The certificate alone does not say so: it may have been
    /// issued by the same authority for another installation.
    async fn admit(&self, peer: &Peer, agent: AgentId) -> Result<(), Status> {
        let known = storage::agents::get(&self.0.store, &peer.id.tenant, agent)
            .await
            .map_err(|error| unavailable(&error))?;
        let reason = match known {
            Some(known) if known.revoked_at.is_none() && !self.0.revoked.contains(&peer.serial) => return Ok(()),
            Some(_) => "agent is revoked",
            None => "agent is not enrolled here",
        };
        metrics::counter!("picket_collector_streams_refused_total").increment(1);
        tracing::warn!(agent.id = %agent, tenant = %peer.id.tenant, certificate.serial = %peer.serial, reason, "stream refused");
        Err(Status::unauthenticated(reason))
    }
}

/// The database is away, and the caller should come back.
pub(crate) fn unavailable(error: &storage::Error) -> Status {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "request failed for lack of the database"
    );
    ServiceError::new(ErrorCode::Unavailable, "the database is unavailable")
        .with_retry_after(Duration::from_secs(1))
        .into()
}
