//! Many texts: all lengths, then all bytes.

use crate::error::DecodeError;
use crate::wire::{Reader, put_len};

/// Appends the texts; how many there are is not written.
pub(crate) fn put<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'t str> + Clone) {
    let mut lengths = Vec::new();
    texts.clone().for_each(|text| put_len(&mut lengths, text.len()));
    put_len(out, lengths.len());
    out.extend_from_slice(&lengths);
    texts.for_each(|text| out.extend_from_slice(text.as_bytes()));
}

/// Reads `count` texts, the last thing in `reader`.
pub(crate) fn get<'t>(
    reader: &mut Reader<'t>,
    count: usize,
    mut each: impl FnMut(&'t str) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let lengths_len = reader.len()?;
    let mut lengths = Reader::new(reader.take(lengths_len)?, "text lengths");
    // Checking all bytes at once costs a fraction of checking each text.
    let all = reader.remaining_text()?;
    let mut start = 0_usize;
    for _ in 0..count {
        let end = start.checked_add(lengths.len()?).ok_or(DecodeError::TooLarge)?;
        each(all.get(start..end).ok_or(DecodeError::Truncated("texts"))?)?;
        start = end;
    }
    reader.take(start)?;
    Ok(())
}

/// Reads `count` texts, the last thing in `reader`: one after the other, and where each ends.
pub(crate) fn get_all<'t>(reader: &mut Reader<'t>, count: usize) -> Result<(&'t str, Vec<u32>), DecodeError> {
    let lengths_len = reader.len()?;
    let mut lengths = Reader::new(reader.take(lengths_len)?, "text lengths");
    let mut ends = Vec::with_capacity(count.min(lengths_len));
    let mut end = 0_usize;
    for _ in 0..count {
        end = end.checked_add(lengths.len()?).ok_or(DecodeError::TooLarge)?;
        ends.push(u32::try_from(end).map_err(|_| DecodeError::TooLarge)?);
    }
    let all = reader.text(end)?;
    if ends.iter().all(|end| all.is_char_boundary(*end as usize)) {
        Ok((all, ends))
    } else {
        Err(DecodeError::Malformed("a text ends within a character"))
    }
}

/// Reads some of `count` texts, the last thing in `reader`: those at `positions`, which are in order. What is behind the
/// last of them is not looked at.
pub(crate) fn get_at<'t>(
    reader: &mut Reader<'t>,
    count: usize,
    positions: &[u32],
    mut each: impl FnMut(&'t str) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let lengths_len = reader.len()?;
    let mut lengths = Reader::new(reader.take(lengths_len)?, "text lengths");
    let mut all = Reader::new(reader.rest(), "texts");
    let mut next = 0_usize;
    for position in positions {
        let position = *position as usize;
        if position >= count {
            return Err(DecodeError::Truncated("texts"));
        }
        let mut before = 0_usize;
        while next < position {
            before = before.checked_add(lengths.len()?).ok_or(DecodeError::TooLarge)?;
            next += 1;
        }
        all.take(before)?;
        let len = lengths.len()?;
        next += 1;
        each(all.text(len)?)?;
    }
    Ok(())
}
