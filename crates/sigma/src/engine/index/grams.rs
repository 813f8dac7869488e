//! Texts anywhere in a value: a bitmap of four-byte pieces is asked at every second or fourth position, and only where it
//! answers is compared. The cost does not depend on how many texts are looked for, as long as the bitmap is sparse.
//!
//! So that no text slips through between two positions, each counts under as many neighbouring pieces as the positions
//! are apart: one of them is at such a position wherever the text is.
//!
//! Where values are not folded yet, pieces are compared without the bit that tells small letters from capitals. That
//! takes some other characters for the same, so what is found this way has to be looked at again.

use rustc_hash::FxHashMap;

use crate::engine::hash::same;
use crate::engine::index::PatternId;
#[cfg(target_arch = "x86_64")]
use crate::engine::wide;

/// Length of a piece.
const GRAM: usize = 4;
/// Bits for each piece, of which two are set: a random piece of a value finds both of its bits in one of 256 cases.
const SPARSENESS: usize = 32;
/// Length of a value from which on many positions are asked at once.
#[cfg(target_arch = "x86_64")]
const MANY: usize = 32;
const MULTIPLY: u32 = 0x9e37_79b1;

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    gram: u32,
    first: u32,
    /// None: the cell is empty.
    count: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    pattern: PatternId,
    /// Of the piece in the text.
    offset: u32,
    start: u32,
    length: u32,
}

/// Texts that are looked for together.
#[derive(Debug)]
pub(crate) struct Grams {
    bits: Box<[u32]>,
    shift: u32,
    cells: Box<[Cell]>,
    cell_shift: u32,
    entries: Box<[Entry]>,
    literals: Box<[u8]>,
    /// Distance of the positions asked: 1, 2 or 4.
    stride: usize,
    /// Bits that are set before pieces are compared.
    blind: u32,
}

/// The bits that tell small letters from capitals.
const CASE: u32 = 0x2020_2020;

/// The four bytes at a position.
#[inline]
pub(crate) fn gram(text: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*text.get(at..)?.first_chunk()?))
}

impl Grams {
    /// The shortest text that can be looked for at every `stride`th position.
    pub(crate) const fn shortest(stride: usize) -> usize {
        GRAM + stride - 1
    }

    /// The greatest distance of positions at which all of the texts are found.
    pub(crate) fn stride<'a>(mut texts: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
        [4, 2, 1]
            .into_iter()
            .find(|stride| texts.clone().all(|text| text.len() >= Self::shortest(*stride)))
            .filter(|_| texts.next().is_some())
    }

    /// `frequency` estimates how often a piece occurs. All texts must be at least [`Self::shortest`]. With
    /// `ignores_case`, values need not be folded and more is found than is there.
    pub(crate) fn build(
        patterns: &[(PatternId, &str)],
        stride: usize,
        ignores_case: bool,
        frequency: impl Fn(u32) -> u32,
    ) -> Self {
        let blind = if ignores_case { CASE } else { 0 };
        let mut pieces: Vec<(u32, Entry)> = Vec::with_capacity(patterns.len() * stride);
        let mut literals = Vec::new();
        for (pattern, literal) in patterns {
            let text = literal.as_bytes();
            let start = small(literals.len());
            literals.extend_from_slice(text);
            let last = text.len().saturating_sub(Self::shortest(stride));
            let weight = |at: usize| -> u64 {
                (at..at + stride)
                    .filter_map(|at| gram(text, at))
                    .map(|gram| u64::from(frequency(gram)))
                    .sum()
            };
            let best = (0..=last).min_by_key(|at| weight(*at)).unwrap_or(0);
            for offset in best..best + stride {
                if let Some(gram) = gram(text, offset) {
                    pieces.push((
                        gram | blind,
                        Entry {
                            pattern: *pattern,
                            offset: small(offset),
                            start,
                            length: small(text.len()),
                        },
                    ));
                }
            }
        }
        pieces.sort_by_key(|(gram, entry)| (*gram, entry.pattern));
        let bit_count = (pieces.len() * SPARSENESS).next_power_of_two().clamp(1 << 9, 1 << 20);
        let shift = u32::BITS - bit_count.ilog2();
        let mut bits = vec![0_u32; bit_count / 32].into_boxed_slice();
        let cell_count = (pieces.len() * 2).next_power_of_two().max(4);
        let cell_shift = u32::BITS - cell_count.ilog2();
        let mut cells = vec![Cell::default(); cell_count].into_boxed_slice();
        let mut entries = Vec::with_capacity(pieces.len());
        for group in pieces.chunk_by(|left, right| left.0 == right.0) {
            let Some((gram, _)) = group.first() else { continue };
            let (word, mask) = bits_of(*gram, shift);
            if let Some(word) = bits.get_mut(word) {
                *word |= mask;
            }
            let mut at = place(*gram, cell_shift);
            while cells.get(at).is_some_and(|cell| cell.count != 0) {
                at = (at + 1) % cell_count;
            }
            if let Some(cell) = cells.get_mut(at) {
                *cell = Cell {
                    gram: *gram,
                    first: small(entries.len()),
                    count: small(group.len()),
                };
            }
            entries.extend(group.iter().map(|(_, entry)| *entry));
        }
        Self {
            bits,
            shift,
            cells,
            cell_shift,
            entries: entries.into_boxed_slice(),
            literals: literals.into_boxed_slice(),
            stride,
            blind,
        }
    }

    /// Calls `found` with each text in the value and where it starts; with some more than once.
    #[inline]
    pub(crate) fn probe(&self, value: &[u8], mut found: impl FnMut(PatternId, usize)) {
        #[cfg(target_arch = "x86_64")]
        #[allow(
            unsafe_code,
            reason = "the compiler wants a word that the processor has what it was just asked for"
        )]
        if value.len() >= MANY && wide::is_supported() {
            // SAFETY: the processor has all of these.
            return unsafe { self.probe_by_16(value, &mut found) };
        }
        self.probe_by_word(value, found);
    }

    /// Asks sixteen positions at once.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,bmi1")]
    fn probe_by_16(&self, value: &[u8], found: &mut impl FnMut(PatternId, usize)) {
        use std::arch::x86_64::{
            _mm_cvtsi32_si128, _mm512_and_si512, _mm512_mask_cmpeq_epi32_mask, _mm512_mullo_epi32, _mm512_or_si512,
            _mm512_set1_epi32, _mm512_sllv_epi32, _mm512_srl_epi32, _mm512_srli_epi32,
        };
        let all = |word: u32| _mm512_set1_epi32(word.cast_signed());
        let shift = _mm_cvtsi32_si128(self.shift.saturating_sub(5).cast_signed());
        let bit = |number| _mm512_sllv_epi32(all(1), _mm512_and_si512(number, all(31)));
        for block in (0..value.len()).step_by(wide::LANES) {
            for at in (block..block + GRAM).step_by(self.stride) {
                let rest = value.get(at..).unwrap_or_default();
                let pieces = _mm512_or_si512(wide::load(rest), all(self.blind));
                // As in `bits_of`.
                let lower = _mm512_srl_epi32(_mm512_mullo_epi32(pieces, all(MULTIPLY)), shift);
                let upper = _mm512_srli_epi32::<5>(lower);
                let lanes = u16::MAX.checked_shr(small(16_usize.saturating_sub(rest.len() / GRAM)));
                let lanes = lanes.unwrap_or(0);
                let words = wide::words_at(&self.bits, _mm512_srli_epi32::<5>(upper), lanes);
                let mask = _mm512_or_si512(bit(upper), bit(lower));
                let mut left = _mm512_mask_cmpeq_epi32_mask(lanes, _mm512_and_si512(words, mask), mask);
                while left != 0 {
                    let at = at + GRAM * left.trailing_zeros() as usize;
                    left &= left - 1;
                    if let Some(gram) = gram(value, at) {
                        self.compare(value, at, gram | self.blind, found);
                    }
                }
            }
        }
    }

    #[inline]
    fn probe_by_word(&self, value: &[u8], mut found: impl FnMut(PatternId, usize)) {
        let mut at = 0;
        if self.stride == 2 {
            while let Some(word) = value.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
                let word = u64::from_le_bytes(*word);
                #[allow(clippy::cast_possible_truncation, reason = "four of the eight bytes are taken")]
                let (first, second) = (word as u32 | self.blind, (word >> 16) as u32 | self.blind);
                let (first_hit, second_hit) = (self.may_have(first), self.may_have(second));
                if first_hit | second_hit {
                    if first_hit {
                        self.compare(value, at, first, &mut found);
                    }
                    if second_hit {
                        self.compare(value, at + 2, second, &mut found);
                    }
                }
                at += 4;
            }
        }
        if self.stride == 4 {
            while let Some(word) = value.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
                let word = u64::from_le_bytes(*word);
                #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
                let (first, second) = (word as u32 | self.blind, (word >> 32) as u32 | self.blind);
                let (first_hit, second_hit) = (self.may_have(first), self.may_have(second));
                if first_hit | second_hit {
                    if first_hit {
                        self.compare(value, at, first, &mut found);
                    }
                    if second_hit {
                        self.compare(value, at + 4, second, &mut found);
                    }
                }
                at += 8;
            }
        }
        while let Some(gram) = gram(value, at) {
            let gram = gram | self.blind;
            if self.may_have(gram) {
                self.compare(value, at, gram, &mut found);
            }
            at += self.stride;
        }
    }

    #[inline]
    fn may_have(&self, gram: u32) -> bool {
        let (word, mask) = bits_of(gram, self.shift);
        self.bits.get(word).is_some_and(|word| word & mask == mask)
    }

    #[inline(never)]
    fn compare(&self, value: &[u8], at: usize, gram: u32, found: &mut impl FnMut(PatternId, usize)) {
        let mut cell_at = place(gram, self.cell_shift);
        while let Some(cell) = self.cells.get(cell_at)
            && cell.count != 0
        {
            if cell.gram == gram {
                let first = cell.first as usize;
                for entry in self.entries.get(first..first + cell.count as usize).unwrap_or_default() {
                    let (start, length) = (entry.start as usize, entry.length as usize);
                    let literal = self.literals.get(start..start + length).unwrap_or_default();
                    let Some(begin) = at.checked_sub(entry.offset as usize) else {
                        continue;
                    };
                    let is_there = value.get(begin..begin + length).is_some_and(|text| {
                        if self.blind == 0 {
                            same(text, literal)
                        } else {
                            text.eq_ignore_ascii_case(literal)
                        }
                    });
                    if is_there {
                        found(entry.pattern, begin);
                    }
                }
                return;
            }
            cell_at = (cell_at + 1) & (self.cells.len() - 1);
        }
    }
}

#[inline]
fn place(gram: u32, shift: u32) -> usize {
    (gram.wrapping_mul(MULTIPLY) >> shift) as usize
}

/// The word of a bitmap in which a piece has its bits, and these: two, so that few other pieces have the same. `shift` is
/// at least 12, as bitmaps are bounded.
#[inline]
fn bits_of(gram: u32, shift: u32) -> (usize, u32) {
    let lower = gram.wrapping_mul(MULTIPLY) >> shift.saturating_sub(5);
    let upper = lower >> 5;
    ((upper >> 5) as usize, 1 << (upper & 31) | 1 << (lower & 31))
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

type Literal = (PatternId, Box<[u8]>);

/// Texts too short for [`Grams`], by their first two bytes.
#[derive(Debug)]
pub(crate) struct Short {
    bits: Box<[u64]>,
    /// Bits that are set before bytes are compared.
    blind: u8,
    by_start: FxHashMap<u16, Vec<Literal>>,
}

impl Short {
    /// With `ignores_case`, values need not be folded.
    pub(crate) fn build(patterns: &[(PatternId, &str)], ignores_case: bool) -> Self {
        let mut short = Self {
            bits: vec![0; 1 << 10].into_boxed_slice(),
            blind: if ignores_case { 0x20 } else { 0 },
            by_start: FxHashMap::default(),
        };
        for (pattern, literal) in patterns {
            match literal.as_bytes() {
                [] => {}
                [only] => {
                    for second in 0..=u8::MAX {
                        short.add(u16::from_le_bytes([*only, second]), *pattern, literal);
                    }
                }
                [first, second, ..] => short.add(u16::from_le_bytes([*first, *second]), *pattern, literal),
            }
        }
        short
    }

    fn add(&mut self, start: u16, pattern: PatternId, literal: &str) {
        let start = start | u16::from_le_bytes([self.blind; 2]);
        if let Some(word) = self.bits.get_mut(usize::from(start) / 64) {
            *word |= 1 << (start % 64);
        }
        let entries = self.by_start.entry(start).or_default();
        entries.push((pattern, literal.as_bytes().into()));
    }

    /// Calls `found` with each text in the value and where it starts; with some more than once.
    pub(crate) fn probe(&self, value: &[u8], mut found: impl FnMut(PatternId, usize)) {
        for (at, pair) in value.array_windows().enumerate() {
            let start = u16::from_le_bytes(*pair);
            if self.may_start(start) {
                self.compare(value, at, start, &mut found);
            }
        }
        if let Some((last, before)) = value.split_last() {
            self.compare(value, before.len(), u16::from_le_bytes([*last, 0]), &mut found);
        }
    }

    #[inline]
    fn may_start(&self, start: u16) -> bool {
        let start = start | u16::from_le_bytes([self.blind; 2]);
        let word = self.bits.get(usize::from(start) / 64).copied().unwrap_or(0);
        word >> (start % 64) & 1 == 1
    }

    #[inline(never)]
    fn compare(&self, value: &[u8], at: usize, start: u16, found: &mut impl FnMut(PatternId, usize)) {
        let start = start | u16::from_le_bytes([self.blind; 2]);
        let rest = value.get(at..).unwrap_or_default();
        for (pattern, literal) in self.by_start.get(&start).into_iter().flatten() {
            let is_there = rest.get(..literal.len()).is_some_and(|text| {
                if self.blind == 0 {
                    text == literal.as_ref()
                } else {
                    text.eq_ignore_ascii_case(literal)
                }
            });
            if is_there {
                found(*pattern, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_to_ask_find_every_text(
            texts in prop::collection::hash_set("[ab:é]{7,9}|[a-d]{7,14}", 1..60),
            pieces in prop::collection::vec("[abAB:é]{0,9}|[a-dA-D]{0,14}", 0..24),
            stride in prop::sample::select(vec![1, 2, 4]),
            ignores_case: bool,
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let patterns: Vec<(PatternId, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
            let grams = Grams::build(&patterns, stride, ignores_case, |gram| gram % 5);
            // Some of the texts are there.
            let value: String = pieces
                .iter()
                .zip(texts.iter().cycle())
                .map(|(piece, text)| if piece.len() % 3 == 0 { format!("{piece}{text}") } else { piece.clone() })
                .collect();
            let (mut by_word, mut by_any) = (Vec::new(), Vec::new());
            grams.probe_by_word(value.as_bytes(), |pattern, at| by_word.push((pattern, at)));
            grams.probe(value.as_bytes(), |pattern, at| by_any.push((pattern, at)));
            by_word.sort_unstable();
            by_any.sort_unstable();
            prop_assert_eq!(&by_word, &by_any);
            for (number, text) in &patterns {
                for (at, _) in value.match_indices(text) {
                    prop_assert!(by_word.contains(&(*number, at)));
                }
            }
        }
    }
}
