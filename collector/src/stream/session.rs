//! One endpoint's stream, from its Hello to its end.
//!
//! The task reads a message only when it may take one more batch: fewer than the window are on their way, the endpoint is
//! within its rate and there is memory for the batch. So a full collector or a database that is away holds the sender back
//! through the connection itself, and what it holds is bounded.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use identity::{Identity, Peer};
use model::agent::HostInfo;
use model::{AgentId, Epoch, SourceId, Timestamp};
use proto::ingest::v1::{
    Batch, BatchRefused, DropReport, Hello, Receipt, StreamRequest, StreamResponse, Wait, Welcome, stream_request,
    stream_response,
};
use storage::agents;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::Shared;
use super::registry::Registered;
use super::standing::Standing;
use crate::batch::{MAX_PAYLOAD, MAX_UNCOMPRESSED};
use crate::delivery::Delivery;
use crate::drops;
use crate::intake::{GaveUp, Settled};
use crate::normalize::Sender;

/// How long an endpoint may take to say Hello.
const HELLO: Duration = Duration::from_secs(10);
/// Time between two looks at whether the endpoint is still allowed.
const CHECK: Duration = Duration::from_secs(1);
/// Time between two notes that the endpoint is there.
const TOUCH: Duration = Duration::from_secs(5);
/// What an endpoint is told to wait when there is no memory.
const FULL_WAIT: Duration = Duration::from_millis(500);
/// How long the endpoint may leave receipts unread.
const UNREAD: Duration = Duration::from_secs(30);
/// How long a stopping collector waits for batches to be settled.
const SETTLE: Duration = Duration::from_secs(20);
/// Longest text taken of what an endpoint says about itself, in characters.
const MAX_HOST_TEXT: usize = 255;

type InFlight = FuturesUnordered<Pin<Box<dyn Future<Output = (BatchId, Result<Settled, GaveUp>)> + Send>>>;
type Admission = Pin<Box<dyn Future<Output = (Batch, Arc<OwnedSemaphorePermit>)> + Send>>;
type Touch = Pin<Box<dyn Future<Output = Result<agents::Standing, storage::Error>> + Send>>;

#[derive(Clone, Copy)]
struct BatchId {
    epoch: Epoch,
    first_seq: u64,
}

/// How a stream ends.
struct End(Status);

pub(super) struct Session {
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    peer: Peer,
    agent: AgentId,
    stream: Uuid,
    responses: mpsc::Sender<Result<StreamResponse, Status>>,
    delivery: Delivery,
    delivered: Option<(Epoch, u64)>,
    standing: Standing,
    chain: Option<ChainEnd>,
    drops: drops::Recorder,
}

/// Where the last batch ended, to see whether the next one follows from it.
struct ChainEnd {
    epoch: u64,
    end: u64,
    hash: Vec<u8>,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        peer: Peer,
        agent: AgentId,
        stream: Uuid,
        responses: mpsc::Sender<Result<StreamResponse, Status>>,
    ) -> Self {
        let outlives = Duration::from_secs(shared.config.duplicate_after_secs);
        let drops = drops::Recorder::new(shared.store.clone(), peer.id.tenant.clone(), agent);
        Self {
            identity: shared.identity.load_full(),
            shared,
            peer,
            agent,
            stream,
            responses,
            delivery: Delivery::default(),
            delivered: None,
            standing: Standing::new(outlives),
            chain: None,
            drops,
        }
    }

    pub(super) async fn run(mut self, mut requests: Streaming<StreamRequest>) {
        let ended = match self.begin(&mut requests).await {
            Ok((sender, registered)) => self.serve(&mut requests, sender, registered).await,
            Err(end) => Err(end),
        };
        let (store, tenant) = (&self.shared.store, &self.peer.id.tenant);
        let closed = tokio::time::timeout(CHECK, agents::close_stream(store, tenant, self.agent, self.stream)).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!(agent.id = %self.agent, "end of stream could not be recorded");
        }
        if let Err(End(status)) = ended {
            tracing::info!(agent.id = %self.agent, code = ?status.code(), reason = status.message(), "stream closed");
            // If it cannot be told, the closed stream says enough.
            let _ = self.responses.try_send(Err(status));
        }
    }

    /// Hears the Hello and answers it.
    async fn begin(&mut self, requests: &mut Streaming<StreamRequest>) -> Result<(Arc<Sender>, Registered), End> {
        let first = tokio::time::timeout(HELLO, requests.message())
            .await
            .map_err(|_| End(Status::deadline_exceeded("expected a Hello within 10 seconds")))?;
        let hello = match first.map_err(End)?.and_then(|request| request.body) {
            Some(stream_request::Body::Hello(hello)) => hello,
            Some(stream_request::Body::Batch(_) | stream_request::Body::Drops(_)) | None => {
                return Err(End(Status::invalid_argument("expected a Hello as the first message")));
            }
        };
        let host = host_info(&hello);
        self.delivery.resume(Epoch(hello.epoch), hello.first_unacknowledged_seq);
        let shared = &self.shared;
        let opened = agents::open_stream(
            &shared.store,
            &self.peer.id.tenant,
            self.agent,
            self.stream,
            &shared.node,
            &host,
        );
        if !opened.await.map_err(|error| End(super::unavailable(&error)))? {
            return Err(End(Status::unauthenticated("agent is revoked")));
        }
        let registered = shared.streams.add(self.agent, self.stream);
        tracing::info!(agent.id = %self.agent, agent.name = host.hostname, "stream opened");
        let welcome = Welcome {
            node: shared.node.to_string(),
            window: shared.config.window,
            max_payload_bytes: MAX_PAYLOAD as u64,
            max_uncompressed_bytes: MAX_UNCOMPRESSED as u64,
        };
        self.send(stream_response::Body::Welcome(welcome)).await?;
        let sender = Sender {
            tenant: self.peer.id.tenant.clone(),
            source: SourceId::agent(self.agent),
            agent_id: Some(self.agent.to_string()),
            host: host.hostname,
            os_type: host.os_type,
        };
        Ok((Arc::new(sender), registered))
    }

    async fn serve(
        &mut self,
        requests: &mut Streaming<StreamRequest>,
        sender: Arc<Sender>,
        registered: Registered,
    ) -> Result<(), End> {
        let mut in_flight = InFlight::new();
        let mut admission: Option<Admission> = None;
        let mut touching: Option<Touch> = None;
        let mut touched_at = Instant::now();
        let mut check = tokio::time::interval(CHECK);
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let window = self.shared.config.window as usize;
        let shutdown = self.shared.shutdown.clone();
        let responses = self.responses.clone();
        loop {
            let may_read = admission.is_none() && in_flight.len() < window;
            tokio::select! {
                () = shutdown.cancelled() => return self.settle_rest(in_flight).await,
                () = responses.closed() => return Err(End(Status::cancelled("the connection is gone"))),
                request = requests.message(), if may_read => {
                    let Some(request) = request.map_err(End)? else {
                        return self.settle_rest(in_flight).await;
                    };
                    if self.standing.message(Instant::now()) {
                        self.flag_duplicate();
                    }
                    match request.body {
                        Some(stream_request::Body::Batch(batch)) => {
                            self.look_at_chain(&batch);
                            admission = Some(Box::pin(admit(
                                Arc::clone(&self.shared), sender.source, batch, self.responses.clone(),
                            )));
                        }
                        Some(stream_request::Body::Drops(report)) => self.record_drops(report),
                        Some(stream_request::Body::Hello(_)) => {
                            return Err(End(Status::invalid_argument("expected one Hello, as the first message")));
                        }
                        // A kind of message of a later version.
                        None => {}
                    }
                }
                (batch, memory) = poll(&mut admission), if admission.is_some() => {
                    admission = None;
                    let id = BatchId { epoch: Epoch(batch.epoch), first_seq: batch.first_seq };
                    if !self.delivery.begin(id.epoch, id.first_seq, batch.count) {
                        return Err(End(Status::invalid_argument("expected at most 4 epochs at once")));
                    }
                    let intake = self.shared.intake.clone();
                    let sender = Arc::clone(&sender);
                    in_flight.push(Box::pin(async move { (id, intake.batch(sender, batch, memory).await) }));
                }
                Some((id, settled)) = in_flight.next() => self.settled(id, settled).await?,
                _ = check.tick() => {
                    self.still_allowed()?;
                    if touching.is_none() && touched_at.elapsed() >= TOUCH {
                        touched_at = Instant::now();
                        touching = Some(self.touch());
                    }
                }
                () = registered.followed.notified() => {
                    // To look at once how this stream stands.
                    touched_at = Instant::now();
                    touching = Some(self.touch());
                }
                standing = poll(&mut touching), if touching.is_some() => {
                    touching = None;
                    self.touched(standing)?;
                }
            }
        }
    }

    /// Reads nothing more, settles what is on its way, and ends.
    async fn settle_rest(&mut self, mut in_flight: InFlight) -> Result<(), End> {
        let stopping = self.shared.shutdown.is_cancelled();
        let deadline = Instant::now() + SETTLE;
        while let Ok(Some((id, settled))) = tokio::time::timeout_at(deadline, in_flight.next()).await {
            self.settled(id, settled).await?;
        }
        if stopping {
            return Err(End(Status::unavailable("the collector is stopping")));
        }
        Ok(())
    }

    async fn settled(&mut self, id: BatchId, settled: Result<Settled, GaveUp>) -> Result<(), End> {
        match settled {
            Ok(Settled::Taken { conflict, .. }) => {
                if conflict {
                    tracing::warn!(agent.id = %self.agent, batch.epoch = %id.epoch, batch.first_seq = id.first_seq,
                        "another batch is stored under the same number, its events were dropped");
                }
            }
            Ok(Settled::Refused(refusal)) => {
                let refused = BatchRefused {
                    epoch: id.epoch.0,
                    first_seq: id.first_seq,
                    reason: refusal.to_string(),
                };
                self.send(stream_response::Body::Refused(refused)).await?;
            }
            Err(gave_up) => return Err(End(Status::unavailable(gave_up.to_string()))),
        }
        let Some(next_seq) = self.delivery.settle(id.epoch, id.first_seq) else {
            return Ok(());
        };
        self.delivered = Some((id.epoch, next_seq));
        let issued_at = Timestamp::now().0;
        let signature =
            identity::receipt::sign(&self.identity, self.agent, id.epoch, next_seq, issued_at).map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot sign receipts");
                End(Status::internal("cannot sign receipts"))
            })?;
        metrics::counter!("picket_collector_receipts_sent_total").increment(1);
        self.send(stream_response::Body::Receipt(Receipt {
            epoch: id.epoch.0,
            next_seq,
            issued_at_micros: issued_at,
            signature,
        }))
        .await
    }

    async fn send(&self, body: stream_response::Body) -> Result<(), End> {
        let response = StreamResponse { body: Some(body) };
        match self.responses.send_timeout(Ok(response), UNREAD).await {
            Ok(()) => Ok(()),
            Err(_) => Err(End(Status::cancelled("the agent does not read what it is sent"))),
        }
    }

    fn still_allowed(&self) -> Result<(), End> {
        let reason = if self.shared.revoked.contains(&self.peer.serial) {
            "certificate is revoked"
        } else if Timestamp::now() >= self.peer.not_after {
            "certificate has expired"
        } else {
            return Ok(());
        };
        tracing::warn!(agent.id = %self.agent, certificate.serial = %self.peer.serial, reason, "closing stream");
        Err(End(Status::unauthenticated(reason)))
    }

    fn touch(&self) -> Touch {
        let (store, tenant) = (self.shared.store.clone(), self.peer.id.tenant.clone());
        let (agent, stream, delivered) = (self.agent, self.stream, self.delivered);
        Box::pin(async move { agents::touch(&store, &tenant, agent, stream, delivered).await })
    }

    fn touched(&mut self, standing: Result<agents::Standing, storage::Error>) -> Result<(), End> {
        match standing {
            Ok(standing) if !standing.allowed => {
                tracing::warn!(agent.id = %self.agent, reason = "agent is revoked", "closing stream");
                Err(End(Status::unauthenticated("agent is revoked")))
            }
            Ok(standing) => {
                if self.standing.is_latest(standing.latest, Instant::now()) {
                    self.flag_duplicate();
                }
                Ok(())
            }
            Err(error) => {
                tracing::debug!(agent.id = %self.agent, error = &error as &dyn std::error::Error, "cannot note that the agent is there");
                Ok(())
            }
        }
    }

    fn flag_duplicate(&self) {
        metrics::counter!("picket_collector_duplicate_identities_total").increment(1);
        tracing::warn!(agent.id = %self.agent, "two live streams share one agent's identity: was its disk cloned?");
        let (store, tenant, agent) = (self.shared.store.clone(), self.peer.id.tenant.clone(), self.agent);
        tokio::spawn(async move {
            if let Err(error) = agents::flag_duplicate(&store, &tenant, agent).await {
                tracing::warn!(agent.id = %agent, error = &error as &dyn std::error::Error, "cannot flag the agent");
            }
        });
    }

    /// A batch that follows directly must name the hash of the one before: else the spool was changed after it was
    /// written.
    fn look_at_chain(&mut self, batch: &Batch) {
        if let Some(last) = &self.chain
            && last.epoch == batch.epoch
            && last.end == batch.first_seq
            && last.hash != batch.previous_hash
        {
            metrics::counter!("picket_collector_hash_chain_breaks_total").increment(1);
            tracing::warn!(agent.id = %self.agent, batch.first_seq, "batch does not follow from the one before it");
        }
        self.chain = Some(ChainEnd {
            epoch: batch.epoch,
            end: batch.first_seq.saturating_add(u64::from(batch.count)),
            hash: batch.hash.clone(),
        });
    }

    fn record_drops(&self, report: DropReport) {
        self.drops.record(report);
    }
}

/// Waits until a batch may be taken, and tells the endpoint that it has to wait too.
async fn admit(
    shared: Arc<Shared>,
    source: SourceId,
    batch: Batch,
    responses: mpsc::Sender<Result<StreamResponse, Status>>,
) -> (Batch, Arc<OwnedSemaphorePermit>) {
    let tell = |retry_after: Duration, reason: &str| {
        metrics::counter!("picket_collector_waits_sent_total").increment(1);
        let wait = Wait {
            retry_after_millis: u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX).max(1),
            reason: reason.to_owned(),
        };
        let body = Some(stream_response::Body::Wait(wait));
        // With receipts unread the endpoint would not read this either.
        let _ = responses.try_send(Ok(StreamResponse { body }));
    };
    while let Err(wait) = shared.limits.take(source, batch.count, batch.uncompressed_bytes) {
        tell(wait, "rate limit of this agent");
        tokio::time::sleep(wait).await;
    }
    if let Some(memory) = shared.memory.try_take(batch.uncompressed_bytes, batch.count) {
        return (batch, memory);
    }
    loop {
        tell(FULL_WAIT, "the collector holds as many events as it may");
        let taken = shared
            .memory
            .take(batch.uncompressed_bytes, batch.count, FULL_WAIT)
            .await;
        if let Some(memory) = taken {
            return (batch, memory);
        }
    }
}

/// Drives a future that may not be there; to be guarded by `is_some`.
async fn poll<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn host_info(hello: &Hello) -> HostInfo {
    let host = hello.host.clone().unwrap_or_default();
    crate::enrol::host_info(host, MAX_HOST_TEXT)
}
