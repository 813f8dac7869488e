//! What the agent shows of itself: a file that is replaced every second, and `agentd status`, which reads it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use identity::SpiffeId;
use model::{AgentId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::link::Link;
use crate::sensors::file::FileStatus;
use crate::sensors::journald::JournalStatus;
use crate::spool::Spool;

/// How old the file may be before the agent counts as not running.
const FRESH: Duration = Duration::from_secs(5);
/// How often it is written.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Everything that is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When this was true.
    pub written_at: Timestamp,
    /// False in the last one an agent writes before it ends.
    pub running: bool,
    /// Process id.
    pub pid: u32,
    /// Version of the agent.
    pub version: String,
    /// Since when it has been running.
    pub started_at: Timestamp,
    /// Who it is.
    pub agent_id: AgentId,
    /// Its certificate.
    pub certificate: CertificateStatus,
    /// Its connection.
    pub connection: ConnectionStatus,
    /// What waits.
    pub spool: SpoolStatus,
    /// Followed files, at most 1,000.
    pub files: Vec<FileStatus>,
    /// The journal, when it is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journald: Option<JournalStatus>,
}

/// The certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// `spiffe://picket/<tenant>/agent/<id>`.
    pub spiffe_id: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// When it is renewed, or somewhat later.
    pub renew_at: Timestamp,
}

/// What the uplink is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// An attempt is being made.
    #[default]
    Connecting,
    /// Connected.
    Connected,
    /// The last attempt or connection failed; waiting for the next.
    Waiting,
    /// The collector does not accept this agent; tried again now and then.
    Refused,
}

/// The connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// What the uplink is doing.
    pub state: ConnectionState,
    /// Address of the collector.
    pub collector: String,
    /// Name of the collector, once it has told.
    pub node: String,
    /// Since when the state holds.
    pub since: Timestamp,
    /// Why the last attempt or connection ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When the last receipt was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_receipt_at: Option<Timestamp>,
    /// What it covers: everything below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_receipt_next_seq: Option<u64>,
    /// Batches on their way.
    pub batches_in_flight: u64,
    /// Most batches the collector allows on their way.
    pub window: u32,
    /// Times a collector asked to wait.
    pub waits: u64,
    /// Batches that were refused for good.
    pub refused_batches: u64,
    /// When the oldest batch on its way was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_in_flight_at: Option<Timestamp>,
}

/// The spool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// Life of the numbering.
    pub epoch: String,
    /// Events that are not acknowledged.
    pub events: u64,
    /// Bytes on disk; the newest file stays when everything is acknowledged.
    pub disk_bytes: u64,
    /// Limit of `disk_bytes`.
    pub max_bytes: u64,
    /// Everything below is stored upstream.
    pub first_unacknowledged_seq: u64,
    /// Number of the next event.
    pub next_seq: u64,
    /// Age of the oldest event that is not acknowledged, in milliseconds, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_millis: Option<u64>,
    /// Events given up in this epoch.
    pub dropped: DropStatus,
    /// Why it cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Events given up, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropStatus {
    /// The spool was full.
    pub spool_full: u64,
    /// A sensor lost them.
    pub sensor_overflow: u64,
    /// They could not be read back.
    pub spool_corrupt: u64,
}

impl ConnectionStatus {
    fn enter(&mut self, state: ConnectionState, collector: &str) {
        if self.state != state || self.since == Timestamp::default() {
            self.since = Timestamp::now();
        }
        self.state = state;
        collector.clone_into(&mut self.collector);
        self.batches_in_flight = 0;
        self.oldest_in_flight_at = None;
    }

    pub(crate) fn start(&mut self, collector: &str) {
        self.node.clear();
        self.enter(ConnectionState::Connecting, collector);
    }

    pub(crate) fn connected(&mut self, collector: &str, node: &str, window: u32) {
        self.enter(ConnectionState::Connected, collector);
        self.node = node.chars().take(64).collect();
        self.window = window;
        self.last_error = None;
    }

    pub(crate) fn fail(&mut self, state: ConnectionState, collector: &str, reason: &str) {
        self.enter(state, collector);
        self.last_error = Some(reason.to_owned());
    }

    pub(crate) fn receipt(&mut self, next_seq: u64, issued_at: Timestamp) {
        self.last_receipt_next_seq = Some(next_seq);
        self.last_receipt_at = Some(issued_at);
    }

    pub(crate) fn flying(&mut self, batches: usize, oldest: Option<Timestamp>) {
        self.batches_in_flight = batches as u64;
        self.oldest_in_flight_at = oldest;
    }
}

/// Where all parts of the agent write what is shown.
#[derive(Debug)]
pub struct Board {
    started_at: Timestamp,
    agent_id: AgentId,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    certificate: CertificateStatus,
    connection: ConnectionStatus,
    files: Vec<FileStatus>,
    journald: Option<JournalStatus>,
}

impl Board {
    /// An empty one.
    #[must_use]
    pub fn new(agent_id: AgentId, started_at: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            started_at,
            agent_id,
            parts: Mutex::default(),
        })
    }

    pub(crate) fn connection(&self, change: impl FnOnce(&mut ConnectionStatus)) {
        change(&mut self.parts().connection);
    }

    pub(crate) fn certificate(&self, id: &SpiffeId, not_after: Timestamp, renew_at: Timestamp) {
        self.parts().certificate = CertificateStatus {
            spiffe_id: id.to_string(),
            not_after,
            renew_at,
        };
    }

    pub(crate) fn files(&self, files: Vec<FileStatus>) {
        self.parts().files = files;
    }

    pub(crate) fn journald(&self, status: JournalStatus) {
        self.parts().journald = Some(status);
    }

    /// The status as of `now`.
    #[must_use]
    pub fn snapshot(&self, spool: &Spool, link: &Link, max_bytes: u64, running: bool, now: Timestamp) -> Status {
        let depth = spool.depth();
        let parts = self.parts();
        let oldest = parts.connection.oldest_in_flight_at.filter(|_| depth.events > 0);
        Status {
            written_at: now,
            running,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            agent_id: self.agent_id,
            certificate: parts.certificate.clone(),
            connection: parts.connection.clone(),
            spool: SpoolStatus {
                epoch: format!("{:016x}", spool.epoch()),
                events: depth.events,
                disk_bytes: depth.disk_bytes,
                max_bytes,
                first_unacknowledged_seq: depth.first_unacknowledged_seq,
                next_seq: depth.next_seq,
                oldest_millis: oldest.or(spool.oldest_at()).map(|at| millis_between(at, now)),
                dropped: DropStatus {
                    spool_full: depth.drops.spool_full,
                    sensor_overflow: depth.drops.sensor_overflow,
                    spool_corrupt: depth.drops.spool_corrupt,
                },
                error: link.last_spool_error(),
            },
            files: parts.files.clone(),
            journald: parts.journald.clone(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0) / 1000).unwrap_or(0)
}

/// Replaces the status file. Not synced: it is of no use after a crash.
pub(crate) fn write(path: &Path, status: &Status) -> anyhow::Result<()> {
    let temporary = path.with_extension("json.tmp");
    fs::write(&temporary, serde_json::to_vec(status)?).context("write the status")?;
    fs::rename(&temporary, path).context("replace the status")
}

/// Reads the status of the agent on a data directory.
///
/// # Errors
/// When no agent has run there yet, or the file is not understood.
pub fn read(path: &Path) -> anyhow::Result<Status> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            anyhow::bail!("no status in {}: has an agent run with this data_dir?", path.display())
        }
        bytes => bytes.with_context(|| format!("read {}", path.display()))?,
    };
    serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
}

impl Status {
    /// Whether the agent that wrote it still runs, as far as the file tells.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        self.running && Duration::from_millis(millis_between(self.written_at, now)) <= FRESH
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self, now: Timestamp) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut text, now);
        text
    }

    fn write_text(&self, out: &mut String, now: Timestamp) -> std::fmt::Result {
        let ago = |at: Timestamp| human_duration(millis_between(at, now));
        if self.is_alive(now) {
            writeln!(
                out,
                "agent        {} running, pid {}, since {}",
                self.agent_id, self.pid, self.started_at
            )?;
        } else {
            writeln!(
                out,
                "agent        {} NOT RUNNING, last seen {} ago",
                self.agent_id,
                ago(self.written_at)
            )?;
        }
        writeln!(out, "version      {}", self.version)?;
        let certificate = &self.certificate;
        let expired = if certificate.not_after <= now { " EXPIRED" } else { "" };
        writeln!(
            out,
            "certificate  until {}{expired}, renewal from {}",
            certificate.not_after, certificate.renew_at
        )?;
        let connection = &self.connection;
        let state = match connection.state {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected => "connected",
            ConnectionState::Waiting => "not connected, waiting",
            ConnectionState::Refused => "REFUSED",
        };
        let node = if connection.node.is_empty() {
            String::new()
        } else {
            format!(" ({})", connection.node)
        };
        writeln!(
            out,
            "connection   {state}, {}{node}, for {}",
            connection.collector,
            ago(connection.since)
        )?;
        if let Some(error) = &connection.last_error {
            writeln!(out, "             {error}")?;
        }
        match (connection.last_receipt_at, connection.last_receipt_next_seq) {
            (Some(at), Some(next)) => writeln!(out, "receipt      {} ago, up to event {next}", ago(at))?,
            (None, _) | (_, None) => writeln!(out, "receipt      none since the agent started")?,
        }
        if connection.refused_batches > 0 {
            writeln!(
                out,
                "             {} batches were refused for good",
                connection.refused_batches
            )?;
        }
        let spool = &self.spool;
        writeln!(
            out,
            "spool        {} events waiting, {} of {} on disk, {} batches on their way",
            spool.events,
            human_bytes(spool.disk_bytes),
            human_bytes(spool.max_bytes),
            connection.batches_in_flight
        )?;
        if let Some(oldest) = spool.oldest_millis {
            writeln!(out, "             oldest event waiting for {}", human_duration(oldest))?;
        }
        if let Some(error) = &spool.error {
            writeln!(out, "             CANNOT BE WRITTEN: {error}")?;
        }
        let dropped = spool.dropped;
        if dropped != DropStatus::default() {
            writeln!(
                out,
                "dropped      {} because the spool was full, {} by sensors, {} because of damage on disk",
                dropped.spool_full, dropped.sensor_overflow, dropped.spool_corrupt
            )?;
        }
        if let Some(journal) = &self.journald {
            let state = if journal.running { "running" } else { "NOT RUNNING" };
            let error = journal.error.as_deref().unwrap_or_default();
            writeln!(out, "journald     {state}, {} entries read {error}", journal.entries)?;
        }
        writeln!(out, "files        {}", self.files.len())?;
        for file in &self.files {
            let path = file.path.display();
            write!(out, "  {path}  at {} of {}", file.offset, file.size)?;
            if file.lag_bytes > 0 {
                write!(out, ", {} behind", human_bytes(file.lag_bytes))?;
            }
            if file.rotated {
                write!(out, ", rotated")?;
            }
            match &file.error {
                Some(error) => writeln!(out, ", CANNOT BE READ: {error}")?,
                None => writeln!(out)?,
            }
        }
        Ok(())
    }
}

fn human_bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn human_duration(millis: u64) -> String {
    match millis / 1000 {
        0 => format!("{millis} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
