//! Brings what is in the spool to a collector.
//!
//! There is one connection at a time. [`Uplink`] chooses the collector, waits between attempts and reloads a renewed
//! identity; [`session`] speaks the protocol over one connection; [`connect`] makes it.

mod backoff;
pub(crate) mod connect;
mod renew;
mod session;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use identity::{Identity, RevocationList, client_config};
use model::node::Role;
use model::{AgentId, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::credentials::Paths;
use crate::link::Link;
use crate::sensors::Sink;
use crate::spool::{Reader, Spool};
use crate::status::{Board, ConnectionState};
use backoff::Backoff;
use session::End;

/// How long events that are left are still sent once the agent was told to stop.
const FLUSH: Duration = Duration::from_secs(3);
/// A connection that held this long worked, whatever ended it.
const ESTABLISHED: Duration = Duration::from_secs(5);

/// What the uplink works with.
pub struct Parts {
    /// Where the identity lies.
    pub paths: Paths,
    /// `HOST:PORT` each, at least one.
    pub collectors: Vec<String>,
    /// What to send.
    pub spool: Arc<Spool>,
    /// Most bytes it takes on disk.
    pub spool_limit: u64,
    /// Towards the pipeline.
    pub link: Arc<Link>,
    /// Towards the pipeline, to wake it.
    pub sink: Sink,
    /// Towards the status page.
    pub board: Arc<Board>,
    /// Told to stop.
    pub stop: CancellationToken,
    /// The pipeline has written everything it will ever write.
    pub drained: CancellationToken,
}

/// The uplink.
pub struct Uplink {
    paths: Paths,
    collectors: Vec<String>,
    preferred: usize,
    identity: Identity,
    agent: AgentId,
    renew_at: Timestamp,
    spool: Arc<Spool>,
    spool_limit: u64,
    durable: watch::Receiver<u64>,
    reader: Option<Reader>,
    /// No receipt may go beyond it.
    sent_next: u64,
    link: Arc<Link>,
    /// Dropped when told to stop: the pipeline ends once all senders are gone.
    sink: Option<Sink>,
    board: Arc<Board>,
    stop: CancellationToken,
    drained: CancellationToken,
}

impl Uplink {
    /// Loads the identity.
    ///
    /// # Errors
    /// When there is none or it is broken.
    pub fn new(parts: Parts) -> anyhow::Result<Self> {
        let (identity, agent) = parts.paths.load()?;
        let durable = parts.spool.subscribe();
        // What an earlier run sent is not known, so all of it may be acknowledged.
        let sent_next = parts.spool.durable_next();
        let uplink = Self {
            paths: parts.paths,
            collectors: parts.collectors,
            preferred: 0,
            renew_at: renew::due(&identity),
            identity,
            agent,
            durable,
            reader: None,
            sent_next,
            spool: parts.spool,
            spool_limit: parts.spool_limit,
            link: parts.link,
            sink: Some(parts.sink),
            board: parts.board,
            stop: parts.stop,
            drained: parts.drained,
        };
        uplink.show_certificate();
        Ok(uplink)
    }

    /// Sends until told to stop and everything is flushed, or the time for that is over.
    ///
    /// # Errors
    /// When a renewed identity cannot be loaded.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut backoff = Backoff::new();
        let mut failures = 0;
        let mut silent_refusals = 0;
        let mut said = None;
        while !self.stop.is_cancelled() {
            let addr = self.collectors.get(self.preferred).cloned().unwrap_or_default();
            let started = Instant::now();
            let end = self.attempt(&addr).await;
            self.link.set_connected(false);
            self.spool.note_disconnected();
            if let Err(error) = self.spool.save_position() {
                tracing::warn!(%error, "acknowledged position cannot be written");
            }
            let end = match end {
                End::Vanished if silent_refusals >= 2 => End::Refused(String::from("it closes the connection at once")),
                end @ (End::Stopped | End::Renewed | End::Refused(_) | End::Vanished | End::Lost(_)) => end,
            };
            let reason = match end {
                End::Stopped => break,
                End::Renewed => {
                    self.reload()?;
                    continue;
                }
                End::Refused(reason) => {
                    silent_refusals = 0;
                    let text = format!("refused by collector: certificate revoked or unknown ({reason})");
                    self.board
                        .connection(|c| c.fail(ConnectionState::Refused, &addr, &text));
                    if said.as_ref() != Some(&text) {
                        tracing::error!(
                            collector = addr,
                            reason,
                            "refused by collector: certificate revoked or unknown"
                        );
                        said = Some(text);
                    }
                    self.prefer_next();
                    self.pause(Backoff::refused()).await;
                    continue;
                }
                End::Vanished => {
                    silent_refusals += 1;
                    String::from("the collector closed the connection before it answered")
                }
                End::Lost(reason) => {
                    silent_refusals = 0;
                    reason
                }
            };
            if started.elapsed() >= ESTABLISHED {
                backoff.reset();
                failures = 0;
            }
            self.board
                .connection(|c| c.fail(ConnectionState::Waiting, &addr, &reason));
            if said.as_ref() != Some(&reason) {
                tracing::warn!(
                    collector = addr,
                    reason,
                    "not connected to the collector, events are kept in the spool"
                );
                said = Some(reason);
            }
            self.prefer_next();
            failures += 1;
            // Other collectors are tried at once; waiting starts when all have failed.
            if failures % self.collectors.len().max(1) == 0 {
                self.pause(backoff.wait()).await;
            }
        }
        self.sink = None;
        self.drained.cancelled().await;
        self.spool.save_position().context("write the acknowledged position")
    }

    async fn attempt(&mut self, addr: &str) -> End {
        let revoked = RevocationList::default();
        let tls = match client_config(&self.identity, Role::Collector, &revoked) {
            Ok(tls) => tls,
            Err(error) => return End::Lost(error.to_string()),
        };
        self.board.connection(|c| c.start(addr));
        if self.identity.not_after() <= Timestamp::now() {
            tracing::warn!(
                not_after = %self.identity.not_after(),
                "certificate has expired, enrol this host again with `agentd enrol --force`"
            );
        }
        let stop = self.stop.clone();
        let connection = tokio::select! {
            connection = connect::connect(addr, tls) => connection,
            () = stop.cancelled() => return End::Stopped,
        };
        match connection {
            Ok(connection) => {
                let trouble = connection.trouble.clone();
                let end = session::run(self, addr, connection).await;
                match (end, trouble.get()) {
                    (End::Stopped, _) => End::Stopped,
                    (End::Renewed, _) => End::Renewed,
                    (_, Some(reason)) if session::is_refusal(&reason) => End::Refused(reason),
                    (end, _) => end,
                }
            }
            Err(error) => {
                let reason = error.to_string();
                if session::is_refusal(&reason) {
                    End::Refused(reason)
                } else {
                    End::Lost(reason)
                }
            }
        }
    }

    fn reload(&mut self) -> anyhow::Result<()> {
        let (identity, agent) = self.paths.load().context("load the renewed identity")?;
        self.renew_at = renew::next(&identity, Timestamp::now());
        self.identity = identity;
        self.agent = agent;
        self.show_certificate();
        Ok(())
    }

    fn show_certificate(&self) {
        self.board
            .certificate(self.identity.id(), self.identity.not_after(), self.identity.renew_at());
    }

    fn prefer_next(&mut self) {
        self.preferred = (self.preferred + 1) % self.collectors.len().max(1);
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.stop.cancelled() => {}
        }
    }
}
