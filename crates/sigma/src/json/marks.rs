//! Where a line's quotes and backslashes are, as bits: one word for each 64 bytes.
//!
//! How runs of backslashes are told apart without a branch is from Langdale and Lemire, "Parsing Gigabytes of JSON per
//! Second" (2019), section 3.1.1.

/// Every second bit, from the lowest.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// What is in 64 bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bits {
    quotes: u64,
    backslashes: u64,
    /// Control characters below U+0020: not allowed in JSON strings.
    controls: u64,
    /// Bytes that are not ASCII.
    high: u64,
}

/// Quotes and backslashes of one line. Keeps its memory from line to line.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Positions of quotes that no backslash escapes.
    quotes: Vec<u32>,
    backslashes: Vec<u64>,
    is_ascii: bool,
    has_numeric_escapes: bool,
}

impl Marks {
    /// Reads a line. False when it holds control characters or wrong escapes, is not UTF-8, or is 4 GiB long.
    pub(super) fn read(&mut self, line: &[u8]) -> bool {
        if u32::try_from(line.len()).is_err() {
            return false;
        }
        self.quotes.clear();
        self.backslashes.clear();
        let (mut escaped_from_before, mut controls, mut high) = (0, 0, 0);
        let (mut all_escapes_are_fine, mut low_surrogate) = (true, None);
        let mut has_numeric_escapes = false;
        let (chunks, rest) = line.as_chunks::<64>();
        let mut base = 0;
        let mut take = |bits: Bits| {
            controls |= bits.controls;
            high |= bits.high;
            self.backslashes.push(bits.backslashes);
            let escaped = escaped(bits.backslashes, &mut escaped_from_before);
            // Nearly all escapes are of backslashes and quotes.
            let mut others = escaped & !bits.backslashes & !bits.quotes;
            while others != 0 {
                let position = base as usize + others.trailing_zeros() as usize;
                all_escapes_are_fine &= is_escape(line, position, &mut low_surrogate);
                has_numeric_escapes |= line.get(position) == Some(&b'u');
                others &= others - 1;
            }
            let mut left = bits.quotes & !escaped;
            while left != 0 {
                self.quotes.push(base + left.trailing_zeros());
                left &= left - 1;
            }
            base += 64;
        };
        for chunk in chunks {
            take(bits(chunk));
        }
        if !rest.is_empty() {
            let mut last = [b' '; 64];
            if let Some(start) = last.get_mut(..rest.len()) {
                start.copy_from_slice(rest);
            }
            take(bits(&last));
        }
        self.is_ascii = high == 0;
        self.has_numeric_escapes = has_numeric_escapes;
        controls == 0
            && escaped_from_before == 0
            && all_escapes_are_fine
            && low_surrogate.is_none()
            && (high == 0 || std::str::from_utf8(line).is_ok())
    }

    /// Position of the next backslash in `start..end`.
    #[inline]
    pub(super) fn next_backslash(&self, start: usize, end: usize) -> Option<usize> {
        let mut word = start / 64;
        let mut bits = self.backslashes.get(word)? & (u64::MAX << (start % 64));
        while bits == 0 {
            word += 1;
            if word * 64 >= end {
                return None;
            }
            bits = *self.backslashes.get(word)?;
        }
        let position = word * 64 + bits.trailing_zeros() as usize;
        (position < end).then_some(position)
    }

    /// Whether all of the line is ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// Whether a character is written as `\u` and its number.
    pub(super) fn has_numeric_escapes(&self) -> bool {
        self.has_numeric_escapes
    }

    /// Positions of the quote with this number and the next.
    #[inline]
    pub(super) fn string(&self, quote: usize) -> Option<[u32; 2]> {
        self.quotes.get(quote..)?.first_chunk().copied()
    }

    /// Whether there is a backslash in `start..end`.
    pub(super) fn has_backslash(&self, start: usize, end: usize) -> bool {
        if start >= end {
            return false;
        }
        let (first, last) = (start / 64, (end - 1) / 64);
        let from_start = u64::MAX << (start % 64);
        let to_end = u64::MAX >> (63 - (end - 1) % 64);
        let Some(words) = self.backslashes.get(first..=last) else {
            return false;
        };
        match words {
            [] => false,
            [only] => only & from_start & to_end != 0,
            [head, middle @ .., tail] => {
                head & from_start != 0 || tail & to_end != 0 || middle.iter().any(|word| *word != 0)
            }
        }
    }
}

/// Whether the byte at a position may be escaped. `low` is where the second half of a surrogate pair is expected.
#[cold]
fn is_escape(line: &[u8], position: usize, low: &mut Option<usize>) -> bool {
    let unit = |position: usize| -> Option<u32> {
        let digits = line.get(position + 1..position + 5)?;
        digits
            .iter()
            .try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
    };
    match line.get(position) {
        Some(b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
        Some(b'u') => match unit(position) {
            Some(0xd800..0xdc00) => {
                let is_alone = low.replace(position + 6).is_some();
                !is_alone && line.get(position + 5) == Some(&b'\\')
            }
            Some(0xdc00..0xe000) => low.take() == Some(position),
            unit => unit.is_some(),
        },
        _ => false,
    }
}

/// Bytes that follow an odd run of backslashes. `from_before` carries over from one word to the next.
fn escaped(backslashes: u64, from_before: &mut u64) -> u64 {
    if backslashes == 0 {
        return std::mem::take(from_before);
    }
    let backslashes = backslashes & !*from_before;
    let follows = backslashes << 1 | *from_before;
    let odd_starts = backslashes & !EVEN & !follows;
    let (sequences, carries) = odd_starts.overflowing_add(backslashes);
    *from_before = u64::from(carries);
    (EVEN ^ (sequences << 1)) & follows
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code, reason = "the compiler wants a word that the processor has SSE2")]
fn bits(chunk: &[u8; 64]) -> Bits {
    // SAFETY: SSE2 is part of every x86-64.
    unsafe { bits_by_sse2(chunk) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn bits_by_sse2(chunk: &[u8; 64]) -> Bits {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    let load = |at: usize| -> __m128i {
        let half = |at: usize| {
            let bytes = chunk.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            i64::from_le_bytes(bytes.unwrap_or_default())
        };
        _mm_set_epi64x(half(at + 8), half(at))
    };
    let mask = |vector: __m128i| u64::from(_mm_movemask_epi8(vector).cast_unsigned());
    let (quote, backslash) = (_mm_set1_epi8(0x22), _mm_set1_epi8(0x5c));
    let control = _mm_set1_epi8(0x1f);
    let mut all = Bits::default();
    for (at, shift) in [(0, 0), (16, 16), (32, 32), (48, 48)] {
        let bytes = load(at);
        all.high |= mask(bytes) << shift;
        all.quotes |= mask(_mm_cmpeq_epi8(bytes, quote)) << shift;
        all.backslashes |= mask(_mm_cmpeq_epi8(bytes, backslash)) << shift;
        all.controls |= mask(_mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes)) << shift;
    }
    all
}

#[cfg(not(target_arch = "x86_64"))]
fn bits(chunk: &[u8; 64]) -> Bits {
    bits_by_byte(chunk)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn bits_by_byte(chunk: &[u8; 64]) -> Bits {
    let mut all = Bits::default();
    for (position, byte) in chunk.iter().enumerate() {
        all.quotes |= u64::from(*byte == b'"') << position;
        all.high |= u64::from(!byte.is_ascii()) << position;
        all.backslashes |= u64::from(*byte == b'\\') << position;
        all.controls |= u64::from(*byte < 0x20) << position;
    }
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, byte by byte.
    fn quotes(line: &[u8]) -> Vec<u32> {
        let mut is_escaped = false;
        let mut found = Vec::new();
        for (byte, position) in line.iter().zip(0..) {
            if is_escaped {
                is_escaped = false;
            } else if *byte == b'\\' {
                is_escaped = true;
            } else if *byte == b'"' {
                found.push(position);
            }
        }
        found
    }

    /// Whether no byte is escaped that must not be, and none is missing.
    fn escapes_are_fine(line: &[u8]) -> bool {
        let mut is_escaped = false;
        let all = line.iter().all(|byte| {
            let is_fine = !is_escaped || b"\"\\/bfnrt".contains(byte);
            is_escaped = !is_escaped && *byte == b'\\';
            is_fine
        });
        all && !is_escaped
    }

    proptest! {
        #[test]
        fn all_ways_to_read_a_line_agree(line in prop::collection::vec(prop::sample::select(b"\\\\\\\"\" a\xc3\xa4\x1f".to_vec()), 0..300)) {
            let mut marks = Marks::default();
            let is_read = marks.read(&line);
            prop_assert_eq!(&marks.quotes, &quotes(&line));
            let is_plain = std::str::from_utf8(&line).is_ok() && line.iter().all(|byte| *byte >= 0x20);
            let escapes_are_fine = escapes_are_fine(&line);
            prop_assert_eq!(is_read, is_plain && escapes_are_fine);
            for (start, end) in [(0, line.len()), (line.len() / 3, line.len() / 2), (line.len() / 2, line.len())] {
                prop_assert_eq!(marks.has_backslash(start, end), line[start..end].contains(&b'\\'));
                let next = line[start..end].iter().position(|byte| *byte == b'\\').map(|at| start + at);
                prop_assert_eq!(marks.next_backslash(start, end), next);
            }
            for chunk in line.as_chunks::<64>().0 {
                prop_assert_eq!(bits(chunk), bits_by_byte(chunk));
            }
        }
    }
}
