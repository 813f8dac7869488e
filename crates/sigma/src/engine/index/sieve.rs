//! A few texts anywhere in a value, whatever their length: found by looking at many positions at once.
//!
//! Of each text a window of up to four bytes is chosen, and the texts are put into eight buckets by windows that look
//! alike. Two tables for each byte of a window say by its upper and its lower half which buckets it may be in; where all
//! bytes of a window say the same bucket, its texts are compared. Which byte is looked up where does not depend on what
//! was found, so the processor does it for 32 or 64 positions with one instruction. The technique is called Teddy, from
//! Hyperscan (Wang et al., NSDI 2019).

use std::ops::Range;

use crate::engine::hash::{same, word_of};
use crate::engine::index::PatternId;
use crate::engine::index::cluster::{Window, cluster};
use crate::engine::wide;

/// Most texts in one sieve.
pub(crate) const MOST: usize = 64;
/// Most bytes of a window.
pub(super) const WIDTH: usize = 4;
/// Buckets, one for each bit of a byte.
pub(super) const BUCKETS: usize = 8;
/// Positions looked at at once.
const LANES: usize = 32;
/// Bytes that are read to look at so many positions.
const READ: usize = LANES + WIDTH - 1;
/// The bits that tell small letters from capitals.
const CASE: u64 = 0x2020_2020_2020_2020;
/// Bytes of a text, from its window on, that are compared at once.
const AHEAD: usize = 8;

/// Buckets by byte. Bytes that are not ASCII count as those that differ in the highest bit only.
type Exact = [u8; 128];

#[derive(Clone, Copy, Debug)]
struct Entry {
    pattern: PatternId,
    /// Of the window in the text.
    offset: u32,
    start: u32,
    length: u32,
    /// The first bytes from the window on, and which of their bits count.
    window: u64,
    mask: u64,
}

/// Texts that are looked for together. Only made where the processor has what it takes.
#[derive(Debug)]
pub(crate) struct Sieve {
    /// By position in the window: the buckets that have a byte with this lower half there.
    low: [[u8; 16]; WIDTH],
    /// The same for the upper half.
    high: [[u8; 16]; WIDTH],
    /// By position in the window and byte, as far as that is ASCII: the buckets that have it there. For 64 positions at
    /// once, where the processor looks up whole bytes.
    exact: Option<Box<[Exact; WIDTH]>>,
    /// Whether three bytes of the windows are as good as four.
    is_narrow: bool,
    buckets: [Range<u8>; BUCKETS],
    entries: Box<[Entry]>,
    literals: Box<[u8]>,
    /// Bits that are set before windows are compared.
    blind: u64,
}

impl Sieve {
    /// Whether the processor can do it.
    pub(crate) fn is_supported() -> bool {
        #[cfg(target_arch = "x86_64")]
        return std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// `None` when there are no texts, more than [`MOST`], or the processor cannot do it. No text must be empty.
    /// `frequency` estimates how often a byte occurs. With `ignores_case`, values need not be folded.
    pub(crate) fn build(
        patterns: &[(PatternId, &str)],
        ignores_case: bool,
        frequency: impl Fn(u8) -> f32,
    ) -> Option<Self> {
        if patterns.is_empty() || patterns.len() > MOST || !Self::is_supported() {
            return None;
        }
        let frequencies: Vec<f32> = (0..=u8::MAX).map(frequency).collect();
        let windows: Vec<Window> = patterns
            .iter()
            .map(|(_, text)| Window::rarest(text.as_bytes(), ignores_case, &frequencies))
            .collect();
        let clustered = cluster(&windows, &frequencies);
        let blind = if ignores_case { CASE } else { 0 };
        let mut sieve = Self {
            low: [[0; 16]; WIDTH],
            high: [[0; 16]; WIDTH],
            exact: wide::is_supported().then(|| Box::new([[0; 128]; WIDTH])),
            is_narrow: clustered.narrow_is_enough,
            buckets: Default::default(),
            entries: Box::default(),
            literals: Box::default(),
            blind,
        };
        let (mut entries, mut literals) = (Vec::with_capacity(patterns.len()), Vec::new());
        for (members, bucket) in clustered.buckets.iter().zip(0_u8..) {
            let first = entries.len();
            for member in members {
                let (Some((pattern, text)), Some(window)) = (patterns.get(*member), windows.get(*member)) else {
                    continue;
                };
                for (sets, position) in window.sets.iter().zip(0..) {
                    fill(&mut sieve.low, position, sets.low, bucket);
                    fill(&mut sieve.high, position, sets.high, bucket);
                }
                if let Some(exact) = &mut sieve.exact {
                    let bytes = text.as_bytes().get(window.offset..).unwrap_or_default();
                    fill_exact(exact, bytes, ignores_case, bucket);
                }
                let bits = u64::MAX >> (8 * (AHEAD - text.len().saturating_sub(window.offset).clamp(1, AHEAD)));
                entries.push(Entry {
                    pattern: *pattern,
                    offset: small(window.offset),
                    start: small(literals.len()),
                    length: small(text.len()),
                    window: (word(text.as_bytes(), window.offset) | blind) & bits,
                    mask: bits,
                });
                literals.extend_from_slice(text.as_bytes());
            }
            if let Some(range) = sieve.buckets.get_mut(usize::from(bucket)) {
                *range = tiny(first)..tiny(entries.len());
            }
        }
        sieve.entries = entries.into_boxed_slice();
        sieve.literals = literals.into_boxed_slice();
        Some(sieve)
    }

    /// Calls `found` with texts in the value and where they start: with each again and again until it says true.
    #[inline]
    pub(crate) fn probe(&self, value: &[u8], found: &mut dyn FnMut(PatternId, usize) -> bool) {
        let mut seen = Seen::default();
        let visit = |at, buckets| self.compare(value, at, buckets, &mut seen, found);
        self.look(value, visit);
    }

    /// Whether one of the texts is in the value.
    #[inline]
    pub(crate) fn has_any(&self, value: &[u8]) -> bool {
        let mut is_found = false;
        self.look(value, |at, buckets| {
            let mut seen = Seen::default();
            is_found = is_found || {
                let mut found = false;
                self.compare(value, at, buckets, &mut seen, &mut |_, _| {
                    found = true;
                    true
                });
                found
            };
            if is_found { 0 } else { u8::MAX }
        });
        is_found
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[allow(unsafe_code, reason = "the compiler wants a word that the processor has AVX2")]
    fn look(&self, value: &[u8], visit: impl FnMut(usize, u8) -> u8) {
        // SAFETY: a sieve is only made where the processor was found to have AVX2, and only with exact tables where it has AVX-512.
        unsafe {
            match (&self.exact, self.is_narrow) {
                (None, false) => self.scan::<4>(value, visit),
                (None, true) => self.scan::<3>(value, visit),
                (Some(exact), false) => scan_by_64::<4>(exact, value, visit),
                (Some(exact), true) => scan_by_64::<3>(exact, value, visit),
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn look(&self, value: &[u8], visit: impl FnMut(usize, u8) -> u8) {
        self.scan_by_byte(value, visit);
    }

    /// Calls `visit` with positions where a window may be, and the buckets it may be in; those that `visit` answers with
    /// count from there on.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn scan<const BYTES: usize>(&self, value: &[u8], mut visit: impl FnMut(usize, u8) -> u8) {
        use std::arch::x86_64::{
            __m256i, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8, _mm256_movemask_epi8,
            _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
        };
        let table = |half: &[u8; 16]| _mm256_broadcastsi128_si256(sixteen(half));
        let (low, high) = (self.low.each_ref().map(table), self.high.each_ref().map(table));
        let half = _mm256_set1_epi8(0x0f);
        let mut alive = _mm256_set1_epi8(-1);
        let mut block = |bytes: &[u8; READ], base: usize| -> bool {
            let mut buckets: __m256i = alive;
            for position in 0..BYTES {
                let (Some(chunk), Some(low), Some(high)) = (
                    bytes.get(position..).and_then(|rest| rest.first_chunk()),
                    low.get(position),
                    high.get(position),
                ) else {
                    continue;
                };
                let chunk = thirty_two(chunk);
                let lower = _mm256_shuffle_epi8(*low, _mm256_and_si256(chunk, half));
                let upper = _mm256_shuffle_epi8(*high, _mm256_and_si256(_mm256_srli_epi16::<4>(chunk), half));
                buckets = _mm256_and_si256(buckets, _mm256_and_si256(lower, upper));
            }
            let nowhere = _mm256_movemask_epi8(_mm256_cmpeq_epi8(buckets, _mm256_setzero_si256()));
            let mut left = !nowhere.cast_unsigned();
            if left == 0 {
                return true;
            }
            let buckets = bytes_of(buckets);
            let mut still = u8::MAX;
            while left != 0 {
                let lane = left.trailing_zeros() as usize;
                left &= left - 1;
                let here = buckets.get(lane).copied().unwrap_or_default() & still;
                if here != 0 {
                    still = visit(base + lane, here);
                }
            }
            alive = _mm256_set1_epi8(still.cast_signed());
            still != 0
        };
        let mut at = 0;
        while let Some(bytes) = value.get(at..).and_then(|rest| rest.first_chunk()) {
            if !block(bytes, at) {
                return;
            }
            at += LANES;
        }
        // What is left is shorter than what is read at once.
        let rest = value.get(at..).unwrap_or_default();
        let mut last = [0; READ + LANES];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        for offset in (0..rest.len()).step_by(LANES) {
            if let Some(bytes) = last.get(offset..).and_then(|rest| rest.first_chunk())
                && !block(bytes, at + offset)
            {
                return;
            }
        }
    }

    /// The same, byte by byte.
    #[cfg(any(test, not(target_arch = "x86_64")))]
    fn scan_by_byte(&self, value: &[u8], mut visit: impl FnMut(usize, u8) -> u8) {
        let width = if self.is_narrow { 3 } else { WIDTH };
        let mut alive = u8::MAX;
        for at in 0..value.len() {
            let mut buckets = alive;
            for position in 0..width {
                let byte = value.get(at + position).copied().unwrap_or_default();
                let side = |tables: &[[u8; 16]; WIDTH], half: u8| {
                    let table = tables.get(position);
                    table
                        .and_then(|table| table.get(usize::from(half)))
                        .copied()
                        .unwrap_or_default()
                };
                buckets &= side(&self.low, byte & 15) & side(&self.high, byte >> 4);
            }
            if buckets != 0 {
                alive = visit(at, buckets);
            }
        }
    }

    /// Compares the texts of buckets whose window may be here. Gives the buckets that are worth further looks.
    #[inline(never)]
    fn compare(
        &self,
        value: &[u8],
        at: usize,
        mut buckets: u8,
        seen: &mut Seen,
        found: &mut dyn FnMut(PatternId, usize) -> bool,
    ) -> u8 {
        let here = word(value, at) | self.blind;
        while buckets != 0 {
            let bucket = buckets.trailing_zeros();
            buckets &= buckets - 1;
            let Some(range) = self.buckets.get(bucket as usize) else {
                break;
            };
            let mut is_done = true;
            for number in range.clone() {
                if seen.entries >> number & 1 == 1 {
                    continue;
                }
                let Some(entry) = self.entries.get(usize::from(number)) else {
                    break;
                };
                if here & entry.mask == entry.window && self.is_at(entry, value, at) && {
                    found(entry.pattern, at - entry.offset as usize)
                } {
                    seen.entries |= 1 << number;
                } else {
                    is_done = false;
                }
            }
            if is_done {
                seen.alive &= !(1 << bucket);
            }
        }
        seen.alive
    }

    #[inline]
    fn is_at(&self, entry: &Entry, value: &[u8], at: usize) -> bool {
        let (start, length) = (entry.start as usize, entry.length as usize);
        let text = at
            .checked_sub(entry.offset as usize)
            .and_then(|begin| value.get(begin..begin + length));
        let (Some(text), Some(literal)) = (text, self.literals.get(start..start + length)) else {
            return false;
        };
        if self.blind == 0 {
            same(text, literal)
        } else {
            text.eq_ignore_ascii_case(literal)
        }
    }
}

/// What need not be looked for any more in a value.
struct Seen {
    /// Entries found, one bit each.
    entries: u64,
    /// Buckets with entries not found yet.
    alive: u8,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            entries: 0,
            alive: u8::MAX,
        }
    }
}

/// What [`Sieve::scan`] does, for 64 positions at once.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,bmi1")]
fn scan_by_64<const BYTES: usize>(exact: &[Exact; WIDTH], value: &[u8], mut visit: impl FnMut(usize, u8) -> u8) {
    use std::arch::x86_64::{
        __m512i, _mm512_and_si512, _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_test_epi8_mask,
    };
    let tables = exact.each_ref().map(|table| {
        let (low, high) = table.split_at(wide::LANES);
        (wide::load(low), wide::load(high))
    });
    let mut alive = _mm512_set1_epi8(-1);
    for at in (0..value.len()).step_by(wide::LANES) {
        let rest = value.get(at..).unwrap_or_default();
        let is_full = rest.len() >= wide::LANES + WIDTH;
        let mut buckets: __m512i = alive;
        for (position, (low, high)) in (0..).zip(tables).take(BYTES) {
            let here = rest.get(position..).unwrap_or_default();
            let chunk = match here.first_chunk() {
                Some(all) if is_full => wide::load_all(all),
                _ => wide::load(here),
            };
            buckets = _mm512_and_si512(buckets, _mm512_permutex2var_epi8(low, chunk, high));
        }
        let mut left = _mm512_test_epi8_mask(buckets, buckets);
        if left == 0 {
            continue;
        }
        let mut bytes = [0; wide::LANES];
        wide::store(buckets, &mut bytes);
        let mut still = u8::MAX;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            left &= left - 1;
            let here = bytes.get(lane).copied().unwrap_or_default() & still;
            if here != 0 {
                still = visit(at + lane, here);
            }
        }
        if still == 0 {
            return;
        }
        alive = _mm512_set1_epi8(still.cast_signed());
    }
}

/// Notes the first bytes of a window; where it is shorter, any byte may follow.
fn fill_exact(tables: &mut [Exact; WIDTH], bytes: &[u8], ignores_case: bool, bucket: u8) {
    for (position, table) in tables.iter_mut().enumerate() {
        let byte = bytes.get(position).copied();
        for (place, other) in table.iter_mut().zip(0_u8..) {
            let is_in = byte.is_none_or(|byte| {
                let byte = byte & 0x7f;
                byte == other || ignores_case && byte.eq_ignore_ascii_case(&other)
            });
            *place |= u8::from(is_in) << bucket;
        }
    }
}

fn fill(tables: &mut [[u8; 16]; WIDTH], position: usize, halves: u16, bucket: u8) {
    for (place, half) in tables.get_mut(position).into_iter().flatten().zip(0..) {
        if halves >> half & 1 == 1 {
            *place |= 1 << bucket;
        }
    }
}

/// The eight bytes at a position, as zero beyond the end.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    word_of(bytes.get(at..).unwrap_or_default())
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "reads from memory")]
fn thirty_two(bytes: &[u8; LANES]) -> std::arch::x86_64::__m256i {
    // SAFETY: so many bytes are there, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "reads from memory")]
fn sixteen(bytes: &[u8; 16]) -> std::arch::x86_64::__m128i {
    // SAFETY: so many bytes are there, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "writes to memory")]
fn bytes_of(vector: std::arch::x86_64::__m256i) -> [u8; LANES] {
    let mut bytes = [0; LANES];
    // SAFETY: there is room for so many bytes, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) };
    bytes
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn tiny(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn both_ways_to_look_find_every_text(
            texts in proptest::collection::hash_set("[ab:é]{1,7}|[a-z]{2,9}", 1..MOST),
            value in "[abAB:é]{0,150}|[a-zA-Z]{0,100}",
            ignores_case: bool,
            says_true: bool,
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let patterns: Vec<(PatternId, &str)> = (0..).zip(texts.iter().map(String::as_str)).collect();
            let Some(mut sieve) = Sieve::build(&patterns, ignores_case, |byte| f32::from(byte % 7 + 1) / 1000.0) else {
                prop_assert!(!Sieve::is_supported());
                return Ok(());
            };
            let folded = if ignores_case { value.to_ascii_lowercase() } else { value.clone() };
            let expected: Vec<(PatternId, usize)> = patterns
                .iter()
                .flat_map(|(number, text)| {
                    let all = (0..value.len()).filter(|at| folded.as_bytes()[*at..].starts_with(text.as_bytes()));
                    all.take(if says_true { 1 } else { usize::MAX }).map(|at| (*number, at))
                })
                .collect();
            for (is_wide, is_narrow) in [(true, false), (true, true), (false, false), (false, true)] {
                if !is_wide {
                    sieve.exact = None;
                }
                sieve.is_narrow = is_narrow;
                let (mut fast, mut slow) = (Vec::new(), Vec::new());
                sieve.probe(value.as_bytes(), &mut |pattern, at| {
                    fast.push((pattern, at));
                    says_true
                });
                let mut seen = Seen { entries: 0, alive: u8::MAX };
                sieve.scan_by_byte(value.as_bytes(), |at, buckets| {
                    sieve.compare(value.as_bytes(), at, buckets, &mut seen, &mut |pattern, at| {
                        slow.push((pattern, at));
                        says_true
                    })
                });
                prop_assert_eq!(&fast, &slow);
                prop_assert_eq!(sieve.has_any(value.as_bytes()), !expected.is_empty());
                fast.sort_unstable();
                prop_assert_eq!(&fast, &expected);
            }
        }
    }
}
