//! Texts that a whole value is, starts with or ends with: found by hashes of the value's ends, whatever their number.

use rustc_hash::FxHashMap;

use crate::engine::hash::{mixed, same, word_of};
use crate::engine::index::PatternId;

/// Lengths of ends that are hashed. A text counts under the longest that is not longer than itself.
const LENGTHS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
/// Lengths that may be the longest: the fewer lengths, the fewer hashes for each value.
const LONGEST: [usize; 3] = [8, 12, 16];
/// Most texts that may be compared for one hash before a longer one is worth making.
const MOST_ALIKE: usize = 8;

/// Bits of the filter for each text: so many lookups of a random value are in vain.
const SPARSENESS: usize = 16;

/// Where in a value a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Anchor {
    Whole,
    Start,
    End,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    hash: u64,
    first: u32,
    /// None: the cell is empty.
    count: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pattern: PatternId,
    start: u32,
    length: u32,
}

/// The texts looked for at the ends of one field's values.
#[derive(Debug, Default)]
pub(crate) struct Anchored {
    /// One bit for each hash: a filter that fits into the processor's nearest cache.
    filter: Box<[u64]>,
    filter_shift: u32,
    cells: Box<[Cell]>,
    entries: Box<[Entry]>,
    literals: Box<[u8]>,
    has_whole: bool,
    starts: Box<[usize]>,
    ends: Box<[usize]>,
}

/// The first and the last sixteen bytes of a value, as far as there are so many; zeros stand for the rest.
struct Ends {
    length: usize,
    head: [u64; 2],
    tail: [u64; 2],
}

impl Ends {
    #[inline]
    fn of(value: &[u8]) -> Self {
        let length = value.len();
        let [head, tail] = if length >= 16 {
            let word = |at| word_of(value.get(at..).unwrap_or_default());
            [[word(0), word(8)], [word(length - 8), word(length - 16)]]
        } else {
            let (first, second) = value.split_at(length.min(8));
            let (before, last) = value.split_at(length.saturating_sub(8));
            let at_the_end = |bytes: &[u8]| keep_last(word_of(bytes).rotate_right(bits(bytes.len())), bytes.len());
            [
                [word_of(first), word_of(second)],
                [at_the_end(last), at_the_end(before)],
            ]
        };
        Self { length, head, tail }
    }

    /// A hash of the whole value, which only depends on its length and ends.
    #[inline]
    fn whole(&self) -> u64 {
        let seed = 0x1 | (self.length as u64) << 32;
        mixed(
            seed,
            self.head[0].rotate_left(32) ^ self.tail[1],
            self.tail[0] ^ self.head[1].rotate_left(16),
        )
    }

    /// A hash of the first bytes, of which there must be so many.
    #[inline]
    fn start(&self, length: usize) -> u64 {
        let (first, second) = (length.min(8), length.saturating_sub(8));
        let seed = 0x2 | (length as u64) << 32;
        mixed(seed, keep_first(self.head[0], first), keep_first(self.head[1], second))
    }

    /// A hash of the last bytes, of which there must be so many.
    #[inline]
    fn end(&self, length: usize) -> u64 {
        let (last, before) = (length.min(8), length.saturating_sub(8));
        let seed = 0x3 | (length as u64) << 32;
        mixed(seed, keep_last(self.tail[0], last), keep_last(self.tail[1], before))
    }
}

#[inline]
fn bits(bytes: usize) -> u32 {
    8 * (bytes & 7) as u32
}

/// The lowest bytes of a word: the first in memory.
#[inline]
fn keep_first(word: u64, bytes: usize) -> u64 {
    if bytes < 8 {
        word & !(u64::MAX << bits(bytes))
    } else {
        word
    }
}

/// The highest bytes of a word: the last in memory.
#[inline]
fn keep_last(word: u64, bytes: usize) -> u64 {
    if bytes < 8 {
        word & !(u64::MAX >> bits(bytes))
    } else {
        word
    }
}

fn key(anchor: Anchor, literal: &[u8], longest: usize) -> (u64, usize) {
    let length = LENGTHS
        .into_iter()
        .rev()
        .find(|length| *length <= literal.len().min(longest))
        .unwrap_or(0);
    let ends = Ends::of(literal);
    match anchor {
        Anchor::Whole => (ends.whole(), 0),
        Anchor::Start => (ends.start(length), length),
        Anchor::End => (ends.end(length), length),
    }
}

/// The length from which on longer ends do not tell texts apart much better.
fn longest(patterns: &[(PatternId, Anchor, &str)], anchor: Anchor) -> usize {
    let fits = |longest: &usize| {
        let mut alike: FxHashMap<u64, usize> = FxHashMap::default();
        patterns.iter().filter(|pattern| pattern.1 == anchor).all(|(.., text)| {
            let count = alike.entry(key(anchor, text.as_bytes(), *longest).0).or_default();
            *count += 1;
            *count <= MOST_ALIKE
        })
    };
    LONGEST.into_iter().find(fits).unwrap_or(LONGEST[2])
}

impl Anchored {
    pub(crate) fn build(patterns: &[(PatternId, Anchor, &str)]) -> Self {
        let (longest_start, longest_end) = (longest(patterns, Anchor::Start), longest(patterns, Anchor::End));
        let mut sorted: Vec<(u64, usize, &(PatternId, Anchor, &str))> = patterns
            .iter()
            .map(|pattern| {
                let longest = match pattern.1 {
                    Anchor::Whole | Anchor::Start => longest_start,
                    Anchor::End => longest_end,
                };
                let (hash, length) = key(pattern.1, pattern.2.as_bytes(), longest);
                (hash, length, pattern)
            })
            .collect();
        sorted.sort_unstable_by_key(|(hash, _, pattern)| (*hash, pattern.0));
        let mut cells = vec![Cell::default(); (patterns.len() * 2).next_power_of_two()].into_boxed_slice();
        let filter_bits = (patterns.len() * SPARSENESS).next_power_of_two().max(64);
        let filter_shift = u64::BITS - filter_bits.ilog2();
        let mut filter = vec![0_u64; filter_bits / 64].into_boxed_slice();
        let mut entries = Vec::with_capacity(patterns.len());
        let mut literals = Vec::new();
        let (mut starts, mut ends, mut has_whole) = (Vec::new(), Vec::new(), false);
        for group in sorted.chunk_by(|left, right| left.0 == right.0) {
            let first = entries.len();
            for (_, length, (pattern, anchor, literal)) in group {
                entries.push(Entry {
                    pattern: *pattern,
                    start: small(literals.len()),
                    length: small(literal.len()),
                });
                literals.extend_from_slice(literal.as_bytes());
                match anchor {
                    Anchor::Whole => has_whole = true,
                    Anchor::Start => starts.push(*length),
                    Anchor::End => ends.push(*length),
                }
            }
            let hash = group.first().map_or(0, |(hash, ..)| *hash);
            let bit = filter_bit(hash, filter_shift);
            if let Some(word) = filter.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
            let mask = cells.len() - 1;
            let mut at = position(hash, mask);
            while cells.get(at).is_some_and(|cell| cell.count != 0) {
                at = (at + 1) & mask;
            }
            if let Some(cell) = cells.get_mut(at) {
                *cell = Cell {
                    hash,
                    first: small(first),
                    count: small(group.len()),
                };
            }
        }
        for lengths in [&mut starts, &mut ends] {
            lengths.sort_unstable();
            lengths.dedup();
        }
        Self {
            filter,
            filter_shift,
            cells,
            entries: entries.into_boxed_slice(),
            literals: literals.into_boxed_slice(),
            has_whole,
            starts: starts.into_boxed_slice(),
            ends: ends.into_boxed_slice(),
        }
    }

    /// Calls `found` with each text that the value is, starts with or ends with.
    #[inline]
    pub(crate) fn probe(&self, value: &[u8], mut found: impl FnMut(PatternId)) {
        let ends = Ends::of(value);
        if self.has_whole {
            self.visit(ends.whole(), |literal, pattern| {
                if same(literal, value) {
                    found(pattern);
                }
            });
        }
        for length in &self.starts {
            if *length > value.len() {
                break;
            }
            self.visit(ends.start(*length), |literal, pattern| {
                if value.get(..literal.len()).is_some_and(|head| same(head, literal)) {
                    found(pattern);
                }
            });
        }
        for length in &self.ends {
            if *length > value.len() {
                break;
            }
            self.visit(ends.end(*length), |literal, pattern| {
                let start = value.len().checked_sub(literal.len());
                if start
                    .and_then(|start| value.get(start..))
                    .is_some_and(|tail| same(tail, literal))
                {
                    found(pattern);
                }
            });
        }
    }

    #[inline]
    fn visit(&self, hash: u64, mut visit: impl FnMut(&[u8], PatternId)) {
        let bit = filter_bit(hash, self.filter_shift);
        let is_known = self
            .filter
            .get(bit / 64)
            .is_some_and(|word| word >> (bit % 64) & 1 == 1);
        if !is_known {
            return;
        }
        let mask = self.cells.len().wrapping_sub(1);
        let mut at = position(hash, mask);
        while let Some(cell) = self.cells.get(at)
            && cell.count != 0
        {
            if cell.hash == hash {
                let first = cell.first as usize;
                for entry in self.entries.get(first..first + cell.count as usize).unwrap_or_default() {
                    let start = entry.start as usize;
                    let literal = self.literals.get(start..start + entry.length as usize);
                    visit(literal.unwrap_or_default(), entry.pattern);
                }
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
fn position(hash: u64, mask: usize) -> usize {
    (hash >> 20) as usize & mask
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the highest bits are kept")]
fn filter_bit(hash: u64, shift: u32) -> usize {
    hash.checked_shr(shift).unwrap_or(0) as usize
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_a_plain_comparison_finds() {
        let literals = [
            "",
            "a",
            "ab",
            "exe",
            ".exe",
            "\\cmd.exe",
            "\\a.exe",
            "a\\cmd.exe",
            "c:\\windows\\system32\\cmd.exe",
            "c:\\",
            "c:\\windows",
            "xcmd.exe",
            "é",
            "aé",
            "eleven-byte",
            "1234567",
            "12345678",
            "123456789",
            "0123456789abcdef",
            "0123456789abcdefg",
            "sixteen-letters-",
            "-sixteen-letters",
        ];
        let anchors = [Anchor::Whole, Anchor::Start, Anchor::End];
        let patterns: Vec<(PatternId, Anchor, &str)> = (0..)
            .zip(
                literals
                    .iter()
                    .flat_map(|literal| anchors.map(|anchor| (anchor, *literal))),
            )
            .filter(|(_, (anchor, literal))| *anchor == Anchor::Whole || !literal.is_empty())
            .map(|(number, (anchor, literal))| (number, anchor, literal))
            .collect();
        let index = Anchored::build(&patterns);
        let joined = literals
            .iter()
            .flat_map(|left| literals.iter().map(move |right| format!("{left}{right}")));
        for value in joined {
            let mut found = Vec::new();
            index.probe(value.as_bytes(), |pattern| found.push(pattern));
            found.sort_unstable();
            let expected: Vec<PatternId> = patterns
                .iter()
                .filter(|(_, anchor, literal)| match anchor {
                    Anchor::Whole => value == *literal,
                    Anchor::Start => value.starts_with(literal),
                    Anchor::End => value.ends_with(literal),
                })
                .map(|(number, ..)| *number)
                .collect();
            assert_eq!(found, expected, "{value}");
        }
        let mut found = 0;
        Anchored::default().probe(b"abc", |_| found += 1);
        assert_eq!(found, 0);
    }
}
