//! Varints and byte planes: the primitives everything else is written in.

use crate::budget::Budget;
use crate::error::DecodeError;

/// LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number as u8) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_varint(out, len as u64);
}

pub(crate) fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    ((number >> 1) as i64) ^ -((number & 1) as i64)
}

/// How many bytes [`put_varint`] writes.
pub(crate) fn varint_len(number: u64) -> usize {
    (70 - (number | 1).leading_zeros() as usize) / 7
}

/// How many bytes hold every number up to `largest`; none for 0.
pub(crate) fn width_of(largest: u64) -> usize {
    (64 - largest.leading_zeros() as usize).div_ceil(8)
}

/// Writes the low bytes of all numbers, then their second bytes, and so on: like bytes side by side compress better.
pub(crate) fn put_planes(out: &mut Vec<u8>, width: usize, numbers: impl Iterator<Item = u64> + Clone) {
    for plane in 0..width {
        out.extend(numbers.clone().map(|number| (number >> (8 * plane)) as u8));
    }
}

/// The bit of each byte that the last byte of a varint lacks.
const ENDS: u64 = 0x8080_8080_8080_8080;

/// The number of which each byte holds seven bits, the lowest first.
fn joined(bytes: u64) -> u64 {
    let sevens = bytes & !ENDS;
    let fourteens = (sevens & 0x007f_007f_007f_007f) | (sevens & 0x7f00_7f00_7f00_7f00) >> 1;
    let twenty_eights = (fourteens & 0x0000_3fff_0000_3fff) | (fourteens & 0x3fff_0000_3fff_0000) >> 2;
    (twenty_eights & 0x0fff_ffff) | (twenty_eights & 0x0fff_ffff_0000_0000) >> 4
}

/// Reads bytes from the front, never past the end.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    part: &'static str,
}

impl<'a> Reader<'a> {
    /// `part` is what the errors name.
    pub(crate) fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { bytes, part }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn remaining_len(&self) -> usize {
        self.bytes.len()
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.bytes.split_first().ok_or(DecodeError::Truncated(self.part))?;
        self.bytes = rest;
        Ok(*first)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated(self.part))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        // Most numbers are short and stand among others.
        if let Some(word) = self.bytes.first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            let ends = !word & ENDS;
            if ends != 0 {
                self.bytes = &self.bytes[ends.trailing_zeros() as usize / 8 + 1..];
                // Up to and with the first byte that ends a number.
                return Ok(joined(word & (ends ^ (ends - 1))));
            }
        }
        self.long_varint()
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for (index, &byte) in self.bytes.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            number |= bits << (7 * index);
            if byte < 0x80 {
                self.bytes = &self.bytes[index + 1..];
                return Ok(number);
            }
        }
        if self.bytes.len() < 10 {
            Err(DecodeError::Truncated(self.part))
        } else {
            Err(DecodeError::Malformed("a number is longer than 64 bits"))
        }
    }

    /// A number that counts or measures something here, so that it fits memory.
    pub(crate) fn len(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.varint()?).map_err(|_| DecodeError::TooLarge)
    }

    /// A count of items that take at least one byte each of what is left.
    pub(crate) fn count(&mut self) -> Result<usize, DecodeError> {
        let count = self.len()?;
        if count > self.bytes.len() {
            return Err(DecodeError::Truncated(self.part));
        }
        Ok(count)
    }

    pub(crate) fn text(&mut self, len: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::Malformed("text is not UTF-8"))
    }

    /// All that is left, as text, without consuming it.
    pub(crate) fn remaining_text(&self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes).map_err(|_| DecodeError::Malformed("text is not UTF-8"))
    }

    /// What [`put_planes`] wrote.
    pub(crate) fn planes(&mut self, width: usize, count: usize, budget: &mut Budget) -> Result<Vec<u64>, DecodeError> {
        let bytes = self.take(width.checked_mul(count).ok_or(DecodeError::TooLarge)?)?;
        budget.take_items::<u64>(count)?;
        let mut numbers = vec![0_u64; count];
        for plane in 0..width {
            for (number, byte) in numbers.iter_mut().zip(&bytes[plane * count..]) {
                *number |= u64::from(*byte) << (8 * plane);
            }
        }
        Ok(numbers)
    }

    /// Those of `count` indexes below `size` that are at some positions, as [`Self::indexes`] reads all.
    pub(crate) fn indexes_at(
        &mut self,
        size: usize,
        count: usize,
        positions: &[u32],
        budget: &mut Budget,
    ) -> Result<Vec<u32>, DecodeError> {
        const OUT_OF_RANGE: DecodeError = DecodeError::Malformed("an index points outside its dictionary");
        let largest = size.checked_sub(1).and_then(|largest| u32::try_from(largest).ok());
        let width = largest.map_or(0, |largest| width_of(u64::from(largest)));
        let bytes = self.take(width.checked_mul(count).ok_or(DecodeError::TooLarge)?)?;
        budget.take_items::<u32>(positions.len())?;
        positions
            .iter()
            .map(|position| {
                let planes = (0..width).map(|plane| bytes.get(plane * count + *position as usize).copied());
                let index = planes.enumerate().try_fold(0_u32, |index, (plane, byte)| {
                    Some(index | u32::from(byte?) << (8 * plane))
                });
                let index = index.filter(|index| (*position as usize) < count && Some(*index) <= largest);
                index.ok_or(OUT_OF_RANGE)
            })
            .collect()
    }

    /// Indexes below `size` as [`put_planes`] wrote them with the width of `size - 1`.
    pub(crate) fn indexes(&mut self, size: usize, count: usize, budget: &mut Budget) -> Result<Vec<u32>, DecodeError> {
        const OUT_OF_RANGE: DecodeError = DecodeError::Malformed("an index points outside its dictionary");
        if size == 0 {
            return if count == 0 { Ok(Vec::new()) } else { Err(OUT_OF_RANGE) };
        }
        let largest = u32::try_from(size - 1).map_err(|_| OUT_OF_RANGE)?;
        let width = width_of(u64::from(largest));
        let bytes = self.take(width.checked_mul(count).ok_or(DecodeError::TooLarge)?)?;
        budget.take_items::<u32>(count)?;
        let mut indexes = vec![0_u32; count];
        for plane in 0..width {
            for (index, byte) in indexes.iter_mut().zip(&bytes[plane * count..]) {
                *index |= u32::from(*byte) << (8 * plane);
            }
        }
        if indexes.iter().any(|index| *index > largest) {
            return Err(OUT_OF_RANGE);
        }
        Ok(indexes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_know_their_length() {
        let powers = (0..64).map(|bit| 1_u64 << bit);
        for number in powers.flat_map(|power| [power - 1, power, power | 0x55, u64::MAX - power + 1]) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            assert_eq!(out.len(), varint_len(number), "{number}");
            assert_eq!(Reader::new(&out, "test").varint(), Ok(number));
            assert!(Reader::new(&out[..out.len() - 1], "test").varint().is_err());
            // What follows is not part of it.
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let mut followed = out.clone();
                followed.extend([byte; 9]);
                let mut reader = Reader::new(&followed, "test");
                assert_eq!((reader.varint(), reader.rest()), (Ok(number), [byte; 9].as_slice()));
            }
        }
        assert!(Reader::new(&[0xff; 11], "test").varint().is_err());
    }

    #[test]
    fn zigzag_round_trips_at_the_ends() {
        for number in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }

    #[test]
    fn widths_hold_their_largest_number() {
        assert_eq!(
            [0, 1, 255, 256, 65_535, 65_536, u64::MAX].map(width_of),
            [0, 1, 1, 2, 2, 3, 8]
        );
    }
}
