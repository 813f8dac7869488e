//! Sixty-four bytes at once, where the processor has such registers.
//!
//! Everything that goes through all bytes of an event (its marks, folding, the search for a few texts) is also written
//! for AVX-512. Its masks load and store the end of a text without touching what is behind it, and take single bytes out
//! of the middle, which makes unescaping a matter of a few instructions.

use std::sync::LazyLock;

/// Bytes of a register.
pub(crate) const LANES: usize = 64;

/// Whether the processor has all that functions for 64 bytes use.
#[inline]
pub(crate) fn is_supported() -> bool {
    static IS_SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
        #[cfg(target_arch = "x86_64")]
        return std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vbmi")
            && std::is_x86_feature_detected!("avx512vbmi2")
            && std::is_x86_feature_detected!("bmi1")
            && std::is_x86_feature_detected!("popcnt");
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    });
    *IS_SUPPORTED
}

/// The first bytes, with zeros for those that are missing.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "reads from memory")]
pub(crate) fn load(bytes: &[u8]) -> std::arch::x86_64::__m512i {
    // SAFETY: only bytes of the slice are read, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm512_maskz_loadu_epi8(first(bytes.len()), bytes.as_ptr().cast()) }
}

/// Sixty-four bytes.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "reads from memory")]
pub(crate) fn load_all(bytes: &[u8; LANES]) -> std::arch::x86_64::__m512i {
    // SAFETY: so many bytes are there, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// All bytes of a register.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "writes to memory")]
pub(crate) fn store(register: std::arch::x86_64::__m512i, bytes: &mut [u8; LANES]) {
    // SAFETY: there is room for so many bytes, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm512_storeu_si512(bytes.as_mut_ptr().cast(), register) }
}

/// Sixteen words of a register.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "writes to memory")]
pub(crate) fn store_words(register: std::arch::x86_64::__m512i, words: &mut [u32; 16]) {
    // SAFETY: there is room for so many words, and no alignment is asked for.
    unsafe { std::arch::x86_64::_mm512_storeu_si512(words.as_mut_ptr().cast(), register) }
}

/// The words at sixteen positions, of those lanes that are asked for; zero for others, and beyond the last word.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f")]
#[allow(unsafe_code, reason = "reads from memory")]
pub(crate) fn words_at(words: &[u32], positions: std::arch::x86_64::__m512i, lanes: u16) -> std::arch::x86_64::__m512i {
    use std::arch::x86_64::{
        _mm512_mask_cmplt_epu32_mask, _mm512_mask_i32gather_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    };
    let length = i32::try_from(words.len()).unwrap_or(i32::MAX);
    let lanes = _mm512_mask_cmplt_epu32_mask(lanes, positions, _mm512_set1_epi32(length));
    // SAFETY: in these lanes are positions of words of the slice, none of which is negative as a signed number.
    unsafe { _mm512_mask_i32gather_epi32::<4>(_mm512_setzero_si512(), lanes, positions, words.as_ptr().cast()) }
}

/// So many bits, at most all.
#[inline]
pub(crate) fn first(count: usize) -> u64 {
    if count < LANES { !(u64::MAX << count) } else { u64::MAX }
}

/// What folding wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) length: usize,
    /// Whether all of it is ASCII. Anything else was only copied.
    pub(crate) ascii: bool,
}

/// Writes a text to the start of `target`, its ASCII folded. Where the text is written with escapes as in JSON, these are
/// replaced: `escapes` gives, from a position on, 64 bits for the backslashes that escape what follows. `target` must have
/// room for the text and 64 bytes more. `None`, and anything written, when the processor cannot do it, and for escapes
/// that are rare.
#[inline]
pub(crate) fn fold(text: &[u8], escapes: impl Fn(usize) -> u64, target: &mut [u8]) -> Option<Folded> {
    if !is_supported() {
        return None;
    }
    #[cfg(target_arch = "x86_64")]
    #[allow(
        unsafe_code,
        reason = "the compiler wants a word that the processor has what it was just asked for"
    )]
    // SAFETY: the processor has all of these.
    return unsafe { fold_by_64(text, escapes, target) };
    #[cfg(not(target_arch = "x86_64"))]
    return None;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,popcnt")]
fn fold_by_64(text: &[u8], escapes: impl Fn(usize) -> u64, target: &mut [u8]) -> Option<Folded> {
    use std::arch::x86_64::{
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_mask_add_epi8, _mm512_mask_mov_epi8,
        _mm512_maskz_compress_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8, _mm512_setzero_si512,
        _mm512_sub_epi8,
    };
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let (mut any, mut is_escaped_by_last) = (_mm512_setzero_si512(), 0);
    let (mut at, mut length) = (0, 0);
    while let Some(rest) = text.get(at..)
        && !rest.is_empty()
    {
        let bytes = load(rest);
        any = _mm512_or_si512(any, bytes);
        let capitals = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bytes, all(b'A')), all(26));
        let mut folded = _mm512_mask_add_epi8(bytes, capitals, bytes, all(0x20));
        let mut kept = first(rest.len());
        let escaping = escapes(at) & kept;
        let escaped = escaping << 1 | is_escaped_by_last;
        is_escaped_by_last = escaping >> (LANES - 1);
        if escaped | escaping != 0 {
            let is = |byte: u8| _mm512_cmpeq_epi8_mask(bytes, all(byte));
            let mut others = escaped & !(is(b'\\') | is(b'"') | is(b'/'));
            if others != 0 {
                for (letter, byte) in [(b'n', b'\n'), (b'r', b'\r'), (b't', b'\t')] {
                    let these = others & is(letter);
                    folded = _mm512_mask_mov_epi8(folded, these, all(byte));
                    others &= !these;
                }
                if others != 0 {
                    return None;
                }
            }
            kept &= !escaping;
            folded = _mm512_maskz_compress_epi8(kept, folded);
        }
        store(folded, target.get_mut(length..)?.first_chunk_mut()?);
        length += kept.count_ones() as usize;
        at += LANES;
    }
    Some(Folded {
        length,
        ascii: _mm512_movepi8_mask(any) == 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_folded_as_byte_by_byte(pieces in prop::collection::vec(
            prop_oneof![r#"[a-zA-Z@\[`{ 0-9é]{1,30}"#, r#"\\[nrt"/\\]"#.prop_map(String::from), Just(r"\b".to_owned())], 0..24)) {
            let text = pieces.concat();
            let mut is_rare = false;
            let (mut expected, mut marks) = (Vec::new(), vec![false; text.len()]);
            let mut at = 0;
            while let Some(byte) = text.as_bytes().get(at) {
                if *byte == b'\\' {
                    marks[at] = true;
                    at += 1;
                    is_rare |= text.as_bytes()[at] == b'b';
                }
                expected.push(match (*byte, text.as_bytes()[at]) {
                    (b'\\', b'n') => b'\n',
                    (b'\\', b'r') => b'\r',
                    (b'\\', b't') => b'\t',
                    (_, byte) => byte.to_ascii_lowercase(),
                });
                at += 1;
            }
            let escapes = |at: usize| (0..64).fold(0, |bits, lane| {
                bits | u64::from(marks.get(at + lane).copied().unwrap_or(false)) << lane
            });
            let mut target = vec![0xff; text.len() + LANES];
            let folded = fold(text.as_bytes(), escapes, &mut target);
            if is_supported() {
                prop_assert_eq!(folded.is_none(), is_rare);
            }
            if let Some(folded) = folded {
                prop_assert_eq!(&target[..folded.length], expected);
                prop_assert_eq!(folded.ascii, text.is_ascii());
            }
        }
    }
}
