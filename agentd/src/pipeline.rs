//! From sensors to spool: closes batches and writes each together with the sensors' steps.
//!
//! A batch is closed when it has enough events or bytes, or when its first event has waited for the linger time,
//! whichever comes first; and sooner when everything before it was acknowledged, because nothing would be gained by
//! waiting then. So a quiet endpoint's events leave at once, and a busy one's in full batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use model::Timestamp;
use prost::Message as _;
use proto::ingest::v1::{Origin as WireOrigin, Record, Records, record};
use tokio_util::sync::CancellationToken;

use crate::link::Link;
use crate::sensors::{Body, Chunk, Input, Origin, Raw};
use crate::spool::checkpoint::FileKey;
use crate::spool::{Change, Delta, Sealed, Writer};

/// Fast, and at this level still a factor of five to ten on log lines.
const ZSTD_LEVEL: i32 = 1;
/// How long events are gathered when nothing is on its way.
const GATHER: Duration = Duration::from_millis(5);
/// How long steps without events may wait.
const NOTE_LINGER: Duration = Duration::from_millis(500);
/// Batches that may share one write-through to the disk.
const GROUP: usize = 8;
const RETRY: Duration = Duration::from_secs(1);
/// Most origins of a batch: one less than collectors take.
const MAX_ORIGINS: usize = 1023;
/// A record's share of a batch beyond its content: tags, lengths, time.
const RECORD_OVERHEAD: usize = 24;

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Events.
    pub max_events: usize,
    /// Bytes before compression.
    pub max_bytes: usize,
    /// Time since the first event.
    pub linger: Duration,
}

/// The pipeline.
pub struct Pipeline {
    input: Receiver<Input>,
    writer: Writer,
    limits: Limits,
    link: Arc<Link>,
    stop: CancellationToken,
    open: Open,
    /// Appended and not synced.
    unsynced: usize,
    failing: bool,
}

/// The batch that is being filled.
#[derive(Default)]
struct Open {
    records: Vec<Record>,
    origins: Vec<Arc<Origin>>,
    bytes: usize,
    first_at: Option<Instant>,
    deltas: Deltas,
}

/// Steps; of several steps of one file only the last is kept.
#[derive(Default)]
struct Deltas {
    files: HashMap<FileKey, Delta>,
    cursor: Option<Delta>,
    patterns: Vec<Delta>,
    first_at: Option<Instant>,
}

impl Pipeline {
    /// Takes `input` and writes to `writer` until all senders are gone.
    #[must_use]
    pub fn new(
        input: Receiver<Input>,
        writer: Writer,
        limits: Limits,
        link: Arc<Link>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            input,
            writer,
            limits,
            link,
            stop,
            open: Open::default(),
            unsynced: 0,
            failing: false,
        }
    }

    /// Runs on the calling thread. On return everything it was given is safe on disk.
    ///
    /// # Errors
    /// When the disk fails in a way that leaves open what reached it: the process must end and recover. A full disk is
    /// waited for, and the sensors with it.
    pub fn run(mut self) -> anyhow::Result<()> {
        loop {
            match self.input.try_recv() {
                Ok(input) => {
                    self.take(input)?;
                    continue;
                }
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => self.sync()?,
            }
            let input = match self.due() {
                Some(due) => self.input.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => self.input.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match input {
                Ok(input) => self.take(input)?,
                Err(RecvTimeoutError::Timeout) => self.close()?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.close()?;
        self.sync()
    }

    fn take(&mut self, input: Input) -> anyhow::Result<()> {
        match input {
            Input::Chunk(chunk) => self.take_chunk(chunk)?,
            Input::Note(deltas) => {
                for delta in deltas {
                    self.open.deltas.add(delta);
                }
            }
            Input::Nudge => {}
        }
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.close()?;
        }
        Ok(())
    }

    fn take_chunk(&mut self, mut chunk: Chunk) -> anyhow::Result<()> {
        let mut taken = None;
        for raw in std::mem::take(&mut chunk.records) {
            let size = raw.body.len() + RECORD_OVERHEAD;
            let full = self.open.records.len() >= self.limits.max_events
                || self.open.origins.len() >= MAX_ORIGINS
                || (self.open.bytes + size > self.limits.max_bytes && !self.open.records.is_empty());
            if full {
                if let Some(delta) = taken.and_then(|position| chunk.delta(&position, false)) {
                    self.open.deltas.add(delta);
                }
                self.close()?;
            }
            taken = Some(raw.after.clone());
            self.open.add(&chunk.origin, chunk.observed_at_micros, raw, size);
        }
        if let Some(delta) = taken.and_then(|position| chunk.delta(&position, true)) {
            self.open.deltas.add(delta);
        }
        if self.open.records.len() >= self.limits.max_events || self.open.bytes >= self.limits.max_bytes {
            self.close()?;
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        let events = self.open.first_at.map(|first| {
            let linger = if self.link.is_idle() {
                GATHER.min(self.limits.linger)
            } else {
                self.limits.linger
            };
            first + linger
        });
        let notes = self.open.deltas.first_at.map(|first| first + NOTE_LINGER);
        events.into_iter().chain(notes).min()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        let open = std::mem::take(&mut self.open);
        let count = u32::try_from(open.records.len()).unwrap_or(u32::MAX);
        let deltas = open.deltas.into_vec();
        if count == 0 && deltas.is_empty() {
            return Ok(());
        }
        let sealed = if count > 0 {
            let records = Records {
                origins: open.origins.iter().map(|origin| wire_origin(origin)).collect(),
                records: open.records,
            };
            Some(seal(&records, count)?)
        } else {
            None
        };
        self.append(sealed.as_ref(), &deltas)?;
        metrics::counter!("picket_agentd_events_spooled_total").increment(u64::from(count));
        self.unsynced += 1;
        self.link.closed(u64::from(count));
        if self.unsynced >= GROUP { self.sync() } else { Ok(()) }
    }

    /// Waits while the file system refuses: the sensors stop reading then, and nothing is lost.
    fn append(&mut self, sealed: Option<&Sealed>, deltas: &[Delta]) -> anyhow::Result<()> {
        loop {
            match self.writer.append(sealed, deltas) {
                Ok(()) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("spool can be written again");
                        self.link.spool_error(None);
                    }
                    return Ok(());
                }
                Err(error) if self.stop.is_cancelled() => return Err(error).context("write to the spool"),
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(%error, "spool cannot be written, sensors wait until it can");
                        self.link.spool_error(Some(error.to_string()));
                    }
                    let until = Instant::now() + RETRY;
                    while Instant::now() < until && !self.stop.is_cancelled() {
                        std::thread::park_timeout(Duration::from_millis(100));
                    }
                }
            }
        }
    }

    fn sync(&mut self) -> anyhow::Result<()> {
        if self.unsynced > 0 {
            self.writer.sync().context("write the spool through to the disk")?;
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Open {
    fn add(&mut self, origin: &Arc<Origin>, observed_at_micros: i64, raw: Raw, size: usize) {
        self.first_at.get_or_insert_with(Instant::now);
        let index = match self.origins.iter().rposition(|known| Arc::ptr_eq(known, origin)) {
            Some(index) => index,
            None => {
                self.bytes += origin.header.as_ref().map_or(0, |header| header.len());
                self.origins.push(Arc::clone(origin));
                self.origins.len() - 1
            }
        };
        self.bytes += size;
        self.records.push(Record {
            origin: u32::try_from(index).unwrap_or(u32::MAX),
            observed_at_micros,
            truncated_bytes: raw.truncated_bytes,
            body: Some(match raw.body {
                Body::Line(line) => record::Body::Line(line),
                Body::Json(json) => record::Body::Json(json),
            }),
        });
    }
}

impl Deltas {
    fn add(&mut self, delta: Delta) {
        self.first_at.get_or_insert_with(Instant::now);
        match &delta.change {
            Some(Change::File(mark) | Change::Forget(mark)) => {
                self.files.insert(mark.key(), delta);
            }
            Some(Change::Cursor(_)) => self.cursor = Some(delta),
            Some(Change::Pattern(_)) => self.patterns.push(delta),
            None => {}
        }
    }

    fn into_vec(self) -> Vec<Delta> {
        let mut deltas: Vec<Delta> = self.files.into_values().collect();
        deltas.extend(self.cursor);
        deltas.extend(self.patterns);
        deltas
    }
}

fn wire_origin(origin: &Origin) -> WireOrigin {
    WireOrigin {
        kind: origin.kind.to_owned(),
        name: origin.name.clone(),
        log_type: origin.log_type.clone(),
        header: origin.header.as_deref().unwrap_or_default().to_owned(),
    }
}

fn seal(records: &Records, count: u32) -> anyhow::Result<Sealed> {
    let encoded = records.encode_to_vec();
    let payload = zstd::bulk::compress(&encoded, ZSTD_LEVEL).context("compress a batch")?;
    Ok(Sealed {
        count,
        created_at_micros: Timestamp::now().0,
        payload: Bytes::from(payload),
        uncompressed_bytes: encoded.len() as u64,
    })
}
