//! Where a line's quotes are, in order, and its escapes, as bits: one word for each 64 bytes.
//!
//! How runs of backslashes are told apart without a branch is from Langdale and Lemire, "Parsing Gigabytes of JSON per
//! Second" (2019), section 3.1.1.

use super::blocks::{self, Block};

/// Every second bit, from the lowest.
const EVEN: u64 = 0x5555_5555_5555_5555;
/// Longest line whose memory is kept for the next, in words.
const KEEP: usize = 1 << 14;
/// Most quotes for which memory is kept.
const KEEP_QUOTES: usize = 1 << 16;

/// Room for the quotes of one block.
pub(super) type Room = [u32; 64];

/// Quotes and escapes of one line. Keeps its memory from line to line.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// Positions of quotes that no backslash escapes, in order. What is behind so many of them means nothing.
    quotes: Vec<u32>,
    count: usize,
    /// Backslashes that escape what follows. There may be more words than the line has, of which the rest means nothing.
    escapes: Vec<u64>,
    /// How many words belong to the line.
    words: usize,
    is_ascii: bool,
    has_numeric_escapes: bool,
}

/// What was met in a line so far.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    line: &'a [u8],
    word: usize,
    quotes: &'a mut Vec<u32>,
    count: usize,
    escapes: &'a mut [u64],
    escaped_from_before: u64,
    /// Where the second half of a surrogate pair is expected.
    low_surrogate: Option<usize>,
    all_escapes_are_fine: bool,
    has_numeric_escapes: bool,
}

impl<'a> Progress<'a> {
    /// At the start of a line. `escapes` needs a word for each 64 bytes; `quotes` grows as needed.
    pub(super) fn new(line: &'a [u8], quotes: &'a mut Vec<u32>, escapes: &'a mut [u64]) -> Self {
        Self {
            line,
            word: 0,
            quotes,
            count: 0,
            escapes,
            escaped_from_before: 0,
            low_surrogate: None,
            all_escapes_are_fine: true,
            has_numeric_escapes: false,
        }
    }

    /// Whether all escapes so far are of JSON and complete.
    pub(super) fn are_escapes_fine(&self) -> bool {
        self.escaped_from_before == 0 && self.all_escapes_are_fine && self.low_surrogate.is_none()
    }

    /// Whether a character is written as `\u` and its number.
    pub(super) fn has_numeric_escapes(&self) -> bool {
        self.has_numeric_escapes
    }

    /// How many quotes there are so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Takes the next 64 bytes. `newlines` gives those of them that are n, r or t; `spread` writes where bits are set,
    /// from a position on, and how many there are.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        block: Block,
        newlines: impl FnOnce() -> u64,
        spread: impl FnOnce(u64, u32, &mut Room) -> usize,
    ) {
        let escaped = escaped(block.backslashes, &mut self.escaped_from_before);
        // Nearly all escapes are of backslashes and quotes, and nearly all others of the ends of lines.
        let others = escaped & !block.backslashes & !block.quotes;
        if others != 0 {
            self.look_at(others & !newlines());
        }
        if let Some(escapes) = self.escapes.get_mut(self.word) {
            *escapes = block.backslashes & !escaped;
        }
        if self.quotes.len() < self.count + 64 {
            self.grow();
        }
        if let Some(room) = self.quotes.get_mut(self.count..).and_then(<[u32]>::first_chunk_mut) {
            #[allow(clippy::cast_possible_truncation, reason = "longer lines were refused")]
            let base = (self.word * 64) as u32;
            self.count += spread(block.quotes & !escaped, base, room);
        }
        self.word += 1;
    }

    #[cold]
    fn grow(&mut self) {
        self.quotes.resize((self.count + 64).next_power_of_two(), 0);
    }

    #[inline(never)]
    fn look_at(&mut self, mut others: u64) {
        while others != 0 {
            let position = self.word * 64 + others.trailing_zeros() as usize;
            self.all_escapes_are_fine &= is_escape(self.line, position, &mut self.low_surrogate);
            self.has_numeric_escapes |= self.line.get(position) == Some(&b'u');
            others &= others - 1;
        }
    }
}

impl Marks {
    /// Reads a line. False when it holds control characters or wrong escapes, is not UTF-8, or is 4 GiB long.
    pub(super) fn read(&mut self, line: &[u8]) -> bool {
        if u32::try_from(line.len()).is_err() {
            return false;
        }
        self.words = line.len().div_ceil(64);
        if self.escapes.len() < self.words {
            self.escapes.resize(self.words, 0);
        } else if self.escapes.len() > KEEP && self.words <= KEEP {
            self.escapes.truncate(KEEP);
            self.escapes.shrink_to_fit();
        }
        if self.quotes.len() > KEEP_QUOTES {
            self.quotes.truncate(KEEP_QUOTES);
            self.quotes.shrink_to_fit();
        }
        let mut progress = Progress::new(line, &mut self.quotes, &mut self.escapes);
        let whole = blocks::read(line, &mut progress);
        let are_escapes_fine = progress.are_escapes_fine();
        self.has_numeric_escapes = progress.has_numeric_escapes();
        self.count = progress.count();
        self.is_ascii = !whole.has_high;
        !whole.has_controls && are_escapes_fine && (self.is_ascii || std::str::from_utf8(line).is_ok())
    }

    /// Position of the next backslash in `start..end` that escapes what follows.
    #[inline]
    pub(super) fn next_escape(&self, start: usize, end: usize) -> Option<usize> {
        let mut word = start / 64;
        let words = self.escapes.get(..self.words)?;
        let mut bits = words.get(word)? & (u64::MAX << (start % 64));
        while bits == 0 {
            word += 1;
            if word * 64 >= end {
                return None;
            }
            bits = *words.get(word)?;
        }
        let position = word * 64 + bits.trailing_zeros() as usize;
        (position < end).then_some(position)
    }

    /// Positions of the quotes that no backslash escapes, in order.
    #[inline]
    pub(super) fn quotes(&self) -> &[u32] {
        self.quotes.get(..self.count).unwrap_or_default()
    }

    /// Whether all of the line is ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// Whether a character is written as `\u` and its number.
    pub(super) fn has_numeric_escapes(&self) -> bool {
        self.has_numeric_escapes
    }

    /// Whether something is escaped in `start..end`.
    pub(super) fn has_escape(&self, start: usize, end: usize) -> bool {
        start < end && self.next_escape(start, end).is_some()
    }

    /// From a position on, one bit for each of 64 bytes: the backslashes that escape what follows.
    #[inline]
    pub(super) fn escapes_from(&self, position: usize) -> u64 {
        let words = self.escapes.get(..self.words).unwrap_or_default();
        let word = |at: usize| words.get(at).copied().unwrap_or(0);
        let (at, bit) = (position / 64, position % 64);
        word(at) >> bit | word(at + 1) << 1 << (63 - bit)
    }
}

/// Whether the byte at a position may be escaped. `low` is where the second half of a surrogate pair is expected.
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
#[inline(always)]
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Quotes that are not escaped and backslashes that escape, byte by byte.
    fn quotes_and_escapes(line: &[u8]) -> (Vec<usize>, Vec<usize>) {
        let mut is_escaped = false;
        let (mut quotes, mut escapes) = (Vec::new(), Vec::new());
        for (position, byte) in line.iter().enumerate() {
            if is_escaped {
                is_escaped = false;
            } else if *byte == b'\\' {
                is_escaped = true;
                escapes.push(position);
            } else if *byte == b'"' {
                quotes.push(position);
            }
        }
        (quotes, escapes)
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
        fn all_ways_to_read_a_line_agree(lines in prop::collection::vec(
            prop::collection::vec(prop::sample::select(b"\\\\\\\"\" anrtb\xc3\xa4\x1f".to_vec()), 0..300), 1..4)) {
            let mut marks = Marks::default();
            for line in lines {
                let is_read = marks.read(&line);
                let found: Vec<usize> = marks.quotes().iter().map(|quote| *quote as usize).collect();
                let (quotes, escapes) = quotes_and_escapes(&line);
                prop_assert_eq!(found, quotes);
                let is_plain = std::str::from_utf8(&line).is_ok() && line.iter().all(|byte| *byte >= 0x20);
                prop_assert_eq!(is_read, is_plain && escapes_are_fine(&line));
                prop_assert_eq!(marks.is_ascii(), line.is_ascii());
                for (start, end) in [(0, line.len()), (line.len() / 3, line.len() / 2), (line.len() / 2, line.len())] {
                    let next = escapes.iter().copied().find(|at| (start..end).contains(at));
                    prop_assert_eq!(marks.has_escape(start, end), next.is_some());
                    prop_assert_eq!(marks.next_escape(start, end), next);
                    let bits = marks.escapes_from(start);
                    prop_assert!((0..64).all(|lane| (bits >> lane & 1 == 1) == escapes.contains(&(start + lane))));
                }
            }
        }
    }
}
