//! Events as files: newest first, as a stream, in memory that does not grow with what is exported.

mod csv;
mod ocsf;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, stream};
use model::{Event, EventId, Timestamp};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::blocks::{Columns, FoundBlock};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use super::filter::{EventFilter, Prepared};
use super::pass::Pass;
use super::{Events, Turn, take};

pub use csv::DEFAULT_COLUMNS;

/// Lines kept back at once until those before them are known, in bytes. Where more overlaps in time, the order is only
/// roughly newest first.
const MAX_HELD: usize = 32 << 20;
/// Size a piece of the stream should have at least, in bytes.
const PIECE: usize = 64 << 10;

/// How long a piece waits to be taken.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an event is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line of JSON, nested ECS.
    Jsonl,
    /// A line of these fields, under a line of their names.
    Csv(Vec<String>),
    /// A line of JSON as the Open Cybersecurity Schema Framework has it.
    Ocsf,
}

impl Format {
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        if let Self::Csv(columns) = self {
            csv::head(&mut head, columns);
        }
        head
    }

    fn write(&self, event: &Event) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        let json = match self {
            Self::Csv(columns) => {
                csv::line(&mut line, event, columns);
                return line;
            }
            Self::Jsonl => event.to_json(),
            Self::Ocsf => ocsf::event(event),
        };
        // Writing JSON into memory does not fail.
        if serde_json::to_writer(&mut line, &json).is_err() {
            line.clear();
        }
        line.push(b'\n');
        line
    }
}

/// Place of a line in the order of events.
type Key = (Timestamp, EventId);

struct Export {
    pass: Pass<Vec<(Key, Vec<u8>)>>,
    /// Lines that others may still come before.
    held: BTreeMap<Key, Vec<u8>>,
    held_bytes: usize,
    head: Option<Vec<u8>>,
    /// How many lines may still be given.
    left: u64,
    is_over: bool,
}

impl Events {
    /// All events that match, or the newest `limit` of them, newest first.
    ///
    /// # Errors
    /// When searches cannot run any more.
    pub async fn export(
        &self,
        filter: &EventFilter,
        format: Format,
        limit: Option<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, ServiceError>> + Send + use<>, ServiceError> {
        let turn = take(&self.exports).await?;
        let export = Export::new(&self.store, filter, format, limit, &turn);
        let (pieces, taken) = mpsc::channel(1);
        tokio::spawn(async move {
            tokio::select! {
                // Its client left.
                () = pieces.closed() => {}
                () = hand_over(export, &pieces) => {}
            }
            drop(turn);
        });
        Ok(stream::unfold(Some(taken), |taken| async move {
            let mut taken = taken?;
            match taken.recv().await {
                Some(Piece::More(bytes)) => Some((Ok(bytes), Some(taken))),
                Some(Piece::Failed(error)) => Some((Err(error), None)),
                Some(Piece::End) => None,
                None => {
                    let detail = "the export was cut off: nothing of it was taken for a minute";
                    Some((Err(ServiceError::new(ErrorCode::DeadlineExceeded, detail)), None))
                }
            }
        }))
    }
}

/// What an export's client is given.
enum Piece {
    More(Bytes),
    Failed(ServiceError),
    End,
}

/// Makes piece after piece, until the client takes none for a while: it may be a pager that somebody left open, and others
/// wait for the place.
async fn hand_over(mut export: Export, pieces: &mpsc::Sender<Piece>) {
    loop {
        let (piece, is_last) = match export.next().await {
            Ok(Some(bytes)) => (Piece::More(bytes), false),
            Ok(None) => (Piece::End, true),
            Err(error) => (Piece::Failed(error), true),
        };
        if let Err(error) = pieces.send_timeout(piece, PATIENCE).await {
            if matches!(error, SendTimeoutError::Timeout(_)) {
                metrics::counter!("picket_gateway_searches_cut_total", "reason" => "stalled").increment(1);
            }
            return;
        }
        if is_last {
            return;
        }
    }
}

impl Export {
    fn new(store: &Store, filter: &EventFilter, format: Format, limit: Option<u64>, turn: &Turn) -> Self {
        let prepared = Arc::new(filter.prepare(Timestamp::now()));
        let (of_block, head) = (prepared.clone(), format.head());
        let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self {
            pass: Pass::new(store, turn, &prepared, Columns::All, None, move |found, block| {
                lines(&of_block, found, block, &format, most)
            }),
            held: BTreeMap::new(),
            held_bytes: 0,
            head: Some(head),
            left: limit.unwrap_or(u64::MAX),
            is_over: false,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ServiceError> {
        let mut piece = self.head.take().unwrap_or_default();
        while !self.is_over && self.left > 0 && piece.len() < PIECE {
            match self.pass.next().await? {
                None => {
                    self.is_over = true;
                }
                Some(lines) => {
                    self.held_bytes += lines.iter().map(|(_, line)| line.len()).sum::<usize>();
                    self.held.extend(lines);
                }
            }
            self.give(&mut piece);
        }
        Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
    }

    /// Moves lines that nothing can come before any more.
    fn give(&mut self, piece: &mut Vec<u8>) {
        let rest = if self.is_over { None } else { self.pass.rest_until() };
        while self.left > 0
            && let Some(entry) = self.held.last_entry()
        {
            let is_due = rest.is_none_or(|rest| entry.key().0 > rest);
            if !is_due && self.held_bytes <= MAX_HELD {
                break;
            }
            let line = entry.remove();
            self.held_bytes -= line.len();
            self.left -= 1;
            piece.extend_from_slice(&line);
        }
    }
}

fn lines(
    prepared: &Prepared,
    found: &FoundBlock,
    block: &block::Block<'_>,
    format: &Format,
    most: usize,
) -> Result<Vec<(Key, Vec<u8>)>, block::DecodeError> {
    let events = prepared.newest_events(found, block, most)?;
    let lines = events
        .iter()
        .map(|event| ((event.timestamp, event.id), format.write(event)));
    Ok(lines.collect())
}

impl Format {
    /// From the names REST and the command line give them.
    ///
    /// # Errors
    /// When there is no such format, or columns are given for one that has none.
    pub fn parse(name: Option<&str>, columns: Option<&str>) -> Result<Self, ServiceError> {
        let format = match name {
            None | Some("jsonl") => Self::Jsonl,
            Some("ocsf") => Self::Ocsf,
            Some("csv") => return csv::columns(columns).map(Self::Csv),
            Some(other) => {
                let got = crate::problem::quote(other);
                return Err(crate::problem::invalid(format!(
                    "format: expected jsonl, csv or ocsf, got {got}"
                )));
            }
        };
        match columns {
            None => Ok(format),
            Some(_) => Err(crate::problem::invalid("fields: only format=csv has columns")),
        }
    }

    /// The type of what is written.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Jsonl | Self::Ocsf => "application/x-ndjson",
            Self::Csv(_) => "text/csv; charset=utf-8",
        }
    }

    /// What to call the file.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        match self {
            Self::Jsonl => "events.jsonl",
            Self::Ocsf => "events.ocsf.jsonl",
            Self::Csv(_) => "events.csv",
        }
    }
}
