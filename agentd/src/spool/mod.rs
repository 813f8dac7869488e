//! The disk spool: where events wait until a collector has stored them.
//!
//! Segments are append-only files of CRC-framed records ([`frame`]). One frame holds one closed batch *and* how far the
//! sensors are once it is in the spool ([`checkpoint`]), so after a crash either both are there or neither is: nothing
//! is lost and nothing is read twice. Each segment starts with a full snapshot, so older segments can go as a whole.
//!
//! - [`Writer`] appends; there is one, on the pipeline's thread. What it wrote counts after [`Writer::sync`].
//! - [`Reader`] streams synced batches from disk to the uplink.
//! - [`Spool`] is what both share: segments, the acknowledged position, what was given up.
//!
//! When the size limit is reached, whole segments are removed, oldest first. What was not acknowledged in them is
//! counted and reported upstream until a receipt covers it. The newest segment always stays, because it holds the
//! checkpoints.

mod ack;
pub mod checkpoint;
pub mod drops;
mod frame;
mod reader;
mod recover;
mod writer;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use proto::ingest::v1::{Drop, DropReason};
use tokio::sync::watch;

pub use checkpoint::{Change, Checkpoints, Delta, FileMark};
pub use drops::Drops;
pub use reader::Reader;
pub use recover::open;
pub use writer::{Sealed, Writer};

/// Sizes of a spool.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most bytes all segments take together; at least three segments.
    pub max_bytes: u64,
    /// A segment is closed when the next frame would make it larger than this.
    pub segment_bytes: u64,
}

/// The part of the spool that its writer, its reader and the status page share.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    options: Options,
    epoch: u64,
    state: Mutex<State>,
    durable: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last one is being written.
    segments: VecDeque<Segment>,
    durable_next: u64,
    acked: u64,
    acked_on_disk: u64,
    drops: Drops,
    /// Whether `drops` differs from what the segments say.
    drops_changed: bool,
    /// What the collector was told of `drops` over the current connection.
    reported: Vec<Drop>,
    /// Numbers below it were sent over the current connection: whether they are lost when their segment is removed
    /// shows only when a receipt comes, or none.
    sent: u64,
    /// Some batches' first numbers and when they were closed, ascending.
    times: VecDeque<(u64, Timestamp)>,
}

/// Most entries in `State::times`.
const MAX_TIMES: usize = 2048;
/// One entry in `State::times` for this much time is enough.
const TIMES_APART_MICROS: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Segment {
    index: u64,
    first_seq: u64,
    /// What may be read.
    bytes: u64,
}

/// How full the spool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Numbers that are not acknowledged.
    pub events: u64,
    /// Size of all segments.
    pub disk_bytes: u64,
    /// Next number a receipt is wanted for.
    pub first_unacknowledged_seq: u64,
    /// The number the next event gets.
    pub next_seq: u64,
    /// What was given up.
    pub drops: Drops,
}

impl Spool {
    /// The numbering's life.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number after the last event that is safe on disk; changes whenever there is more to send.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    /// Number after the last event that is safe on disk.
    #[must_use]
    pub fn durable_next(&self) -> u64 {
        self.state().durable_next
    }

    /// Number of the oldest event that is in the spool and not acknowledged.
    #[must_use]
    pub fn first_unacknowledged(&self) -> u64 {
        self.state().oldest()
    }

    /// Whether everything that is safe on disk has been acknowledged.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let state = self.state();
        state.oldest() >= state.durable_next
    }

    /// Takes a receipt: everything below `next_seq` is stored upstream. Segments that hold nothing else are removed.
    ///
    /// # Errors
    /// When the position cannot be written or a segment cannot be removed. The position in memory has moved all the
    /// same; the work is repeated with the next receipt.
    pub fn acknowledge(&self, next_seq: u64) -> io::Result<()> {
        let mut state = self.state();
        if next_seq > state.durable_next || next_seq < state.acked {
            return Ok(());
        }
        state.acked = next_seq;
        // A gap that was not told yet is kept, however far the receipt goes.
        let told = state.reported == state.drops.report(self.epoch);
        if told && state.drops.covered(next_seq) {
            state.drops_changed = true;
            state.reported = state.drops.report(self.epoch);
        }
        let done = |state: &State| {
            state
                .segments
                .get(1)
                .is_some_and(|second| second.first_seq <= state.acked)
        };
        if !done(&state) {
            return Ok(());
        }
        // First the position, then the segments: the other way round, a crash between them would look like a loss.
        ack::write(&self.dir, self.epoch, state.acked, true)?;
        state.acked_on_disk = state.acked;
        while done(&state) {
            if let Some(segment) = state.segments.front() {
                remove(&self.dir, segment.index)?;
            }
            state.segments.pop_front();
        }
        Ok(())
    }

    /// Writes the acknowledged position when it moved. A position that is behind costs repeated sending, no event.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_position(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.acked != state.acked_on_disk {
            ack::write(&self.dir, self.epoch, state.acked, false)?;
            state.acked_on_disk = state.acked;
        }
        Ok(())
    }

    /// Counts events that a sensor had to give up before they got numbers.
    pub fn sensor_lost(&self, count: u64) {
        metrics::counter!("picket_agentd_events_dropped_total", "reason" => "sensor_overflow").increment(count);
        let mut state = self.state();
        let next_seq = state.durable_next;
        state.drops.unnumbered(DropReason::SensorOverflow, next_seq, count);
        state.drops_changed = true;
    }

    fn damaged(&self, first_seq: u64, end: u64) {
        let mut state = self.state();
        let count = end.saturating_sub(first_seq);
        let lost = state.drops.numbered(DropReason::SpoolCorrupt, first_seq, count);
        if lost > 0 {
            state.drops_changed = true;
            drop(state);
            metrics::counter!("picket_agentd_events_dropped_total", "reason" => "spool_corrupt").increment(lost);
            tracing::warn!(first_seq, lost, "spool holds damaged bytes, events are lost");
        }
    }

    /// Takes `[first_seq, end)` for sending over the current connection. False when the events were given up, and
    /// counted, since they were read.
    pub fn claim(&self, first_seq: u64, end: u64) -> bool {
        let mut state = self.state();
        let there = state
            .segments
            .front()
            .is_some_and(|segment| segment.first_seq <= first_seq);
        if there {
            state.sent = state.sent.max(end);
        }
        there
    }

    /// Notes what the collector was told.
    pub fn note_reported(&self, drops: &[Drop]) {
        self.state().reported = drops.to_vec();
    }

    /// Notes that a connection has ended: no receipt comes any more for what was sent over it, so what is neither
    /// acknowledged nor in the spool is lost.
    pub fn note_disconnected(&self) {
        let mut state = self.state();
        state.sent = 0;
        state.reported.clear();
        let oldest = state.segments.front().map_or(0, |segment| segment.first_seq);
        let first = state.acked;
        let lost = state
            .drops
            .numbered(DropReason::SpoolFull, first, oldest.saturating_sub(first));
        if lost > 0 {
            state.drops_changed = true;
            drop(state);
            metrics::counter!("picket_agentd_events_dropped_total", "reason" => "spool_full").increment(lost);
            tracing::warn!(first_seq = first, lost, "spool is full, the oldest events are given up");
        }
    }

    /// The drops no receipt covers yet.
    #[must_use]
    pub fn drop_report(&self) -> Vec<Drop> {
        self.state().drops.report(self.epoch)
    }

    /// About when the oldest event that is not acknowledged was spooled.
    #[must_use]
    pub fn oldest_at(&self) -> Option<Timestamp> {
        let state = self.state();
        let oldest = state.oldest();
        let after = state.times.partition_point(|(seq, _)| *seq <= oldest);
        let known = state.times.get(after.saturating_sub(1)).map(|(_, at)| *at);
        known.filter(|_| oldest < state.durable_next)
    }

    /// How full it is.
    #[must_use]
    pub fn depth(&self) -> Depth {
        let state = self.state();
        Depth {
            events: state.durable_next.saturating_sub(state.oldest()),
            disk_bytes: state.segments.iter().map(|segment| segment.bytes).sum(),
            first_unacknowledged_seq: state.oldest(),
            next_seq: state.durable_next,
            drops: state.drops.clone(),
        }
    }

    /// Every change leaves the state consistent, so one that was abandoned by a panic is still good to read.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn oldest(&self) -> u64 {
        let first = self.segments.front().map_or(0, |segment| segment.first_seq);
        self.acked.max(first)
    }

    fn note_time(&mut self, seq: u64, at: Timestamp) {
        let oldest = self.oldest();
        while self.times.get(1).is_some_and(|(seq, _)| *seq <= oldest) {
            self.times.pop_front();
        }
        if self
            .times
            .back()
            .is_none_or(|(_, last)| at.0.abs_diff(last.0) >= TIMES_APART_MICROS)
        {
            self.times.push_back((seq, at));
        }
        if self.times.len() > MAX_TIMES {
            let mut keep = false;
            self.times.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }
}

fn segment_path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{index:016x}.seg"))
}

fn remove(dir: &Path, index: u64) -> io::Result<()> {
    match fs::remove_file(segment_path(dir, index)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
