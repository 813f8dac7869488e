//! Frames: bytes that are stored as they are or zstd-compressed, with their plain length in front.

use std::cell::RefCell;
use std::ops::Deref;

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
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
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

/// Buffers that a thread keeps for the next frames: fresh memory of a column's size costs as much as unpacking it.
const KEPT_BUFFERS: usize = 2;
/// Largest buffer that is kept, in bytes.
const KEPT_BYTES: usize = 1 << 20;

/// A frame's plain bytes.
#[derive(Debug)]
pub(crate) struct Plain(Vec<u8>);

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if (1..=KEPT_BYTES).contains(&buffer.capacity()) {
            // A thread that ends keeps nothing.
            let _ = BUFFERS.try_with(|buffers| {
                let mut buffers = buffers.borrow_mut();
                if buffers.len() < KEPT_BUFFERS {
                    buffers.push(buffer);
                }
            });
        }
    }
}

impl Plain {
    /// Empty, with room for so many bytes.
    fn with_capacity(bytes: usize) -> Self {
        let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
        buffer.clear();
        buffer.reserve_exact(bytes);
        Self(buffer)
    }
}

/// The plain bytes of a frame.
pub(crate) fn get(frame: &[u8], budget: &mut Budget) -> Result<Plain, DecodeError> {
    let mut frame = Reader::new(frame, "frame");
    let codec = frame.byte()?;
    let plain_len = frame.len()?;
    budget.take(plain_len)?;
    let bytes = frame.rest();
    match codec {
        STORED if bytes.len() == plain_len => {
            let mut plain = Plain::with_capacity(plain_len);
            plain.0.extend_from_slice(bytes);
            Ok(plain)
        }
        STORED => Err(DecodeError::Malformed("a stored frame is not as long as it says")),
        ZSTD => decompress(bytes, plain_len),
        _ => Err(DecodeError::Malformed("a frame's codec is not known")),
    }
}

fn decompress(bytes: &[u8], plain_len: usize) -> Result<Plain, DecodeError> {
    const BROKEN: DecodeError = DecodeError::Malformed("a frame does not decompress to its length");
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new().map_err(|_| DecodeError::TooLarge)?);
        }
        let decompressor = slot.as_mut().ok_or(DecodeError::TooLarge)?;
        let mut plain = Plain::with_capacity(plain_len);
        match decompressor.decompress_to_buffer(bytes, &mut plain.0) {
            Ok(written) if written == plain_len => Ok(plain),
            Ok(_) | Err(_) => Err(BROKEN),
        }
    })
}
