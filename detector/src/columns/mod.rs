//! Stored blocks looked at by column, for live detection, hunts and backtests alike: only columns that somebody asks for are
//! decoded, texts are looked at once where a block has them once, and whole events are put together only for rows in which
//! something was found.

mod indicators;
mod rules;

use block::{Block, ByColumn, DecodeError};

pub(crate) use indicators::Traces;
pub use rules::{Found, find};

/// A block's columns. `None` when they do not tell everything, because some fields have no column; then it has to be looked
/// at event by event.
///
/// # Errors
/// When the block is malformed.
pub fn of<'b, 'a>(block: &'b Block<'a>) -> Result<Option<ByColumn<'b, 'a>>, DecodeError> {
    block.has_all_columns().then(|| block.by_column()).transpose()
}

/// Looks at a block by column if its columns are enough for that and fit into memory side by side. Otherwise `None`, and the
/// block has to be looked at event by event.
///
/// # Errors
/// When the block, or a column that is needed, is malformed.
pub(crate) fn look<T>(
    block: &Block<'_>,
    look: impl FnOnce(&ByColumn<'_, '_>) -> Result<Option<T>, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let found = match of(block)? {
        Some(columns) => look(&columns),
        None => return Ok(None),
    };
    match found {
        // Events share their values with nobody, but take no room in rows that lack a field.
        Err(DecodeError::TooLarge) => Ok(None),
        found => found,
    }
}
