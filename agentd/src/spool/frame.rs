//! How one record lies in a segment file: `magic | length | crc32 | payload`, the integers little-endian and 4 bytes
//! each. The magic number allows the reader to find the next frame behind damaged bytes; the CRC decides whether what
//! it found is one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use prost::Message as _;
use proto::ingest::v1::Batch;

use super::checkpoint::{Delta, FileMark};
use super::drops::Gap;

/// Starts every frame.
const MAGIC: [u8; 4] = *b"PkF\xa7";
/// Bytes before the payload.
pub(super) const HEADER_BYTES: u64 = 12;
/// Largest payload that is believed when it is read back.
const MAX_PAYLOAD_BYTES: u32 = 64 << 20;
const SEARCH_WINDOW: usize = 64 << 10;

/// What one frame says. A frame is applied as a whole or not at all: that is what keeps events and offsets together.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Frame {
    /// Present in the first frame of each segment.
    #[prost(message, optional, tag = "1")]
    pub(super) snapshot: Option<Snapshot>,
    /// The events.
    #[prost(message, optional, tag = "2")]
    pub(super) batch: Option<Batch>,
    /// How far the sensors are once the events above are in the spool.
    #[prost(message, repeated, tag = "3")]
    pub(super) deltas: Vec<Delta>,
    /// What was given up, when that changed since the frame before.
    #[prost(message, optional, tag = "4")]
    pub(super) drops: Option<DropState>,
}

/// Everything that must be known to go on without the segments before this one.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Snapshot {
    #[prost(fixed64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(uint64, tag = "2")]
    pub(super) next_seq: u64,
    /// Hash of the last batch; 32 zero bytes before the first.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) chain: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(super) files: Vec<FileMark>,
    #[prost(string, optional, tag = "5")]
    pub(super) journal_cursor: Option<String>,
    /// Glob patterns that were in force before, see `Checkpoints::patterns`.
    #[prost(string, repeated, tag = "6")]
    pub(super) patterns: Vec<String>,
    #[prost(message, optional, tag = "7")]
    pub(super) drops: Option<DropState>,
}

/// Persistent form of `Drops`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DropState {
    #[prost(uint64, tag = "1")]
    pub(super) spool_full: u64,
    #[prost(uint64, tag = "2")]
    pub(super) sensor_overflow: u64,
    #[prost(uint64, tag = "3")]
    pub(super) spool_corrupt: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) pending: Vec<Gap>,
}

impl Frame {
    /// The bytes as they go into a segment.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let length = self.encoded_len();
        let mut bytes = Vec::with_capacity(length + 12);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        self.encode_raw(&mut bytes);
        let crc = crc32fast::hash(bytes.get(12..).unwrap_or_default());
        if let Some(slot) = bytes.get_mut(8..12) {
            slot.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }
}

/// What is found at a place in a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A whole frame and its size in the file.
    Frame(Box<Frame>, u64),
    /// The end of what may be read.
    End,
    /// Bytes that are no frame.
    Damaged,
}

/// Reads the frame at `offset`; nothing at or behind `limit` is looked at.
pub(super) fn read(file: &File, offset: u64, limit: u64) -> io::Result<Found> {
    if offset >= limit {
        return Ok(Found::End);
    }
    let mut header = [0; 12];
    if offset + HEADER_BYTES > limit || !read_full(file, &mut header, offset)? {
        return Ok(Found::Damaged);
    }
    let word = |at: usize| {
        let mut word = [0; 4];
        word.copy_from_slice(header.get(at..at + 4).unwrap_or(&[0; 4]));
        u32::from_le_bytes(word)
    };
    let (length, crc) = (word(4), word(8));
    if header[..4] != MAGIC || length > MAX_PAYLOAD_BYTES || offset + HEADER_BYTES + u64::from(length) > limit {
        return Ok(Found::Damaged);
    }
    let mut payload = vec![0; length as usize];
    if !read_full(file, &mut payload, offset + HEADER_BYTES)? || crc32fast::hash(&payload) != crc {
        return Ok(Found::Damaged);
    }
    Ok(match Frame::decode(Bytes::from(payload)) {
        Ok(frame) => Found::Frame(Box::new(frame), HEADER_BYTES + u64::from(length)),
        Err(_) => Found::Damaged,
    })
}

/// The first offset at or after `from` where a whole frame lies.
pub(super) fn search(file: &File, from: u64, limit: u64) -> io::Result<Option<u64>> {
    let mut window = vec![0; SEARCH_WINDOW];
    let mut base = from;
    while base + HEADER_BYTES <= limit {
        let wanted = usize::try_from(limit - base).unwrap_or(usize::MAX).min(SEARCH_WINDOW);
        let Some(part) = window.get_mut(..wanted) else { break };
        if !read_full(file, part, base)? {
            break;
        }
        for at in part
            .windows(MAGIC.len())
            .enumerate()
            .filter(|(_, bytes)| **bytes == MAGIC)
        {
            let offset = base + at.0 as u64;
            if let Found::Frame(..) = read(file, offset, limit)? {
                return Ok(Some(offset));
            }
        }
        if wanted < SEARCH_WINDOW {
            break;
        }
        base += (SEARCH_WINDOW - MAGIC.len() + 1) as u64;
    }
    Ok(None)
}

/// False when the file ends before the buffer is full.
fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
