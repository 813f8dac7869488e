//! The protocol over one connection: hello and welcome, then batches up and receipts down.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use identity::receipt;
use model::{Epoch, Timestamp};
use prost::Message as _;
use proto::ingest::v1::ingest_service_client::IngestServiceClient;
use proto::ingest::v1::{
    Backlog, Batch, BatchRefused, Drop, DropReport, Hello, Receipt, StreamRequest, StreamResponse, Wait, Welcome,
    stream_request, stream_response,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::backoff::jittered;
use super::connect::Connection;
use super::{FLUSH, Uplink, renew};
use crate::host;
use crate::spool::Reader;

/// Most batches on their way, whatever the collector allows.
const MAX_IN_FLIGHT: usize = 32;
/// Most bytes on their way.
const MAX_IN_FLIGHT_BYTES: usize = 8 << 20;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Without a receipt for this long, something between here and there is stuck.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest wait a collector may ask for.
const MAX_WAIT: Duration = Duration::from_secs(300);
const TICK: Duration = Duration::from_millis(500);
/// Time between two words about what waits.
const BACKLOG: Duration = Duration::from_secs(2);

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The agent was told to stop.
    Stopped,
    /// There is a new certificate; connect with it.
    Renewed,
    /// The collector does not accept this agent.
    Refused(String),
    /// The connection was closed before the collector said anything: perhaps a refusal, perhaps a restart.
    Vanished,
    /// Anything else; try again.
    Lost(String),
}

/// Whether this is what a refused client certificate looks like.
pub(super) fn is_refusal(reason: &str) -> bool {
    reason.contains("refused this certificate") || reason.contains("requires a certificate")
}

struct Flying {
    end_seq: u64,
    created_at: Timestamp,
    bytes: usize,
}

struct Session<'a> {
    uplink: &'a mut Uplink,
    peer: CertificateDer<'static>,
    window: usize,
    outbound: mpsc::Sender<StreamRequest>,
    flying: VecDeque<Flying>,
    flying_bytes: usize,
    /// Read from the spool and not sent.
    next: Option<Batch>,
    /// The spool may hold more.
    more: bool,
    wait_until: Option<Instant>,
    heard_at: Instant,
    reported: Vec<Drop>,
    backlog_told: Option<Backlog>,
    backlog_told_at: Option<Instant>,
}

/// Runs until something ends it.
pub(super) async fn run(uplink: &mut Uplink, addr: &str, connection: Connection) -> End {
    let (outbound, requests) = mpsc::channel(2);
    let first = uplink.spool.first_unacknowledged();
    let hello = Hello {
        host: Some(host::describe()),
        epoch: uplink.spool.epoch(),
        first_unacknowledged_seq: first,
    };
    if outbound
        .send(request(stream_request::Body::Hello(hello)))
        .await
        .is_err()
    {
        return End::Vanished;
    }
    let mut client = IngestServiceClient::new(connection.channel.clone());
    let greeting = async {
        let mut inbound = client.stream(ReceiverStream::new(requests)).await?.into_inner();
        let first = inbound.message().await?;
        Ok::<_, Status>((inbound, first))
    };
    let stop = uplink.stop.clone();
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(ANSWER_TIMEOUT, greeting) => greeted,
        () = stop.cancelled() => return End::Stopped,
    };
    let (inbound, welcome) = match greeted {
        Err(_) => return End::Lost(format!("no welcome within {} s", ANSWER_TIMEOUT.as_secs())),
        Ok(Err(status)) => return end_of(&status, true),
        Ok(Ok((
            inbound,
            Some(StreamResponse {
                body: Some(stream_response::Body::Welcome(welcome)),
            }),
        ))) => (inbound, welcome),
        Ok(Ok((_, None))) => return End::Vanished,
        Ok(Ok(_)) => return End::Lost(String::from("the collector's first answer was not a welcome")),
    };
    tracing::info!(
        collector = addr,
        node = welcome.node,
        window = welcome.window,
        epoch = format!("{:016x}", uplink.spool.epoch()),
        first_seq = first,
        "connected to collector"
    );
    uplink.link.set_connected(true);
    uplink
        .board
        .connection(|c| c.connected(addr, &welcome.node, welcome.window));
    uplink.reader = Some(Reader::new(Arc::clone(&uplink.spool), first));
    let session = Session {
        window: window(&welcome),
        peer: connection.peer.clone(),
        uplink,
        outbound,
        flying: VecDeque::new(),
        flying_bytes: 0,
        next: None,
        more: true,
        wait_until: None,
        heard_at: Instant::now(),
        reported: Vec::new(),
        backlog_told: None,
        backlog_told_at: None,
    };
    session.exchange(inbound, &connection).await
}

fn window(welcome: &Welcome) -> usize {
    usize::try_from(welcome.window)
        .unwrap_or(MAX_IN_FLIGHT)
        .clamp(1, MAX_IN_FLIGHT)
}

impl Session<'_> {
    async fn exchange(mut self, mut inbound: Streaming<StreamResponse>, connection: &Connection) -> End {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stop, drained) = (self.uplink.stop.clone(), self.uplink.drained.clone());
        let mut durable = self.uplink.durable.clone();
        let outbound = self.outbound.clone();
        let mut renewal: Option<JoinHandle<anyhow::Result<()>>> = None;
        let mut flush_until = None;
        loop {
            if stop.is_cancelled() {
                self.uplink.sink = None;
                let until = *flush_until.get_or_insert_with(|| Instant::now() + FLUSH);
                if drained.is_cancelled() && (self.uplink.spool.is_drained() || Instant::now() >= until) {
                    return End::Stopped;
                }
            }
            let may_send = self.may_send();
            if may_send && self.next.is_none() && self.more {
                // Seen before reading, so that what is synced meanwhile shows as a change.
                durable.mark_unchanged();
                if let Err(error) = self.read_next().await {
                    return End::Lost(format!("the spool cannot be read: {error}"));
                }
            }
            let waiting = self.wait_until.filter(|until| *until > Instant::now());
            let wake = waiting.into_iter().chain(flush_until).min();
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(response)) => {
                        if let Some(end) = self.take(response) {
                            return end;
                        }
                    }
                    Ok(None) => return End::Lost(String::from("the collector ended the stream")),
                    Err(status) => return end_of(&status, false),
                },
                permit = outbound.reserve(), if may_send && self.next.is_some() => {
                    let Ok(permit) = permit else {
                        return End::Lost(String::from("the connection was closed"));
                    };
                    // Before the batch behind a gap, so that the receipt for the one comes after the other was read.
                    if let Some(report) = self.report_drops() {
                        permit.send(report);
                    } else if let Some(batch) = self.next.take() {
                        permit.send(self.fly(batch));
                    }
                }
                changed = durable.changed(), if !self.more => {
                    if changed.is_err() {
                        return End::Lost(String::from("the spool was closed"));
                    }
                    self.more = true;
                }
                () = sleep_until(wake), if wake.is_some() => {}
                () = stop.cancelled(), if flush_until.is_none() => {}
                () = drained.cancelled(), if flush_until.is_some() && !drained.is_cancelled() => {}
                result = join(&mut renewal), if renewal.is_some() => {
                    renewal = None;
                    if self.renewed(result) {
                        return End::Renewed;
                    }
                }
                _ = tick.tick() => {
                    if renewal.is_none() && !stop.is_cancelled() && Timestamp::now() >= self.uplink.renew_at {
                        renewal = Some(self.renew(connection));
                    }
                    if let Some(end) = self.tick() {
                        return end;
                    }
                }
            }
        }
    }

    fn may_send(&self) -> bool {
        self.flying.len() < self.window
            && self.flying_bytes < MAX_IN_FLIGHT_BYTES
            && self.wait_until.is_none_or(|until| until <= Instant::now())
    }

    async fn read_next(&mut self) -> io::Result<()> {
        let Some(mut reader) = self.uplink.reader.take() else {
            return Err(io::Error::other("it is being read already"));
        };
        let spool = Arc::clone(&self.uplink.spool);
        let (reader, batch) = tokio::task::spawn_blocking(move || {
            loop {
                let batch = reader.next_batch();
                let given_up = matches!(&batch, Ok(Some(batch)) if !spool.claim(batch.first_seq, end_of_batch(batch)));
                if !given_up {
                    return (reader, batch);
                }
            }
        })
        .await?;
        self.uplink.reader = Some(reader);
        self.next = batch?;
        self.more = self.next.is_some();
        Ok(())
    }

    fn fly(&mut self, batch: Batch) -> StreamRequest {
        let flying = Flying {
            end_seq: end_of_batch(&batch),
            created_at: Timestamp(batch.created_at_micros),
            bytes: batch.encoded_len(),
        };
        if self.flying.is_empty() {
            self.heard_at = Instant::now();
        }
        self.uplink.sent_next = self.uplink.sent_next.max(flying.end_seq);
        metrics::counter!("picket_agentd_events_sent_total").increment(u64::from(batch.count));
        metrics::counter!("picket_agentd_bytes_sent_total").increment(flying.bytes as u64);
        self.flying_bytes += flying.bytes;
        self.flying.push_back(flying);
        self.show_flying();
        request(stream_request::Body::Batch(batch))
    }

    fn take(&mut self, response: StreamResponse) -> Option<End> {
        match response.body {
            Some(stream_response::Body::Receipt(receipt)) => return self.take_receipt(&receipt),
            Some(stream_response::Body::Wait(wait)) => self.take_wait(&wait),
            Some(stream_response::Body::Refused(refused)) => self.take_refused(&refused),
            Some(stream_response::Body::Welcome(welcome)) => self.window = window(&welcome),
            // A newer collector may say more than this agent understands.
            None => {}
        }
        None
    }

    fn take_receipt(&mut self, receipt: &Receipt) -> Option<End> {
        if let Err(reason) = self.check(receipt) {
            tracing::error!(
                next_seq = receipt.next_seq,
                sent_next = self.uplink.sent_next,
                reason,
                "receipt is not acceptable, leaving this collector"
            );
            metrics::counter!("picket_agentd_receipts_rejected_total").increment(1);
            return Some(End::Lost(format!("receipt is not acceptable: {reason}")));
        }
        self.heard_at = Instant::now();
        while let Some(first) = self.flying.front()
            && first.end_seq <= receipt.next_seq
        {
            self.flying_bytes -= first.bytes;
            self.flying.pop_front();
        }
        if let Err(error) = self.uplink.spool.acknowledge(receipt.next_seq) {
            tracing::warn!(%error, "acknowledged segments cannot be removed");
        }
        let idle = self.uplink.link.acknowledged(receipt.next_seq);
        if idle && let Some(sink) = &self.uplink.sink {
            sink.nudge();
        }
        self.uplink
            .board
            .connection(|c| c.receipt(receipt.next_seq, Timestamp(receipt.issued_at_micros)));
        self.show_flying();
        None
    }

    fn check(&self, receipt: &Receipt) -> Result<(), String> {
        let epoch = self.uplink.spool.epoch();
        if receipt.epoch != epoch {
            return Err(format!("epoch: expected {epoch:016x}, got {:016x}", receipt.epoch));
        }
        if receipt.next_seq > self.uplink.sent_next {
            return Err(format!(
                "next_seq: expected at most {}, got {}",
                self.uplink.sent_next, receipt.next_seq
            ));
        }
        receipt::verify(
            &self.peer,
            self.uplink.agent,
            Epoch(receipt.epoch),
            receipt.next_seq,
            receipt.issued_at_micros,
            &receipt.signature,
        )
        .map_err(|error| error.to_string())
    }

    fn take_wait(&mut self, wait: &Wait) {
        let asked = Duration::from_millis(wait.retry_after_millis).min(MAX_WAIT);
        tracing::debug!(
            millis = wait.retry_after_millis,
            reason = wait.reason,
            "collector asks to wait"
        );
        metrics::counter!("picket_agentd_waits_total").increment(1);
        self.heard_at = Instant::now();
        self.wait_until = Some(Instant::now() + jittered(asked));
        self.uplink.board.connection(|c| c.waits += 1);
    }

    fn take_refused(&mut self, refused: &BatchRefused) {
        tracing::warn!(
            first_seq = refused.first_seq,
            reason = refused.reason.chars().take(500).collect::<String>(),
            "collector refuses a batch for good"
        );
        metrics::counter!("picket_agentd_batches_refused_total").increment(1);
        self.uplink.board.connection(|c| c.refused_batches += 1);
    }

    fn tick(&mut self) -> Option<End> {
        if let Err(error) = self.uplink.spool.save_position() {
            tracing::warn!(%error, "acknowledged position cannot be written");
        }
        let waiting = self.wait_until.is_some_and(|until| until > Instant::now());
        if !self.flying.is_empty() && !waiting && self.heard_at.elapsed() > RECEIPT_TIMEOUT {
            return Some(End::Lost(format!("no receipt within {} s", RECEIPT_TIMEOUT.as_secs())));
        }
        if let Ok(permit) = self.outbound.clone().try_reserve()
            && let Some(report) = self.report_drops()
        {
            permit.send(report);
        }
        self.tell_backlog();
        None
    }

    /// What the collector has to be told about drops, when that has changed.
    fn report_drops(&mut self) -> Option<StreamRequest> {
        let drops = self.uplink.spool.drop_report();
        if drops == self.reported {
            return None;
        }
        self.reported.clone_from(&drops);
        self.uplink.spool.note_reported(&drops);
        (!drops.is_empty()).then(|| request(stream_request::Body::Drops(DropReport { drops })))
    }

    /// Tells what waits, when there is something or there was.
    fn tell_backlog(&mut self) {
        if self.backlog_told_at.is_some_and(|at| at.elapsed() < BACKLOG) {
            return;
        }
        let depth = self.uplink.spool.depth();
        let backlog = Backlog {
            events: depth.events,
            spool_bytes: depth.disk_bytes,
            spool_limit_bytes: self.uplink.spool_limit,
            oldest_at_micros: self.flying.front().map_or(0, |flying| flying.created_at.0),
        };
        if backlog.events == 0 && self.backlog_told.as_ref().is_some_and(|told| told.events == 0) {
            return;
        }
        if let Ok(permit) = self.outbound.clone().try_reserve() {
            permit.send(request(stream_request::Body::Backlog(backlog)));
            self.backlog_told = Some(backlog);
            self.backlog_told_at = Some(Instant::now());
        }
    }

    fn renew(&self, connection: &Connection) -> JoinHandle<anyhow::Result<()>> {
        let (channel, paths) = (connection.channel.clone(), self.uplink.paths.clone());
        let ca_fingerprint = self.uplink.identity.ca_fingerprint().to_owned();
        tokio::spawn(async move { renew::renew(channel, &paths, &ca_fingerprint).await })
    }

    fn renewed(&mut self, result: anyhow::Result<()>) -> bool {
        match result {
            Ok(()) => {
                tracing::info!("certificate renewed");
                true
            }
            Err(error) => {
                self.uplink.renew_at = renew::retry(&self.uplink.identity, Timestamp::now());
                tracing::warn!(
                    error = format!("{error:#}"),
                    not_after = %self.uplink.identity.not_after(),
                    retry_at = %self.uplink.renew_at,
                    "certificate cannot be renewed"
                );
                false
            }
        }
    }

    fn show_flying(&self) {
        let oldest = self.flying.front().map(|flying| flying.created_at);
        self.uplink.board.connection(|c| c.flying(self.flying.len(), oldest));
    }
}

fn end_of_batch(batch: &Batch) -> u64 {
    batch.first_seq + u64::from(batch.count)
}

fn request(body: stream_request::Body) -> StreamRequest {
    StreamRequest { body: Some(body) }
}

/// The agent is told apart from a node that is merely ill: only the former stops trying for a while.
fn end_of(status: &Status, before_welcome: bool) -> End {
    if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) {
        return End::Refused(status.message().to_owned());
    }
    let text = identity::describe_tls_error(status);
    if is_refusal(&text) {
        return End::Refused(text);
    }
    let from_transport = std::error::Error::source(status).is_some();
    if before_welcome && from_transport {
        return End::Vanished;
    }
    End::Lost(match status.message() {
        _ if from_transport => format!("the connection broke: {text}"),
        "" => text,
        message => message.to_owned(),
    })
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

async fn join(task: &mut Option<JoinHandle<anyhow::Result<()>>>) -> anyhow::Result<()> {
    match task {
        Some(task) => task.await?,
        None => std::future::pending().await,
    }
}
