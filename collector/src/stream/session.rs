//! One endpoint's stream, from its Hello to its end.
//!
//! The task reads a message only when it may take one more batch: fewer than the window are on their way, the endpoint is
//! within its rate and there is memory for the batch. So a full collector or a database that is away holds the sender back
//! through the connection itself, and what it holds is bounded.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use identity::{Identity, Peer};
use model::agent::{Backlog, HostInfo};
use model::{AgentId, Epoch, SourceId, Timestamp};
use proto::ingest::v1 as ingest;
use proto::ingest::v1::{
    Batch, BatchRefused, DropReport, Hello, Receipt, StreamRequest, StreamResponse, Wait, Welcome, stream_request,
    stream_response,
};
use storage::{agents, deliveries};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::Shared;
use super::registry::Registered;
use super::standing::Standing;
use crate::batch::{MAX_PAYLOAD, MAX_UNCOMPRESSED};
use crate::delivery::Delivery;
use crate::intake::{GaveUp, Settled};
use crate::ledger::{Ledger, Notes, Unnoted, Unrecorded};
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

type InFlight = FuturesUnordered<Pin<Box<dyn Future<Output = (BatchId, Result<Settled, Unsettled>)> + Send>>>;
type Admission = Pin<Box<dyn Future<Output = (Batch, Arc<OwnedSemaphorePermit>)> + Send>>;
type Touch = Pin<Box<dyn Future<Output = Touched> + Send>>;
type Recording = AbortOnDropHandle<Result<(), Unrecorded>>;

/// What noting that the endpoint is there came to.
struct Touched {
    standing: Result<agents::Standing, storage::Error>,
    noted: Result<(), Unnoted>,
}

#[derive(Clone, Copy)]
struct BatchId {
    epoch: Epoch,
    first_seq: u64,
    count: u32,
}

/// Why nothing is known of a batch.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Unsettled {
    GaveUp(#[from] GaveUp),
    Unrecorded(#[from] Unrecorded),
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
    ledger: Ledger,
    notes: Notes,
    /// A report of given up events that is being recorded, and the newest one that came meanwhile. No receipt goes out
    /// until both are: the endpoint forgets what a receipt covers.
    recording: Option<Recording>,
    reported: Option<DropReport>,
    /// The receipt that is due when they are.
    owed: Option<(Epoch, u64)>,
    /// As the endpoint last told.
    backlog: Option<Backlog>,
    /// Until when it was told to wait, microseconds since 1970.
    wait_until: Arc<AtomicI64>,
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
        let ledger = Ledger::new(
            shared.store.clone(),
            peer.id.tenant.clone(),
            agent,
            shared.shutdown.clone(),
        );
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
            ledger,
            notes: Notes::default(),
            recording: None,
            reported: None,
            owed: None,
            backlog: None,
            wait_until: Arc::default(),
        }
    }

    pub(super) async fn run(mut self, mut requests: Streaming<StreamRequest>) {
        let _stream = self.shared.gauges.stream();
        let ended = match self.begin(&mut requests).await {
            Ok((sender, registered)) => self.serve(&mut requests, sender, registered).await,
            Err(end) => Err(end),
        };
        let (store, tenant) = (&self.shared.store, &self.peer.id.tenant);
        let notes = self.notes.take(true);
        let close = async {
            notes.write(&self.ledger).await.map_err(|unnoted| unnoted.error)?;
            agents::close_stream(store, tenant, self.agent, self.stream).await
        };
        let closed = tokio::time::timeout(CHECK, close).await;
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
            Some(
                stream_request::Body::Batch(_) | stream_request::Body::Drops(_) | stream_request::Body::Backlog(_),
            )
            | None => {
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
        self.ledger
            .open(Epoch(hello.epoch))
            .await
            .map_err(|error| End(super::unavailable(&error)))?;
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
            os_name: host.os_name,
            agent_version: host.agent_version,
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
                                Arc::clone(&self.shared),
                                sender.source,
                                batch,
                                self.responses.clone(),
                                Arc::clone(&self.wait_until),
                            )));
                        }
                        Some(stream_request::Body::Drops(report)) => self.record_drops(report),
                        Some(stream_request::Body::Backlog(backlog)) => self.backlog = Some(read_backlog(&backlog)),
                        Some(stream_request::Body::Hello(_)) => {
                            return Err(End(Status::invalid_argument("expected one Hello, as the first message")));
                        }
                        // A kind of message of a later version.
                        None => {}
                    }
                }
                (batch, memory) = poll(&mut admission), if admission.is_some() => {
                    admission = None;
                    let id = BatchId { epoch: Epoch(batch.epoch), first_seq: batch.first_seq, count: batch.count };
                    if !self.delivery.begin(id.epoch, id.first_seq, batch.count) {
                        return Err(End(Status::invalid_argument("expected at most 4 epochs at once")));
                    }
                    let intake = self.shared.intake.clone();
                    let (sender, ledger) = (Arc::clone(&sender), self.ledger.clone());
                    let counted = self.shared.gauges.batch();
                    in_flight.push(Box::pin(async move {
                        let _counted = counted;
                        let settle = async {
                            let settled = intake.batch(sender, batch, memory).await?;
                            ledger.settled(id.epoch, id.first_seq, id.count, &settled).await?;
                            Ok(settled)
                        };
                        (id, settle.await)
                    }));
                }
                Some((id, settled)) = in_flight.next() => self.settled(id, settled).await?,
                recorded = join(&mut self.recording), if self.recording.is_some() => {
                    self.recorded(recorded).await?;
                }
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
        while self.recording.is_some() {
            let Ok(recorded) = tokio::time::timeout_at(deadline, join(&mut self.recording)).await else {
                break;
            };
            self.recorded(recorded).await?;
        }
        if stopping {
            return Err(End(Status::unavailable("the collector is stopping")));
        }
        Ok(())
    }

    async fn settled(&mut self, id: BatchId, settled: Result<Settled, Unsettled>) -> Result<(), End> {
        match settled {
            Ok(Settled::Taken {
                conflict,
                repeated,
                origins,
                ..
            }) => {
                self.notes.heard(origins);
                if repeated > 0 {
                    self.notes.repeated(id.epoch, repeated);
                }
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
            Err(unsettled) => return Err(End(Status::unavailable(unsettled.to_string()))),
        }
        match self.delivery.settle(id.epoch, id.first_seq) {
            None => Ok(()),
            Some(next_seq) if self.recording.is_some() => {
                if let Some((epoch, next_seq)) = self.owed.replace((id.epoch, next_seq))
                    && epoch != id.epoch
                {
                    // Both epochs' reports are being recorded; the other one is settled again when it is sent again.
                    tracing::debug!(agent.id = %self.agent, batch.epoch = %epoch, next_seq, "receipt of an earlier epoch is left out");
                }
                Ok(())
            }
            Some(next_seq) => self.acknowledge(id.epoch, next_seq).await,
        }
    }

    /// Takes what became of a report of given up events, and sends the receipt that waited for it.
    async fn recorded(&mut self, recorded: Result<(), Unrecorded>) -> Result<(), End> {
        self.recording = None;
        recorded.map_err(|error| End(Status::unavailable(error.to_string())))?;
        if let Some(report) = self.reported.take() {
            self.record_drops(report);
            return Ok(());
        }
        match self.owed.take() {
            Some((epoch, next_seq)) => self.acknowledge(epoch, next_seq).await,
            None => Ok(()),
        }
    }

    async fn acknowledge(&mut self, epoch: Epoch, next_seq: u64) -> Result<(), End> {
        self.delivered = Some((epoch, next_seq));
        let issued_at = self.shared.clock.now().0;
        let signature =
            identity::receipt::sign(&self.identity, self.agent, epoch, next_seq, issued_at).map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot sign receipts");
                End(Status::internal("cannot sign receipts"))
            })?;
        metrics::counter!("picket_collector_receipts_sent_total").increment(1);
        self.notes.receipt(
            epoch,
            deliveries::Receipt {
                next_seq,
                issued_at: Timestamp(issued_at),
                node: self.shared.node.clone(),
                signer: self.identity.serial().to_string(),
                signature: signature.clone(),
            },
        );
        self.send(stream_response::Body::Receipt(Receipt {
            epoch: epoch.0,
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
        } else if self.shared.clock.now() >= self.peer.not_after {
            "certificate has expired"
        } else {
            return Ok(());
        };
        tracing::warn!(agent.id = %self.agent, certificate.serial = %self.peer.serial, reason, "closing stream");
        Err(End(Status::unauthenticated(reason)))
    }

    fn touch(&mut self) -> Touch {
        let (store, tenant) = (self.shared.store.clone(), self.peer.id.tenant.clone());
        let (agent, stream, delivered) = (self.agent, self.stream, self.delivered);
        let (notes, ledger) = (self.notes.take(false), self.ledger.clone());
        let backlog = self.backlog.take().map(|backlog| Backlog {
            wait_until: Some(self.wait_until.load(Ordering::Relaxed))
                .filter(|until| *until > 0)
                .map(Timestamp),
            ..backlog
        });
        Box::pin(async move {
            let standing = agents::touch(&store, &tenant, agent, stream, delivered, backlog.as_ref()).await;
            Touched {
                standing,
                noted: notes.write(&ledger).await,
            }
        })
    }

    fn touched(&mut self, touched: Touched) -> Result<(), End> {
        if let Err(Unnoted { heard, error }) = touched.noted {
            tracing::debug!(agent.id = %self.agent, error = &error as &dyn std::error::Error, "cannot note who was heard");
            self.notes.unsure(heard);
        }
        match touched.standing {
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
            self.ledger.chain_break(Epoch(batch.epoch), batch.first_seq);
        }
        self.chain = Some(ChainEnd {
            epoch: batch.epoch,
            end: batch.first_seq.saturating_add(u64::from(batch.count)),
            hash: batch.hash.clone(),
        });
    }

    /// Records a report. One that comes meanwhile waits; of several only the last, which says all the others do.
    fn record_drops(&mut self, report: DropReport) {
        if self.recording.is_some() {
            self.reported = Some(report);
            return;
        }
        let ledger = self.ledger.clone();
        let recording = tokio::spawn(async move { ledger.gave_up(report).await });
        self.recording = Some(AbortOnDropHandle::new(recording));
    }
}

/// Waits until a batch may be taken, and tells the endpoint that it has to wait too.
async fn admit(
    shared: Arc<Shared>,
    source: SourceId,
    batch: Batch,
    responses: mpsc::Sender<Result<StreamResponse, Status>>,
    wait_until: Arc<AtomicI64>,
) -> (Batch, Arc<OwnedSemaphorePermit>) {
    let tell = |retry_after: Duration, reason: &str| {
        metrics::counter!("picket_collector_waits_sent_total").increment(1);
        shared.gauges.waited();
        let micros = i64::try_from(retry_after.as_micros()).unwrap_or(0);
        wait_until.store(Timestamp::now().0.saturating_add(micros), Ordering::Relaxed);
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

/// As [`poll`], for a task.
async fn join(task: &mut Option<Recording>) -> Result<(), Unrecorded> {
    match task {
        Some(task) => task.await.unwrap_or(Err(Unrecorded)),
        None => std::future::pending().await,
    }
}

fn read_backlog(backlog: &ingest::Backlog) -> Backlog {
    Backlog {
        at: Timestamp::now(),
        events: backlog.events,
        spool_bytes: backlog.spool_bytes,
        spool_limit_bytes: backlog.spool_limit_bytes,
        oldest_at: Some(backlog.oldest_at_micros).filter(|at| *at > 0).map(Timestamp),
        wait_until: None,
    }
}

fn host_info(hello: &Hello) -> HostInfo {
    let host = hello.host.clone().unwrap_or_default();
    crate::enrol::host_info(host, MAX_HOST_TEXT)
}
