//! Bytes to a column's view.

use crate::budget::Budget;
use crate::column_decoding::{self, Data, Wanted};
use crate::error::DecodeError;
use crate::integers;
use crate::layout::{MAX_EVENTS, encoding};
use crate::piece::Piece;
use crate::strings;
use crate::view::{OfRow, Texts, View};
use crate::wire::Reader;

/// The values of a column by itself (see [`crate::split`]), as a view whose rows are the events that have the field.
///
/// # Errors
/// When the column is malformed, its layout is not known, or it would take too much memory, and
/// [`DecodeError::NotAtHand`] when it is completed by another column.
pub fn values_of(column: &[u8]) -> Result<View, DecodeError> {
    let piece = Piece::get(column)?;
    if encoding::is_completed(piece.encoding) {
        return Err(DecodeError::NotAtHand);
    }
    if piece.count > MAX_EVENTS {
        return Err(DecodeError::Malformed(
            "a column has more values than a block has events",
        ));
    }
    let mut budget = Budget::new();
    let plain = piece.unpack(&mut budget)?;
    budget.take_items::<u32>(piece.count)?;
    let present = std::iter::repeat_n(true, piece.count);
    get(piece.encoding, &plain, piece.count, present, &mut budget)
}

const TOO_LONG: DecodeError = DecodeError::Malformed("a column is longer than its values");

/// Reads `count` values laid out as `kind`, which no others complete, of the rows that are `present`.
pub(crate) fn get(
    kind: u8,
    plain: &[u8],
    count: usize,
    present: impl Iterator<Item = bool>,
    budget: &mut Budget,
) -> Result<View, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    let view = match kind {
        encoding::STRINGS => View::Texts {
            texts: get_texts(&mut reader, count, budget)?,
            of_row: OfRow::of_present(present, None),
        },
        encoding::STRING_DICTIONARY => {
            let size = reader.count()?;
            let indexes = reader.indexes(size, count, budget)?;
            View::Texts {
                texts: get_texts(&mut reader, size, budget)?,
                of_row: OfRow::of_present(present, Some(&indexes)),
            }
        }
        encoding::INTEGERS => View::Integers {
            numbers: integers::get(&mut reader, count, budget)?,
            of_row: OfRow::of_present(present, None),
        },
        _ => {
            return Ok(match column_decoding::get(kind, plain, count, Wanted::ALL, budget)? {
                Data::Plain(values) => View::Values {
                    values,
                    of_row: OfRow::of_present(present, None),
                },
                Data::Dictionary(values, indexes) => View::Values {
                    values,
                    of_row: OfRow::of_present(present, Some(&indexes)),
                },
            });
        }
    };
    if reader.is_empty() { Ok(view) } else { Err(TOO_LONG) }
}

fn get_texts(reader: &mut Reader<'_>, count: usize, budget: &mut Budget) -> Result<Texts, DecodeError> {
    let bytes = reader.remaining_len();
    budget.take(bytes)?;
    budget.take_items::<u32>(count)?;
    let (all, ends) = strings::get_all(reader, count)?;
    Ok(Texts::new(all.to_owned(), ends))
}

/// Reads `count` texts laid out as [`encoding::STRING_PREFIXES`]. `bases` gives the base column's text in the same rows.
pub(crate) fn get_prefixes<'v>(
    plain: &[u8],
    count: usize,
    mut bases: impl Iterator<Item = Option<&'v str>>,
    budget: &mut Budget,
) -> Result<Texts, DecodeError> {
    let mut reader = Reader::new(plain, "column");
    reader.len()?;
    let mut flags = reader.take(count)?.iter();
    budget.take_items::<u32>(count)?;
    let mut texts = Texts::with_capacity(count, 0);
    strings::get(&mut reader, count, |prefix| {
        let base = bases.next().flatten();
        let tail = match (flags.next(), base) {
            (Some(0), _) => "",
            (Some(1), Some(suffix)) => suffix,
            _ => return Err(DecodeError::Malformed("a text's other half is missing")),
        };
        budget.take(prefix.len() + tail.len())?;
        texts.push(prefix, tail)
    })?;
    if reader.is_empty() { Ok(texts) } else { Err(TOO_LONG) }
}
