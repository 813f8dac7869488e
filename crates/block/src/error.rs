//! Why a block could not be written or read.

use crate::layout::{MAX_DECODED_BYTES, MAX_EVENTS, MAX_WEIGHT};

/// The events cannot be one block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A block has at least one event.
    #[error("a block needs at least one event")]
    Empty,
    /// More than [`MAX_EVENTS`].
    #[error("a block holds at most {MAX_EVENTS} events, got {0}")]
    TooManyEvents(usize),
    /// The sum of [`crate::weight`] is above [`MAX_WEIGHT`].
    #[error("a block holds at most {MAX_WEIGHT} bytes of events, got more by event {index}")]
    TooHeavy {
        /// Position of the event that was too much, from 0.
        index: usize,
    },
    /// An event has the same field twice.
    #[error("event {index} has the field {field:?} twice")]
    DuplicateField {
        /// Position of the event, from 0.
        index: usize,
        /// The field's name.
        field: String,
    },
    /// A field's lists nest deeper than 64.
    #[error("event {index} has lists nested deeper than 64 in the field {field:?}")]
    TooDeep {
        /// Position of the event, from 0.
        index: usize,
        /// The field's name.
        field: String,
    },
    /// The compressor failed, which it does only without memory.
    #[error("compress a column")]
    Compress(#[source] std::io::Error),
}

/// The bytes are not a block this version can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It does not begin as a block does.
    #[error("not a block: expected it to begin with PKTB")]
    Magic,
    /// Written by a version whose blocks this one cannot read.
    #[error("block version {0} is not supported, expected 2")]
    Version(u8),
    /// The bytes changed since they were written.
    #[error("block checksum does not match its bytes")]
    Checksum,
    /// It ends before it should.
    #[error("block is cut off in its {0}")]
    Truncated(&'static str),
    /// A part contradicts the format.
    #[error("block is malformed: {0}")]
    Malformed(&'static str),
    /// A column is laid out in a way this version does not know.
    #[error("column encoding {0} is not known")]
    Encoding(u8),
    /// Only a part of the block was at hand, without this column.
    #[error("column is not at hand")]
    NotAtHand,
    /// Decoding would take too much memory.
    #[error("block would take more than {MAX_DECODED_BYTES} bytes of memory")]
    TooLarge,
}
