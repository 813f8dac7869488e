//! Looking for bytes in texts that are short, or where the byte is near: eight are looked at in one word, at once and
//! without what a search in long texts prepares. What is far is left to `memchr`.

use memchr::{memchr, memrchr};

/// How far a byte is looked for word by word.
const NEAR: usize = 32;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = LOW << 7;

/// What is zero where a word has a byte.
#[inline(always)]
fn differing(word: [u8; 8], byte: u8) -> u64 {
    u64::from_le_bytes(word) ^ LOW.wrapping_mul(u64::from(byte))
}

/// How many bytes stand before the first zero byte.
#[inline(always)]
fn first_zero(word: u64) -> Option<usize> {
    // Bytes behind a zero may look like one too.
    let zeros = word.wrapping_sub(LOW) & !word & HIGH;
    (zeros != 0).then(|| bytes(zeros.trailing_zeros()))
}

/// How many bytes stand behind the last zero byte.
#[inline(always)]
fn last_zero(word: u64) -> Option<usize> {
    let zeros = !((word & !HIGH).wrapping_add(!HIGH) | word | !HIGH);
    (zeros != 0).then(|| bytes(zeros.leading_zeros()))
}

#[inline(always)]
fn bytes(bits: u32) -> usize {
    usize::try_from(bits / 8).unwrap_or(0)
}

/// Where the first of a byte is.
pub(crate) fn first(text: &[u8], byte: u8) -> Option<usize> {
    let (mut rest, mut at) = (text, 0);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if let Some(before) = first_zero(differing(*word, byte)) {
            return Some(at + before);
        }
        (rest, at) = (after, at + 8);
        if at == NEAR {
            return memchr(byte, rest).map(|before| at + before);
        }
    }
    match text.last_chunk::<8>() {
        // Some of them were looked at, and none is it.
        Some(word) => first_zero(differing(*word, byte)).map(|before| text.len() - 8 + before),
        None => rest.iter().position(|one| *one == byte),
    }
}

/// Where the last of a byte is.
pub(crate) fn last(text: &[u8], byte: u8) -> Option<usize> {
    let mut rest = text;
    while let Some((before, word)) = rest.split_last_chunk::<8>() {
        if let Some(behind) = last_zero(differing(*word, byte)) {
            return Some(before.len() + 7 - behind);
        }
        rest = before;
        if text.len() - rest.len() == NEAR {
            return memrchr(byte, rest);
        }
    }
    rest.iter().rposition(|one| *one == byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_found_where_the_standard_library_finds_them(
            text in proptest::collection::vec(0_u8..4, 0..100),
            spread in proptest::collection::vec(any::<u8>(), 0..100),
            byte in 0_u8..4,
        ) {
            for text in [text, spread] {
                for byte in [byte, byte | 0x80, 0xff] {
                    prop_assert_eq!(first(&text, byte), text.iter().position(|one| *one == byte));
                    prop_assert_eq!(last(&text, byte), text.iter().rposition(|one| *one == byte));
                }
            }
        }
    }
}
