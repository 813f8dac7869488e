//! A column's bytes, which can be read without the rest of the block.

use crate::budget::Budget;
use crate::error::{DecodeError, EncodeError};
use crate::frame::{self, Plain};
use crate::wire::{Reader, put_len};

/// Bytes of the checksum behind each piece.
const CHECKSUM: usize = 4;

/// How a column is laid out, how many values it has, their frame, and a checksum over all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) encoding: u8,
    pub(crate) count: usize,
    frame: &'a [u8],
}

/// Appends a piece. Returns how long it is.
pub(crate) fn put(out: &mut Vec<u8>, encoding: u8, count: usize, plain: &[u8]) -> Result<usize, EncodeError> {
    let start = out.len();
    out.push(encoding);
    put_len(out, count);
    frame::put(out, plain)?;
    let checksum = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out.len() - start)
}

impl<'a> Piece<'a> {
    /// Checks the checksum; the frame is unpacked when asked for.
    pub(crate) fn get(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((piece, checksum)) = bytes.split_last_chunk::<CHECKSUM>() else {
            return Err(DecodeError::Truncated("column"));
        };
        if crc32fast::hash(piece).to_le_bytes() != *checksum {
            return Err(DecodeError::Checksum);
        }
        let mut reader = Reader::new(piece, "column");
        Ok(Self {
            encoding: reader.byte()?,
            count: reader.len()?,
            frame: reader.rest(),
        })
    }

    /// The plain bytes.
    pub(crate) fn unpack(&self, budget: &mut Budget) -> Result<Plain, DecodeError> {
        frame::get(self.frame, budget)
    }
}
