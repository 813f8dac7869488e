//! Files of the Windows Event Log (EVTX): chunks of 64 KiB, each readable by itself, with records in binary XML. Records
//! become JSON objects in the shape of the XML, `{"Event":{"System":..,"EventData":..}}`, which `parsers` knows.
//!
//! What is damaged costs itself: a record that cannot be read, or a chunk whose header is not one. Each is told. A chunk
//! whose checksum is wrong, as in a file that was copied while Windows wrote it, is read as far as it can be.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::evtx::err::EvtxError;
use ::evtx::{EvtxChunkData, EvtxParser, IntoIterChunks, ParserSettings};
use bytes::Bytes;

use crate::unpack::Record;

/// How every such file begins.
pub const MAGIC: &[u8] = b"ElfFile\0";
/// Size of a chunk, in bytes.
pub const CHUNK_BYTES: u64 = 65_536;
/// Longest reason that is kept of damage, in bytes.
const MAX_REASON: usize = 300;

/// The file is no Event Log.
#[derive(Debug, thiserror::Error)]
#[error("expected a Windows Event Log (.evtx) file: {reason}")]
pub struct Error {
    reason: String,
}

/// What could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the chunk in the order of the log, from 0.
    pub chunk: u64,
    /// What is wrong, with the record's number where it is known.
    pub reason: String,
    /// Records that are missing because of it, where the chunk's header says how many it has.
    pub records: Option<u64>,
}

/// One chunk's records.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// In the order of the log, as JSON.
    pub records: Vec<Record>,
    /// What could not be read of it.
    pub damage: Vec<Damage>,
}

/// Reads a file chunk by chunk, the oldest first.
pub struct Reader {
    chunks: IntoIterChunks<File>,
    settings: Arc<ParserSettings>,
    max_record: usize,
    number: u64,
}

impl Reader {
    /// Records are cut behind `max_record` bytes.
    ///
    /// # Errors
    /// When the file does not begin as an Event Log does.
    pub fn open(file: File, max_record: usize) -> Result<Self, Error> {
        let settings = ParserSettings::new().num_threads(1).indent(false);
        let parser = guarded(|| EvtxParser::from_read_seek(file)).map_err(|reason| Error { reason })?;
        let settings = Arc::new(settings);
        Ok(Self {
            chunks: parser.with_configuration((*settings).clone()).into_chunks(),
            settings,
            max_record,
            number: 0,
        })
    }

    /// The next chunk; `None` at the end.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        let chunks = &mut self.chunks;
        let next = catch_unwind(AssertUnwindSafe(|| chunks.next()));
        let number = self.number;
        self.number += 1;
        let mut found = Chunk::default();
        let mut damage = |reason: String, records: Option<u64>| {
            found.damage.push(Damage {
                chunk: number,
                reason: short(reason),
                records,
            });
        };
        match next {
            Ok(None) => return None,
            Ok(Some(Ok(data))) => return Some(self.read(data, number)),
            Ok(Some(Err(error))) => damage(text(&error), None),
            Err(_) => damage("the reader failed".to_owned(), None),
        }
        Some(found)
    }

    fn read(&self, mut data: EvtxChunkData, number: u64) -> Chunk {
        let header = (data.header.first_event_record_id, data.header.last_event_record_id);
        let wanted = header.1.checked_sub(header.0).and_then(|span| span.checked_add(1));
        // No chunk has room for more; a header that says so is damaged itself.
        let wanted = wanted.filter(|count| *count <= CHUNK_BYTES / 24);
        let mut found = Chunk::default();
        let mut reasons: Vec<String> = Vec::new();
        if !data.validate_checksum() {
            reasons.push("its checksum is wrong".to_owned());
        }
        let (records, max) = (&mut found.records, self.max_record);
        let read = guarded(|| -> Result<(), EvtxError> {
            let mut chunk = data
                .parse(Arc::clone(&self.settings))
                .map_err(|error| EvtxError::FailedToParseChunk {
                    chunk_id: number,
                    source: Box::new(error),
                })?;
            for record in chunk.iter() {
                match record.and_then(|record| record.into_json()) {
                    Ok(record) => records.push(cut(record.data, max)),
                    Err(error) if reasons.len() < 16 => reasons.push(text(&error)),
                    Err(_) => {}
                }
            }
            Ok(())
        });
        if let Err(reason) = read {
            reasons.push(reason);
        }
        let missing = wanted.map(|wanted| wanted.saturating_sub(found.records.len() as u64));
        if reasons.is_empty() && missing.is_none_or(|missing| missing == 0) {
            return found;
        }
        if reasons.is_empty() {
            reasons.push("it has fewer records than its header says".to_owned());
        }
        for (index, reason) in reasons.into_iter().enumerate() {
            found.damage.push(Damage {
                chunk: number,
                reason: short(reason),
                records: if index == 0 { missing } else { Some(0) },
            });
        }
        found
    }
}

/// A failure of the library costs what it was reading, not the process.
fn guarded<T>(read: impl FnOnce() -> Result<T, EvtxError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| text(&error)),
        Err(_) => Err("the reader failed".to_owned()),
    }
}

/// An error with its causes.
fn text(error: &EvtxError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

fn short(mut reason: String) -> String {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    reason
}

fn cut(json: String, max: usize) -> Record {
    let bytes = Bytes::from(json);
    let kept = bytes.len().min(max);
    Record {
        body: bytes.slice(..kept),
        cut_bytes: (bytes.len() - kept) as u64,
        header: None,
    }
}
