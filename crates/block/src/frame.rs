//! Frames: bytes that are stored as they are or zstd-compressed, with their plain length in front.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::budget::Budget;
use crate::error::{DecodeError, EncodeError};
use crate::wire::{Reader, put_len};

const STORED: u8 = 0;
const ZSTD: u8 = 1;
/// Fast enough to be on the way of every event; higher levels gain under a tenth on short columns.
const LEVEL: i32 = 1;
/// Below this, a compressed frame is rarely smaller and always slower.
const WORTH_COMPRESSING: usize = 48;

thread_local! {
    // A context is about a megabyte and takes longer to set up than a small block to compress.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Appends `plain` as a frame.
pub(crate) fn put(out: &mut Vec<u8>, plain: &[u8]) -> Result<(), EncodeError> {
    if plain.len() >= WORTH_COMPRESSING {
        let start = out.len();
        out.push(ZSTD);
        put_len(out, plain.len());
        let written = compress(out, plain).map_err(EncodeError::Compress)?;
        if written < plain.len() {
            return Ok(());
        }
        out.truncate(start);
    }
    out.push(STORED);
    put_len(out, plain.len());
    out.extend_from_slice(plain);
    Ok(())
}

fn compress(out: &mut Vec<u8>, plain: &[u8]) -> std::io::Result<usize> {
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Compressor::new(LEVEL)?);
        }
        let Some(compressor) = slot else { return Ok(plain.len()) };
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(plain.len()), 0);
        let written = compressor.compress_to_buffer(plain, &mut out[start..])?;
        out.truncate(start + written);
        Ok(written)
    })
}

/// The plain bytes of a frame.
pub(crate) fn get(frame: &[u8], budget: &mut Budget) -> Result<Vec<u8>, DecodeError> {
    let mut frame = Reader::new(frame, "frame");
    let codec = frame.byte()?;
    let plain_len = frame.len()?;
    budget.take(plain_len)?;
    let bytes = frame.rest();
    match codec {
        STORED if bytes.len() == plain_len => Ok(bytes.to_vec()),
        STORED => Err(DecodeError::Malformed("a stored frame is not as long as it says")),
        ZSTD => decompress(bytes, plain_len),
        _ => Err(DecodeError::Malformed("a frame's codec is not known")),
    }
}

fn decompress(bytes: &[u8], plain_len: usize) -> Result<Vec<u8>, DecodeError> {
    const BROKEN: DecodeError = DecodeError::Malformed("a frame does not decompress to its length");
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new().map_err(|_| DecodeError::TooLarge)?);
        }
        let decompressor = slot.as_mut().ok_or(DecodeError::TooLarge)?;
        let mut plain = vec![0; plain_len];
        match decompressor.decompress_to_buffer(bytes, &mut plain[..]) {
            Ok(written) if written == plain_len => Ok(plain),
            Ok(_) | Err(_) => Err(BROKEN),
        }
    })
}
