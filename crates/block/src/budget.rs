//! The memory a decoding may still take.

use crate::error::DecodeError;
use crate::layout::MAX_DECODED_BYTES;

/// Counts down; nothing is given back, so it bounds the peak.
#[derive(Clone, Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(MAX_DECODED_BYTES)
    }

    /// Reserves room for `bytes`.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.0 = self.0.checked_sub(bytes).ok_or(DecodeError::TooLarge)?;
        Ok(())
    }

    /// Reserves room for `count` items of `T`.
    pub(crate) fn take_items<T>(&mut self, count: usize) -> Result<(), DecodeError> {
        self.take(count.checked_mul(size_of::<T>()).ok_or(DecodeError::TooLarge)?)
    }
}
