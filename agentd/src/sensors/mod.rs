//! Where events come from. A sensor runs on a thread of its own, blocks while the pipeline is busy, and never loses its
//! place: each record carries the position behind it, which goes into the spool together with the record.

pub mod event_log;
pub mod file;
mod gap;
pub(crate) mod given_up;
pub mod journald;
pub mod pihole;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use bytes::Bytes;

use crate::spool::{Change, Delta, FileMark};

/// How many inputs wait between the sensors and the pipeline. Each is at most [`CHUNK_BYTES`] of text or one line.
const QUEUE: usize = 16;
/// Bytes read from a file at once.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Most records in one chunk.
pub const CHUNK_RECORDS: usize = 1024;

/// Where records come from, as it is told upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `file`, which databases are too, or `journald`.
    pub kind: &'static str,
    /// Path or unit.
    pub name: String,
    /// Parser the operator named; empty to detect it.
    pub log_type: String,
    /// What the file says of the columns of the records ([`records::header`]).
    pub header: Option<Arc<str>>,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A line of text, any bytes, without its end.
    Line(Bytes),
    /// An object as JSON text.
    Json(Bytes),
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Line(bytes) | Self::Json(bytes) => bytes.len(),
        }
    }
}

/// Where its sensor goes on once the record is in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// Offset in the chunk's file; in a database the number of a row.
    Offset(u64),
    /// Offset behind an element of an array in the chunk's file.
    Element(u64),
    /// A place in the chunk's file that is more than an offset.
    Mark(Arc<FileMark>),
    /// Cursor of the journal.
    Cursor(String),
}

/// One event, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Its content.
    pub body: Body,
    /// Bytes cut off the end.
    pub truncated_bytes: u64,
    /// The place behind it.
    pub after: Position,
}

/// Records of one origin, read together.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Where they come from.
    pub origin: Arc<Origin>,
    /// When they were read, microseconds since 1970.
    pub observed_at_micros: i64,
    /// In the order of the source.
    pub records: Vec<Raw>,
    /// For files: the mark behind the whole chunk.
    pub mark: Option<FileMark>,
}

impl Chunk {
    /// The step of the sensor that belongs to the records up to the one that ends at `position`; `last` when that is
    /// all of them.
    #[must_use]
    pub fn delta(&self, position: &Position, last: bool) -> Option<Delta> {
        let change = match (position, &self.mark) {
            (Position::Cursor(cursor), _) => Change::Cursor(cursor.clone()),
            (_, None) => return None,
            (_, Some(mark)) if last => Change::File(mark.clone()),
            (Position::Mark(mark), Some(_)) => Change::File(FileMark::clone(mark)),
            // What lies before a place inside the chunk is not at hand, so that part of the check is left out.
            (Position::Offset(offset) | Position::Element(offset), Some(mark)) => Change::File(FileMark {
                offset: *offset,
                tail_bytes: 0,
                tail_hash: 0,
                within: u32::from(matches!(position, Position::Element(_))),
                done: Vec::new(),
                ..mark.clone()
            }),
        };
        Some(change.into())
    }
}

/// What the pipeline takes.
#[derive(Debug)]
pub enum Input {
    /// Events.
    Chunk(Chunk),
    /// Steps without events. They are written together, in one frame.
    Note(Vec<Delta>),
    /// Everything sent so far was acknowledged: no need to wait for a fuller batch.
    Nudge,
}

/// The sensors' end of the queue to the pipeline.
#[derive(Clone, Debug)]
pub struct Sink(SyncSender<Input>);

/// The pipeline is gone; the process is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline has ended")]
pub struct Closed;

/// A bounded queue.
#[must_use]
pub fn queue() -> (Sink, Receiver<Input>) {
    let (sender, receiver) = sync_channel(QUEUE);
    (Sink(sender), receiver)
}

impl Sink {
    /// Hands over; waits while the queue is full. From blocking threads only.
    ///
    /// # Errors
    /// When the pipeline has ended.
    pub fn send(&self, input: Input) -> Result<(), Closed> {
        self.0.send(input).map_err(|_| Closed)
    }

    /// Never waits; a nudge for a full queue is not needed.
    pub fn nudge(&self) {
        match self.0.try_send(Input::Nudge) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}
