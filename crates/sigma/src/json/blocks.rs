//! Which of a line's bytes are quotes and backslashes, 64 at a time, by the widest registers the processor has.

use super::marks::{Progress, Room};
use crate::engine::wide;

/// How much of a line is asked for before it is read, in blocks.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 64;

/// The number of each byte of a block.
#[cfg(target_arch = "x86_64")]
static LANES: [u8; 64] = lanes();

#[cfg(target_arch = "x86_64")]
#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated when compiled"
)]
const fn lanes() -> [u8; 64] {
    let mut lanes = [0; 64];
    let mut lane = 0;
    while lane < 64 {
        lanes[lane] = lane as u8;
        lane += 1;
    }
    lanes
}

/// What is in 64 bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
}

/// What is somewhere in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Whole {
    /// Control characters below U+0020: not allowed in JSON strings.
    pub(super) has_controls: bool,
    /// Bytes that are not ASCII.
    pub(super) has_high: bool,
}

/// Asks for a line that is read soon, so that it need not be waited for then.
#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code, reason = "the compiler wants a word that the processor has SSE")]
pub(crate) fn fetch(line: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for bytes in line.chunks(wide::LANES).take(AHEAD) {
        // SAFETY: SSE is part of every x86-64. Nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn fetch(_: &[u8]) {}

/// Reads a line.
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "the compiler wants a word that the processor has what it was just asked for"
)]
pub(super) fn read(line: &[u8], progress: &mut Progress<'_>) -> Whole {
    if wide::is_supported() {
        // SAFETY: the processor has AVX-512 with its byte instructions, those to compress included, BMI1 and POPCNT.
        return unsafe { read_by_avx512(line, progress) };
    }
    // The standard library asks the processor once.
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("bmi1") {
        // SAFETY: the processor has AVX2 and BMI1.
        unsafe { read_by_avx2(line, progress) }
    } else {
        // SAFETY: SSE2 is part of every x86-64.
        unsafe { read_by_sse2(line, progress) }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn read(line: &[u8], progress: &mut Progress<'_>) -> Whole {
    read_by_byte(line, progress)
}

/// Reads with the given ways to look at 64 bytes: their quotes and backslashes, and which of them are n, r or t; and to
/// write down where bits are set.
#[inline(always)]
fn walk(
    line: &[u8],
    progress: &mut Progress<'_>,
    mut block: impl FnMut(&[u8; 64]) -> Block,
    newlines: impl Fn(&[u8; 64]) -> u64,
    spread: impl Fn(u64, u32, &mut Room) -> usize,
) {
    let (blocks, rest) = line.as_chunks::<64>();
    for bytes in blocks {
        let block = block(bytes);
        progress.take(block, || newlines(bytes), &spread);
    }
    if !rest.is_empty() {
        let mut last = [b' '; 64];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        let block = block(&last);
        progress.take(block, || newlines(&last), &spread);
    }
}

/// Writes where bits are set, one after the other.
#[inline]
fn spread_by_bit(mut bits: u64, base: u32, room: &mut Room) -> usize {
    let mut places = room.iter_mut();
    let mut count = 0;
    while bits != 0
        && let Some(place) = places.next()
    {
        *place = base + bits.trailing_zeros();
        bits &= bits - 1;
        count += 1;
    }
    count
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,popcnt")]
fn read_by_avx512(line: &[u8], progress: &mut Progress<'_>) -> Whole {
    use std::arch::x86_64::{
        _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_cvtepu8_epi32,
        _mm512_extracti32x4_epi32, _mm512_maskz_compress_epi8, _mm512_min_epu8, _mm512_movepi8_mask, _mm512_or_si512,
        _mm512_set1_epi8, _mm512_set1_epi32, _mm512_setzero_si512,
    };
    // A line that was not touched yet is fetched faster when all of it is asked for at once.
    fetch(line);
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let (mut least, mut any) = (all(u8::MAX), _mm512_setzero_si512());
    let block = |bytes: &[u8; 64]| {
        let bytes = wide::load_all(bytes);
        least = _mm512_min_epu8(least, bytes);
        any = _mm512_or_si512(any, bytes);
        Block {
            quotes: _mm512_cmpeq_epi8_mask(bytes, all(b'"')),
            backslashes: _mm512_cmpeq_epi8_mask(bytes, all(b'\\')),
        }
    };
    let newlines = |bytes: &[u8; 64]| {
        let bytes = wide::load_all(bytes);
        let [n, r, t] = [b'n', b'r', b't'].map(|byte| _mm512_cmpeq_epi8_mask(bytes, all(byte)));
        n | r | t
    };
    let lanes = wide::load(&LANES);
    let spread = |bits: u64, base: u32, room: &mut Room| {
        let set = _mm512_maskz_compress_epi8(bits, lanes);
        let count = bits.count_ones() as usize;
        let base = _mm512_set1_epi32(base.cast_signed());
        let (rooms, _) = room.as_chunks_mut::<16>();
        let mut rooms = rooms.iter_mut();
        let mut put = |sixteen| {
            if let Some(room) = rooms.next() {
                wide::store_words(_mm512_add_epi32(base, _mm512_cvtepu8_epi32(sixteen)), room);
            }
        };
        put(_mm512_castsi512_si128(set));
        if count > 16 {
            put(_mm512_extracti32x4_epi32::<1>(set));
            put(_mm512_extracti32x4_epi32::<2>(set));
            put(_mm512_extracti32x4_epi32::<3>(set));
        }
        count
    };
    walk(line, progress, block, newlines, spread);
    Whole {
        has_controls: _mm512_cmplt_epu8_mask(least, all(0x20)) != 0,
        has_high: _mm512_movepi8_mask(any) != 0,
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1")]
#[allow(unsafe_code, reason = "registers are loaded through pointers")]
fn read_by_avx2(line: &[u8], progress: &mut Progress<'_>) -> Whole {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_setzero_si256,
    };
    let load = |bytes: &[u8; 64]| -> [__m256i; 2] {
        let (halves, _) = bytes.as_chunks::<32>();
        let load = |half: &[u8; 32]| {
            // SAFETY: the pointer is to 32 bytes that may be read, and need not be aligned.
            unsafe { _mm256_loadu_si256(half.as_ptr().cast()) }
        };
        match halves {
            [low, high] => [load(low), load(high)],
            _ => [_mm256_setzero_si256(); 2],
        }
    };
    let mask = |low: __m256i, high: __m256i| -> u64 {
        let half = |half: __m256i| u64::from(_mm256_movemask_epi8(half).cast_unsigned());
        half(low) | half(high) << 32
    };
    let (mut least, mut any) = (_mm256_set1_epi8(-1), _mm256_setzero_si256());
    let (quote, backslash) = (_mm256_set1_epi8(0x22), _mm256_set1_epi8(0x5c));
    let block = |bytes: &[u8; 64]| {
        let [low, high] = load(bytes);
        least = _mm256_min_epu8(least, _mm256_min_epu8(low, high));
        any = _mm256_or_si256(any, _mm256_or_si256(low, high));
        Block {
            quotes: mask(_mm256_cmpeq_epi8(low, quote), _mm256_cmpeq_epi8(high, quote)),
            backslashes: mask(_mm256_cmpeq_epi8(low, backslash), _mm256_cmpeq_epi8(high, backslash)),
        }
    };
    let newlines = |bytes: &[u8; 64]| {
        let [n, r, t] = [b'n', b'r', b't'].map(|byte| _mm256_set1_epi8(byte.cast_signed()));
        let of = |half: __m256i| {
            let (n, r, t) = (
                _mm256_cmpeq_epi8(half, n),
                _mm256_cmpeq_epi8(half, r),
                _mm256_cmpeq_epi8(half, t),
            );
            _mm256_or_si256(n, _mm256_or_si256(r, t))
        };
        let [low, high] = load(bytes);
        mask(of(low), of(high))
    };
    walk(line, progress, block, newlines, spread_by_bit);
    let control = _mm256_set1_epi8(0x1f);
    Whole {
        has_controls: _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(least, control), least)) != 0,
        has_high: _mm256_movemask_epi8(any) != 0,
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn read_by_sse2(line: &[u8], progress: &mut Progress<'_>) -> Whole {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_setzero_si128,
    };
    let number = |bytes: &[u8; 64], at: usize| -> i64 {
        let bytes = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        i64::from_le_bytes(bytes.unwrap_or_default())
    };
    let load = |bytes: &[u8; 64], at: usize| -> __m128i { _mm_set_epi64x(number(bytes, at + 8), number(bytes, at)) };
    let mask = |vector: __m128i| u64::from(_mm_movemask_epi8(vector).cast_unsigned());
    let (mut least, mut any) = (_mm_set1_epi8(-1), _mm_setzero_si128());
    let (quote, backslash) = (_mm_set1_epi8(0x22), _mm_set1_epi8(0x5c));
    let block = |bytes: &[u8; 64]| {
        let mut block = Block::default();
        for at in [0, 16, 32, 48] {
            let part = load(bytes, at);
            least = _mm_min_epu8(least, part);
            any = _mm_or_si128(any, part);
            block.quotes |= mask(_mm_cmpeq_epi8(part, quote)) << at;
            block.backslashes |= mask(_mm_cmpeq_epi8(part, backslash)) << at;
        }
        block
    };
    walk(line, progress, block, newlines_by_byte, spread_by_bit);
    let control = _mm_set1_epi8(0x1f);
    Whole {
        has_controls: _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(least, control), least)) != 0,
        has_high: _mm_movemask_epi8(any) != 0,
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn read_by_byte(line: &[u8], progress: &mut Progress<'_>) -> Whole {
    let mut whole = Whole::default();
    let block = |bytes: &[u8; 64]| {
        whole.has_controls |= bytes.iter().any(|byte| *byte < 0x20);
        whole.has_high |= !bytes.is_ascii();
        Block {
            quotes: bits(bytes, |byte| byte == b'"'),
            backslashes: bits(bytes, |byte| byte == b'\\'),
        }
    };
    walk(line, progress, block, newlines_by_byte, spread_by_bit);
    whole
}

fn newlines_by_byte(bytes: &[u8; 64]) -> u64 {
    bits(bytes, |byte| matches!(byte, b'n' | b'r' | b't'))
}

fn bits(bytes: &[u8; 64], is_set: impl Fn(u8) -> bool) -> u64 {
    (0..)
        .zip(bytes)
        .fold(0, |all, (at, byte)| all | u64::from(is_set(*byte)) << at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a way to read makes of a line.
    fn of(line: &[u8], read: impl FnOnce(&[u8], &mut Progress<'_>) -> Whole) -> (Whole, Vec<u32>, Vec<u64>, [bool; 2]) {
        let (mut quotes, mut backslashes) = (Vec::new(), vec![0; line.len().div_ceil(64)]);
        let mut progress = Progress::new(line, &mut quotes, &mut backslashes);
        let whole = read(line, &mut progress);
        let escapes = [progress.are_escapes_fine(), progress.has_numeric_escapes()];
        let count = progress.count();
        quotes.truncate(count);
        (whole, quotes, backslashes, escapes)
    }

    proptest! {
        #[test]
        fn all_registers_see_the_same(
            line in prop::collection::vec(prop::sample::select(b"\\\\\\\"\" anrtub0000\xc3\xa4\x1f".to_vec()), 0..300)
        ) {
            let by_byte = of(&line, read_by_byte);
            prop_assert_eq!(&of(&line, read), &by_byte);
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "the compiler wants a word that the processor has what it was asked for")]
            {
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("bmi1") {
                    // SAFETY: the processor has AVX2 and BMI1.
                    prop_assert_eq!(&of(&line, |line, progress| unsafe { read_by_avx2(line, progress) }), &by_byte);
                }
                // SAFETY: SSE2 is part of every x86-64.
                prop_assert_eq!(&of(&line, |line, progress| unsafe { read_by_sse2(line, progress) }), &by_byte);
            }
        }
    }
}
